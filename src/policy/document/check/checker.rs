//! From a draft to a document.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::draft::{Draft, OriginDraft, RuleDraft, Source};
use super::super::problems::{At, Diagnostic, ParseErrors, Problems, Spanned};
use super::addrs::Groups;
use super::names::{name_is_sound, said_twice};
use crate::policy::document::{Document, Origin, Policy};
use crate::policy::text::words;
use crate::terms::{Interval, PortSet, Verdict};
use crate::text::{self, TextError};

/// Where replies go unless a document says otherwise: the default of Linux (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: Interval<u16> = Interval { first: 32768, last: 60999 };

/// Checks a draft; `problems` may already hold what was wrong with its text.
pub(in crate::policy) fn check(draft: Draft, problems: Problems) -> Result<Document, ParseErrors> {
    let (file, source) = (draft.name.clone(), draft.source);
    let mut checker = Checker { file, source, owner: None, groups: Groups::default(), problems };
    let document = checker.document(draft);
    checker.problems.finish().map(|()| document)
}

/// What the checks of one document share.
pub(super) struct Checker {
    pub(super) file: Arc<str>,
    pub(super) source: Source,
    pub(super) owner: Option<String>,
    pub(super) groups: Groups,
    pub(super) problems: Problems,
}

impl Checker {
    /// The document; not to be used if there were problems.
    fn document(&mut self, draft: Draft) -> Document {
        // A journal holds whatever name was let in when it was written; a document made in code may have none.
        let is_new = self.source == Source::User && !draft.name.is_empty();
        if is_new && let Err(error) = text::check_within(&draft.name, text::LONGEST_PATH) {
            let what = format!("the document cannot be called {}: {error}", crate::text::quoted(&draft.name));
            self.problems
                .report(draft.at, &Diagnostic::new(what, "the name of a file on one line", "give it another name"));
        }
        self.owner = self.text(draft.owner, "owner");
        let (unbound, multicast) = self.defaults(draft.at, draft.unbound, draft.multicast);
        self.groups = Groups::resolve_all(draft.groups, self.source, &mut self.problems);
        self.problems.about("ephemeral");
        let ephemeral = match draft.ephemeral {
            Some(ports) => self.ports(&ports),
            None => PortSet::from_intervals([EPHEMERAL]),
        };
        let policies = self.policies(draft.policies);
        let bindings = self.bindings(draft.bindings, &policies, &draft.management);
        let management = self.management(draft.management, &bindings, unbound);
        let policies = policies.into_iter().map(Arc::new).collect();
        Document {
            name: draft.name,
            unbound,
            multicast,
            ephemeral,
            on_expiry: draft.on_expiry,
            groups: Arc::new(std::mem::take(&mut self.groups).into_sets()),
            management,
            policies,
            bindings: bindings.into_iter().map(Arc::new).collect(),
        }
    }

    fn defaults(
        &mut self,
        at: At,
        unbound: Option<Spanned<Verdict>>,
        multicast: Option<Spanned<Verdict>>,
    ) -> (Verdict, Verdict) {
        if unbound.is_none() {
            let advice =
                "say allow while other addresses of this host must keep working, deny when all of them are bound";
            self.problems.report(at, &Diagnostic::new("unbound is missing", "unbound: allow or unbound: deny", advice));
        }
        match (unbound, multicast) {
            (_, None) => {
                let advice = "say deny unless containers send to groups, and then let rules allow it";
                self.problems.report(
                    at,
                    &Diagnostic::new("multicast is missing", "multicast: allow or multicast: deny", advice),
                );
            }
            (Some(Spanned { value: Verdict::Deny, .. }), Some(Spanned { at, value: Verdict::Allow })) => {
                let wrong = Diagnostic::new(
                    "multicast: allow needs unbound: allow, because a frame for a group has no bound address",
                    "multicast: deny beside unbound: deny",
                    "say unbound: allow, or multicast: deny",
                );
                self.problems.report(at, &wrong);
            }
            _ => {}
        }
        let or_deny = |said: Option<Spanned<Verdict>>| said.map_or(Verdict::Deny, |said| said.value);
        (or_deny(unbound), or_deny(multicast))
    }

