//! Writes steps down, and knows what the tables hold after each.

use std::collections::{BTreeMap, BTreeSet};

use super::maps::{Kind, Map};
use super::scope::Rest;
use super::step::{Local, Phase, Plan, Rules, Step};
use crate::tables::{Entry, Image, MapError, MatchFields, RuleKey, Sizes, SubnetNode, TableOp, Tables};

pub(super) struct Recorder<'a> {
    sizes: &'a Sizes,
    /// What the tables hold of entries.
    tables: Tables,
    maps: BTreeMap<Kind, Map>,
    /// Every trie node whose content is known, in use or not; `None` until a trie is written.
    nodes: Option<BTreeMap<u32, SubnetNode>>,
    /// Entries that no step concerns.
    entries_elsewhere: usize,
    /// Entries of each combination of match fields.
    combinations: BTreeMap<MatchFields, usize>,
    phase: Phase,
    /// A frame in flight may depend on what the steps so far have changed.
    unsettled: bool,
    pause: bool,
    plan: Plan,
}

impl<'a> Recorder<'a> {
    /// `rules` are the entries of `old` that the change can concern, `rest` are the others.
    pub fn new(old: &Image, rules: Rules, rest: Rest, sizes: &'a Sizes) -> Self {
        let Rest { rules: entries_elsewhere, mut combinations } = rest;
        for key in rules.keys() {
            *combinations.entry(key.fields()).or_default() += 1;
        }
        let plan = Plan {
            peak_rules: entries_elsewhere + rules.len(),
            peak_combinations: combinations.len(),
            ..Plan::default()
        };
        let maps = Kind::ALL.into_iter().filter_map(|kind| Some((kind, Map::of(old, kind)?))).collect();
        let (phase, nodes) = (Phase::Refine, None);
        let tables = Tables { rules, ..Tables::default() };
        Self {
            sizes,
            tables,
            maps,
            nodes,
            entries_elsewhere,
            combinations,
            phase,
            unsettled: false,
            pause: false,
            plan,
        }
    }

    pub fn finish(self, closes: BTreeSet<Local>) -> Plan {
        Plan { closes, ..self.plan }
    }

    /// What the tables hold after the steps so far.
    pub fn rules(&self) -> &Rules {
        &self.tables.rules
    }

    pub fn map(&self, kind: Kind) -> Option<&Map> {
        self.maps.get(&kind)
    }

    /// The steps from here on belong to `phase`.
    pub fn enter(&mut self, phase: Phase) {
        self.settle();
        self.phase = phase;
    }

    /// Frames in flight pass before the next step, if they could depend on what came before.
    pub fn settle(&mut self) {
        self.pause |= std::mem::take(&mut self.unsettled);
    }

    fn push(&mut self, op: TableOp, undo: Option<TableOp>) {
        let pause_before = std::mem::take(&mut self.pause);
        self.plan.steps.push(Step { phase: self.phase, pause_before, op, undo });
    }

    /// Brings one entry to this; one without any action goes.
    pub fn set(&mut self, key: RuleKey, entry: Entry) {
        let entry = if entry.is_none() { Entry::default() } else { entry };
        let before = self.rules().get(&key).copied();
        if before.unwrap_or_default() == entry {
            return;
        }
        self.unsettled |= self.phase == Phase::Tighten;
        let (op, undo) = (TableOp::set_rule(key, entry), TableOp::set_rule(key, before.unwrap_or_default()));
        self.tables.apply(&op);
        self.push(op, Some(undo));
        if entry.is_none() {
            self.release(key.fields());
        } else if before.is_none() {
            *self.combinations.entry(key.fields()).or_default() += 1;
        }
        self.plan.peak_rules = self.plan.peak_rules.max(self.entries_elsewhere + self.rules().len());
        self.plan.peak_combinations = self.plan.peak_combinations.max(self.combinations.len());
    }

    fn release(&mut self, fields: MatchFields) {
        if let Some(count) = self.combinations.get_mut(&fields) {
            *count -= 1;
            if *count == 0 {
                self.combinations.remove(&fields);
            }
        }
    }

    /// Writes a map, so that it becomes reachable by the last command.
    pub fn write_map(&mut self, kind: Kind, map: &Map) -> Result<(), MapError> {
        if self.maps.get(&kind) == Some(map) {
            return Ok(());
        }
        self.unsettled = true;
        match map {
            Map::Subnets(new) => {
                let live = match self.maps.get(&kind) {
                    Some(Map::Subnets(live)) => live.nodes.as_slice(),
                    _ => &[],
                };
                let known = || live.iter().map(|node| (node.id, node.clone())).collect();
                let mut nodes = self.nodes.take().unwrap_or_else(known);
                for node in new.leaves_up(self.sizes) {
                    let before = nodes.insert(node.id, node.clone());
                    if before.as_ref() != Some(node) {
                        self.push(TableOp::SetSubnetNode(node.clone()), before.map(TableOp::SetSubnetNode));
                    }
                }
                self.nodes = Some(nodes);
            }
            Map::Ports(new) => {
                let before = match self.maps.get(&kind) {
                    Some(Map::Ports(live)) => Some(set_tree(kind, live.tree(self.sizes)?)),
                    _ => None,
                };
                self.push(set_tree(kind, new.tree(self.sizes)?), before);
            }
        }
        self.maps.insert(kind, map.clone());
        Ok(())
    }
}

fn set_tree(kind: Kind, tree: Vec<crate::tables::PortTreeEntry>) -> TableOp {
    if kind == Kind::LocalPorts { TableOp::SetLocalPortTree(tree) } else { TableOp::SetRemotePortTree(tree) }
}
