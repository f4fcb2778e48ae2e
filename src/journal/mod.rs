//! Stub.
#![allow(missing_docs)]
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::nic::RulesetVersion;
use crate::policy::{Image, Origin, OriginId};
use crate::tables::{CounterId, MacAddr, RuleKey};

#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    #[error("broken")]
    Broken,
    #[error("full")]
    Full,
}
impl JournalError {
    pub fn full_for_tests() -> Self {
        Self::Full
    }
    pub fn broken_for_tests() -> Self {
        Self::Broken
    }
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken)
    }
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Begin(Begin),
    Done {
        change: u64,
        version: Option<RulesetVersion>,
        boot: Option<u16>,
        counters: Vec<(CounterId, CounterId)>,
        commands: u64,
    },
    Undone {
        change: u64,
        why: String,
        version: Option<RulesetVersion>,
    },
    Closed {
        change: u64,
        why: String,
        who: Vec<String>,
        content: Delta,
        version: Option<RulesetVersion>,
    },
    Unknown {
        change: u64,
        why: String,
    },
    Recovered {
        change: Option<u64>,
        version: Option<RulesetVersion>,
        boot: Option<u16>,
        counters: Vec<(CounterId, CounterId)>,
        commands: u64,
        rebooted: bool,
    },
    Confirmed {
        change: u64,
    },
    Committed {
        version: Option<RulesetVersion>,
    },
    Drift {
        expected: Option<RulesetVersion>,
        found: RulesetVersion,
    },
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    pub kind: Kind,
    pub why: Why,
    pub confirm_by: Option<Timestamp>,
    pub version: Option<RulesetVersion>,
    pub delta: Delta,
    pub between: Vec<RuleKey>,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Adopt,
    Apply,
    Reserve,
    Release,
    Rollback { to: u64 },
    Withdraw,
    Repair,
}
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Why {
    pub who: String,
    pub reason: String,
    pub ticket: Option<String>,
    pub approval: Option<String>,
}
impl From<&str> for Why {
    fn from(reason: &str) -> Self {
        Self { reason: reason.into(), ..Self::default() }
    }
}
impl From<String> for Why {
    fn from(reason: String) -> Self {
        Self { reason, ..Self::default() }
    }
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub name: Arc<str>,
    pub text: Arc<str>,
    pub lines: Vec<u32>,
    pub image: Image,
    pub origins: BTreeMap<OriginId, Arc<Origin>>,
    pub kept: BTreeMap<String, Addresses>,
}
impl Default for Content {
    fn default() -> Self {
        Self {
            name: "".into(),
            text: "".into(),
            lines: vec![],
            image: Image::default(),
            origins: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }
}
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    pub ips: Vec<IpAddr>,
    pub mac: Option<MacAddr>,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta(Box<Content>);
impl Delta {
    pub fn between(_: &Content, to: &Content) -> Self {
        Self(Box::new(to.clone()))
    }
}
#[derive(Debug, Clone, Default)]
pub struct Status {
    pub content: Content,
    pub change: Option<u64>,
    pub version: Option<RulesetVersion>,
    pub boot: Option<u16>,
    pub counters: Vec<(CounterId, CounterId)>,
    pub pending: Option<Pending>,
    pub confirm: Option<Unconfirmed>,
    pub cache: Option<RulesetVersion>,
    pub last_at: Timestamp,
    pub drift: Option<RulesetVersion>,
}
#[derive(Debug, Clone)]
pub struct Pending {
    pub change: u64,
    pub begin: Begin,
    pub goal: Content,
}
#[derive(Debug, Clone)]
pub struct Unconfirmed {
    pub change: u64,
    pub by: Timestamp,
    pub back_to: u64,
}
#[derive(Debug)]
pub struct Journal {
    status: Status,
    contents: BTreeMap<u64, Content>,
    number: u64,
}
impl Journal {
    pub fn in_memory() -> Self {
        Self { status: Status::default(), contents: BTreeMap::new(), number: 0 }
    }
    pub fn status(&self) -> &Status {
        &self.status
    }
    pub fn content_at(&mut self, n: u64) -> Result<Content, JournalError> {
        self.contents.get(&n).cloned().ok_or(JournalError::Full)
    }
    pub fn append(&mut self, at: Timestamp, event: Event) -> Result<u64, JournalError> {
        self.number += 1;
        let s = &mut self.status;
        s.last_at = at;
        match event {
            Event::Begin(begin) => {
                let goal = (*begin.delta.0).clone();
                s.pending = Some(Pending { change: self.number, begin, goal });
            }
            Event::Done { change, version, boot, counters, .. } => {
                let p = s.pending.take().unwrap();
                assert_eq!(p.change, change);
                if let Some(by) = p.begin.confirm_by {
                    s.confirm = Some(Unconfirmed { change, by, back_to: s.change.unwrap() });
                } else if matches!(p.begin.kind, Kind::Rollback { .. } | Kind::Adopt | Kind::Repair) {
                    s.confirm = None;
                }
                s.content = p.goal;
                s.change = Some(change);
                (s.version, s.boot, s.counters) = (version, boot, counters);
                self.contents.insert(change, s.content.clone());
                s.drift = None;
            }
            Event::Undone { version, .. } => {
                s.pending = None;
                if version.is_some() {
                    s.version = version;
                }
            }
            Event::Closed { version, content, change, .. } => {
                s.pending = None;
                s.version = version;
                s.content = *content.0;
                s.change = Some(change);
                self.contents.insert(change, s.content.clone());
            }
            Event::Unknown { .. } => {}
            Event::Recovered { version, boot, counters, .. } => {
                s.pending = None;
                (s.version, s.boot, s.counters) = (version, boot, counters);
            }
            Event::Confirmed { .. } => s.confirm = None,
            Event::Committed { version } => s.cache = version,
            Event::Drift { found, .. } => s.drift = Some(found),
        }
        Ok(self.number)
    }
}
pub struct Key;
impl Key {
    pub fn new(_: &[u8]) -> Self {
        Self
    }
}
pub trait Store: Send {}
pub struct FileStore;
impl Store for FileStore {}
impl FileStore {
    pub fn open(_: &std::path::Path) -> Result<Self, JournalError> {
        Ok(Self)
    }
}
impl Journal {
    pub fn open(_: Box<dyn Store>, _: &str, _: Option<&Key>) -> Result<Self, JournalError> {
        Ok(Self::in_memory())
    }
}
