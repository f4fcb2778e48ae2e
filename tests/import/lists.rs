//! ClassBench filters and DPDK rules, field by field; and the document as it is written.

use nicfw::policy::import::{Format, Import, ImportError, Settings};
use serde_json::{Value, json};

use crate::common::{listed, read, rules, settings};

fn filter(line: &str) -> Result<Import, ImportError> {
    read(Format::Classbench, &format!("{line}\n"), &settings(&["10.30.1.17"]))
}

/// The rules for what is received, but the last one.
fn received(import: &Import) -> Vec<String> {
    let rules = rules(import);
    let end = rules.iter().position(|rule| *rule == "deny: in, proto: any" || rule.contains(": out")).unwrap();
    rules[..end].iter().map(|rule| rule.replace("allow: in, proto: ", "").replace(", replies: no", "")).collect()
}

#[test]
fn filters_of_classbench() {
    let any = "0 : 65535";
    for (line, expected) in [
        (format!("@10.0.0.0/8 0.0.0.0/0 {any} {any} 0x06/0xFF 0x0000/0x0000"), vec!["tcp, remote: 10.0.0.0/8"]),
        (format!("@10.0.0.0/8 0.0.0.0/0 {any} {any} 0x06/0xFF"), vec!["tcp, remote: 10.0.0.0/8"]),
        (format!("@0.0.0.0/0\t10.30.1.16/31\t{any}\t{any}\t0x11/0xFF\t0x1000/0x1000"), vec!["udp"]),
        (format!("  @0.0.0.0/0 10.30.1.17/32 {any} 22 : 22 0x06/0xFF  "), vec!["tcp, local_ports: 22"]),
        (format!("@0.0.0.0/0 10.30.1.17/32 1 : 2 {any} 0x84/0xFF"), vec!["sctp, remote_ports: 1-2"]),
        ("@0.0.0.0/0 10.30.1.17/32 1 : 2 3 : 4 0x06/0xFF".to_owned(), vec!["tcp, remote_ports: 1-2, local_ports: 3-4"]),
        (format!("@0.0.0.0/0 10.30.1.17/32 {any} {any} 0x00/0x00"), vec!["any"]),
        (format!("@0.0.0.0/0 10.30.1.17/32 {any} {any} 0x2f/0xFF"), vec!["47"]),
        // Bits that the mask leaves out are any.
        (format!("@0.0.0.0/0 10.30.1.17/32 {any} {any} 0x01/0xFE"), vec!["0", "icmp"]),
        (format!("@0.0.0.0/0 10.30.1.17/32 {any} {any} 0xFF/0x01"), vec![]),
    ] {
        let found = received(&filter(&line).unwrap());
        if expected.is_empty() {
            // 128 protocols, one for each.
            assert_eq!(
                (found.len(), found.contains(&"17".to_owned()), found.contains(&"udp".to_owned())),
                (128, false, true)
            );
        } else {
            assert_eq!(found, expected, "{line}");
        }
    }
    let line = "@0.0.0.0/0 10.30.1.17/32 0 : 65535 0 : 65535 0x06/0xFF";
    let noted = |flags: &str| filter(&format!("{line}{flags}\n\n{line} 0x0/0x0")).unwrap().notes;
    assert_eq!(noted(" 0x1000/0x0200"), ["the column of flags is not read; 1 filters have flags"]);
    assert_eq!(noted(" 0x1000/0x0000")[0], "the column of flags is not read; 0 filters have flags");
    assert_eq!(noted("")[0], "the column of flags is not read; 0 filters have flags");
}

