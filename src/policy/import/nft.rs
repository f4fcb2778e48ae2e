//! `nft -j list ruleset`: tables, chains, sets and maps, and the order of base chains on a hook.
//!
//! Every base chain on the imported hooks takes part, in the order of hook and priority; a packet passes if none drops it.
//! Tables of the families `ip`, `ip6`, `inet` and `netdev` judge a container's traffic. Base chains of `bridge` and `arp`, of
//! dormant tables and of interfaces that the container does not use are listed. What is not a whole ruleset is refused: a
//! list of commands, chains without their table, a file without a base chain that filters on an imported hook.

use std::collections::{BTreeMap, BTreeSet};

use super::interface::through;
use super::json::{self, Json};
use super::nft_rule::{Name, Reader, Sets, adds_to};
use super::pieces::{Parts, Piece};
use super::program::{Base, Program};
use super::report::{Effect, Report};
use super::rules::{Action, Chain, Doubt, Match, both, v4, v6};
use super::text::{place, shown, syntax};
use super::{ImportError, Read, Settings, View};
use crate::terms::{AddrSet, Verdict};

/// Rules that are read.
const MOST_RULES: usize = 100_000;

/// Priority at which the kernel tells connections, on prerouting and output.
const TRACKED: i64 = -200;

const RULESET: &str = "the output of nft -j list ruleset";

/// Objects that no verdict depends on by themselves.
const BESIDE: &[&str] = &[
    "metainfo",
    "rule",
    "flowtable",
    "counter",
    "quota",
    "limit",
    "ct helper",
    "ct timeout",
    "ct expectation",
    "secmark",
    "synproxy",
];

/// A chain that hooks into the kernel.
struct Hooked {
    hook: String,
    priority: i64,
    /// A chain for translation decides nothing about packets by its presence.
    filters: bool,
    base: Base,
}

impl Hooked {
    /// The kernel translates sources on these hooks, at this priority.
    fn sees_translated_sources(&self) -> bool {
        let behind =
            self.hook == "egress" || (["input", "postrouting"].contains(&self.hook.as_str()) && self.priority >= 100);
        self.filters && behind
    }
}

/// The objects of a ruleset but its rules.
#[derive(Default)]
struct Objects<'a> {
    /// By family and name: the flags, if there are any.
    tables: BTreeMap<(String, String), Option<&'a Json<'a>>>,
    chains: BTreeMap<Name, usize>,
    hooked: Vec<Hooked>,
    sets: Sets<'a>,
    program: Program,
}

/// Reads a ruleset.
pub(super) fn read(text: &str, settings: &Settings, report: &mut Report) -> Result<Read, ImportError> {
    let json = json::read(text)?;
    let Some(items) = json.get("nftables").and_then(Json::list) else {
        return Err(syntax(json.line, json.text, "there is no list nftables", RULESET));
    };
    let mut objects = Objects::default();
    for item in items {
        objects.add(item)?;
    }
    let mut changing = BTreeSet::new();
    for rule in items.iter().filter_map(|item| item.get("rule")) {
        adds_to(rule, &mut changing);
    }
    for item in items {
        objects.hook(item, settings, report)?;
    }
    let Objects { chains, hooked, sets, mut program, .. } = objects;
    let sees_translated = hooked.iter().any(Hooked::sees_translated_sources);
    let reader = Reader { settings, sets: &sets, chains: &chains, changing: &changing, sees_translated };
    let mut count = 0usize;
    for rule in items.iter().filter_map(|item| item.get("rule")) {
        let wrong = || syntax(rule.line, rule.text, "this is not a rule of a chain before it", RULESET);
        let (family, table, chain) = name(rule, "chain").ok_or_else(wrong)?;
        let index = chains.get(&(family.clone(), table.clone(), chain)).copied().ok_or_else(wrong)?;
        let rules = reader.rules(rule, &family, &table)?;
        count = count.saturating_add(rules.len());
        if count > MOST_RULES {
            return Err(ImportError::TooMany { line: rule.line, what: "rules", max: MOST_RULES });
        }
        for rule in rules.iter().filter(|rule| rule.when.is_empty()) {
            if let Some(beside) = &rule.beside {
                report.line(&rule.place, Effect::NoVerdict, beside);
            }
        }
        program.chains.get_mut(index).ok_or_else(wrong)?.rules.extend(rules);
    }
    let family = settings.ips.iter().copied().collect::<AddrSet>().families();
    let (rx, tx) =
        bases(hooked, settings.view, &family, report).map_err(|what| syntax(json.line, "", what, RULESET))?;
    Ok(Read { program, rx, tx, family: AddrSet::full(), stateful: true })
}

