//! Generated policies of pairwise disjoint allows, as containers have them, under both kinds of lookup order: verdicts
//! against a search through the list, and entries against the naive expansion and a lower bound.
//!
//! `cargo test --test compiler policy_sets -- --nocapture` prints the table.

use std::collections::BTreeSet;

use nicfw::policy::{Compiled, Flow, IpFlow, Ports};
use nicfw::tables::{Direction, MacAddr, Target, Verdict};

use crate::orders::{locals, ranked, shuffled, specific_first};
use crate::sets::{Allow, Set, wide};
use crate::universe::{engine, seen};

/// Flows at the corners of every rule, and one step outside of each.
fn flows(local: std::net::IpAddr, mac: MacAddr, allows: &[Allow]) -> Vec<Flow> {
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
    let std::net::IpAddr::V4(remote) = ip.remote else { return false };
    let remote = remote.to_bits();
    allows.iter().any(|allow| {
        let ports = ip.ports.is_some_and(|ports| (allow.ports.first..=allow.ports.last).contains(&ports.local));
        ip.proto == Some(allow.proto) && ports && (allow.remote.first..=allow.remote.last).contains(&remote)
    })
}

/// Entries above the base of one address.
fn entries(compiled: &Compiled, local: std::net::IpAddr) -> usize {
    compiled.image().rules.keys().filter(|key| key.local_ip == Some(local) && !key.is_base()).count()
}

/// One entry for each class of remotes and each class of ports that a rule covers, both cut by all rules of the set.
fn naive(allows: &[Allow], all: &[Vec<Allow>]) -> usize {
    let all = || all.iter().flatten();
    let remotes: BTreeSet<u32> = all().flat_map(|allow| [allow.remote.first, allow.remote.last + 1]).collect();
    let ports: BTreeSet<u32> =
        all().flat_map(|allow| [u32::from(allow.ports.first), u32::from(allow.ports.last) + 1]).collect();
    let pieces = |ends: &BTreeSet<u32>, first: u32, last: u32| ends.range(first..=last).count();
    let of = |allow: &Allow| {
        pieces(&remotes, allow.remote.first, allow.remote.last)
            * pieces(&ports, allow.ports.first.into(), allow.ports.last.into())
    };
    allows.iter().map(of).sum()
}

/// Every rule decides something that no other does, and an entry is for one rule: no fewer entries than rules will do.
fn bound(allows: &[Allow]) -> usize {
    allows.len()
}

#[test]
fn generated_policies_have_no_mismatch_and_hardly_more_entries_than_the_bound() {
    println!("{:>6} {:>10} {:>8} {:>8} {:>8}", "rules", "order", "naive", "ours", "bound");
    for (rules, seed) in [(100, 1), (500, 2), (2000, 3)] {
        let set = Set::own(rules, seed);
        let document = set.document(0..set.uses.len());
        let mut orders = vec![("unordered", None), ("ranked", Some(specific_first(seed)))];
        orders.push(("any", Some(shuffled(seed))));
        for (name, order) in orders {
            let mut target = Target { physical_ports: 2, ..wide() };
            if let Some(tails) = &order {
                target.profile.order = ranked(tails, &locals());
            }
            let compiled = Compiled::new(&document, &target, None).unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut engine = engine(compiled.image(), &target, seed);
            let (mut plain, mut ours, mut least) = (0, 0, 0);
            for (binding, policy) in document.bindings.iter().zip(&set.uses) {
                let (local, allows) = (binding.ips[0], &set.policies[*policy]);
                let flows = flows(local, binding.mac, allows);
                let judged = compiled.image().judge_all(&flows, &target.profile, seed);
                for (flow, judged) in flows.iter().zip(judged) {
                    let expected = if is_allowed(flow, allows) { Verdict::Allow } else { Verdict::Deny };
                    assert_eq!(judged.verdict, expected, "{name}, image: {flow:?}");
                    assert_eq!(
                        engine.judge(&seen(flow), Direction::Rx, 0).verdict,
                        expected,
                        "{name}, model: {flow:?}"
                    );
                }
                let (here, least_here) = (entries(&compiled, local), bound(allows));
                assert!(
                    here * 100 <= least_here * 115,
                    "{name}, {}: {here} entries for {least_here}",
                    binding.container
                );
                plain += naive(allows, &set.policies);
                ours += here;
                least += least_here;
            }
            println!("{rules:>6} {name:>10} {plain:>8} {ours:>8} {least:>8}");
        }
    }
}
