//! `lint` names no rule that matters, and misses no planted one.

use std::sync::Arc;

use std::collections::BTreeSet;

use nicfw::policy::{Document, Finding, Hider, Lint, PortPair, Proto, Rule, RulePlace, Why};
use nicfw::terms::{AddrSet, Flow, Interval, IntervalSet, IpFlow, PortSet, Verdict};
use nicfw_test_kit::dice::Dice;
use nicfw_test_kit::documents::{document, flow, origin};
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::corners::Corners;

fn lint(document: &Document) -> Vec<Finding> {
    document.lint(&"2026-11-23".parse().unwrap())
}

/// The rules that the findings say can be taken out.
fn useless(findings: &[Finding]) -> BTreeSet<RulePlace> {
    let of = |finding: &Finding| match finding.lint {
        Lint::NeverMatches { rule, .. } | Lint::Duplicate { rule, .. } => Some(rule),
        _ => None,
    };
    findings.iter().filter_map(of).collect()
}

fn without(document: &Document, out: &BTreeSet<RulePlace>) -> Document {
    let mut document = document.clone();
    for place in out.iter().rev() {
        match *place {
            RulePlace::Management(at) => drop(document.management.remove(at)),
            RulePlace::Policy(policy, at) => drop(Arc::make_mut(&mut document.policies[policy]).rules.remove(at)),
        }
    }
    document
}

/// What decided, as it is named after the rules in `out` are gone.
fn renamed(why: Why, out: &BTreeSet<RulePlace>) -> Why {
    let Why::Rule { binding, place, reply } = why else { return why };
    let place = match place {
        RulePlace::Management(at) => {
            let before = out.iter().filter(|p| matches!(p, RulePlace::Management(gone) if *gone < at)).count();
            RulePlace::Management(at - before)
        }
        RulePlace::Policy(policy, at) => {
            let gone = |p: &&RulePlace| matches!(p, RulePlace::Policy(of, gone) if *of == policy && *gone < at);
            RulePlace::Policy(policy, at - out.iter().filter(gone).count())
        }
    };
    Why::Rule { binding, place, reply }
}

/// Whether a rule matches a flow, its direction left aside.
fn matches(rule: &Rule, ip: &IpFlow) -> bool {
    let ports = match (&rule.ports, ip.ports) {
        (None, _) => true,
        (Some(pair), Some(ports)) => pair.remote.contains(ports.remote) && pair.local.contains(ports.local),
        (Some(_), None) => false,
    };
    let proto = rule.proto == Proto::Any || ip.proto.map(Proto::Is) == Some(rule.proto);
    proto && ports && rule.remote.set.contains(ip.remote) && rule.local.as_ref().is_none_or(|l| l.contains(ip.local))
}

/// A part of a rule, or all of it, that does something of its own.
fn part(rule: &Rule, random: &mut Dice) -> Rule {
    let mut part = rule.clone();
    let first = |set: &PortSet| set.intervals().first().map_or_else(PortSet::empty, |i| PortSet::point(i.first));
    if random.below(2) == 0 {
        let v4 = rule.remote.set.v4.intervals().first().map(|i| Interval { first: i.first, last: i.first });
        let v6 = rule.remote.set.v6.intervals().last().map(|i| Interval { first: i.last, last: i.last });
        let (v4, v6) = (v4.into_iter().collect::<Vec<_>>(), v6.into_iter().collect::<Vec<_>>());
        part.remote.set = AddrSet { v4: IntervalSet::from_intervals(v4), v6: IntervalSet::from_intervals(v6) };
    }
    if random.below(2) == 0 {
        part.ports = rule.ports.as_ref().map(|pair| PortPair { local: first(&pair.local), ..pair.clone() });
    }
    if rule.proto == Proto::Any && random.below(2) == 0 {
        part.proto = Proto::TCP;
    }
    if random.below(2) == 0 {
        part.action = if rule.action == Verdict::Allow { Verdict::Deny } else { Verdict::Allow };
        part.replies = part.action == Verdict::Allow && random.below(2) == 0;
        part.sample = false;
    }
    part
}

