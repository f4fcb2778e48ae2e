//! The blocks of an image that a change touches, from units and from entries of the base; all others stay as they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::compiled::Compiled;
use super::counters::{Before, Built, Group};
use super::state::{State, Work};
use crate::policy::Document;
use crate::tables::naming::entries::{at_local, of_fixed};
use crate::tables::parallel;
use crate::tables::refuse::{CompileError, document_origin};
use crate::tables::rules::BlockKey;
use crate::tables::units::unit::UnitKey;
use crate::tables::{Image, OriginId, RuleKey, Rules, Target};

/// Local sides whose entries stand in a block, and the number of their binding.
type Locals<'a> = (Vec<&'a (RuleKey, UnitKey)>, Option<u32>);

/// The image, from the entries of the one before it (or none), and the state with its counters; refused where a field of an
/// entry cannot hold what it is to hold.
pub(super) fn assemble(
    mut state: State,
    work: &Work,
    document: &Document,
    target: &Target,
    rules: Rules,
    previous: Option<&Compiled>,
    whole: bool,
) -> Result<(Image, State), CompileError> {
    let maps = state.maps.clone();
    let mut image = Image {
        rules,
        subnets: maps.subnets.clone(),
        remote_ports: maps.remote_ports.clone(),
        local_ports: maps.local_ports.clone(),
    };
    let (built, groups) = Assembly { state: &state, work, document }.blocks(&image.rules);
    all_taken(&built, &state, document, target)?;
    let available = target.profile.counters;
    let before = previous.map(|previous| Before {
        rules: &previous.image.rules,
        counters: &previous.state.counters,
        numbers: whole.then(|| renumbered(previous, &state, document)),
    });
    let mut counters = std::mem::take(&mut state.counters);
    let mut built = built;
    if !counters.assign(&mut built, &groups, whole, available, before.as_ref()) {
        // Counters are short: who has one depends on all that could.
        put(&mut image.rules, built);
        let (mut all, groups) = Assembly { state: &state, work, document }.all(&image.rules, &work.ended);
        counters.assign(&mut all, &groups, true, available, before.as_ref());
        built = all;
    }
    put(&mut image.rules, built);
    state.counters = counters;
    Ok((image, state))
}

/// Asks the target about every key; the refusal names who asked for the entry first.
fn all_taken(built: &[Built], state: &State, document: &Document, target: &Target) -> Result<(), CompileError> {
    for (key, entry) in built.iter().flat_map(|(_, block)| block) {
        let Err(why) = target.takes(key) else { continue };
        let origins = state.origins(document);
        let asked = entry.rx.origins.iter().chain(&entry.tx.origins);
        let at = asked.filter_map(|id| origins.get(*id, document)).map(|of| of.origin).next();
        return Err(CompileError::NotTaken { at: at.unwrap_or_else(|| document_origin(document)), why });
    }
    Ok(())
}

fn put(rules: &mut Rules, built: Vec<Built>) {
    for (name, block) in built {
        rules.set_block(name, block);
    }
}

/// The previous number of each binding's container.
fn renumbered(previous: &Compiled, state: &State, document: &Document) -> HashMap<u32, u32> {
    let old = previous.document.bindings.iter().zip(&previous.state.bindings);
    let by_name: HashMap<&str, u32> = old.map(|(binding, of)| (binding.container.as_str(), of.number)).collect();
    let new = document.bindings.iter().zip(&state.bindings);
    new.filter_map(|(binding, of)| Some((of.number, *by_name.get(binding.container.as_str())?))).collect()
}

/// Blocks that are worth a thread.
const WORTH: usize = 96;

struct Assembly<'a> {
    state: &'a State,
    work: &'a Work,
    document: &'a Document,
}

