//! What of a document is useless, or opens more than its author may think: findings with one sentence of advice each.
//!
//! The way of the data: bindings and management rules -> [`Shape`]s, each once -> their cells (`useless`) and their regions
//! (`replies`, `path_mtu`); what needs no address is read from the rules alone (`merge`, and the rest here).
//!
//! ```
//! use nicfw::policy::Document;
//!
//! let text = r#"
//! nicfw: 1
//! unbound: allow
//! multicast: deny
//! policies:
//!   web:
//!     - {allow: in, proto: tcp, remote: 10.0.0.0/8, replies: no, reason: shop front}
//!     - {allow: in, proto: tcp, local_ports: 443, remote: 10.20.0.0/16, replies: no, reason: office}
//! bindings:
//!   - {container: shop-1, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: {macvlan: vepa}, policy: web}
//! "#;
//! let findings = Document::parse(text, "web.yaml")?.lint(&"2026-11-23".parse()?);
//! assert_eq!(
//!     findings[0].to_string(),
//!     "web.yaml:8: policy web, rule 2 can never match: rule 1 (web.yaml:7) decides all that it matches; \
//!      take it out, or move it up"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod common;
mod finding;
mod merge;
mod path_mtu;
mod replies;
mod useless;
mod words;

use self::common::{at_line, is_used, places, shapes};
pub use self::finding::{Date, DateError, Finding, Hider, Lint};
use crate::policy::document::{Document, Rule, RulePlace};
use crate::policy::regions::Budget;
use crate::policy::text::named;
use crate::policy::text::words::is_earlier;

/// What looking at all cells may cost: some seconds. A document that compiles needs less.
const MOST_STEPS: u64 = 1 << 30;

impl Document {
    /// What somebody should look at, in the order of the document. Whatever ends before `today` has expired.
    #[must_use]
    pub fn lint(&self, today: &Date) -> Vec<Finding> {
        let shapes = shapes(self);
        let mut out = Vec::new();
        let budget = Budget::of(MOST_STEPS);
        match useless::useless(self, &shapes, &budget) {
            Some(useless) => {
                if let Some(dead) = useless::dead_denies(self, &shapes, &useless, &budget) {
                    words::dead_denies(self, dead, &mut out);
                }
                merge::neighbours(self, |place| useless.contains_key(&place), &mut out);
                replies::open(self, &shapes, &mut out);
                path_mtu::missing(self, &mut out);
                out.extend(useless.into_iter().map(|(place, hidden_by)| useless::finding(self, place, hidden_by)));
            }
            None => out.push(too_large(self)),
        }
        out.extend(unused(self));
        words::protocols(self, &mut out);
        words::exceptions(self, &mut out);
        out.extend(words::unused_groups(self));
        out.extend(places(self).filter_map(|(place, rule)| no_reason(self, place, rule)));
        out.extend(expired(self, today));
        out.sort_by_key(|finding| finding.origins.first().map(|origin| origin.line));
        out
    }
}

fn too_large(document: &Document) -> Finding {
    let text = "the document is too large to look for rules that never match, for open replies and for path MTUs; \
                split its policies"
        .to_owned();
    Finding { lint: Lint::TooLarge, origins: vec![at_line(document, 0)], text }
}

fn unused(document: &Document) -> impl Iterator<Item = Finding> {
    let policies = document.policies.iter().enumerate().filter(|(policy, _)| !is_used(document, *policy));
    policies.map(|(policy, of)| Finding {
        lint: Lint::UnusedPolicy { policy },
        origins: vec![at_line(document, of.line)],
        text: format!("no binding uses policy {}; take it out, or bind it", of.name),
    })
}

fn no_reason(document: &Document, place: RulePlace, rule: &Rule) -> Option<Finding> {
    let text = format!("{} gives no reason; say why it is there", named(document, place));
    let origins = vec![rule.origin.clone()];
    rule.origin.reason.is_none().then_some(Finding { lint: Lint::NoReason { rule: place }, origins, text })
}

fn expired(document: &Document, today: &Date) -> impl Iterator<Item = Finding> {
    let rules = places(document).map(|(place, rule)| (Some(place), named(document, place), &rule.origin));
    let bindings = document.bindings.iter().map(|b| (None, format!("the binding of {}", b.container), &b.origin));
    rules.chain(bindings).filter_map(move |(rule, name, origin)| {
        let until = origin.until.as_deref().filter(|until| is_earlier(until, &today.0))?;
        let text = format!("{name} was good until {until}; take it out, or say until when it is needed");
        Some(Finding { lint: Lint::Expired { rule }, origins: vec![origin.clone()], text })
    })
}