#[test]
fn lines_that_are_no_filters() {
    let good = "@10.0.0.0/8 10.30.1.17/32 0 : 65535 0 : 65535 0x06/0xFF 0x0000/0x0000";
    assert!(filter(good).is_ok());
    for (old, new) in [
        ("@", ""),
        ("@10.0.0.0/8", "@2001:db8::/32"),
        ("10.30.1.17/32", "2001:db8::17/128"),
        ("@10.0.0.0/8", "@10.0.0.0/33"),
        ("@10.0.0.0/8", "@net"),
        ("0 : 65535 0", "0 : 65536 0"),
        ("0 : 65535 0", "9 : 8 0"),
        ("0 : 65535 0", "0 - 65535 0"),
        ("0 : 65535 0", "0 65535 0"),
        ("0 : 65535 0", "x : 65535 0"),
        ("0x06/0xFF", "6/0xFF"),
        ("0x06/0xFF", "0x06/FF"),
        ("0x06/0xFF", "0x+6/0xFF"),
        ("0x06/0xFF", "0x06"),
        ("0x06/0xFF", "0x106/0xFF"),
        ("0x06/0xFF", "0x06/0x1FF"),
        ("0x06/0xFF", "0xg/0xFF"),
        (" 0x06/0xFF 0x0000/0x0000", ""),
        ("0x0000/0x0000", "0x0000"),
        ("0x0000/0x0000", "0x10000/0x0000"),
        ("0x0000/0x0000", "0x0000/0x0000 more"),
    ] {
        let line = good.replacen(old, new, 1);
        assert_ne!(line, good);
        let error = filter(&format!("\n{line}")).map(|import| import.yaml).unwrap_err().to_string();
        assert!(error.starts_with("2: this is not a filter; expected @SRC/LEN DST/LEN "), "{line}: {error}");
    }
    for text in ["", "\n\n"] {
        let error = read(Format::Classbench, text, &settings(&["10.30.1.17"])).map(|import| import.yaml).unwrap_err();
        assert!(error.to_string().starts_with("1: there is no filter; expected "), "{error}");
    }
    let error =
        read(Format::Classbench, &format!("{good}\n\n{good}"), &settings(&["10.30.1.17"])).map(|import| import.yaml);
    assert!(error.unwrap_err().to_string().starts_with("3: the last line has no end: the file is cut; "));
}

fn acl_rule() -> Value {
    json!({"id": 1, "category": "allow", "priority": 5, "proto": 6, "proto_mask": 255, "vlan": 0, "vlan_mask": 0, "domain": 0,
        "domain_mask": 0, "src": "10.0.0.0/8", "dst": "0.0.0.0/0", "sport": [0, 65535], "dport": [22, 22]})
}

fn changed(changes: Value) -> Value {
    let mut rule = acl_rule();
    for (key, value) in changes.as_object().unwrap() {
        rule[key] = value.clone();
    }
    rule
}

/// A rule a line, from line 2 on.
fn acl(rules: &[Value], settings: &Settings) -> Result<Import, ImportError> {
    let lines: Vec<_> = rules.iter().map(Value::to_string).collect();
    read(Format::DpdkAcl, &format!("{{\"rules\": [\n{}]}}", lines.join(",\n")), settings)
}

#[test]
fn rules_of_dpdk() {
    let host = settings(&["10.30.1.17"]);
    let of = |changes: Value| received(&acl(&[changed(changes)], &host).unwrap());
    assert_eq!(of(json!({})), ["tcp, remote: 10.0.0.0/8, local_ports: 22"]);
    assert_eq!(of(json!({"sport": [1, 2], "dport": [0, 65535]})), ["tcp, remote: 10.0.0.0/8, remote_ports: 1-2"]);
    assert_eq!(of(json!({"dport": [0, 65535], "proto": 47})), ["47, remote: 10.0.0.0/8"]);
    assert_eq!(of(json!({"dport": [0, 65535], "proto_mask": 0})), ["any, remote: 10.0.0.0/8"]);
    // Denies first, each category by falling priority, and as written where it is the same.
    let rules: Vec<_> = [("allow", 1, 1), ("deny", -7, 2), ("allow", 9, 3), ("deny", 8, 4), ("deny", 8, 5)]
        .map(|(category, priority, port)| {
            changed(json!({"category": category, "priority": priority, "dport": [port, port]}))
        })
        .into();
    let order: Vec<_> = received(&acl(&rules, &host).unwrap());
    let ports: Vec<_> = order.iter().map(|rule| rule.rsplit(' ').next().unwrap()).collect();
    assert_eq!(ports, ["4", "5", "2", "3", "1"]);
    assert!(order[2].starts_with("deny") && !order[3].starts_with("deny"));
}

