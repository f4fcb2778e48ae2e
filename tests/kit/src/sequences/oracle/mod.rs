//! Whether what was said is so. It keeps a book of what people were told and asks the model which flows pass; it knows
//! nothing of tables, plans or records.
//!
//! The sentences, after each step:
//!
//! 1. What an answer says is there is there: a policy that was applied, addresses that were closed, what a refusal left.
//! 2. While something is done nothing passes that neither the state before it nor the one after it lets through; what both
//!    let through is not dropped, but for containers that the plan announced.
//! 3. Wherever a process dies, the next one finds the state before or the one after what was under way, whole; the one
//!    after it if that was acknowledged.
//! 4. What waits for a confirmation stays exactly if somebody confirmed it before its time was over, by the later of clock
//!    and last record; a clock that shows less than the last record confirms nothing.
//! 5. An audit finds nothing exactly if nobody else has written rules, no management controller has rebooted, and the
//!    adapter shows what was promised.
//! 6. What may be refused is refused for its reason only; reserving, and a policy that only closes, never for the clock.
//! 7. A reboot shows what was said to be committed.

mod ways;

use std::collections::BTreeSet;
use std::time::Duration;

use nicfw::clock::Timestamp;

use crate::sequences::probes::{Mask, all, told};
use crate::sequences::promise::{Content, Promise, Waiting};
use crate::sequences::step::{Foreign, Holds, Reason, Said, Step, Told};
use ways::Way;

/// What the clocks show.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    pub wall: Timestamp,
    pub now: Duration,
}

/// What goes wrong in a step, as whoever arranged it knows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trouble {
    /// Something was to go wrong.
    pub armed: bool,
    /// The management controller has rebooted.
    pub rebooted: bool,
}

/// What the adapter shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// What was promised.
    Promised,
    /// What it showed last, whatever was promised.
    Frozen,
    /// Nothing but this.
    Within(Mask),
}

#[derive(Clone)]
struct Book {
    /// What may have been promised; empty = nothing.
    promises: BTreeSet<Promise>,
    /// Changes that were told, by number.
    history: Vec<(u64, Promise)>,
    /// The date of the last record: certainly not before the first, certainly not after the second.
    last: (Timestamp, Timestamp),
    /// Somebody has left the adapter, and the journal says so.
    left: bool,
}

pub struct Oracle {
    book: Book,
    copy: Option<Book>,
    shows: Shows,
    /// What passed when it was looked at last.
    was: Mask,
    /// What a reboot may show.
    cached: BTreeSet<Mask>,
    /// Number of the process that runs.
    process: Option<u64>,
    processes: u64,
    /// Something has happened to the adapter that is not in the journal.
    amiss: bool,
    /// Somebody else has written rules since the journal was believed.
    foreign: bool,
    /// A command had no answer.
    doubt: bool,
    /// The counter pairs that the journal tells are others' by now: it is an older copy, or somebody else took over.
    old: bool,
    /// Something has gone wrong in this process: it may ask for another one.
    worn: bool,
    /// Something was left half done, and nobody has put it right.
    half: bool,
    /// Each call is a process of its own, which goes on where the last one stopped, and takes leave.
    whole: bool,
}

impl Oracle {
    /// About an adapter that nobody has taken over, which shows this.
    pub fn new(was: Mask, wall: Timestamp, whole: bool) -> Self {
        let promises = BTreeSet::new();
        Self {
            book: Book { promises, history: Vec::new(), last: (Timestamp(0), wall), left: false },
            copy: None,
            shows: Shows::Frozen,
            was,
            cached: BTreeSet::from([was]),
            process: None,
            processes: 0,
            amiss: false,
            foreign: false,
            doubt: false,
            old: false,
            worn: false,
            half: false,
            whole,
        }
    }

    /// How many changes can be gone back to.
    pub fn change(&self, back: usize) -> Option<u64> {
        let count = self.book.history.len();
        Some(self.book.history[(count.checked_sub(1)?).checked_sub(back % count)?].0)
    }

