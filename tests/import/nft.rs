//! Cases of `nft -j list ruleset`, by hand.

use nicfw::policy::import::{Format, Import};
use nicfw::{Direction, Verdict};
use serde_json::{Value, json};

use crate::common::{Probe, decide, listed, read, rules, settings};

const LOCAL: u32 = 0x0a1e_0111;

fn base(family: &str, name: &str, hook: &str, priority: i64, policy: &str) -> Value {
    json!({"chain": {"family": family, "table": "t", "name": name, "hook": hook, "prio": priority, "policy": policy}})
}

fn rule(family: &str, chain: &str, expr: Value) -> Value {
    json!({"rule": {"family": family, "table": "t", "chain": chain, "handle": 7, "expr": expr}})
}

fn compare(left: Value, op: &str, right: Value) -> Value {
    json!({"match": {"op": op, "left": left, "right": right}})
}

fn payload(protocol: &str, field: &str) -> Value {
    json!({"payload": {"protocol": protocol, "field": field}})
}

/// One item a line, the list and its tables in the first.
fn text(items: &[Value]) -> String {
    let tables: Vec<_> = ["ip", "ip6", "inet", "bridge", "netdev"]
        .map(|family| json!({"table": {"family": family, "name": "t", "handle": 1}}).to_string())
        .into();
    let items: Vec<_> = items.iter().map(Value::to_string).collect();
    format!("{{\"nftables\": [{},{}]}}\n", tables.join(","), items.join(",\n"))
}

#[track_caller]
fn imported(items: &[Value]) -> Import {
    read(Format::Nft, &text(items), &settings(&["10.30.1.17"])).unwrap()
}

#[track_caller]
fn says(import: &Import, expected: &[&str], not_carried: &[&str]) {
    let not_carried: Vec<String> = not_carried.iter().map(ToString::to_string).collect();
    assert_eq!((rules(import), listed(import)), (expected.to_vec(), not_carried));
}

const OUT: &str = "deny: out, proto: any";

#[test]
fn sets_maps_ranges_and_concatenations() {
    let set = json!({"set": {"family": "ip", "table": "t", "name": "s", "elem": [
        "10.1.0.1", {"elem": {"val": {"range": ["10.2.0.0", "10.2.0.3"]}, "comment": "x"}}]}});
    let map = json!({"map": {"family": "ip", "table": "t", "name": "m", "map": "verdict", "elem": [
        [25, {"drop": null}], [{"range": [8000, 8099]}, {"accept": null}]]}});
    let pair = json!({"concat": [payload("ip", "saddr"), payload("tcp", "dport")]});
    let import = imported(&[
        base("ip", "i", "input", 0, "drop"),
        base("ip", "o", "output", 0, "drop"),
        set,
        map,
        rule("ip", "i", json!([compare(payload("ip", "saddr"), "==", json!("@s")), {"accept": null}])),
        rule("ip", "i", json!([{"vmap": {"key": payload("tcp", "dport"), "data": "@m"}}])),
        rule(
            "ip",
            "i",
            json!([compare(pair, "==", json!({"set": [{"concat": ["10.3.0.1", 22]}, {"concat": ["10.3.0.2", 23]}]})),
            {"accept": null}]),
        ),
        rule("ip", "i", json!([compare(payload("udp", "sport"), "!=", json!(53)), {"reject": {"type": "icmp"}}])),
        rule(
            "ip",
            "i",
            json!([compare(json!({"meta": {"key": "l4proto"}}), "==", json!({"set": ["tcp", "udp"]})),
            compare(payload("th", "dport"), "==", json!(53)), {"accept": null}]),
        ),
    ]);
    says(
        &import,
        &[
            "allow: in, proto: any, remote: [10.1.0.1, 10.2.0.0/30], replies: no",
            "deny: in, proto: tcp, local_ports: 25",
            "allow: in, proto: tcp, local_ports: 8000-8099, replies: no",
            "allow: in, proto: tcp, remote: 10.3.0.1, local_ports: 22, replies: no",
            "allow: in, proto: tcp, remote: 10.3.0.2, local_ports: 23, replies: no",
            "deny: in, proto: udp, remote_ports: [0-52, 54-65535]",
            "allow: in, proto: tcp, local_ports: 53, replies: no",
            "allow: in, proto: udp, local_ports: 53, replies: no",
            "deny: in, proto: any",
            OUT,
        ],
        &[],
    );
}

#[test]
fn every_base_chain_of_a_hook_must_accept() {
    let from = |net: &str| compare(payload("ip", "saddr"), "==", json!({"prefix": {"addr": net, "len": 16}}));
    let import = imported(&[
        base("inet", "late", "input", 10, "drop"),
        base("ip", "early", "input", -10, "accept"),
        base("ip", "o", "output", 0, "drop"),
        rule("inet", "late", json!([compare(payload("tcp", "dport"), "==", json!(80)), {"accept": null}])),
        rule("ip", "early", json!([from("10.1.0.0"), {"accept": null}])),
        rule("ip", "early", json!([from("10.2.0.0"), {"drop": null}])),
    ]);
    says(
        &import,
        &[
            "allow: in, proto: tcp, remote: 10.1.0.0/16, local_ports: 80, replies: no",
            "deny: in, proto: any, remote: 10.1.0.0/16",
            "deny: in, proto: any, remote: 10.2.0.0/16",
            "allow: in, proto: tcp, local_ports: 80, replies: no",
            "deny: in, proto: any",
            OUT,
        ],
        &[],
    );
}

