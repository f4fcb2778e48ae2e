//! A compilation that starts from the one before it, stopped before its image is proved.

use super::super::named::Named;
use super::super::near::Meaning;
use crate::policy::Document;
use crate::tables::CompileError;
use crate::tables::compile::Compiled;
use crate::tables::compile::assemble::assemble;
use crate::tables::compile::prove::Proof;
use crate::tables::compile::state::{State, Work};
use crate::tables::image::Image;

pub(super) struct Increment {
    before: Compiled,
    document: Document,
    state: State,
    pub work: Work,
    pub image: Image,
}

impl Increment {
    pub fn new(before: &Compiled, document: Document) -> Self {
        let (target, ids) = (before.target(), Some((before.image(), before.state.maps.elsewhere)));
        let state = before.state.clone().update(Some(before.document()), &document, target, ids);
        let (state, work) = state.unwrap_or_else(|error| panic!("{error}"));
        let rules = before.image().rules.clone();
        let (image, state) = assemble(state, &work, &document, target, rules, Some(before), false).unwrap();
        Self { before: before.clone(), document, state, work, image }
    }

    /// Proves an image in place of the one that was made.
    pub fn proved(&self, image: &Image) -> Result<(), CompileError> {
        let mut state = self.state.clone();
        state.meaning = Meaning::of(image, &self.before.state.meaning);
        state.named = Named::of(image, Some((self.before.image(), &self.before.state.named)));
        Proof { document: &self.document, target: self.before.target(), image, state: &state }
            .of(&self.work, &self.before)
    }
}
