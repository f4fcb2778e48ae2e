//! Differences between contents.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Key, Origin, mac};
use super::values::WireError;
use crate::journal::delta::{self, MapDelta};
use crate::journal::{Addresses, splice};
use crate::tables::{OriginId, PortRangeId, SubnetId};

const TWICE: WireError = WireError::Value("a key twice");

/// The difference between two contents.
#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Splice<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<Splice<Vec<u32>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    set: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gone: Vec<Key>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subnets: Option<Map<Subnets>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_ports: Option<Map<Ports>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_ports: Option<Map<Ports>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    origins: Vec<(u32, Option<Origin>)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kept: Vec<(String, Option<Kept>)>,
}

/// `put` between the first `keep` and the last `tail` of a sequence of `of`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Splice<T> {
    of: usize,
    keep: usize,
    tail: usize,
    put: T,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Map<D> {
    Gone,
    Changed(D),
}

/// First port and id of each class.
type Ports = Splice<Vec<(u16, u16)>>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subnets {
    /// First address and id of each class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    classes: Option<Splice<Vec<(u32, u16)>>>,
    /// Words of each node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<(u32, Option<Vec<u16>>)>,
}

/// Addresses of a container that stay denied.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    ips: Vec<IpAddr>,
    /// The first MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    /// The others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    macs: Vec<String>,
}

impl From<&Addresses> for Kept {
    fn from(addresses: &Addresses) -> Self {
        let mut macs = addresses.macs.iter().map(ToString::to_string);
        Self { ips: addresses.ips.clone(), mac: macs.next(), macs: macs.collect() }
    }
}

impl TryFrom<Kept> for Addresses {
    type Error = WireError;

    fn try_from(kept: Kept) -> Result<Self, WireError> {
        let macs = kept.mac.into_iter().chain(kept.macs).filter_map(|text| mac(Some(text)).transpose());
        Ok(Self { ips: kept.ips, macs: macs.collect::<Result<_, _>>()? })
    }
}

impl<T> Splice<T> {
    fn of<U>(splice: &splice::Splice<U>, put: impl FnOnce(&[U]) -> T) -> Self {
        Self { of: splice.of, keep: splice.keep, tail: splice.tail, put: put(&splice.put) }
    }

    fn into<U>(self, put: impl FnOnce(T) -> Vec<U>) -> splice::Splice<U> {
        splice::Splice { of: self.of, keep: self.keep, tail: self.tail, put: put(self.put) }
    }
}

fn map_of<D, E>(map: &MapDelta<D>, of: impl FnOnce(&D) -> E) -> Option<Map<E>> {
    match map {
        MapDelta::Same => None,
        MapDelta::Gone => Some(Map::Gone),
        MapDelta::Changed(delta) => Some(Map::Changed(of(delta))),
    }
}

fn map_from<D, E>(map: Option<Map<E>>, from: impl FnOnce(E) -> Result<D, WireError>) -> Result<MapDelta<D>, WireError> {
    Ok(match map {
        None => MapDelta::Same,
        Some(Map::Gone) => MapDelta::Gone,
        Some(Map::Changed(delta)) => MapDelta::Changed(from(delta)?),
    })
}

/// All of them, or an error if a key is there twice.
fn unique<K: Ord, V>(items: impl IntoIterator<Item = Result<(K, V), WireError>>) -> Result<BTreeMap<K, V>, WireError> {
    let mut out = BTreeMap::new();
    for item in items {
        let (key, value) = item?;
        if out.insert(key, value).is_some() {
            return Err(TWICE);
        }
    }
    Ok(out)
}

fn ports_of(splice: &delta::PortDelta) -> Ports {
    Splice::of(splice, |put| put.iter().map(|(first, id)| (*first, id.0)).collect())
}

fn ports_from(ports: Ports) -> Result<delta::PortDelta, WireError> {
    Ok(ports.into(|put| put.into_iter().map(|(first, id)| (first, PortRangeId(id))).collect()))
}

fn subnets_of(delta: &delta::SubnetDelta) -> Subnets {
    let classes = |put: &[(u32, SubnetId)]| put.iter().map(|(first, id)| (*first, id.0)).collect();
    Subnets {
        classes: delta.classes.as_ref().map(|splice| Splice::of(splice, classes)),
        nodes: delta.nodes.iter().map(|(id, words)| (*id, words.clone())).collect(),
    }
}

fn subnets_from(subnets: Subnets) -> Result<delta::SubnetDelta, WireError> {
    let classes = |put: Vec<(u32, u16)>| put.into_iter().map(|(first, id)| (first, SubnetId(id))).collect();
    Ok(delta::SubnetDelta {
        classes: subnets.classes.map(|splice| splice.into(classes)),
        nodes: unique(subnets.nodes.into_iter().map(Ok))?,
    })
}

impl From<&delta::Delta> for Delta {
    fn from(delta: &delta::Delta) -> Self {
        let text = |put: &[u8]| String::from_utf8_lossy(put).into_owned();
        Self {
            name: delta.name.as_ref().map(ToString::to_string),
            text: delta.text.as_ref().map(|splice| Splice::of(splice, text)),
            lines: delta.lines.as_ref().map(|splice| Splice::of(splice, <[u32]>::to_vec)),
            set: delta.entries().filter_map(|(key, entry)| Some((key, entry?).into())).collect(),
            gone: delta.entries().filter(|(_, entry)| entry.is_none()).map(|(key, _)| Key(*key)).collect(),
            subnets: map_of(&delta.subnets, subnets_of),
            remote_ports: map_of(&delta.remote_ports, ports_of),
            local_ports: map_of(&delta.local_ports, ports_of),
            origins: delta.origins.iter().map(|(id, origin)| (id.0, origin.as_deref().map(Into::into))).collect(),
            kept: delta.kept.iter().map(|(who, addresses)| (who.clone(), addresses.as_ref().map(Kept::from))).collect(),
        }
    }
}

impl TryFrom<Delta> for delta::Delta {
    type Error = WireError;

    fn try_from(delta: Delta) -> Result<Self, WireError> {
        let set = delta.set.into_iter().map(Into::into).map(|(key, entry)| Ok((key, Some(entry))));
        let gone = delta.gone.into_iter().map(|key| Ok((key.0, None)));
        let origin = |(id, origin): (u32, Option<Origin>)| Ok((OriginId(id), origin.map(|o| Arc::new(o.into()))));
        let kept = |(who, kept): (String, Option<Kept>)| Ok((who, kept.map(Addresses::try_from).transpose()?));
        Ok(Self {
            name: delta.name.map(Into::into),
            text: delta.text.map(|splice| splice.into(String::into_bytes)),
            lines: delta.lines.map(|splice| splice.into(|put| put)),
            entries: unique(set.chain(gone))?,
            subnets: map_from(delta.subnets, subnets_from)?,
            remote_ports: map_from(delta.remote_ports, ports_from)?,
            local_ports: map_from(delta.local_ports, ports_from)?,
            origins: unique(delta.origins.into_iter().map(origin))?,
            kept: unique(delta.kept.into_iter().map(kept))?,
        })
    }
}
