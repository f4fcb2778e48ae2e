//! The importer of a DPDK access list.

use nicfw::policy::import::Format;

/// Imports the input.
pub fn run(data: &[u8]) {
    super::importer::run(Format::DpdkAcl, data);
}
