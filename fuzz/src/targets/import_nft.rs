//! The importer of the output of `nft -j list ruleset`.

use nicfw::policy::import::Format;

/// Imports the input.
pub fn run(data: &[u8]) {
    super::importer::run(Format::Nft, data);
}
