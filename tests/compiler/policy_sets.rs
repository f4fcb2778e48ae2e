//! Generated policies of pairwise disjoint allows, as containers have them, under both kinds of lookup order: verdicts
//! against a search through the list, and entries against the naive expansion and a lower bound ([`nicfw_test_kit::bench::bound`]).
//!
//! `cargo test --test compiler policy_sets -- --nocapture` prints the table; `cargo bench --bench entries` one with more sets.
//! `order`: none, more specific lookups first, or any.

use std::net::IpAddr;

use ipnet::IpNet;
use nicfw::policy::Document;
use nicfw::tables::{Compiled, Target};
use nicfw::terms::{AddrSet, Direction, Flow, Interval, IpFlow, MacAddr, Ports, Verdict};
use nicfw_test_kit::bench::bound::{Cells, Naive};
use nicfw_test_kit::bench::generated::{self, Filter, Shape};
use nicfw_test_kit::bench::sets::{Allow, Set, wide};
use nicfw_test_kit::orders::{locals, ranked, shuffled, specific_first};

use crate::universe::{engine, seen};

/// Flows at the corners of every rule, and one step outside of each.
fn flows(local: IpAddr, mac: MacAddr, allows: &[Allow]) -> Vec<Flow> {
    let mut out = Vec::new();
    for allow in allows {
        let remotes = [allow.remote.first, allow.remote.last, allow.remote.first - 1, allow.remote.last + 1];
        let ports =
            [allow.ports.first, allow.ports.last, allow.ports.first.wrapping_sub(1), allow.ports.last.wrapping_add(1)];
        for remote in remotes {
            for port in ports.map(Some).into_iter().chain([None]) {
                for proto in [6, 17] {
                    let ports = port.map(|local| Ports { local, remote: 50_000 });
                    let remote = std::net::Ipv4Addr::from_bits(remote).into();
                    out.push(Flow {
                        direction: Direction::Rx,
                        physical_port: 0,
                        local_mac: mac,
                        remote_mac: MacAddr([2, 0, 0, 0, 0, 9]),
                        outer_vlan: None,
                        inner_vlan: None,
                        ether_type: 0x0800,
                        ip: Some(IpFlow { local, remote, proto: Some(proto), ports }),
                    });
                }
            }
        }
    }
    out
}

fn is_allowed(flow: &Flow, allows: &[Allow]) -> bool {
    let ip = flow.ip.unwrap();
    let IpAddr::V4(remote) = ip.remote else { return false };
    let remote = remote.to_bits();
    allows.iter().any(|allow| {
        let ports = ip.ports.is_some_and(|ports| (allow.ports.first..=allow.ports.last).contains(&ports.local));
        ip.proto == Some(allow.proto) && ports && (allow.remote.first..=allow.remote.last).contains(&remote)
    })
}

/// Entries above the base of one address.
fn entries(compiled: &Compiled, local: IpAddr) -> usize {
    compiled.image().rules.keys().filter(|key| key.local_ip == Some(local) && !key.is_base()).count()
}

/// What came of one order: flows compared, and entries of all addresses: naive, ours, bound.
#[derive(Default)]
struct Sums {
    flows: usize,
    naive: usize,
    ours: usize,
    bound: usize,
}

