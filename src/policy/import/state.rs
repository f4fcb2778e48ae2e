//! Connection states to `replies`, and one order for the rules of both directions.
//!
//! What is kept of a stateful list is how it judges a new connection. A rule that accepts ESTABLISHED for all flows splits
//! the list of its direction in two: the denies before it also stop replies, those behind it do not. So the document has
//! the rules before such places first and those behind them last, and the other direction's allows say `replies: yes`.
//!
//! A document has one order, so of two allows and denies of different directions that must each come first only one can.
//! The deny stays first then, and the replies are given up.

use super::report::{Effect, Report};
use super::rules::{Flat, Match, State};
use super::{ImportError, Settings};
use crate::tables::{Direction, Verdict};

/// Pairs of an allow and a deny that are compared; beyond, they are taken to meet.
const MOST_PAIRS: usize = 1 << 22;

/// A rule at its place in the document.
#[derive(Debug)]
pub(super) struct Placed {
    pub flat: Flat,
    pub direction: Direction,
    pub replies: bool,
}

/// The list of one direction, split at the rule that accepts ESTABLISHED alone.
#[derive(Debug)]
pub(super) struct Split {
    before: Vec<Flat>,
    behind: Vec<Flat>,
    /// There is such a rule. Else all rules are `before`.
    established: bool,
}

/// Both lists as they are: each direction is decided by its own.
pub(super) fn stateless(rx: Vec<Flat>, tx: Vec<Flat>) -> Vec<Placed> {
    let at = |direction| move |flat| Placed { flat, direction, replies: false };
    rx.into_iter().map(at(Direction::Rx)).chain(tx.into_iter().map(at(Direction::Tx))).collect()
}

impl Split {
    /// Splits a list; `all` are the packets of the direction.
    pub fn new(flats: Vec<Flat>, all: &Match, settings: &Settings, report: &mut Report) -> Result<Self, ImportError> {
        let accepts_all = |flat: &Flat| {
            flat.verdict == Verdict::Allow && flat.when.state.has(State::ESTABLISHED) && flat.when.stateless() == *all
        };
        let whole = flats.iter().position(accepts_all);
        let at = whole.filter(|at| flats.get(*at).is_some_and(|flat| !flat.when.state.has(State::NEW)));
        let mut split = Self { before: Vec::new(), behind: Vec::new(), established: at.is_some() };
        for (i, flat) in flats.iter().enumerate() {
            let behind = at.is_some_and(|at| i > at);
            if at == Some(i) {
                related(flat, report);
            } else if kept(&flats, i, whole, behind, settings, report)? {
                if behind { split.behind.push(flat.clone()) } else { split.before.push(flat.clone()) }
            }
        }
        if split.established {
            // What no rule matches is denied anyway; as rules they would only stand in the way of replies.
            let last_allow = split.behind.iter().rposition(|flat| flat.verdict == Verdict::Allow);
            split.behind.truncate(last_allow.map_or(0, |last| last + 1));
        }
        Ok(split)
    }

    /// Whether replies to allows of this direction meet denies of the other, which must come first.
    fn has_conflict(&self, other: &Self) -> bool {
        other.established && allows(&self.before).any(|allow| meets(allow, self.before.len(), &other.before))
    }
}

/// Whether a rule says something about new connections; reports what it loses.
fn kept(
    flats: &[Flat],
    i: usize,
    whole: Option<usize>,
    behind: bool,
    settings: &Settings,
    report: &mut Report,
) -> Result<bool, ImportError> {
    let Some(flat) = flats.get(i) else { return Ok(false) };
    let state = flat.when.state;
    let (new, established) = (state.has(State::NEW), state.has(State::ESTABLISHED));
    if flat.verdict == Verdict::Deny {
        return deny_kept(flat, behind, settings, report);
    }
    let reason = match (new, established) {
        (true, true) => return Ok(true),
        (true, false) if followed(flats, i, whole) => {
            report.state();
            return Ok(true);
        }
        (true, false) => "new connections are accepted, but not what follows in them",
        (false, true) if behind && !state.has(State::RELATED) => return Ok(false),
        (false, true) => {
            "established connections are accepted for some flows alone: replies cannot be confined to them"
        }
        (false, false) => "the adapter does not see connection states",
    };
    report.line(&flat.place, Effect::LeftOut, reason);
    Ok(false)
}

