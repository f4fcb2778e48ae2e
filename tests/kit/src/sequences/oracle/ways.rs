//! What a step may come to, by what was promised before it and by the clocks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Oracle, Time};
use crate::sequences::documents::pool;
use crate::sequences::promise::{Chosen, Content, Promise, Waiting};
use crate::sequences::step::{Reason, Step};

/// How far a clock may be set back without anybody noticing.
const TOLERATED: Duration = Duration::from_secs(2);

/// What a step may come to, if it is done.
pub(super) struct Way {
    pub to: Promise,
    /// A change went back because nobody confirmed it.
    pub rolled: bool,
}

impl Way {
    pub fn to(to: Promise) -> Self {
        Self { to, rolled: false }
    }
}

/// What a step may come to from one promise.
#[derive(Default)]
pub(super) struct Ways {
    pub done: Vec<Way>,
    /// It may be refused for these reasons, or has to be if it may not be done.
    pub refused: Vec<Reason>,
    /// What the process that refused it found, or put right, first.
    pub attached: Vec<Promise>,
}

impl Oracle {
    /// The clock shows so much less than the last record that it cannot be believed, perhaps.
    pub(super) fn clock_is_behind(&self, at: Time) -> bool {
        self.book.last.1.since(at.wall) > TOLERATED
    }

    /// The same, certainly.
    pub(super) fn clock_is_surely_behind(&self, (from, to): (Time, Time)) -> bool {
        [from, to].iter().all(|at| self.book.last.0.since(at.wall) > TOLERATED)
    }

    /// Whether the time to confirm is over: certainly, or perhaps.
    pub(super) fn late(&self, waiting: &Waiting, process: Option<u64>, (from, to): (Time, Time)) -> (bool, bool) {
        let sees = process.is_some() && process == waiting.sees;
        let sure = from.wall.max(self.book.last.0) >= waiting.by.1 || (sees && from.now >= waiting.until.1);
        let perhaps = to.wall.max(self.book.last.1) >= waiting.by.0 || (sees && to.now >= waiting.until.0);
        (sure, perhaps || (!sees && (self.clock_is_behind(from) || self.clock_is_behind(to))))
    }

    /// The promise, and what is left of it where what waits goes back.
    pub(super) fn in_time(&self, promise: &Promise, process: Option<u64>, time: (Time, Time)) -> Vec<Way> {
        let stays = || Way::to(promise.clone());
        let Some(waiting) = &promise.waiting else { return vec![stays()] };
        let back = || Way { to: promise.taken_back(), rolled: true };
        match self.late(waiting, process, time) {
            (true, _) => vec![back()],
            (false, true) => vec![stays(), back()],
            (false, false) => vec![stays()],
        }
    }

    /// What a step may come to, with what comes before it where each call is a process of its own.
    pub(super) fn ways(&self, promise: &Promise, step: &Step, time: (Time, Time)) -> Ways {
        let calls = step.needs_process() || matches!(step, Step::Adopt { .. } | Step::Repair);
        if !self.whole || !calls {
            return self.own_ways(promise, step, time);
        }
        if self.process.is_some() {
            return match step {
                Step::Confirm | Step::Poll => self.own_ways(promise, step, time),
                _ => Ways { refused: vec![Reason::Busy], ..Ways::default() },
            };
        }
        let mut all = Ways::default();
        for start in self.starts(promise, time) {
            let ways = self.own_ways(&start.to, step, time);
            let rolled = |way: Way| Way { rolled: way.rolled || start.rolled, ..way };
            all.done.extend(ways.done.into_iter().map(rolled));
            all.refused.extend(ways.refused);
            if start.rolled {
                all.refused.push(Reason::Late);
            }
            all.attached.push(start.to);
        }
        if *step == Step::Repair {
            // What somebody else has changed is loaded again before anything is taken back.
            all.done.extend(self.own_ways(promise, step, time).done);
        }
        all
    }

    /// What the next process finds.
    pub(super) fn starts(&self, promise: &Promise, time: (Time, Time)) -> Vec<Way> {
        let mut all = self.in_time(promise, None, time);
        all.iter_mut().for_each(|way| self.sees(&mut way.to, time));
        if *promise != promise.reopened() {
            // What an interrupted change had closed is open again, as it was before.
            all.push(Way::to(promise.reopened()));
        }
        all
    }

    /// The program takes out itself what has expired, perhaps.
    fn withdraws(&self, policy: usize, (_, to): (Time, Time)) -> bool {
        let ends = pool()[policy].ends.as_ref().filter(|_| self.whole);
        ends.is_some_and(|(at, _)| to.wall.max(self.book.last.1) >= *at)
    }

