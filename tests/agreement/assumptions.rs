//! What rests on which assumption: each check is a promise of the product. It holds under profile 0, and breaks when the model
//! shows the opposite of the assumption that it is named after.

use std::sync::Arc;

use nicfw::adapter::Override;
use nicfw::clock::VirtualClock;
use nicfw::firewall::{Adopt, Firewall, Settings};
use nicfw::policy::Document;
use nicfw::tables::{Assumption, Compiled, Target};
use nicfw::terms::{Direction, IpHeader, MacAddr, Packet};
use nicfw_model::Model;
use nicfw_model::engines::rules::EngineConfig;

use crate::bench::{attach, compile, load, model, passes};

const SHOP: [u8; 4] = [10, 30, 1, 17];
const SHOP_MAC: MacAddr = MacAddr([2, 0, 10, 30, 1, 0x11]);
const OFFICE: [u8; 4] = [10, 20, 3, 4];
const STRANGER: [u8; 4] = [192, 0, 2, 7];
const PEER_MAC: MacAddr = MacAddr([2, 0, 10, 20, 0, 1]);
const TCP: u8 = 6;

fn policy(rules: &str) -> String {
    format!(
        "nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web:\n{rules}bindings:\n  - {{container: shop-1, \
         ip: 10.30.1.17, mac: \"02:00:0a:1e:01:11\", attach: sriov, policy: web}}\n"
    )
}

const HTTPS: &str = "    - {allow: in, proto: tcp, local_ports: 443, replies: no}\n";

fn loaded(config: EngineConfig, rules: &str) -> Model {
    let model = model(config);
    let _rules_stay = load(&model, &compile(&policy(rules), attach(&model).target()));
    model
}

/// To the shop, or from it.
fn packet(direction: Direction, peer: [u8; 4], proto: u8, ports: Option<(u16, u16)>) -> Packet {
    let (local, remote) = (SHOP.into(), peer.into());
    let (src, dst, src_mac, dst_mac, ports) = match direction {
        Direction::Rx => (remote, local, PEER_MAC, SHOP_MAC, ports.map(|(local, remote)| (remote, local))),
        Direction::Tx => (local, remote, SHOP_MAC, PEER_MAC, ports),
    };
    let ip = Some(IpHeader { src, dst, proto: Some(proto), ports });
    Packet { src_mac, dst_mac, outer_vlan: None, inner_vlan: None, ether_type: 0x0800, ip }
}

/// A TCP segment to a port of the shop.
fn arrives(model: &Model, peer: [u8; 4], local_port: u16) -> bool {
    passes(model, &packet(Direction::Rx, peer, TCP, Some((local_port, 51_000))), Direction::Rx)
}

fn what_is_allowed_passes(config: EngineConfig) -> bool {
    arrives(&loaded(config, HTTPS), OFFICE, 443)
}

fn what_is_denied_does_not_pass(config: EngineConfig) -> bool {
    !arrives(&loaded(config, HTTPS), OFFICE, 22)
}

fn what_nobody_bound_is_left_alone(config: EngineConfig) -> bool {
    let mut unbound = packet(Direction::Rx, OFFICE, TCP, Some((22, 51_000)));
    unbound.dst_mac = MacAddr([2, 0, 0, 0, 0, 0x55]);
    unbound.ip = unbound.ip.map(|ip| IpHeader { dst: [10, 30, 9, 9].into(), ..ip });
    passes(&loaded(config, HTTPS), &unbound, Direction::Rx)
}

fn a_subnet_is_told_from_others(config: EngineConfig) -> bool {
    let rules = "    - {allow: in, proto: tcp, local_ports: 443, remote: [10.20.0.0/16, 10.21.0.0/16], replies: no}\n";
    let model = loaded(config, rules);
    assert!(!model.snapshot().subnet_nodes.is_empty(), "the policy is written with the subnet map");
    arrives(&model, OFFICE, 443) && !arrives(&model, STRANGER, 443)
}

