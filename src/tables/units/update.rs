//! The units of a document from those of the document before it.

use super::kept::{Linked, Units};
use super::linker::Linker;
use crate::policy::Document;
use crate::tables::Target;
use crate::tables::refuse::CompileError;

impl Units {
    /// The units of a document, from those of another one that differs in policies and bindings alone, or from none.
    ///
    /// # Errors
    /// If units take too long to be cut, or far more entries than there are.
    pub fn update(
        self,
        before: Option<&Document>,
        document: &Document,
        target: &Target,
    ) -> Result<Linked, CompileError> {
        let mut linker = Linker::new(self, document, target);
        if before.is_none() {
            linker.base_of_document();
        }
        let places = linker.match_policies(before);
        linker.match_bindings(before, places)?;
        if before.is_none() {
            linker.link_unbound()?;
        }
        Ok(linker.finish())
    }
}
