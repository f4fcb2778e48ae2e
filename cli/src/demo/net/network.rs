//! The parties' namespaces, and the cables between them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::fabric::Fabric;
use crate::demo::cast::Party;

/// Nothing has crossed for this long: the kernels have said all they had to say at once. It bounds how long a probe lasts
/// whose frames the adapter dropped; what is delivered is not waited for with it.
pub(super) const QUIET: Duration = Duration::from_millis(25);

/// The parties' namespaces, and the cables between them and the adapter.
pub struct Network {
    pub(super) fabric: Fabric,
    pub(super) endpoints: BTreeMap<Party, Endpoint>,
}
