//! A compilation that starts from the one before it, stopped before its image is proved.

use super::super::ids::ImageIds;
use crate::policy::Document;
use crate::tables::CompileError;
use crate::tables::compile::Compiled;
use crate::tables::compile::assemble::{Assembly, Start};
use crate::tables::compile::prove::Proof;
use crate::tables::compile::state::Updated;
use crate::tables::image::Image;
use crate::tables::units::{Dirty, Units};

pub(super) struct Increment {
    before: Compiled,
    document: Document,
    units: Units,
    pub dirty: Dirty,
    pub image: Image,
}

impl Increment {
    pub fn new(before: &Compiled, document: Document) -> Self {
        let target = before.target();
        let updated = Updated::of(before.before(), &document, target, Some(&before.previous_ids()));
        let updated = updated.unwrap_or_else(|error| panic!("{error}"));
        let assembly = Assembly { document: &document, target, updated: &updated, start: Start::Image { of: before } };
        let (image, _) = assembly.image().unwrap();
        let Updated { units, dirty, .. } = updated;
        Self { before: before.clone(), document, units, dirty, image }
    }

    /// Proves an image in place of the one that was made.
    pub fn proved(&self, image: &Image) -> Result<(), CompileError> {
        let ids = ImageIds::of(image, Some((self.before.image(), &self.before.state.ids)));
        let (document, target) = (&self.document, self.before.target());
        Proof { document, target, image, units: &self.units, ids: &ids }.of(&self.dirty, &self.before)
    }

    /// Proves it as a whole, whatever was before.
    pub fn proved_whole(&self, image: &Image) -> Result<(), CompileError> {
        let ids = ImageIds::of(image, None);
        let (document, target) = (&self.document, self.before.target());
        Proof { document, target, image, units: &self.units, ids: &ids }.all()
    }
}
