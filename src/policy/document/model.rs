//! A validated document: bindings, policies and their rules, with every name resolved.
//!
//! # How a frame is decided
//! One frame is judged once per side ([`super::Flow`]); local is the host's side. The first of these that applies decides:
//!
//! 1. **A bound local IP**: a frame of another MAC than the one that the container alone owns, of another VLAN than the
//!    binding's, or at another physical port is denied. Then, in this order: neighbour discovery (if the binding says
//!    `nd: open-icmpv6`), `multicast: deny` (transmitted to a group = denied), `management` rules, the policy's rules with
//!    their replies, and at last deny.
//! 2. **The solicited-node group of a binding with open neighbour discovery**: ICMPv6 is received.
//! 3. **A management rule for a local address that nobody bound** allows, with the MAC that the rule names.
//! 4. **ARP**: frames from or to the MAC of an IPv4 binding or of a management rule, and received broadcasts, pass.
//! 5. **A MAC that a container alone owns**, with no IP that is bound: denied.
//! 6. Everything else: as `unbound` says.
//!
//! # Replies
//! The management rules are one list, the policy's rules another; in each the first rule that decides wins. Rule `i` of
//! direction `d` admits the reverse packet at place `i` of the other direction's list exactly when it is the first rule of
//! `d` in that list that matches the mirrored packet, is an allow and does not say `replies: no`. Rules of the other
//! direction that stand earlier win. Two limits:
//!
//! - Replies of TCP, UDP and SCTP to an `allow out` without local ports reach only [`Document::ephemeral`] ports; so a later
//!   fragment, which shows no ports, is no such reply.
//! - Under `multicast: deny` nothing that comes from a group address is a reply.
//!
//! # Groups
//! Groups are no range that a table could match as *local* address: a frame received for a group falls under rule 6.
//! Therefore `multicast: allow` needs `unbound: allow`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::shared_list::SharedList;
use crate::terms::{AddrSet, Direction, MacAddr, PortSet, Verdict};

/// What a file (or a builder) says, checked and with every name resolved.
///
/// A copy shares policies and bindings; [`Arc::make_mut`] gives one of them to be changed, and leaves the others shared.
/// The next compilation then knows without a look inside that they are the same:
///
/// ```
/// # use std::sync::Arc;
/// # use nicfw::{Target, policy::Document, tables::Compiled};
/// # let text = r#"
/// # nicfw: 1
/// # unbound: allow
/// # multicast: deny
/// # policies: {web: [{allow: in, proto: tcp, local_ports: 443}, {allow: in, proto: tcp, local_ports: 80}]}
/// # bindings: [{container: a, ip: 10.0.0.1, mac: "02:00:00:00:00:01", attach: sriov, policy: web}]
/// # "#;
/// let document = Document::parse(text, "web.yaml")?;
/// let before = Compiled::new(&document, &Target::profile0(), None)?;
/// let mut changed = document.clone();
/// Arc::make_mut(&mut changed.policies[0]).rules.remove(1);
/// let after = Compiled::new(&changed, &Target::profile0(), Some(&before))?;
/// # assert!(after.image().rules.len() < before.image().rules.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Name for messages, usually the file's.
    pub name: Arc<str>,
    /// Verdict for IPs that nobody bound.
    pub unbound: Verdict,
    /// Whether bound containers may send to groups where a rule allows it.
    pub multicast: Verdict,
    /// Where replies to an `allow out` without local ports may go.
    pub ephemeral: PortSet,
    /// What to do about rules and bindings whose `until` has passed.
    pub on_expiry: OnExpiry,
    /// Addresses with names, to which [`Remote::text`] refers. They decide nothing: rules hold what the names mean.
    pub groups: Arc<BTreeMap<String, AddrSet>>,
    /// Flows that no policy may close.
    pub management: Vec<Management>,
    /// Policies, in file order; names are unique.
    pub policies: SharedList<Policy>,
    /// Bindings, in file order; container ids are unique, and so are IPs.
    pub bindings: SharedList<Binding>,
}

