//! The addresses that have rules: bound ones, and those of the host that management rules name.
//!
//! Addresses are of one kind if the evaluator cannot tell them apart but by their values: the same policy, the same of the
//! rules that name local addresses, and the same of MAC, VLAN and physical ports that is looked at. For the first of each
//! kind every flow is run. Every other one is compared with it entry by entry; where they differ, its flows are run too.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt};
use smallvec::{SmallVec, smallvec};

use super::address_entries::{block_of_ip, block_of_mac};
use super::flows::AddressProof;
use super::proof::{Proof, ether_type_of};
use super::task::Task;
use crate::tables::parallel;
use crate::tables::refuse::CompileError;
use crate::tables::units::unit::OnePolicyDocument;
use crate::tables::{Action, ImageEntry, RuleKey};
use crate::terms::{AddrSet, MacAddr};

/// Rules that are worth a thread, where all flows are run.
const RULES: usize = 250;
/// Addresses that are, where entries are compared.
const COMPARED: usize = 500;

/// All that tells addresses apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind<'a> {
    v6: bool,
    /// The place of the policy; `None`: nobody bound the address.
    policy: Option<usize>,
    open_nd: bool,
    owns_mac: bool,
    has_vlan: bool,
    physical_ports: &'a [u32],
    /// Of the rules that name local addresses those that hold this one.
    within: SmallVec<[bool; 8]>,
}

/// The addresses to be proved.
pub(super) struct Sides<'a> {
    proof: &'a Proof<'a>,
    all: Vec<Task<'a>>,
    /// The first of each kind, by place.
    kinds: HashMap<Kind<'a>, usize>,
    /// What the rules that apply under each policy name as local, those of the management first.
    locals: HashMap<Option<usize>, Vec<&'a AddrSet>>,
}

impl<'a> Sides<'a> {
    pub fn new(proof: &'a Proof<'a>) -> Self {
        Self { proof, all: Vec::new(), kinds: HashMap::new(), locals: HashMap::new() }
    }

    /// Adds those of a binding, by its place.
    pub fn binding(&mut self, at: usize) {
        let Some(binding) = self.proof.document.bindings.get(at).map(AsRef::as_ref) else { return };
        for ip in &binding.ips {
            let kind = Kind {
                v6: ip.is_ipv6(),
                policy: Some(binding.policy),
                open_nd: binding.open_nd,
                owns_mac: binding.owns_mac,
                has_vlan: binding.vlan.is_some(),
                physical_ports: &binding.physical_ports,
                within: self.within(Some(binding.policy), *ip),
            };
            let first = *self.kinds.entry(kind).or_insert(self.all.len());
            let (macs, vlan) = (smallvec![binding.mac], binding.vlan);
            self.all.push(Task { binding: Some(binding), ip: *ip, macs, vlan, first });
        }
    }

    /// Adds those of addresses that nobody bound.
    pub fn unbound(&mut self) {
        let mut hosts: BTreeMap<IpAddr, SmallVec<[MacAddr; 1]>> = BTreeMap::new();
        for (local, _) in self.proof.units.unbound.iter() {
            let (Some(ip), Some(mac)) = (local.local_ip, local.local_mac) else { continue };
            hosts.entry(ip).or_default().push(mac);
        }
        for (ip, macs) in hosts {
            let kind = Kind {
                v6: ip.is_ipv6(),
                policy: None,
                open_nd: false,
                owns_mac: true,
                has_vlan: false,
                physical_ports: &[],
                within: self.within(None, ip),
            };
            let first = *self.kinds.entry(kind).or_insert(self.all.len());
            self.all.push(Task { binding: None, ip, macs, vlan: None, first });
        }
    }

    fn within(&mut self, policy: Option<usize>, ip: IpAddr) -> SmallVec<[bool; 8]> {
        let document = self.proof.document;
        let locals = self.locals.entry(policy).or_insert_with(|| {
            let rules = policy
                .and_then(|policy| document.policies.get(policy))
                .map_or(&[][..], |policy| policy.rules.as_slice());
            let management = document.management.iter().map(|management| &management.rule);
            management.chain(rules).filter_map(|rule| rule.local.as_ref()).collect()
        });
        locals.iter().map(|local| local.contains(ip)).collect()
    }

