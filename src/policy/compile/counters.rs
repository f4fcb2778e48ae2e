//! Which entries count together: those of one binding that the same rules put there.

use std::collections::{BTreeMap, BTreeSet};

use super::usage::{Table, Usage, by_size};
use crate::policy::{Document, Image, OriginId};
use crate::tables::{CounterId, RuleKey};

/// What one counter pair counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterSlot {
    /// The base entry that it counts alone; `None` = all entries of the container with these origins.
    pub base: Option<RuleKey>,
    /// Container id of the binding; `None` for entries of no single binding.
    pub container: Option<String>,
    /// Who asked for the entries on RX.
    pub rx: Vec<OriginId>,
    /// Who asked for the entries on TX.
    pub tx: Vec<OriginId>,
}

impl Counters {
    pub fn usage(&self, document: &Document, available: u32) -> Usage {
        let mut used: BTreeMap<&str, u64> = BTreeMap::new();
        for container in self.slots.values().filter_map(|slot| slot.container.as_deref()) {
            *used.entry(container).or_default() += 1;
        }
        let of_policy = |policy: usize| {
            let bindings = document.bindings.iter().filter(|binding| binding.policy == policy);
            bindings.filter_map(|binding| used.get(binding.container.as_str())).sum()
        };
        let policies = document.policies.iter().enumerate().map(|(i, policy)| (policy.name.clone(), of_policy(i)));
        Usage {
            table: Table::Counters,
            needed: self.needed,
            available: available.into(),
            by_policy: by_size(policies.collect()),
            by_binding: by_size(used.into_iter().map(|(container, used)| (container.to_owned(), used)).collect()),
        }
    }
}

/// The slots of a compiled document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Counters {
    pub slots: BTreeMap<CounterId, CounterSlot>,
    /// Slots needed.
    pub needed: u64,
    /// Entries that go without.
    pub uncounted: usize,
}

/// Gives counters to the entries, base entries first. An entry keeps the counter that it had in the previous image if
/// it belongs to the same container.
pub(super) fn assign<'a>(
    image: &mut Image,
    container_of: impl Fn(&RuleKey) -> Option<&'a str>,
    available: u32,
    previous: Option<(&Image, &Counters)>,
) -> Counters {
    let mut slots: BTreeMap<(bool, CounterSlot), Vec<RuleKey>> = BTreeMap::new();
    for (key, entry) in &image.rules {
        let base = key.is_base().then_some(*key);
        let slot = CounterSlot {
            base,
            container: container_of(key).map(str::to_owned),
            rx: entry.rx.origins.clone(),
            tx: entry.tx.origins.clone(),
        };
        slots.entry((base.is_none(), slot)).or_default().push(*key);
    }
    let before = |slot: &CounterSlot, keys: &[RuleKey]| {
        let (image, counters) = previous?;
        let kept = |key| {
            let counter = image.rules.get(key)?.counter?;
            let was = counters.slots.get(&counter)?;
            (counter.0 < available && was.container == slot.container && was.base == slot.base).then_some(counter)
        };
        keys.iter().find_map(kept)
    };
    let mut claimed: BTreeSet<CounterId> = BTreeSet::new();
    let mut given: Vec<Option<CounterId>> = Vec::with_capacity(slots.len());
    // Base denies own a counter whatever else is counted, so where counters are short only they keep theirs.
    let short = slots.len() as u64 > u64::from(available);
    for ((above_base, slot), keys) in &slots {
        let kept = before(slot, keys).filter(|_| !short || !*above_base);
        given.push(kept.filter(|counter| claimed.insert(*counter)));
    }
    let used =
        previous.map(|(_, counters)| counters.slots.keys().copied().collect::<BTreeSet<_>>()).unwrap_or_default();
    let ids = || (0..available).map(CounterId).filter(|id| !claimed.contains(id));
    let mut spare = ids().filter(|id| !used.contains(id)).chain(ids().filter(|id| used.contains(id)));
    let mut out = Counters { needed: slots.len() as u64, ..Counters::default() };
    for (((_, slot), keys), given) in slots.into_iter().zip(given) {
        let Some(counter) = given.or_else(|| spare.next()) else {
            out.uncounted += keys.len();
            continue;
        };
        for key in &keys {
            if let Some(entry) = image.rules.get_mut(key) {
                entry.counter = Some(counter);
            }
        }
        out.slots.insert(counter, slot);
    }
    out
}
