//! What the adapter holds, and for whom.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use super::names::Names;
use super::report::Reserved;
use crate::journal::{Addresses, Content};
use crate::policy::{Attach, Binding, Document, Origin, ParseErrors, Policy};
use crate::tables::{Action, Compiled, Image, ImageEntry, OriginId, RuleKey, Side};
use crate::terms::MacAddr;

/// Keys of the base denies of a container.
pub(super) fn base_keys(addresses: &Addresses) -> impl Iterator<Item = RuleKey> {
    let ips = addresses.ips.iter().map(|ip| RuleKey { local_ip: Some(*ip), ..RuleKey::default() });
    ips.chain(addresses.macs.iter().map(|mac| RuleKey { local_mac: Some(*mac), ..RuleKey::default() }))
}

/// A document, its image, and who asked for the entries.
#[derive(Debug, Clone)]
pub(super) struct CompiledSource {
    pub document: Document,
    pub image: Image,
    pub origins: BTreeMap<OriginId, Arc<Origin>>,
    /// The document as text, and the lines of its origins, once somebody has asked.
    text: OnceLock<(Arc<str>, Vec<u32>)>,
}

impl From<&Compiled> for CompiledSource {
    fn from(compiled: &Compiled) -> Self {
        let entries = compiled.image().rules.values();
        let ids: BTreeSet<OriginId> =
            entries.flat_map(|entry| entry.rx.origins.iter().chain(&entry.tx.origins)).copied().collect();
        let origin = |id| Some((id, compiled.origin(id)?.origin.clone()));
        let origins = ids.into_iter().filter_map(origin).collect();
        Self::new(compiled.document().clone(), compiled.image().clone(), origins)
    }
}

impl CompiledSource {
    pub fn new(document: Document, image: Image, origins: BTreeMap<OriginId, Arc<Origin>>) -> Self {
        Self { document, image, origins, text: OnceLock::new() }
    }

    fn text(&self) -> &(Arc<str>, Vec<u32>) {
        self.text.get_or_init(|| (self.document.to_text().into(), self.document.origin_lines()))
    }

    /// What the document binds, by container.
    fn bound(&self) -> BTreeMap<&str, Addresses> {
        let mut bound = BTreeMap::<&str, Addresses>::new();
        for binding in &self.document.bindings {
            let macs = binding.owns_mac.then_some(binding.mac).into_iter().collect();
            bound.entry(&binding.container).or_default().add(&Addresses { ips: binding.ips.clone(), macs });
        }
        bound
    }
}

/// Who holds an address.
#[derive(Debug, Default)]
pub(super) struct Holders<'a> {
    /// The container that the document binds to it.
    pub bound: Option<&'a str>,
    /// Containers for which it is reserved.
    pub reserved: Vec<&'a str>,
}

/// The content of the tables, and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct HeldContent {
    pub source: Arc<CompiledSource>,
    /// What is reserved, by container: base denies that stay, whatever the document binds. What the document binds to the
    /// container itself is not among it.
    pub kept: BTreeMap<String, Addresses>,
    /// The content of the tables.
    pub image: Image,
    pub names: Names,
}