fn a_port_range_is_told_from_other_ports(config: EngineConfig) -> bool {
    let rules = "    - {allow: in, proto: tcp, local_ports: [80, 8000-8099], replies: no}\n";
    let model = loaded(config, rules);
    assert!(model.snapshot().local_ports.is_some(), "the policy is written with the port-range map");
    arrives(&model, OFFICE, 8050) && !arrives(&model, OFFICE, 9000) && !arrives(&model, OFFICE, 443)
}

fn what_was_said_to_fit_fits(mut config: EngineConfig) -> bool {
    let compiled = compile(&policy(HTTPS), &Target { physical_ports: 2, ..Target::profile0() });
    config.profile.rules = u32::try_from(compiled.image().rules.len()).unwrap();
    let model = model(config);
    let clock = Arc::new(VirtualClock::new());
    Firewall::adopt(attach(&model), Adopt::of(&compiled), clock, Settings::default()).is_ok()
}

fn a_later_fragment_matches_no_rule_with_ports(config: EngineConfig) -> bool {
    let model = loaded(config, HTTPS);
    let mut frame = nicfw_test_kit::frames::frame(&packet(Direction::Rx, OFFICE, TCP, None), Default::default());
    // The bytes where the ports of a whole segment stand: from 51000 to 443.
    frame[34..38].copy_from_slice(&[0xc7, 0x38, 0x01, 0xbb]);
    let judgement = model.judge(&frame, Direction::Rx, 0).unwrap();
    judgement.verdict == nicfw::terms::Verdict::Deny
}

fn a_containers_mac_sends_nothing_but_its_ip(config: EngineConfig) -> bool {
    let lldp = Packet { ether_type: 0x88cc, ip: None, ..packet(Direction::Tx, OFFICE, TCP, None) };
    !passes(&loaded(config, HTTPS), &lldp, Direction::Tx)
}

fn an_allow_in_one_direction_opens_nothing_in_the_other(config: EngineConfig) -> bool {
    let answer = packet(Direction::Tx, OFFICE, TCP, Some((443, 51_000)));
    !passes(&loaded(config, HTTPS), &answer, Direction::Tx)
}

/// The change adds TX to an entry that has RX.
fn a_change_takes_effect(config: EngineConfig) -> bool {
    let model = model(config);
    let target = attach(&model).target().clone();
    let rule = "    - {allow: in, proto: tcp, local_ports: 443, remote: 10.20.3.4";
    let before = compile(&policy(&format!("{rule}, replies: no}}\n")), &target);
    let mut firewall = load(&model, &before);
    let text = policy(&format!("{rule}}}\n"));
    let after = Compiled::new(&Document::parse(&text, "test.yaml").unwrap(), &target, Some(&before)).unwrap();
    let applied = firewall.plan(&after, "test").map(|change| firewall.apply(change).is_ok());
    applied.unwrap() && passes(&model, &packet(Direction::Tx, OFFICE, TCP, Some((443, 51_000))), Direction::Tx)
}

fn a_reset_of_the_function_opens_nothing(config: EngineConfig) -> bool {
    let model = loaded(config, HTTPS);
    nicfw_test_kit::backend::function(&model, 0).reset().unwrap();
    !arrives(&model, OFFICE, 22)
}

fn the_same_rules_have_the_same_version(config: EngineConfig) -> bool {
    let model = model(config);
    // A function has one driver at a time.
    let compiled = compile(&policy(HTTPS), attach(&model).target());
    drop(load(&model, &compiled));
    let first = attach(&model).ruleset_version().ok();
    drop(load(&model, &compiled));
    let mut adapter = attach(&model);
    // The second load has counters of its own, so only what does not name them is compared.
    let mut without = |port| {
        let key = nicfw::tables::RuleKey { local_port: Some(port), ..Default::default() };
        let set = |action| nicfw::tables::TableOp::SetRule { key, rx: action, tx: action, counter: None };
        let before = adapter.ruleset_version().unwrap();
        adapter.execute(&set(nicfw::tables::Action::Deny { sample: false })).unwrap();
        adapter.execute(&set(nicfw::tables::Action::None)).unwrap();
        adapter.ruleset_version().unwrap() == before
    };
    first.is_some() && without(7)
}

