//! Connection states to `replies`, and one order for the rules of both directions.
//!
//! What is kept of a stateful list is how it judges a new connection. A rule that accepts ESTABLISHED without NEW accepts the
//! replies to those allows of the other direction whose mirrored flows reach it: they say `replies: yes`. A deny of the list
//! before that rule must stop such replies, so it stands before the allow in the document; a deny behind it must not, so it
//! stands behind. A deny of NEW alone becomes a deny of all, which would stop replies that a later rule accepts: they are kept
//! in the same way.
//!
//! A document has one order, so of two allows and denies of different directions that must each come first only one can.
//! The deny stays first then, and the replies are given up.

use super::cover::{Cover, cover};
use super::report::{Effect, Report};
use super::rules::{Flat, Match, Protos, State};
use super::{ImportError, Settings};
use crate::terms::{Direction, Verdict};

/// Pairs of an allow and a deny that are compared; beyond, they are taken to meet.
const MOST_PAIRS: usize = 1 << 22;
/// Rules that both lists may become.
const MOST_RULES: usize = 1 << 16;
/// Denies of what begins by which the replies behind them are told apart; beyond, they are kept together.
const MOST_DENIED: usize = 16;

/// A rule at its place in the document.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub flat: Flat,
    pub direction: Direction,
    pub replies: bool,
}

/// A rule that is kept, before it has its place.
struct Kept {
    flat: Flat,
    /// Where it stands in its list.
    at: usize,
    /// Of an allow: where the other list accepts the replies.
    replies: Option<usize>,
    /// Rules of the other list that must come before: all before this one.
    needs: usize,
    /// Of a deny: allows of the other list whose replies it must not stop, in rising order.
    spares: Vec<usize>,
}

/// Both lists as they are: each direction is decided by its own.
pub(super) fn stateless(rx: Vec<Flat>, tx: Vec<Flat>) -> Vec<Placed> {
    let at = |direction| move |flat| Placed { flat, direction, replies: false };
    rx.into_iter().map(at(Direction::Rx)).chain(tx.into_iter().map(at(Direction::Tx))).collect()
}

/// One list for both directions, without states.
pub(super) fn place(
    rx: &[Flat],
    tx: &[Flat],
    settings: &Settings,
    report: &mut Report,
) -> Result<Vec<Placed>, ImportError> {
    let mut covers = (vec![false; rx.len()], vec![false; tx.len()]);
    let mut rx_kept = kept(rx, tx, &mut covers.1, settings, report)?;
    let mut tx_kept = kept(tx, rx, &mut covers.0, settings, report)?;
    established(rx, &covers.0, report);
    established(tx, &covers.1, report);
    needs(&mut rx_kept, &mut tx_kept);
    needs(&mut tx_kept, &mut rx_kept);
    passed(&rx_kept, &tx_kept, report);
    passed(&tx_kept, &rx_kept, report);
    trim(&mut rx_kept, rx);
    trim(&mut tx_kept, tx);
    Ok(merged(rx_kept, tx_kept, report))
}

/// True for the rules that accept what goes on, and not what begins.
fn goes_on(flat: &Flat) -> bool {
    flat.verdict == Verdict::Allow && flat.when.state.has(State::ESTABLISHED) && !flat.when.state.has(State::NEW)
}

/// True for the rules that deny what begins, and not what goes on.
fn begins(flat: &Flat) -> bool {
    flat.verdict == Verdict::Deny && flat.when.state.has(State::NEW) && !flat.when.state.has(State::ESTABLISHED)
}

/// What a list says about new connections, with the replies that the other list accepts; marks in `used` what accepts them.
fn kept(
    list: &[Flat],
    other: &[Flat],
    used: &mut [bool],
    settings: &Settings,
    report: &mut Report,
) -> Result<Vec<Kept>, ImportError> {
    let mut kept = Vec::new();
    for (at, flat) in list.iter().enumerate() {
        let parts = match flat.verdict {
            Verdict::Deny if deny_kept(list, at, settings, report)? => vec![flat.clone()],
            Verdict::Deny => Vec::new(),
            Verdict::Allow => allow_kept(list, at, report),
        };
        for part in parts {
            if kept.len() >= MOST_RULES {
                return Err(ImportError::TooMany {
                    line: flat.place.line,
                    what: "rules with replies",
                    max: MOST_RULES,
                });
            }
            if part.verdict == Verdict::Deny {
                kept.push(Kept { flat: part, at, replies: None, needs: 0, spares: Vec::new() });
            } else {
                answered(part, at, other, used, &mut kept, report);
            }
        }
    }
    Ok(kept)
}

