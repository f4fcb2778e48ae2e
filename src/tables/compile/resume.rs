//! A compilation taken up again: its document and its image are known, and nothing else of it.
//!
//! The document is compiled anew, which gives the same classes and entries other ids and counters. Those of the image are
//! put in their places, found by what each means, and the document is compiled once more beside that.

use std::collections::HashMap;

use super::build::Run;
use super::compiled::Compiled;
use crate::policy::Document;
use crate::tables::naming::Naming;
use crate::tables::{CompileError, Image, ImageEntry, PortMap, RuleKey, Target};

impl Compiled {
    /// The compilation of a document that has this image, to start from where the process that made it is gone.
    ///
    /// `None` if compiling does not lead to the image: it is of another version of the compiler, or of another document.
    ///
    /// # Errors
    /// As [`Compiled::new`].
    pub fn resume(document: &Document, target: &Target, image: &Image) -> Result<Option<Self>, CompileError> {
        let fresh = Self::new(document, target, None)?;
        let Some(known) = fresh.with_names_of(image) else { return Ok(None) };
        let resumed = Self::whole(document, target, Some(&known), &mut Run { prove: true, watch: &mut |_| () })?;
        Ok(is_same(resumed.image(), image).then_some(resumed))
    }

    /// This, as if its ids and counters were those of an image; `None` if it has other maps.
    fn with_names_of(self, image: &Image) -> Option<Self> {
        let (names, available) = (Names::new(&self.image, image)?, self.target.profile.counters);
        let counter = |key: &RuleKey| image.rules.get(&names.key(key)?)?.counter.filter(|id| id.0 < available);
        let mut state = self.state.clone();
        state.counters = state.counters.renamed(counter);
        let [subnets, remote_ports, local_ports] = state.naming.maps().rest;
        let of = |names: &HashMap<u16, u16>, id: Option<u16>| names.get(&id?).copied();
        let rest =
            [of(&names.subnets, subnets), of(&names.remote_ports, remote_ports), of(&names.local_ports, local_ports)];
        state.naming = Naming::with_rest(rest);
        Some(Self::of(&self.document, &self.target, image.clone(), state))
    }
}

/// The ids that one image has for classes, by those that another has for them.
struct Names {
    subnets: HashMap<u16, u16>,
    remote_ports: HashMap<u16, u16>,
    local_ports: HashMap<u16, u16>,
}

impl Names {
    fn new(own: &Image, other: &Image) -> Option<Self> {
        Some(Self {
            subnets: match (&own.subnets, &other.subnets) {
                (None, None) => HashMap::new(),
                (Some(own), Some(other)) => {
                    own.classes.iter().filter_map(|(first, id)| Some((id.0, other.lookup(*first)?.0))).collect()
                }
                _ => return None,
            },
            remote_ports: ports(own.remote_ports.as_deref(), other.remote_ports.as_deref())?,
            local_ports: ports(own.local_ports.as_deref(), other.local_ports.as_deref())?,
        })
    }

    fn key(&self, key: &RuleKey) -> Option<RuleKey> {
        let mut out = *key;
        if let Some(id) = &mut out.remote_subnet {
            id.0 = *self.subnets.get(&id.0)?;
        }
        if let Some(id) = &mut out.remote_portrange {
            id.0 = *self.remote_ports.get(&id.0)?;
        }
        if let Some(id) = &mut out.local_portrange {
            id.0 = *self.local_ports.get(&id.0)?;
        }
        Some(out)
    }
}

fn ports(own: Option<&PortMap>, other: Option<&PortMap>) -> Option<HashMap<u16, u16>> {
    match (own, other) {
        (None, None) => Some(HashMap::new()),
        (Some(own), Some(other)) => {
            Some(own.classes.iter().filter_map(|(first, id)| Some((id.0, other.lookup(*first)?.0))).collect())
        }
        _ => None,
    }
}

/// True if an adapter that holds one of them holds the other; origins are numbered anew by each compilation.
fn is_same(a: &Image, b: &Image) -> bool {
    let entry = |entry: &ImageEntry| (entry.rx.action, entry.tx.action, entry.counter);
    (&a.subnets, &a.remote_ports, &a.local_ports) == (&b.subnets, &b.remote_ports, &b.local_ports)
        && a.rules.len() == b.rules.len()
        && a.rules.iter().zip(b.rules.iter()).all(|(one, other)| one.0 == other.0 && entry(one.1) == entry(other.1))
}
