//! Documents made in code.
//!
//! ```
//! use nicfw::policy::{Attach, BindingBuilder, Document, Proto, RuleBuilder};
//! use nicfw::{Direction, Verdict};
//!
//! let office: ipnet::IpNet = "10.20.0.0/16".parse()?;
//! let document = Document::builder("agent")
//!     .unbound(Verdict::Allow)
//!     .multicast(Verdict::Deny)
//!     .group("office", [office])
//!     .policy("web", [RuleBuilder::allow(Direction::Rx)
//!         .proto(Proto::TCP)
//!         .local_ports([80..=80, 443..=443])
//!         .remote(["office"])
//!         .reason("shop front")])
//!     .binding(BindingBuilder::new("shop-1", "02:00:0a:1e:01:11".parse()?, Attach::Sriov, "web").ip("10.30.1.17".parse()?))
//!     .build()?;
//! assert_eq!(document.policies[0].rules[0].remote.text, "office");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A builder can say what a file can, and is checked by the same code ([`super::check`]).

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::check::check;
use super::draft::{AddrTerm, Addrs, BindingDraft, Draft, OriginDraft, Ports, RuleDraft};
use super::problems::{At, ParseErrors, Problems, Spanned};
use crate::policy::document::{Attach, Document, OnExpiry, Proto};
use crate::terms::{Direction, Interval, MacAddr, Verdict};

/// Makes a [`Document`] in code.
#[derive(Debug, Clone)]
#[must_use]
pub struct DocumentBuilder {
    draft: Draft,
}

/// Makes a rule.
#[derive(Debug, Clone)]
#[must_use]
pub struct RuleBuilder {
    draft: RuleDraft,
}

/// Makes a binding.
#[derive(Debug, Clone)]
#[must_use]
pub struct BindingBuilder {
    draft: BindingDraft,
}

/// Addresses: all of some terms without all of others.
#[derive(Debug, Clone)]
#[must_use]
pub struct AddrExpr {
    addrs: Addrs,
}

impl Document {
    /// Starts a document. `name` stands in errors and origins, where a file's name would.
    pub fn builder(name: &str) -> DocumentBuilder {
        DocumentBuilder { draft: Draft::new(name) }
    }
}

impl DocumentBuilder {
    /// Verdict for IPs that nobody bound. Has no default.
    pub fn unbound(mut self, verdict: Verdict) -> Self {
        self.draft.unbound = Some(Spanned::in_code(verdict));
        self
    }

    /// Whether bound containers may send to groups where a rule allows it. Has no default.
    pub fn multicast(mut self, verdict: Verdict) -> Self {
        self.draft.multicast = Some(Spanned::in_code(verdict));
        self
    }

    /// Owner of what names none.
    pub fn owner(mut self, owner: &str) -> Self {
        self.draft.owner = said(owner);
        self
    }

    /// Where replies to an `allow out` without local ports may go; 32768-60999 unless said.
    pub fn ephemeral(mut self, ports: impl IntoIterator<Item = RangeInclusive<u16>>) -> Self {
        self.draft.ephemeral = Some(list(ports));
        self
    }

    /// What to do about rules and bindings whose `until` has passed; they are named and stay unless said.
    pub fn on_expiry(mut self, what: OnExpiry) -> Self {
        self.draft.on_expiry = what;
        self
    }

    /// Names addresses.
    pub fn group(mut self, name: &str, addrs: impl Into<AddrExpr>) -> Self {
        self.draft.groups.push((Spanned::in_code(name.to_owned()), addrs.into().addrs));
        self
    }

    /// Adds a policy: rules in their order.
    pub fn policy(mut self, name: &str, rules: impl IntoIterator<Item = RuleBuilder>) -> Self {
        let rules = rules.into_iter().map(|rule| rule.draft).collect();
        self.draft.policies.push((Spanned::in_code(name.to_owned()), rules));
        self
    }

    /// Adds a flow that no policy may close.
    pub fn management(mut self, rule: RuleBuilder) -> Self {
        self.draft.management.push((rule.draft, None));
        self
    }

    /// Adds a flow that no policy may close, for a local address of the host itself, which has this MAC.
    pub fn host_management(mut self, rule: RuleBuilder, mac: MacAddr) -> Self {
        self.draft.management.push((rule.draft, Some(Spanned::in_code(mac))));
        self
    }

    /// Adds a binding.
    pub fn binding(mut self, binding: BindingBuilder) -> Self {
        self.draft.bindings.push(binding.draft);
        self
    }

    /// The document.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with the thing it is about, what was expected and the way out.
    pub fn build(self) -> Result<Document, ParseErrors> {
        let problems = Problems::new(self.draft.name.clone());
        check(self.draft, problems)
    }
}

impl RuleBuilder {
    /// A rule that lets through.
    pub fn allow(direction: Direction) -> Self {
        Self::new(Verdict::Allow, direction)
    }

    /// A rule that drops.
    pub fn deny(direction: Direction) -> Self {
        Self::new(Verdict::Deny, direction)
    }

    fn new(action: Verdict, direction: Direction) -> Self {
        let draft = RuleDraft {
            at: At::default(),
            direction,
            action,
            sample: false,
            proto: Spanned::in_code(Proto::Any),
            remote: Addrs::any(At::default()),
            remote_ports: None,
            local_ports: None,
            local: None,
            replies: None,
            origin: OriginDraft::default(),
        };
        Self { draft }
    }

    /// Also sends samples.
    pub fn sample(mut self) -> Self {
        self.draft.sample = true;
        self
    }

    /// Protocol; any unless said.
    pub fn proto(mut self, proto: Proto) -> Self {
        self.draft.proto = Spanned::in_code(proto);
        self
    }

