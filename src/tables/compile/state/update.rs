//! The course of an update.

use super::{State, Work};
use crate::policy::Document;
use crate::tables::base;
use crate::tables::compile::shares::does_not_fit;
use crate::tables::refuse::CompileError;
use crate::tables::units::origins::number;
use crate::tables::{Image, Target};

impl State {
    /// The state for a document, from that for another one that differs in policies and bindings alone, or from nothing.
    pub fn update(
        mut self,
        before: Option<&Document>,
        document: &Document,
        target: &Target,
        previous: Option<(&Image, [Option<u16>; 3])>,
    ) -> Result<(Self, Work), CompileError> {
        let mut work = Work::default();
        if before.is_none() {
            self.next_number = number(document.management.len());
            for (key, fixed) in base::of_document(document, target) {
                self.set_fixed(&mut work, key, Some(fixed));
            }
        }
        self.match_policies(&mut work, before, document);
        self.match_bindings(&mut work, before, document, target)?;
        if before.is_none() {
            self.link_unbound(&mut work, document, target)?;
        }
        self.end_units(&work);
        if let Some(refusal) = self.too_many_ports(&work, document, target) {
            return Err(refusal);
        }
        let lists = self.all_sets();
        self.change_sets(&work);
        self.lay_out(&mut work, &lists, target);
        if let Some(refusal) = does_not_fit(document, &self) {
            return Err(refusal);
        }
        self.name_classes(&mut work, &lists, target, previous)?;
        self.make_entries(&mut work, document);
        Ok((self, work))
    }
}
