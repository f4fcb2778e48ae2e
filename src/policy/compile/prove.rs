//! The proof that an image does what its document says.
//!
//! The rules of a document and the maps and entries of the image cut addresses and ports into classes. For one local
//! side of each kind, a flow from every combination of classes is decided by the evaluator and judged by the image; both
//! must agree. Local sides of the same kind have the same entries; a sample of the flows is run for each of them. What is
//! no bound address's is compared for every physical port, MAC and binding.
//!
//! # What is proved again
//! The proof of a local address depends on the frame of its document (`unbound`, `multicast`, ephemeral ports, management
//! rules), on the target, on its binding and the rules of its policy, on the entries that name its address or none, and on
//! the points to which the maps give the ids that these entries name. It is reused where all of that is the same: frame,
//! target, bindings and policies are compared by value, entries by comparing the images block by block, and the meaning of
//! ids by comparing the maps and counting the entries that name each id. What of a change is looked at does not depend on what the compiler believes to have changed
//! among entries and ids.

pub(super) mod named;
pub(super) mod near;
mod sides;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use self::near::Near;
use self::sides::Sides;
use super::Compiled;
use super::refuse::{CompileError, document_origin};
use super::regions::DIRECTIONS;
use super::state::{State, Work};
use super::units::Alone;
use crate::policy::rules::{Block, BlockKey};
use crate::policy::sets::Point;
use crate::policy::{Document, Flow, Image, ImageEntry, IpFlow, Origin};
use crate::tables::{MacAddr, RuleKey, Target, Verdict};

const UNUSED_MAC: MacAddr = MacAddr([0x06, 0xff, 0xff, 0xff, 0xff, 0xfe]);
const PEER_MAC: MacAddr = MacAddr([0x06, 0xff, 0xff, 0xff, 0xff, 0xfd]);
const ARP: u16 = 0x0806;

/// What is proved.
pub(super) struct Proof<'a> {
    pub document: &'a Document,
    pub target: &'a Target,
    pub image: &'a Image,
    pub state: &'a State,
}

