//! Courses without a branch: loading empty tables, and sending again what is in doubt.
//!
//! | script | items |
//! |---|---|
//! | adopt | begin, block, reset, reclaim, meter, base denies, maps, the rest, unblock, version, done |
//! | reload, after a reboot of the management controller | the same, without begin, and with recovered for done |
//! | recount | meter, entries that count, version, recovered |
//! | resend | blank maps, what is in doubt to NONE, base denies, maps, the rest, keys of the lost change to NONE, version, recovered |
//!
//! Where lookups are ranked, entries go to NONE from the last rank up and come from the first rank down: so none of them is
//! ever looked up without those that go before it.
//!
//! The first failure ends a script. A version that cannot be read fails nothing, unless the channel is lost by it.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::machine::{Answer, Effect, Failure, Machine, Note};
use crate::adapter::{Override, RulesetVersion};
use crate::tables::{
    Entry, Image, ImageEntry, LookupOrder, MapError, PortMap, PortRangeId, RuleKey, Sizes, SubnetId, SubnetMap,
    TableOp, Target,
};
use crate::terms::Verdict;

/// One effect of a script.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Begin,
    Recover,
    Override(Override),
    Reset,
    Reclaim,
    Meter,
    Send(TableOp),
    Pause,
    Version,
    Done,
    Undone,
    Recovered,
}

/// Effects, one after the other.
#[derive(Debug)]
pub(super) struct Script {
    items: Vec<Item>,
    /// The one that was begun last, counted from 1.
    at: usize,
    version: Option<RulesetVersion>,
    failure: Option<Failure>,
}

/// How a script ended.
#[derive(Debug)]
pub(super) struct Played {
    /// `None`: to its end.
    pub failure: Option<Failure>,
    /// The effect that failed.
    pub failed_at: Option<Item>,
    /// The override is BLOCK, if nothing else happened to the adapter.
    pub blocked: bool,
    pub version: Option<RulesetVersion>,
    /// Commands to the tables that were carried out.
    pub commands: usize,
    /// The tables were emptied first.
    pub reset: bool,
}

impl Script {
    pub fn new(items: Vec<Item>) -> Self {
        Self { items, at: 0, version: None, failure: None }
    }

    /// The tables have this hash, as long as nothing is sent.
    pub fn knowing(self, version: RulesetVersion) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Commands to the tables that it has.
    pub fn commands(&self) -> usize {
        self.items.iter().filter(|item| matches!(item, Item::Send(_))).count()
    }

    pub fn outcome(self) -> Played {
        let done = self.at.saturating_sub(usize::from(self.failure.is_some()));
        let carried_out = self.items.get(..done.min(self.items.len())).unwrap_or_default();
        let blocked = carried_out.iter().rev().find_map(|item| match item {
            Item::Override(state) => Some(*state == Override::Block),
            _ => None,
        });
        Played {
            blocked: blocked.unwrap_or(false),
            commands: carried_out.iter().filter(|item| matches!(item, Item::Send(_))).count(),
            reset: carried_out.contains(&Item::Reset),
            failed_at: self.failure.as_ref().and_then(|_| self.items.get(done).cloned()),
            failure: self.failure,
            version: self.version,
        }
    }
}

impl Machine for Script {
    fn next(&mut self, answer: Answer) -> Effect<'_> {
        let last = self.at.checked_sub(1).and_then(|at| self.items.get(at));
        match answer {
            Answer::Done => {}
            Answer::Version(version) => self.version = Some(version),
            Answer::Failed(failure) if last == Some(&Item::Version) && failure.is_harmless() => {
                log::warn!("the version cannot be read: {failure}");
            }
            Answer::Failed(failure) => {
                self.failure = Some(failure);
                return Effect::Finish;
            }
        }
        let Some(item) = self.items.get(self.at) else { return Effect::Finish };
        self.at += 1;
        match item {
            Item::Begin => Effect::Write(Note::Begin),
            Item::Recover => Effect::Recover,
            Item::Override(state) => Effect::Override(*state),
            Item::Reset => Effect::Reset,
            Item::Reclaim => Effect::Reclaim,
            Item::Meter => Effect::Meter,
            Item::Send(op) => Effect::Send(op),
            Item::Pause => Effect::Pause,
            Item::Version => Effect::Version,
            Item::Done => Effect::Write(Note::Done(self.version.clone())),
            Item::Undone => Effect::Write(Note::Undone("nothing of it had happened".to_owned(), self.version.clone())),
            Item::Recovered => Effect::Write(Note::Recovered(self.version.clone())),
        }
    }
}

/// The commands that load an image into empty tables.
#[derive(Debug)]
pub(super) struct Load {
    base: Vec<TableOp>,
    maps: Vec<TableOp>,
    rest: Vec<TableOp>,
}

impl Load {
    pub fn of(image: &Image, target: &Target) -> Result<Self, MapError> {
        let sizes = &target.sizes;
        let set = |base: bool| {
            let rules = image.rules.iter().filter(move |(key, _)| key.is_base() == base);
            let mut rules: Vec<_> = rules.collect();
            rules.sort_by_key(|(key, _)| rank(&target.profile.order, key));
            rules.into_iter().map(|(key, entry)| TableOp::set_rule(*key, entry.into())).collect()
        };
        let nodes = image.subnets.iter().flat_map(|map| map.leaves_up(sizes));
        let mut maps: Vec<TableOp> = nodes.cloned().map(TableOp::SetSubnetNode).collect();
        if let Some(map) = &image.remote_ports {
            maps.push(TableOp::SetRemotePortTree(map.tree(sizes)?));
        }
        if let Some(map) = &image.local_ports {
            maps.push(TableOp::SetLocalPortTree(map.tree(sizes)?));
        }
        Ok(Self { base: set(true), maps, rest: set(false) })
    }