    /// Remote addresses; any unless said.
    pub fn remote(mut self, addrs: impl Into<AddrExpr>) -> Self {
        self.draft.remote = addrs.into().addrs;
        self
    }

    /// Remote ports; any, and packets without ports, unless said.
    pub fn remote_ports(mut self, ports: impl IntoIterator<Item = RangeInclusive<u16>>) -> Self {
        self.draft.remote_ports = Some(list(ports));
        self
    }

    /// Local ports; any, and packets without ports, unless said.
    pub fn local_ports(mut self, ports: impl IntoIterator<Item = RangeInclusive<u16>>) -> Self {
        self.draft.local_ports = Some(list(ports));
        self
    }

    /// Local addresses that the rule applies to; all that use the policy unless said.
    pub fn local(mut self, addrs: impl Into<AddrExpr>) -> Self {
        self.draft.local = Some(addrs.into().addrs);
        self
    }

    /// Whether an allow admits replies; yes unless said.
    pub fn replies(mut self, admitted: bool) -> Self {
        self.draft.replies = Some(Spanned::in_code(admitted));
        self
    }
}

impl BindingBuilder {
    /// A binding without an address yet.
    pub fn new(container: &str, mac: MacAddr, attach: Attach, policy: &str) -> Self {
        let draft = BindingDraft {
            at: At::default(),
            container: Spanned::in_code(container.to_owned()),
            ips: Vec::new(),
            ips_refused: false,
            mac: Spanned::in_code(mac),
            shares_mac: false,
            vlan: None,
            physical_ports: Vec::new(),
            policy: Spanned::in_code(policy.to_owned()),
            attach,
            open_nd: None,
            unprotected_accepted: None,
            origin: OriginDraft::default(),
        };
        Self { draft }
    }

    /// Binds one more address.
    pub fn ip(mut self, ip: IpAddr) -> Self {
        self.draft.ips.push(Spanned::in_code(ip));
        self
    }

    /// VLAN id of the first tag; tags are not looked at unless said.
    pub fn vlan(mut self, id: u16) -> Self {
        self.draft.vlan = Some(Spanned::in_code(id));
        self
    }

    /// Physical ports, counted from 0; all unless said.
    pub fn physical_ports(mut self, ports: impl IntoIterator<Item = u32>) -> Self {
        self.draft.physical_ports = ports.into_iter().map(Spanned::in_code).collect();
        self
    }

    /// Somebody who is not in the document uses the MAC too (`owns_mac: no`): only the IPs are guarded.
    pub fn shares_mac(mut self) -> Self {
        self.draft.shares_mac = true;
        self
    }

    /// Opens ICMPv6 for neighbour discovery (`nd: open-icmpv6`), which IPv6 addresses need.
    pub fn open_nd(mut self) -> Self {
        self.draft.open_nd = Some(At::default());
        self
    }

    /// Accepts that other containers reach this one inside the host (`unprotected: accepted`).
    pub fn accept_unprotected(mut self) -> Self {
        self.draft.unprotected_accepted = Some(At::default());
        self
    }
}

macro_rules! origin {
    ($builder:ty) => {
        impl $builder {
            /// Who asks for it; the document's owner unless said.
            pub fn owner(mut self, owner: &str) -> Self {
                self.draft.origin.owner = said(owner);
                self
            }

            /// Why.
            pub fn reason(mut self, reason: &str) -> Self {
                self.draft.origin.reason = said(reason);
                self
            }

            /// Ticket.
            pub fn ticket(mut self, ticket: &str) -> Self {
                self.draft.origin.ticket = said(ticket);
                self
            }

            /// Since when, as 2026-11-23 or 2026-11-23T08:30:00Z.
            pub fn when(mut self, date: &str) -> Self {
                self.draft.origin.when = said(date);
                self
            }

            /// Until when, in the same form; [`Document::expired`] compares it with a date.
            pub fn until(mut self, date: &str) -> Self {
                self.draft.origin.until = said(date);
                self
            }
        }
    };
}
origin!(RuleBuilder);
origin!(BindingBuilder);

impl AddrExpr {
    /// All of these.
    pub fn of(terms: impl IntoIterator<Item = impl Into<AddrTerm>>) -> Self {
        let of = terms.into_iter().map(|term| Spanned::in_code(term.into())).collect();
        Self { addrs: Addrs { at: At::default(), of, except: Vec::new(), refused: false } }
    }

    /// Without all of these.
    pub fn except(mut self, terms: impl IntoIterator<Item = impl Into<AddrTerm>>) -> Self {
        self.addrs.except.extend(terms.into_iter().map(|term| Spanned::in_code(term.into())));
        self
    }
}

impl<T: Into<AddrTerm>, const N: usize> From<[T; N]> for AddrExpr {
    fn from(terms: [T; N]) -> Self {
        Self::of(terms)
    }
}

impl<T: Into<AddrTerm>> From<Vec<T>> for AddrExpr {
    fn from(terms: Vec<T>) -> Self {
        Self::of(terms)
    }
}

impl From<IpNet> for AddrTerm {
    fn from(net: IpNet) -> Self {
        Self::Net(net)
    }
}

impl From<IpAddr> for AddrTerm {
    fn from(addr: IpAddr) -> Self {
        Self::Net(addr.into())
    }
}

impl From<&str> for AddrTerm {
    /// The group of this name.
    fn from(name: &str) -> Self {
        Self::Group(name.to_owned())
    }
}

fn said(text: &str) -> Option<Spanned<String>> {
    Some(Spanned::in_code(text.to_owned()))
}

fn list(ports: impl IntoIterator<Item = RangeInclusive<u16>>) -> Ports {
    Spanned::in_code(ports.into_iter().map(|range| Interval { first: *range.start(), last: *range.end() }).collect())
}
