//! Size: what many bindings cost, and what entries cost against the naive expansion.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use nicfw::policy::{Attach, Binding, Document, OnExpiry, Policy, PortPair, Proto, Remote, Rule};
use nicfw::tables::{CompileError, Compiled, Table, Target};
use nicfw::terms::{AddrSet, Direction, Interval, IntervalSet, MacAddr, PortSet, Verdict};
use nicfw_test_kit::dice::Dice;
use nicfw_test_kit::documents::{origin, set};

pub fn port_set(ports: &[(u16, u16)]) -> PortSet {
    PortSet::from_intervals(ports.iter().map(|&(first, last)| Interval { first, last }))
}

fn allow(direction: Direction, remote: AddrSet, remote_ports: Option<PortSet>, local_ports: Option<PortSet>) -> Rule {
    let names_local_ports = local_ports.is_some();
    let full = PortSet::full;
    Rule {
        direction,
        action: Verdict::Allow,
        sample: false,
        proto: Proto::TCP,
        remote: Remote { text: "remote".to_owned(), set: remote },
        ports: Some(PortPair { remote: remote_ports.unwrap_or_else(full), local: local_ports.unwrap_or_else(full) }),
        local: None,
        replies: true,
        names_local_ports,
        origin: origin(1),
    }
}

fn bindings(count: u32, policies: usize) -> Vec<Binding> {
    let binding = |(i, at): (u32, usize)| Binding {
        container: format!("c{i}"),
        ips: vec![IpAddr::V4(Ipv4Addr::from_bits(0x0a1e_0000 + i))],
        mac: {
            let [_, a, b, c] = i.to_be_bytes();
            MacAddr([2, 0, 0, a, b, c])
        },
        owns_mac: true,
        vlan: None,
        physical_ports: Vec::new(),
        policy: at % policies,
        attach: Attach::Sriov,
        open_nd: false,
        unprotected_accepted: false,
        origin: origin(1000 + i),
    };
    (0..count).zip(0..).map(binding).collect()
}

pub fn document(policies: Vec<Vec<Rule>>, count: u32) -> Document {
    let many = policies.len();
    Document {
        name: "scale.yaml".into(),
        unbound: Verdict::Allow,
        multicast: Verdict::Deny,
        ephemeral: port_set(&[(32768, 60999)]),
        on_expiry: OnExpiry::Report,
        groups: Arc::default(),
        management: Vec::new(),
        policies: policies
            .into_iter()
            .enumerate()
            .map(|(i, rules)| Policy { name: format!("p{i}"), rules, line: 1 })
            .collect(),
        bindings: bindings(count, many).into_iter().collect(),
    }
}

/// Twenty rules; a tenth of the bindings' policies differ from each other.
fn twenty_rules(seed: u32) -> Vec<Rule> {
    let mut rules = Vec::new();
    for i in 0..20u32 {
        let net = format!("10.{}.{}.0/24", 64 + seed % 10, i * 10 + seed % 7);
        let port = u16::try_from(1000 + i % 4).unwrap();
        if i % 2 == 0 {
            rules.push(allow(Direction::Rx, set(&[&net]), None, Some(port_set(&[(port, port)]))));
        } else {
            rules.push(Rule {
                action: Verdict::Deny,
                replies: false,
                ..allow(Direction::Rx, set(&[&net]), None, None)
            });
        }
    }
    rules
}

#[test]
fn many_bindings_of_many_rules_compile() {
    let mut target = Target::profile0();
    target.profile.rules = 1 << 20;
    let compile = |policies: u32, bindings: u32| {
        let document = document((0..policies).map(twenty_rules).collect(), bindings);
        let compiled = Compiled::new(&document, &target, None).unwrap_or_else(|e| panic!("{e}"));
        (compiled.steps(), compiled.image().rules.len())
    };
    let (small, large) = (compile(12, 120), compile(96, 960));
    assert!(large.0 <= small.0 * 9, "eight times as many policies take far more than eight times as long");
    assert!(large.1 <= small.1 * 9, "eight times as many bindings have far more than eight times as many entries");
    assert_eq!(compile(12, 960).0, small.0, "a policy is cut once, whoever has it");
}