impl<'a> Assembly<'a> {
    /// The blocks that the work touches, without counters, and the groups of counters that have them.
    fn blocks(&self, rules: &Rules) -> (Vec<Built>, Vec<(Group, Vec<usize>)>) {
        let mut blocks: BTreeMap<BlockKey, Locals<'a>> = BTreeMap::new();
        let mut touched = self.work.bindings.clone();
        let owners: BTreeSet<u32> = self.work.blocks.iter().filter_map(|name| self.owner(*name)).collect();
        let stands = |at: &usize| self.state.bindings.get(*at).map(|of| of.number);
        let known: BTreeSet<u32> = touched.iter().filter_map(stands).collect();
        if !owners.is_subset(&known) {
            touched.extend((0..self.state.bindings.len()).filter(|at| stands(at).is_some_and(|n| owners.contains(&n))));
        }
        for at in touched {
            self.of_binding(at, &mut blocks);
        }
        if self.work.unbound {
            for local in self.state.unbound.iter() {
                blocks.entry(BlockKey::of(&local.0)).or_default().0.push(local);
            }
        }
        for name in &self.work.blocks {
            blocks.entry(*name).or_default();
        }
        self.add_common(rules, &mut blocks);
        let mut groups: BTreeMap<Group, Vec<usize>> = self.work.ended.iter().map(|n| (Some(*n), Vec::new())).collect();
        for (at, (name, locals)) in blocks.iter().enumerate() {
            groups.entry(locals.1.or_else(|| self.owner(*name))).or_default().push(at);
        }
        let blocks: Vec<(BlockKey, Locals<'a>)> = blocks.into_iter().collect();
        let build = |(): &mut (), (name, locals): &(BlockKey, Locals<'a>)| (*name, self.build(*name, locals));
        (parallel::map(&blocks, blocks.len() / WORTH, || (), build), groups.into_iter().collect())
    }

    /// All blocks of an image, and all groups of counters.
    fn all(&self, rules: &Rules, ended: &[u32]) -> (Vec<Built>, Vec<(Group, Vec<usize>)>) {
        let bound = self.state.bound.iter();
        let holders: HashMap<IpAddr, u32> =
            bound.flat_map(|(number, bound)| bound.binding.ips.iter().map(|ip| (*ip, *number))).collect();
        let mut of: HashMap<Group, Vec<usize>> = ended.iter().map(|number| (Some(*number), Vec::new())).collect();
        let mut built: Vec<Built> = Vec::new();
        for (name, block) in rules.blocks().iter() {
            let group = name.ip().and_then(|ip| holders.get(&ip).copied()).or_else(|| self.owner(*name));
            of.entry(group).or_default().push(built.len());
            let mut block = Vec::clone(block);
            block.iter_mut().for_each(|(_, entry)| entry.counter = None);
            built.push((*name, block));
        }
        // In the order of the document, so that it does not depend on what was before.
        let order = self.state.bindings.iter().map(|of| Some(of.number)).chain([None]);
        let order = order.chain(ended.iter().map(|number| Some(*number)));
        let groups = order.map(|group| (group, of.remove(&group).unwrap_or_default())).collect();
        (built, groups)
    }

    fn of_binding(&self, at: usize, blocks: &mut BTreeMap<BlockKey, Locals<'a>>) {
        let Some(number) = self.state.bindings.get(at).map(|of| of.number) else { return };
        let Some(bound) = self.state.bound.get(&number) else { return };
        for ip in &bound.binding.ips {
            let key = RuleKey { local_ip: Some(*ip), ..RuleKey::default() };
            let block = blocks.entry(BlockKey::of(&key)).or_default();
            block.0.extend(State::locals_of(&bound.locals, *ip));
            block.1 = Some(number);
        }
        if bound.binding.owns_mac {
            let key = RuleKey { local_mac: Some(bound.binding.mac), ..RuleKey::default() };
            blocks.entry(BlockKey::of(&key)).or_default();
        }
    }

    /// Where an entry of no single binding is touched, all of them count anew.
    fn add_common(&self, rules: &Rules, blocks: &mut BTreeMap<BlockKey, Locals<'a>>) {
        let is_common = |name: &BlockKey, locals: &Locals<'_>| locals.1.is_none() && self.owner(*name).is_none();
        if !blocks.iter().any(|(name, locals)| is_common(name, locals)) {
            return;
        }
        let bound: BTreeSet<IpAddr> =
            self.document.bindings.iter().flat_map(|binding| binding.ips.iter().copied()).collect();
        for (name, _) in rules.blocks().iter() {
            if self.owner(*name).is_none() && name.ip().is_none_or(|ip| !bound.contains(&ip)) {
                blocks.entry(*name).or_insert_with(|| {
                    let here = self.state.unbound.iter().filter(|(local, _)| BlockKey::of(local) == *name);
                    (here.collect(), None)
                });
            }
        }
    }

    /// The number of the binding that alone owns the MAC of a block.
    fn owner(&self, name: BlockKey) -> Option<u32> {
        let key = name.first();
        if key.local_ip.is_some() || key.local_mac.is_none() {
            return None;
        }
        self.state.fixed.get(&key)?.bindings.first().copied()
    }

    fn build(&self, name: BlockKey, (locals, number): &Locals<'_>) -> Vec<(RuleKey, crate::tables::ImageEntry)> {
        let first = name.first();
        let fixed = self.state.fixed.starting_at(&first).take_while(|(key, _)| BlockKey::of(key) == name);
        let mut out: Vec<_> = fixed.map(|(key, fixed)| (*key, of_fixed(fixed))).collect();
        for (local, unit) in locals {
            let Some(used) = self.state.units.get(unit) else { continue };
            out.extend(used.entries.iter().map(|entry| at_local(entry, local, number.map(OriginId))));
        }
        if !out.is_sorted_by(|a, b| a.0 < b.0) {
            out.sort_by_key(|entry| entry.0);
        }
        out
    }
}
