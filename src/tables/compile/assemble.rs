//! The blocks of an image that a change touches, from units and from entries of the base; all others stay as they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::compiled::Compiled;
use super::counters::{Before, Built, Counters, Group};
use super::state::Updated;
use crate::policy::Document;
use crate::tables::naming::entries::{at_local, of_base};
use crate::tables::parallel;
use crate::tables::refuse::{CompileError, document_origin};
use crate::tables::rules::BlockKey;
use crate::tables::units::Units;
use crate::tables::units::unit::UnitKey;
use crate::tables::{Image, OriginId, RuleKey, Rules, Target};

/// Local sides whose entries stand in a block, and the number of their binding.
type Locals<'a> = (Vec<&'a (RuleKey, UnitKey)>, Option<u32>);

/// What an image starts from.
pub(super) enum Start<'a> {
    /// Nothing: every block is made. Counters are those of another image where entries count the same.
    Nothing { previous: Option<&'a Compiled> },
    /// An image whose other blocks stay.
    Image { of: &'a Compiled },
}

/// All that an image is made of.
pub(super) struct Assembly<'a> {
    pub document: &'a Document,
    pub target: &'a Target,
    pub updated: &'a Updated,
    pub start: Start<'a>,
}

fn put(rules: &mut Rules, built: Vec<Built>) {
    for (name, block) in built {
        rules.set_block(name, block);
    }
}

/// Blocks that are worth a thread.
const WORTH: usize = 96;

impl<'a> Assembly<'a> {
    /// The image and its counters.
    ///
    /// # Errors
    /// If a field of an entry cannot hold what it is to hold.
    pub fn image(&self) -> Result<(Image, Counters), CompileError> {
        let (whole, previous, rules, mut counters) = match self.start {
            Start::Nothing { previous } => (true, previous, Rules::new(), Counters::default()),
            Start::Image { of } => (false, Some(of), of.image.rules.clone(), of.state.counters.clone()),
        };
        let maps = self.updated.naming.maps();
        let mut image = Image {
            rules,
            subnets: maps.subnets.clone(),
            remote_ports: maps.remote_ports.clone(),
            local_ports: maps.local_ports.clone(),
        };
        let (mut built, groups) = self.blocks(&image.rules);
        self.check_keys(&built)?;
        let before = previous.map(|previous| Before {
            rules: &previous.image.rules,
            counters: &previous.state.counters,
            numbers: whole.then(|| self.renumbered(previous)),
        });
        let available = self.target.profile.counters;
        if !counters.assign(&mut built, &groups, whole, available, before.as_ref()) {
            // Counters are short: who has one depends on all that could.
            put(&mut image.rules, built);
            let (all, groups) = self.all(&image.rules);
            built = all;
            counters.assign(&mut built, &groups, true, available, before.as_ref());
        }
        put(&mut image.rules, built);
        Ok((image, counters))
    }

    /// Asks the target about every key; the refusal names who asked for the entry first.
    fn check_keys(&self, built: &[Built]) -> Result<(), CompileError> {
        for (key, entry) in built.iter().flat_map(|(_, block)| block) {
            let Err(why) = self.target.takes(key) else { continue };
            let origins = self.updated.units.origins(self.document);
            let asked = entry.rx.origins.iter().chain(&entry.tx.origins);
            let at = asked.filter_map(|id| origins.get(*id, self.document)).map(|of| of.origin).next();
            return Err(CompileError::NotTaken { at: at.unwrap_or_else(|| document_origin(self.document)), why });
        }
        Ok(())
    }

    /// The previous number of each binding's container.
    fn renumbered(&self, previous: &Compiled) -> HashMap<u32, u32> {
        let old = previous.document.bindings.iter().zip(&previous.state.units.bindings);
        let by_name: HashMap<&str, u32> = old.map(|(binding, of)| (binding.container.as_str(), of.number)).collect();
        let new = self.document.bindings.iter().zip(&self.updated.units.bindings);
        new.filter_map(|(binding, of)| Some((of.number, *by_name.get(binding.container.as_str())?))).collect()
    }