#[test]
fn what_no_chain_decides_is_accepted_as_the_kernel_does() {
    let import = imported(&[base("ip", "i", "input", 0, "drop")]);
    says(&import, &["deny: in, proto: any", "allow: out, proto: any, replies: no"], &[]);
    let notes = ["no base chain filters IPv4 that is sent: it is accepted, as the kernel does"];
    assert_eq!(import.notes, notes);
}

#[test]
fn what_cannot_be_said_is_listed_and_closed() {
    let tcp = |flags: Value| compare(payload("tcp", "flags"), "==", flags);
    let import = imported(&[
        base("ip", "i", "input", 0, "accept"),
        base("ip", "o", "output", 0, "drop"),
        base("bridge", "b", "forward", 0, "drop"),
        rule("ip", "i", json!([{"limit": {"rate": 1, "per": "second"}}, {"accept": null}])),
        rule("ip", "i", json!([tcp(json!("syn")), {"drop": null}])),
        rule("ip", "i", json!([compare(payload("udp", "dport"), "<", json!(1024)), {"accept": null}])),
        rule(
            "ip",
            "i",
            json!([compare(payload("ip", "saddr"), "==", json!("10.1.0.1")), {"dnat": {"addr": "10.9.0.1"}}]),
        ),
        rule("ip", "i", json!([compare(payload("ip", "saddr"), "==", json!("10.1.0.2")), {"xt": {"type": "target"}}])),
        rule("ip", "i", json!([compare(payload("ip", "saddr"), "==", json!("@gone")), {"accept": null}])),
        rule("ip", "i", json!([compare(payload("udp", "dport"), "==", json!("domain")), {"drop": null}])),
        rule("ip", "i", json!([{"log": {"prefix": "x"}}, {"mangle": {"key": {"meta": {"key": "mark"}}, "value": 1}}])),
        rule("ip", "i", json!([{"ct count": {"val": 9}}, {"accept": null}])),
        rule("bridge", "b", json!([{"drop": null}])),
    ]);
    says(
        &import,
        &[
            "deny: in, proto: tcp",
            "allow: in, proto: udp, local_ports: 0-1023, replies: no",
            "deny: in, proto: any, remote: 10.1.0.1",
            "deny: in, proto: any, remote: 10.1.0.2",
            "deny: in, proto: udp",
            "allow: in, proto: any, replies: no",
            OUT,
        ],
        &[
            "3: not carried: chains of the family bridge do not judge what reaches the adapter",
            "4: left out: limit cannot be said",
            "5: denies more: tcp flags cannot be said",
            "7: denies more: destinations are not translated by the adapter, and the rules behind judge the translated ones",
            "8: denies more: xt cannot be said",
            "9: left out: the set @gone is not in the file",
            "10: denies more: a value cannot be read",
            "11: not carried: the adapter does not log; the adapter does not do mangle",
            "12: left out: ct count cannot be said",
            "13: not carried: no imported hook reaches chain bridge t b",
        ],
    );
}

/// Ports of any protocol: the adapter sees those of three.
#[test]
fn ports_of_every_protocol_close_the_ones_that_are_not_seen() {
    let import = imported(&[
        base("ip", "i", "input", 0, "accept"),
        base("ip", "o", "output", 0, "drop"),
        rule("ip", "i", json!([compare(payload("th", "dport"), "==", json!(53)), {"drop": null}])),
    ]);
    let verdict = |proto, port| decide(&import.document, &Probe::v4(1, LOCAL, proto, 9, port), Direction::Rx).0;
    assert_eq!([verdict(6, 53), verdict(17, 53), verdict(136, 53)], [Verdict::Deny; 3]);
    assert_eq!([verdict(6, 80), verdict(17, 80), verdict(47, 80)], [Verdict::Allow, Verdict::Allow, Verdict::Deny]);
    assert_eq!(listed(&import), ["3: denies more: the adapter sees the ports of tcp, udp and sctp alone"]);
}

#[test]
fn a_table_for_both_versions_decides_both() {
    let source = |protocol: &str, addr: &str| compare(payload(protocol, "saddr"), "==", json!(addr));
    let items = [
        base("inet", "i", "input", 0, "drop"),
        base("inet", "o", "output", 0, "drop"),
        rule("inet", "i", json!([source("ip", "10.1.0.1"), {"accept": null}])),
        rule("inet", "i", json!([source("ip6", "2001:db8::1"), {"accept": null}])),
        rule(
            "inet",
            "i",
            json!([compare(json!({"meta": {"key": "nfproto"}}), "==", json!("ipv6")),
            compare(payload("tcp", "dport"), "==", json!(22)), {"accept": null}]),
        ),
    ];
    let mut settings = settings(&["10.30.1.17", "2001:db8::17"]);
    settings.open_nd = true;
    let import = read(Format::Nft, &text(&items), &settings).unwrap();
    says(
        &import,
        &[
            "allow: in, proto: any, remote: 10.1.0.1, replies: no",
            "allow: in, proto: any, remote: \"2001:db8::1\", replies: no",
            "allow: in, proto: tcp, remote: \"::/0\", local_ports: 22, local: \"2001:db8::17\", replies: no",
            "deny: in, proto: any",
            OUT,
        ],
        &[],
    );
}