    /// Drops whatever the adapter holds and loads the image, all traffic blocked meanwhile.
    fn behind_a_block(self) -> impl Iterator<Item = Item> {
        let sends = [self.base, self.maps, self.rest].into_iter().flatten().map(Item::Send);
        let before = [Item::Override(Override::Block), Item::Reset, Item::Reclaim, Item::Meter];
        before.into_iter().chain(sends).chain([Item::Override(Override::None), Item::Version])
    }

    /// Takes the adapter over.
    pub fn adopt(self) -> Script {
        Script::new([Item::Begin].into_iter().chain(self.behind_a_block()).chain([Item::Done]).collect())
    }

    /// Goes on with taking the adapter over.
    pub fn adopt_on(self) -> Script {
        Script::new(self.behind_a_block().chain([Item::Done]).collect())
    }

    /// Sends entries that count again, with the counters that they are given. No verdict changes, but that the rules decide: a
    /// process that died when it had loaded them again may have left the block before them.
    pub fn count_again(self) -> Script {
        let counts = |op: &TableOp| matches!(op, TableOp::SetRule { counter: Some(_), .. });
        let sends = self.base.into_iter().chain(self.rest).filter(counts).map(Item::Send);
        let after = [Item::Override(Override::None), Item::Version, Item::Recovered];
        Script::new([Item::Meter].into_iter().chain(sends).chain(after).collect())
    }

    /// Loads again what a reboot of the management controller has replaced.
    pub fn reload(self) -> Script {
        Script::new(self.behind_a_block().chain([Item::Recovered]).collect())
    }

    /// Sends again all that the image names and all that `doubtful` names, what could be open first.
    ///
    /// # Errors
    /// The adapter's sizes allow no map at all.
    pub fn resend(self, image: &Image, doubtful: &BTreeSet<RuleKey>, target: &Target) -> Result<Script, MapError> {
        let none = |key: &RuleKey| TableOp::set_rule(*key, Entry::default());
        // What can only deny stays until it is sent again: nothing may be beneath it.
        let opens = |key: &RuleKey| image.rules.get(key).is_none_or(may_allow);
        let above = image.rules.keys().chain(doubtful).filter(|key| !key.is_base() && opens(key));
        let mut above: Vec<&RuleKey> = above.collect::<BTreeSet<_>>().into_iter().collect();
        above.sort_by_key(|key| Reverse(rank(&target.profile.order, key)));
        let shut: Vec<TableOp> = above.into_iter().map(none).collect();
        let stranger = |key: &&RuleKey| key.is_base() && !image.rules.contains_key(key);
        let strangers: Vec<TableOp> = doubtful.iter().filter(stranger).map(none).collect();
        let groups = [blank_maps(image, doubtful, &target.sizes)?, shut, self.base, self.maps, self.rest, strangers];
        let sends = groups.into_iter().filter(|group| !group.is_empty());
        let paused = sends.flat_map(|group| group.into_iter().map(Item::Send).chain([Item::Pause]));
        Ok(Script::new(paused.chain([Item::Version, Item::Recovered]).collect()))
    }
}

/// Maps in the place of those that the image does not have: no entry may name an id of a map that was never written, not
/// even to go to NONE. No doubtful entry names the one id that they give.
fn blank_maps(image: &Image, doubtful: &BTreeSet<RuleKey>, sizes: &Sizes) -> Result<Vec<TableOp>, MapError> {
    let spare = |id: fn(&RuleKey) -> Option<u16>, min: u32, max: u32| {
        let named: BTreeSet<u16> = doubtful.iter().filter_map(id).collect();
        let mut ids = (min..=max).filter_map(|id| u16::try_from(id).ok());
        ids.find(|id| !named.contains(id)).filter(|_| !named.is_empty())
    };
    let ports = |id| PortMap::build([(0, PortRangeId(id))], sizes)?.tree(sizes);
    let range = |id| spare(id, sizes.portrange_id_min, sizes.portrange_id_max);
    let subnet = spare(|key| key.remote_subnet.map(|id| id.0), sizes.subnet_id_min, sizes.subnet_id_max);
    let remote = range(|key| key.remote_portrange.map(|id| id.0));
    let local = range(|key| key.local_portrange.map(|id| id.0));
    let mut out = Vec::new();
    if let (None, Some(id)) = (&image.subnets, subnet) {
        let map = SubnetMap::build([(0, SubnetId(id))], sizes)?;
        out.extend(map.leaves_up(sizes).into_iter().cloned().map(TableOp::SetSubnetNode));
    }
    if let (None, Some(id)) = (&image.remote_ports, remote) {
        out.push(TableOp::SetRemotePortTree(ports(id)?));
    }
    if let (None, Some(id)) = (&image.local_ports, local) {
        out.push(TableOp::SetLocalPortTree(ports(id)?));
    }
    Ok(out)
}

/// The place of an entry among lookups: the first decides.
fn rank(order: &LookupOrder, key: &RuleKey) -> usize {
    match order {
        LookupOrder::Unordered => 0,
        LookupOrder::Ranked(list) => list.iter().position(|fields| *fields == key.fields()).unwrap_or(list.len()),
    }
}

fn may_allow(entry: &ImageEntry) -> bool {
    [entry.rx.action, entry.tx.action].iter().any(|action| action.verdict() == Some(Verdict::Allow))
}

/// After a command without an answer: the adapter usable again, and whether all traffic is blocked for certain. A reboot of
/// the management controller ends an override (assumption A14).
pub(super) fn block_again() -> Script {
    Script::new(vec![Item::Recover, Item::Override(Override::Block)])
}