/// An allow, in as many parts as its replies are accepted by different rules.
fn answered(allow: Flat, at: usize, other: &[Flat], used: &mut [bool], kept: &mut Vec<Kept>, report: &mut Report) {
    let all = allow.when.mirrored().stateless();
    let Cover { parts, cut, .. } = cover(other, &all);
    if cut {
        let reason = "more rules of the other direction accept the replies than are looked at";
        report.line(&allow.place, Effect::RepliesDenied, reason);
    }
    let mut mark = |k: usize| {
        if let Some(used) = used.get_mut(k) {
            *used = true;
        }
    };
    let one = |flat: Flat, replies| Kept { flat, at, replies, needs: 0, spares: Vec::new() };
    let of_replies: Vec<_> = parts.into_iter().flat_map(|(k, part)| only_replies(other, k, part)).collect();
    let last = of_replies.iter().find(|(_, part)| *part == Match { sides: part.sides, ..all.clone() }).map(|(k, _)| *k);
    for (k, part) in of_replies {
        mark(k);
        if last == Some(k) {
            break;
        }
        // Where nothing is denied between, the rule for all says the same of this part.
        let between = last.and_then(|last| other.get(k..last)).unwrap_or_default();
        let stops = |flat: &Flat| flat.verdict == Verdict::Deny && flat.when.state.has(State::ESTABLISHED);
        if last.is_some() && !between.iter().any(stops) {
            continue;
        }
        if let Some(when) = allow.when.intersect(&part.mirrored()) {
            kept.push(one(Flat { when, ..allow.clone() }, Some(k)));
        }
    }
    kept.push(one(allow, last));
}

/// Those packets of a part which rule `k` accepts as replies, and which the document would deny as the first of a connection.
fn only_replies(list: &[Flat], k: usize, part: Match) -> Vec<(usize, Match)> {
    if list.get(k).is_some_and(goes_on) {
        return vec![(k, part)];
    }
    let before = list.get(..k).unwrap_or_default();
    let denied: Vec<_> =
        before.iter().filter(|flat| begins(flat)).filter_map(|flat| flat.when.stateless().intersect(&part)).collect();
    if denied.len() > MOST_DENIED {
        return vec![(k, part)];
    }
    denied.into_iter().map(|denied| (k, denied)).collect()
}

/// The parts of an allow that begin connections which are accepted on and on; reports the rest.
fn allow_kept(list: &[Flat], at: usize, report: &mut Report) -> Vec<Flat> {
    let Some(flat) = list.get(at) else { return Vec::new() };
    let state = flat.when.state;
    match (state.has(State::NEW), state.has(State::ESTABLISHED)) {
        (true, true) => return vec![flat.clone()],
        (true, false) => {}
        (false, true) => return Vec::new(),
        (false, false) => {
            report.line(&flat.place, Effect::LeftOut, "the adapter does not see connection states");
            return Vec::new();
        }
    }
    let Cover { parts, whole, .. } = cover(list, &flat.when.stateless());
    let stops = |between: &Flat| {
        between.verdict == Verdict::Deny
            && between.when.state.has(State::ESTABLISHED)
            && between.when.stateless().intersect(&flat.when.stateless()).is_some()
    };
    // A deny between the two stops what the first one began.
    let followed = |k: usize| !list.get(at..k).unwrap_or_default().iter().any(stops);
    if whole.is_some_and(followed) {
        report.state();
        return vec![flat.clone()];
    }
    let parts: Vec<_> = parts.into_iter().filter(|(k, _)| followed(*k)).collect();
    if !parts.is_empty() {
        report.state();
    }
    report.line(&flat.place, Effect::LeftOut, "new connections are accepted, but not what follows in them");
    let part = |(_, part): (usize, Match)| Some(Flat { when: flat.when.intersect(&part)?, ..flat.clone() });
    parts.into_iter().filter_map(part).collect()
}

