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

mod decide;
mod document;
pub mod import;
pub(crate) mod questions;
pub(crate) mod regions;
pub(crate) mod text;

pub use decide::{Decision, Field, Nearest, Obstacle, Why};
pub use document::{
    AddrExpr, AddrTerm, Attach, Binding, BindingBuilder, Document, DocumentBuilder, MacvlanMode, Management, OnExpiry,
    Origin, ParseError, ParseErrors, Policy, PortPair, Proto, Remote, Rule, RuleBuilder, RulePlace, SharedList,
    Warning, host_fault, mac_fault,
};
pub use questions::{
    Date, DateError, Difference, Finding, Hider, Lint, LocalSide, Open, Opening, Values, newly_allows,
};
pub use text::{FlowText, FlowTextError, LONGEST_DOCUMENT};
