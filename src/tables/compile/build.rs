//! From a document to what it compiles to, in the whole or from the result before.

use super::assemble::assemble;
use super::check::{check, check_changed};
use super::compiled::Compiled;
use super::progress::Progress;
use super::prove::Proof;
use super::prove::named::Named;
use super::prove::near::Meaning;
use super::ranked;
use super::state::State;
use crate::policy::Document;
use crate::tables::arrange::lookups::Lookups;
use crate::tables::refuse::CompileError;
use crate::tables::units::diff::is_same_frame;
use crate::tables::{LookupOrder, Rules, Target};

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
        Self::prove_if(document, target, previous, (true, watch))
    }

    /// As [`Self::new`], without the proof: for measurements alone, never to be applied.
    ///
    /// # Errors
    /// As [`Self::new`].
    #[cfg(feature = "raw")]
    pub fn unproved(document: &Document, target: &Target, previous: Option<&Self>) -> Result<Self, CompileError> {
        Self::prove_if(document, target, previous, (false, &mut |_| ()))
    }

    fn prove_if(
        document: &Document,
        target: &Target,
        previous: Option<&Self>,
        (prove, watch): (bool, &mut dyn FnMut(Progress)),
    ) -> Result<Self, CompileError> {
        // Under a ranked order the best way to use it depends on the whole document.
        let same_frame = |before: &&Self| {
            target.profile.order == LookupOrder::Unordered
                && before.target == *target
                && is_same_frame(&before.document, document)
        };
        if let Some(before) = previous.filter(same_frame) {
            // Whatever is refused is refused with what a whole compilation says.
            if let Ok(after) = before.changed(document, (prove, watch)) {
                return Ok(after);
            }
        }
        Self::whole(document, target, previous, (prove, watch))
    }

    pub(super) fn whole(
        document: &Document,
        target: &Target,
        previous: Option<&Self>,
        (prove, watch): (bool, &mut dyn FnMut(Progress)),
    ) -> Result<Self, CompileError> {
        check(document, target)?;
        watch(rules_of(document));
        // Ids and tries mean nothing in tables of another size.
        let previous = previous.filter(|before| before.target.sizes == target.sizes);
        let ids = previous.map(|before| (&before.image, before.state.maps.elsewhere));
        let (state, work) = match Lookups::of(document, target)? {
            None => State::default().update(None, document, target, ids)?,
            Some(lookups) => ranked::best(document, target, ids, lookups)?,
        };
        watch(Progress::Tables);
        let (image, mut state) = assemble(state, &work, document, target, Rules::new(), previous, true)?;
        state.meaning = Meaning::of(&image, &state.meaning);
        state.named = Named::of(&image, None);
        let proof = Proof { document, target, image: &image, state: &state };
        if prove {
            watch(Progress::Proof { entries: image.rules.len() });
            proof.all()?;
        }
        Ok(Self::of(document, target, image, state))
    }

    /// The result for a document that differs in policies and bindings alone.
    pub(super) fn changed(
        &self,
        document: &Document,
        (prove, watch): (bool, &mut dyn FnMut(Progress)),
    ) -> Result<Self, CompileError> {
        let target = &self.target;
        watch(rules_of(document));
        let ids = Some((&self.image, self.state.maps.elsewhere));
        let (state, work) = self.state.clone().update(Some(&self.document), document, target, ids)?;
        check_changed(document, target, &state, &work)?;
        watch(Progress::Tables);
        let (image, mut state) = assemble(state, &work, document, target, self.image.rules.clone(), Some(self), false)?;
        state.meaning = Meaning::of(&image, &state.meaning);
        state.named = Named::of(&image, Some((&self.image, &self.state.named)));
        let proof = Proof { document, target, image: &image, state: &state };
        if prove {
            watch(Progress::Proof { entries: image.rules.len() });
            proof.of(&work, self)?;
        }
        Ok(Self::of(document, target, image, state))
    }
}

fn rules_of(document: &Document) -> Progress {
    Progress::Rules { policies: document.policies.len(), bindings: document.bindings.len() }
}
