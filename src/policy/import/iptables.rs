//! `iptables-save` and `ip6tables-save`: tables, their chains and the order in which a packet meets them.
//!
//! A file is IPv6 if its heading says `ip6tables-save`. A table without its COMMIT is a cut file. All tables take part, as
//! each can drop: what is not a verdict in them (marks, translated sources, logging) is listed, and a translated
//! destination is denied.

use std::collections::BTreeMap;

use super::iptables_rule::{Line, Target, rule};
use super::program::{Base, Program};
use super::report::{Effect, Report};
use super::rules::{Action, Chain, ChainRule, Doubt, Place, every, v4, v6};
use super::text::{lines, place, shown, syntax};
use super::{ImportError, Read, Settings, View};
use crate::terms::{AddrSet, Verdict};

/// Rules that are read.
const MOST_RULES: usize = 100_000;

/// Remarks of iptables-save about rules that it does not print.
const MISSING: &[&str] = &["use 'nft' tool", "iptables-legacy tables present", "ip6tables-legacy tables present"];

/// Tables and chains that a packet meets, in order (netfilter's priorities raw, mangle, nat, filter, security).
const HOST_RX: &[(&str, &str)] = &[
    ("raw", "PREROUTING"),
    ("mangle", "PREROUTING"),
    ("nat", "PREROUTING"),
    ("mangle", "INPUT"),
    ("filter", "INPUT"),
    ("security", "INPUT"),
    ("nat", "INPUT"),
];
const HOST_TX: &[(&str, &str)] = &[
    ("raw", "OUTPUT"),
    ("mangle", "OUTPUT"),
    ("nat", "OUTPUT"),
    ("filter", "OUTPUT"),
    ("security", "OUTPUT"),
    ("mangle", "POSTROUTING"),
    ("nat", "POSTROUTING"),
];
const ROUTED: &[(&str, &str)] = &[
    ("raw", "PREROUTING"),
    ("mangle", "PREROUTING"),
    ("nat", "PREROUTING"),
    ("mangle", "FORWARD"),
    ("filter", "FORWARD"),
    ("security", "FORWARD"),
    ("mangle", "POSTROUTING"),
    ("nat", "POSTROUTING"),
];

/// A chain that was declared.
struct Declared {
    index: usize,
    /// Of a chain of the kernel.
    policy: Option<Verdict>,
    place: Place,
}

/// A rule whose target is not looked up yet.
struct Pending {
    chain: usize,
    rules: Vec<ChainRule>,
    target: Target,
    line: u32,
    text: String,
}

/// The tables while they are read.
#[derive(Default)]
struct Tables {
    /// By table and chain.
    declared: BTreeMap<(String, String), Declared>,
    names: Vec<String>,
    pending: Vec<(String, Pending)>,
    open: Option<(String, u32)>,
    seen: Vec<String>,
}

/// Reads a file.
pub(super) fn read(text: &str, settings: &Settings, report: &mut Report) -> Result<Read, ImportError> {
    let is_v6 = text.lines().take(3).any(|line| line.starts_with('#') && line.contains("ip6tables-save"));
    let family = if is_v6 { v6() } else { v4() };
    if !is_v6 && !text.lines().take(3).any(|line| line.starts_with('#') && line.contains("iptables-save")) {
        report.note("no heading says whether the file is of iptables-save or ip6tables-save: it is read as IPv4");
    }
    let mut tables = Tables::default();
    let mut last = 1;
    for line in lines(text) {
        let (number, line) = line?;
        last = number;
        tables.line(number, line, settings, is_v6)?;
    }
    if let Some((table, line)) = &tables.open {
        return Err(syntax(last, "", format!("table {table} of line {line} has no COMMIT: the file is cut"), "COMMIT"));
    }
    if !tables.seen.iter().any(|table| table == "filter") {
        return Err(syntax(last, "", "there is no table filter", "*filter, its chains and rules, COMMIT"));
    }
    let (rx, tx) = match settings.view {
        View::Host => (HOST_RX, HOST_TX),
        View::Router => (ROUTED, ROUTED),
    };
    let bases = |hooks: &[(&str, &str)]| tables.bases(hooks, &family, last);
    let (rx, tx) = (bases(rx)?, bases(tx)?);
    let program = tables.program(report)?;
    Ok(Read { program, rx, tx, family, stateful: true })
}

impl Tables {
    fn line(&mut self, number: u32, line: &str, settings: &Settings, is_v6: bool) -> Result<(), ImportError> {
        if line.starts_with('#') && MISSING.iter().any(|missing| line.contains(missing)) {
            let what = "the tool that made the file says that there are rules which are not in it";
            return Err(syntax(number, line, what, "all rules; import the output of nft -j list ruleset instead"));
        }
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(table) = line.strip_prefix('*') {
            return self.begin(number, line, table);
        }
        let Some((table, _)) = self.open.clone() else {
            return Err(syntax(number, line, "a line outside of a table", "*TABLE, as iptables-save writes it"));
        };
        if line == "COMMIT" {
            self.open = None;
            return Ok(());
        }
        if let Some(chain) = line.strip_prefix(':') {
            return self.declare(number, line, &table, chain);
        }
        self.rule(number, line, table, settings, is_v6)
    }

