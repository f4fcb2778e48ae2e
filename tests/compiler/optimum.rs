//! A toy space: two remote addresses and all others, one local port and all others, TCP and all other protocols. For every
//! meaning that policies of up to three rules have, the number of entries is the least that a search through all sets of
//! entries finds: under a ranked order any entries, under the unordered one disjoint allows of one rule each. The lower bounds of
//! larger sets ([`nicfw_test_kit::bench::bound`]) are never above it.

use std::collections::HashMap;

use nicfw::policy::{Document, PortPair, Proto, Remote, Rule};
use nicfw::tables::{Compiled, MatchFields, RuleKey, Target};
use nicfw::terms::{Direction, PortSet, Verdict};
use nicfw_test_kit::bench::bound;
use nicfw_test_kit::documents::{origin, set};
use nicfw_test_kit::orders::{locals, ranked, specific_first, target};

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

/// What is wanted of the cells.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Wanted {
    allowed: Cells,
    /// The rule that allows each cell, by its place.
    by: [Option<usize>; CELLS],
}

impl Wanted {
    fn allows(&self, at: usize) -> bool {
        self.allowed >> at & 1 == 1
    }
}

fn wanted(policy: &[&Rule]) -> Wanted {
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
    let first = |at: usize| policy.iter().position(|rule| remote(rule, at / 4) && frame(rule, at % 4));
    let by = std::array::from_fn(|at| first(at).filter(|place| policy[*place].action == Verdict::Allow));
    Wanted { allowed: cells(|r, f| by[r * 4 + f].is_some()), by }
}

/// What an entry may match.
#[derive(Clone, Copy, PartialEq)]
struct Cube {
    cells: Cells,
    /// The cells that no entry with more fields could tell from each other: those that show none of the fields left out.
    own: Cells,
    /// Place of its lookup.
    place: usize,
    /// The set of remotes that it needs an id for, and that of ports.
    remote_id: u8,
    port_id: u8,
}

fn cubes(order: &[MatchFields]) -> Vec<Cube> {
    use MatchFields as F;
    let mut out = Vec::new();
    for remotes in 1..8u8 {
        // All remotes: not named. One address: by value.
        let (remote_id, remote) = match remotes {
            7 => (0, F::empty()),
            1 | 2 => (0, F::REMOTE_IP),
            _ => (remotes, F::REMOTE_SUBNET_ID),
        };
        for (frames, own, port_id, fields) in [
            (0b1111, 0b0001, 0, F::empty()),
            (0b1110, 0b0010, 0, F::IP_PROTO),
            (0b0100, 0b0100, 0, F::IP_PROTO | F::LOCAL_PORT),
            (0b1000, 0b1000, 0b10, F::IP_PROTO | F::LOCAL_PORTRANGE_ID),
            (0b1100, 0b1100, 0b11, F::IP_PROTO | F::LOCAL_PORTRANGE_ID),
        ] {
            let of = |frames: u8| cells(|r, f| remotes >> r & 1 == 1 && frames >> f & 1 == 1);
            let place = order.iter().position(|lookup| *lookup == fields | remote).unwrap();
            out.push(Cube { cells: of(frames), own: of(own), place, remote_id, port_id });
        }
    }
    out
}

/// Ids are of disjoint sets.
fn agree(a: &Cube, b: &Cube) -> bool {
    let apart = |a: u8, b: u8| a & b == 0 || a == b;
    apart(a.remote_id, b.remote_id) && apart(a.port_id, b.port_id)
}

/// True if an unordered table may hold the cube beside those chosen.
fn is_disjoint_allow(wanted: &Wanted, cube: &Cube, chosen: &[(Cube, bool)]) -> bool {
    let mut rules = (0..CELLS).filter(|at| cube.own >> at & 1 == 1).map(|at| wanted.by[at]);
    let first = rules.next();
    cube.cells & !wanted.allowed == 0
        && rules.all(|rule| Some(rule) == first)
        && chosen.iter().all(|(other, _)| cube.cells & other.cells == 0)
}

