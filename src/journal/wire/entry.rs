//! Entries of the tables, and who asked for them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::values::WireError;
use crate::tables::{CounterId, ImageEntry, OriginId, PortRangeId, RuleKey, SubnetId};
use crate::terms::MacAddr;
use crate::{policy, tables};

/// What an entry matches.
#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Key {
    #[serde(skip_serializing_if = "Option::is_none")]
    local_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_mac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_port: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outer_vlan: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inner_vlan: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ether_type: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_proto: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_mac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_subnet: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_portrange: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_portrange: Option<u16>,
}

impl From<&RuleKey> for Key {
    fn from(key: &RuleKey) -> Self {
        Self {
            local_ip: key.local_ip,
            local_mac: key.local_mac.map(|mac| mac.to_string()),
            physical_port: key.physical_port,
            outer_vlan: key.outer_vlan,
            inner_vlan: key.inner_vlan,
            ether_type: key.ether_type,
            ip_proto: key.ip_proto,
            remote_ip: key.remote_ip,
            remote_mac: key.remote_mac.map(|mac| mac.to_string()),
            remote_subnet: key.remote_subnet.map(|id| id.0),
            remote_port: key.remote_port,
            remote_portrange: key.remote_portrange.map(|id| id.0),
            local_port: key.local_port,
            local_portrange: key.local_portrange.map(|id| id.0),
        }
    }
}

impl TryFrom<Key> for RuleKey {
    type Error = WireError;

    fn try_from(key: Key) -> Result<Self, WireError> {
        Ok(Self {
            local_ip: key.local_ip,
            local_mac: mac(key.local_mac)?,
            physical_port: key.physical_port,
            outer_vlan: vlan(key.outer_vlan)?,
            inner_vlan: vlan(key.inner_vlan)?,
            ether_type: key.ether_type,
            ip_proto: key.ip_proto,
            remote_ip: key.remote_ip,
            remote_mac: mac(key.remote_mac)?,
            remote_subnet: key.remote_subnet.map(SubnetId),
            remote_port: key.remote_port,
            remote_portrange: key.remote_portrange.map(PortRangeId),
            local_port: key.local_port,
            local_portrange: key.local_portrange.map(PortRangeId),
        })
    }
}

pub(super) fn mac(text: Option<String>) -> Result<Option<MacAddr>, WireError> {
    text.map(|text| text.parse().map_err(|_| WireError::Value("a MAC address that is none"))).transpose()
}

fn vlan(id: Option<u16>) -> Result<Option<u16>, WireError> {
    if id.is_some_and(|id| id > 4095) { Err(WireError::Value("a VLAN id past 4095")) } else { Ok(id) }
}

/// One entry: what it matches, and what it does.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    key: Key,
    #[serde(default, skip_serializing_if = "Side::is_none")]
    rx: Side,
    #[serde(default, skip_serializing_if = "Side::is_none")]
    tx: Side,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counter: Option<u32>,
}

/// One direction of an entry.
#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Side {
    action: Action,
    /// Who asked for it, rising.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    origins: Vec<u32>,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "kebab-case")]
enum Action {
    #[default]
    None,
    Allow,
    Deny,
    AllowAndSample,
    DenyAndSample,
}

impl Side {
    fn is_none(&self) -> bool {
        self.action == Action::None && self.origins.is_empty()
    }
}

impl From<&crate::tables::Side> for Side {
    fn from(side: &crate::tables::Side) -> Self {
        let action = match side.action {
            tables::Action::None => Action::None,
            tables::Action::Allow { sample: false } => Action::Allow,
            tables::Action::Allow { sample: true } => Action::AllowAndSample,
            tables::Action::Deny { sample: false } => Action::Deny,
            tables::Action::Deny { sample: true } => Action::DenyAndSample,
        };
        Self { action, origins: side.origins.iter().map(|id| id.0).collect() }
    }
}

impl From<Side> for crate::tables::Side {
    fn from(side: Side) -> Self {
        let action = match side.action {
            Action::None => tables::Action::None,
            Action::Allow => tables::Action::Allow { sample: false },
            Action::AllowAndSample => tables::Action::Allow { sample: true },
            Action::Deny => tables::Action::Deny { sample: false },
            Action::DenyAndSample => tables::Action::Deny { sample: true },
        };
        Self { action, origins: side.origins.into_iter().map(OriginId).collect() }
    }
}

impl From<(&RuleKey, &ImageEntry)> for Entry {
    fn from((key, entry): (&RuleKey, &ImageEntry)) -> Self {
        let counter = entry.counter.map(|id| id.0);
        Self { key: key.into(), rx: (&entry.rx).into(), tx: (&entry.tx).into(), counter }
    }
}

impl TryFrom<Entry> for (RuleKey, ImageEntry) {
    type Error = WireError;

    fn try_from(entry: Entry) -> Result<Self, WireError> {
        let counter = entry.counter.map(CounterId);
        Ok((entry.key.try_into()?, ImageEntry { rx: entry.rx.into(), tx: entry.tx.into(), counter }))
    }
}

/// Who asked for something, why and where.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    file: String,
    line: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

impl From<&policy::Origin> for Origin {
    fn from(origin: &policy::Origin) -> Self {
        let policy::Origin { owner, reason, ticket, file, line, when, until } = origin.clone();
        Self { owner, reason, ticket, file: file.to_string(), line, when, until }
    }
}

impl From<Origin> for policy::Origin {
    fn from(origin: Origin) -> Self {
        let Origin { owner, reason, ticket, file, line, when, until } = origin;
        Self { owner, reason, ticket, file: file.into(), line, when, until }
    }
}
