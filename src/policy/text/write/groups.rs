//! Addresses in the words in which they were said, or by the name of a group that has them.

use std::collections::BTreeMap;

use super::super::words;
use super::pieces;
use crate::policy::document::Remote;
use crate::policy::document::draft::AddrTerm;
use crate::terms::AddrSet;

/// The groups of a document.
pub(crate) struct Groups<'a> {
    sets: &'a BTreeMap<String, AddrSet>,
    /// The first name of each set that takes more than one word to write.
    names: BTreeMap<&'a AddrSet, &'a str>,
}

impl<'a> Groups<'a> {
    pub fn new(sets: &'a BTreeMap<String, AddrSet>) -> Self {
        let mut names = BTreeMap::new();
        for (name, set) in sets.iter().filter(|(_, set)| set.v4.intervals().len() + set.v6.intervals().len() > 1) {
            names.entry(set).or_insert(name.as_str());
        }
        Self { sets, names }
    }

    /// The groups as `name: addresses`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.sets.iter().map(|(name, set)| format!("{}: {}", pieces::word(name), pieces::addresses(set)))
    }

    /// Addresses by the name of a group, or as prefixes.
    pub fn addresses(&self, set: &AddrSet) -> String {
        self.names.get(set).map_or_else(|| pieces::addresses(set), |name| pieces::word(name))
    }

    /// Remote addresses in the words in which they were said, if these words mean them.
    pub fn remote(&self, remote: &Remote) -> String {
        self.as_said(remote).unwrap_or_else(|| self.addresses(&remote.set))
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
            AddrTerm::Group(name) => self.sets.get(name).cloned(),
        }
    }
}
