//! `nft -j list ruleset`: tables, chains, sets and maps, and the order of base chains on a hook.
//!
//! Every base chain on the imported hooks takes part, in the order of hook and priority; a packet passes if none drops it.
//! Tables of the families `ip`, `ip6`, `inet` and `netdev` judge a container's traffic. Chains of `bridge` and `arp` are
//! listed.

use std::collections::BTreeMap;

use super::super::sets::AddrSet;
use super::expand::{Base, Program};
use super::json::{self, Json};
use super::nft_rule::{Reader, Sets};
use super::rules::{Chain, v4, v6};
use super::text::{place, syntax};
use super::{ImportError, Read, Settings, View};
use crate::tables::Verdict;

/// Rules that are read.
const MOST_RULES: usize = 100_000;

const RULESET: &str = "the output of nft -j list ruleset";

/// Family, table and name.
type Name = (String, String, String);

/// A chain that hooks into the kernel.
struct Hooked {
    hook: String,
    priority: i64,
    base: Base,
}

/// Reads a ruleset.
pub(super) fn read(text: &str, settings: &Settings) -> Result<Read, ImportError> {
    let json = json::read(text)?;
    let Some(items) = json.get("nftables").and_then(Json::list) else {
        return Err(syntax(json.line, json.text, "there is no list nftables", RULESET));
    };
    let mut sets = Sets::default();
    let mut chains = BTreeMap::new();
    let mut program = Program::default();
    let mut hooked = Vec::new();
    for item in items {
        let wrong = || syntax(item.line, item.text, "this is no object of a ruleset", RULESET);
        match item.only().ok_or_else(wrong)? {
            ("chain", chain) => {
                let name = name(chain, "name").ok_or_else(wrong)?;
                let index = program.chains.len();
                let shown = format!("{} {} {}", name.0, name.1, name.2);
                if chain.get("hook").is_some() {
                    hooked.push(base(item, chain, &name.0, index).ok_or_else(wrong)?);
                }
                if chains.insert(name, index).is_some() {
                    return Err(syntax(item.line, item.text, "a chain that comes twice", RULESET));
                }
                program.chains.push(Chain { name: shown, rules: Vec::new() });
            }
            ("set" | "map", set) => {
                sets.insert(name(set, "name").ok_or_else(wrong)?, set.clone());
            }
            _ => {}
        }
    }
    let reader = Reader { settings, sets: &sets, chains: &chains };
    let mut count = 0usize;
    for rule in items.iter().filter_map(|item| item.get("rule")) {
        let wrong = || syntax(rule.line, rule.text, "this is no rule of a chain before it", RULESET);
        let (family, table, chain) = name(rule, "chain").ok_or_else(wrong)?;
        let index = chains.get(&(family.clone(), table.clone(), chain)).copied().ok_or_else(wrong)?;
        let rules = reader.rules(rule, &family, &table)?;
        count = count.saturating_add(rules.len());
        if count > MOST_RULES {
            return Err(ImportError::TooMany { line: rule.line, what: "rules", max: MOST_RULES });
        }
        program.chains.get_mut(index).ok_or_else(wrong)?.rules.extend(rules);
    }
    let (rx, tx) = bases(hooked, settings.view);
    Ok(Read { program, rx, tx, family: AddrSet::full(), stateful: true })
}

fn name(object: &Json<'_>, of: &str) -> Option<Name> {
    let text = |key| object.get(key).and_then(Json::str).map(ToOwned::to_owned);
    Some((text("family")?, text("table")?, text(of)?))
}

/// A base chain; its policy is accept unless said.
fn base(item: &Json<'_>, chain: &Json<'_>, family: &str, index: usize) -> Option<Hooked> {
    let family_set = match family {
        "ip" => v4(),
        "ip6" => v6(),
        "inet" | "netdev" => AddrSet::full(),
        _ => AddrSet::empty(),
    };
    let policy = match chain.get("policy").map(Json::str) {
        None | Some(Some("accept")) => Verdict::Allow,
        Some(Some("drop")) => Verdict::Deny,
        Some(_) => return None,
    };
    let base = Base { chain: index, family: family_set, policy, place: place(item.line, item.text) };
    Some(Hooked { hook: chain.get("hook")?.str()?.to_owned(), priority: chain.get("prio")?.integer()?, base })
}

/// The base chains that a packet meets in each direction, in order.
fn bases(mut hooked: Vec<Hooked>, view: View) -> (Vec<Base>, Vec<Base>) {
    let (rx, tx): (&[&str], &[&str]) = match view {
        View::Host => (&["ingress", "prerouting", "input"], &["output", "postrouting", "egress"]),
        View::Router => {
            let hooks = &["ingress", "prerouting", "forward", "postrouting", "egress"];
            (hooks, hooks)
        }
    };
    hooked.retain(|hooked| !hooked.base.family.is_empty());
    let list = |hooks: &[&str]| {
        let place = |hooked: &&Hooked| hooks.iter().position(|hook| *hook == hooked.hook);
        let mut found: Vec<_> = hooked.iter().filter(|hooked| place(hooked).is_some()).collect();
        found.sort_by_key(|hooked| (place(hooked), hooked.priority));
        let copy = |Hooked { base, .. }: &Hooked| Base {
            chain: base.chain,
            family: base.family.clone(),
            policy: base.policy,
            place: base.place.clone(),
        };
        found.into_iter().map(copy).collect()
    };
    (list(rx), list(tx))
}