impl<'a> Objects<'a> {
    fn add(&mut self, item: &'a Json<'a>) -> Result<(), ImportError> {
        const COMMANDS: &[&str] =
            &["add", "replace", "create", "insert", "delete", "destroy", "list", "reset", "flush", "rename"];
        let wrong = |what: &str| syntax(item.line, item.text, what, RULESET);
        let no_object = || wrong("this is not an object of a ruleset");
        match item.only().ok_or_else(no_object)? {
            ("table", table) => {
                let text = |key| table.get(key).and_then(Json::str).map(ToOwned::to_owned);
                let name = text("family").zip(text("name")).ok_or_else(no_object)?;
                if self.tables.insert(name, table.get("flags")).is_some() {
                    return Err(wrong("a table that comes twice"));
                }
            }
            ("chain", chain) => {
                let name = name(chain, "name").ok_or_else(no_object)?;
                let shown = format!("{} {} {}", name.0, name.1, name.2);
                if self.chains.insert(name, self.program.chains.len()).is_some() {
                    return Err(wrong("a chain that comes twice"));
                }
                self.program.chains.push(Chain { name: shown, rules: Vec::new() });
            }
            ("set" | "map", set) => {
                if self.sets.insert(name(set, "name").ok_or_else(no_object)?, set).is_some() {
                    return Err(wrong("a set that comes twice"));
                }
            }
            (beside, _) if BESIDE.contains(&beside) => {}
            (command, _) if COMMANDS.contains(&command) => {
                return Err(wrong("a command: it says what is to be done, and not what the rules are"));
            }
            _ => return Err(wrong("an object of a kind that is not known")),
        }
        Ok(())
    }

    /// Takes up a base chain.
    fn hook(&mut self, item: &Json<'_>, settings: &Settings, report: &mut Report) -> Result<(), ImportError> {
        let Some(chain) = item.get("chain") else { return Ok(()) };
        let wrong = || syntax(item.line, item.text, "this is not a base chain of nft", RULESET);
        let name = name(chain, "name").ok_or_else(wrong)?;
        let Some(flags) = self.tables.get(&(name.0.clone(), name.1.clone())) else {
            let what = "a chain whose table is not in the file: it is not the whole ruleset";
            return Err(syntax(item.line, item.text, what, RULESET));
        };
        let (Some(hook), Some(index)) = (chain.get("hook"), self.chains.get(&name)) else { return Ok(()) };
        let hook = hook.str().ok_or_else(wrong)?;
        let priority = chain.get("prio").and_then(Json::integer).ok_or_else(wrong)?;
        let policy = match chain.get("policy").map(Json::str) {
            None | Some(Some("accept")) => Verdict::Allow,
            Some(Some("drop")) => Verdict::Deny,
            Some(_) => return Err(wrong()),
        };
        let place = place(item.line, &format!("base chain {} {} {} on {hook}", name.0, name.1, name.2));
        let mut parts = Parts::all();
        let family = match name.0.as_str() {
            "ip" => v4(),
            "ip6" => v6(),
            "inet" | "netdev" => AddrSet::full(),
            other => {
                let what = format!("chains of the family {} do not judge what reaches the adapter", shown(other));
                report.line(&place, Effect::NoVerdict, &what);
                return Ok(());
            }
        };
        parts.narrow(&[Piece::sure(Match { src: family.clone(), dst: family, ..Match::any() })], 1);
        match flags.map(known_flags) {
            None | Some(Some(false)) => {}
            Some(Some(true)) => {
                report.line(&place, Effect::NoVerdict, "the table is dormant");
                return Ok(());
            }
            Some(None) => parts.doubt(&Doubt::new("the table has flags that are not known, it may be dormant")),
        }
        if ["ingress", "egress"].contains(&hook) {
            parts.narrow(&devices(chain, hook == "ingress", settings), 2);
            if parts.len() == 0 {
                report.line(
                    &place,
                    Effect::NoVerdict,
                    "the chain is bound to interfaces that the container does not use",
                );
                return Ok(());
            }
        }
        let filters = chain.get("type").and_then(Json::str).is_none_or(|of| of == "filter");
        let judges = parts.rules(&place, &Action::Continue);
        let untracked = match hook {
            "ingress" | "egress" => true,
            "prerouting" | "output" => priority <= TRACKED,
            _ => false,
        };
        let main = ["input", "output", "forward"].contains(&hook);
        let base = Base { chain: *index, judges, policy, place, main, untracked };
        self.hooked.push(Hooked { hook: hook.to_owned(), priority, filters, base });
        Ok(())
    }
}