/// Two rules that together match what one matches.
fn halves(rule: &Rule) -> [Rule; 2] {
    let lower = AddrSet {
        v4: IntervalSet::from_intervals([Interval { first: 0, last: (1 << 31) - 1 }]),
        v6: IntervalSet::from_intervals([Interval { first: 0, last: 1 << 126 }]),
    };
    let upper = AddrSet::full().subtract(&lower);
    [upper, lower].map(|gone| {
        let mut half = rule.clone();
        half.remote.set = rule.remote.set.subtract(&gone);
        half
    })
}

/// Plants a rule that decides nothing; returns its place. `None` if there is no policy in use with a rule.
fn plant(document: &mut Document, random: &mut Dice) -> Option<RulePlace> {
    let used: Vec<usize> = document.bindings.iter().map(|binding| binding.policy).collect();
    let policy = used[random.below(used.len())];
    let rules = &mut Arc::make_mut(&mut document.policies[policy]).rules;
    if rules.is_empty() {
        return None;
    }
    let by = random.below(rules.len());
    let planted = part(&rules[by], random);
    let mut first = by + 1;
    if random.below(3) == 0 {
        let halves = halves(&rules[by]);
        rules.splice(by..=by, halves);
        first = by + 2;
    }
    let at = first + random.below(rules.len() - first + 1);
    rules.insert(at, planted);
    Some(RulePlace::Policy(policy, at))
}

fn same(document: &Document, other: &Document, out: &BTreeSet<RulePlace>, flows: &[Flow]) -> Result<(), TestCaseError> {
    for flow in flows {
        let (was, is) = (document.decide(flow), other.decide(flow));
        prop_assert_eq!((was.verdict, renamed(was.why, out)), (is.verdict, is.why), "{:?} without {:?}", flow, out);
    }
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 400, ..Config::default() })]

    #[test]
    fn lint_names_no_rule_that_matters(
        document in document(6),
        flows in prop::collection::vec(flow(), 200),
        seed in any::<u64>(),
    ) {
        let mut random = Dice::new(seed);
        let mut document = document;
        plant(&mut document, &mut random);
        let mut flows = flows;
        flows.extend(Corners::of(&[&document]).flows(&mut random, 1500));
        let findings = lint(&document);
        let all = useless(&findings);
        let some = all.iter().copied().filter(|_| random.below(2) == 0).collect();
        same(&document, &without(&document, &some), &some, &flows)?;
        same(&document, &without(&document, &all), &all, &flows)?;
        for place in &all {
            let one = BTreeSet::from([*place]);
            same(&document, &without(&document, &one), &one, &flows)?;
        }
        for finding in &findings {
            let Lint::NeverMatches { rule: place, hidden_by } = &finding.lint else { continue };
            let rule = document.rule(*place).unwrap();
            for flow in flows.iter().filter(|flow| flow.direction == rule.direction) {
                let Some(ip) = flow.ip.filter(|ip| matches(rule, ip)) else { continue };
                let of_policy = document.binding_of(ip.local).map(|(_, binding)| binding.policy);
                if !matches!(*place, RulePlace::Policy(policy, _) if of_policy == Some(policy)) {
                    continue;
                }
                let named = match document.decide(flow).why {
                    Why::Rule { place, reply, .. } => hidden_by.contains(&Hider::Rule { place, reply }),
                    Why::NeighbourDiscovery { .. } => hidden_by.contains(&Hider::NeighbourDiscovery),
                    Why::Multicast { .. } => hidden_by.contains(&Hider::Multicast),
                    Why::ForeignMac { .. } | Why::ForeignVlan { .. } | Why::ForeignPort { .. } => true,
                    _ => false,
                };
                prop_assert!(named, "{} does not name what decides {:?}", finding, flow);
            }
        }
    }

    #[test]
    fn lint_misses_no_planted_rule(document in document(6), seed in any::<u64>()) {
        let mut document = document;
        let Some(place) = plant(&mut document, &mut Dice::new(seed)) else { return Ok(()) };
        let findings = lint(&document);
        prop_assert!(useless(&findings).contains(&place), "{place:?} is not among {findings:#?}");
    }

    #[test]
    fn a_rule_that_decides_a_flow_is_never_named(document in document(6), seed in any::<u64>()) {
        let named = useless(&lint(&document));
        for flow in Corners::of(&[&document]).flows(&mut Dice::new(seed), 1500) {
            if let Why::Rule { place, .. } = document.decide(&flow).why {
                prop_assert!(!named.contains(&place), "{flow:?}");
            }
        }
    }

    #[test]
    fn neighbours_that_become_one_change_no_verdict(document in document(6), seed in any::<u64>()) {
        let mut document = document;
        let mut random = Dice::new(seed);
        // Neighbours of one origin that match a box are rare: a rule is cut in two.
        for policy in &mut document.policies {
            Arc::make_mut(policy).rules.iter_mut().for_each(|rule| rule.origin = origin(1));
            if !policy.rules.is_empty() {
                let at = random.below(policy.rules.len());
                let halves = halves(&policy.rules[at]);
                Arc::make_mut(policy).rules.splice(at..=at, halves);
            }
        }
        let flows = Corners::of(&[&document]).flows(&mut random, 1500);
        for finding in lint(&document) {
            let Lint::CouldBeOne { rules, merged } = &finding.lint else { continue };
            let [RulePlace::Policy(policy, first), .., RulePlace::Policy(_, last)] = rules[..] else {
                return Err(TestCaseError::fail("neighbours stand in a policy"));
            };
            let mut one = document.clone();
            Arc::make_mut(&mut one.policies[policy]).rules.splice(first..=last, [(**merged).clone()]);
            for flow in &flows {
                prop_assert_eq!(document.decide(flow).verdict, one.decide(flow).verdict, "{} {:?}", finding, flow);
            }
        }
    }
}