/// What to do about rules and bindings whose `until` has passed (`expired: ...`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnExpiry {
    /// Name them; they stay.
    #[default]
    Report,
    /// Take them out, as [`Document::without_expired`] does.
    Withdraw,
}

/// A named, ordered list of rules; the first that matches decides, and what none matches is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Unique name.
    pub name: String,
    /// The rules, first match first.
    pub rules: Vec<Rule>,
    /// Line of the policy in its file, from 1.
    pub line: u32,
}

/// One rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `in` = [`Direction::Rx`], `out` = [`Direction::Tx`].
    pub direction: Direction,
    /// `allow` or `deny`.
    pub action: Verdict,
    /// Also send samples.
    pub sample: bool,
    /// Protocol.
    pub proto: Proto,
    /// Remote addresses.
    pub remote: Remote,
    /// Ports; `None` also matches packets without ports.
    pub ports: Option<PortPair>,
    /// Bound addresses that the rule applies to; `None` = all that use the policy.
    pub local: Option<AddrSet>,
    /// An allow admits replies too (`replies: no` turns it off). False for denies.
    pub replies: bool,
    /// True if the rule names local ports: its replies are not confined to [`Document::ephemeral`].
    pub names_local_ports: bool,
    /// Where the rule comes from.
    pub origin: Arc<Origin>,
}

/// Remote addresses of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// As written, for people: `office`, `10.0.0.0/8 except 10.1.0.0/16`, `any`.
    pub text: String,
    /// What it means.
    pub set: AddrSet,
}

/// Ports of a rule that names any. A side that is not named is full.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortPair {
    /// Remote ports.
    pub remote: PortSet,
    /// Local ports.
    pub local: PortSet,
}

/// Protocol of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proto {
    /// Any, known or not; with ports: TCP, UDP and SCTP.
    Any,
    /// This IP protocol number.
    Is(u8),
}

impl Proto {
    /// ICMP for IPv4.
    pub const ICMP: Self = Self::Is(1);
    /// TCP.
    pub const TCP: Self = Self::Is(6);
    /// UDP.
    pub const UDP: Self = Self::Is(17);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self::Is(58);
    /// SCTP.
    pub const SCTP: Self = Self::Is(132);

    /// True for the protocols whose ports the adapter sees.
    #[must_use]
    pub fn has_ports(number: u8) -> bool {
        matches!(number, 6 | 17 | 132)
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Any => f.write_str("any"),
            Self::ICMP => f.write_str("icmp"),
            Self::TCP => f.write_str("tcp"),
            Self::UDP => f.write_str("udp"),
            Self::ICMPV6 => f.write_str("icmpv6"),
            Self::SCTP => f.write_str("sctp"),
            Self::Is(number) => write!(f, "{number}"),
        }
    }
}

/// Who asked for something, why and where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Who.
    pub owner: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Ticket.
    pub ticket: Option<String>,
    /// File (the document's name).
    pub file: Arc<str>,
    /// Line, from 1; 0 for a rule made in code.
    pub line: u32,
    /// Since when, as written.
    pub when: Option<String>,
    /// Until when, as written.
    pub until: Option<String>,
}

impl fmt::Display for Origin {
    /// As in `web.yaml:9`; the name alone where there is no line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { f.write_str(&self.file) } else { write!(f, "{}:{}", self.file, self.line) }
    }
}

/// A flow that no policy may close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Management {
    /// Always an allow. `local: None` = every bound IP.
    pub rule: Rule,
    /// MAC of the host, whose local address nobody bound: the rule is good for frames of this MAC alone, and ARP of it passes.
    pub mac: Option<MacAddr>,
}

