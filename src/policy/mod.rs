//! Policies: what containers may do, from text to table content and back to text. Pure: no device, no clock, no I/O.
//!
//! ```
//! use nicfw::policy::{Document, FlowText};
//!
//! let text = r#"
//! nicfw: 1
//! unbound: allow
//! multicast: deny
//! policies:
//!   web:
//!     - {allow: in, proto: tcp, local_ports: 443, remote: 10.20.0.0/16, reason: shop front, ticket: CHG-1042}
//! bindings:
//!   - {container: shop-1, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: {macvlan: vepa}, policy: web}
//! "#;
//! let document = Document::parse(text, "web.yaml")?;
//! let flow: FlowText = "tcp 10.20.3.4:51000 > 10.30.1.17:443".parse()?;
//! let decisions: Vec<_> = flow.judgements(&document)?.iter().map(|flow| document.decide(flow)).collect();
//! assert_eq!(document.describe(&decisions[0]), "allow: policy web, rule 1 (web.yaml:7)");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The way of a document: text ([`Document::parse`]) or code ([`Document::builder`]) -> a draft with places -> one set of
//! checks -> [`Document`], from which [`Document::decide`] decides flows with no table in between.

#![forbid(unsafe_code)]

mod builder;
mod check;
mod compile;
mod diff;
mod document;
mod draft;
mod evaluate;
mod expiry;
mod explain;
mod flow;
mod flow_text;
mod image;
pub mod import;
mod judge;
mod lint;
mod nearest;
mod openings;
mod pages;
mod parse;
pub mod plan;
mod problems;
mod rewrite;
mod rules;
mod sets;
mod shared_list;
mod warnings;
mod words;
mod write;

pub use builder::{AddrExpr, BindingBuilder, DocumentBuilder, RuleBuilder};
pub(crate) use check::{host_fault, mac_fault};
pub use compile::{
    CompileError, Compiled, CounterSlot, Denied, DeniedBy, GroupsTaken, LargestUser, OriginSource, Progress, Table,
    Usage,
};
pub(crate) use diff::newly_allows;
pub use diff::{Difference, LocalSide, Values};
pub use document::{
    Attach, Binding, Document, MacvlanMode, Management, OnExpiry, Origin, Policy, PortPair, Proto, Remote, Rule,
    RulePlace,
};
pub use draft::AddrTerm;
pub use evaluate::{Decision, Why};
pub use explain::{ExplainedEntry, Explanation};
pub use flow::{Flow, IpFlow, IpHeader, Packet, Ports};
pub use flow_text::{FlowText, FlowTextError};
pub use image::{Image, ImageEntry, OriginId, Side};
pub use judge::Judgement;
pub use lint::{Date, DateError, Finding, Hider, Lint};
pub use nearest::{Field, Nearest, Obstacle};
pub use openings::{Open, Opening};
pub use parse::LONGEST_DOCUMENT;
pub use problems::{ParseError, ParseErrors};
pub use rewrite::{Edit, Rewriting};
pub use rules::Rules;
pub use sets::{AddrSet, Interval, IntervalSet, Point, PortSet};
pub use shared_list::SharedList;
pub use warnings::Warning;