/// The two halves of a rule are found to be one, unless one of them is useless or something else stops it.
#[test]
fn the_halves_of_a_rule_are_found() {
    let text = "nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web:\n    \
        - {allow: in, proto: tcp, local_ports: 443, remote: 0.0.0.0/0, reason: r}\nbindings:\n  \
        - {container: a, ip: 10.30.1.17, mac: \"02:00:0a:1e:01:11\", attach: sriov, policy: web}\n";
    let mut document = Document::parse(text, "t.yaml").unwrap();
    let halves = halves(&document.policies[0].rules[0]);
    Arc::make_mut(&mut document.policies[0]).rules = halves.to_vec();
    let found = lint(&document).into_iter().find_map(|finding| match finding.lint {
        Lint::CouldBeOne { rules, merged } => Some((rules, merged.remote.set.v4.is_full())),
        _ => None,
    });
    assert_eq!(found, Some((vec![RulePlace::Policy(0, 0), RulePlace::Policy(0, 1)], true)));
}

fn found(text: &str) -> Vec<String> {
    let document = Document::parse(text, "t.yaml").unwrap_or_else(|error| panic!("{error}"));
    let known = ["dead-deny", "unseen-protocol", "idle-exception", "unused-group"];
    let of = |finding: &Finding| known.contains(&finding.lint.name());
    lint(&document).iter().filter(|finding| of(finding)).map(ToString::to_string).collect()
}

fn with_rules(rules: &[&str], ip: &str) -> String {
    let rules: String = rules.iter().map(|rule| format!("    - {{{rule}, reason: r}}\n")).collect();
    let nd = if ip.contains(':') { ", nd: open-icmpv6" } else { "" };
    format!(
        "nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web:\n{rules}bindings:\n  - {{container: a, ip: {ip}, mac: \
         \"02:00:0a:1e:01:11\", attach: sriov, policy: web{nd}}}\n"
    )
}

