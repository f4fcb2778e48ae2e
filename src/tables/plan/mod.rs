//! The difference between two images, as commands.
//!
//! The way of the data: the old [`Image`] and the new one -> [`Plan`], a list of [`Step`]s. Each step is
//! one command with the command that takes it back. The phases, in order:
//!
//! 1. **Refine.** One map at a time: entries are copied under the ids of the classes that the old and the new map have in
//!    common, new trie nodes are written from the leaves up, and then the one command that makes them reachable. At the
//!    end, entries for what old and new image both allow, where neither has an entry for just that. No verdict changes.
//! 2. **Tighten.** New base denies; allows that the new image does not share go to NONE.
//! 3. **Loosen.** Base denies that end, and the new allows.
//! 4. **Coarsen.** Entries that others cover go; one map at a time: the copies under the final ids, then the final map.
//! 5. **Retire.** Entries under ids that no address or port has any more.
//!
//! Frames in flight may have read a map before a command and an entry after it. So wherever [`Step::pause_before`] is set
//! the grace time passes: at least between a switch of a map or a tightening and the phase that follows it.
//!
//! # What holds between any two commands
//! Each judgement is the old one, or the new one, or a deny for one of [`Plan::closes`]. And because everything before the
//! pause that follows Tighten judges no more openly than the old image, and everything after it no more openly than the
//! new one, no packet passes end to end that neither image admits. For that, entries above the base must be allows, as those
//! of compiled images are: their order then does not matter.
//!
//! Where ids, nodes, entries or combinations are too few for that, flows are closed, changed and reopened, and
//! [`Plan::closes`] names whose they are.
//!
//! # Denies above the base
//! A ranked lookup order makes them: exceptions of allows that rank below. Then what differs is closed first, and what such
//! a deny is an exception of; the base denies guard it while the denies are exchanged; the allows come last.

mod change;
mod exceptions;
mod keys;
mod maps;
mod recorder;
mod scope;
mod step;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::step::{Local, Phase, Plan, PlanError, Step};

use super::Image;
use crate::tables::{RuleKey, TableOp, Target};

impl Plan {
    /// The commands that turn `old` into `new`. Equal images need none.
    ///
    /// # Errors
    /// [`PlanError`] if the change does not fit. It is pure: nothing was sent.
    pub fn new(old: &Image, new: &Image, target: &Target) -> Result<Self, PlanError> {
        let plan = change::record(old, new, target, change::Room::Ample)?;
        if plan.fits(target).is_ok() {
            return Ok(plan);
        }
        let plan = change::record(old, new, target, change::Room::Short)?;
        plan.fits(target).map(|()| plan)
    }

    fn fits(&self, target: &Target) -> Result<(), PlanError> {
        let (rules, combinations) = (target.profile.rules as usize, target.profile.combinations as usize);
        if self.peak_rules > rules {
            return Err(PlanError::Rules { needed: self.peak_rules, available: rules });
        }
        if self.peak_combinations > combinations {
            return Err(PlanError::Combinations { needed: self.peak_combinations, available: combinations });
        }
        Ok(())
    }

    /// How often the grace time passes.
    #[must_use]
    pub fn pauses(&self) -> usize {
        self.steps.iter().filter(|step| step.pause_before).count()
    }

    /// How long it takes to carry the plan out if each command takes `latency` and frames in flight are given `grace`.
    #[must_use]
    pub fn duration(&self, latency: Duration, grace: Duration) -> Duration {
        let times = |one: Duration, count: usize| one.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
        times(latency, self.steps.len()).saturating_add(times(grace, self.pauses()))
    }

    /// The keys of all entries that the plan touches.
    pub fn keys(&self) -> impl Iterator<Item = &RuleKey> {
        self.steps.iter().filter_map(|step| match &step.op {
            TableOp::SetRule { key, .. } => Some(key),
            _ => None,
        })
    }
}
