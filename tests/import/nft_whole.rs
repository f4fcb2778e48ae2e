//! Rulesets of nft that are not whole, or of which a part is not about the container; sets that change; comparisons.

use nicfw::policy::import::{Effect, Format, Import, ImportError, Settings};
use nicfw::{Direction, Verdict};
use serde_json::{Value, json};

use crate::common::{Probe, decide, listed, read, rules, settings};

const LOCAL: u32 = 0x0a1e_0111;

fn table(family: &str) -> Value {
    json!({"table": {"family": family, "name": "t", "handle": 1}})
}

fn base(family: &str, name: &str, hook: &str, policy: &str) -> Value {
    json!({"chain": {"family": family, "table": "t", "name": name, "handle": 1, "type": "filter", "hook": hook, "prio": 0,
        "policy": policy}})
}

fn rule(handle: u64, expr: Value) -> Value {
    json!({"rule": {"family": "inet", "table": "t", "chain": "i", "handle": handle, "expr": expr}})
}

fn compare(left: Value, op: &str, right: Value) -> Value {
    json!({"match": {"op": op, "left": left, "right": right}})
}

fn payload(protocol: &str, field: &str) -> Value {
    json!({"payload": {"protocol": protocol, "field": field}})
}

fn with(items: &[Value], settings: &Settings) -> Result<Import, ImportError> {
    read(Format::Nft, &json!({ "nftables": items }).to_string(), settings)
}

/// An inet table with these, a base chain i on input with policy drop and one on output.
fn input(items: &[Value]) -> Import {
    let mut all = vec![table("inet"), base("inet", "i", "input", "drop"), base("inet", "o", "output", "accept")];
    all.extend_from_slice(items);
    with(&all, &settings(&["10.30.1.17"])).unwrap()
}

fn set(flags: Value, elem: Value) -> Value {
    let mut set = json!({"set": {"family": "inet", "table": "t", "name": "s", "type": "ipv4_addr", "handle": 3}});
    if !flags.is_null() {
        set["set"]["flags"] = flags;
    }
    if !elem.is_null() {
        set["set"]["elem"] = elem;
    }
    set
}

#[test]
fn what_is_not_a_whole_ruleset_is_refused() {
    let host = settings(&["10.30.1.17"]);
    let both = vec![table("inet"), base("inet", "i", "input", "drop")];
    for (items, what) in [
        (vec![], "no base chain on input or output filters"),
        (vec![table("inet")], "no base chain on input or output filters"),
        (vec![base("inet", "i", "input", "drop")], "a chain whose table is not in the file"),
        (vec![table("inet"), base("inet", "i", "forward", "drop")], "no base chain on input or output filters"),
        (
            vec![table("ip6"), base("ip6", "i", "input", "drop")],
            "no base chain on input or output filters the IP version",
        ),
        (vec![table("bridge"), base("bridge", "i", "input", "drop")], "no base chain on input or output filters"),
        ([both.clone(), vec![json!({"add": {"rule": {}}})]].concat(), "a command"),
        ([both.clone(), vec![json!({"wonder": {}})]].concat(), "an object of a kind that is not known"),
        ([both.clone(), both.clone()].concat(), "a table that comes twice"),
        (
            [
                both.clone(),
                vec![rule(4, json!([{"accept": null}, compare(payload("ip", "saddr"), "==", json!("10.0.0.9"))]))],
            ]
            .concat(),
            "a statement behind a verdict",
        ),
    ] {
        let error = with(&items, &host).map(|import| import.yaml).unwrap_err().to_string();
        assert!(error.starts_with(&format!("1: {what}")), "{what}: {error}");
    }
    assert!(with(&both, &host).is_ok());
}

#[test]
fn what_is_not_about_the_container_is_listed() {
    let mut dormant = table("ip");
    dormant["table"]["flags"] = json!(["dormant"]);
    // nft 1.0.6 prints a letter of a word that is gone.
    let mut garbled = json!({"table": {"family": "ip", "name": "u", "handle": 1, "flags": "n"}});
    garbled["table"]["handle"] = json!(9);
    let mut maybe = base("ip", "m", "input", "drop");
    maybe["chain"]["table"] = json!("u");
    let mut bound = base("netdev", "d", "ingress", "drop");
    bound["chain"]["dev"] = json!("eth7");
    let items = [
        table("inet"),
        base("inet", "i", "input", "accept"),
        base("inet", "o", "output", "accept"),
        table("bridge"),
        base("bridge", "b", "forward", "drop"),
        dormant,
        base("ip", "z", "input", "drop"),
        table("netdev"),
        bound,
    ];
    let settings = Settings { uplinks: vec!["eth0".to_owned()], ..settings(&["10.30.1.17"]) };
    let import = with(&items, &settings).unwrap();
    assert_eq!(rules(&import), ["allow: in, proto: any, replies: no", "allow: out, proto: any, replies: no"]);
    let reasons: Vec<_> = import.not_carried.iter().map(|row| (row.reason.as_str(), row.effect)).collect();
    assert_eq!(
        reasons,
        [
            ("chains of the family bridge do not judge what reaches the adapter", Effect::NoVerdict),
            ("the chain is bound to interfaces that the container does not use", Effect::NoVerdict),
            ("the table is dormant", Effect::NoVerdict),
        ]
    );
    let import = with(&[&items[..3], &[garbled, maybe]].concat(), &settings).unwrap();
    assert_eq!(rules(&import)[0], "deny: in, proto: any", "it may be awake");
    assert_eq!(listed(&import), ["1: denies more: the table has flags that are not known, it may be dormant"]);
}

