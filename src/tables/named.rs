//! Tables and sizes by name: what a face shows that names no family of tables.

use super::plan::{Phase, Plan};
use super::{Table, Target};

impl Target {
    /// The family of tables that the target is of.
    pub const FAMILY: &'static str = "rules";

    /// How large the tables are: sizes by name, in an order that stays. [`Target::set_size`] takes the same names.
    #[must_use]
    pub fn named_sizes(&self) -> Vec<(&'static str, u32)> {
        let mut copy = self.clone();
        copy.sizes_by_name().map(|(name, size)| (name, *size)).into()
    }

    /// Sets one of [`Target::named_sizes`]. False if the family has no such size.
    pub fn set_size(&mut self, name: &str, size: u32) -> bool {
        let place = self.sizes_by_name().into_iter().find(|(known, _)| *known == name);
        place.map(|(_, place)| *place = size).is_some()
    }

    fn sizes_by_name(&mut self) -> [(&'static str, &mut u32); 10] {
        let Self { profile, sizes, .. } = self;
        [
            ("rules", &mut profile.rules),
            ("counters", &mut profile.counters),
            ("combinations", &mut profile.combinations),
            ("subnet_nodes", &mut sizes.subnet_nodes),
            ("entries_per_node", &mut sizes.entries_per_node),
            ("subnet_id_min", &mut sizes.subnet_id_min),
            ("subnet_id_max", &mut sizes.subnet_id_max),
            ("port_tree_entries", &mut sizes.port_tree_entries),
            ("portrange_id_min", &mut sizes.portrange_id_min),
            ("portrange_id_max", &mut sizes.portrange_id_max),
        ]
    }
}

/// What a command of a change is for, in the order in which the commands come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ChangePhase {
    /// Makes room for what comes. No verdict changes.
    Prepare,
    /// Takes away what the new policy denies.
    Tighten,
    /// Gives what only the new policy allows.
    Loosen,
    /// Removes what nothing reaches any more. No verdict changes.
    Tidy,
}

impl ChangePhase {
    /// As in `prepare`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Tighten => "tighten",
            Self::Loosen => "loosen",
            Self::Tidy => "tidy",
        }
    }
}

impl From<Phase> for ChangePhase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Refine => Self::Prepare,
            Phase::Tighten => Self::Tighten,
            Phase::Loosen => Self::Loosen,
            Phase::Coarsen | Phase::Retire => Self::Tidy,
        }
    }
}

impl Plan {
    /// How much of each table is used at the worst moment, of those that a change may fill more than both policies do.
    #[must_use]
    pub fn peaks(&self) -> Vec<(Table, u64)> {
        vec![(Table::Rules, self.peak_rules as u64), (Table::Combinations, self.peak_combinations as u64)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_told_and_set_by_its_name() {
        let mut target = Target::profile0();
        let (names, sizes): (Vec<_>, Vec<_>) = target.named_sizes().into_iter().unzip();
        assert_eq!(sizes, [8192, 1024, 24, 3500, 16, 56_000, 65_534, 255, 1, 254]);
        for (at, name) in names.iter().enumerate() {
            assert!(target.set_size(name, 7_000_000 + u32::try_from(at).unwrap()));
        }
        let set: Vec<u32> = target.named_sizes().into_iter().map(|(_, size)| size).collect();
        assert_eq!(set, (7_000_000..7_000_010).collect::<Vec<_>>());
        assert_eq!((target.profile.rules, target.sizes.portrange_id_max), (7_000_000, 7_000_009));
        assert!(!target.set_size("action sets", 1), "the rules engine has none");
    }
}
