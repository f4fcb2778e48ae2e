//! Denies above the base: exceptions of allows that rank below them.
//!
//! What holds of them while a plan runs: an allow that such a deny may be an exception of, and either of them changes, is
//! shut from Tighten to the end of Loosen. So a deny can come and go without anybody seeing it, as long as a base deny is
//! beneath it.

use std::collections::BTreeSet;

use super::keys::{by_ip, covers, may_meet, near};
use super::recorder::Recorder;
use super::step::{PlanError, Rules};
use crate::policy::regions::DIRECTIONS;
use crate::tables::{Action, Entry, RuleKey};
use crate::terms::{Direction, Verdict};

fn denies(entry: &Entry, direction: Direction) -> bool {
    entry.action(direction).verdict() == Some(Verdict::Deny)
}

/// True if an entry denies above the base.
pub(super) fn is_exception(key: &RuleKey, entry: &Entry) -> bool {
    !key.is_base() && DIRECTIONS.iter().any(|direction| denies(entry, *direction))
}

/// The allows that a changing deny may be an exception of.
#[derive(Debug, Default)]
pub(super) struct Exceptions(BTreeSet<RuleKey>);

impl Exceptions {
    /// Those of the old and the new entries.
    ///
    /// # Errors
    /// [`PlanError::DenyWithoutBase`].
    pub fn new(sides: [&Rules; 2], changes: impl Fn(&RuleKey) -> bool) -> Result<Self, PlanError> {
        let all = || sides.into_iter().flatten();
        let (base, above): (Vec<_>, Vec<_>) = all().map(|(key, _)| key).partition(|key| key.is_base());
        let (base, above) = (by_ip(base), by_ip(above));
        let mut touched = BTreeSet::new();
        for (key, entry) in all().filter(|(key, entry)| is_exception(key, entry) && changes(key)) {
            let beneath: Vec<_> = near(&base, key).into_iter().filter(|base| covers(base, key)).collect();
            let guarded = |direction: Direction| {
                let says =
                    |base: &RuleKey| sides.iter().filter_map(|rules| rules.get(base)).any(|c| denies(c, direction));
                beneath.iter().any(|base| says(base))
            };
            if DIRECTIONS.into_iter().any(|direction| denies(entry, direction) && !guarded(direction)) {
                return Err(PlanError::DenyWithoutBase(key.fields()));
            }
            touched.extend(near(&above, key).into_iter().filter(|other| may_meet(other, key)));
        }
        Ok(Self(touched))
    }

    /// True if a deny that changes may be an exception of this entry.
    pub fn touch(&self, key: &RuleKey) -> bool {
        self.0.contains(key)
    }
}

/// Brings the denies above the base to the new ones. Allows that they could be exceptions of are shut.
pub(super) fn exchange(to: &mut Recorder<'_>, goal: &Rules) {
    let exceptions = |rules: &Rules| -> Vec<RuleKey> {
        rules.iter().filter(|(key, entry)| is_exception(key, entry)).map(|(key, _)| *key).collect()
    };
    let old = exceptions(to.rules());
    for key in exceptions(goal).into_iter().chain(old) {
        let wanted = goal.get(&key).copied().unwrap_or_default();
        let fresh = Entry { counter: wanted.counter, ..Entry::default() };
        let mut entry = to.rules().get(&key).copied().unwrap_or(fresh);
        for direction in DIRECTIONS {
            if denies(&wanted, direction) {
                entry.set(direction, wanted.action(direction));
            } else if denies(&entry, direction) {
                entry.set(direction, Action::None);
            }
        }
        to.set(key, entry);
    }
}
