//! Commands to the adapter's management controller (MC): requests and replies in DMA memory, a doorbell in the BAR.

pub mod wire;
