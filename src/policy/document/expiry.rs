//! Rules and bindings that were asked for until a date.
//!
//! [`Document::parse`] only checks the dates; whoever has a clock asks here what is over. [`Document::on_expiry`] says whether
//! the document wants to be told or to lose it.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::policy::document::{Document, Origin, Policy, Rule};
use crate::policy::text::words;
use crate::terms::Verdict;

/// Name of the policy without rules that bindings get whose time is over; numbered where somebody else has it.
const NOTHING_ALLOWED: &str = "expired";

impl Document {
    /// Origins of all rules and bindings whose `until` has passed, in the order of the document. A day includes its last
    /// second; a text that is not a date, which only code can have put there, has passed.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> Vec<Arc<Origin>> {
        let now = second(now);
        self.origins().filter(|origin| is_over(origin, &now)).cloned().collect()
    }

    /// The document without what has expired, as if somebody had deleted it, as far as that closes:
    ///
    /// - Rules that allow are taken out, those of the management list too. Later rules decide then what these decided before.
    /// - Rules that deny stay: nothing opens because a date has passed.
    /// - A binding stays bound, under a policy without rules. Management rules and its `nd` still apply to it.
    ///
    /// Whether the document asks for this is [`Document::on_expiry`]; here it is done in any case.
    #[must_use]
    pub fn without_expired(&self, now: Timestamp) -> Self {
        let now = second(now);
        let stays = |rule: &Rule| rule.action == Verdict::Deny || !is_over(&rule.origin, &now);
        let mut out = self.clone();
        out.management.retain(|management| stays(&management.rule));
        // What does not change is still shared with the document before.
        for policy in out.policies.iter_mut().filter(|policy| !policy.rules.iter().all(stays)) {
            Arc::make_mut(policy).rules.retain(stays);
        }
        for at in 0..out.bindings.len() {
            if out.bindings.get(at).is_some_and(|binding| is_over(&binding.origin, &now)) {
                let policy = out.policy_that_allows_nothing();
                out.bindings.iter_mut().skip(at).take(1).for_each(|binding| Arc::make_mut(binding).policy = policy);
            }
        }
        out
    }

    /// The place of a policy without rules, which is added where there is none.
    fn policy_that_allows_nothing(&mut self) -> usize {
        let mut name = NOTHING_ALLOWED.to_owned();
        let mut number = 1;
        while let Some(at) = self.policies.iter().position(|policy| policy.name == name) {
            if self.policies.get(at).is_some_and(|policy| policy.rules.is_empty()) {
                return at;
            }
            number += 1;
            name = format!("{NOTHING_ALLOWED}-{number}");
        }
        self.policies.push(Arc::new(Policy { name, rules: Vec::new(), line: 0 }));
        self.policies.len() - 1
    }
}

/// The second, as dates of documents are written.
fn second(now: Timestamp) -> String {
    format!("{}Z", now.to_string().get(..19).unwrap_or_default())
}

fn is_over(origin: &Origin, now: &str) -> bool {
    let over = |until: &str| words::date(until).is_err() || words::is_earlier(until, now);
    origin.until.as_deref().is_some_and(over)
}