#[test]
fn members_that_are_not_of_dpdk() {
    let host = settings(&["10.30.1.17"]);
    let refused = |rule: Value| {
        let error = acl(&[acl_rule(), rule.clone()], &host).map(|import| import.yaml).unwrap_err().to_string();
        assert!(
            error.starts_with("3: this is not a rule; expected a rule with category, priority, "),
            "{rule}: {error}"
        );
    };
    for key in acl_rule().as_object().unwrap().keys() {
        let mut rule = acl_rule();
        rule.as_object_mut().unwrap().remove(key);
        // The number of a rule says nothing.
        if key == "id" { assert!(acl(&[rule], &host).is_ok()) } else { refused(rule) }
    }
    for changes in [
        json!({"extra": 1}),
        json!({"category": "permit"}),
        json!({"category": 1}),
        json!({"priority": "5"}),
        json!({"priority": 1.5}),
        json!({"src": "2001:db8::/32"}),
        json!({"dst": 1}),
        json!({"sport": [5, 4]}),
        json!({"sport": [5]}),
        json!({"sport": [5, 6, 7]}),
        json!({"dport": [5, 65536]}),
        json!({"dport": 5}),
        json!({"proto": 256}),
        json!({"proto_mask": -1}),
        json!({"vlan": 65536}),
        json!({"vlan_mask": 65536}),
        json!({"domain": 65536}),
        json!({"domain_mask": "1"}),
    ] {
        refused(changed(changes));
    }
    for text in ["[]", "{\"rules\": {}}", "7"] {
        let error = read(Format::DpdkAcl, text, &host).map(|import| import.yaml).unwrap_err().to_string();
        assert!(
            error.starts_with("1: there is no list of rules; expected an object with the list \"rules\""),
            "{error}"
        );
    }
}

/// Conditions on VLAN and domain under a mask, with and without somebody's word for what they are.
#[test]
fn vlan_and_domain_of_dpdk() {
    let allowed = ["tcp, remote: 10.0.0.0/8, local_ports: 22"];
    for (vlan, domain, changes, holds, missing) in [
        (None, None, json!({}), true, ""),
        (Some(7), None, json!({"vlan": 7, "vlan_mask": 4095}), true, ""),
        (Some(7), None, json!({"vlan": 8, "vlan_mask": 4095}), false, ""),
        // Of the value only what the mask names.
        (Some(7), None, json!({"vlan": 23, "vlan_mask": 15}), true, ""),
        (Some(23), None, json!({"vlan": 7, "vlan_mask": 15}), true, ""),
        (Some(0), None, json!({"vlan": 0, "vlan_mask": 4095}), true, ""),
        (None, None, json!({"vlan": 7, "vlan_mask": 4095}), false, "the vlan of the container's traffic was not given"),
        (None, Some(3), json!({"domain": 3, "domain_mask": 65535}), true, ""),
        (None, Some(3), json!({"domain": 4, "domain_mask": 65535}), false, ""),
        (
            Some(7),
            None,
            json!({"domain": 3, "domain_mask": 65535}),
            false,
            "the domain of the container's traffic was not given",
        ),
        (
            None,
            None,
            json!({"vlan": 7, "vlan_mask": 1, "domain": 3, "domain_mask": 1}),
            false,
            "the vlan of the container's traffic was not given, the domain of the container's traffic was not given",
        ),
        // One that is known not to hold is enough.
        (Some(7), None, json!({"vlan": 8, "vlan_mask": 4095, "domain": 3, "domain_mask": 65535}), false, ""),
        (None, Some(3), json!({"vlan": 8, "vlan_mask": 4095, "domain": 4, "domain_mask": 65535}), false, ""),
    ] {
        let settings = Settings { vlan, domain, ..settings(&["10.30.1.17"]) };
        let import = acl(&[changed(changes.clone())], &settings).unwrap();
        assert_eq!(received(&import), &allowed[..usize::from(holds)], "{vlan:?} {domain:?} {changes}");
        let row = if missing.is_empty() { Vec::new() } else { vec![format!("2: left out: {missing}")] };
        assert_eq!(listed(&import), row, "{vlan:?} {domain:?} {changes}");
        let notes = [
            vlan.map(|vlan| {
                format!("it is taken on your word that the container's frames have VLAN {vlan} (0 = no tag)")
            }),
            domain.map(|domain| format!("it is taken on your word that the container's traffic is of domain {domain}")),
        ];
        assert_eq!(import.notes, notes.into_iter().flatten().collect::<Vec<_>>(), "{vlan:?} {domain:?}");
    }
}

