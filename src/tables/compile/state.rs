//! All intermediate results of a compilation, kept so that the next one can share them.
//!
//! A compilation starts from the results for the document before it, or from nothing, and works off the difference: the
//! units, then the layout, then the names of its classes and the entries ([`Updated::of`]); each step takes what the one
//! before it returned. So the result is that of a full compilation, but for the names of ids, nodes and origins: a full one
//! is the same code, started from nothing.

use super::counters::Counters;
use super::prove::ids::ImageIds;
use super::shares::does_not_fit;
use crate::policy::Document;
use crate::tables::Target;
use crate::tables::naming::{Naming, PreviousIds};
use crate::tables::refuse::CompileError;
use crate::tables::units::{Dirty, Linked, Units};

/// See the module's documentation.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub units: Units,
    pub naming: Naming,
    pub counters: Counters,
    pub ids: ImageIds,
}

/// Where units and naming of a document start from.
#[derive(Default)]
pub(super) struct Before<'a> {
    /// The document of these units; `None`: there are none yet.
    pub document: Option<&'a Document>,
    pub units: Units,
    pub naming: Naming,
}

/// Units and naming of a document, and what of the image has to be made anew.
pub(super) struct Updated {
    pub units: Units,
    pub naming: Naming,
    pub dirty: Dirty,
}

impl Updated {
    /// From those of another document that differs in policies and bindings alone, or from nothing.
    pub fn of(
        before: Before<'_>,
        document: &Document,
        target: &Target,
        previous: Option<&PreviousIds<'_>>,
    ) -> Result<Self, CompileError> {
        let Linked { units, changes, mut dirty } = before.units.update(before.document, document, target)?;
        let laid_out = before.naming.lay_out(&units, &changes, document, target)?;
        if let Some(refusal) = does_not_fit(document, &units, laid_out.naming()) {
            return Err(refusal);
        }
        let (naming, anew) = laid_out.name(&units, document, target, previous)?;
        dirty.add_users(&units, &anew);
        Ok(Self { units, naming, dirty })
    }
}
