//! Why a document cannot be compiled for an adapter: the rule, what it asks for, and the way out.
//!
//! What to write instead is searched for on request, because it takes several compilations: [`CompileError::rewriting`], in
//! the room `rewrite`. Its words are in `tests/golden/rewritings.txt`.

use std::fmt;
use std::sync::Arc;

use crate::policy::regions::{Cause, Region, Shape};
use crate::policy::{Document, Origin, PortPair, Proto};
use crate::tables::usage::{Table, Usage};
use crate::tables::{FieldError, MapError, MatchFields};
use crate::terms::{Direction, Flow, Verdict};

/// Why a document cannot be compiled. Nothing was sent to an adapter. [`Self::rewriting`] finds what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// A table is too small.
    #[error(
        "{at}: does not fit: {}{missing} {table} missing (0 free); largest user: {largest}. Nothing was sent. \
         See: nicfw plan --by policy",
        if usage.is_empty() { "at least " } else { "" }
    )]
    DoesNotFit {
        /// The rule that uses most of the table, among those of the largest user.
        at: Arc<Origin>,
        /// The table.
        table: Table,
        /// How much is missing; at least so much where the rest was not counted.
        missing: u64,
        /// Who uses most of it.
        largest: LargestUser,
        /// What all tables would need but the counters; empty where it is so much that not all of it was counted.
        usage: Vec<Usage>,
    },
    /// An allow without ports beside a deny by ports: entries of unordered tables cannot name "no ports".
    #[error(
        "{allow}: {proto} frames without ports (later fragments) are allowed here, but{ports} they are {deny}; \
         an entry without ports would allow both. Name ports in this rule. Nothing was sent"
    )]
    Fragments {
        /// The rule that allows.
        allow: Arc<Origin>,
        /// Protocol.
        proto: Proto,
        /// Ports that are denied.
        ports: Denied,
        /// What denies.
        deny: DeniedBy,
    },
    /// An allow of every protocol beside a deny of one: entries of unordered tables cannot name "all others".
    #[error(
        "{allow}: every protocol is allowed here, but {proto}{ports} is {deny}; an entry without a protocol would \
         allow both. Name protocols in this rule{}. Nothing was sent",
        if *reply { ", or say replies: no" } else { "" }
    )]
    AnyProtocol {
        /// The rule that allows.
        allow: Arc<Origin>,
        /// The protocol that is denied.
        proto: Proto,
        /// Its ports that are denied.
        ports: Denied,
        /// What denies.
        deny: DeniedBy,
        /// It is the rule's replies that cannot be said.
        reply: bool,
    },
    /// IPv6 remotes other than all and single addresses.
    #[error("{at}: {}. Nothing was sent", ipv6_words(groups, *reply))]
    Ipv6Remote {
        /// The rule.
        at: Arc<Origin>,
        /// True if `multicast: deny` takes something away from the rule's remotes.
        groups: GroupsTaken,
        /// It is the replies of an allow in that cannot be said, and no more.
        reply: bool,
    },
    /// A sampled deny: only the base denies, and they are not a rule's.
    #[error(
        "{at}: a deny is not an entry of its own under this adapter's lookup order, so it cannot be sampled. \
         Leave sample out. Nothing was sent"
    )]
    SampledDeny {
        /// The rule.
        at: Arc<Origin>,
    },
    /// A physical port that the adapter does not have.
    #[error("{at}: physical port {port}: the adapter has {available}, counted from 0. Nothing was sent")]
    PhysicalPort {
        /// The binding.
        at: Arc<Origin>,
        /// The port.
        port: u32,
        /// Ports of the adapter.
        available: u32,
    },
    /// A combination of match fields that the adapter does not look up above its base.
    #[error(
        "{at}: this needs entries of the rule table that name {}, and the adapter does not look those up above its base \
         entries. Say it with other fields. Nothing was sent",
        Names(*fields)
    )]
    NotLookedUp {
        /// The rule that needs it; the document, where it is not a rule's.
        at: Arc<Origin>,
        /// The combination.
        fields: MatchFields,
    },
    /// What frames are to be told apart by is looked up too late, or not at all.
    #[error(
        "{at}: {} frames of this rule are to be told from others by {}, and the order of lookups in the rule table has none \
         for that before those that take them together. Say it with fewer fields, or leave out what overlaps. Nothing was \
         sent",
        proto.map_or_else(|| "all other".to_owned(), |proto| proto.to_string()),
        Names(*fields)
    )]
    Order {
        /// The rule.
        at: Arc<Origin>,
        /// Protocol; `None` = those that no rule names.
        proto: Option<Proto>,
        /// What the missing lookup names.
        fields: MatchFields,
    },
    /// The adapter drops what no entry decides, so other traffic cannot be left alone.
    #[error("{at}: unbound: allow needs an adapter that lets through what no entry decides. Nothing was sent")]
    UnboundAllow {
        /// The document.
        at: Arc<Origin>,
    },
    /// The rules of one policy meet in so many ways that compiling them would take minutes.
    #[error(
        "{at}: {rules} rules meet here in too many combinations of addresses and ports. Split the policy. Nothing was sent"
    )]
    TooComplex {
        /// The last rule of the policy.
        at: Arc<Origin>,
        /// How many there are.
        rules: usize,
    },
    /// A map cannot be built for this adapter.
    #[error("no map can be built. Nothing was sent")]
    Map(#[from] MapError),
    /// A field of an entry cannot hold what a rule or a binding asks for.
    #[error("{at}: the rule table cannot hold an entry for this: {why}. {}. Nothing was sent", why.way_out())]
    NotTaken {
        /// The rule, or the binding.
        at: Arc<Origin>,
        /// The field, and why it cannot.
        why: FieldError,
    },
    /// A map was found not to say what entries rely on: an error of the compiler.
    #[error(
        "{at}: internal error: the {table} do not say what the entries of the rule table rely on. Nothing was sent. \
         Please report it"
    )]
    MapDisagrees {
        /// The document.
        at: Arc<Origin>,
        /// What is wrong.
        table: Table,
    },
    /// The image was found to disagree with the document: an error of the compiler.
    #[error(
        "{at}: internal error: the document decides {expected:?} about a flow that the image decides otherwise about. \
         Nothing was sent. Please report it"
    )]
    Disagrees {
        /// The binding or the document.
        at: Arc<Origin>,
        /// What the document says.
        expected: Verdict,
        /// The flow.
        flow: Box<Flow>,
    },
}

