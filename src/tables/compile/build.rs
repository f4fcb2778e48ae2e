//! From a document to what it compiles to, in the whole or from the result before.

use super::assemble::{Assembly, Start};
use super::check::{check, check_changed};
use super::compiled::Compiled;
use super::progress::Progress;
use super::prove::Proof;
use super::prove::ids::ImageIds;
use super::ranked;
use super::state::{Before, State, Updated};
use crate::policy::Document;
use crate::tables::arrange::lookups::Lookups;
use crate::tables::naming::PreviousIds;
use crate::tables::refuse::CompileError;
use crate::tables::units::diff::is_same_frame;
use crate::tables::{LookupOrder, Target};

/// How a compilation is done.
pub(super) struct Run<'w> {
    /// False for measurements alone.
    pub prove: bool,
    /// Is told what begins.
    pub watch: &'w mut dyn FnMut(Progress),
}

impl Compiled {
    /// Compiles a document for an adapter. With the result for the document before it, ids and counters of what stays the
    /// same are the same, and the work is in proportion to what changed: best where the document is a changed copy of the
    /// one before, because then what stays is known to be equal without a look inside. Much work is shared out among up to
    /// eight threads, which end before it returns.
    ///
    /// # Errors
    /// [`CompileError`] if a table is too small or cannot say what a rule says; nothing is rounded.
    pub fn new(document: &Document, target: &Target, previous: Option<&Self>) -> Result<Self, CompileError> {
        Self::watched(document, target, previous, &mut |_| ())
    }

    /// As [`Self::new`]; whoever waits is told what it begins to do.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn watched(
        document: &Document,
        target: &Target,
        previous: Option<&Self>,
        watch: &mut dyn FnMut(Progress),
    ) -> Result<Self, CompileError> {
        Self::build(document, target, previous, &mut Run { prove: true, watch })
    }

    /// As [`Self::new`], without the proof: for measurements alone, never to be applied.
    ///
    /// # Errors
    /// As [`Self::new`].
    #[cfg(feature = "raw")]
    pub fn unproved(document: &Document, target: &Target, previous: Option<&Self>) -> Result<Self, CompileError> {
        Self::build(document, target, previous, &mut Run { prove: false, watch: &mut |_| () })
    }

    fn build(
        document: &Document,
        target: &Target,
        previous: Option<&Self>,
        run: &mut Run<'_>,
    ) -> Result<Self, CompileError> {
        // Under a ranked order the best way to use it depends on the whole document.
        let same_frame = |before: &&Self| {
            target.profile.order == LookupOrder::Unordered
                && before.target == *target
                && is_same_frame(&before.document, document)
        };
        if let Some(before) = previous.filter(same_frame) {
            // Whatever is refused is refused with what a whole compilation says.
            if let Ok(after) = before.changed(document, run) {
                return Ok(after);
            }
        }
        Self::whole(document, target, previous, run)
    }

    pub(super) fn whole(
        document: &Document,
        target: &Target,
        previous: Option<&Self>,
        run: &mut Run<'_>,
    ) -> Result<Self, CompileError> {
        check(document, target)?;
        (run.watch)(rules_of(document));
        // Ids and tries mean nothing in tables of another size.
        let previous = previous.filter(|before| before.target.sizes == target.sizes);
        let ids = previous.map(Self::previous_ids);
        let updated = match Lookups::of(document, target)? {
            None => Updated::of(Before::default(), document, target, ids.as_ref())?,
            Some(lookups) => ranked::best(document, target, ids.as_ref(), lookups)?,
        };
        (run.watch)(Progress::Tables);
        let assembly = Assembly { document, target, updated: &updated, start: Start::Nothing { previous } };
        let (image, counters) = assembly.image()?;
        let state = State { ids: ImageIds::of(&image, None), units: updated.units, naming: updated.naming, counters };
        let proof = Proof { document, target, image: &image, units: &state.units, ids: &state.ids };
        if run.prove {
            (run.watch)(Progress::Proof { entries: image.rules.len() });
            proof.all()?;
        }
        Ok(Self::of(document, target, image, state))
    }

    /// The result for a document that differs in policies and bindings alone.
    fn changed(&self, document: &Document, run: &mut Run<'_>) -> Result<Self, CompileError> {
        let target = &self.target;
        (run.watch)(rules_of(document));
        let updated = Updated::of(self.before(), document, target, Some(&self.previous_ids()))?;
        check_changed(document, target, &updated)?;
        (run.watch)(Progress::Tables);
        let assembly = Assembly { document, target, updated: &updated, start: Start::Image { of: self } };
        let (image, counters) = assembly.image()?;
        let ids = ImageIds::of(&image, Some((&self.image, &self.state.ids)));
        let state = State { ids, units: updated.units, naming: updated.naming, counters };
        let proof = Proof { document, target, image: &image, units: &state.units, ids: &state.ids };
        if run.prove {
            (run.watch)(Progress::Proof { entries: image.rules.len() });
            proof.of(&updated.dirty, self)?;
        }
        Ok(Self::of(document, target, image, state))
    }

    /// This, for a compilation that starts from it.
    pub(super) fn before(&self) -> Before<'_> {
        Before { document: Some(&self.document), units: self.state.units.clone(), naming: self.state.naming.clone() }
    }

    pub(super) fn previous_ids(&self) -> PreviousIds<'_> {
        PreviousIds { image: &self.image, rest: self.state.naming.maps().rest }
    }
}

fn rules_of(document: &Document) -> Progress {
    Progress::Rules { policies: document.policies.len(), bindings: document.bindings.len() }
}