impl Proof<'_> {
    /// The whole image.
    pub fn all(&self) -> Result<(), CompileError> {
        let mut sides = Sides::new(self);
        (0..self.document.bindings.len()).for_each(|at| sides.binding(at));
        sides.unbound();
        sides.run()?;
        let bound = self.document.bindings.iter().map(|binding| binding.mac);
        self.macs(bound.chain([UNUSED_MAC, MacAddr::BROADCAST]))
    }

    /// What the image before it does not prove already.
    pub fn of(&self, work: &Work, before: &Compiled) -> Result<(), CompileError> {
        let mut known: BTreeSet<IpAddr> = BTreeSet::new();
        let mut macs: BTreeSet<MacAddr> = BTreeSet::new();
        for binding in work.bindings.iter().filter_map(|at| self.document.bindings.get(*at)) {
            known.extend(&binding.ips);
            macs.insert(binding.mac);
        }
        let ended = work.ended.iter().filter_map(|number| before.state.bound.get(number));
        macs.extend(ended.map(|bound| bound.binding.mac));
        let same = |a: &Block, b: &Block| Arc::ptr_eq(a, b);
        for (name, was, is) in before.image.rules.blocks().changes(self.image.rules.blocks(), same) {
            macs.extend(name.mac());
            let bound_before = name.ip().is_some() && is.is_none();
            let elsewhere = name.ip().is_none_or(|ip| !known.contains(&ip)) && !bound_before;
            if elsewhere && decides_otherwise(was, is) {
                return self.all();
            }
        }
        if self.means_otherwise(&before.image, work) {
            return self.all();
        }
        let mut sides = Sides::new(self);
        work.bindings.iter().for_each(|at| sides.binding(*at));
        if work.unbound {
            sides.unbound();
        }
        sides.run()?;
        self.macs(macs.into_iter())
    }

    /// True if blocks that stay name ids that do not mean what they meant.
    fn means_otherwise(&self, before: &Image, work: &Work) -> bool {
        let (a, b) = (before, self.image);
        let moved = [
            moved(
                a.subnets.as_ref().map(|map| &map.classes[..]),
                b.subnets.as_ref().map(|map| &map.classes[..]),
                |id| id.0,
            ),
            moved(
                a.remote_ports.as_ref().map(|map| &map.classes[..]),
                b.remote_ports.as_ref().map(|map| &map.classes[..]),
                |id| id.0,
            ),
            moved(
                a.local_ports.as_ref().map(|map| &map.classes[..]),
                b.local_ports.as_ref().map(|map| &map.classes[..]),
                |id| id.0,
            ),
        ];
        if moved.iter().all(HashSet::is_empty) {
            return false;
        }
        let again = work.bindings.iter().filter_map(|at| self.document.bindings.get(*at));
        let again: BTreeSet<IpAddr> = again.flat_map(|binding| binding.ips.iter().copied()).collect();
        let of_ip = |ip: &IpAddr| BlockKey::of(&RuleKey { local_ip: Some(*ip), ..RuleKey::default() });
        let blocks = again.iter().filter_map(|ip| self.image.rules.blocks().get(&of_ip(ip)));
        self.state.named.elsewhere(&moved, blocks)
    }

    /// Flows of no bound address: of each of these MACs, with ARP and with a foreign address, everywhere. What decides
    /// about them are the bindings with that MAC and the management rules, and entries that name no address.
    fn macs(&self, macs: impl Iterator<Item = MacAddr>) -> Result<(), CompileError> {
        let macs: BTreeSet<MacAddr> =
            macs.chain(self.document.management.iter().filter_map(|management| management.mac)).collect();
        let mut alone = Alone::of(self.document);
        let free = self.free_address();
        for mac in macs {
            let document = alone.with(None);
            let first = (mac, 0);
            let of_mac = self.state.macs.starting_at(&first).take_while(|((other, _), ())| *other == mac);
            let of_mac = of_mac.filter_map(|((_, number), ())| self.state.bound.get(number));
            document.bindings.extend(of_mac.map(|bound| bound.binding.clone()));
            let near = Near::new(self.image, &self.target.profile, None, &[mac]);
            for direction in DIRECTIONS {
                for physical_port in 0..self.target.physical_ports {
                    for flow in not_bound(free) {
                        let flow = Flow { direction, physical_port, local_mac: mac, ..flow };
                        let judged = near.judge(&self.image.names(&flow), direction);
                        agree(document.decide(&flow).verdict, judged, &flow, || document_origin(self.document))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// An address that is nobody's.
    fn free_address(&self) -> Option<IpAddr> {
        // One more than could be taken, so that one is left.
        let free = (0..=u32::MAX).map(|low| IpAddr::V4(Ipv4Addr::from_bits(0x0100_0001_u32.wrapping_add(low))));
        let named = |ip: &IpAddr| {
            self.document.management.iter().any(|m| m.rule.local.as_ref().is_some_and(|local| local.contains(*ip)))
        };
        let taken = |ip: &IpAddr| {
            let key = RuleKey { local_ip: Some(*ip), ..RuleKey::default() };
            self.image.rules.blocks().get(&BlockKey::of(&key)).is_some()
        };
        free.take(1 << 16).find(|ip| !taken(ip) && !named(ip))
    }
}

/// ARP, a frame of another kind, and one of an address that nobody bound.
fn not_bound(free: Option<IpAddr>) -> impl Iterator<Item = Flow> {
    let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let ip = flow(peer, peer, None);
    let ports = Some(crate::policy::Ports { local: 80, remote: 50_000 });
    let foreign = free.map(|ip| {
        let mut flow = flow(ip, peer, Some(6));
        flow.ip = flow.ip.map(|ip| IpFlow { ports, ..ip });
        flow
    });
    [Flow { ether_type: ARP, ip: None, ..ip }, Flow { ether_type: 0x88cc, ip: None, ..ip }].into_iter().chain(foreign)
}

/// True if entries that could decide about IP frames differ, origins and counters aside.
fn decides_otherwise(was: Option<&Block>, is: Option<&Block>) -> bool {
    let actions = |block: Option<&Block>| {
        let all = block.into_iter().flat_map(|block| block.iter());
        let of_ip = all.filter(|(key, _)| key.ether_type != Some(ARP));
        of_ip.map(|(key, ImageEntry { rx, tx, .. })| (*key, rx.action, tx.action)).collect::<Vec<_>>()
    };
    // Blocks of a MAC alone are judged for the MAC; an address is not bound by one of them.
    let of_mac = |block: Option<&Block>| {
        block.is_some_and(|block| block.iter().all(|(key, _)| key.local_ip.is_none() && key.local_mac.is_some()))
    };
    if of_mac(was.or(is)) && (was.is_none() || is.is_none()) {
        return false;
    }
    actions(was) != actions(is)
}

/// The ids whose points differ between two maps.
fn moved<P: Point, I: Copy>(was: Option<&[(P, I)]>, is: Option<&[(P, I)]>, number: impl Fn(I) -> u16) -> HashSet<u16> {
    let (was, is) = (was.unwrap_or_default(), is.unwrap_or_default());
    let mut out = HashSet::new();
    if std::ptr::eq(was, is) {
        return out;
    }
    let (mut i, mut j) = (0, 0);
    let (mut a, mut b) = (None, None);
    loop {
        let at = match (was.get(i), is.get(j)) {
            (None, None) => return out,
            (Some(x), Some(y)) => x.0.min(y.0),
            (Some(x), None) | (None, Some(x)) => x.0,
        };
        if let Some((_, id)) = was.get(i).filter(|(first, _)| *first == at) {
            (a, i) = (Some(number(*id)), i + 1);
        }
        if let Some((_, id)) = is.get(j).filter(|(first, _)| *first == at) {
            (b, j) = (Some(number(*id)), j + 1);
        }
        if a != b {
            out.extend(a.into_iter().chain(b));
        }
    }
}

fn agree(
    expected: Verdict,
    judged: Verdict,
    flow: &Flow,
    at: impl FnOnce() -> Arc<Origin>,
) -> Result<(), CompileError> {
    if expected == judged {
        return Ok(());
    }
    Err(CompileError::Disagrees { at: at(), expected, flow: Box::new(*flow) })
}

fn flow(local: IpAddr, remote: IpAddr, proto: Option<u8>) -> Flow {
    Flow {
        direction: DIRECTIONS[0],
        physical_port: 0,
        local_mac: UNUSED_MAC,
        remote_mac: PEER_MAC,
        outer_vlan: None,
        inner_vlan: None,
        ether_type: if local.is_ipv4() { 0x0800 } else { 0x86dd },
        ip: Some(IpFlow { local, remote, proto, ports: None }),
    }
}