/// The whole text, with everything that the settings and a file can say of it.
#[test]
fn the_document_as_it_is_written() {
    let text = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\n\
                -A INPUT -s 10.0.0.0/8 -d 10.30.1.18 -p tcp -m tcp --dport 22 -m comment --comment \"a \\\"b\\\" c\" -j ACCEPT\n\
                -A OUTPUT -p udp -m udp --sport 53 --dport 1024:65535 -j REJECT\nCOMMIT\n";
    let settings =
        Settings { vlan: Some(7), container: "shop-\"1\"".to_owned(), ..settings(&["10.30.1.17", "10.30.1.18"]) };
    let expected = r#"nicfw: 1
unbound: deny
multicast: deny
policies:
  imported:
    - {allow: in, proto: tcp, remote: 10.0.0.0/8, local_ports: 22, local: 10.30.1.18, replies: no, reason: "old:5: -A INPUT -s 10.0.0.0/8 -d 10.30.1.18 -p tcp -m tcp --dport 22 -m comment --comment \"a \\\"b\\\" c\" -j ACCEPT"}
    - {deny: in, proto: any, reason: "old:2: :INPUT DROP [0:0]"}
    - {deny: out, proto: udp, remote_ports: 1024-65535, local_ports: 53, reason: "old:6: -A OUTPUT -p udp -m udp --sport 53 --dport 1024:65535 -j REJECT"}
    - {deny: out, proto: any, reason: "old:4: :OUTPUT DROP [0:0]"}
bindings:
  - {container: "shop-\"1\"", ip: [10.30.1.17, 10.30.1.18], mac: "02:00:0a:1e:01:11", attach: none, policy: imported, vlan: 7}
"#;
    assert_eq!(read(Format::Iptables, text, &settings).unwrap().yaml, expected);
    // No tag is no VLAN, and a policy may have no rule.
    let acl = "{\"rules\": []}";
    let bare = Settings { vlan: Some(0), ..crate::common::settings(&["10.30.1.17"]) };
    let expected = r#"nicfw: 1
unbound: deny
multicast: deny
policies:
  imported:
    - {deny: in, proto: any, reason: "old: no rule matches"}
    - {deny: out, proto: any, reason: "old: no rule matches"}
bindings:
  - {container: "shop-1", ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: none, policy: imported}
"#;
    assert_eq!(read(Format::DpdkAcl, acl, &bare).unwrap().yaml, expected);
}

/// Reasons that are too long are cut, and no letter with them.
#[test]
fn reasons_are_cut_between_letters() {
    let of = |name: &str| {
        let line = "@10.0.0.0/8 10.30.1.17/32 0 : 65535 0 : 65535 0x06/0xFF\n";
        let import =
            nicfw::policy::import::import(Format::Classbench, line.as_bytes(), name, &settings(&["10.30.1.17"]))
                .unwrap();
        import.document.policies[0].rules[0].origin.reason.clone().unwrap()
    };
    let line = ":1: @10.0.0.0/8 10.30.1.17/32 0 : 65535 0 : 65535 0x06/0xFF";
    assert_eq!(of("x"), format!("x{line}"));
    let fits = "x".repeat(240 - line.len());
    assert_eq!(of(&fits), format!("{fits}{line}"));
    assert_eq!(of(&format!("{fits}x")), format!("{fits}x{}", &line[..line.len() - 1]));
    assert_eq!(of(&format!("{}éé", "x".repeat(239))), "x".repeat(239));
}
