//! What the adapter holds, and for whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use super::names::Names;
use crate::journal::{Addresses, Content};
use crate::policy::{Compiled, Document, Image, ImageEntry, Origin, OriginId, ParseErrors, Side};
use crate::tables::{Action, RuleKey};

/// Keys of the base denies of a container.
pub(super) fn base_keys(addresses: &Addresses) -> impl Iterator<Item = RuleKey> {
    let ips = addresses.ips.iter().map(|ip| RuleKey { local_ip: Some(*ip), ..RuleKey::default() });
    ips.chain(addresses.mac.map(|mac| RuleKey { local_mac: Some(mac), ..RuleKey::default() }))
}

/// A document, its image, and who asked for the entries.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub document: Document,
    pub image: Image,
    pub origins: BTreeMap<OriginId, Arc<Origin>>,
    /// The document as text, and the lines of its origins, once somebody has asked.
    text: OnceLock<(Arc<str>, Vec<u32>)>,
}

impl From<&Compiled> for Source {
    fn from(compiled: &Compiled) -> Self {
        let entries = compiled.image().rules.values();
        let ids: BTreeSet<OriginId> =
            entries.flat_map(|entry| entry.rx.origins.iter().chain(&entry.tx.origins)).copied().collect();
        let origin = |id| Some((id, compiled.origin(id)?.origin.clone()));
        let origins = ids.into_iter().filter_map(origin).collect();
        Self::new(compiled.document().clone(), compiled.image().clone(), origins)
    }
}

impl Source {
    pub fn new(document: Document, image: Image, origins: BTreeMap<OriginId, Arc<Origin>>) -> Self {
        Self { document, image, origins, text: OnceLock::new() }
    }

    fn text(&self) -> &(Arc<str>, Vec<u32>) {
        self.text.get_or_init(|| (self.document.to_text().into(), self.document.origin_lines()))
    }

    pub fn binds(&self, container: &str) -> bool {
        self.document.bindings.iter().any(|binding| binding.container == container)
    }
}

/// The content of the tables, and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub source: Arc<Source>,
    /// Containers that the document does not name and whose base denies stay.
    pub kept: BTreeMap<String, Addresses>,
    /// The content of the tables.
    pub image: Image,
    pub names: Names,
}

impl Held {
    pub fn new(source: Arc<Source>, kept: BTreeMap<String, Addresses>) -> Self {
        let mut names = Names::of(&source.document);
        for (container, addresses) in &kept {
            names.add(container, &addresses.ips, addresses.mac);
        }
        let image = with_denies(&source.image, kept.values().flat_map(base_keys));
        Self { source, kept, image, names }
    }

    /// What the journal keeps of it.
    pub fn content(&self) -> Content {
        let (text, lines) = self.source.text();
        Content {
            name: self.source.document.name.clone(),
            text: text.clone(),
            lines: lines.clone(),
            image: self.image.clone(),
            origins: self.source.origins.clone(),
            kept: self.kept.clone(),
        }
    }

    /// What the journal has kept.
    pub fn restore(content: &Content) -> Result<Self, ParseErrors> {
        let document = Document::restore(&content.text, &content.name, &content.lines)?;
        let mut image = content.image.clone();
        for key in content.kept.values().flat_map(base_keys) {
            let asked_for = |entry: &ImageEntry| !(entry.rx.origins.is_empty() && entry.tx.origins.is_empty());
            if !image.rules.get(&key).is_some_and(asked_for) {
                image.rules.remove(&key);
            }
        }
        let source = Source::new(document, image, content.origins.clone());
        // The same text again, byte for byte: the journal keeps differences from it.
        let _ = source.text.set((content.text.clone(), content.lines.clone()));
        let held = Self::new(source.into(), content.kept.clone());
        Ok(Self { image: content.image.clone(), ..held })
    }

    /// The next content under another document: what it no longer names is kept.
    pub fn next(&self, source: Source) -> Self {
        self.next_shared(source.into())
    }

    pub fn next_shared(&self, source: Arc<Source>) -> Self {
        let left = self.source.document.bindings.iter().map(|binding| {
            let mac = binding.owns_mac.then_some(binding.mac);
            (binding.container.clone(), Addresses { ips: binding.ips.clone(), mac })
        });
        let kept =
            self.kept.clone().into_iter().chain(left).filter(|(container, _)| !source.binds(container)).collect();
        Self::new(source, kept)
    }

    /// Keeps the base denies of these containers too, unless the document binds them.
    pub fn keep(&mut self, also: BTreeMap<String, Addresses>) {
        let mut kept = self.kept.clone();
        for (container, addresses) in also.into_iter().filter(|(container, _)| !self.source.binds(container)) {
            kept.entry(container).or_insert(addresses);
        }
        *self = Self::new(self.source.clone(), kept);
    }
}

/// The image with base denies at these keys, where it has no entry yet.
pub(super) fn with_denies(image: &Image, keys: impl Iterator<Item = RuleKey>) -> Image {
    let mut image = image.clone();
    for key in keys {
        let deny = || Side { action: Action::Deny { sample: false }, origins: Vec::new() };
        if !image.rules.contains_key(&key) {
            image.rules.insert(key, ImageEntry { rx: deny(), tx: deny(), counter: None });
        }
    }
    image
}
