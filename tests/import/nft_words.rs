//! Every expression and statement of nft in `docs/import.md`, as `nft -j` prints it, with the rules and the rows that must
//! come of it.

use nicfw::policy::import::{Effect, Format, Import, ImportError, Settings};
use serde_json::{Value, json};

use crate::common::{listed, read, rules, settings};

fn host() -> Settings {
    Settings { uplinks: vec!["eth0".to_owned()], ..settings(&["10.30.1.17"]) }
}

fn chain(family: &str, name: &str, hook: &str, priority: i64, kind: &str) -> Value {
    json!({"chain": {"family": family, "table": "t", "name": name, "handle": 1, "type": kind, "hook": hook, "prio": priority,
        "policy": "accept"}})
}

/// A table that accepts, with a chain x, a set s of two addresses, and these objects; one rule with these statements.
fn with(objects: &[Value], expr: &Value, settings: &Settings) -> Result<Import, ImportError> {
    let mut items = vec![
        json!({"table": {"family": "inet", "name": "t", "handle": 1}}),
        chain("inet", "i", "input", 0, "filter"),
        chain("inet", "o", "output", 0, "filter"),
        json!({"chain": {"family": "inet", "table": "t", "name": "x", "handle": 2}}),
        json!({"rule": {"family": "inet", "table": "t", "chain": "x", "handle": 3, "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "sctp", "field": "dport"}}, "right": 9}}, {"drop": null}]}}),
        json!({"set": {"family": "inet", "table": "t", "name": "s", "type": "ipv4_addr", "handle": 4,
            "elem": ["10.0.0.4", {"prefix": {"addr": "10.0.0.6", "len": 31}}]}}),
    ];
    items.extend_from_slice(objects);
    items.push(json!({"rule": {"family": "inet", "table": "t", "chain": "i", "handle": 9, "expr": expr}}));
    let lines: Vec<_> = items.iter().map(Value::to_string).collect();
    read(Format::Nft, &format!("{{\"nftables\": [{}]}}", lines.join(",\n")), settings)
}

/// The rules before the policy of the base chain, then the rows of the rule.
fn said(import: &Import) -> String {
    let mut parts = rules(import);
    let end = parts
        .iter()
        .position(|rule| rule.starts_with("allow: in, proto: any") || rule.starts_with("allow: out"))
        .unwrap();
    parts.truncate(end);
    // Nothing jumps to x but the rule.
    let rows = listed(import);
    let rows = rows.iter().map(|row| row.split_once(": ").unwrap().1).filter(|row| !row.contains("chain inet t x"));
    parts.into_iter().chain(rows).collect::<Vec<_>>().join(" | ")
}

pub fn all_said(table: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (statements, expected) in table {
        let expr: Value = serde_json::from_str(&format!("[{statements}]")).unwrap();
        let said = with(&[], &expr, &host()).map_or_else(|error| error.to_string(), |import| said(&import));
        if said != *expected {
            wrong.push((statements, said, expected));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A comparison and a drop.
pub fn drops(left: &str, op: &str, right: &str) -> String {
    format!(r#"{{"match": {{"op": "{op}", "left": {left}, "right": {right}}}}}, {{"drop": null}}"#)
}

pub fn payload(field: &str) -> String {
    let (protocol, field) = field.split_once(' ').unwrap();
    format!(r#"{{"payload": {{"protocol": "{protocol}", "field": "{field}"}}}}"#)
}

#[test]
fn statements() {
    let denied = |why: &str| format!("deny: in, proto: any | denies more: {why}");
    let beside = |why: &str| format!("not carried: {why}");
    let mut table: Vec<(String, String)> = Vec::new();
    let mut add = |statements: &str, expected: &str| table.push((statements.to_owned(), expected.to_owned()));
    add(r#"{"drop": null}"#, "deny: in, proto: any");
    add(r#""drop""#, "deny: in, proto: any");
    add(r#"{"continue": null}"#, "");
    add(r#"{"return": null}"#, "");
    add(r#"{"jump": {"target": "x"}}"#, "deny: in, proto: sctp, local_ports: 9");
    add(r#"{"goto": {"target": "x"}}"#, "deny: in, proto: sctp, local_ports: 9");
    add(r#"{"counter": {"packets": 1, "bytes": 2}}, {"comment": "x"}"#, "");
    add(r#"{"log": null}"#, &beside("the adapter does not log"));
    add(r#"{"log": {"prefix": "x"}}, {"drop": null}"#, "deny: in, proto: any | not carried: the adapter does not log");
    for name in ["flow", "dup", "snat", "masquerade", "last", "secmark", "ct helper", "ct timeout", "ct expectation"] {
        add(&format!(r#"{{"{name}": {{"a": 1}}}}"#), &beside(&format!("the adapter does not do {name}")));
    }
    add(
        r#"{"log": null}, {"masquerade": null}"#,
        &beside("the adapter does not log; the adapter does not do masquerade"),
    );
    add(r#"{"queue": {"num": 1}}"#, &denied("a program decides, which the adapter does not ask"));
    add(
        r#"{"notrack": null}"#,
        &denied("rules behind judge untracked packets by their state, which the adapter does not see"),
    );
    for name in ["dnat", "redirect", "tproxy"] {
        add(
            &format!(r#"{{"{name}": null}}"#),
            &denied("destinations are not translated by the adapter, and the rules behind judge the translated ones"),
        );
    }
    for name in ["fwd", "synproxy"] {
        add(&format!(r#"{{"{name}": null}}"#), &denied("the adapter does not send packets elsewhere"));
    }
    // Whatever follows is as shut.
    add(r#"{"queue": {"num": 1}}, {"accept": null}"#, &denied("a program decides, which the adapter does not ask"));
    add(r#"{"nosuch": 1}"#, &denied("nosuch cannot be said"));
    add(
        r#"{"nosuch": 1}, {"log": null}"#,
        "deny: in, proto: any | denies more: nosuch cannot be said | not carried: the adapter does not log",
    );
    add(r#"{"nosuch": 1}, {"accept": null}"#, "left out: nosuch cannot be said");
    add(r#"{"limit": {"rate": 1}}, {"accept": null}"#, "left out: limit cannot be said");
    add(r#"{"limit": {"rate": 1}}"#, &beside("limit cannot be said"));
    add(r#"{"limit": {"rate": 1}}, {"log": null}"#, &beside("the adapter does not log"));
    for name in ["quota", "ct count", "meter"] {
        add(&format!(r#"{{"{name}": {{"val": 1}}}}, {{"drop": null}}"#), &denied(&format!("{name} cannot be said")));
    }
    for (what, op) in [
        (r#""op": "add", "set": "@s""#, "add"),
        (r#""op": "update", "map": "@s""#, "update"),
        (r#""set": "@s""#, "change"),
    ] {
        add(
            &format!(r#"{{"set": {{{what}, "elem": 1}}}}, {{"drop": null}}"#),
            &denied(&format!("{op} of the set @s cannot be said")),
        );
    }
    add(r#"{"map": {"op": "add", "map": "@s"}}, {"drop": null}"#, &denied("add of the set @s cannot be said"));
    add(r#"{"reject": null}"#, "deny: in, proto: any");
    add(r#"{"reject": {"type": "icmpx", "expr": "port-unreachable"}}"#, "deny: in, proto: any");
    add(r#"{"reject": {"type": "icmp", "expr": "port-unreachable"}}"#, "deny: in, proto: any");
    add(r#"{"reject": {"type": "icmpv6"}}"#, "");
    add(
        r#"{"reject": {"type": "tcp reset"}}"#,
        &denied("nft does not say whether tcp alone is rejected with tcp reset"),
    );
    let l4proto = |value: &str| {
        format!(
            r#"{{"match": {{"op": "==", "left": {{"meta": {{"key": "l4proto"}}}}, "right": {value}}}}}, {{"reject": {{"type": "tcp reset"}}}}"#
        )
    };
    add(&l4proto("6"), "deny: in, proto: tcp");
    add(
        &l4proto(r#"{"set": [6, 17]}"#),
        "deny: in, proto: tcp | deny: in, proto: udp | denies more: nft does not say whether tcp alone is rejected with tcp reset",
    );
    let table: Vec<_> = table.iter().map(|(statements, expected)| (statements.as_str(), expected.as_str())).collect();
    all_said(&table);
}

#[test]
fn what_is_set() {
    let key = |key: &str| format!(r#"{{"mangle": {{"key": {key}, "value": 1}}}}"#);
    let field = |field: &str| key(&payload(field));
    let beside = "not carried: the adapter does not do mangle";
    let changed = "deny: in, proto: any | denies more: packets are not changed by the adapter, and the rules behind judge the changed ones";
    let zoned = "deny: in, proto: any | denies more: rules behind judge the connections of one zone by their state, which \
                 the adapter does not see";
    for known in [
        "ip dscp",
        "ip ecn",
        "ip ttl",
        "ip id",
        "ip checksum",
        "tcp window",
        "tcp urgptr",
        "tcp checksum",
        "udp checksum",
    ] {
        all_said(&[(&field(known), beside)]);
    }
    // No packet of this container.
    for six in ["ip6 dscp", "ip6 ecn", "ip6 hoplimit", "ip6 flowlabel"] {
        all_said(&[(&field(six), "")]);
    }
    for judged in [
        "ip saddr",
        "ip daddr",
        "ip protocol",
        "tcp dport",
        "udp sport",
        "tcp flags",
        "udp window",
        "ip hoplimit",
        "sctp checksum",
    ] {
        all_said(&[(&field(judged), changed)]);
    }
    all_said(&[
        (&key(r#"{"meta": {"key": "mark"}}"#), beside),
        (&key(r#"{"ct": {"key": "mark"}}"#), beside),
        (&key(r#"{"ct": {"key": "zone"}}"#), zoned),
        (&key(r#"{"meta": {"key": "zone"}}"#), beside),
        (&key(r#"{"tcp option": {"name": "maxseg"}}"#), beside),
        (&key(r#"{"payload": {"base": "nh", "offset": 8, "len": 8}}"#), changed),
        (&key(r#"{"exthdr": {"name": "rt"}}"#), changed),
        (&key("1"), changed),
        (r#"{"mangle": {"value": 1}}"#, changed),
    ]);
}

/// The kernel leaves a rule at a statement that a packet cannot take: what stands behind is about fewer packets than the
/// conditions say.
#[test]
fn what_stands_behind_a_statement() {
    let set = |key: &str, value: &str| format!(r#"{{"mangle": {{"key": {key}, "value": {value}}}}}"#);
    let meta = |key: &str| format!(r#"{{"meta": {{"key": "{key}"}}}}"#);
    let (mark, ct_mark) = (meta("mark"), r#"{"ct": {"key": "mark"}}"#);
    let mapped = r#"{"map": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": {"set": [[22, 1]]}}}"#;
    let or = |other: &str| format!(r#"{{"|": [{other}, 1]}}"#);
    for (statement, is_sure) in [
        (set(&mark, "1"), true),
        (set(&mark, r#""0x1""#), true),
        (set(&mark, r#"["a", "b"]"#), true),
        (set(&mark, &mark), true),
        (set(&mark, &or(&mark)), true),
        (set(&meta("priority"), "1"), true),
        (set(ct_mark, &mark), true),
        (set(&mark, mapped), false),
        (set(&mark, &format!("[1, {mapped}]")), false),
        (set(ct_mark, mapped), false),
        (set(&mark, &or(ct_mark)), false),
        (set(&mark, ct_mark), false),
        (set(&mark, &meta("iifname")), false),
        (set(&mark, r#"{"|": 1}"#), false),
        (format!(r#"{{"mangle": {{"key": {mark}}}}}"#), false),
        (set(&payload("ip dscp"), r#""cs1""#), true),
        (set(&payload("ip dscp"), mapped), false),
        (set(&payload("tcp window"), "5"), false),
        (set(&payload("udp checksum"), "0"), false),
        (set(r#"{"tcp option": {"name": "maxseg", "field": "size"}}"#, "1400"), false),
        (r#"{"counter": {"packets": 1, "bytes": 2}}"#.to_owned(), true),
        (r#"{"counter": "named"}"#.to_owned(), true),
        (format!(r#"{{"counter": {mapped}}}"#), false),
        (r#"{"log": {"prefix": "x"}}"#.to_owned(), true),
        (r#"{"dup": {"addr": "10.0.0.1"}}"#.to_owned(), true),
        (r#"{"ct helper": "ftp"}"#.to_owned(), true),
        (format!(r#"{{"ct helper": {mapped}}}"#), false),
        (r#"{"ct expectation": "e"}"#.to_owned(), false),
        (r#"{"flow": {"op": "add", "flowtable": "@f"}}"#.to_owned(), false),
    ] {
        let ends = "a statement before the verdict ends the rule for some packets, and nft does not list which";
        for (verdict, effect) in [("drop", "denies more"), ("accept", "left out")] {
            let expr: Value = serde_json::from_str(&format!(r#"[{statement}, {{"{verdict}": null}}]"#)).unwrap();
            let import = with(&[], &expr, &host()).unwrap();
            let row = format!("{effect}: {ends}");
            let is_listed = listed(&import).iter().any(|listed| listed.ends_with(&row));
            assert_eq!(is_listed, !is_sure, "{statement} {verdict}: {:?}", listed(&import));
        }
    }
    // What has a field of the other version alone.
    let six = format!(r#"{}, {{"drop": null}}"#, set(&payload("ip6 dscp"), "1"));
    all_said(&[(&six, "")]);
}

/// Matches and targets of iptables, of which nft prints the name.
#[test]
fn names_of_iptables_in_nft() {
    let xt = |kind: &str, name: &str| format!(r#"{{"xt": {{"type": "{kind}", "name": "{name}"}}}}"#);
    let unsaid = "deny: in, proto: any | denies more: xt cannot be said";
    let matched = format!(r#"{}, {{"drop": null}}"#, xt("match", "multiport"));
    let commented = format!(r#"{}, {{"drop": null}}"#, xt("match", "comment"));
    let typeless = format!(r#"{}, {{"accept": null}}"#, r#"{"xt": null}"#);
    all_said(&[
        (&commented, "deny: in, proto: any"),
        (&matched, "deny: in, proto: any | denies more: the match multiport of iptables cannot be said"),
        // A match is not a verdict.
        (&xt("match", "multiport"), "not carried: the match multiport of iptables cannot be said"),
        (&xt("target", "LOG"), "not carried: the adapter does not log"),
        (&xt("target", "MARK"), "not carried: the adapter does not do MARK"),
        (&xt("target", "MASQUERADE"), "not carried: sources are not translated by the adapter"),
        (&xt("target", "REJECT"), "deny: in, proto: any"),
        (&xt("target", "CT"), unsaid),
        (&xt("target", "DNAT"), unsaid),
        (&xt("target", "NFQUEUE"), unsaid),
        (&xt("target", "NOSUCH"), unsaid),
        (&xt("watcher", "LOG"), unsaid),
        (r#"{"xt": null}"#, unsaid),
        (&typeless, "left out: xt cannot be said"),
    ]);
}

/// Where a chain filters behind the translation of sources, a rule that translates them shuts.
#[test]
fn translated_sources() {
    let shut = "denies more: sources are not translated by the adapter, and a chain behind judges the translated ones";
    for (hook, priority, kind, sees) in [
        ("input", 100, "filter", true),
        ("input", 101, "filter", true),
        ("input", 99, "filter", false),
        ("input", 100, "nat", false),
        ("postrouting", 100, "filter", true),
        ("postrouting", 300, "filter", true),
        ("postrouting", 99, "filter", false),
        ("postrouting", 100, "route", false),
        ("prerouting", 100, "filter", false),
        ("output", 200, "filter", false),
        ("forward", 100, "filter", false),
        ("egress", 0, "filter", true),
        ("ingress", 0, "filter", false),
    ] {
        let late = match hook {
            "egress" | "ingress" => {
                let mut late = chain("netdev", "late", hook, priority, kind);
                late["chain"]["dev"] = json!("eth0");
                vec![json!({"table": {"family": "netdev", "name": "t", "handle": 8}}), late]
            }
            _ => vec![chain("inet", "late", hook, priority, kind)],
        };
        for statement in [
            json!({"snat": {"addr": "10.0.0.1"}}),
            json!({"masquerade": null}),
            json!({"xt": {"type": "target", "name": "SNAT"}}),
        ] {
            let import = with(&late, &json!([statement]), &host()).unwrap();
            let is_shut = listed(&import).iter().any(|row| row.ends_with(shut));
            assert_eq!(is_shut, sees, "{hook} {priority} {kind} {statement}: {:?}", listed(&import));
        }
        // A target that does not translate is none of its business.
        let import = with(&late, &json!([{"xt": {"type": "target", "name": "LOG"}}]), &host()).unwrap();
        assert!(listed(&import).iter().any(|row| row.ends_with("not carried: the adapter does not log")));
    }
}

/// What such a statement is true of: see the same of iptables.
#[test]
fn rates_of_nft() {
    let effects = |statements: &[Value], accept: bool| {
        let expr: Vec<_> = statements.iter().cloned().chain([json!({"drop": null})]).collect();
        let settings = Settings { accept_stateless: accept, ..host() };
        let import = with(&[], &json!(expr), &settings).unwrap();
        let rows: Vec<_> =
            import.not_carried.iter().filter(|row| row.handle == Some(9)).map(|row| row.effect).collect();
        assert_eq!(rows.len(), 1, "{expr:?}");
        rows[0]
    };
    let limit = |inv: Value| json!({"limit": {"rate": 5, "per": "second", "inv": inv}});
    let over = limit(json!(true));
    let within = json!({"limit": {"rate": 5, "per": "second"}});
    let stmt = |stmt: Value| json!({"set": {"op": "add", "elem": 1, "set": "@other", "stmt": stmt}});
    for (statement, above) in [
        (over.clone(), true),
        (within.clone(), false),
        (limit(json!(false)), false),
        (json!({"limit": "named"}), false),
        (json!({"quota": {"val": 5, "inv": true}}), true),
        (json!({"quota": {"val": 5}}), false),
        (json!({"ct count": {"val": 5, "inv": true}}), true),
        (json!({"ct count": {"val": 5}}), false),
        (stmt(json!([over])), true),
        (stmt(over.clone()), true),
        (stmt(json!([{"counter": null}, over])), true),
        (stmt(json!([over, within])), false),
        (stmt(json!([within])), false),
        (stmt(json!([{"counter": null}])), false),
        (stmt(json!([])), false),
        (json!({"meter": {"name": "m", "key": 1, "stmt": over}}), true),
        (json!({"meter": {"name": "m", "key": 1, "stmt": within}}), false),
    ] {
        assert_eq!(effects(std::slice::from_ref(&statement), false), Effect::DeniesMore, "{statement}");
        let expected = if above { Effect::StateNotSeen } else { Effect::DeniesMore };
        assert_eq!(effects(std::slice::from_ref(&statement), true), expected, "{statement}");
    }
}

/// Sets that are taken as they stand, and those of which nobody can say what they will hold.
#[test]
fn sets_of_nft() {
    let set = |more: Value| {
        let mut set = json!({"family": "inet", "table": "t", "name": "u", "type": "ipv4_addr", "handle": 6, "elem": ["10.0.0.9"]});
        for (key, value) in more.as_object().unwrap() {
            set[key] = value.clone();
        }
        json!({ "set": set })
    };
    let drop = json!([{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@u"}}, {"drop": null}]);
    let rule = |statement: Value| json!({"rule": {"family": "inet", "table": "t", "chain": "o", "handle": 7, "expr": [statement]}});
    let read = |objects: &[Value]| said(&with(objects, &drop, &host()).unwrap());
    let fixed = "deny: in, proto: any, remote: 10.0.0.9";
    for flags in [json!([]), json!(["interval"]), json!("constant"), json!(["constant", "interval"])] {
        assert_eq!(read(&[set(json!({ "flags": flags }))]), fixed, "{flags}");
    }
    assert_eq!(read(&[set(json!({"size": 9, "auto-merge": true, "comment": "x"}))]), fixed);
    let element = |more: Value| set(json!({"elem": [{"elem": more}]}));
    assert_eq!(read(&[element(json!({"val": "10.0.0.9", "comment": "x", "counter": {"packets": 1}}))]), fixed);
    for (kind, body) in [
        ("set", json!({"op": "add", "elem": 1, "set": "@u"})),
        ("set", json!({"op": "delete", "elem": 1, "set": "@u"})),
        ("map", json!({"op": "add", "elem": 1, "data": 2, "map": "@u"})),
        ("meter", json!({"name": "m", "key": 1, "set": "@u"})),
        ("meter", json!({"meter": "@u"})),
    ] {
        let said = read(&[set(json!({})), rule(json!({kind: body}))]);
        assert!(
            said.starts_with("deny: in, proto: any | ") && said.contains("denies more: the set @u changes in time"),
            "{kind} {body}: {said}"
        );
    }
    // Another set, another table, and statements that only look it up.
    for statement in [
        json!({"set": {"op": "add", "elem": 1, "set": "@other"}}),
        json!({"set": {"op": "add", "elem": 1, "set": "u"}}),
        json!({"vmap": {"key": {"payload": {"protocol": "tcp", "field": "flags"}}, "data": "@other"}}),
        json!({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "@u", "set": "@u"}}),
    ] {
        let said = read(&[set(json!({})), rule(statement.clone())]);
        assert!(said.starts_with(fixed), "{statement}: {said}");
    }
    for (object, why) in [
        (set(json!({"flags": ["dynamic"]})), "the set @u changes in time"),
        (set(json!({"flags": "timeout"})), "the set @u changes in time"),
        (set(json!({"flags": ["interval", "dynamic"]})), "the set @u changes in time"),
        (set(json!({"flags": [1]})), "the set @u changes in time"),
        (set(json!({"timeout": 5})), "the set @u changes in time"),
        (set(json!({"stmt": [{"counter": null}]})), "the set @u changes in time"),
        (set(json!({"elem": []})), "the elements of the set @u are not in the file"),
        (set(json!({"name": "v"})), "the set @u is not in the file"),
        (set(json!({"family": "ip"})), "the set @u is not in the file"),
        (element(json!({"val": "10.0.0.9", "expires": 5})), "elements of the set @u change in time"),
        (element(json!({"val": "10.0.0.9", "limit": {"rate": 5}})), "elements of the set @u change in time"),
        (element(json!({"comment": "x"})), "elements of the set @u change in time"),
    ] {
        assert_eq!(
            read(std::slice::from_ref(&object)),
            format!("deny: in, proto: any | denies more: {why}"),
            "{object}"
        );
    }
    let inline = |value: &str| drops(&payload("ip saddr"), "==", value);
    all_said(&[
        (
            &inline(r#"{"set": [{"elem": {"val": "10.0.0.9", "timeout": 5}}, "10.0.0.8"]}"#),
            "deny: in, proto: any | denies more: elements of a set change in time",
        ),
        // What a field with a protocol of its own is compared with may not be known: the protocol is.
        (
            &drops(&payload("tcp dport"), "==", r#""@gone""#),
            "deny: in, proto: tcp | denies more: the set @gone is not in the file",
        ),
    ]);
}

#[test]
fn verdict_maps() {
    let vmap = |key: &str, data: &str| format!(r#"{{"vmap": {{"key": {}, "data": {data}}}}}"#, payload(key));
    let timed = vmap("tcp dport", r#"{"set": [[{"elem": {"val": 22, "timeout": 5}}, {"drop": null}]]}"#);
    let (x, on) = (r#"{"jump": {"target": "x"}}"#, r#"{"continue": null}"#);
    let (accept, drop) = (r#"{"accept": null}"#, r#"{"drop": null}"#);
    let map = |elements: &[(&str, &str)]| {
        let elements: Vec<_> = elements.iter().map(|(key, verdict)| format!("[{key}, {verdict}]")).collect();
        vmap("tcp dport", &format!(r#"{{"set": [{}]}}"#, elements.join(",")))
    };
    let rest = r#""*""#;
    let commented = r#"{"elem": {"val": "*", "comment": "x"}}"#;
    let accepted = "allow: in, proto: tcp, local_ports: 22, replies: no";
    let others = "proto: tcp, local_ports: [0-21, 23-65535]";
    for (statements, expected) in [
        (
            map(&[("22", accept), ("23", drop), ("24", x), ("25", r#""return""#), ("26", r#"{"goto": {"target": "x"}}"#)]),
            format!(
                "{accepted} | deny: in, proto: tcp, local_ports: 23 | allow: in, proto: tcp, local_ports: 25, replies: no | \
                 allow: in, proto: tcp, local_ports: 26, replies: no"
            ),
        ),
        (map(&[("22", accept), (rest, drop)]), format!("{accepted} | deny: in, proto: tcp")),
        (map(&[(commented, drop), ("22", accept)]), format!("{accepted} | deny: in, proto: tcp")),
        // What comes back from a chain, or goes on, had its element: it is not the rest.
        (map(&[("22", x), (rest, accept)]), format!("allow: in, {others}, replies: no")),
        (map(&[("22", on), (rest, drop)]), format!("deny: in, {others}")),
        // Behind a map stands what goes on, and nothing that has no element.
        (format!("{}, {drop}", map(&[("22", accept)])), accepted.to_owned()),
        (format!("{}, {accept}", map(&[("22", drop)])), "deny: in, proto: tcp, local_ports: 22".to_owned()),
        (format!("{}, {drop}", map(&[("22", x)])), String::new()),
        (
            format!("{}, {drop}", map(&[("22", on), ("23", accept), ("24", on)])),
            "allow: in, proto: tcp, local_ports: 23, replies: no | deny: in, proto: tcp, local_ports: 22 | deny: in, proto: \
             tcp, local_ports: 24"
                .to_owned(),
        ),
        (format!("{}, {drop}", map(&[("22", accept), (rest, on)])), format!("{accepted} | deny: in, proto: tcp")),
        (format!("{}, {drop}", map(&[("22", x), (rest, on)])), format!("deny: in, {others}")),
        (
            format!(r#"{{"log": null}}, {}"#, map(&[("22", accept)])),
            format!("{accepted} | not carried: the adapter does not log"),
        ),
        (
            vmap("udp dport", r#""@gone""#),
            "deny: in, proto: any | denies more: the set @gone is not in the file".to_owned(),
        ),
        (
            vmap("tcp flags", r#"{"set": [[2, {"accept": null}], [4, {"drop": null}]]}"#),
            "deny: in, proto: tcp | left out: tcp flags cannot be said | denies more: tcp flags cannot be said".to_owned(),
        ),
        (
            format!("{}, {drop}", vmap("tcp flags", r#"{"set": [[2, {"continue": null}]]}"#)),
            "deny: in, proto: tcp | denies more: tcp flags cannot be said".to_owned(),
        ),
        (
            vmap("tcp flags", r#"{"set": [[2, {"continue": null}], ["*", {"accept": null}]]}"#),
            "left out: tcp flags cannot be said | not carried: tcp flags cannot be said".to_owned(),
        ),
    ] {
        all_said(&[(&statements, &expected)]);
    }
    for cut in [
        timed.as_str(),
        &drops(&payload("ip saddr"), "==", r#"{"elem": {"val": "10.0.0.9", "timeout": 5}}"#),
        &vmap("tcp dport", r#"{"set": [[22, {"wonder": null}]]}"#),
        &vmap("tcp dport", r#"{"set": [[22, {"jump": {"target": "nowhere"}}]]}"#),
        &vmap("tcp dport", r#"{"set": [[22]]}"#),
        &vmap("tcp dport", r#"{"set": [22]}"#),
        &vmap("tcp dport", r#"{"set": [[22, 1]]}"#),
        r#"{"vmap": {"key": 1}}"#,
        r#"{"match": {"op": "==", "left": 1}}"#,
        r#"{"match": {"left": 1, "right": 1}}"#,
        r#"{"jump": {"target": "nowhere"}}"#,
        r#"{"goto": {}}"#,
    ] {
        let expr: Value = serde_json::from_str(&format!("[{cut}]")).unwrap();
        let error = with(&[], &expr, &host()).map(|import| import.yaml).unwrap_err().to_string();
        assert!(
            error.starts_with("7: a statement that is cut; expected a rule with the list expr; "),
            "{cut}: {error}"
        );
    }
}