    /// What may pass while a step goes on, and what both before and after it let through.
    pub fn during(&self, step: &Step, time: (Time, Time), armed_reboot: bool) -> (Mask, Mask) {
        let now = match self.shows {
            Shows::Within(may) => may,
            Shows::Promised | Shows::Frozen => self.was,
        };
        let (mut may, mut must) = (now, now);
        let none = BTreeSet::from([Promise::of(Content::of(0))]);
        let promises = if self.book.promises.is_empty() { &none } else { &self.book.promises };
        for promise in promises {
            let known = !self.book.promises.is_empty();
            if known && (self.amiss || self.doubt) {
                may |= promise.passes();
            }
            let ways = self.ways(promise, step, time);
            may |= ways.attached.iter().fold(0, |mask, found| mask | found.passes());
            for way in ways.done {
                may |= way.to.passes();
                must &= way.to.passes();
            }
        }
        if armed_reboot || self.amiss {
            may |= self.cached.iter().fold(0, |mask, one| mask | one);
        }
        if *step == (Step::Leave { open: true }) {
            may = all();
        }
        let calm = matches!(self.shows, Shows::Promised) && !self.amiss && !self.doubt && !armed_reboot;
        let live = matches!(step, Step::Apply { .. } | Step::Reserve { .. } | Step::Release { .. } | Step::Withdraw);
        (may, if calm && live { must } else { 0 })
    }

    /// # Errors
    /// The sentence that does not hold.
    pub fn after(
        &mut self,
        step: &Step,
        said: &Said,
        seen: Mask,
        time: (Time, Time),
        trouble: Trouble,
    ) -> Result<(), String> {
        let (may, _) = self.during(step, time, trouble.rebooted);
        // What is put right first may be committed before what follows.
        let of = |promise: &Promise| self.ways(promise, step, time).attached;
        let first: Vec<Mask> = self.book.promises.iter().flat_map(of).map(|found| found.passes()).collect();
        self.cached.extend(first);
        if *step == (Step::Leave { open: true }) && matches!(said, Said::Refused { .. } | Said::Died) {
            // It may have been emptied and committed before it failed; the block ends with a reboot.
            self.cached.insert(all());
        }
        let was = self.was;
        let held = self.held(step, said, seen, time, trouble, may);
        self.was = seen;
        let waits = matches!((step, said), (Step::Apply { confirm: Some(_), .. }, Said::Done(_)));
        let own = step.needs_process() || matches!(step, Step::Adopt { .. } | Step::Repair);
        let busy = matches!(said, Said::Refused { reason: Reason::Busy, .. });
        // Whoever waits goes on waiting.
        let late = *step == Step::Confirm && matches!(said, Said::Refused { .. });
        if self.whole && own && !waits && !busy && !late {
            self.dies();
        }
        held.map_err(|sentence| {
            let (more, less) = (seen & !was, was & !seen);
            format!("{sentence}\n  said: {said:?}\n  opened: {}\n  closed: {}", told(more), told(less))
        })
    }

    fn held(
        &mut self,
        step: &Step,
        said: &Said,
        seen: Mask,
        time: (Time, Time),
        trouble: Trouble,
        may: Mask,
    ) -> Result<(), String> {
        match (step, said) {
            (Step::Arm { .. } | Step::Pass { .. } | Step::SetClock { .. } | Step::Explain { .. }, _)
            | (_, Said::Nothing) => self.same(seen, trouble),
            (Step::Copy, Said::Done(_)) => {
                self.copy = Some(self.book.clone());
                self.same(seen, trouble)
            }
            (Step::PutBack, _) => {
                self.dies();
                self.book = self.copy.clone().ok_or("a copy")?;
                self.same(seen, trouble)?;
                (self.shows, self.amiss, self.foreign, self.old) = (self.frozen(), true, true, true);
                Ok(())
            }
            (Step::Stop, Said::Done(Told { rolled_back: Some(true), .. })) => {
                // The program that waited was stopped, and has taken the change back.
                self.book.promises = self.book.promises.iter().map(Promise::taken_back).collect();
                self.dies();
                self.cached.insert(seen);
                if self.book.promises.iter().any(|promise| promise.passes() == seen) {
                    Ok(())
                } else {
                    Err("1: what is said to be taken back is not".into())
                }
            }
            (Step::Crash { .. } | Step::Stop, _) => {
                self.dies();
                self.same(seen, trouble)
            }
            (Step::Reboot, _) => {
                self.amiss = true;
                self.shows = Shows::Frozen;
                if self.cached.contains(&seen) { Ok(()) } else { Err("7: it shows what nobody committed".into()) }
            }
            (Step::Foreign { what }, _) => {
                (self.amiss, self.foreign, self.shows) = (true, true, Shows::Frozen);
                if matches!(what, Foreign::TakeOver(_)) {
                    // They have counter pairs of their own, even where their rules are the same.
                    self.old = true;
                    self.cached.insert(seen);
                }
                Ok(())
            }
            (Step::Leave { open }, Said::Done(_)) => {
                self.dies();
                (self.book.left, self.shows, self.amiss) = (true, Shows::Frozen, true);
                self.book.last.1 = self.book.last.1.max(time.1.wall);
                if *open {
                    self.cached = BTreeSet::from([seen]);
                    // Whether the journal loads reservations again, if it is put in force again, is not said.
                    let back: Vec<Promise> = self.book.promises.iter().map(Promise::given_back).collect();
                    self.book.promises.extend(back);
                }
                let right = if *open { all() } else { 0 };
                if seen == right { Ok(()) } else { Err("1: it was left otherwise than said".into()) }
            }
            (_, Said::Done(told)) => self.done(step, told, seen, time, trouble),
            (_, Said::Refused { reason, state, text }) => {
                self.refused(step, (*reason, state, text), seen, time, trouble, may)
            }
            (_, Said::Died) => {
                self.half = true;
                self.book.left |= matches!(step, Step::Leave { .. });
                self.under_way(step, time);
                self.dies();
                self.within(seen, may)
            }
        }
    }