    fn begin(&mut self, number: u32, line: &str, table: &str) -> Result<(), ImportError> {
        let known = ["raw", "mangle", "nat", "filter", "security"].contains(&table);
        if self.open.is_some() || !known || self.seen.iter().any(|seen| seen == table) {
            let what = if !known { "a table that is not known" } else { "a table inside or after its like" };
            return Err(syntax(number, line, what, "raw, mangle, nat, filter or security, each once and with COMMIT"));
        }
        self.seen.push(table.to_owned());
        self.open = Some((table.to_owned(), number));
        Ok(())
    }

    /// `:CHAIN POLICY [packets:bytes]`.
    fn declare(&mut self, number: u32, line: &str, table: &str, chain: &str) -> Result<(), ImportError> {
        const EXPECTED: &str = ":CHAIN ACCEPT, :CHAIN DROP or :CHAIN -, each chain once";
        let mut words = chain.split_ascii_whitespace();
        let (name, policy) = (words.next(), words.next());
        let policy = match policy {
            Some("ACCEPT") => Some(Verdict::Allow),
            Some("DROP") => Some(Verdict::Deny),
            Some("-") => None,
            _ => return Err(syntax(number, line, "a chain without a policy that is known", EXPECTED)),
        };
        let name = name.unwrap_or_default().to_owned();
        let index = self.names.len();
        if index == MOST_RULES {
            return Err(ImportError::TooMany { line: number, what: "chains", max: MOST_RULES });
        }
        let declared = Declared { index, policy, place: place(number, line) };
        if self.declared.insert((table.to_owned(), name.clone()), declared).is_some() {
            return Err(syntax(number, line, "a chain that is declared twice", EXPECTED));
        }
        self.names.push(format!("{name} of table {table}"));
        Ok(())
    }

    fn rule(
        &mut self,
        number: u32,
        line: &str,
        table: String,
        settings: &Settings,
        is_v6: bool,
    ) -> Result<(), ImportError> {
        if self.pending.len() == MOST_RULES {
            return Err(ImportError::TooMany { line: number, what: "rules", max: MOST_RULES });
        }
        // With -c each rule begins with its counters.
        let rest = match line.strip_prefix('[') {
            Some(counted) => counted.split_once(']').map_or("", |(_, rest)| rest.trim_start()),
            None => line,
        };
        let Line { chain, rules, target } = rule(number, rest, settings, is_v6)?;
        let Some(declared) = self.declared.get(&(table.clone(), chain)) else {
            return Err(syntax(number, line, "a rule of a chain that is not declared", ":CHAIN before its rules"));
        };
        let pending = Pending { chain: declared.index, rules, target, line: number, text: line.to_owned() };
        self.pending.push((table, pending));
        Ok(())
    }

    /// The chains of these hooks that the file has.
    fn bases(&self, hooks: &[(&str, &str)], family: &AddrSet, last: u32) -> Result<Vec<Base>, ImportError> {
        let mut bases = Vec::new();
        for (table, chain) in hooks {
            let declared = self.declared.get(&((*table).to_owned(), (*chain).to_owned()));
            match declared.and_then(|declared| Some((declared, declared.policy?))) {
                Some((declared, policy)) => {
                    let (place, main) = (declared.place.clone(), *table == "filter");
                    bases.push(Base {
                        chain: declared.index,
                        judges: vec![every(family.clone())],
                        policy,
                        place,
                        main,
                        untracked: *table == "raw",
                    });
                }
                None if *table == "filter" => {
                    let what = format!("table filter has no chain {chain} with a policy");
                    return Err(syntax(last, "", what, ":INPUT, :FORWARD and :OUTPUT in *filter"));
                }
                None => {}
            }
        }
        Ok(bases)
    }

    /// The chains with their targets looked up.
    fn program(self, report: &mut Report) -> Result<Program, ImportError> {
        let chain = |name| Chain { name, rules: Vec::new() };
        let mut chains: Vec<_> = self.names.into_iter().map(chain).collect();
        for (table, pending) in self.pending {
            let Pending { chain, rules, target, line, text } = pending;
            let user_chain = |name: String| {
                let found = self.declared.get(&(table.clone(), name)).filter(|declared| declared.policy.is_none());
                found.map(|declared| declared.index)
            };
            let (mut unknown, mut beside) = (None, None);
            let action = match target {
                Target::Action(action) => action,
                Target::Goto(name) => {
                    let unknown = || syntax(line, &text, "a goto to a chain that is not declared", ":CHAIN - before");
                    Action::Goto(user_chain(name).ok_or_else(unknown)?)
                }
                Target::Named(name) => match user_chain(name.clone()) {
                    Some(index) => Action::Jump(index),
                    None => {
                        unknown = Some(format!("the target {} is not known", shown(&name)));
                        Action::Drop
                    }
                },
                Target::Beside(what) => {
                    beside = Some(what);
                    Action::Continue
                }
            };
            for mut rule in rules {
                rule.action = action.clone();
                let doubts: Vec<_> =
                    rule.doubt.into_iter().chain(unknown.iter().map(|what| Doubt::new(what))).collect();
                rule.doubt = Doubt::all(&doubts);
                if action == Action::Continue {
                    // No verdict depends on it, but what it does or asks for is not carried.
                    let doubt = rule.doubt.as_ref().map(|doubt| doubt.what.to_string());
                    rule.beside = rule.beside.or_else(|| beside.clone()).or(doubt);
                    rule.doubt = None;
                }
                if let Some(beside) = rule.beside.as_ref().filter(|_| rule.when.is_empty()) {
                    report.line(&rule.place, Effect::NoVerdict, beside);
                }
                if let Some(chain) = chains.get_mut(chain) {
                    chain.rules.push(rule);
                }
            }
        }
        Ok(Program { chains })
    }
}
