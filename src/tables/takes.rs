//! What the fields of an entry can hold: the one place that knows. The compiler asks it before anything is sent, and so
//! does the codec.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{RuleKey, Target};

const LOCAL_ADDRESS: &str = "local address";

/// A field of an entry that the adapter cannot hold, or would read as something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// A number lies outside what the adapter takes.
    #[error("{field} {value} is outside {min} to {max}, which is what the adapter takes")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u32,
        /// Smallest possible value.
        min: u32,
        /// Largest possible value.
        max: u32,
    },
    /// An IPv6 address whose last 12 bytes are zero is, in a rule, the same bytes as an IPv4 address.
    #[error("{field} {addr} cannot be matched: in an entry it has the same bytes as the IPv4 address {same_as}")]
    AmbiguousAddress {
        /// The field.
        field: &'static str,
        /// The address.
        addr: Ipv6Addr,
        /// The IPv4 address with the same bytes.
        same_as: Ipv4Addr,
    },
}

impl FieldError {
    /// What to write instead, as the beginning of a sentence.
    #[must_use]
    pub fn way_out(&self) -> String {
        match self {
            Self::OutOfRange { field, min, max, .. } => format!("Name a {field} from {min} to {max}"),
            Self::AmbiguousAddress { field: LOCAL_ADDRESS, .. } => "Bind or name another address".to_owned(),
            Self::AmbiguousAddress { addr, .. } => {
                format!("Name other addresses, or take this one out with except: [\"{addr}\"]")
            }
        }
    }
}

impl Target {
    /// Whether an entry can have this key. Each field is looked at by itself, so a key that is put together of parts that
    /// can be had can be had.
    ///
    /// # Errors
    /// The first field that cannot hold its value.
    pub fn takes(&self, key: &RuleKey) -> Result<(), FieldError> {
        let sizes = &self.sizes;
        let in_range = |field, value: Option<u32>, min, max| match value {
            Some(value) if !(min..=max).contains(&value) => Err(FieldError::OutOfRange { field, value, min, max }),
            _ => Ok(()),
        };
        let (ports_min, ports_max) = (sizes.portrange_id_min, sizes.portrange_id_max);
        in_range("outer VLAN", key.outer_vlan.map(u32::from), 0, 4095)?;
        in_range("inner VLAN", key.inner_vlan.map(u32::from), 0, 4095)?;
        in_range("physical port", key.physical_port, 0, self.physical_ports.saturating_sub(1))?;
        let subnet = key.remote_subnet.map(|id| id.0.into());
        in_range("remote subnet id", subnet, sizes.subnet_id_min, sizes.subnet_id_max)?;
        in_range("remote port-range id", key.remote_portrange.map(|id| id.0.into()), ports_min, ports_max)?;
        in_range("local port-range id", key.local_portrange.map(|id| id.0.into()), ports_min, ports_max)?;
        address("remote address", key.remote_ip)?;
        address(LOCAL_ADDRESS, key.local_ip)
    }
}