/// Whether a table is dormant; `None` if a flag is not known.
fn known_flags(flags: &Json<'_>) -> Option<bool> {
    let flags = flags.list().unwrap_or(std::slice::from_ref(flags));
    let mut dormant = false;
    for flag in flags {
        match flag.str()? {
            "dormant" => dormant = true,
            "owner" | "persist" => {}
            _ => return None,
        }
    }
    Some(dormant)
}

/// What a chain on ingress or egress sees.
fn devices(chain: &Json<'_>, incoming: bool, settings: &Settings) -> Vec<Piece> {
    let named = chain.get("dev").or_else(|| chain.get("devices"));
    let named = named.map(|dev| dev.list().unwrap_or(std::slice::from_ref(dev)));
    let names: Option<Vec<&str>> = named.and_then(|names| names.iter().map(Json::str).collect());
    match names.filter(|names| !names.is_empty()) {
        Some(names) => through(settings, incoming, &names, false),
        None => vec![Piece::unsure(Match::any(), "the interfaces that the chain is bound to are not in the file")],
    }
}

fn name(object: &Json<'_>, of: &str) -> Option<Name> {
    let text = |key| object.get(key).and_then(Json::str).map(ToOwned::to_owned);
    Some((text("family")?, text("table")?, text(of)?))
}

/// The base chains that a packet meets in each direction, in order. The error says that none of them filters.
fn bases(
    mut hooked: Vec<Hooked>,
    view: View,
    family: &AddrSet,
    report: &mut Report,
) -> Result<(Vec<Base>, Vec<Base>), String> {
    let (rx, tx): (&[&str], &[&str]) = match view {
        View::Host => (&["ingress", "prerouting", "input"], &["output", "postrouting", "egress"]),
        View::Router => {
            let hooks = &["ingress", "prerouting", "forward", "postrouting", "egress"];
            (hooks, hooks)
        }
    };
    let judged = |base: &Base| {
        let sets = base.judges.iter().flat_map(|judges| &judges.when).map(|when| both(&when.src, family));
        sets.fold(AddrSet::empty(), |all, set| all.union(&set))
    };
    let filtered = |hooks: &[&str]| {
        let on = |one: &&Hooked| one.filters && hooks.contains(&one.hook.as_str());
        hooked.iter().filter(on).fold(AddrSet::empty(), |all, one| all.union(&judged(&one.base)))
    };
    let (filtered_rx, filtered_tx) = (filtered(rx), filtered(tx));
    if filtered_rx.is_empty() && filtered_tx.is_empty() {
        let hooks = if view == View::Host { "input or output" } else { "forward" };
        return Err(format!("no base chain on {hooks} filters the IP version of the bound addresses"));
    }
    for (filtered, what) in [(filtered_rx, "received"), (filtered_tx, "sent")] {
        for (version, open) in [
            ("IPv4", filtered.v4.is_empty() && !family.v4.is_empty()),
            ("IPv6", filtered.v6.is_empty() && !family.v6.is_empty()),
        ] {
            if open {
                report.note(format!(
                    "no base chain filters {version} that is {what}: it is accepted, as the kernel does"
                ));
            }
        }
    }
    hooked.sort_by_key(|hooked| hooked.priority);
    let list = |hooks: &[&str]| {
        let mut found = Vec::new();
        for hook in hooks {
            found.extend(hooked.iter().filter(|hooked| hooked.hook == *hook).map(|hooked| hooked.base.clone()));
        }
        found
    };
    Ok((list(rx), list(tx)))
}