fn deny_kept(list: &[Flat], at: usize, settings: &Settings, report: &mut Report) -> Result<bool, ImportError> {
    let Some(flat) = list.get(at) else { return Ok(false) };
    let state = flat.when.state;
    match (state.has(State::NEW), state.has(State::ESTABLISHED)) {
        (true, _) => {
            let spared = state.complement() & State::ESTABLISHED.complement();
            let accepts = |later: &Flat| {
                later.verdict == Verdict::Allow
                    && later.when.state.has(State::NEW)
                    && later.when.state.has(spared)
                    && later.when.stateless().intersect(&flat.when.stateless()).is_some()
            };
            if list.get(at + 1..).unwrap_or_default().iter().any(accepts) {
                let reason = "a deny of new connections also denies packets that are related, invalid or not tracked";
                report.line(&flat.place, Effect::DeniesMore, reason);
            }
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

/// Reports what is lost of the rules that accept what goes on.
fn established(list: &[Flat], used: &[bool], report: &mut Report) {
    if used.contains(&true) {
        report.state();
    }
    for (flat, used) in list.iter().zip(used).filter(|(flat, _)| goes_on(flat)) {
        if flat.when.state.has(State::RELATED) {
            let reason = "related packets (errors by ICMP, data connections) cannot be told from others; established \
                          ones are carried as replies";
            report.line(&flat.place, Effect::LeftOut, reason);
        } else if !used {
            let reason = "no allow of the other direction has replies that only this rule accepts";
            report.line(&flat.place, Effect::NoVerdict, reason);
        }
    }
}

/// Sets what must come before the allows and denies of both lists because of the replies to the allows of the first.
fn needs(allows: &mut [Kept], denies: &mut [Kept]) {
    let count = allows.iter().filter(|allow| allow.replies.is_some()).count();
    let many =
        count.saturating_mul(denies.iter().filter(|deny| deny.flat.verdict == Verdict::Deny).count()) > MOST_PAIRS;
    for (a, allow) in allows.iter_mut().enumerate() {
        let Some(k) = allow.replies else { continue };
        let replies = allow.flat.when.mirrored().stateless();
        for (d, deny) in denies.iter_mut().enumerate().filter(|(_, deny)| deny.flat.verdict == Verdict::Deny) {
            if !many && deny.flat.when.stateless().intersect(&replies).is_none() {
                continue;
            }
            if deny.at < k && deny.flat.when.state.has(State::ESTABLISHED) {
                allow.needs = d + 1;
            } else {
                deny.spares.push(a);
            }
        }
    }
}

/// Reports denies of protocols without ports that stand wholly behind the replies to an allow: the adapter cannot tell one
/// from the other.
fn passed(allows: &[Kept], denies: &[Kept], report: &mut Report) {
    for deny in denies {
        let Protos::Of(numbers) = &deny.flat.when.protos else { continue };
        if numbers.iter().any(|number| super::super::document::Proto::has_ports(*number)) {
            continue;
        }
        let when = deny.flat.when.stateless();
        let spared = deny.spares.iter().filter_map(|a| allows.get(*a));
        let hidden = |allow: &&Kept| when.intersect(&allow.flat.when.mirrored().stateless()).as_ref() == Some(&when);
        if let Some(allow) = spared.into_iter().find(hidden) {
            let place = &allow.flat.place;
            let by = match (place.handle, place.line) {
                (Some(handle), _) => format!("handle {handle}"),
                (None, 0) => "what no rule decides".to_owned(),
                (None, line) => format!("line {line}"),
            };
            let reason =
                format!("the adapter cannot tell what is denied from replies to what {by} allows, and these pass");
            report.line(&deny.flat.place, Effect::RepliesPass, &reason);
        }
    }
}

/// What no rule matches is denied anyway; as rules, denies at the end would only stand in the way of replies.
fn trim(kept: &mut Vec<Kept>, list: &[Flat]) {
    let Some(last) = list.iter().rposition(goes_on) else { return };
    while kept.pop_if(|kept| kept.flat.verdict == Verdict::Deny && kept.at > last).is_some() {}
}

/// Both lists in one, each in its own order.
fn merged(mut rx: Vec<Kept>, mut tx: Vec<Kept>, report: &mut Report) -> Vec<Placed> {
    let (mut i, mut j) = (0, 0);
    let mut placed = Vec::new();
    let put = |kept: &Kept, direction| Placed { flat: kept.flat.clone(), direction, replies: kept.replies.is_some() };
    let allows = |list: &[Kept], at: usize| list.get(at).is_some_and(|kept| kept.flat.verdict == Verdict::Allow);
    loop {
        if ready(&mut rx, i, &tx, j) {
            placed.extend(rx.get(i).map(|kept| put(kept, Direction::Rx)));
            i += 1;
        } else if ready(&mut tx, j, &rx, i) {
            placed.extend(tx.get(j).map(|kept| put(kept, Direction::Tx)));
            j += 1;
        } else if i >= rx.len() && j >= tx.len() {
            return placed;
        } else if allows(&rx, i) || (i < rx.len() && !allows(&tx, j)) {
            release(&mut rx, i, &mut tx, j, report);
        } else {
            release(&mut tx, j, &mut rx, i, report);
        }
    }
}

/// Whether all that must come before a rule has its place.
fn ready(own: &mut [Kept], at: usize, other: &[Kept], next: usize) -> bool {
    let Some(kept) = own.get_mut(at) else { return false };
    let waits = |allow: &usize| *allow >= next && other.get(*allow).is_some_and(|allow| allow.replies.is_some());
    while kept.spares.pop_if(|allow| !waits(allow)).is_some() {}
    kept.spares.is_empty() && (kept.replies.is_none() || kept.needs <= next)
}

/// Gives up the replies that keep a rule from its place.
fn release(own: &mut [Kept], at: usize, other: &mut [Kept], next: usize, report: &mut Report) {
    let Some(kept) = own.get_mut(at) else { return };
    if kept.replies.is_some() {
        give_up(kept, report);
    }
    for allow in std::mem::take(&mut kept.spares).into_iter().filter(|allow| *allow >= next) {
        if let Some(allow) = other.get_mut(allow).filter(|allow| allow.replies.is_some()) {
            give_up(allow, report);
        }
    }
}

fn give_up(allow: &mut Kept, report: &mut Report) {
    allow.replies = None;
    let reason = "denies of the other direction stand before the replies, and one order cannot say both";
    report.line(&allow.flat.place, Effect::RepliesDenied, reason);
}
