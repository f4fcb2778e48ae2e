//! The content of every table, as a value: what the compiler makes and the planner compares.

use std::sync::Arc;

use super::rules::Rules;
use super::{PortMap, SubnetMap};

/// The content of all tables. A copy costs next to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// Entries by what they match.
    pub rules: Rules,
    /// Subnet map; `None` = never written, and then no entry names a subnet id.
    pub subnets: Option<Arc<SubnetMap>>,
    /// Remote port-range map; `None` = never written, and then no entry names an id of it.
    pub remote_ports: Option<Arc<PortMap>>,
    /// Local port-range map; `None` = never written, and then no entry names an id of it.
    pub local_ports: Option<Arc<PortMap>>,
}