/// Match fields in words: `local ip, remote subnet id`.
struct Names(MatchFields);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (name, _) in self.0.iter_names() {
            write!(f, "{between}{}", name.to_lowercase().replace('_', " "))?;
            between = ", ";
        }
        Ok(())
    }
}

/// Who uses most of a table: `policy web, 31`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LargestUser {
    /// The policy's name; `None` = the base entries and management rules.
    pub policy: Option<String>,
    /// How much it uses.
    pub used: u64,
}

impl fmt::Display for LargestUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.policy {
            Some(policy) => write!(f, "policy {policy}, {}", self.used),
            None => write!(f, "base entries and management, {}", self.used),
        }
    }
}

/// Ports of a denied region, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// The protocol has none.
    NoPorts,
    /// Frames that show none.
    WithoutPorts,
    /// These.
    Ports(PortPair),
}

impl Denied {
    fn of(region: &Region) -> Self {
        match &region.ports {
            Some(ports) => Self::Ports(ports.clone()),
            None if region.proto.is_some_and(Proto::has_ports) => Self::WithoutPorts,
            None => Self::NoPorts,
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPorts => Ok(()),
            Self::WithoutPorts => f.write_str(" without ports (a later fragment)"),
            Self::Ports(ports) if ports.remote.is_full() => write!(f, " with local ports {}", ports.local),
            Self::Ports(ports) if ports.local.is_full() => write!(f, " with remote ports {}", ports.remote),
            Self::Ports(ports) => write!(f, " with remote ports {} and local ports {}", ports.remote, ports.local),
        }
    }
}

/// What denies, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeniedBy {
    /// A rule.
    Rule(Arc<Origin>),
    /// No rule allows it.
    NoRule,
    /// `multicast: deny`.
    Multicast,
}

