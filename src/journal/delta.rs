//! The difference between two contents: what a change record holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::splice::Splice;
use super::{Addresses, Content};
use crate::policy::Origin;
use crate::tables::{ImageEntry, OriginId, PortMap, PortRangeId, RuleKey, SubnetId, SubnetMap, SubnetNode};

/// The difference between two contents; in proportion to what differs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta {
    pub(super) name: Option<Arc<str>>,
    pub(super) text: Option<Splice<u8>>,
    pub(super) lines: Option<Splice<u32>>,
    /// The new entry of each key; `None` = it goes.
    pub(super) entries: BTreeMap<RuleKey, Option<ImageEntry>>,
    pub(super) subnets: MapDelta<SubnetDelta>,
    pub(super) remote_ports: MapDelta<PortDelta>,
    pub(super) local_ports: MapDelta<PortDelta>,
    pub(super) origins: BTreeMap<OriginId, Option<Arc<Origin>>>,
    pub(super) kept: BTreeMap<String, Option<Addresses>>,
}

/// The difference between two maps that may not be there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum MapDelta<D> {
    #[default]
    Same,
    /// It has never been written.
    Gone,
    Changed(D),
}

/// From a subnet map, or from none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SubnetDelta {
    pub classes: Option<Splice<(u32, SubnetId)>>,
    /// The new words of each node; `None` = it is no longer in use.
    pub nodes: BTreeMap<u32, Option<Vec<u16>>>,
}

/// From a port-range map, or from none.
pub(super) type PortDelta = Splice<(u16, PortRangeId)>;

