//! A rule written in another way.

use std::sync::Arc;

use crate::policy::Origin;

/// One rule, written in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edit {
    /// The rule.
    pub origin: Arc<Origin>,
    /// What to write, and instead of what, as `remote: 10.1.0.0/16 instead of 10.1.0.0/16,10.2.3.0/24`.
    pub text: String,
}