    fn own_ways(&self, promise: &Promise, step: &Step, time: (Time, Time)) -> Ways {
        let mut ways = Ways::default();
        let content = &promise.content;
        let stays = |content: Content| Promise { content, ..promise.clone() };
        let behind = self.clock_is_behind(time.0) || self.clock_is_behind(time.1);
        let surely = self.clock_is_surely_behind(time);
        match step {
            Step::Apply { policy, confirm } => {
                if promise.waiting.is_some() {
                    ways.refused.push(Reason::Waits);
                    return ways;
                }
                let next = content.next(Chosen::of(*policy));
                let waiting = confirm.map(|seconds| self.waiting(promise, seconds, time));
                if behind && (!closes(content, *policy) || reopens(promise, *policy)) {
                    ways.refused.push(Reason::Clock);
                }
                if surely && next.passes() & !promise.passes() != 0 {
                    return ways;
                }
                if self.withdraws(*policy, time) {
                    let next = content.next(Chosen { policy: *policy, withdrawn: true });
                    ways.done(Promise { waiting: waiting.clone(), ..Promise::of(next) });
                }
                ways.done(Promise { waiting, ..Promise::of(next) });
            }
            Step::Reserve { container, addresses, mac } => {
                if addresses.iter().any(|ip| content.holder(*ip, *container).is_some()) {
                    ways.refused.push(Reason::Held);
                    return ways;
                }
                let mut next = content.clone();
                let kept = next.kept.entry(*container).or_default();
                kept.ips.extend(addresses);
                kept.mac |= mac;
                ways.done(stays(next.settled()));
            }
            Step::Release { container } => {
                let mut next = content.clone();
                if next.kept.remove(container).is_none() {
                    ways.refused.push(Reason::Nothing);
                    return ways;
                }
                if behind {
                    ways.refused.push(Reason::Clock);
                }
                if !surely {
                    ways.done(stays(next));
                }
            }
            Step::Rollback { back } => {
                let Some((_, then)) =
                    self.change(*back).and_then(|n| self.book.history.iter().find(|(of, _)| *of == n))
                else {
                    return ways;
                };
                ways.done(promise.gone_back(then));
            }
            Step::Withdraw => {
                let ends = pool()[content.chosen.policy].ends.as_ref().filter(|_| !content.chosen.withdrawn);
                let (from, to) = (time.0.wall.max(self.book.last.0), time.1.wall.max(self.book.last.1));
                let sure = ends.as_ref().is_some_and(|(at, _)| from >= *at);
                let perhaps = ends.as_ref().is_some_and(|(at, _)| to >= *at);
                if perhaps && promise.waiting.is_some() {
                    ways.refused.push(Reason::Waits);
                } else if perhaps {
                    let chosen = Chosen { withdrawn: true, ..content.chosen };
                    let next = content.next(chosen);
                    ways.done(Promise::of(next));
                }
                // A rule that nobody has takes no command to take out.
                if !sure || content.policy().binds.is_empty() {
                    ways.done(promise.clone());
                }
            }
            Step::Confirm => {
                let Some(waiting) = &promise.waiting else {
                    ways.refused.push(Reason::Nothing);
                    return ways;
                };
                let (sure, perhaps) = self.late(waiting, self.process, time);
                if perhaps {
                    ways.refused.extend([Reason::Late, Reason::Clock]);
                }
                let sees = self.process.is_some() && self.process == waiting.sees;
                if !sure && (sees || !surely) {
                    ways.done(Promise { waiting: None, ..promise.clone() });
                }
            }
            Step::Adopt { policy } => {
                if behind {
                    ways.refused.push(Reason::Clock);
                }
                if !surely {
                    let withdrawn =
                        self.withdraws(*policy, time).then_some(Chosen { policy: *policy, withdrawn: true });
                    for chosen in withdrawn.into_iter().chain([Chosen::of(*policy)]) {
                        ways.done(Promise::of(content.next(chosen)));
                        if self.book.left || self.half {
                            // Whoever emptied it has given everything back; and an adoption before may not have begun.
                            ways.done(Promise::of(Content { kept: BTreeMap::new(), ..content.next(chosen) }));
                        }
                    }
                }
            }
            Step::Repair => {
                ways.done(promise.reopened());
                ways.done(promise.clone());
                ways.done.iter_mut().for_each(|way| self.sees(&mut way.to, time));
                if behind {
                    // It cannot know how late what waits is.
                    ways.done(promise.reopened());
                    ways.done(promise.clone());
                }
            }
            Step::Start => ways.done = self.starts(promise, time),
            Step::Poll => ways.done = self.in_time(promise, self.process, time),
            _ => ways.done(promise.clone()),
        }
        ways
    }

    /// A process begins that sees when the time is over, whatever the date.
    fn sees(&self, promise: &mut Promise, (from, to): (Time, Time)) {
        let Some(waiting) = &mut promise.waiting else { return };
        let (early, late) = (to.wall.max(self.book.last.1), from.wall.max(self.book.last.0));
        waiting.until = (from.now + waiting.by.0.since(early), to.now + waiting.by.1.since(late));
        waiting.sees = Some(self.processes + 1);
    }

    fn waiting(&self, before: &Promise, seconds: u32, (from, to): (Time, Time)) -> Waiting {
        let time = Duration::from_secs(seconds.into());
        Waiting {
            by: (from.wall.after(time), to.wall.max(self.book.last.1).after(time)),
            until: (from.now + time, to.now + time),
            sees: Some(self.process.unwrap_or(self.processes + 1)),
            back: Box::new(before.clone()),
        }
    }
}

impl Ways {
    fn done(&mut self, to: Promise) {
        self.done.push(Way::to(to));
    }
}

/// A policy that only closes: it lets no bound address through, nobody's not more than before, and ARP of no other container.
fn closes(content: &Content, policy: usize) -> bool {
    let next = &pool()[policy];
    if next.binds.iter().any(|(who, _)| content.policy().addresses(*who).is_none()) {
        return false;
    }
    next.document.policies.iter().all(|policy| policy.rules.is_empty())
        && (next.document.unbound == nicfw::terms::Verdict::Deny
            || content.policy().document.unbound == nicfw::terms::Verdict::Allow)
}

/// A policy that binds a container which an error had closed, or one of its addresses: ARP that the probes do not see opens
/// with it. Addresses without a name that an error had closed open with any change.
fn reopens(promise: &Promise, policy: usize) -> bool {
    let was = promise.content.policy();
    let bound = |who: &u8| {
        let ips = was.addresses(*who).unwrap_or_default();
        pool()[policy].binds.iter().any(|(next, next_ips)| next == who || next_ips.iter().any(|ip| ips.contains(ip)))
    };
    promise.shut.iter().any(bound) || promise.nameless != 0
}
