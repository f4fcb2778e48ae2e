//! A document compiled for one adapter.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::counters::CounterSlot;
use super::shares::shares;
use super::state::State;
use crate::policy::{Difference, Document};
use crate::tables::units::origins::{OriginSource, Origins};
use crate::tables::usage::Usage;
use crate::tables::{CounterId, Image, OriginId, Target};

/// A document compiled for one adapter. A copy costs next to nothing.
#[derive(Debug, Clone)]
pub struct Compiled {
    pub(super) document: Document,
    pub(super) target: Target,
    pub(super) image: Image,
    pub(super) state: State,
    pub(super) usage: OnceLock<Vec<Usage>>,
    pub(super) origins: OnceLock<Origins>,
    pub(super) slots: OnceLock<BTreeMap<CounterId, CounterSlot>>,
}

impl Compiled {
    pub(super) fn of(document: &Document, target: &Target, image: Image, state: State) -> Self {
        let (usage, origins, slots) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { document: document.clone(), target: target.clone(), image, state, usage, origins, slots }
    }

    /// Steps that cutting the rules of all policies into regions took, of some nanoseconds each: a measure of work that
    /// does not depend on the machine.
    #[cfg(feature = "raw")]
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.state.units.steps
    }

    /// The content of every table.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The document that was compiled.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The adapter that it was compiled for.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What changes from this to `new`: [`Document::diff`] for adapters of either target.
    #[must_use]
    pub fn diff(&self, new: &Self) -> Vec<Difference> {
        let ports = self.target.physical_ports.max(new.target.physical_ports);
        self.document.diff(&new.document, ports)
    }

    /// How full each table gets, and who fills it.
    #[must_use]
    pub fn usage(&self) -> &[Usage] {
        self.usage.get_or_init(|| {
            let mut usage = shares(&self.document, &self.state.units, &self.state.naming)
                .map(|shares| shares.usage())
                .unwrap_or_default();
            let numbers: Vec<u32> = self.state.units.bindings.iter().map(|of| of.number).collect();
            usage.push(self.state.counters.usage(&self.document, &numbers, self.target.profile.counters));
            usage
        })
    }

    /// What an [`OriginId`] of the image stands for.
    #[must_use]
    pub fn origin(&self, id: OriginId) -> Option<OriginSource> {
        let origins = self.origins.get_or_init(|| self.state.units.origins(&self.document));
        origins.get(id, &self.document)
    }

    /// What each counter counts. The ids are places from 0; the adapter's own are allocated when they are applied.
    #[must_use]
    pub fn counter_slots(&self) -> &BTreeMap<CounterId, CounterSlot> {
        self.slots.get_or_init(|| {
            let container = |number| Some(self.state.units.bound.get(&number)?.binding.container.clone());
            self.state.counters.slots(&self.image.rules, container)
        })
    }

    /// What may surprise the reader of the document, one sentence each: its own warnings, then those of the tables.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut out: Vec<String> = self.document.warnings().iter().map(ToString::to_string).collect();
        if self.state.counters.uncounted > 0 {
            out.push(format!(
                "{} entries go without a counter: {} counters are needed, the adapter has {}",
                self.state.counters.uncounted, self.state.counters.needed, self.target.profile.counters
            ));
        }
        for policy in &self.document.policies {
            if !policy.rules.is_empty() && policy.rules.iter().all(|rule| rule.ports.is_some()) {
                out.push(format!(
                    "{}:{}: all rules of policy {} name ports, so later fragments are denied",
                    self.document.name, policy.line, policy.name
                ));
            }
        }
        out
    }
}
