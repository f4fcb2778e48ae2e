//! The phases of a plan, one after the other.

use std::collections::{BTreeMap, BTreeSet};

use super::exceptions::{Exceptions, exchange, is_exception};
use super::keys::{Common, OldAndNew};
use super::maps::{Kind, Map, Route, route};
use super::recorder::Recorder;
use super::scope::Scope;
use super::step::{Local, Phase, Plan, PlanError, Rules};
use crate::policy::regions::DIRECTIONS;
use crate::tables::{Action, Entry, Image, LookupOrder, MapError, RuleKey, Target};
use crate::terms::Verdict;

/// How much room the tables have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Enough for copies and common entries.
    Ample,
    /// None to spare: what changes closes first and opens last.
    Short,
    /// Entries above the base deny: what changes closes first, then come the denies, and the allows last.
    Ranked,
}

/// Writes the steps from `old` to `new`. Does not look at the number of entries and combinations.
pub(super) fn record(old: &Image, new: &Image, target: &Target, room: Room) -> Result<Plan, PlanError> {
    let scope = Scope::new(old, new);
    let (old_rules, new_rules) = (scope.rules(old), scope.rules(new));
    let room = match [&old_rules, &new_rules].into_iter().flatten().find(|(key, says)| is_exception(key, says)) {
        None => room,
        Some((key, _)) if target.profile.order == LookupOrder::Unordered => {
            return Err(PlanError::DenyAboveBase(key.fields()));
        }
        Some(_) => Room::Ranked,
    };
    let short = room != Room::Ample;
    let way = |kind| (kind, route(kind, [old, new], [&old_rules, &new_rules], &target.sizes, short));
    let routes: BTreeMap<Kind, Route> = Kind::ALL.into_iter().map(way).collect();
    let mut to = Recorder::new(old, old_rules, scope.rest(old), &target.sizes);

    let stale = refine(&mut to, &routes)?;
    let live: Rules = to.rules().iter().filter(|(key, _)| !stale.contains(*key)).map(|(k, c)| (*k, *c)).collect();
    let goal = expand(&new_rules, &routes);
    let closed = |key: &RuleKey| routes.iter().any(|(kind, route)| route.is_closed() && kind.id(key).is_some());
    let differs = |key: &RuleKey| live.get(key) != goal.get(key);
    let exceptions = if room == Room::Ranked {
        Exceptions::new([&live, &goal], |key| closed(key) || differs(key))?
    } else {
        Exceptions::default()
    };
    let sides = OldAndNew {
        old: &live,
        new: &goal,
        open: target.profile.no_match == Verdict::Allow,
        limit: target.profile.rules as usize,
        must_close: |key: &RuleKey| closed(key) || (short && differs(key)) || exceptions.touch(key),
    };
    let commons = DIRECTIONS.map(|direction| sides.common(direction, |kind| to.map(kind)));
    if commons.iter().any(|common| common.overflow) && !short {
        return record(old, new, target, Room::Short);
    }

    cover(&mut to, &commons);
    tighten(&mut to, &commons, &goal, short);
    loosen(&mut to, &routes, &goal)?;
    coarsen(&mut to, &routes, &goal)?;
    retire(&mut to, &new_rules);
    let closes: BTreeSet<Local> = commons.into_iter().flat_map(|common| common.closes).collect();
    Ok(to.finish(closes))
}

/// Makes the maps fine enough for both images; returns the keys that nothing reaches any more.
fn refine(to: &mut Recorder<'_>, routes: &BTreeMap<Kind, Route>) -> Result<BTreeSet<RuleKey>, MapError> {
    let mut stale = BTreeSet::new();
    for (&kind, route) in routes {
        match route {
            Route::First(map) => to.write_map(kind, map)?,
            Route::Refined { cells, through, .. } => {
                let renamed = cells.iter().filter(|cell| cell.id != cell.old).map(|cell| (cell.old, cell.id));
                copy(to, kind, &renamed.collect::<Vec<_>>(), &stale);
                to.write_map(kind, through)?;
                stale.extend(unreachable(to.rules(), kind, through));
            }
            Route::Keep | Route::Last(_) | Route::Closed(_) => {}
        }
    }
    Ok(stale)
}

/// Copies the entries under one id to another, for each pair of ids.
fn copy(to: &mut Recorder<'_>, kind: Kind, ids: &[(u16, u16)], except: &BTreeSet<RuleKey>) {
    let mut named: BTreeMap<u16, Vec<(RuleKey, Entry)>> = BTreeMap::new();
    for (key, entry) in to.rules().iter().filter(|(key, _)| !except.contains(*key)) {
        if let Some(id) = kind.id(key) {
            named.entry(id).or_default().push((*key, *entry));
        }
    }
    for (from, id) in ids {
        for (key, entry) in named.get(from).into_iter().flatten() {
            to.set(kind.with_id(key, Some(*id)), *entry);
        }
    }
}

/// The keys that name an id which no point of the map has.
fn unreachable(rules: &Rules, kind: Kind, map: &Map) -> Vec<RuleKey> {
    let ids = map.ids();
    let gone = |key: &&RuleKey| kind.id(key).is_some_and(|id| !ids.contains(&id));
    rules.keys().filter(gone).copied().collect()
}

