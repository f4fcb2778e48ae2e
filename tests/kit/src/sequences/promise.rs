//! What the adapter is said to hold, and what follows from it for flows: by the policies' own evaluator, and the book that
//! is kept here of addresses that stay closed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nicfw::clock::Timestamp;

use crate::sequences::documents::{Policy, pool};
use crate::sequences::probes::{Mask, all, of_ip, of_mac};

/// Addresses of a container that stay closed until it is released.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Kept {
    /// Last bytes.
    pub ips: BTreeSet<u8>,
    /// Its MAC too.
    pub mac: bool,
}

/// A policy of the pool, or what is left of one when a part of it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chosen {
    pub policy: usize,
    pub withdrawn: bool,
}

impl Chosen {
    pub fn of(policy: usize) -> Self {
        Self { policy, withdrawn: false }
    }

    pub fn policy(self) -> &'static Policy {
        let policy = &pool()[self.policy];
        match &policy.ends {
            Some((_, left)) if self.withdrawn => left,
            _ => policy,
        }
    }
}

/// A change that goes back unless somebody confirms it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// By the date: certainly not late before the first, certainly late from the second on.
    pub by: (Timestamp, Timestamp),
    /// The same by the clock that nobody sets, for a process that sees it.
    pub until: (Duration, Duration),
    /// Number of the process that sees when the time is over.
    pub sees: Option<u64>,
    /// What comes back.
    pub back: Box<Promise>,
}

/// A policy, and what stays closed beside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    pub chosen: Chosen,
    pub kept: BTreeMap<u8, Kept>,
}

/// What the adapter is said to hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Promise {
    pub content: Content,
    /// Containers that lost all that they were allowed, as an error has said.
    pub shut: BTreeSet<u8>,
    /// Probes of addresses that nobody has, which stay closed until the next policy is applied, as an error has said.
    pub nameless: Mask,
    pub waiting: Option<Waiting>,
}

impl Content {
    pub fn of(policy: usize) -> Self {
        Self { chosen: Chosen::of(policy), kept: BTreeMap::new() }
    }

    pub fn policy(&self) -> &'static Policy {
        self.chosen.policy()
    }

    /// The probes whose local address or MAC stays closed.
    fn closed(&self) -> Mask {
        let one = |(who, kept): (&u8, &Kept)| {
            let ips = kept.ips.iter().fold(0, |mask, ip| mask | of_ip(*ip));
            if kept.mac { ips | of_mac(*who) } else { ips }
        };
        self.kept.iter().map(one).fold(0, |mask, one| mask | one)
    }

    /// What passes.
    pub fn passes(&self) -> Mask {
        let Policy { says, bound, .. } = self.policy();
        says & (bound | !self.closed()) & all()
    }

    /// Another policy: whoever it no longer binds stays closed, and what was reserved too.
    pub fn next(&self, chosen: Chosen) -> Self {
        let mut kept = self.kept.clone();
        for (who, ips) in &self.policy().binds {
            let still = chosen.policy().addresses(*who);
            let gone = ips.iter().filter(|ip| still.is_none_or(|still| !still.contains(ip))).copied();
            let gone: BTreeSet<u8> = gone.collect();
            if !gone.is_empty() {
                let entry = kept.entry(*who).or_default();
                entry.ips.extend(gone);
                entry.mac |= still.is_none();
            }
        }
        Self { chosen, kept }.settled()
    }

    /// What a container is bound to is not kept for it beside that; it is kept again when it is bound to it no longer.
    pub fn settled(mut self) -> Self {
        for (who, kept) in &mut self.kept {
            if let Some(bound) = self.chosen.policy().addresses(*who) {
                kept.ips.retain(|ip| !bound.contains(ip));
                kept.mac = false;
            }
        }
        self.kept.retain(|_, kept| kept.mac || !kept.ips.is_empty());
        self
    }

    /// What stays closed in the other stays closed here too.
    pub fn keeping(mut self, also: &Self) -> Self {
        for (who, kept) in &also.kept {
            let entry = self.kept.entry(*who).or_default();
            entry.ips.extend(&kept.ips);
            entry.mac |= kept.mac;
        }
        self.settled()
    }

    /// Who has an address, beside this container.
    pub fn holder(&self, ip: u8, but: u8) -> Option<u8> {
        let bound = self.policy().binds.iter().find(|(who, ips)| *who != but && ips.contains(&ip)).map(|(who, _)| *who);
        bound.or_else(|| {
            self.kept.iter().find(|(who, kept)| **who != but && kept.ips.contains(&ip)).map(|(who, _)| *who)
        })
    }
}

impl Promise {
    pub fn of(content: Content) -> Self {
        Self { content, shut: BTreeSet::new(), nameless: 0, waiting: None }
    }

    /// What was promised earlier comes back: what stays closed now stays closed, and what was closed then too, by an error as well.
    pub fn gone_back(&self, then: &Self) -> Self {
        let content = self.content.next(then.content.chosen).keeping(&then.content);
        Self { content, waiting: None, ..then.clone() }
    }

    /// Nobody confirmed what waits: what was before comes back, as an error had left it.
    pub fn taken_back(&self) -> Self {
        self.waiting.as_ref().map_or_else(|| self.clone(), |waiting| self.gone_back(&waiting.back))
    }

    /// The adapter was emptied: nothing is kept for anybody.
    pub fn given_back(&self) -> Self {
        Self::of(Content { kept: BTreeMap::new(), ..self.content.clone() })
    }

    /// What an error had said to be closed is open again.
    pub fn reopened(&self) -> Self {
        Self { shut: BTreeSet::new(), nameless: 0, ..self.clone() }
    }

    /// What passes.
    pub fn passes(&self) -> Mask {
        let shut = |who: &u8| {
            let ips = self.content.policy().addresses(*who).unwrap_or_default();
            ips.iter().fold(0, |mask, ip| mask | of_ip(*ip))
        };
        let shut = self.shut.iter().map(shut).fold(0, |mask, one| mask | one);
        self.content.passes() & !shut & !self.nameless
    }
}