/// A container, its addresses and its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Opaque, unique id of the container.
    pub container: String,
    /// Its enterprise IPs, at least one.
    pub ips: Vec<IpAddr>,
    /// The MAC of its frames.
    pub mac: MacAddr,
    /// True if no other binding and not the host uses the MAC, and nobody said `owns_mac: no`.
    pub owns_mac: bool,
    /// VLAN id of the first tag; `None` = tags are not looked at.
    pub vlan: Option<u16>,
    /// Physical ports, sorted; empty = any.
    pub physical_ports: Vec<u32>,
    /// Index into [`Document::policies`].
    pub policy: usize,
    /// How the container is attached.
    pub attach: Attach,
    /// `nd: open-icmpv6` was said.
    pub open_nd: bool,
    /// `unprotected: accepted` was said.
    pub unprotected_accepted: bool,
    /// Where the binding comes from.
    pub origin: Arc<Origin>,
}

/// How a container reaches the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attach {
    /// MACVLAN on a function of the adapter.
    Macvlan(MacvlanMode),
    /// IPVLAN: shares the host's MAC.
    Ipvlan,
    /// A Linux bridge.
    Bridge,
    /// A virtual function of its own.
    Sriov,
    /// Not by any of these; nothing is assumed.
    None,
}

impl Attach {
    /// True if traffic between two containers attached so reaches the adapter.
    #[must_use]
    pub fn local_traffic_reaches_adapter(self) -> bool {
        matches!(self, Self::Sriov | Self::None | Self::Macvlan(MacvlanMode::Vepa | MacvlanMode::Private))
    }
}

impl fmt::Display for Attach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Macvlan(MacvlanMode::Vepa) => "macvlan vepa",
            Self::Macvlan(MacvlanMode::Private) => "macvlan private",
            Self::Macvlan(MacvlanMode::Bridge) => "macvlan bridge",
            Self::Ipvlan => "ipvlan",
            Self::Bridge => "bridge",
            Self::Sriov => "sriov",
            Self::None => "none",
        })
    }
}

/// Mode of a MACVLAN device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MacvlanMode {
    /// Traffic between containers goes out to the adapter.
    Vepa,
    /// No traffic between containers at all.
    Private,
    /// Containers reach each other inside the kernel.
    Bridge,
}

/// Names a rule of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RulePlace {
    /// Index into [`Document::management`].
    Management(usize),
    /// Indices into [`Document::policies`] and [`Policy::rules`].
    Policy(usize, usize),
}

impl Document {
    /// The rule at a place of this document.
    #[must_use]
    pub fn rule(&self, place: RulePlace) -> Option<&Rule> {
        match place {
            RulePlace::Management(i) => Some(&self.management.get(i)?.rule),
            RulePlace::Policy(policy, rule) => self.policies.get(policy)?.rules.get(rule),
        }
    }

    /// The MAC with which management rules name an address that nobody bound.
    #[must_use]
    pub fn host_mac(&self, ip: IpAddr) -> Option<MacAddr> {
        let names = |management: &&Management| management.rule.local.as_ref().is_some_and(|local| local.contains(ip));
        self.management.iter().filter(names).find_map(|management| management.mac)
    }

    /// The binding that holds an address, with its index.
    #[must_use]
    pub fn binding_of(&self, ip: IpAddr) -> Option<(usize, &Binding)> {
        let all = self.bindings.iter().map(Arc::as_ref).enumerate();
        all.into_iter().find(|(_, binding)| binding.ips.contains(&ip))
    }

    /// Origins of all rules and bindings: of the management list, of the policies, of the bindings.
    pub(in crate::policy) fn origins(&self) -> impl Iterator<Item = &Arc<Origin>> {
        let management = self.management.iter().map(|management| &management.rule.origin);
        let rules = self.policies.iter().flat_map(|policy| &policy.rules).map(|rule| &rule.origin);
        management.chain(rules).chain(self.bindings.iter().map(|binding| &binding.origin))
    }
}