/// True if `left` more entries can make the chosen ones decide as wanted.
fn reachable(wanted: &Wanted, chosen: &mut Vec<(Cube, bool)>, left: usize, all: &[Cube], ranked: bool) -> bool {
    let decides = |at: usize, chosen: &[(Cube, bool)]| {
        let here = chosen.iter().filter(|(cube, _)| cube.cells >> at & 1 == 1);
        here.min_by_key(|(cube, _)| cube.place).map(|(cube, allow)| (cube.place, *allow))
    };
    let is_wrong = |at: &usize| decides(*at, chosen).is_some_and(|(_, allow)| allow) != wanted.allows(*at);
    let Some(at) = (0..CELLS).find(is_wrong) else { return true };
    if left == 0 {
        return false;
    }
    let below = decides(at, chosen).map(|(place, _)| place);
    for cube in all.iter().filter(|cube| cube.cells >> at & 1 == 1) {
        let sound =
            if ranked { below.is_none_or(|below| cube.place < below) } else { is_disjoint_allow(wanted, cube, chosen) };
        if sound && chosen.iter().all(|(other, _)| agree(cube, other)) {
            chosen.push((*cube, wanted.allows(at)));
            let found = reachable(wanted, chosen, left - 1, all, ranked);
            chosen.pop();
            if found {
                return true;
            }
        }
    }
    false
}

fn optimum(wanted: &Wanted, all: &[Cube], ranked: bool) -> Option<usize> {
    (0..=6).find(|count| reachable(wanted, &mut Vec::new(), *count, all, ranked))
}

fn toy(policy: &[&Rule]) -> Document {
    document(vec![policy.iter().copied().cloned().collect()], 1)
}

/// The lower bound: for any table, or for one without an order.
fn bound(policy: &[&Rule], is_ranked: bool) -> usize {
    let document = toy(policy);
    let cells = bound::Cells::of(&document, document.bindings[0].ips[0]);
    if is_ranked { cells.distinct() } else { cells.distinct().max(cells.apart()) }
}

fn entries(policy: &[&Rule], target: &Target) -> Option<usize> {
    let compiled = Compiled::new(&toy(policy), target, None).ok()?;
    let arp = |key: &RuleKey| key.ether_type == Some(0x0806);
    Some(compiled.image().rules.keys().filter(|key| !key.is_base() && !arp(key)).count())
}

#[test]
fn entries_are_the_least_that_there_are() {
    let (rules, order) = (&rules(), specific_first(3));
    let cubes = cubes(&order);
    let (plain, specific) = (Target::profile0(), target(ranked(&order, &locals())));
    let mut seen: HashMap<Wanted, usize> = HashMap::new();
    let (mut worse, mut sums, mut bounds) = (Vec::new(), [(0, 0); 2], [0; 2]);
    for policy in rules.iter().flat_map(|a| rules.iter().flat_map(move |b| rules.iter().map(move |c| [a, b, c]))) {
        let wanted = wanted(&policy);
        // How a meaning is written must not matter: the first and the second way are taken.
        let times = seen.entry(wanted.clone()).or_default();
        *times += 1;
        if *times > 2 {
            continue;
        }
        for (target, is_ranked, sum) in [(&plain, false, 0), (&specific, true, 1)] {
            let best = optimum(&wanted, &cubes, is_ranked);
            let ours = entries(&policy, target);
            let least = bound(&policy, is_ranked);
            assert!(
                best.is_none_or(|best| least <= best),
                "ranked {is_ranked}: the bound {least} is above {best:?}: {:?}",
                policy.map(|r| format!("{:?} {} {} {}", r.action, r.proto, r.remote.text, r.ports.is_some()))
            );
            bounds[sum] += if best.is_some() { least } else { 0 };
            sums[sum].0 += ours.unwrap_or_default();
            sums[sum].1 += best.unwrap_or_default();
            if ours != best {
                let words = policy.map(|rule| {
                    let ports = if rule.ports.is_some() { ":0" } else { "" };
                    format!("{:?} {} {}{ports}", rule.action, rule.proto, rule.remote.text)
                });
                let order = if is_ranked { "ranked" } else { "unordered" };
                worse.push(format!("{:012b} {order}: {ours:?} for {best:?}: {words:?}", wanted.allowed));
            }
        }
    }
    println!("{} meanings; entries and optimum, unordered and ranked: {sums:?}; bounds: {bounds:?}", seen.len());
    assert!(worse.is_empty(), "{}: {}", worse.len(), worse.join("\n"));
}