    fn frozen(&self) -> Shows {
        if let Shows::Within(may) = self.shows { Shows::Within(may) } else { Shows::Frozen }
    }

    fn same(&mut self, seen: Mask, trouble: Trouble) -> Result<(), String> {
        if trouble.rebooted {
            (self.amiss, self.shows) = (true, Shows::Frozen);
        }
        if seen == self.was || (trouble.rebooted && self.cached.contains(&seen)) {
            Ok(())
        } else {
            Err("1: nothing was done, and other flows pass".into())
        }
    }

    fn within(&mut self, seen: Mask, may: Mask) -> Result<(), String> {
        self.shows = Shows::Within(may);
        self.cached.insert(seen);
        if seen & !may == 0 { Ok(()) } else { Err("2: something passes that nobody lets through".into()) }
    }

    /// Whether what waits is certainly late for the process that waits.
    pub fn overdue(&self, at: Time) -> bool {
        let late = |waiting: &Waiting| self.late(waiting, self.process, (at, at)).0;
        self.process.is_some() && self.book.promises.iter().filter_map(|p| p.waiting.as_ref()).any(late)
    }

    /// Something is half done, or the adapter may drop all traffic. What somebody else writes now, or has written since the
    /// journal was copied, is not told from what was half done by anybody, and an override is told by no command: a journal that knows nothing of either is believed.
    pub fn is_unsettled(&self) -> bool {
        // A record that could not be taken back may say that something has begun.
        self.half || self.doubt || self.worn || self.book.left
    }

    /// Something has happened to the adapter that its journal does not say.
    pub fn is_amiss(&self) -> bool {
        self.amiss
    }

    /// The journal has ended with its process: nobody knows any more what was promised.
    pub fn forgets(&mut self) {
        self.book.promises.clear();
        self.book.history.clear();
        (self.shows, self.amiss) = (self.frozen(), true);
    }

    /// The process is gone.
    pub fn dies(&mut self) {
        self.process = None;
        (self.doubt, self.worn) = (false, false);
    }

    /// A step was begun, and it is not known how it ended.
    fn under_way(&mut self, step: &Step, time: (Time, Time)) {
        let ways: Vec<Promise> = self
            .book
            .promises
            .iter()
            .flat_map(|promise| {
                let ways = self.ways(promise, step, time);
                ways.done.into_iter().map(|way| way.to).chain(ways.attached)
            })
            .collect();
        self.cached.extend(ways.iter().map(Promise::passes));
        self.book.promises.extend(ways);
        if let (Step::Adopt { policy }, true) = (step, self.book.promises.is_empty()) {
            self.book.promises.insert(Promise::of(Content::of(*policy)));
            self.amiss = true;
        }
        self.book.last.1 = self.book.last.1.max(time.1.wall);
    }