#[test]
fn sets_that_change_are_not_taken_as_they_stand() {
    let source = || compare(payload("ip", "saddr"), "==", json!("@s"));
    let adds = rule(9, json!([{"set": {"op": "add", "elem": payload("ip", "saddr"), "set": "@s"}}]));
    let timed = json!([{"elem": {"val": "10.1.0.1", "timeout": 60, "expires": 11}}]);
    for (flags, elem, adder, why) in [
        (json!(["timeout", "dynamic"]), json!(["10.1.0.1"]), None, "the set @s changes in time"),
        (json!(["dynamic"]), json!(["10.1.0.1"]), None, "the set @s changes in time"),
        (Value::Null, json!(["10.1.0.1"]), Some(adds), "the set @s changes in time"),
        (Value::Null, timed, None, "elements of the set @s change in time"),
        (Value::Null, Value::Null, None, "the elements of the set @s are not in the file"),
    ] {
        let mut items = vec![set(flags, elem)];
        items.extend(adder);
        items.push(rule(10, json!([source(), compare(payload("tcp", "dport"), "==", json!(22)), {"accept": null}])));
        items.push(rule(11, json!([source(), compare(payload("tcp", "dport"), "==", json!(25)), {"drop": null}])));
        items.push(rule(12, json!([compare(payload("tcp", "dport"), "==", json!(25)), {"accept": null}])));
        let import = input(&items);
        let open = |port| {
            decide(&import.document, &Probe::v4(0x0a01_0001, LOCAL, 6, 5000, port), Direction::Rx).0 == Verdict::Allow
        };
        assert_eq!([open(22), open(25)], [false, false], "{why}");
        for (handle, effect) in [(10, Effect::LeftOut), (11, Effect::DeniesMore)] {
            let row = import.not_carried.iter().find(|row| row.handle == Some(handle)).unwrap();
            assert_eq!((row.effect, row.reason.as_str()), (effect, why));
        }
    }
    let fixed = input(&[set(json!(["interval"]), json!(["10.1.0.1"])), rule(10, json!([source(), {"accept": null}]))]);
    assert_eq!(rules(&fixed)[0], "allow: in, proto: any, remote: 10.1.0.1, replies: no");
}

#[test]
fn comparisons_by_size_masks_and_types() {
    let fib = json!({"fib": {"result": "type", "flags": ["daddr"]}});
    let masked = json!({"&": [payload("tcp", "flags"), ["syn", "ack"]]});
    let tcp = |op: &str, port| rule(10, json!([compare(payload("tcp", "dport"), op, json!(port)), {"accept": null}]));
    for (item, expected) in [
        (tcp(">", 1024), "allow: in, proto: tcp, local_ports: 1025-65535, replies: no"),
        (tcp(">=", 1024), "allow: in, proto: tcp, local_ports: 1024-65535, replies: no"),
        (tcp("<", 1024), "allow: in, proto: tcp, local_ports: 0-1023, replies: no"),
        (tcp("<=", 1024), "allow: in, proto: tcp, local_ports: 0-1024, replies: no"),
        (tcp(">", 65535), "deny: in, proto: any"),
        (
            rule(10, json!([compare(payload("ip", "saddr"), "<", json!("0.0.1.0")), {"accept": null}])),
            "allow: in, proto: any, remote: 0.0.0.0/24, replies: no",
        ),
        (rule(10, json!([compare(fib, "==", json!("local")), {"accept": null}])), "allow: in, proto: any, replies: no"),
        (rule(10, json!([compare(masked, "==", json!("syn")), {"drop": null}])), "deny: in, proto: tcp"),
    ] {
        assert_eq!(rules(&input(std::slice::from_ref(&item)))[0], expected, "{item}");
    }
    // A field of a packet in the packet is not the packet's.
    let inner = json!({"payload": {"tunnel": "vxlan", "protocol": "ip", "field": "saddr"}});
    let import = input(&[rule(10, json!([compare(inner, "==", json!("10.0.0.9")), {"accept": null}]))]);
    assert_eq!((rules(&import)[0], import.not_carried[0].effect), ("deny: in, proto: any", Effect::LeftOut));
}

