//! Security rules: entries of the rules engine's main table.

use std::net::IpAddr;

use bitflags::bitflags;

use super::{PortRangeId, SubnetId};
use crate::terms::{MacAddr, Verdict};

/// What an entry says about one direction. SAMPLE goes only with a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Action {
    /// No decision (NONE, 0).
    #[default]
    None,
    /// Accept (WHITELIST, 1), or accept and sample (5).
    Allow {
        /// Also send a sample to the controller.
        sample: bool,
    },
    /// Drop (BLACKLIST, 2), or drop and sample (6).
    Deny {
        /// Also send a sample to the controller.
        sample: bool,
    },
}

impl Action {
    /// The verdict, if the action has one.
    #[must_use]
    pub fn verdict(self) -> Option<Verdict> {
        match self {
            Self::None => None,
            Self::Allow { .. } => Some(Verdict::Allow),
            Self::Deny { .. } => Some(Verdict::Deny),
        }
    }
}

/// A counter pair (one counts TX, one RX), as SECURITY_RULE_COUNTER_ALLOC names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterId(pub u32);

/// What a counter pair has counted. The unit is taken to be frames; no document states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CounterValue {
    /// Transmitted frames that the entry decided.
    pub tx: u64,
    /// Received frames that the entry decided.
    pub rx: u64,
}

bitflags! {
    /// MATCH_FIELDS of MC_CMD_SET_SECURITY_RULE_IN: what an entry names (ef10.md 7.2).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct MatchFields: u32 {
        /// Remote IP address.
        const REMOTE_IP = 1 << 0;
        /// Local IP address.
        const LOCAL_IP = 1 << 1;
        /// Remote Ethernet address.
        const REMOTE_MAC = 1 << 2;
        /// Remote port.
        const REMOTE_PORT = 1 << 3;
        /// Local Ethernet address.
        const LOCAL_MAC = 1 << 4;
        /// Local port.
        const LOCAL_PORT = 1 << 5;
        /// Ether type behind the VLAN tags.
        const ETHER_TYPE = 1 << 6;
        /// VLAN id of the second tag.
        const INNER_VLAN = 1 << 7;
        /// VLAN id of the first tag.
        const OUTER_VLAN = 1 << 8;
        /// IP protocol behind IPv6 extension headers.
        const IP_PROTO = 1 << 9;
        /// Physical port of the adapter.
        const PHYSICAL_PORT = 1 << 10;
        /// Reserved, always 0.
        const RESERVED = 1 << 11;
        /// Id from the subnet map.
        const REMOTE_SUBNET_ID = 1 << 12;
        /// Id from the remote port-range map.
        const REMOTE_PORTRANGE_ID = 1 << 13;
        /// Id from the local port-range map.
        const LOCAL_PORTRANGE_ID = 1 << 14;
        const _ = !0;
    }
}

impl MatchFields {
    /// The fields that a base entry may name: one that names more ranks above it (assumption A1).
    pub const BASE: Self = Self::LOCAL_IP.union(Self::LOCAL_MAC).union(Self::PHYSICAL_PORT);
    /// The fields that a rule may name: bits 0 to 14 but RESERVED.
    pub const NAMED: Self = Self::from_bits_retain(0x77ff);
}

/// What an entry matches; a field that is `None` is not looked at. The key of an entry: the tables hold one entry a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RuleKey {
    /// Local IP address: destination on RX, source on TX.
    pub local_ip: Option<IpAddr>,
    /// Local Ethernet address.
    pub local_mac: Option<MacAddr>,
    /// Physical port, from 0.
    pub physical_port: Option<u32>,
    /// Id (0..4095) of the first VLAN tag.
    pub outer_vlan: Option<u16>,
    /// Id (0..4095) of the second VLAN tag.
    pub inner_vlan: Option<u16>,
    /// Ether type behind the VLAN tags.
    pub ether_type: Option<u16>,
    /// IP protocol.
    pub ip_proto: Option<u8>,
    /// Remote IP address.
    pub remote_ip: Option<IpAddr>,
    /// Remote Ethernet address.
    pub remote_mac: Option<MacAddr>,
    /// Class of the remote IPv4 address, from the subnet map.
    pub remote_subnet: Option<SubnetId>,
    /// Remote port.
    pub remote_port: Option<u16>,
    /// Class of the remote port, from the remote port-range map.
    pub remote_portrange: Option<PortRangeId>,
    /// Local port.
    pub local_port: Option<u16>,
    /// Class of the local port, from the local port-range map.
    pub local_portrange: Option<PortRangeId>,
}

impl RuleKey {
    /// The combination of fields that the key names. Each combination in use costs the adapter one lookup a packet.
    #[must_use]
    pub fn fields(&self) -> MatchFields {
        use MatchFields as F;
        let named = [
            (self.local_ip.is_some(), F::LOCAL_IP),
            (self.local_mac.is_some(), F::LOCAL_MAC),
            (self.physical_port.is_some(), F::PHYSICAL_PORT),
            (self.outer_vlan.is_some(), F::OUTER_VLAN),
            (self.inner_vlan.is_some(), F::INNER_VLAN),
            (self.ether_type.is_some(), F::ETHER_TYPE),
            (self.ip_proto.is_some(), F::IP_PROTO),
            (self.remote_ip.is_some(), F::REMOTE_IP),
            (self.remote_mac.is_some(), F::REMOTE_MAC),
            (self.remote_subnet.is_some(), F::REMOTE_SUBNET_ID),
            (self.remote_port.is_some(), F::REMOTE_PORT),
            (self.remote_portrange.is_some(), F::REMOTE_PORTRANGE_ID),
            (self.local_port.is_some(), F::LOCAL_PORT),
            (self.local_portrange.is_some(), F::LOCAL_PORTRANGE_ID),
        ];
        named.into_iter().filter(|(is, _)| *is).fold(F::empty(), |all, (_, field)| all | field)
    }

    /// True if the key names nothing but the local IP, the local MAC or the physical port.
    #[must_use]
    pub fn is_base(&self) -> bool {
        MatchFields::BASE.contains(self.fields())
    }
}
