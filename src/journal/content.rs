//! What the adapter holds and where it comes from, as a value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::policy::Origin;
use crate::tables::{Compiled, Image, OriginId, RuleKey};
use crate::terms::MacAddr;

/// What the adapter holds, the document that says so, and who asked for each entry. A copy costs little.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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
    /// What is reserved, by container: base denies that stay until its release, whatever the document binds.
    pub kept: BTreeMap<String, Addresses>,
}

/// Addresses of a container, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Addresses {
    /// Its IPs.
    pub ips: Vec<IpAddr>,
    /// MACs that the container alone owns.
    pub macs: Vec<MacAddr>,
}

impl Addresses {
    /// These, each once.
    #[must_use]
    pub fn new(ips: Vec<IpAddr>, macs: Vec<MacAddr>) -> Self {
        let mut out = Self::default();
        out.add(&Self { ips, macs });
        out
    }

    /// True if an entry with this key is about one of the addresses.
    #[must_use]
    pub fn are_named_by(&self, key: &RuleKey) -> bool {
        key.local_ip.is_some_and(|ip| self.ips.contains(&ip))
            || (key.local_ip.is_none() && key.local_mac.is_some_and(|mac| self.macs.contains(&mac)))
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ips.is_empty() && self.macs.is_empty()
    }

    /// Those of `other` too.
    pub fn add(&mut self, other: &Self) {
        for ip in &other.ips {
            if !self.ips.contains(ip) {
                self.ips.push(*ip);
            }
        }
        for mac in &other.macs {
            if !self.macs.contains(mac) {
                self.macs.push(*mac);
            }
        }
    }

    /// Those that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let ips = self.ips.iter().filter(|ip| !other.ips.contains(ip)).copied().collect();
        let macs = self.macs.iter().filter(|mac| !other.macs.contains(mac)).copied().collect();
        Self { ips, macs }
    }
}

impl fmt::Display for Addresses {
    /// As in `10.30.1.17, 02:00:0a:1e:01:11`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.ips.iter().map(ToString::to_string).chain(self.macs.iter().map(ToString::to_string));
        f.write_str(&words.collect::<Vec<_>>().join(", "))
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
