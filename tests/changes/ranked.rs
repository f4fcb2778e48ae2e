//! Changes under ranked lookup orders, where entries above the base deny: the same sentences, and the same after an answer
//! that is lost at any command.

use nicfw::tables::{Action, Image};
use nicfw::terms::Verdict;
use nicfw_test_kit::orders::{locals, ranked, shuffled, specific_first};
use nicfw_test_kit::packets::{packet, shape};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::{Outcome, Scene, change, lost_answer, sizes};

/// A policy whose wide allows have exceptions.
fn document() -> impl Strategy<Value = String> {
    let exception = prop::sample::select(vec![
        "deny: in, proto: tcp, local_ports: 443",
        "deny: in, proto: tcp, remote: 10.20.0.0/16",
        "deny: in, proto: tcp, remote: 10.0.0.53, local_ports: [80, 8000-8099]",
        "deny: in, proto: any, remote: 10.21.0.0/16",
        "deny: in, proto: icmp",
        "deny: out, proto: udp, remote: 10.0.0.53, remote_ports: 53",
        "deny: out, proto: tcp, remote: 10.30.1.0/24, local: 10.30.1.17",
    ]);
    let allow = prop::sample::select(vec![
        "allow: in, proto: tcp",
        "allow: in, proto: any",
        "allow: in, proto: any, remote: 10.0.0.0/8",
        "allow: in, proto: tcp, remote: 10.20.0.0/14, local_ports: 1-9000",
        "allow: out, proto: udp",
        "allow: out, proto: any, remote: 10.0.0.0/8",
    ]);
    let rules = (prop::collection::vec(exception, 0..4), prop::collection::vec(allow, 0..3), any::<bool>());
    let policy = rules.prop_map(|(exceptions, allows, turned)| {
        let allows = allows.into_iter().map(|allow| format!("{allow}, replies: no"));
        let exceptions = exceptions.into_iter().map(str::to_owned);
        let rules: Vec<String> =
            if turned { allows.chain(exceptions).collect() } else { exceptions.chain(allows).collect() };
        rules.iter().map(|rule| format!("    - {{{rule}}}\n")).collect::<String>()
    });
    let unbound = prop::sample::select(vec!["allow", "deny"]);
    (unbound, prop::collection::vec(policy, 2), 0..2usize, 1..4u8).prop_map(|(unbound, policies, second, bound)| {
        let mut text = format!("nicfw: 1\nunbound: {unbound}\nmulticast: {unbound}\npolicies:\n");
        for (at, rules) in policies.iter().enumerate() {
            let body = if rules.is_empty() { " []\n".to_owned() } else { format!("\n{rules}") };
            text += &format!("  p{at}:{body}");
        }
        let bindings = [
            "  - {container: shop-1, ip: 10.30.1.17, mac: \"02:00:0a:1e:01:11\", attach: sriov, policy: p0}\n".to_owned(),
            format!(
                "  - {{container: shop-2, ip: 10.30.1.18, mac: \"02:00:0a:1e:01:12\", attach: sriov, policy: p{second}}}\n"
            ),
        ];
        text += "bindings:\n";
        text.extend(bindings.into_iter().enumerate().filter(|(at, _)| bound >> at & 1 == 1).map(|(_, binding)| binding));
        text
    })
}

proptest! {
    #![proptest_config(Config { cases: 100, ..Config::default() })]

    #[test]
    fn no_third_judgement_between_two_commands(
        old in document(),
        new in document(),
        packets in prop::collection::vec((packet(), shape()), 60),
        tight in any::<bool>(),
        specific in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let order = ranked(&if specific { specific_first(seed) } else { shuffled(seed) }, &locals());
        let scene = Scene { texts: [&old, &new], packets: &packets, sizes: sizes(tight), order, seed };
        change(&scene).map_err(|error| TestCaseError::fail(format!("{error}\nfrom\n{old}\nto\n{new}")))?;
    }

    #[test]
    fn a_lost_answer_opens_nothing(
        old in document(),
        new in document(),
        packets in prop::collection::vec((packet(), shape()), 40),
        place in any::<usize>(),
        effect in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let order = ranked(&specific_first(seed), &locals());
        let scene = Scene { texts: [&old, &new], packets: &packets, sizes: sizes(false), order, seed };
        lost_answer(&scene, place, effect)
            .map_err(|error| TestCaseError::fail(format!("{error}\nfrom\n{old}\nto\n{new}")))?;
    }
}

fn denies_above_the_base(image: &Image) -> bool {
    let denies = |action: Action| action.verdict() == Some(Verdict::Deny);
    image.rules.iter().any(|(key, entry)| !key.is_base() && (denies(entry.rx.action) || denies(entry.tx.action)))
}

/// The tests above show nothing where changes are refused, or no entry above the base denies.
#[test]
fn most_changes_have_denies_above_the_base_and_are_applied() {
    let mut runner = TestRunner::deterministic();
    let mut draw = || document().new_tree(&mut runner).unwrap().current();
    let (mut with_denies, mut applied) = (0, 0);
    for seed in 0..120 {
        let (old, new) = (draw(), draw());
        let order = ranked(&specific_first(seed), &locals());
        let scene = Scene { texts: [&old, &new], packets: &[], sizes: sizes(false), order, seed };
        let Some(world) = scene.set() else { continue };
        if denies_above_the_base(world.old.image()) || denies_above_the_base(world.new.image()) {
            with_denies += 1;
            applied += usize::from(matches!(change(&scene).unwrap(), Outcome::Applied { .. }));
        }
    }
    assert!(with_denies >= 15, "{with_denies} of 120 changes have a deny above the base");
    assert!(applied * 10 >= with_denies * 9, "{applied} of {with_denies} changes with denies are applied");
}
