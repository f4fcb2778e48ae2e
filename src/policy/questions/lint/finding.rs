//! What is found.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::policy::document::{Origin, Rule, RulePlace};
use crate::policy::text::words;
use crate::terms::Direction;

/// One thing of a document that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was found.
    pub lint: Lint,
    /// Where: first what it is about, then what it refers to.
    pub origins: Vec<Arc<Origin>>,
    /// What was found and what to do, in one sentence without the place.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origins.first() {
            Some(origin) => write!(f, "{origin}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lint {
    /// A rule that decides nothing: without it every flow has the same decision, for the same reason. All rules of such
    /// findings and of [`Lint::Duplicate`] can be taken out together.
    NeverMatches {
        /// The rule.
        rule: RulePlace,
        /// What decides the flows that it matches; empty if it matches none.
        hidden_by: Vec<Hider>,
    },
    /// A rule that decides nothing because an earlier one of the list says the same.
    Duplicate {
        /// The later rule.
        rule: RulePlace,
        /// The first that says the same.
        of: RulePlace,
    },
    /// Neighbours of one origin that one rule could replace: no verdict changes.
    CouldBeOne {
        /// The rules, in their order, at least two.
        rules: Vec<RulePlace>,
        /// The rule that could stand in their place.
        merged: Box<Rule>,
    },
    /// Replies that leave more than [`Lint::MUCH`] pairs of address and port open.
    RepliesOpenMuch {
        /// The rule whose replies they are.
        rule: RulePlace,
        /// Which way the replies go.
        direction: Direction,
        /// The container that most is open for.
        container: String,
        /// How many pairs: who may send unasked, and which port is reached. An IPv6 network of 64 bits counts as one
        /// address.
        pairs: u128,
    },
    /// A rule without a reason.
    NoReason {
        /// The rule.
        rule: RulePlace,
    },
    /// A rule or binding whose last day has passed.
    Expired {
        /// The rule; `None` for a binding.
        rule: Option<RulePlace>,
    },
    /// TCP passes and no ICMP (for IPv6: ICMPv6) comes in, so nobody learns that a packet was too large for the path.
    NoPathMtu {
        /// Index of the policy.
        policy: usize,
        /// For IPv6.
        v6: bool,
    },
    /// A policy that no binding uses. Its rules are not looked at.
    UnusedPolicy {
        /// Index of the policy.
        policy: usize,
    },
    /// A deny that decides nothing but frames from groups, which nothing else would allow: replies to earlier allows are let
    /// through before it.
    DeadDeny {
        /// The deny.
        rule: RulePlace,
        /// The allows.
        replies_to: Vec<RulePlace>,
    },
    /// A protocol that no frame of the rule's addresses shows.
    ProtocolNeverShown {
        /// The rule.
        rule: RulePlace,
    },
    /// An exception that takes nothing away.
    IdleException {
        /// The rule.
        rule: RulePlace,
        /// The exception, as it was said.
        word: String,
    },
    /// A group that no rule names.
    UnusedGroup {
        /// Its name.
        group: String,
    },
    /// The document is too large to look for rules that decide nothing, for open replies and for path MTUs.
    TooLarge,
}

impl Lint {
    /// Replies open much if they leave more pairs of address and port open than this: a network of 16 bits, all ports.
    pub const MUCH: u128 = 1 << 32;

    /// A name for programs, as `never-matches`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NeverMatches { .. } => "never-matches",
            Self::Duplicate { .. } => "duplicate",
            Self::CouldBeOne { .. } => "could-be-one",
            Self::RepliesOpenMuch { .. } => "replies-open-much",
            Self::NoReason { .. } => "no-reason",
            Self::Expired { .. } => "expired",
            Self::NoPathMtu { .. } => "no-path-mtu",
            Self::UnusedPolicy { .. } => "unused-policy",
            Self::DeadDeny { .. } => "dead-deny",
            Self::ProtocolNeverShown { .. } => "unseen-protocol",
            Self::IdleException { .. } => "idle-exception",
            Self::UnusedGroup { .. } => "unused-group",
            Self::TooLarge => "too-large",
        }
    }
}

/// What decides flows before a rule can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hider {
    /// Another rule; `reply` if by admitting replies.
    Rule {
        /// The rule.
        place: RulePlace,
        /// By admitting replies.
        reply: bool,
    },
    /// `nd: open-icmpv6`.
    NeighbourDiscovery,
    /// `multicast: deny`.
    Multicast,
}

/// A day of the calendar, or a second of it in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Date(pub(super) String);

/// A word that is no [`Date`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a date; expected one as 2026-11-23 or 2026-11-23T08:30:00Z")]
pub struct DateError(String);

impl FromStr for Date {
    type Err = DateError;

    fn from_str(word: &str) -> Result<Self, DateError> {
        words::date(word).map(|()| Self(word.to_owned())).map_err(|_| DateError(word.to_owned()))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