/// The new entries, under the ids of the refined maps.
fn expand(rules: &Rules, routes: &BTreeMap<Kind, Route>) -> Rules {
    let mut rules = rules.clone();
    for (&kind, route) in routes {
        let Route::Refined { cells, .. } = route else { continue };
        let mut by_new: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
        for cell in cells {
            by_new.entry(cell.new).or_default().push(cell.id);
        }
        let under = |(key, entry): (RuleKey, Entry)| match kind.id(&key) {
            None => vec![(key, entry)],
            Some(new) => {
                let ids = by_new.get(&new).into_iter().flatten();
                ids.map(|id| (kind.with_id(&key, Some(*id)), entry)).collect()
            }
        };
        rules = rules.into_iter().flat_map(under).collect();
    }
    rules
}

/// Adds the common entries. Both images allow what they match, so no verdict changes.
fn cover(to: &mut Recorder<'_>, commons: &[Common; 2]) {
    let mut wanted: BTreeMap<RuleKey, Entry> = BTreeMap::new();
    for (direction, common) in DIRECTIONS.into_iter().zip(commons) {
        for (key, (action, counter)) in &common.allows {
            let fresh = Entry { counter: *counter, ..Entry::default() };
            let entry = wanted.entry(*key).or_insert_with(|| to.rules().get(key).copied().unwrap_or(fresh));
            if entry.action(direction).verdict() != Some(Verdict::Allow) {
                entry.set(direction, *action);
            }
        }
    }
    for (key, entry) in wanted {
        to.set(key, entry);
    }
}

/// Takes away every allow that is not common, those that nothing reaches among them, and adds the new denies.
fn tighten(to: &mut Recorder<'_>, commons: &[Common; 2], goal: &Rules, short: bool) {
    to.enter(Phase::Tighten);
    if !short {
        deny(to, goal);
    }
    for (key, entry) in to.rules().clone() {
        let mut left = entry;
        for (direction, common) in DIRECTIONS.into_iter().zip(commons) {
            if entry.action(direction).verdict() == Some(Verdict::Allow) && !common.allows.contains_key(&key) {
                left.set(direction, Action::None);
            }
        }
        to.set(key, left);
    }
    // In a full table the allows make room for the denies.
    deny(to, goal);
}

/// Adds the new base denies.
fn deny(to: &mut Recorder<'_>, goal: &Rules) {
    for (key, wanted) in goal.iter().filter(|(key, _)| key.is_base()) {
        let fresh = Entry { counter: wanted.counter, ..Entry::default() };
        let mut entry = to.rules().get(key).copied().unwrap_or(fresh);
        for direction in DIRECTIONS {
            let denies = |entry: &Entry| entry.action(direction).verdict() == Some(Verdict::Deny);
            if denies(wanted) && !denies(&entry) {
                entry.set(direction, wanted.action(direction));
            }
        }
        to.set(*key, entry);
    }
}

/// Writes the maps that no allow names meanwhile, and brings every entry of the new image to its entry: denies first.
fn loosen(to: &mut Recorder<'_>, routes: &BTreeMap<Kind, Route>, goal: &Rules) -> Result<(), MapError> {
    to.enter(Phase::Loosen);
    for (&kind, route) in routes {
        if let Route::Closed(map) = route {
            to.write_map(kind, map)?;
        }
    }
    to.settle();
    exchange(to, goal);
    let ended = |key: &&RuleKey| key.is_base() && !goal.contains_key(*key);
    for key in to.rules().keys().filter(ended).copied().collect::<Vec<_>>() {
        to.set(key, Entry::default());
    }
    for (key, entry) in goal {
        to.set(*key, *entry);
    }
    Ok(())
}

/// Removes what the new entries cover, and brings the maps to the new image's, one at a time.
fn coarsen(to: &mut Recorder<'_>, routes: &BTreeMap<Kind, Route>, goal: &Rules) -> Result<(), MapError> {
    to.enter(Phase::Coarsen);
    let covered: Vec<RuleKey> = to.rules().keys().filter(|key| !goal.contains_key(*key)).copied().collect();
    for key in covered {
        to.set(key, Entry::default());
    }
    let mut stale = BTreeSet::new();
    for (&kind, route) in routes {
        match route {
            Route::Last(map) => to.write_map(kind, map)?,
            Route::Refined { cells, last, .. } => {
                let renamed = cells.iter().filter(|cell| cell.id != cell.new).map(|cell| (cell.id, cell.new));
                copy(to, kind, &renamed.collect::<Vec<_>>(), &stale);
                to.write_map(kind, last)?;
                stale.extend(unreachable(to.rules(), kind, last));
            }
            Route::Keep | Route::First(_) | Route::Closed(_) => {}
        }
    }
    Ok(())
}

/// Removes what no frame reaches, so that the tables hold the new image and nothing else.
fn retire(to: &mut Recorder<'_>, new: &Rules) {
    to.enter(Phase::Retire);
    let rest: Vec<RuleKey> = to.rules().keys().filter(|key| !new.contains_key(*key)).copied().collect();
    for key in rest {
        to.set(key, Entry::default());
    }
    for (key, entry) in new {
        to.set(*key, *entry);
    }
}
