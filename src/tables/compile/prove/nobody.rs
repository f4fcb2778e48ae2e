//! Frames of no address that has rules: of each MAC, and for the groups of neighbour discovery; and that nothing else of an
//! image is about an address.
//!
//! Entries that name no address say nothing but: this MAC, or this physical port, is denied; and what becomes of a kind of
//! frames that are not IP. So they decide alike about all IP frames of a MAC, and one flow of each family stands for all.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::address_entries::{AddressEntries, block_of, block_of_ip, block_of_mac};
use super::proof::{ARP, ETHER_TYPES_IP, PEER_MAC, Proof, UNUSED_MACS, agree, ether_type_of, flow};
use crate::policy::regions::DIRECTIONS;
use crate::policy::{Binding, Origin};
use crate::tables::refuse::{CompileError, document_origin};
use crate::tables::units::unit::OnePolicyDocument;
use crate::tables::{Action, ImageEntry, MatchFields, RuleKey};
use crate::terms::solicited_node;
use crate::terms::{Flow, IpFlow, MacAddr, Ports, Verdict};

/// What an entry may name that names no address.
const NAMED: MatchFields = MatchFields::LOCAL_MAC.union(MatchFields::PHYSICAL_PORT).union(MatchFields::ETHER_TYPE);

impl Proof<'_> {
    /// Flows of no bound address: of each of these MACs, and with foreign addresses, everywhere. What decides about them are
    /// the bindings with that MAC and the management rules, and entries that name no address.
    pub(super) fn macs(&self, macs: BTreeSet<MacAddr>) -> Result<(), CompileError> {
        if macs.is_empty() {
            return Ok(());
        }
        let mut alone = OnePolicyDocument::of(self.document);
        let foreign = self.free_addresses();
        self.name_no_address(block_of(self.image, &RuleKey::default()))?;
        for mac in macs {
            self.name_no_address(block_of_mac(self.image, mac))?;
            let document = alone.with(None);
            document.bindings.extend(self.bindings_of(mac));
            let near = AddressEntries::new(self.image, self.target, None, &[mac]);
            let named: BTreeSet<u16> = near.keys().filter_map(|key| key.ether_type).chain([ARP]).collect();
            let other = (0x88b5..=u16::MAX).find(|of| !named.contains(of));
            let types: BTreeSet<u16> = named.into_iter().chain(other).chain(ETHER_TYPES_IP).collect();
            let of_no_address = types.into_iter().map(|ether_type| {
                let peer = IpAddr::V4(PEER);
                Flow { ether_type, ip: None, ..flow(peer, peer, None) }
            });
            let flows: Vec<Flow> = of_no_address.chain(foreign.iter().map(|ip| of_foreign(*ip))).collect();
            for direction in DIRECTIONS {
                for physical_port in 0..self.target.physical_ports {
                    for flow in &flows {
                        let flow = Flow { direction, physical_port, local_mac: mac, ..*flow };
                        let judged = near.judge(&self.image.names(&flow), direction);
                        agree(document.decide(&flow).verdict, judged, &flow, || document_origin(self.document))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Refuses entries without an address that are about more than one MAC, one physical port or one kind of frames that
    /// are not IP, or that allow IP frames.
    fn name_no_address(&self, block: &[(RuleKey, ImageEntry)]) -> Result<(), CompileError> {
        for (key, entry) in block {
            let allows = [entry.rx.action, entry.tx.action].map(Action::verdict).contains(&Some(Verdict::Allow));
            let of_ip = key.ether_type.is_none_or(|of| ETHER_TYPES_IP.contains(&of));
            let sound = NAMED.contains(key.fields())
                && key.physical_port.is_none_or(|port| port < self.target.physical_ports)
                && (!of_ip || (key.is_base() && !allows));
            if !sound {
                return Err(self.unproved(key, None, document_origin(self.document)));
            }
        }
        Ok(())
    }

    /// Addresses that no rules apply to: what is there for them is the group of neighbour discovery, or nothing.
    pub(super) fn addresses_of_nobody(&self, ips: &BTreeSet<IpAddr>) -> Result<(), CompileError> {
        if ips.is_empty() {
            return Ok(());
        }
        let mut groups: BTreeMap<IpAddr, Vec<Arc<Binding>>> = BTreeMap::new();
        for binding in self.document.bindings.iter().filter(|binding| binding.open_nd) {
            for group in groups_of(binding) {
                groups.entry(group).or_default().push(binding.clone());
            }
        }
        let mut alone = OnePolicyDocument::of(self.document);
        for ip in ips {
            let ether_type = Some(ether_type_of(*ip));
            let only = RuleKey { local_ip: Some(*ip), ether_type, ip_proto: Some(58), ..RuleKey::default() };
            let holders = groups.get(ip);
            let block = block_of_ip(self.image, *ip);
            let sound = match (holders, block) {
                (None, []) => true,
                (Some(_), [(key, entry)]) => {
                    let verdicts = [entry.rx.action, entry.tx.action].map(Action::verdict);
                    *key == only && verdicts == [Some(Verdict::Allow), None]
                }
                _ => false,
            };
            if !sound {
                let key = block.iter().map(|(key, _)| key).find(|key| **key != only).unwrap_or(&only);
                return Err(self.unproved(key, None, document_origin(self.document)));
            }
            let document = alone.with(None);
            document.bindings.extend(holders.into_iter().flatten().cloned());
            let near = AddressEntries::new(self.image, self.target, Some(*ip), &UNUSED_MACS[..1]);
            let remote = if ip.is_ipv4() { PEER.into() } else { PEER_V6.into() };
            for direction in DIRECTIONS {
                for (physical_port, proto) in
                    (0..self.target.physical_ports).flat_map(|port| PROTOCOLS.map(|of| (port, of)))
                {
                    let flow = Flow { direction, physical_port, ..flow(*ip, remote, proto) };
                    let judged = near.judge(&self.image.names(&flow), direction);
                    agree(document.decide(&flow).verdict, judged, &flow, || document_origin(self.document))?;
                }
            }
        }
        Ok(())
    }

    /// An entry that is about what nobody asked for, with a flow that it matches.
    pub(super) fn unproved(&self, key: &RuleKey, mac: Option<MacAddr>, at: Arc<Origin>) -> CompileError {
        let local = key.local_ip.unwrap_or(IpAddr::V4(PEER));
        let other = if local.is_ipv4() { PEER.into() } else { PEER_V6.into() };
        let ports = Ports { local: key.local_port.unwrap_or(0), remote: key.remote_port.unwrap_or(0) };
        let names_ip = key.local_ip.is_some() || key.ether_type.is_none_or(|of| ETHER_TYPES_IP.contains(&of));
        let ip = IpFlow { local, remote: key.remote_ip.unwrap_or(other), proto: key.ip_proto, ports: Some(ports) };
        let flow = Flow {
            direction: DIRECTIONS[0],
            physical_port: key.physical_port.unwrap_or(0),
            local_mac: key.local_mac.or(mac).unwrap_or(UNUSED_MACS[0]),
            remote_mac: key.remote_mac.unwrap_or(PEER_MAC),
            outer_vlan: key.outer_vlan,
            inner_vlan: key.inner_vlan,
            ether_type: key.ether_type.unwrap_or_else(|| ether_type_of(local)),
            ip: names_ip.then_some(ip),
        };
        CompileError::Disagrees { at, expected: self.document.decide(&flow).verdict, flow: Box::new(flow) }
    }

    /// The bindings with a MAC.
    pub(super) fn bindings_of(&self, mac: MacAddr) -> Vec<Arc<Binding>> {
        let first = (mac, 0);
        let of_mac = self.units.macs.starting_at(&first).take_while(|((other, _), ())| *other == mac);
        of_mac.filter_map(|((_, number), ())| Some(self.units.bound.get(number)?.binding.clone())).collect()
    }

    /// An address of each family that is nobody's.
    fn free_addresses(&self) -> Vec<IpAddr> {
        let named = |ip: &IpAddr| {
            self.document.management.iter().any(|m| m.rule.local.as_ref().is_some_and(|local| local.contains(*ip)))
        };
        let is_free = |ip: &IpAddr| block_of_ip(self.image, *ip).is_empty() && !named(ip);
        // One more than could be taken, so that one is left.
        let v4 = (0..1 << 16).map(|low: u32| IpAddr::from(Ipv4Addr::from_bits(0x0100_0001 + low)));
        let v6 = (0..1 << 16).map(|low: u128| IpAddr::from(Ipv6Addr::from_bits((0xfdff_u128 << 112) + 1 + low)));
        [v4.into_iter().find(is_free), v6.into_iter().find(is_free)].into_iter().flatten().collect()
    }
}

const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PEER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// That of neighbour discovery, another one, and an unknown one.
const PROTOCOLS: [Option<u8>; 3] = [Some(58), Some(6), None];

/// The groups of neighbour discovery of a binding that has it open.
pub(super) fn groups_of(binding: &Binding) -> impl Iterator<Item = IpAddr> + '_ {
    binding.ips.iter().filter(|_| binding.open_nd).filter_map(|ip| match ip {
        IpAddr::V6(ip) => Some(solicited_node(*ip)),
        IpAddr::V4(_) => None,
    })
}

/// A frame of an address that nobody bound.
fn of_foreign(ip: IpAddr) -> Flow {
    let remote = if ip.is_ipv4() { PEER.into() } else { PEER_V6.into() };
    let mut flow = flow(ip, remote, Some(6));
    flow.ip = flow.ip.map(|ip| IpFlow { ports: Some(Ports { local: 80, remote: 50_000 }), ..ip });
    flow
}
