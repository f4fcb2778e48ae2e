//! The content of every table, as a value: what the compiler makes and the planner compares.

use std::sync::Arc;

use super::rules::Rules;
use crate::tables::{Action, CounterId, PortMap, SubnetMap};

/// Names one origin of an entry: an index into the compiled document's list of origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginId(pub u32);

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

/// One entry of the rule table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageEntry {
    /// What it does to received frames.
    pub rx: Side,
    /// What it does to transmitted frames.
    pub tx: Side,
    /// Its counter pair.
    pub counter: Option<CounterId>,
}

/// One direction of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Side {
    /// What it does.
    pub action: Action,
    /// Who asked for it, sorted; empty for [`Action::None`].
    pub origins: Vec<OriginId>,
}