fn deny_kept(flat: &Flat, behind: bool, settings: &Settings, report: &mut Report) -> Result<bool, ImportError> {
    let state = flat.when.state;
    match (state.has(State::NEW), state.has(State::ESTABLISHED)) {
        (true, true) => {}
        (true, false) if behind => {}
        (true, false) => {
            report.line(&flat.place, Effect::RepliesDenied, "a deny of new connections alone also denies replies");
        }
        (false, true) => {
            report.line(&flat.place, Effect::DeniesMore, "a deny of established connections also denies new ones");
        }
        (false, false) if settings.accept_stateless => {
            report.line(&flat.place, Effect::StateNotSeen, "the adapter does not see connection states");
            return Ok(false);
        }
        (false, false) => {
            return Err(ImportError::State { line: flat.place.line, text: flat.place.text.to_string() });
        }
    }
    Ok(true)
}

/// Whether the packets after the first of a connection that rule `i` accepts are accepted by the rule at `whole`.
fn followed(flats: &[Flat], i: usize, whole: Option<usize>) -> bool {
    let Some(whole) = whole else { return false };
    let Some(flat) = flats.get(i) else { return false };
    let stops = |between: &Flat| {
        between.verdict == Verdict::Deny
            && between.when.state.has(State::ESTABLISHED)
            && between.when.stateless().intersect(&flat.when.stateless()).is_some()
    };
    !flats.iter().take(whole).skip(i).any(stops)
}

fn related(flat: &Flat, report: &mut Report) {
    report.state();
    if flat.when.state.has(State::RELATED) {
        let reason = "related packets (errors by ICMP, data connections) cannot be told from others; established \
                      ones are carried as replies";
        report.line(&flat.place, Effect::LeftOut, reason);
    }
}

/// One order for both directions.
pub(super) fn place(rx: Split, tx: Split, report: &mut Report) -> Vec<Placed> {
    let mut placed = Vec::new();
    let replies = |direction| if direction == Direction::Rx { tx.established } else { rx.established };
    // The denies that come first must also stop the replies of the other direction.
    let tx_first = rx.has_conflict(&tx) && !tx.has_conflict(&rx);
    let both = [(Direction::Rx, &rx), (Direction::Tx, &tx)];
    let [first, second] = if tx_first { [both[1], both[0]] } else { both };
    for flat in &first.1.before {
        let wanted = replies(first.0) && flat.verdict == Verdict::Allow;
        let stopped = wanted && meets(flat, first.1.before.len(), &second.1.before);
        if stopped {
            give_up(flat, report);
        }
        placed.push(Placed { flat: flat.clone(), direction: first.0, replies: wanted && !stopped });
    }
    for flat in &second.1.before {
        placed.push(Placed { flat: flat.clone(), direction: second.0, replies: replies(second.0) });
    }
    let denies = |split: &Split| split.behind.iter().any(|flat| flat.verdict == Verdict::Deny);
    let [first, second] = if denies(&rx) && !denies(&tx) { [both[1], both[0]] } else { both };
    for flat in &first.1.behind {
        placed.push(Placed { flat: flat.clone(), direction: first.0, replies: replies(first.0) });
    }
    for flat in &second.1.behind {
        let wanted = replies(second.0);
        if wanted && flat.verdict == Verdict::Allow && meets(flat, second.1.behind.len(), &first.1.behind) {
            give_up(flat, report);
        }
        placed.push(Placed { flat: flat.clone(), direction: second.0, replies: wanted });
    }
    placed
}

fn give_up(flat: &Flat, report: &mut Report) {
    let reason = "denies of the other direction stand before the replies, and one order cannot say both";
    report.line(&flat.place, Effect::RepliesDenied, reason);
}

/// Whether replies to an allow meet a deny of the other direction.
fn meets(allow: &Flat, allows: usize, others: &[Flat]) -> bool {
    let mut denies = others.iter().filter(|flat| flat.verdict == Verdict::Deny);
    if allows.saturating_mul(others.len()) > MOST_PAIRS {
        return denies.next().is_some();
    }
    let replies = allow.when.mirrored().stateless();
    denies.any(|deny| deny.when.stateless().intersect(&replies).is_some())
}

fn allows(flats: &[Flat]) -> impl Iterator<Item = &Flat> {
    flats.iter().filter(|flat| flat.verdict == Verdict::Allow)
}
