//! What the adapter holds and where it comes from, as a value.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::policy::{Compiled, Image, Origin, OriginId};
use crate::tables::{MacAddr, RuleKey};

/// What the adapter holds, the document that says so, and who asked for each entry. A copy costs little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The document's name, usually the file's.
    pub name: Arc<str>,
    /// The document as text.
    pub text: Arc<str>,
    /// Lines of the document's origins in the file, as the document lists them.
    pub lines: Vec<u32>,
    /// The content of the tables.
    pub image: Image,
    /// Who asked for the entries.
    pub origins: BTreeMap<OriginId, Arc<Origin>>,
    /// Containers that the document does not name and whose base denies stay.
    pub kept: BTreeMap<String, Addresses>,
}

/// Addresses of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// Its IPs.
    pub ips: Vec<IpAddr>,
    /// The MAC, if the container alone owns it.
    pub mac: Option<MacAddr>,
}

impl Addresses {
    /// True if an entry with this key is about one of the addresses.
    #[must_use]
    pub fn are_named_by(&self, key: &RuleKey) -> bool {
        key.local_ip.is_some_and(|ip| self.ips.contains(&ip))
            || (key.local_ip.is_none() && key.local_mac.is_some() && key.local_mac == self.mac)
    }
}

impl Default for Content {
    /// Nothing: empty tables and no document.
    fn default() -> Self {
        Self {
            name: "".into(),
            text: "".into(),
            lines: Vec::new(),
            image: Image::default(),
            origins: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }
}

impl Content {
    /// What a compiled document makes of the tables. `text` and `lines` are its document's.
    #[must_use]
    pub fn of(compiled: &Compiled, text: Arc<str>, lines: Vec<u32>) -> Self {
        let entries = compiled.image().rules.values();
        let ids: BTreeSet<OriginId> =
            entries.flat_map(|entry| entry.rx.origins.iter().chain(&entry.tx.origins)).copied().collect();
        Self {
            name: compiled.document().name.clone(),
            text,
            lines,
            image: compiled.image().clone(),
            origins: ids.into_iter().filter_map(|id| Some((id, compiled.origin(id)?.origin))).collect(),
            kept: BTreeMap::new(),
        }
    }
}
