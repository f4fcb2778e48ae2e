//! The PCI side of a function: configuration space and MSI-X, as a bus driver and QEMU see them.

pub mod config_space;
pub mod endpoint;
pub mod msix;
