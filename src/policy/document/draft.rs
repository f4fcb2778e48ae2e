//! What was said, by a file or by code, before anybody checked that it makes sense: the one input of [`super::check`].

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::problems::{At, Spanned};
use crate::policy::document::{Attach, OnExpiry, Proto};
use crate::terms::{Direction, Interval, MacAddr, Verdict};

/// Who wrote what a draft is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::policy) enum Source {
    /// A person or a caller: what is probably a mistake is refused, and so is what is too large.
    #[default]
    User,
    /// [`super::Document::to_text`], of a document whose sets code may have changed: they may be empty.
    Canonical,
}

/// A whole document.
#[derive(Debug, Clone)]
pub(in crate::policy) struct Draft {
    pub name: Arc<str>,
    pub source: Source,
    pub at: At,
    pub unbound: Option<Spanned<Verdict>>,
    pub multicast: Option<Spanned<Verdict>>,
    pub owner: Option<Spanned<String>>,
    pub ephemeral: Option<Ports>,
    pub on_expiry: OnExpiry,
    pub groups: Vec<(Spanned<String>, Addrs)>,
    pub policies: Vec<(Spanned<String>, Vec<RuleDraft>)>,
    pub management: Vec<(RuleDraft, Option<Spanned<MacAddr>>)>,
    pub bindings: Vec<BindingDraft>,
}

impl Draft {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            source: Source::User,
            at: At::default(),
            unbound: None,
            multicast: None,
            owner: None,
            ephemeral: None,
            on_expiry: OnExpiry::default(),
            groups: Vec::new(),
            policies: Vec::new(),
            management: Vec::new(),
            bindings: Vec::new(),
        }
    }
}

/// Ports and ranges, with the place of the whole list.
pub(in crate::policy) type Ports = Spanned<Vec<Interval<u16>>>;

/// An expression for addresses: all of `of` without all of `except`.
#[derive(Debug, Clone)]
pub(in crate::policy) struct Addrs {
    pub at: At,
    pub of: Vec<Spanned<AddrTerm>>,
    pub except: Vec<Spanned<AddrTerm>>,
    /// Some of it could not be read, and that was reported: it means nothing.
    pub refused: bool,
}

impl Addrs {
    /// Every address of both families.
    pub fn any(at: At) -> Self {
        Self { at, of: vec![Spanned::new(at, AddrTerm::Any)], except: Vec::new(), refused: false }
    }
}

impl fmt::Display for Addrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, terms: &[Spanned<AddrTerm>]| {
            for (i, term) in terms.iter().enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                write!(f, "{comma}{}", term.value)?;
            }
            Ok(())
        };
        list(f, &self.of)?;
        if !self.except.is_empty() {
            f.write_str(" except ")?;
            list(f, &self.except)?;
        }
        Ok(())
    }
}

/// One word of an address expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddrTerm {
    /// Every address of both families.
    Any,
    /// A prefix, or one address.
    Net(IpNet),
    /// A group by its name.
    Group(String),
}

impl fmt::Display for AddrTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => write!(f, "{}", net.addr()),
            Self::Net(net) => write!(f, "{net}"),
            Self::Group(name) => f.write_str(name),
        }
    }
}

/// A rule.
#[derive(Debug, Clone)]
pub(in crate::policy) struct RuleDraft {
    pub at: At,
    pub direction: Direction,
    pub action: Verdict,
    pub sample: bool,
    pub proto: Spanned<Proto>,
    pub remote: Addrs,
    pub remote_ports: Option<Ports>,
    pub local_ports: Option<Ports>,
    pub local: Option<Addrs>,
    pub replies: Option<Spanned<bool>>,
    pub origin: OriginDraft,
}

/// A binding.
#[derive(Debug, Clone)]
pub(in crate::policy) struct BindingDraft {
    pub at: At,
    pub container: Spanned<String>,
    pub ips: Vec<Spanned<IpAddr>>,
    /// Some of them could not be read, and that was reported.
    pub ips_refused: bool,
    pub mac: Spanned<MacAddr>,
    /// `owns_mac: no` was said.
    pub shares_mac: bool,
    pub vlan: Option<Spanned<u16>>,
    pub physical_ports: Vec<Spanned<u32>>,
    pub policy: Spanned<String>,
    pub attach: Attach,
    /// Where `nd: open-icmpv6` was said.
    pub open_nd: Option<At>,
    /// Where `unprotected: accepted` was said.
    pub unprotected_accepted: Option<At>,
    pub origin: OriginDraft,
}

/// Who asked for a rule or a binding, and why.
#[derive(Debug, Clone, Default)]
pub(in crate::policy) struct OriginDraft {
    pub owner: Option<Spanned<String>>,
    pub reason: Option<Spanned<String>>,
    pub ticket: Option<Spanned<String>>,
    pub when: Option<Spanned<String>>,
    pub until: Option<Spanned<String>>,
}
