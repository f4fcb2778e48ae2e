//! DPDK-style access lists as JSON: `{"rules": [{"id", "category", "priority", "proto", "proto_mask", "vlan", "vlan_mask",
//! "domain", "domain_mask", "src", "dst", "sport", "dport"}]}`.
//!
//! The two categories are independent, and in each the matching rule with the highest priority wins. For one verdict a
//! match in `deny` outweighs one in `allow`, whatever the priorities: so the denies come first, each category by falling
//! priority. VLAN and domain are no fields of a rule here; what they are for the container the settings vouch for, and
//! where they do not, a condition on them cannot be said. Ports from 0 to 65535 are no condition.

use ipnet::IpNet;

use super::classbench::protos;
use super::json::{self, Json};
use super::program::{Base, Program};
use super::report::Report;
use super::rules::{Action, Chain, ChainRule, Doubt, Match, every, v4};
use super::text::{nowhere, place, syntax};
use super::{ImportError, Read, Settings};
use crate::policy::text::words;
use crate::terms::{AddrSet, Interval, PortSet, Verdict};

/// Rules that are read.
const MOST_RULES: usize = 100_000;

const FIELDS: &[&str] = &[
    "id",
    "category",
    "priority",
    "proto",
    "proto_mask",
    "vlan",
    "vlan_mask",
    "domain",
    "domain_mask",
    "src",
    "dst",
    "sport",
    "dport",
];

const RULE: &str = "a rule with category, priority, proto, vlan, domain, src, dst, sport and dport";

/// Reads a list.
pub(super) fn read(text: &str, settings: &Settings, report: &mut Report) -> Result<Read, ImportError> {
    let json = json::read(text)?;
    let Some(list) = json.get("rules").and_then(Json::list) else {
        return Err(syntax(json.line, json.text, "there is no list of rules", "an object with the list \"rules\""));
    };
    let mut rules = Vec::new();
    for item in list {
        if rules.len() == MOST_RULES {
            return Err(ImportError::TooMany { line: item.line, what: "rules", max: MOST_RULES });
        }
        let found = item.members().iter().all(|(key, _)| FIELDS.contains(&key.as_str())).then(|| rule(item, settings));
        rules.push(found.flatten().ok_or_else(|| syntax(item.line, item.text, "this is not a rule", RULE))?);
    }
    rules.sort_by_key(|(priority, rule)| (rule.action == Action::Accept, std::cmp::Reverse(*priority)));
    if let Some(vlan) = settings.vlan {
        report.note(format!("it is taken on your word that the container's frames have VLAN {vlan} (0 = no tag)"));
    }
    if let Some(domain) = settings.domain {
        report.note(format!("it is taken on your word that the container's traffic is of domain {domain}"));
    }
    let rules = rules.into_iter().map(|(_, rule)| rule).collect();
    let program = Program { chains: vec![Chain { name: "rules".to_owned(), rules }] };
    let base = || Base {
        chain: 0,
        judges: vec![every(v4())],
        policy: Verdict::Deny,
        place: nowhere("no rule matches"),
        main: true,
        untracked: false,
    };
    Ok(Read { program, rx: vec![base()], tx: vec![base()], family: v4(), stateful: false })
}

/// One rule and its priority.
fn rule(item: &Json<'_>, settings: &Settings) -> Option<(i64, ChainRule)> {
    let action = match item.get("category")?.str()? {
        "allow" => Action::Accept,
        "deny" => Action::Drop,
        _ => return None,
    };
    let net = |key| {
        let net = words::net(item.get(key)?.str()?).ok().filter(|net| matches!(net, IpNet::V4(_)))?;
        Some(AddrSet::from(net))
    };
    let ports = |key| {
        let [first, last] = item.get(key)?.list()? else { return None };
        let end = |port: &Json<'_>| u16::try_from(port.number()?).ok();
        let (first, last) = (end(first)?, end(last)?);
        (first <= last).then(|| PortSet::from_intervals([Interval { first, last }]))
    };
    let byte = |key| u8::try_from(item.get(key)?.number()?).ok();
    let (sport, dport) = (ports("sport")?, ports("dport")?);
    let when = Match {
        src: net("src")?,
        dst: net("dst")?,
        protos: protos(byte("proto")?, byte("proto_mask")?)?,
        ports: (!sport.is_full() || !dport.is_full()).then_some((sport, dport)),
        ..Match::any()
    };
    let vlan = given(item, "vlan", "vlan_mask", settings.vlan)?;
    let domain = given(item, "domain", "domain_mask", settings.domain)?;
    let doubts: Vec<_> = [(vlan, "vlan"), (domain, "domain")]
        .iter()
        .filter(|(given, _)| *given == Given::Unknown)
        .map(|(_, name)| format!("the {name} of the container's traffic was not given"))
        .collect();
    let never = vlan == Given::No || domain == Given::No;
    let rule = ChainRule {
        place: place(item.line, item.text),
        when: if never { Vec::new() } else { vec![when] },
        doubt: (!doubts.is_empty()).then(|| Doubt::new(&doubts.join(", "))),
        action,
        beside: None,
    };
    Some((item.get("priority")?.integer()?, rule))
}

/// Whether a condition on a fact holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    Yes,
    No,
    Unknown,
}

fn given(item: &Json<'_>, value: &str, mask: &str, fact: Option<u16>) -> Option<Given> {
    let number = |key| u16::try_from(item.get(key)?.number()?).ok();
    let (value, mask) = (number(value)?, number(mask)?);
    Some(match fact {
        _ if mask == 0 => Given::Yes,
        None => Given::Unknown,
        Some(fact) if fact & mask == value & mask => Given::Yes,
        Some(_) => Given::No,
    })
}