    /// The blocks that are made anew, without counters, and the groups of counters that have them.
    fn blocks(&self, rules: &Rules) -> (Vec<Built>, Vec<(Group, Vec<usize>)>) {
        let mut blocks: BTreeMap<BlockKey, Locals<'a>> = BTreeMap::new();
        let mut touched = self.updated.dirty.bindings.clone();
        let owners: BTreeSet<u32> = self.updated.dirty.blocks.iter().filter_map(|name| self.owner(*name)).collect();
        let stands = |at: &usize| self.updated.units.bindings.get(*at).map(|of| of.number);
        let known: BTreeSet<u32> = touched.iter().filter_map(stands).collect();
        if !owners.is_subset(&known) {
            touched.extend(
                (0..self.updated.units.bindings.len()).filter(|at| stands(at).is_some_and(|n| owners.contains(&n))),
            );
        }
        for at in touched {
            self.of_binding(at, &mut blocks);
        }
        if self.updated.dirty.unbound {
            for local in self.updated.units.unbound.iter() {
                blocks.entry(BlockKey::of(&local.0)).or_default().0.push(local);
            }
        }
        for name in &self.updated.dirty.blocks {
            blocks.entry(*name).or_default();
        }
        self.add_common(rules, &mut blocks);
        let mut groups: BTreeMap<Group, Vec<usize>> =
            self.updated.dirty.ended.iter().map(|n| (Some(*n), Vec::new())).collect();
        for (at, (name, locals)) in blocks.iter().enumerate() {
            groups.entry(locals.1.or_else(|| self.owner(*name))).or_default().push(at);
        }
        let blocks: Vec<(BlockKey, Locals<'a>)> = blocks.into_iter().collect();
        let build = |(): &mut (), (name, locals): &(BlockKey, Locals<'a>)| (*name, self.build(*name, locals));
        (parallel::map(&blocks, blocks.len() / WORTH, || (), build), groups.into_iter().collect())
    }

    /// All blocks of an image, and all groups of counters.
    fn all(&self, rules: &Rules) -> (Vec<Built>, Vec<(Group, Vec<usize>)>) {
        let ended = &self.updated.dirty.ended;
        let bound = self.updated.units.bound.iter();
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
        let order = self.updated.units.bindings.iter().map(|of| Some(of.number)).chain([None]);
        let order = order.chain(ended.iter().map(|number| Some(*number)));
        let groups = order.map(|group| (group, of.remove(&group).unwrap_or_default())).collect();
        (built, groups)
    }

    fn of_binding(&self, at: usize, blocks: &mut BTreeMap<BlockKey, Locals<'a>>) {
        let Some(number) = self.updated.units.bindings.get(at).map(|of| of.number) else { return };
        let Some(bound) = self.updated.units.bound.get(&number) else { return };
        for ip in &bound.binding.ips {
            let key = RuleKey { local_ip: Some(*ip), ..RuleKey::default() };
            let block = blocks.entry(BlockKey::of(&key)).or_default();
            block.0.extend(Units::locals_of(&bound.locals, *ip));
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
                    let here = self.updated.units.unbound.iter().filter(|(local, _)| BlockKey::of(local) == *name);
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
        self.updated.units.base.get(&key)?.bindings.first().copied()
    }

    fn build(&self, name: BlockKey, (locals, number): &Locals<'_>) -> Vec<(RuleKey, crate::tables::ImageEntry)> {
        let base = self.updated.units.base.of_block(name);
        let mut out: Vec<_> = base.map(|(key, base)| (*key, of_base(base))).collect();
        for (local, unit) in locals {
            let entries = self.updated.naming.entries(unit).iter();
            out.extend(entries.map(|entry| at_local(entry, local, number.map(OriginId))));
        }
        if !out.is_sorted_by(|a, b| a.0 < b.0) {
            out.sort_by_key(|entry| entry.0);
        }
        out
    }
}