impl fmt::Display for DeniedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(origin) => write!(f, "denied by {origin}"),
            Self::NoRule => f.write_str("allowed by no rule"),
            Self::Multicast => f.write_str("denied by multicast: deny"),
        }
    }
}

/// Whether `multicast: deny` is part of the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupsTaken(bool);

/// What an IPv6 remote can be, and the way out.
fn ipv6_words(groups: &GroupsTaken, reply: bool) -> String {
    let silent = if reply { ", or replies: no" } else { "" };
    if groups.0 {
        let whose = if reply { "those to which this rule's replies go" } else { "this rule's" };
        return format!(
            "an entry names all IPv6 addresses or a single one, and multicast: deny takes the groups away from {whose}. \
             Say multicast: allow (which needs unbound: allow){silent}, or name single IPv6 addresses"
        );
    }
    format!(
        "the subnet map holds IPv4 prefixes only, and what is left of this rule's IPv6 remotes is neither all \
         addresses nor a few single ones. Name single IPv6 addresses{silent}"
    )
}

impl CompileError {
    pub(crate) fn too_complex(document: &Document, shape: &Shape) -> Self {
        let last = shape.rules.iter().rev().find_map(|place| document.rule(*place));
        let at = last.map_or_else(|| document_origin(document), |rule| rule.origin.clone());
        Self::TooComplex { at, rules: shape.rules.len() }
    }

    pub(crate) fn fragments(document: &Document, allow: &Region, deny: &Region) -> Self {
        Self::Fragments {
            allow: origin_of(document, &[allow.cause]),
            proto: allow.proto.map_or(Proto::Any, Proto::Is),
            ports: Denied::of(deny),
            deny: denied_by(document, deny.cause),
        }
    }

    pub(crate) fn any_proto(document: &Document, allow: &Region, deny: &Region) -> Self {
        Self::AnyProtocol {
            allow: origin_of(document, &[allow.cause]),
            proto: deny.proto.map_or(Proto::Any, Proto::Is),
            ports: Denied::of(deny),
            deny: denied_by(document, deny.cause),
            reply: matches!(allow.cause, Cause::Rule { reply: true, .. }),
        }
    }

    pub(crate) fn order(document: &Document, causes: &[Cause], proto: Option<u8>, fields: MatchFields) -> Self {
        Self::Order { at: origin_of(document, causes), proto: proto.map(Proto::Is), fields }
    }

    pub(crate) fn ipv6_remote(document: &Document, causes: &[Cause]) -> Self {
        let any_v6 = |cause: &Cause| match cause {
            Cause::Rule { place, .. } => document.rule(*place).is_some_and(|rule| rule.remote.set.v6.is_full()),
            _ => false,
        };
        let groups = document.multicast == Verdict::Deny && causes.iter().any(any_v6);
        // To groups nothing is sent, so of an allow out more than the replies cannot be said.
        let of_reply = causes.iter().find_map(|cause| match cause {
            Cause::Rule { place, reply } => Some(*reply && document.rule(*place)?.direction == Direction::Rx),
            _ => None,
        });
        let reply = of_reply.unwrap_or(false);
        Self::Ipv6Remote { at: origin_of(document, causes), groups: GroupsTaken(groups), reply }
    }
}

/// The origin of the document as a whole.
pub(crate) fn document_origin(document: &Document) -> Arc<Origin> {
    Arc::new(Origin {
        owner: None,
        reason: None,
        ticket: None,
        file: document.name.clone(),
        line: 0,
        when: None,
        until: None,
    })
}

fn origin_of(document: &Document, causes: &[Cause]) -> Arc<Origin> {
    let rule = causes.iter().find_map(|cause| match cause {
        Cause::Rule { place, .. } => document.rule(*place),
        _ => None,
    });
    rule.map_or_else(|| document_origin(document), |rule| rule.origin.clone())
}

fn denied_by(document: &Document, cause: Cause) -> DeniedBy {
    match cause {
        Cause::Multicast => DeniedBy::Multicast,
        Cause::Rule { .. } => DeniedBy::Rule(origin_of(document, &[cause])),
        Cause::NoRule | Cause::NeighbourDiscovery => DeniedBy::NoRule,
    }
}
