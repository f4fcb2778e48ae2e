//! The proof that an image does what its document says.
//!
//! The rules of a document and the maps and entries of the image cut addresses and ports into classes. For one address of
//! each kind, a flow from every combination of classes is decided by the evaluator and judged by the image; both must agree
//! ([`flows`]). Every other address of the kind has the same entries, compared one by one, or its flows are run too
//! ([`sides`]). What is not a bound address's is compared for every physical port, MAC and binding, and no entry may be about
//! anything else ([`nobody`]). The nodes and tree entries of the maps are compared with the classes that entries name
//! ([`maps`]). So no entry, id or node of the image is left out.
//!
//! # What is proved again
//! The proof of a local address depends on the frame of its document (`unbound`, `multicast`, ephemeral ports, management
//! rules), on the target, on its binding and the rules of its policy, on the entries that name its address or none, and on
//! the points to which the maps give the ids that these entries name. It is reused where all of that is the same: frame,
//! target, bindings and policies are compared by value, entries by comparing the images block by block, and the meaning of
//! ids by comparing the maps and counting the entries that name each id. What of a change is looked at does not depend on
//! what the compiler believes to have changed.

mod address_entries;
mod flows;
mod id_points;
mod id_users;
pub(super) mod ids;
mod maps;

mod nobody;
mod proof;
mod sides;
mod task;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use self::maps::{tree_says, trie_says};
use self::nobody::groups_of;
pub(super) use self::proof::Proof;
use self::proof::UNUSED_MACS;
use self::sides::Sides;
use super::compiled::Compiled;
use crate::policy::{Binding, Document, Policy};
use crate::tables::refuse::{CompileError, document_origin};
use crate::tables::rules::{Block, BlockKey};
use crate::tables::units::Dirty;
use crate::tables::units::diff::{Kept, compare, same_binding};
use crate::tables::usage::Table;
use crate::tables::{Action, Image, PortMap, RuleKey, SubnetMap};
use crate::terms::{MacAddr, Point};

/// The documents' difference.
struct Difference<'a> {
    /// Places of bindings that are others than before, or whose policy's rules are.
    anew: BTreeSet<usize>,
    /// Bindings that are others than before, as they are and as they were, and those that came or went.
    changed: Vec<&'a Binding>,
}