impl HeldContent {
    pub fn new(source: Arc<CompiledSource>, kept: BTreeMap<String, Addresses>) -> Self {
        let mut names = Names::of(&source.document);
        for (container, addresses) in &kept {
            names.add(container, &addresses.ips, &addresses.macs);
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
        let source = CompiledSource::new(document, image, content.origins.clone());
        // The same text again, byte for byte: the journal keeps differences from it.
        let _ = source.text.set((content.text.clone(), content.lines.clone()));
        let held = Self::new(source.into(), content.kept.clone());
        Ok(Self { image: content.image.clone(), ..held })
    }

    /// The next content under another document: what it no longer gives to a container is reserved for it.
    pub fn next(&self, source: CompiledSource) -> Self {
        self.next_shared(source.into())
    }

    pub fn next_shared(&self, source: Arc<CompiledSource>) -> Self {
        Self::reserving(source, self.all())
    }

    /// What a container has that is not to open: what is reserved and what is bound.
    fn all(&self) -> BTreeMap<String, Addresses> {
        let mut all = self.kept.clone();
        for (container, addresses) in self.source.bound() {
            all.entry(container.to_owned()).or_default().add(&addresses);
        }
        all
    }

    /// A document's content with these reservations, less what the document binds to the container itself.
    pub fn reserving(source: Arc<CompiledSource>, wanted: BTreeMap<String, Addresses>) -> Self {
        let bound = source.bound();
        let left = wanted.into_iter().map(|(container, addresses)| match bound.get(container.as_str()) {
            Some(bound) => (container, addresses.without(bound)),
            None => (container, addresses),
        });
        let kept = left.filter(|(_, addresses)| !addresses.is_empty()).collect();
        Self::new(source, kept)
    }

    /// With these reservations too.
    pub fn retain_guards(&mut self, also: BTreeMap<String, Addresses>) {
        let mut wanted = self.kept.clone();
        for (container, addresses) in also {
            wanted.entry(container).or_default().add(&addresses);
        }
        *self = Self::reserving(self.source.clone(), wanted);
    }

    /// The document as the tables say it: what is reserved beside it is bound, and may nothing. For comparing one content with
    /// another.
    pub fn in_force(&self) -> Document {
        let mut document = self.source.document.clone();
        let file = document.name.clone();
        let origin = Origin { owner: None, reason: None, ticket: None, file, line: 0, when: None, until: None };
        let origin = Arc::new(origin);
        let bound = |ip: &&IpAddr| !document.bindings.iter().any(|binding| binding.ips.contains(ip));
        // One address at least, so that the ARP that goes with it is in every content.
        let mut ips = vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        ips.extend(self.kept.values().flat_map(|addresses| addresses.ips.iter().filter(bound)));
        let policy = document.policies.len();
        let binding = |ips, mac, owns_mac| Binding {
            container: String::new(),
            ips,
            mac,
            owns_mac,
            vlan: None,
            physical_ports: Vec::new(),
            policy,
            attach: Attach::None,
            open_nd: false,
            unprotected_accepted: false,
            origin: origin.clone(),
        };
        let macs = self.kept.values().flat_map(|addresses| addresses.macs.iter());
        let closed: Vec<Binding> = std::iter::once(binding(ips, MacAddr([0; 6]), false))
            .chain(macs.map(|mac| binding(Vec::new(), *mac, true)))
            .collect();
        document.bindings.extend(closed.into_iter().map(Arc::new));
        document.policies.push(Arc::new(Policy { name: String::new(), rules: Vec::new(), line: 0 }));
        document
    }

    /// True if the other content's document binds what is reserved here.
    pub fn is_bound_by(&self, other: &Self) -> bool {
        let ips =
            |addresses: &Addresses| addresses.ips.iter().any(|ip| other.source.document.binding_of(*ip).is_some());
        self.kept.values().any(ips)
    }

    /// Notes that these addresses are reserved. The image is not looked at.
    pub fn reserve(&mut self, container: &str, wanted: &Addresses) {
        let bound = self.source.bound().remove(container).unwrap_or_default();
        let left = wanted.without(&bound);
        if !left.is_empty() {
            self.names.add(container, &left.ips, &left.macs);
            self.kept.entry(container.to_owned()).or_default().add(&left);
        }
    }

    /// Who holds an IP.
    pub fn ip(&self, ip: IpAddr) -> Holders<'_> {
        let bound = self.source.document.bindings.iter().find(|binding| binding.ips.contains(&ip));
        self.holders(bound.map(|binding| binding.container.as_str()), |addresses| addresses.ips.contains(&ip))
    }

    /// Who holds a MAC, alone or with others.
    pub fn mac(&self, mac: MacAddr) -> Holders<'_> {
        let bound = self.source.document.bindings.iter().find(|binding| binding.mac == mac);
        self.holders(bound.map(|binding| binding.container.as_str()), |addresses| addresses.macs.contains(&mac))
    }

    fn holders<'a>(&'a self, bound: Option<&'a str>, has: impl Fn(&Addresses) -> bool) -> Holders<'a> {
        let reserved = self.kept.iter().filter(|(_, addresses)| has(addresses));
        Holders { bound, reserved: reserved.map(|(container, _)| container.as_str()).collect() }
    }

    /// What is reserved here and was not before.
    pub fn newly_reserved(&self, before: &Self) -> Vec<Reserved> {
        let new = self.kept.iter().map(|(container, addresses)| {
            let had = before.kept.get(container);
            let addresses = had.map_or_else(|| addresses.clone(), |had| addresses.without(had));
            let entries = base_keys(&addresses).filter(|key| !self.source.image.rules.contains_key(key)).count();
            Reserved { container: container.clone(), addresses, entries }
        });
        new.filter(|reserved| !reserved.addresses.is_empty()).collect()
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
