//! Random policy files, written as a person would: the parser is part of what is tested.

use std::fmt::Write as _;

use proptest::prelude::*;

/// Binding `i` has MAC 02:00:0a:1e:01:{11 + i}; the packets of `packets.rs` use the same addresses.
const BINDINGS: [&str; 4] = [
    "container: shop-1, ip: 10.30.1.17, mac: \"02:00:0a:1e:01:11\"",
    "container: shop-2, ip: [10.30.1.18, 10.30.2.5], mac: \"02:00:0a:1e:01:12\"",
    "container: db-1, ip: 10.30.1.19, mac: \"02:00:0a:1e:01:13\"",
    "container: six-1, ip: \"2001:db8::17\", nd: open-icmpv6, mac: \"02:00:0a:1e:01:14\"",
];

fn pick(from: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(from)
}

fn remote() -> impl Strategy<Value = &'static str> {
    pick(&[
        "",
        "",
        ", remote: any",
        ", remote: 10.20.0.0/16",
        ", remote: 10.0.0.0/8",
        ", remote: 10.0.0.53",
        ", remote: office",
        ", remote: [office, 10.0.0.53]",
        ", remote: [10.20.0.1, 10.30.1.18]",
        ", remote: 10.30.1.0/24",
        ", remote: 10.0.0.0/8, except: [10.20.0.0/16, 10.30.1.18]",
        ", remote: {of: any, except: 10.20.0.0/16}",
        ", remote: \"2001:db8:1::9\"",
        ", remote: \"::/0\"",
    ])
}

fn ports() -> impl Strategy<Value = String> {
    let list = |name: &'static str| {
        pick(&["", "", "", "53", "443", "[80, 443]", "8000-8099", "[80, 8000-8099]", "[1024-65535]", "0-65535"])
            .prop_map(move |list| if list.is_empty() { String::new() } else { format!(", {name}: {list}") })
    };
    (list("remote_ports"), list("local_ports")).prop_map(|(remote, local)| remote + &local)
}

fn protocol_and_ports() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (pick(&["tcp", "udp", "sctp"]), ports()).prop_map(|(proto, ports)| format!("proto: {proto}{ports}")),
        2 => pick(&["proto: icmp", "proto: icmpv6", "proto: 47"]).prop_map(str::to_owned),
        1 => ports().prop_map(|ports| format!("proto: any{ports}")),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    let action = prop_oneof![3 => Just("allow"), 1 => Just("deny")];
    let options = pick(&["", "", "", ", replies: no", ", local: 10.30.1.17", ", local: 10.30.1.16/30"]);
    (action, pick(&["in", "out"]), protocol_and_ports(), remote(), options).prop_map(
        |(action, direction, match_, remote, options)| {
            let options = if action == "deny" && options.contains("replies") { "" } else { options };
            format!("    - {{{action}: {direction}, {match_}{remote}{options}, reason: test}}\n")
        },
    )
}

fn binding(index: usize) -> impl Strategy<Value = String> {
    let attach = pick(&["{macvlan: vepa}", "{macvlan: private}", "sriov", "none"]);
    let place = pick(&["", "", "", ", vlan: 7", ", physical_ports: 0", ", physical_ports: [0, 1]"]);
    (attach, place, 0..2usize).prop_map(move |(attach, place, policy)| {
        format!("  - {{{}, attach: {attach}{place}, policy: p{policy}}}\n", BINDINGS[index])
    })
}

fn management() -> impl Strategy<Value = &'static str> {
    pick(&[
        "",
        "",
        "",
        "management:\n  - {allow: in, proto: tcp, local_ports: 22, remote: 10.0.0.53, reason: rescue}\n",
        "management:\n  - {allow: in, proto: tcp, local_ports: 22, remote: 10.20.0.1, local: 10.30.0.1, mac: \"02:00:0a:1e:00:01\", reason: host}\n",
    ])
}

/// A policy file that parses; the compiler may refuse it.
pub fn document() -> impl Strategy<Value = String> {
    let verdicts = prop_oneof![
        2 => Just("unbound: allow\nmulticast: deny\n"),
        2 => Just("unbound: deny\nmulticast: deny\n"),
        1 => Just("unbound: allow\nmulticast: allow\n"),
    ];
    let ephemeral = pick(&["", "", "ephemeral: 1024-65535\n"]);
    let policies = proptest::collection::vec(proptest::collection::vec(rule(), 0..5), 2);
    let bindings = (binding(0), binding(1), binding(2), binding(3), 1..16u8);
    (verdicts, ephemeral, management(), policies, bindings).prop_map(
        |(verdicts, ephemeral, management, policies, (b0, b1, b2, b3, chosen))| {
            let mut text = format!("nicfw: 1\n{verdicts}{ephemeral}groups:\n  office: [10.20.0.0/16, 10.21.0.0/16]\n");
            text += management;
            text += "policies:\n";
            for (i, rules) in policies.iter().enumerate() {
                let rules = rules.concat();
                let body = if rules.is_empty() { " []\n".to_owned() } else { format!("\n{rules}") };
                write!(text, "  p{i}:{body}").unwrap();
            }
            text += "bindings:\n";
            let all = [b0, b1, b2, b3];
            text.extend(all.into_iter().enumerate().filter(|(i, _)| chosen >> i & 1 == 1).map(|(_, b)| b));
            text
        },
    )
}