/// Prefixes times ports times directions: what one entry for each combination would take.
#[test]
fn fewer_entries_than_the_naive_expansion() {
    let nets: Vec<String> = (0..20).map(|i| format!("10.{i}.0.0/16")).collect();
    let nets: Vec<&str> = nets.iter().map(|net| net.as_str()).step_by(2).collect();
    let ports = port_set(&[(80, 80), (443, 443), (8000, 8099)]);
    let rules = vec![allow(Direction::Rx, set(&nets), None, Some(ports))];
    let compiled = Compiled::new(&document(vec![rules], 1), &Target::profile0(), None).unwrap();
    // Naive: 10 prefixes x 102 ports x 2 directions. Here: one class of remotes, one of ports, both directions in one
    // entry; beside it the base denies of IP and MAC, and ARP.
    assert_eq!(compiled.image().rules.len(), 4);
}

#[test]
fn single_values_take_no_ids() {
    let remote = set(&["10.1.2.3/32"]);
    let rules = vec![allow(Direction::Tx, remote, Some(port_set(&[(53, 53)])), Some(port_set(&[(1024, 1024)])))];
    let compiled = Compiled::new(&document(vec![rules], 1), &Target::profile0(), None).unwrap();
    let image = compiled.image();
    assert_eq!((image.rules.len(), &image.subnets, &image.remote_ports, &image.local_ports), (4, &None, &None, &None));
}

#[test]
fn bindings_share_ids_but_not_entries() {
    let rules =
        || vec![allow(Direction::Rx, set(&["10.20.0.0/16", "10.40.0.0/16"]), None, Some(port_set(&[(80, 81)])))];
    let ids = |count, policies: Vec<_>| {
        let compiled = Compiled::new(&document(policies, count), &Target::profile0(), None).unwrap();
        let classes = &compiled.image().subnets.as_ref().unwrap().classes;
        let ids: std::collections::BTreeSet<_> = classes.iter().map(|(_, id)| *id).collect();
        (ids.len(), compiled.image().rules.len())
    };
    assert_eq!(ids(1, vec![rules()]), (2, 4));
    assert_eq!(ids(10, vec![rules()]), (2, 40));
    assert_eq!(ids(10, vec![rules(), rules()]), (2, 40), "two policies of one meaning share classes");
}

/// Rules that meet in many ways: any prefix from 8 to 28 bits, any range of ports, allows and denies.
fn random_rules(dice: &mut Dice, count: usize) -> Vec<Rule> {
    (0..count).map(|_| random_rule(dice)).collect()
}

fn random_rule(dice: &mut Dice) -> Rule {
    let mut below = |end: usize| u32::try_from(dice.below(end)).unwrap();
    let host = 32 - (8 + below(21));
    let first = below(1 << 32) >> host << host;
    let remote = Interval { first, last: first | ((1 << host) - 1) };
    let remote = AddrSet { v4: IntervalSet::from_intervals([remote]), ..AddrSet::empty() };
    let [a, b] = [below(65536), below(65536)].map(|port| u16::try_from(port).unwrap());
    let direction = if below(2) == 0 { Direction::Rx } else { Direction::Tx };
    let rule = allow(direction, remote, None, Some(port_set(&[(a.min(b), a.max(b))])));
    let denies = below(3) == 0;
    let action = if denies { Verdict::Deny } else { Verdict::Allow };
    Rule { action, replies: !denies, ..rule }
}