    fn policies(&mut self, drafts: Vec<(Spanned<String>, Vec<RuleDraft>)>) -> Vec<Policy> {
        let mut lines = BTreeMap::new();
        let mut policies = Vec::with_capacity(drafts.len());
        for (name, rules) in drafts {
            self.problems.about(format!("policy {}", name.value));
            name_is_sound(&name, "policy", &mut self.problems);
            if let Some(first) = lines.insert(name.value.clone(), name.at) {
                self.problems.report(name.at, &said_twice("policy", &name.value, first));
            }
            let rule = |(i, rule): (usize, RuleDraft)| {
                self.problems.about(format!("policy {}, rule {}", name.value, i + 1));
                self.rule(rule)
            };
            let rules = rules.into_iter().enumerate().filter_map(rule).collect();
            policies.push(Policy { name: name.value, rules, line: name.at.line });
        }
        policies
    }

    /// The set of ports in a list.
    pub(super) fn ports(&mut self, ports: &Spanned<Vec<Interval<u16>>>) -> PortSet {
        if ports.value.is_empty() && self.source == Source::User {
            let wrong =
                Diagnostic::new("an empty list of ports", "at least one port", "leave the field out for any port");
            self.problems.report(ports.at, &wrong);
        }
        for Interval { first, last } in &ports.value {
            if first > last {
                let wrong = Diagnostic::new(
                    format!("the ports {first}-{last} run backwards"),
                    "the smaller port first",
                    format!("write {last}-{first}"),
                );
                self.problems.report(ports.at, &wrong);
            }
        }
        PortSet::from_intervals(ports.value.iter().copied())
    }

    pub(super) fn origin(&mut self, at: At, draft: OriginDraft) -> Arc<Origin> {
        if let (Some(when), Some(until)) = (&draft.when, &draft.until)
            && words::is_earlier(&until.value, &when.value)
        {
            let wrong = Diagnostic::new(
                format!(
                    "until {} lies before when {}",
                    crate::text::quoted(&until.value),
                    crate::text::quoted(&when.value)
                ),
                "a later date",
                "exchange them, or leave one out",
            );
            self.problems.report(until.at, &wrong);
        }
        Arc::new(Origin {
            owner: self.text(draft.owner, "owner").or_else(|| self.owner.clone()),
            reason: self.text(draft.reason, "reason"),
            ticket: self.text(draft.ticket, "ticket"),
            file: self.file.clone(),
            line: at.line,
            when: self.date(draft.when),
            until: self.date(draft.until),
        })
    }

    fn date(&mut self, said: Option<Spanned<String>>) -> Option<String> {
        let said = said?;
        self.problems.ok_or_report(said.at, words::date(&said.value)).map(|()| said.value)
    }

    /// A text for people: see [`text::check`].
    fn text(&mut self, said: Option<Spanned<String>>, what: &str) -> Option<String> {
        let said = said?;
        if let Err(error) = text::check(&said.value).or_else(|error| self.bears(error)) {
            let wrong = Diagnostic::new(
                format!("{} is not a text for {what}: {error}", crate::text::quoted(&said.value)),
                format!("1 to {} bytes of text in one line", text::LONGEST),
                "shorten it, or leave it out",
            );
            self.problems.report(said.at, &wrong);
        }
        Some(said.value)
    }

    /// What was written into a journal before invisible characters were refused is still read.
    pub(super) fn bears(&self, error: TextError) -> Result<(), TextError> {
        match error {
            TextError::Disturbs { character, .. }
                if self.source == Source::Canonical && text::is_invisible(character) =>
            {
                Ok(())
            }
            error => Err(error),
        }
    }
}
