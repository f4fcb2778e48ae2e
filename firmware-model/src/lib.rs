//! A software NIC and management controller: what stands in for an EF10 adapter where there is none.
#![forbid(unsafe_code)]

pub mod pci;
