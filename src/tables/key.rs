//! Security rules: entries of the rules engine's main table.

use std::fmt;
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

/// What an entry names in one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldValue {
    /// An IP address.
    Ip(IpAddr),
    /// An Ethernet address.
    Mac(MacAddr),
    /// Everything else: ids, ports, protocols.
    Number(u32),
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Mac(mac) => mac.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// A type of field. `None`: the field cannot hold the value.
trait Field: Copy {
    fn value(self) -> FieldValue;
    fn of(value: FieldValue) -> Option<Self>;
}

impl Field for IpAddr {
    fn value(self) -> FieldValue {
        FieldValue::Ip(self)
    }

    fn of(value: FieldValue) -> Option<Self> {
        if let FieldValue::Ip(ip) = value { Some(ip) } else { None }
    }
}

impl Field for MacAddr {
    fn value(self) -> FieldValue {
        FieldValue::Mac(self)
    }

    fn of(value: FieldValue) -> Option<Self> {
        if let FieldValue::Mac(mac) = value { Some(mac) } else { None }
    }
}

impl Field for u32 {
    fn value(self) -> FieldValue {
        FieldValue::Number(self)
    }

    fn of(value: FieldValue) -> Option<Self> {
        if let FieldValue::Number(number) = value { Some(number) } else { None }
    }
}

/// Fields that hold less than a word.
macro_rules! narrow_fields {
    ($($type:ty, $number:ty, $wrap:expr, $unwrap:expr;)*) => {
        $(impl Field for $type {
            fn value(self) -> FieldValue {
                let number: $number = $unwrap(self);
                FieldValue::Number(number.into())
            }

            fn of(value: FieldValue) -> Option<Self> {
                <$number>::try_from(u32::of(value)?).ok().map($wrap)
            }
        })*
    };
}

narrow_fields! {
    u8, u8, |number| number, |number| number;
    u16, u16, |number| number, |number| number;
    SubnetId, u16, SubnetId, |id: SubnetId| id.0;
    PortRangeId, u16, PortRangeId, |id: PortRangeId| id.0;
}

/// The fields of a key: the one list of them. Whatever looks at every field of a key is made of it, here or by
/// [`KeyField::ALL`] elsewhere, so another field is one line more (and its place in the command, which the codec matches).
macro_rules! key_fields {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $name:ident, $bit:ident;)*) => {
        /// What an entry matches; a field that is `None` is not looked at. The key of an entry: the tables hold one entry a
        /// key.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct RuleKey {
            $($(#[$doc])* pub $field: Option<$type>,)*
        }

        /// A field of a [`RuleKey`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum KeyField {
            $($(#[$doc])* $name,)*
        }

        impl KeyField {
            /// All, in the order of the key.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name, as in `local_ip`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($field),)*
                }
            }

            /// Its bit in a combination.
            #[must_use]
            pub const fn bit(self) -> MatchFields {
                match self {
                    $(Self::$name => MatchFields::$bit,)*
                }
            }
        }

        impl RuleKey {
            /// The combination of fields that the key names. Each combination in use costs the adapter one lookup a packet.
            #[must_use]
            pub fn fields(&self) -> MatchFields {
                let mut out = MatchFields::empty();
                $(if self.$field.is_some() {
                    out |= MatchFields::$bit;
                })*
                out
            }

            /// What it names in a field.
            #[must_use]
            pub fn get(&self, field: KeyField) -> Option<FieldValue> {
                match field {
                    $(KeyField::$name => self.$field.map(Field::value),)*
                }
            }

            /// This with another value in a field; `None` if the field cannot hold it.
            #[must_use]
            pub fn with(mut self, field: KeyField, value: FieldValue) -> Option<Self> {
                match field {
                    $(KeyField::$name => self.$field = Some(Field::of(value)?),)*
                }
                Some(self)
            }

            fn only_named(&self, fields: MatchFields) -> Self {
                Self { $($field: self.$field.filter(|_| fields.contains(MatchFields::$bit)),)* }
            }

            fn and_named(&self, other: &Self) -> Option<Self> {
                Some(Self {
                    $($field: match (self.$field, other.$field) {
                        (Some(a), Some(b)) if a != b => return None,
                        (a, b) => a.or(b),
                    },)*
                })
            }

            fn matching_named(&self, fields: MatchFields, frames: &[Self]) -> u64 {
                let mut matching = frames.iter().fold(0_u64, |all, _| all << 1 | 1);
                $(if fields.contains(MatchFields::$bit) && self.$field.is_some() {
                    let same = |frame: &Self| u64::from(self.$field == frame.$field);
                    matching &= frames.iter().rev().fold(0, |all, frame| all << 1 | same(frame));
                })*
                matching
            }
        }
    };
}