/// The frames of the families and extension headers are those of RFC 8200: what stands behind a header of these is the
/// protocol that the adapter sees.
#[test]
fn protocols_that_no_frame_shows_are_named() {
    let (v4, v6, both) = ("10.30.1.17", "\"2001:db8::17\"", "[10.30.1.17, \"2001:db8::17\"]");
    let behind = |number: u8, what: &str, way_out: &str| {
        format!(
            "t.yaml:6: policy web, rule 1 {what}: {number} is an extension header, and the adapter sees the protocol behind \
             it; {way_out}"
        )
    };
    for number in [0, 43, 44, 51, 60] {
        let rule = format!("allow: in, proto: {number}, replies: no");
        let never = behind(number, "can never match", "take it out, or name the protocol behind the header");
        assert_eq!(found(&with_rules(&[&rule], v6)), [never]);
        assert_eq!(
            found(&with_rules(&[&rule], both)),
            [behind(number, "never matches IPv6", "name IPv4 remotes alone")]
        );
        assert!(found(&with_rules(&[&rule], v4)).is_empty(), "IPv4 has no such headers");
        let of_v4 = format!("{rule}, remote: 10.0.0.0/8");
        assert!(found(&with_rules(&[&of_v4], both)).is_empty());
    }
    for number in [50, 59, 17, 47] {
        assert!(found(&with_rules(&[&format!("allow: in, proto: {number}, replies: no")], v6)).is_empty(), "{number}");
    }
    assert_eq!(
        found(&with_rules(&["allow: in, proto: icmp"], v6)),
        ["t.yaml:6: policy web, rule 1 is about icmp, and all that it applies to is IPv6; say proto: icmpv6"]
    );
    assert_eq!(
        found(&with_rules(&["allow: in, proto: icmpv6"], v4)),
        ["t.yaml:6: policy web, rule 1 is about icmpv6, and all that it applies to is IPv4; say proto: icmp"]
    );
    for (proto, ip) in [("icmp", v4), ("icmpv6", v6), ("icmp", both), ("icmpv6", both)] {
        assert!(found(&with_rules(&[&format!("allow: in, proto: {proto}")], ip)).is_empty(), "{proto} {ip}");
    }
}

#[test]
fn exceptions_and_groups_that_do_nothing_are_named() {
    let idle =
        with_rules(&["allow: in, proto: tcp, remote: 10.0.0.0/8, except: [10.1.0.0/16, 192.168.0.0/16]"], "10.30.1.17");
    assert_eq!(
        found(&idle),
        ["t.yaml:6: except 192.168.0.0/16 takes nothing away from 10.0.0.0/8 in policy web, rule 1; take it out"]
    );
    let groups = |groups: &str, rule: &str| {
        let text = with_rules(&[rule], "10.30.1.17");
        found(&text.replace("policies:", &format!("groups: {{{groups}}}\npolicies:")))
    };
    let unused = ["t.yaml: no rule names group spare; take it out, or name it"];
    assert_eq!(groups("spare: 192.0.2.0/24", "allow: in, remote: 10.0.0.0/8"), unused);
    assert_eq!(groups("office: 10.0.0.0/8, spare: 192.0.2.0/24", "allow: in, remote: office"), unused);
    for used in [
        groups("spare: 192.0.2.0/24", "allow: in, remote: [10.0.0.0/8, spare]"),
        groups("spare: 10.1.0.0/16", "allow: in, remote: 10.0.0.0/8, except: spare"),
        groups("spare: 192.0.2.0/24, all: [spare, 10.0.0.0/8]", "allow: in, remote: all"),
        groups("spare: 10.1.0.0/16, all: {of: 10.0.0.0/8, except: spare}", "allow: in, remote: all"),
        groups("spare: 10.30.1.0/24", "allow: in, remote: 10.0.0.0/8, local: spare"),
    ] {
        assert_eq!(used, [""; 0]);
    }
}

/// `-p icmp -j DROP` behind an accept of what is established: the rule is there, and no echo is stopped by it.
#[test]
fn a_deny_behind_the_replies_of_an_earlier_allow_is_named() {
    let text =
        with_rules(&["allow: out", "deny: in, proto: icmp", "allow: in, proto: tcp, local_ports: 443"], "10.30.1.17");
    assert_eq!(
        found(&text),
        [
            "t.yaml:7: policy web, rule 2 denies nothing that would pass: replies to rule 1 (t.yaml:6) are let through before it; \
          move it up, or say replies: no there"
        ]
    );
    for alive in [
        ["deny: in, proto: icmp", "allow: out"],
        ["allow: out, replies: no", "deny: in, proto: icmp"],
        ["allow: out, remote: 10.0.0.0/8", "deny: in, proto: icmp"],
    ] {
        assert_eq!(
            found(&with_rules(&[alive[0], alive[1], "allow: in, proto: icmp"], "10.30.1.17")),
            [""; 0],
            "{alive:?}"
        );
    }
    // One that ends a list denies what no rule allows, and says so for the reader.
    assert_eq!(found(&with_rules(&["allow: out, proto: tcp", "deny: in"], "10.30.1.17")), [""; 0]);
}