/// A difference that is not one from this content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the change does not fit what it is to change: {0}")]
pub struct DeltaError(&'static str);

impl Delta {
    /// What turns `old` into `new`.
    #[must_use]
    pub fn between(old: &Content, new: &Content) -> Self {
        let rules = old.image.rules.changes(&new.image.rules);
        Self {
            name: (old.name != new.name).then(|| new.name.clone()),
            text: text_between(&old.text, &new.text),
            lines: Splice::between(&old.lines, &new.lines),
            entries: rules.into_iter().map(|(key, _, is)| (*key, is.cloned())).collect(),
            subnets: map_between(&old.image.subnets, &new.image.subnets, subnets_between),
            remote_ports: map_between(&old.image.remote_ports, &new.image.remote_ports, ports_between),
            local_ports: map_between(&old.image.local_ports, &new.image.local_ports, ports_between),
            origins: map_changes(&old.origins, &new.origins),
            kept: map_changes(&old.kept, &new.kept),
        }
    }

    /// The content that `old` becomes.
    ///
    /// # Errors
    /// [`DeltaError`] if this is the difference from another content, or leads to one that no tables can hold.
    pub fn apply(&self, old: &Content) -> Result<Content, DeltaError> {
        let mut new = old.clone();
        if let Some(name) = &self.name {
            new.name = name.clone();
        }
        if let Some(text) = &self.text {
            let bytes = text.apply(old.text.as_bytes()).ok_or(DeltaError("text"))?;
            new.text = String::from_utf8(bytes).map_err(|_| DeltaError("text"))?.into();
        }
        if let Some(lines) = &self.lines {
            new.lines = lines.apply(&old.lines).ok_or(DeltaError("lines"))?;
        }
        for (key, entry) in &self.entries {
            match entry {
                Some(entry) => drop(new.image.rules.insert(*key, entry.clone())),
                None => drop(new.image.rules.remove(key).ok_or(DeltaError("entries"))?),
            }
        }
        self.subnets.apply(&mut new.image.subnets, apply_subnets)?;
        self.remote_ports.apply(&mut new.image.remote_ports, apply_ports)?;
        self.local_ports.apply(&mut new.image.local_ports, apply_ports)?;
        apply_map(&mut new.origins, &self.origins).ok_or(DeltaError("origins"))?;
        apply_map(&mut new.kept, &self.kept).ok_or(DeltaError("addresses that are kept"))?;
        Ok(new)
    }

    /// Entries that are set or changed, and entries that go (`None`).
    pub fn entries(&self) -> impl Iterator<Item = (&RuleKey, Option<&ImageEntry>)> {
        self.entries.iter().map(|(key, entry)| (key, entry.as_ref()))
    }

    /// True if the two contents are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Cut at the bounds of characters, so that what is put is text.
fn text_between(old: &str, new: &str) -> Option<Splice<u8>> {
    let mut splice = Splice::between(old.as_bytes(), new.as_bytes())?;
    while !new.is_char_boundary(splice.keep) {
        splice.keep -= 1;
    }
    while !new.is_char_boundary(new.len() - splice.tail) {
        splice.tail -= 1;
    }
    let put = new.get(splice.keep..new.len() - splice.tail)?;
    Some(Splice { put: put.as_bytes().to_vec(), ..splice })
}

fn map_between<M: PartialEq, D>(
    old: &Option<Arc<M>>,
    new: &Option<Arc<M>>,
    between: impl Fn(Option<&M>, &M) -> D,
) -> MapDelta<D> {
    match (old, new) {
        (old, new) if old == new => MapDelta::Same,
        (_, None) => MapDelta::Gone,
        (old, Some(new)) => MapDelta::Changed(between(old.as_deref(), new)),
    }
}

fn subnets_between(old: Option<&SubnetMap>, new: &SubnetMap) -> SubnetDelta {
    let nodes = |map: &SubnetMap| map.nodes.iter().map(|node| (node.id, node.entries.clone())).collect();
    let (classes, before) = old.map_or_else(Default::default, |old| (old.classes.as_slice(), nodes(old)));
    SubnetDelta { classes: Splice::between(classes, &new.classes), nodes: map_changes(&before, &nodes(new)) }
}

fn ports_between(old: Option<&PortMap>, new: &PortMap) -> PortDelta {
    let old = old.map_or(&[][..], |old| &old.classes);
    let same = Splice { of: old.len(), keep: old.len(), tail: 0, put: Vec::new() };
    Splice::between(old, &new.classes).unwrap_or(same)
}

impl<D> MapDelta<D> {
    fn apply<M>(
        &self,
        map: &mut Option<Arc<M>>,
        apply: impl Fn(Option<&M>, &D) -> Option<M>,
    ) -> Result<(), DeltaError> {
        *map = match self {
            Self::Same => return Ok(()),
            Self::Gone => None,
            Self::Changed(delta) => Some(apply(map.as_deref(), delta).ok_or(DeltaError("maps"))?.into()),
        };
        Ok(())
    }
}

fn apply_subnets(old: Option<&SubnetMap>, delta: &SubnetDelta) -> Option<SubnetMap> {
    let classes = old.map_or(&[][..], |old| &old.classes);
    let classes = delta.classes.as_ref().map_or_else(|| Some(classes.to_vec()), |splice| splice.apply(classes))?;
    let old = old.map_or(&[][..], |old| &old.nodes);
    let mut nodes: BTreeMap<u32, Vec<u16>> = old.iter().map(|node| (node.id, node.entries.clone())).collect();
    apply_map(&mut nodes, &delta.nodes)?;
    let root = nodes.get(&0)?.len();
    let alike = matches!(root, 2 | 4 | 16 | 256) && nodes.values().all(|entries| entries.len() == root);
    let nodes = nodes.into_iter().map(|(id, entries)| SubnetNode { id, entries }).collect();
    (alike && is_total(&classes)).then_some(SubnetMap { classes, nodes })
}

fn apply_ports(old: Option<&PortMap>, delta: &PortDelta) -> Option<PortMap> {
    let classes = delta.apply(old.map_or(&[], |old| &old.classes))?;
    is_total(&classes).then_some(PortMap { classes })
}

/// True if the classes begin at 0, rise, and neighbours differ.
fn is_total<P: Ord + Default, I: PartialEq>(classes: &[(P, I)]) -> bool {
    let rises = |pair: &[(P, I)]| matches!(pair, [(a, x), (b, y)] if a < b && x != y);
    classes.first().is_some_and(|(first, _)| *first == P::default()) && classes.windows(2).all(rises)
}

fn map_changes<K: Ord + Clone, V: PartialEq + Clone>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
) -> BTreeMap<K, Option<V>> {
    let gone = old.keys().filter(|key| !new.contains_key(key)).map(|key| (key.clone(), None));
    let set = new.iter().filter(|(key, value)| old.get(key) != Some(value));
    gone.chain(set.map(|(key, value)| (key.clone(), Some(value.clone())))).collect()
}

/// `None` if something is to go that is not there.
fn apply_map<K: Ord + Clone, V: Clone>(map: &mut BTreeMap<K, V>, changes: &BTreeMap<K, Option<V>>) -> Option<()> {
    for (key, value) in changes {
        match value {
            Some(value) => drop(map.insert(key.clone(), value.clone())),
            None => drop(map.remove(key)?),
        }
    }
    Some(())
}