    fn done(
        &mut self,
        step: &Step,
        told: &Told,
        seen: Mask,
        time: (Time, Time),
        trouble: Trouble,
    ) -> Result<(), String> {
        self.amiss |= trouble.rebooted;
        self.worn |= trouble.armed;
        let waited = self.process.is_some();
        if self.whole && told.sound == Some(false) {
            return if self.foreign || trouble.armed {
                self.same(seen, trouble)
            } else {
                Err("5: it finds drift, and nobody has written".into())
            };
        }
        let fresh = BTreeSet::from([Promise::of(Content::of(0))]);
        let from = match step {
            Step::Adopt { .. } if self.book.promises.is_empty() => &fresh,
            _ => &self.book.promises,
        };
        let mut to: Vec<Way> = from.iter().flat_map(|promise| self.ways(promise, step, time).done).collect();
        let begins = matches!(step, Step::Start | Step::Adopt { .. } | Step::Repair);
        if begins || (self.whole && self.process.is_none()) {
            self.processes += 1;
            self.process = Some(self.processes);
        }
        if told.sound == Some(false) {
            // Nothing goes back in an adapter that somebody else has changed.
            to.extend(self.book.promises.iter().cloned().map(Way::to));
        }
        if let Some(waits) = told.waits.filter(|_| !self.doubt) {
            to.retain(|way| way.to.waiting.is_some() == waits);
        }
        if let Some(rolled) = told.rolled_back {
            to.retain(|way| way.rolled == rolled);
        }
        if told.put_right == Some(false) {
            to.retain(|way| !way.rolled);
        }
        if told.put_right == Some(true) && !(self.half || self.amiss || trouble.armed) {
            to.retain(|way| way.rolled);
        }
        if to.is_empty() {
            return Err("4, 5, 6: it is done, and had to be refused or to come to something else".into());
        }
        let claims = match step {
            // The program that waits confirms without a look at the adapter.
            Step::Confirm if waited => false,
            Step::Audit | Step::Poll | Step::Repair if self.whole => told.sound == Some(true),
            _ if self.whole => true,
            Step::Confirm | Step::Counters | Step::Commit => false,
            Step::Audit | Step::Poll => told.sound == Some(true),
            Step::Withdraw | Step::Recover => !told.idle,
            _ => true,
        };
        if told.sound == Some(false) && !trouble.armed && !self.amiss && !self.doubt && !self.old {
            return Err("5: it finds something, and nobody has touched the adapter".into());
        }
        let all: BTreeSet<Promise> = to.into_iter().map(|way| way.to).collect();
        let passes: BTreeSet<Mask> = all.iter().map(Promise::passes).collect();
        let right: BTreeSet<Promise> = all.iter().filter(|promise| promise.passes() == seen).cloned().collect();
        let shown = claims || self.shows == Shows::Promised;
        self.book.promises = if right.is_empty() || !shown { all } else { right };
        if passes.contains(&seen) && shown {
            self.shows = Shows::Promised;
        } else if claims && !(trouble.rebooted && self.cached.contains(&seen)) {
            return Err(format!(
                "1: what is said to be there is not: more {}, less {}",
                self.more(seen),
                self.less(seen)
            ));
        } else if trouble.rebooted && self.cached.contains(&seen) {
            self.shows = Shows::Frozen;
        } else if seen != self.was {
            return Err("1: it changed what passes".into());
        }
        self.note(step, told, seen, time, trouble);
        Ok(())
    }

    fn more(&self, seen: Mask) -> String {
        self.book.promises.iter().map(|promise| format!("[{}]", told(seen & !promise.passes()))).collect()
    }

    fn less(&self, seen: Mask) -> String {
        self.book.promises.iter().map(|promise| format!("[{}]", told(promise.passes() & !seen))).collect()
    }

    /// Writes down what was done.
    fn note(&mut self, step: &Step, told: &Told, seen: Mask, time: (Time, Time), trouble: Trouble) {
        let believed = match step {
            Step::Start | Step::Adopt { .. } | Step::Repair => true,
            Step::Recover => !told.idle,
            Step::Confirm if self.shows != Shows::Promised => false,
            _ => self.whole && told.sound != Some(false),
        };
        if believed && !trouble.rebooted {
            (self.amiss, self.foreign, self.doubt, self.half) = (false, false, false, false);
        }
        if matches!(step, Step::Adopt { .. } | Step::Repair) {
            (self.book.left, self.old) = (false, false);
        }
        if let (Some(change), Some(promise)) = (told.change, self.book.promises.first().cloned()) {
            self.book.history.retain(|(of, _)| *of < change);
            if self.book.promises.len() == 1 {
                self.book.history.push((change, promise));
            }
        }
        let writes = matches!(
            step,
            Step::Apply { .. }
                | Step::Reserve { .. }
                | Step::Rollback { .. }
                | Step::Adopt { .. }
                | Step::Repair
                | Step::Confirm
        );
        if writes {
            self.book.last.0 = self.book.last.0.max(time.0.wall);
        }
        self.book.last.1 = self.book.last.1.max(time.1.wall);
        match (told.cache_behind, self.shows) {
            (Some(false), Shows::Promised) if !trouble.rebooted && !self.amiss => self.cached = BTreeSet::from([seen]),
            _ => {
                self.cached.insert(seen);
            }
        }
    }