#[test]
fn an_element_for_the_rest_stands_behind_the_others() {
    let data = json!({"set": [["*", {"drop": null}], [22, {"accept": null}]]});
    let import = input(&[rule(10, json!([{"vmap": {"key": payload("tcp", "dport"), "data": data}}]))]);
    assert_eq!(rules(&import)[..2], ["allow: in, proto: tcp, local_ports: 22, replies: no", "deny: in, proto: tcp"]);
}

/// A limit on the first packets of connections, as OpenWrt writes it.
#[test]
fn a_deny_of_what_exceeds_a_rate_is_left_out_where_that_is_accepted() {
    let masked = json!({"&": [payload("tcp", "flags"), ["fin", "syn", "rst", "ack"]]});
    let flood =
        |expr: Value| json!({"rule": {"family": "inet", "table": "t", "chain": "flood", "handle": 20, "expr": expr}});
    let items = [
        table("inet"),
        base("inet", "i", "input", "drop"),
        base("inet", "o", "output", "accept"),
        json!({"chain": {"family": "inet", "table": "t", "name": "flood", "handle": 2}}),
        rule(10, json!([compare(masked, "==", json!("syn")), {"jump": {"target": "flood"}}])),
        flood(json!([{"limit": {"rate": 25, "burst": 50, "per": "second"}}, {"return": null}])),
        flood(json!([{"drop": null}])),
        rule(11, json!([compare(payload("tcp", "dport"), "==", json!(443)), {"accept": null}])),
    ];
    let open = |import: &Import| {
        decide(&import.document, &Probe::v4(0x0a01_0001, LOCAL, 6, 5000, 443), Direction::Rx).0 == Verdict::Allow
    };
    let mut settings = settings(&["10.30.1.17"]);
    let import = with(&items, &settings).unwrap();
    assert!(!open(&import));
    assert!(listed(&import).iter().any(|row| row.contains("denies more") && row.contains("--accept-stateless")));
    settings.accept_stateless = true;
    let import = with(&items, &settings).unwrap();
    assert!(open(&import));
    assert_eq!(import.not_carried.iter().filter(|row| row.effect == Effect::StateNotSeen).count(), 1);
    assert!(import.not_carried.iter().all(|row| row.effect != Effect::DeniesMore), "{:?}", listed(&import));
}

/// That the work is in line with the size, `tests/allocations.rs` measures.
#[test]
fn large_sets_are_read_wholly() {
    let elements: Vec<_> = (0..60_000u32).map(|i| std::net::Ipv4Addr::from(0x0a00_0007 | i << 8).to_string()).collect();
    let source = compare(payload("ip", "saddr"), "==", json!("@s"));
    let import = input(&[set(Value::Null, json!(elements)), rule(10, json!([source, {"accept": null}]))]);
    for element in [0, 1, 4095, 4096, 40_000, 59_999] {
        let address = 0x0a00_0007 | element << 8;
        assert!(passes(&import, address) && !passes(&import, address + 1), "element {element}");
    }
    assert!(!passes(&import, 0x0a00_0007 | 60_000 << 8));
}

/// What the firewall's own words say where a rule stands: its handle, and the comment that somebody gave it.
#[test]
fn the_comment_of_a_rule_is_its_place() {
    let with_comment = |handle: u64, expr: Value, comment: &str| {
        let mut rule = rule(handle, expr);
        rule["rule"]["comment"] = json!(comment);
        rule
    };
    let flags = compare(payload("tcp", "flags"), "==", json!("syn"));
    let unsaid = json!([flags, {"accept": null}]);
    let mut by_comment_alone = with_comment(12, unsaid.clone(), "third");
    by_comment_alone["rule"].as_object_mut().unwrap().remove("handle");
    let import = input(&[
        with_comment(10, unsaid.clone(), "mail\n relay"),
        with_comment(11, unsaid, "mail \u{1b}[2J relay"),
        by_comment_alone,
        with_comment(13, json!([compare(payload("tcp", "dport"), "==", json!(22)), {"accept": null}]), "\"office\""),
    ]);
    let places: Vec<_> = import.not_carried.iter().map(|row| (row.handle, row.comment.as_deref())).collect();
    let expected = [(None, Some("third")), (Some(10), Some("mail relay")), (Some(11), Some(r"mail \u{1b}[2J relay"))];
    assert_eq!(places, expected);
    let reason = "1: left out: tcp flags cannot be said: ";
    for (row, called) in import.not_carried.iter().zip([
        r#""third": ["#,
        r#"handle 10 "mail relay": ["#,
        r#"handle 11 "mail \u{1b}[2J relay": ["#,
    ]) {
        assert!(row.to_string().starts_with(&format!("{reason}{called}")), "{row}");
    }
    // What is carried has its place in the policy.
    let carried = import.document.policies[0].rules[0].origin.reason.as_deref().unwrap();
    assert!(carried.starts_with(r#"old:1: handle 13 ""office"": ["#), "{carried}");
}

fn passes(import: &Import, src: u32) -> bool {
    decide(&import.document, &Probe::v4(src, LOCAL, 6, 5000, 22), Direction::Rx).0 == Verdict::Allow
}