fn a_reboot_ends_an_override(config: EngineConfig) -> bool {
    let model = loaded(config, HTTPS);
    let mut adapter = attach(&model);
    adapter.commit_cache().unwrap();
    adapter.set_override(Override::Block).unwrap();
    model.reboot();
    arrives(&model, OFFICE, 443)
}

/// `name: the opposite of this assumption breaks this promise`.
macro_rules! rests_on {
    ($($name:ident: $assumption:ident, $promise:ident;)*) => {
        /// What the table of docs/assumptions.md lists.
        const RESTS: &[(Assumption, &str)] = &[$((Assumption::$assumption, stringify!($name))),*];
        $(
            #[test]
            fn $name() {
                for seed in 0..4 {
                    let config = EngineConfig { seed, ..EngineConfig::profile0() };
                    assert!($promise(config), "seed {seed}: the promise does not hold under profile 0");
                }
                let broken = (0..4).any(|seed| {
                    let opposite = vec![Assumption::$assumption];
                    !$promise(EngineConfig { seed, opposite, ..EngineConfig::profile0() })
                });
                assert!(broken, "the promise does not rest on {:?}", Assumption::$assumption);
            }
        )*
    };
}

rests_on! {
    a1_what_is_allowed_passes: BaseRanksLowest, what_is_allowed_passes;
    a2_what_is_denied_does_not_pass: LocalIsHostSide, what_is_denied_does_not_pass;
    a3_what_nobody_bound_is_left_alone: NoMatchAccepts, what_nobody_bound_is_left_alone;
    a4_a_subnet_is_told_from_others: TrieMsbFirst, a_subnet_is_told_from_others;
    a5_a_port_range_is_told_from_other_ports: PortTreeHeapOrder, a_port_range_is_told_from_other_ports;
    a6_what_was_said_to_fit_fits: TableSizes, what_was_said_to_fit_fits;
    a7_a_later_fragment_matches_no_rule_with_ports: LaterFragmentHasNoPorts, a_later_fragment_matches_no_rule_with_ports;
    a8_a_containers_mac_sends_nothing_but_its_ip: NonIpIsJudged, a_containers_mac_sends_nothing_but_its_ip;
    a9_an_allow_in_one_direction_opens_nothing_in_the_other: NoneIsAbsent, an_allow_in_one_direction_opens_nothing_in_the_other;
    a10_what_no_allow_matches_reaches_the_base_deny: MissGoesOn, what_is_denied_does_not_pass;
    a11_a_change_takes_effect: SetReplaces, a_change_takes_effect;
    a12_a_reset_of_the_function_opens_nothing: RulesSurviveReset, a_reset_of_the_function_opens_nothing;
    a13_the_same_rules_have_the_same_version: VersionIsContent, the_same_rules_have_the_same_version;
    a14_a_reboot_ends_an_override: RebootClearsCounters, a_reboot_ends_an_override;
}

#[test]
fn every_assumption_has_a_promise_and_a_line_in_the_documents() {
    let table = include_str!("../../docs/assumptions.md");
    for assumption in Assumption::ALL {
        let names: Vec<_> = RESTS.iter().filter(|(of, _)| *of == assumption).map(|(_, name)| *name).collect();
        assert!(!names.is_empty(), "{assumption:?} carries nothing");
        for name in names {
            let row = table.lines().find(|line| line.contains(name));
            assert!(row.is_some(), "docs/assumptions.md does not name {name}");
        }
    }
}
