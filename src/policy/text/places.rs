//! Rules in words.

use crate::policy::document::{Document, RulePlace};

/// A rule in full, as `policy web, rule 3`.
pub fn named(document: &Document, place: RulePlace) -> String {
    match place {
        RulePlace::Management(rule) => format!("management, rule {}", rule + 1),
        RulePlace::Policy(policy, rule) => {
            let name = document.policies.get(policy).map_or("?", |policy| policy.name.as_str());
            format!("policy {name}, rule {}", rule + 1)
        }
    }
}

/// A rule that another one's sentence refers to, as `rule 1 (web.yaml:9)`.
pub fn referred(document: &Document, place: RulePlace) -> String {
    let origin = document.rule(place).map(|rule| format!(" ({})", rule.origin)).unwrap_or_default();
    match place {
        RulePlace::Management(rule) => format!("management rule {}{origin}", rule + 1),
        RulePlace::Policy(_, rule) => format!("rule {}{origin}", rule + 1),
    }
}