    fn refused(
        &mut self,
        step: &Step,
        (reason, state, text): (Reason, &Holds, &str),
        seen: Mask,
        time: (Time, Time),
        trouble: Trouble,
        may: Mask,
    ) -> Result<(), String> {
        self.worn |= trouble.armed;
        let strange = self.amiss
            || self.doubt
            || self.worn
            || self.old
            || trouble.armed
            || trouble.rebooted
            || self.shows != Shows::Promised;
        let for_it: BTreeSet<Promise> = self
            .book
            .promises
            .iter()
            .filter(|promise| self.ways(promise, step, time).refused.contains(&reason))
            .cloned()
            .collect();
        match reason {
            Reason::Busy if self.whole && self.process.is_some() => return self.same(seen, trouble),
            Reason::Foreign if self.amiss => {}
            Reason::Unknown if self.book.left || self.book.promises.is_empty() || self.amiss => {}
            Reason::Other if strange => {}
            Reason::Clock if self.book.promises.is_empty() && self.clock_is_behind(time.0) => {}
            _ if for_it.is_empty() => return Err(format!("6: refused without the reason: {text}")),
            // What a process in doubt says is about what was there before.
            _ if self.doubt => {}
            _ => self.book.promises = for_it,
        }
        let knows = matches!(reason, Reason::Held | Reason::Nothing | Reason::Waits | Reason::Late | Reason::Clock);
        if self.whole && self.process.is_none() && knows {
            // Whoever refuses it has found the adapter first, and taken back what was late.
            let of = |promise: &Promise| self.ways(promise, step, time).attached;
            let found = self.book.promises.iter().flat_map(of).filter(|promise| promise.passes() == seen);
            let found: BTreeSet<Promise> = found.collect();
            match strange {
                true => self.book.promises.extend(found),
                false if !found.is_empty() => self.book.promises = found,
                false => {}
            }
        }
        if *step == Step::Confirm && strange {
            // A record that could not be taken back may be there.
            self.under_way(step, time);
        }
        self.amiss |= trouble.rebooted;
        self.book.left |= strange && matches!(step, Step::Leave { .. });
        let takes_over = matches!(step, Step::Start | Step::Adopt { .. } | Step::Repair);
        if takes_over {
            self.dies();
        }
        self.book.last.1 = self.book.last.1.max(time.1.wall);
        if self.whole && *state == Holds::Unchanged && seen != self.was {
            // The process has put right first what it found half done.
            let of = |promise: &Promise| self.ways(promise, step, time).attached;
            let right = self.book.promises.iter().flat_map(of).filter(|promise| promise.passes() == seen);
            let right: BTreeSet<Promise> = right.collect();
            if !right.is_empty() {
                (self.book.promises, self.shows) = (right, Shows::Promised);
                return Ok(());
            }
            if strange && !trouble.rebooted {
                return self.within(seen, may);
            }
        }
        match state {
            Holds::Unchanged if takes_over || matches!(step, Step::Recover | Step::Poll) && strange => {
                if matches!(step, Step::Adopt { .. }) && strange {
                    self.half = true;
                    self.under_way(step, time);
                }
                if seen == self.was && !matches!(self.shows, Shows::Within(_)) {
                    return Ok(());
                }
                self.within(seen, may)
            }
            Holds::Unchanged if trouble.rebooted => {
                self.shows = Shows::Frozen;
                if self.cached.contains(&seen) || seen == self.was { Ok(()) } else { self.within(seen, may) }
            }
            Holds::Unchanged => self.same(seen, trouble),
            Holds::Closed(who) => {
                let closed = |mut promise: Promise| {
                    promise.shut.extend(who);
                    if who.is_empty() {
                        // Addresses that nobody has yet have no name.
                        promise.nameless |= promise.passes() & !seen & !promise.content.policy().bound;
                    }
                    promise
                };
                self.book.promises = std::mem::take(&mut self.book.promises).into_iter().map(closed).collect();
                self.cached.insert(seen);
                let right = self.book.promises.iter().any(|promise| promise.passes() == seen);
                if right && trouble.armed { Ok(()) } else { Err("1: it is not closed as said".into()) }
            }
            Holds::Unknown if !strange => Err("6: unknown without a cause".into()),
            Holds::Unknown => {
                self.under_way(step, time);
                (self.doubt, self.half) = (true, true);
                self.within(seen, may)
            }
        }
    }
}
