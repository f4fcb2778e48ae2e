//! Names for the remote addresses of rules, from the words in which they were said.

use std::collections::BTreeMap;

use super::super::document::{Document, Remote};
use super::super::draft::AddrTerm;
use super::super::sets::AddrSet;
use super::super::words;
use super::pieces;

/// What the names of groups mean: each the addresses of the first rule whose remote is that word alone.
pub(super) struct Groups<'a>(BTreeMap<&'a str, &'a AddrSet>);

impl<'a> Groups<'a> {
    pub fn of(document: &'a Document) -> Self {
        let management = document.management.iter().map(|management| &management.rule);
        let rules = document.policies.iter().flat_map(|policy| &policy.rules);
        let mut sets = BTreeMap::new();
        for Remote { text, set } in management.chain(rules).map(|rule| &rule.remote) {
            if words::is_name(text) && text != "any" && !set.is_empty() {
                sets.entry(text.as_str()).or_insert(set);
            }
        }
        Self(sets)
    }

    /// The groups as `name: addresses`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(name, set)| format!("{}: {}", pieces::word(name), pieces::addresses(set)))
    }

    /// Remote addresses in the words in which they were said, or as prefixes if these words do not mean them.
    pub fn remote(&self, remote: &Remote) -> String {
        self.as_said(remote).unwrap_or_else(|| pieces::addresses(&remote.set))
    }

    fn as_said(&self, remote: &Remote) -> Option<String> {
        let (of, except) = remote.text.split_once(" except ").map_or((&*remote.text, None), |(of, e)| (of, Some(e)));
        let (of, of_set) = self.terms(of)?;
        let Some(except) = except else { return (of_set == remote.set).then_some(of) };
        let (except, except_set) = self.terms(except)?;
        (of_set.subtract(&except_set) == remote.set).then(|| format!("{{of: {of}, except: {except}}}"))
    }

    /// Words with commas between them, as a list and what they mean.
    fn terms(&self, text: &str) -> Option<(String, AddrSet)> {
        let terms = text.split(", ").map(|word| words::addr_term(word).ok()).collect::<Option<Vec<_>>>()?;
        let sets = terms.iter().map(|term| self.meaning(term)).collect::<Option<Vec<_>>>()?;
        Some((pieces::terms(&terms), AddrSet::union_of(&sets)))
    }

    fn meaning(&self, term: &AddrTerm) -> Option<AddrSet> {
        match term {
            AddrTerm::Any => Some(AddrSet::full()),
            AddrTerm::Net(net) => (net.addr() == net.network()).then(|| AddrSet::from(*net)),
            AddrTerm::Group(name) => self.0.get(name.as_str()).map(|set| (*set).clone()),
        }
    }
}