key_fields! {
    /// Local IP address: destination on RX, source on TX.
    local_ip: IpAddr = LocalIp, LOCAL_IP;
    /// Local Ethernet address.
    local_mac: MacAddr = LocalMac, LOCAL_MAC;
    /// Physical port, from 0.
    physical_port: u32 = PhysicalPort, PHYSICAL_PORT;
    /// Id (0..4095) of the first VLAN tag.
    outer_vlan: u16 = OuterVlan, OUTER_VLAN;
    /// Id (0..4095) of the second VLAN tag.
    inner_vlan: u16 = InnerVlan, INNER_VLAN;
    /// Ether type behind the VLAN tags.
    ether_type: u16 = EtherType, ETHER_TYPE;
    /// IP protocol.
    ip_proto: u8 = IpProto, IP_PROTO;
    /// Remote IP address.
    remote_ip: IpAddr = RemoteIp, REMOTE_IP;
    /// Remote Ethernet address.
    remote_mac: MacAddr = RemoteMac, REMOTE_MAC;
    /// Class of the remote IPv4 address, from the subnet map.
    remote_subnet: SubnetId = RemoteSubnet, REMOTE_SUBNET_ID;
    /// Remote port.
    remote_port: u16 = RemotePort, REMOTE_PORT;
    /// Class of the remote port, from the remote port-range map.
    remote_portrange: PortRangeId = RemotePortrange, REMOTE_PORTRANGE_ID;
    /// Local port.
    local_port: u16 = LocalPort, LOCAL_PORT;
    /// Class of the local port, from the local port-range map.
    local_portrange: PortRangeId = LocalPortrange, LOCAL_PORTRANGE_ID;
}

impl RuleKey {
    /// This without the fields that are not among `fields`.
    pub(crate) fn only(&self, fields: MatchFields) -> Self {
        self.only_named(fields)
    }

    /// What both name; `None` where they differ in a field that both name.
    pub(crate) fn and(&self, other: &Self) -> Option<Self> {
        self.and_named(other)
    }

    /// The names of frames, at most 64, that have what this key names in `fields`: one bit each.
    pub(crate) fn matching(&self, fields: MatchFields, frames: &[Self]) -> u64 {
        self.matching_named(fields, frames)
    }

    /// True if the key names nothing but the local IP, the local MAC or the physical port.
    #[must_use]
    pub fn is_base(&self) -> bool {
        MatchFields::BASE.contains(self.fields())
    }
}

impl RuleKey {
    /// What the entry matches: each field that it names, with its value, as in `("local_ip", "10.30.1.17")`.
    #[must_use]
    pub fn named_fields(&self) -> Vec<(&'static str, String)> {
        let named = |field: &KeyField| {
            let value = match (field, self.get(*field)?) {
                (KeyField::EtherType, FieldValue::Number(number)) => format!("{number:#06x}"),
                (_, value) => value.to_string(),
            };
            Some((field.name(), value))
        };
        KeyField::ALL.iter().filter_map(named).collect()
    }
}

impl fmt::Display for RuleKey {
    /// What the key names, as in `local_ip=10.30.1.17 ether_type=0x0800 ip_proto=6 local_portrange=2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.named_fields().iter().map(|(name, value)| format!("{name}={value}")).collect();
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_told_from_all_others_by_its_bit_and_holds_what_it_names() {
        let mut key = RuleKey::default();
        let mut bits = MatchFields::empty();
        for (number, field) in (1..).zip(KeyField::ALL) {
            assert!(!bits.intersects(field.bit()), "{field:?}");
            bits |= field.bit();
            let ip = FieldValue::Ip(IpAddr::from([10, 0, 0, 1]));
            let values = [FieldValue::Number(number), ip, FieldValue::Mac(MacAddr([2, 0, 0, 0, 0, 1]))];
            let held: Vec<_> = values.into_iter().filter_map(|value| key.with(*field, value)).collect();
            let [with] = held[..] else { panic!("{field:?} holds one kind of value: {held:?}") };
            assert_eq!((key.fields(), with.fields()), (bits.difference(field.bit()), bits));
            key = with;
        }
        assert_eq!(bits, MatchFields::NAMED);
        assert_eq!(
            key.to_string(),
            "local_ip=10.0.0.1 local_mac=02:00:00:00:00:01 physical_port=3 outer_vlan=4 inner_vlan=5 ether_type=0x0006 \
             ip_proto=7 remote_ip=10.0.0.1 remote_mac=02:00:00:00:00:01 remote_subnet=10 remote_port=11 \
             remote_portrange=12 local_port=13 local_portrange=14"
        );
    }

    #[test]
    fn an_entry_is_told_field_by_field() {
        let key = RuleKey { local_ip: Some([10, 30, 1, 17].into()), ether_type: Some(0x0800), ..RuleKey::default() };
        let fields = [("local_ip", "10.30.1.17"), ("ether_type", "0x0800")];
        assert_eq!(key.named_fields(), fields.map(|(name, value)| (name, value.to_owned())));
        assert!(RuleKey::default().named_fields().is_empty(), "it matches everything");
    }

    #[test]
    fn keys_are_compared_field_by_field() {
        let (tcp, web) = (
            RuleKey { ip_proto: Some(6), ..RuleKey::default() },
            RuleKey { local_port: Some(80), ..RuleKey::default() },
        );
        let both = RuleKey { local_port: Some(80), ..tcp };
        assert_eq!((tcp.and(&web), tcp.and(&RuleKey { ip_proto: Some(17), ..web })), (Some(both), None));
        assert_eq!(both.only(MatchFields::IP_PROTO | MatchFields::REMOTE_IP), tcp);
        let frames = [both, RuleKey { local_port: Some(81), ..both }, web];
        assert_eq!(both.matching(MatchFields::NAMED, &frames), 0b001);
        assert_eq!(both.matching(MatchFields::IP_PROTO, &frames), 0b011);
        assert_eq!(RuleKey::default().matching(MatchFields::NAMED, &frames), 0b111);
        assert_eq!(tcp.with(KeyField::IpProto, FieldValue::Number(256)), None);
    }
}
