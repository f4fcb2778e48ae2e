//! What the adapter holds, and for whom.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::names::Names;
use crate::policy::{Compiled, Document, Image, ImageEntry, Origin, OriginId, Side};
use crate::tables::{Action, MacAddr, RuleKey};

/// Addresses of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Addresses {
    pub ips: Vec<IpAddr>,
    /// The MAC, if the container alone owns it.
    pub mac: Option<MacAddr>,
}

impl Addresses {
    pub fn base_keys(&self) -> impl Iterator<Item = RuleKey> {
        let ips = self.ips.iter().map(|ip| RuleKey { local_ip: Some(*ip), ..RuleKey::default() });
        ips.chain(self.mac.map(|mac| RuleKey { local_mac: Some(mac), ..RuleKey::default() }))
    }
}

/// A document, its image, and who asked for the entries.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub document: Document,
    pub image: Image,
    pub origins: BTreeMap<OriginId, Arc<Origin>>,
}

impl From<&Compiled> for Source {
    fn from(compiled: &Compiled) -> Self {
        let entries = compiled.image().rules.values();
        let ids: BTreeSet<OriginId> =
            entries.flat_map(|entry| entry.rx.origins.iter().chain(&entry.tx.origins)).copied().collect();
        let origin = |id| Some((id, compiled.origin(id)?.origin.clone()));
        Self {
            document: compiled.document().clone(),
            image: compiled.image().clone(),
            origins: ids.into_iter().filter_map(origin).collect(),
        }
    }
}

impl Source {
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
        let image = with_denies(&source.image, kept.values().flat_map(Addresses::base_keys));
        Self { source, kept, image, names }
    }

    /// The next content under another document: what it no longer names is kept.
    pub fn next(&self, source: Source) -> Self {
        let left = self.source.document.bindings.iter().map(|binding| {
            let mac = binding.owns_mac.then_some(binding.mac);
            (binding.container.clone(), Addresses { ips: binding.ips.clone(), mac })
        });
        let kept =
            self.kept.clone().into_iter().chain(left).filter(|(container, _)| !source.binds(container)).collect();
        Self::new(source.into(), kept)
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
