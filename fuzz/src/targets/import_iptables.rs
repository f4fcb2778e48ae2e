//! The importer of the output of `iptables-save`.

use nicfw::policy::import::Format;

/// Imports the input.
pub fn run(data: &[u8]) {
    super::importer::run(Format::Iptables, data);
}