/// Far more than the table holds is refused in the same words, before all of it is made.
#[test]
fn far_too_many_entries_are_refused_before_they_are_made() {
    let mut dice = Dice::new(14);
    let policies = (0..3000).map(|_| random_rules(&mut dice, 120)).collect();
    let document = document(policies, 3000);
    let refusal = Compiled::new(&document, &Target::profile0(), None).unwrap_err();
    let CompileError::DoesNotFit { table: Table::Rules, missing, largest, usage, .. } = &refusal else {
        panic!("{refusal}")
    };
    println!("3,000 bindings of 120 random rules: {refusal}");
    // All pieces of all policies are more than 120,000, and take some entries each.
    assert!((20_000..60_000).contains(missing), "{refusal}");
    assert!(usage.is_empty() && largest.used > 10 && refusal.to_string().contains("at least "), "{refusal}");
}

/// Rules that meet in too many ways are refused before they are cut into classes, so that nobody waits for a number: what is
/// missing is not counted to the end then. That cutting them into pieces has a budget, `arrange/pieces.rs` tests.
#[test]
fn rules_that_meet_in_too_many_ways_are_refused_early() {
    let mut dice = Dice::new(14);
    let mut refused = |rules: usize| {
        let document = document(vec![random_rules(&mut dice, rules)], 1);
        let refusal = Compiled::new(&document, &Target::profile0(), None).unwrap_err();
        println!("{rules} random rules on one binding: {refusal}");
        refusal
    };
    let few = refused(500);
    let CompileError::DoesNotFit { usage, .. } = &few else { panic!("{few}") };
    assert!(!usage.is_empty() && !few.to_string().contains("at least "), "so many are counted exactly: {few}");
    for rules in [2000, 8000] {
        let many = refused(rules);
        let CompileError::DoesNotFit { table: Table::LocalPortTree, usage, .. } = &many else { panic!("{many}") };
        assert!(usage.is_empty() && many.to_string().contains("at least "), "{many}");
    }
}

/// As many entries of a port-range tree as four times what there is, and 4,096, are still counted exactly; of more it is
/// only said how many there are at least.
#[test]
fn port_trees_are_counted_exactly_up_to_four_times_their_size() {
    let ranges = |count: u16, from: u16| {
        port_set(&(0..count).map(|at| (from + at * 20, from + at * 20 + 9)).collect::<Vec<_>>())
    };
    let refused = |sizes: [u16; 2], local: bool, tree_entries: u32| {
        let rules = |(count, from): (u16, u16)| {
            let (ports, remote) = (Some(ranges(count, from)), set(&["10.0.0.0/8"]));
            let (remote_ports, local_ports) = if local { (None, ports) } else { (ports, None) };
            vec![allow(Direction::Rx, remote, remote_ports, local_ports)]
        };
        let policies = sizes.into_iter().zip([20, 41_000]).map(rules).collect();
        let mut target = Target::profile0();
        target.sizes.port_tree_entries = tree_entries;
        let refusal = Compiled::new(&document(policies, 2), &target, None).unwrap_err();
        let CompileError::DoesNotFit { table, missing, largest, usage, .. } = refusal else { panic!("{refusal}") };
        (table, missing, largest.policy.unwrap(), largest.used, usage.is_empty())
    };
    let name = |at: usize| format!("p{at}");
    for (local, table) in [(false, Table::RemotePortTree), (true, Table::LocalPortTree)] {
        // Each range is two ends, each end is two entries, and one more is for all else.
        assert_eq!(refused([1021, 2], local, 255), (table, 4093 - 255, name(0), 1021, false), "exactly");
        assert_eq!(refused([1022, 2], local, 255), (table, 4097 - 255, name(0), 4089, true), "at least");
        assert_eq!(refused([2, 1022], local, 2000), (table, 4097 - 2000, name(1), 1022, false), "exactly");
        assert_eq!(refused([1998, 1], local, 2000), (table, 7997 - 2000, name(0), 1998, false), "exactly");
        assert_eq!(refused([1999, 1], local, 2000), (table, 8001 - 2000, name(0), 7997, true), "at least");
    }
}