/// Compares image, model and `explain` with a search through the list, and entries with the bound, address by address.
fn check(name: &str, document: &Document, allows: &[&[Allow]], target: &Target, seed: u64) -> Sums {
    let compiled = Compiled::new(document, target, None).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (mut engine, naive) = (engine(compiled.image(), target, seed), Naive::of(document));
    let mut sums = Sums::default();
    for (binding, allows) in document.bindings.iter().zip(allows) {
        let local = binding.ips[0];
        let flows = flows(local, binding.mac, allows);
        let judged = compiled.image().judge_all(&flows, &target.profile, seed);
        for (at, (flow, judged)) in flows.iter().zip(judged).enumerate() {
            let expected = if is_allowed(flow, allows) { Verdict::Allow } else { Verdict::Deny };
            assert_eq!(judged.verdict, expected, "{name}, image: {flow:?}");
            let model = engine.judge(&seen(flow), Direction::Rx, 0).verdict;
            assert_eq!(model, expected, "{name}, model: {flow:?}");
            // An explanation asks the whole document.
            if at % 16 == 0 {
                let explained = compiled.explain(flow);
                assert_eq!(explained.verdict(), expected, "{name}, explain: {flow:?}");
                let entry = explained.entry.unwrap();
                assert_eq!(entry.key.is_base(), expected == Verdict::Deny, "{name}: {} for {flow:?}", entry.key);
            }
        }
        let (ours, bound) = (entries(&compiled, local), Cells::of(document, local).apart());
        assert!(bound >= allows.len(), "{name}: disjoint rules take an entry each: {bound}");
        assert!(ours * 100 <= bound * 115, "{name}, {}: {ours} entries for {bound}", binding.container);
        sums.flows += flows.len();
        sums.naive += naive.entries(&document.policies[binding.policy]);
        sums.ours += ours;
        sums.bound += bound;
    }
    sums
}

const HEAD: &str = "set              order   lists      flows    naive     ours    bound";

fn print(set: &str, order: &str, lists: usize, sums: &Sums) {
    let Sums { flows, naive, ours, bound } = sums;
    println!("{set:<14} {order:>7} {lists:>7} {flows:>10} {naive:>8} {ours:>8} {bound:>8}");
}

#[test]
fn policies_have_no_mismatch_and_hardly_more_entries_than_the_bound() {
    println!("{HEAD}");
    for (rules, seed) in [(100, 1), (500, 2), (2000, 3)] {
        let set = Set::own(rules, seed);
        let document = set.document(0..set.uses.len());
        let allows: Vec<&[Allow]> = set.uses.iter().map(|policy| &set.policies[*policy][..]).collect();
        let orders = [("-", None), ("first", Some(specific_first(seed))), ("any", Some(shuffled(seed)))];
        for (name, order) in orders {
            let mut target = Target { physical_ports: 2, ..wide() };
            if let Some(tails) = &order {
                target.profile.order = ranked(tails, &locals());
            }
            print(&format!("own {rules}"), name, 1, &check(name, &document, &allows, &target, seed));
        }
    }
}

/// Sets of `gen_rules.py` in the default tables.
#[test]
#[ignore = "takes minutes, needs python3: tests/long/rule-sets"]
fn generated_policy_sets_have_no_mismatch() {
    println!("{HEAD}");
    for (rules, containers, services) in [(200, 8, 400), (1000, 40, 100), (5000, 200, 100), (7000, 280, 80)] {
        let filters = generated::filters(&Shape { rules, containers, services }.generate());
        let document = generated::document(&filters);
        let of = |filter: &&Filter| Allow {
            remote: AddrSet::from(IpNet::new(filter.remote.0.into(), filter.remote.1).unwrap()).v4.intervals()[0],
            proto: filter.proto,
            ports: Interval { first: filter.local_ports.0, last: filter.local_ports.1 },
        };
        let about = |ip: IpAddr| filters.iter().filter(move |filter| IpAddr::from(filter.local) == ip);
        let allows: Vec<Vec<Allow>> =
            document.bindings.iter().map(|binding| about(binding.ips[0]).map(|filter| of(&filter)).collect()).collect();
        let allows: Vec<&[Allow]> = allows.iter().map(Vec::as_slice).collect();
        for (name, is_any) in [("-", None), ("first", Some(false)), ("any", Some(true))] {
            let mut sums = Sums::default();
            for seed in 0..10 {
                let mut target = Target::profile0();
                if let Some(is_any) = is_any {
                    target.profile.order =
                        ranked(&if is_any { shuffled(seed) } else { specific_first(seed) }, &locals());
                }
                let flows = sums.flows;
                sums = check(name, &document, &allows, &target, seed);
                sums.flows += flows;
            }
            print(&format!("policy_{rules}"), name, 10, &sums);
        }
    }
}
