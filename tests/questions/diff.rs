//! `diff` is complete, exact and disjoint: every flow whose verdict changes is in one difference, and no other is in any.

use std::sync::Arc;

use nicfw::policy::{Difference, Document};
use nicfw::tables::{Compiled, Target};
use nicfw::terms::{Direction, Flow, Ports, Verdict};
use nicfw_test_kit::dice::Dice;
use nicfw_test_kit::documents::{document, flow};
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::corners::Corners;

/// Flows at the edges of a difference, in it and just beside it.
fn edges(difference: &Difference, random: &mut Dice) -> Vec<Flow> {
    let mut out = vec![difference.witness];
    let Some(remote) = &difference.remote else { return out };
    for _ in 0..8 {
        let mut flow = difference.witness;
        let Some(ip) = &mut flow.ip else { continue };
        if ip.remote.is_ipv4() && !remote.v4.is_empty() {
            let at = remote.v4.intervals()[random.below(remote.v4.intervals().len())];
            let ends = [at.first, at.last, at.first.saturating_sub(1), at.last.saturating_add(1)];
            ip.remote = std::net::Ipv4Addr::from_bits(random.pick(&ends)).into();
        } else if !remote.v6.is_empty() {
            let at = remote.v6.intervals()[random.below(remote.v6.intervals().len())];
            let ends = [at.first, at.last, at.first.saturating_sub(1), at.last.saturating_add(1)];
            ip.remote = std::net::Ipv6Addr::from_bits(random.pick(&ends)).into();
        }
        if let Some(pair) = &difference.ports {
            let mut end = |set: &nicfw::terms::PortSet| {
                let at = set.intervals()[random.below(set.intervals().len())];
                random.pick(&[at.first, at.last, at.first.saturating_sub(1), at.last.saturating_add(1)])
            };
            ip.ports = Some(Ports { local: end(&pair.local), remote: end(&pair.remote) });
        }
        out.push(flow);
    }
    out
}

/// Half of the second documents are the first with a few changes.
fn changed(old: &Document, other: &Document, random: &mut Dice) -> Document {
    let mut new = old.clone();
    for _ in 0..=random.below(3) {
        match random.below(6) {
            0 => Arc::make_mut(&mut new.policies[0]).rules.extend(other.policies[0].rules.first().cloned()),
            1 => drop(Arc::make_mut(&mut new.policies[0]).rules.pop()),
            2 => new.bindings = other.bindings.iter().filter(|b| b.policy < new.policies.len()).cloned().collect(),
            3 => new.management.clone_from(&other.management),
            4 => (new.unbound, new.multicast) = (other.unbound, other.multicast),
            _ => drop(new.bindings.pop()),
        }
    }
    new
}

fn check(old: &Document, new: &Document, flows: &[Flow], random: &mut Dice) -> Result<(), TestCaseError> {
    let compile = |document| Compiled::new(document, &Target::profile0(), None);
    let (Ok(a), Ok(b)) = (compile(old), compile(new)) else { return Ok(()) };
    let differences = a.diff(&b);
    let mut flows = flows.to_vec();
    flows.extend(Corners::of(&[old, new]).flows(random, 1000));
    flows.extend(differences.iter().flat_map(|difference| edges(difference, random)));
    for flow in &flows {
        let (before, after) = (old.decide(flow).verdict, new.decide(flow).verdict);
        let within: Vec<_> = differences.iter().filter(|difference| difference.contains(flow)).collect();
        prop_assert_eq!(within.len(), usize::from(before != after), "{:?}: {:#?}", flow, within);
        prop_assert!(within.iter().all(|difference| difference.verdict == after), "{:?}: {:#?}", flow, within);
    }
    for difference in &differences {
        prop_assert!(difference.contains(&difference.witness), "{difference:?}");
    }
    // The other way round the same flows differ.
    let back = b.diff(&a);
    for flow in &flows {
        let within = |all: &[Difference]| all.iter().any(|difference| difference.contains(flow));
        prop_assert_eq!(within(&back), within(&differences));
    }
    prop_assert!(a.diff(&a).is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 150, ..Config::default() })]

    #[test]
    fn differences_are_all_and_only_the_flows_that_change(
        old in document(2),
        other in document(2),
        flows in prop::collection::vec(flow(), 200),
        seed in any::<u64>(),
    ) {
        let mut random = Dice::new(seed);
        check(&old, &other, &flows, &mut random)?;
        check(&old, &changed(&old, &other, &mut random), &flows, &mut random)?;
    }
}

/// By hand: a rule less, a container that moves to a VLAN.
#[test]
fn differences_read_as_they_are_meant() {
    let text = "nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web:\n    \
        - {allow: in, proto: tcp, local_ports: 443, remote: 10.20.0.0/16, replies: no}\nbindings:\n  \
        - {container: a, ip: 10.30.1.17, mac: \"02:00:0a:1e:01:11\", attach: sriov, policy: web}\n";
    let compile = |text: &str| {
        let document = Document::parse(text, "t.yaml").unwrap();
        Compiled::new(&document, &Target::profile0(), None).unwrap()
    };
    let words = |old: &Compiled, new: &Compiled| old.diff(new).iter().map(ToString::to_string).collect::<Vec<_>>();
    let old = compile(text);
    let narrower = compile(&text.replace("443", "[443, 8443]"));
    assert_eq!(
        words(&old, &narrower),
        ["newly allowed in: a 10.30.1.17 by 02:00:0a:1e:01:11, tcp, remote 10.20.0.0/16, \
          remote ports 0-65535, local ports 8443"]
    );
    let tagged = compile(&text.replace("sriov,", "sriov, vlan: 7,"));
    assert_eq!(
        words(&old, &tagged),
        ["newly denied in: a 10.30.1.17 by 02:00:0a:1e:01:11 on another VLAN or none, tcp, remote 10.20.0.0/16, \
          remote ports 0-65535, local ports 443"]
    );
    let difference = &old.diff(&tagged)[0];
    assert_eq!((difference.direction, difference.verdict), (Direction::Rx, Verdict::Deny));
    let none = compile("nicfw: 1\nunbound: allow\nmulticast: deny\npolicies: {}\nbindings: []\n");
    let gone = words(&old, &none);
    assert_eq!(
        gone.last().map(String::as_str),
        Some("newly allowed out: frames without a bound address of 02:00:0a:1e:01:11"),
        "{gone:#?}"
    );
}
