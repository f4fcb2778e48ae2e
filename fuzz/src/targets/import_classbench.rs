//! The importer of a ClassBench filter set.

use nicfw::policy::import::Format;

/// Imports the input.
pub fn run(data: &[u8]) {
    super::importer::run(Format::Classbench, data);
}