    /// Proves them. What is found is what is found first in the order of the addresses.
    pub fn run(self) -> Result<(), CompileError> {
        let (firsts, others): (Vec<_>, Vec<_>) =
            self.all.iter().enumerate().partition(|(place, task)| *place == task.first);
        let rules = |task: &Task<'_>| {
            let policy = task.binding.and_then(|binding| self.proof.document.policies.get(binding.policy));
            policy.map_or(0, |policy| policy.rules.len()) + self.proof.document.management.len()
        };
        let worth = firsts.iter().map(|(_, task)| rules(task)).sum::<usize>() / RULES;
        let alone = || OnePolicyDocument::of(self.proof.document);
        let run = |alone: &mut OnePolicyDocument, (_, task): &(usize, &Task<'a>)| {
            AddressProof::of(self.proof, task, alone).flows()
        };
        let mut wrong: BTreeMap<usize, CompileError> = BTreeMap::new();
        for ((place, _), found) in firsts.iter().zip(parallel::map(&firsts, worth, alone, run)) {
            wrong.extend(found.err().map(|error| (*place, error)));
        }
        let again = |alone: &mut OnePolicyDocument, (_, task): &(usize, &Task<'a>)| {
            // Where the first is wrong that is found before it.
            if wrong.contains_key(&task.first) || task.is_like(&self.all[task.first], self.proof) {
                return Ok(());
            }
            AddressProof::of(self.proof, task, alone).flows()
        };
        let found = parallel::map(&others, others.len() / COMPARED, alone, again);
        let others = others.iter().zip(found).filter_map(|((place, _), found)| Some((*place, found.err()?)));
        let others: Vec<_> = others.collect();
        wrong.extend(others);
        wrong.into_values().next().map_or(Ok(()), Err)
    }
}

impl Task<'_> {
    /// True if it has the entries of another one of its kind, but for the values of its local side.
    fn is_like(&self, other: &Self, proof: &Proof<'_>) -> bool {
        type Entry<'e> = &'e (RuleKey, ImageEntry);
        let mac = |mac: Option<MacAddr>| match (self.binding, other.binding) {
            (Some(own), Some(theirs)) if mac == Some(theirs.mac) => Some(own.mac),
            _ => mac,
        };
        // Of one kind both have a VLAN or neither has.
        let vlan = |vlan: Option<u16>| if vlan == other.vlan { self.vlan } else { vlan };
        let ip = |ip: Option<IpAddr>| if ip == Some(other.ip) { Some(self.ip) } else { ip };
        let actions = |entry: &ImageEntry| -> [Action; 2] { [entry.rx.action, entry.tx.action] };
        let as_own = |(key, entry): Entry<'_>| {
            let (local_ip, local_mac, outer_vlan) = (ip(key.local_ip), mac(key.local_mac), vlan(key.outer_vlan));
            (RuleKey { local_ip, local_mac, outer_vlan, ..*key }, actions(entry))
        };
        let own = |(key, entry): Entry<'_>| (*key, actions(entry));
        let image = proof.image;
        let (here, there) = (block_of_ip(image, self.ip), block_of_ip(image, other.ip));
        let family = ether_type_of(self.ip);
        // Of the entries that name a MAC and no address those of this family count.
        let counts = |(key, _): &Entry<'_>| key.ether_type.is_none_or(|of| of == family);
        there.iter().map(as_own).eq(here.iter().map(own))
            && self.macs.len() == other.macs.len()
            && self.macs.iter().zip(&other.macs).all(|(here, there)| {
                let theirs = block_of_mac(image, *there).iter().filter(counts).map(as_own);
                theirs.eq(block_of_mac(image, *here).iter().filter(counts).map(own))
            })
    }
}