impl Proof<'_> {
    /// The whole image.
    pub fn all(&self) -> Result<(), CompileError> {
        self.maps(None)?;
        let mut sides = Sides::new(self);
        (0..self.document.bindings.len()).for_each(|at| sides.binding(at));
        sides.unbound();
        sides.run()?;
        let with_rules: HashSet<IpAddr> =
            self.document.bindings.iter().flat_map(|binding| &binding.ips).copied().collect();
        let of_host = |ip: &IpAddr| self.is_of_host(*ip);
        let named = self.image.rules.blocks().iter().filter_map(|(name, _)| name.ip());
        let named = named.filter(|ip| !with_rules.contains(ip) && !of_host(ip));
        let groups = self.document.bindings.iter().flat_map(|binding| groups_of(binding));
        self.addresses_of_nobody(&named.chain(groups).collect())?;
        let bound = self.document.bindings.iter().map(|binding| binding.mac);
        let of_blocks = self.image.rules.blocks().iter().filter_map(|(name, _)| name.mac());
        let of_rules = self.document.management.iter().filter_map(|management| management.mac);
        self.macs(bound.chain(of_blocks).chain(of_rules).chain(UNUSED_MACS).chain([MacAddr::BROADCAST]).collect())
    }

    /// What the image before it does not prove already. What the compiler believes to have changed is proved whether it did
    /// or not, and does not have to be found.
    pub fn of(&self, dirty: &Dirty, before: &Compiled) -> Result<(), CompileError> {
        let Difference { mut anew, changed } = self.difference(&before.document);
        anew.extend(&dirty.bindings);
        let of_places = |places: &BTreeSet<usize>| -> BTreeSet<IpAddr> {
            let bindings = places.iter().filter_map(|at| self.document.bindings.get(*at));
            bindings.flat_map(|binding| binding.ips.iter().copied()).collect()
        };
        let mut known = of_places(&anew);
        let mut macs: BTreeSet<MacAddr> = changed.iter().map(|binding| binding.mac).collect();
        let groups = changed.iter().flat_map(|binding| groups_of(binding));
        let mut nobodys: BTreeSet<IpAddr> = changed.iter().flat_map(|b| b.ips.iter().copied()).chain(groups).collect();
        let mut unbound = dirty.unbound;
        let mut elsewhere: BTreeSet<IpAddr> = BTreeSet::new();
        let same = |a: &Block, b: &Block| Arc::ptr_eq(a, b);
        for (name, was, is) in before.image.rules.blocks().changes(self.image.rules.blocks(), same) {
            match (name.ip(), name.mac()) {
                (None, Some(mac)) => {
                    macs.insert(mac);
                }
                (Some(ip), _) if known.contains(&ip) => {}
                (Some(ip), _) if decides_otherwise(was, is) => {
                    elsewhere.insert(ip);
                }
                (None, None) if decides_otherwise(was, is) => return self.all(),
                _ => {}
            }
        }
        if !elsewhere.is_empty() {
            // Of whom the compiler believes that nothing changed, and of nobody.
            for (at, binding) in self.document.bindings.iter().enumerate() {
                if binding.ips.iter().any(|ip| elsewhere.contains(ip)) {
                    anew.insert(at);
                }
            }
            known = of_places(&anew);
            unbound |= elsewhere.iter().any(|ip| self.is_of_host(*ip));
            nobodys.extend(elsewhere);
        }
        if self.means_otherwise(&before.image, &known) {
            return self.all();
        }
        self.maps(Some(&before.image))?;
        let mut sides = Sides::new(self);
        anew.iter().for_each(|at| sides.binding(*at));
        if unbound {
            sides.unbound();
        }
        sides.run()?;
        nobodys.retain(|ip| !known.contains(ip) && !self.is_of_host(*ip));
        self.addresses_of_nobody(&nobodys)?;
        self.macs(macs)
    }

    /// Compares the documents by value; what is one in memory is equal.
    fn difference<'d>(&'d self, before: &'d Document) -> Difference<'d> {
        let document = self.document;
        let same = |a: &Arc<Policy>, b: &Arc<Policy>| Arc::ptr_eq(a, b) || a.rules == b.rules;
        if std::ptr::eq::<[Arc<Binding>]>(&before.bindings[..], &document.bindings[..]) {
            // The same bindings name the same places.
            let pairs = before.policies.iter().zip(document.policies.iter());
            let stays: Vec<bool> = pairs.map(|(was, is)| same(was, is)).collect();
            let is_other = |(_, binding): &(usize, &Arc<Binding>)| stays.get(binding.policy) != Some(&true);
            let anew = document.bindings.iter().enumerate().filter(is_other).map(|(at, _)| at).collect();
            return Difference { anew, changed: Vec::new() };
        }
        // Which pairs of policies are the same: most bindings have the same two places.
        let mut known: BTreeMap<(usize, usize), bool> = BTreeMap::new();
        let mut same_policy = |was: usize, is: usize| {
            let compared = || match (before.policies.get(was), document.policies.get(is)) {
                (Some(was), Some(is)) => same(was, is),
                _ => false,
            };
            *known.entry((was, is)).or_insert_with(compared)
        };
        let (mut anew, mut changed) = (BTreeSet::new(), Vec::new());
        let kept = compare(&before.bindings, &document.bindings, |a, b| same_binding(a, b), |b| b.container.clone());
        let mut stay = vec![false; before.bindings.len()];
        for (at, (binding, kept)) in document.bindings.iter().zip(kept.iter()).enumerate() {
            match kept {
                Kept::Equal(old) => {
                    stay[old] = true;
                    if !same_policy(before.bindings[old].policy, binding.policy) {
                        anew.insert(at);
                    }
                }
                Kept::Changed(_) | Kept::New => {
                    anew.insert(at);
                    changed.push(&**binding);
                }
            }
        }
        changed.extend(before.bindings.iter().zip(stay).filter(|(_, stays)| !stays).map(|(binding, _)| &**binding));
        Difference { anew, changed }
    }

    fn is_of_host(&self, ip: IpAddr) -> bool {
        !self.units.unbound.is_empty() && self.units.unbound.iter().any(|(local, _)| local.local_ip == Some(ip))
    }

    /// The maps, as far as they are not those of the image before.
    fn maps(&self, before: Option<&Image>) -> Result<(), CompileError> {
        let sizes = &self.target.sizes;
        let wrong = |table| Err(CompileError::MapDisagrees { at: document_origin(self.document), table });
        let fresh = |map: &Option<Arc<SubnetMap>>| before.is_none_or(|before| !is_one(map, &before.subnets));
        if fresh(&self.image.subnets) && self.image.subnets.as_ref().is_some_and(|map| !trie_says(map, sizes)) {
            return wrong(Table::SubnetNodes);
        }
        let says = |map: &Arc<PortMap>| map.tree(sizes).is_ok_and(|tree| tree_says(&tree, map, sizes));
        let both = [
            (&self.image.remote_ports, before.map(|before| &before.remote_ports), Table::RemotePortTree),
            (&self.image.local_ports, before.map(|before| &before.local_ports), Table::LocalPortTree),
        ];
        for (map, before, table) in both {
            let fresh = before.is_none_or(|before| !is_one(map, before));
            if fresh && map.as_ref().is_some_and(|map| !says(map)) {
                return wrong(table);
            }
        }
        Ok(())
    }

    /// True if entries of other addresses than these name ids that do not mean what they meant.
    fn means_otherwise(&self, before: &Image, known: &BTreeSet<IpAddr>) -> bool {
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
        let of_ip = |ip: &IpAddr| BlockKey::of(&RuleKey { local_ip: Some(*ip), ..RuleKey::default() });
        let blocks = known.iter().filter_map(|ip| self.image.rules.blocks().get(&of_ip(ip)));
        self.ids.users.elsewhere(&moved, blocks)
    }
}

fn is_one<T>(a: &Option<Arc<T>>, b: &Option<Arc<T>>) -> bool {
    a.as_ref().map(Arc::as_ptr) == b.as_ref().map(Arc::as_ptr)
}

/// True if entries differ, origins and counters aside.
fn decides_otherwise(was: Option<&Block>, is: Option<&Block>) -> bool {
    let actions = |block: Option<&Block>| {
        let all = block.into_iter().flat_map(|block| block.iter());
        all.map(|(key, entry)| (*key, entry.rx.action, entry.tx.action)).collect::<Vec<(RuleKey, Action, Action)>>()
    };
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