fn address(field: &'static str, addr: Option<IpAddr>) -> Result<(), FieldError> {
    if let Some(IpAddr::V6(addr)) = addr
        && let [a, b, c, d, rest @ ..] = addr.octets()
        && rest == [0; 12]
    {
        return Err(FieldError::AmbiguousAddress { field, addr, same_as: Ipv4Addr::new(a, b, c, d) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{PortRangeId, SubnetId};

    #[test]
    fn what_a_field_cannot_hold_is_named_with_the_field() {
        let says = |key: RuleKey| Target::profile0().takes(&key).map_err(|error| error.to_string());
        let ip = |text: &str| Some(text.parse().unwrap());
        // 92 bytes of MC_CMD_SET_SECURITY_RULE_IN: a VLAN id has 12 bits, an address 16 bytes for both families.
        let bad = [
            (RuleKey { outer_vlan: Some(4096), ..RuleKey::default() }, "outer VLAN 4096 is outside 0 to 4095"),
            (RuleKey { inner_vlan: Some(4096), ..RuleKey::default() }, "inner VLAN 4096 is outside 0 to 4095"),
            (RuleKey { physical_port: Some(2), ..RuleKey::default() }, "physical port 2 is outside 0 to 1"),
            (
                RuleKey { remote_subnet: Some(SubnetId(55_999)), ..RuleKey::default() },
                "remote subnet id 55999 is outside",
            ),
            (
                RuleKey { remote_portrange: Some(PortRangeId(0)), ..RuleKey::default() },
                "remote port-range id 0 is outside",
            ),
            (
                RuleKey { local_portrange: Some(PortRangeId(255)), ..RuleKey::default() },
                "local port-range id 255 is outside",
            ),
            (
                RuleKey { remote_ip: ip("2001:db8::"), ..RuleKey::default() },
                "remote address 2001:db8:: cannot be matched: in an entry it has the same bytes as the IPv4 address 32.1.13.184",
            ),
            (RuleKey { local_ip: ip("ff02::"), ..RuleKey::default() }, "local address ff02:: cannot be matched"),
        ];
        for (key, start) in bad {
            let said = says(key).unwrap_err();
            assert!(said.starts_with(start), "{said}");
        }
        let good = [
            RuleKey { outer_vlan: Some(4095), physical_port: Some(1), ..RuleKey::default() },
            RuleKey { remote_subnet: Some(SubnetId(56_000)), local_ip: ip("10.0.0.0"), ..RuleKey::default() },
            RuleKey { remote_ip: ip("2001:db8::1"), local_ip: ip("2001:db8:1:2:3::"), ..RuleKey::default() },
        ];
        assert!(good.into_iter().all(|key| says(key).is_ok()));
    }

    /// Both ends of what each field can hold, and what lies next to them.
    #[test]
    fn every_field_takes_what_the_adapter_has_and_no_more() {
        let target = Target::profile0();
        let key = RuleKey::default();
        let outer = |value: u32| RuleKey { outer_vlan: u16::try_from(value).ok(), ..key };
        let inner = |value: u32| RuleKey { inner_vlan: u16::try_from(value).ok(), ..key };
        let port = |value: u32| RuleKey { physical_port: Some(value), ..key };
        let subnet = |value: u32| RuleKey { remote_subnet: u16::try_from(value).ok().map(SubnetId), ..key };
        let remote = |value: u32| RuleKey { remote_portrange: u16::try_from(value).ok().map(PortRangeId), ..key };
        let local = |value: u32| RuleKey { local_portrange: u16::try_from(value).ok().map(PortRangeId), ..key };
        type Field<'a> = (&'static str, &'a dyn Fn(u32) -> RuleKey, u32, u32);
        let fields: [Field<'_>; 6] = [
            ("outer VLAN", &outer, 0, 4095),
            ("inner VLAN", &inner, 0, 4095),
            ("physical port", &port, 0, 1),
            ("remote subnet id", &subnet, 56_000, 65_534),
            ("remote port-range id", &remote, 1, 254),
            ("local port-range id", &local, 1, 254),
        ];
        for (field, of, min, max) in fields {
            assert_eq!((target.takes(&of(min)), target.takes(&of(max))), (Ok(()), Ok(())), "{field}");
            for value in [min.checked_sub(1), Some(max + 1)].into_iter().flatten() {
                let error = FieldError::OutOfRange { field, value, min, max };
                assert_eq!(target.takes(&of(value)), Err(error));
                assert_eq!(error.way_out(), format!("Name a {field} from {min} to {max}"));
            }
        }
        let none = Target { physical_ports: 0, ..target.clone() };
        assert!(none.takes(&port(0)).is_ok() && none.takes(&port(1)).is_err());
        let address = |local: &str, remote: &str| RuleKey {
            local_ip: Some(local.parse().unwrap()),
            remote_ip: Some(remote.parse().unwrap()),
            ..key
        };
        let way_out = |key: &RuleKey| target.takes(key).unwrap_err().way_out();
        assert_eq!(way_out(&address("2001:db8::", "2001:db8::1")), "Bind or name another address");
        assert_eq!(
            way_out(&address("2001:db8::1", "2001:db8::")),
            "Name other addresses, or take this one out with except: [\"2001:db8::\"]"
        );
        assert_eq!(target.takes(&address("2001:db8::1:0", "2001:db8:0:1::")), Ok(()));
    }
}
