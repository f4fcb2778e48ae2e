//! A toy space: two remote addresses and all others, one local port and all others, TCP and all other protocols. For every
//! policy of up to three rules the number of entries is the least that a search through all sets of entries finds, under a
//! ranked order; and under the unordered one of those that only allow.

use std::collections::HashMap;

use nicfw::policy::{Compiled, PortPair, PortSet, Proto, Remote, Rule};
use nicfw::tables::{Direction, RuleKey, Target, Verdict};

use crate::documents::{origin, set};
use crate::orders::{locals, ranked, specific_first, target};
use crate::scale::{document, port_set};

/// Remote 0.0.0.1, 0.0.0.2, others; of each: other protocols, TCP without ports, TCP to port 0, TCP to other ports.
const CELLS: usize = 12;
type Cells = u16;

fn rules() -> Vec<Rule> {
    let mut out = Vec::new();
    for action in [Verdict::Allow, Verdict::Deny] {
        for remote in ["any", "0.0.0.1/32", "0.0.0.2/32"] {
            for (proto, ports) in [(Proto::Any, false), (Proto::TCP, false), (Proto::TCP, true)] {
                let pair = || PortPair { remote: PortSet::full(), local: port_set(&[(0, 0)]) };
                out.push(Rule {
                    direction: Direction::Rx,
                    action,
                    sample: false,
                    proto,
                    remote: Remote { text: remote.to_owned(), set: set(&[remote]) },
                    ports: ports.then(pair),
                    local: None,
                    replies: false,
                    names_local_ports: ports,
                    origin: origin(1),
                });
            }
        }
    }
    out
}

fn cells(of: impl Fn(usize, usize) -> bool) -> Cells {
    (0..CELLS).filter(|at| of(at / 4, at % 4)).fold(0, |all, at| all | 1 << at)
}

/// The cells that a policy allows.
fn allowed(policy: &[&Rule]) -> Cells {
    let remote = |rule: &Rule, at: usize| match rule.remote.text.as_str() {
        "0.0.0.1/32" => at == 0,
        "0.0.0.2/32" => at == 1,
        _ => true,
    };
    let frame = |rule: &Rule, at: usize| match (rule.proto, &rule.ports) {
        (Proto::Any, _) => true,
        (_, None) => at > 0,
        (_, Some(_)) => at == 2,
    };
    cells(|r, f| {
        let first = policy.iter().find(|rule| remote(rule, r) && frame(rule, f));
        first.is_some_and(|rule| rule.action == Verdict::Allow)
    })
}

/// What an entry may match: cells, how many fields it names, the set of remotes that it needs an id for, and that of ports.
#[derive(Clone, Copy, PartialEq)]
struct Cube {
    cells: Cells,
    fields: u32,
    remote_id: u8,
    port_id: u8,
}

fn cubes() -> Vec<Cube> {
    let mut out = Vec::new();
    for remotes in 1..8u8 {
        // All remotes: not named. One address: by value.
        let remote_id = if matches!(remotes, 1 | 2 | 7) { 0 } else { remotes };
        for (frames, fields, port_id) in
            [(0b1111, 0, 0), (0b1110, 1, 0), (0b0100, 2, 0), (0b1000, 2, 0b10), (0b1100, 2, 0b11)]
        {
            let cells = cells(|r, f| remotes >> r & 1 == 1 && frames >> f & 1 == 1);
            out.push(Cube { cells, fields: fields + u32::from(remotes != 7), remote_id, port_id });
        }
    }
    out
}

/// Ids are of disjoint sets.
fn agree(a: &Cube, b: &Cube) -> bool {
    let apart = |a: u8, b: u8| a & b == 0 || a == b;
    apart(a.remote_id, b.remote_id) && apart(a.port_id, b.port_id)
}

/// True if `left` more entries can make the chosen ones decide as wanted. An entry that names more decides over one that
/// names fewer; those that name as many must not meet with different verdicts (their order is not known).
fn reachable(wanted: Cells, chosen: &mut Vec<(Cube, bool)>, left: usize, all: &[Cube], denies: bool) -> bool {
    let decided = |at: usize, chosen: &[(Cube, bool)]| {
        let here = chosen.iter().filter(|(cube, _)| cube.cells >> at & 1 == 1);
        let most = here.clone().map(|(cube, _)| cube.fields).max();
        let top: Vec<bool> = here.filter(|(cube, _)| Some(cube.fields) == most).map(|(_, allow)| *allow).collect();
        match top.first() {
            Some(first) if top.iter().all(|allow| allow == first) => (*first, most),
            Some(_) => (wanted >> at & 1 == 0, most),
            None => (false, None),
        }
    };
    let wrong = (0..CELLS).find(|at| decided(*at, chosen).0 != (wanted >> at & 1 == 1));
    let Some(at) = wrong else { return true };
    if left == 0 {
        return false;
    }
    let allow = wanted >> at & 1 == 1;
    let above = decided(at, chosen).1;
    if !allow && !denies {
        return false;
    }
    for cube in all.iter().filter(|cube| cube.cells >> at & 1 == 1 && above.is_none_or(|above| cube.fields > above)) {
        let sound = denies || cube.cells & !wanted == 0;
        if sound && chosen.iter().all(|(other, _)| agree(cube, other)) {
            chosen.push((*cube, allow));
            let found = reachable(wanted, chosen, left - 1, all, denies);
            chosen.pop();
            if found {
                return true;
            }
        }
    }
    false
}

fn optimum(wanted: Cells, all: &[Cube], denies: bool) -> Option<usize> {
    (0..=6).find(|count| reachable(wanted, &mut Vec::new(), *count, all, denies))
}

fn entries(policy: &[&Rule], target: &Target) -> Option<usize> {
    let rules = policy.iter().map(|rule| Rule::clone(rule)).collect();
    let compiled = Compiled::new(&document(vec![rules], 1), target, None).ok()?;
    let arp = |key: &RuleKey| key.ether_type == Some(0x0806);
    Some(compiled.image().rules.keys().filter(|key| !key.is_base() && !arp(key)).count())
}

#[test]
fn entries_are_the_least_that_there_are() {
    let (rules, cubes) = (rules(), cubes());
    let (plain, specific) = (Target::profile0(), target(ranked(&specific_first(3), &locals())));
    let mut known: HashMap<(Cells, bool), Option<usize>> = HashMap::new();
    let mut seen: HashMap<Cells, usize> = HashMap::new();
    let (mut worse, mut all) = (Vec::new(), 0);
    for a in &rules {
        for b in &rules {
            for c in &rules {
                let policy = [a, b, c];
                let wanted = allowed(&policy);
                // A few policies of each meaning: how it is written must not matter.
                let times = seen.entry(wanted).or_default();
                *times += 1;
                if *times > 4 {
                    continue;
                }
                all += 1;
                for (target, denies) in [(&plain, false), (&specific, true)] {
                    let best = *known.entry((wanted, denies)).or_insert_with(|| optimum(wanted, &cubes, denies));
                    let ours = entries(&policy, target);
                    if ours != best {
                        let words = policy.map(|rule| {
                            format!("{:?} {} {} {:?}", rule.action, rule.proto, rule.remote.text, rule.ports.is_some())
                        });
                        worse.push(format!("{wanted:012b} denies {denies}: {ours:?} for {best:?}: {words:?}"));
                    }
                }
            }
        }
    }
    println!("{all} policies of {} meanings, {} not at the optimum", seen.len(), worse.len());
    assert!(worse.is_empty(), "{}", worse.join("\n"));
}
