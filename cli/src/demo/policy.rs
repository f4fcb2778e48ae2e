//! The demo's policy.

use nicfw::policy::Document;

use super::flows::{POLICY, POLICY_NAME};
use crate::failure::Failure;

/// The demo's policy.
///
/// # Errors
/// The text is wrong, which a test rules out.
pub fn policy() -> Result<Document, Failure> {
    Document::parse(POLICY, POLICY_NAME).map_err(Failure::usage)
}
