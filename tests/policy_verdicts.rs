//! Verdict tables written by hand from the rules of the policy, against the reference evaluator.
//!
//! A file of `tests/verdicts` holds tables. Each is a title (`=== ...`), the rest of a document that starts with the file's
//! preamble (or a whole one, with `nicfw:`), a line `---`, and rows `flow => verdict and what decides`:
//!
//! | text | decided by |
//! |---|---|
//! | `web#2`, `management#1` | this rule of the policy or list, counted from 1 |
//! | `reply web#2` | this rule, which lets it through as a reply |
//! | `no rule` | the end of the policy |
//! | `mac`, `vlan`, `port` | not the binding's own MAC, VLAN, physical port |
//! | `nd`, `arp`, `multicast`, `owned mac`, `unbound` | these |
//!
//! A flow between two bound ends has two judgements: `out ... then in ...`.

use std::fs;
use std::path::Path;

use nicfw::policy::{Decision, Document, FlowText, RulePlace, Why};
use nicfw::terms::Verdict;

/// One table, and the place of each part in its file.
struct Table {
    place: String,
    title: String,
    document: String,
    rows: Vec<(String, String, String)>,
}

fn tables(path: &Path) -> Vec<Table> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    let (mut preamble, mut tables, mut in_rows) = (String::new(), Vec::<Table>::new(), false);
    for (i, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", i + 1);
        if let Some(title) = line.strip_prefix("=== ") {
            in_rows = false;
            let title = title.to_owned();
            tables.push(Table { place, title, document: String::new(), rows: Vec::new() });
        } else if line == "---" {
            in_rows = true;
        } else if let Some(table) = tables.last_mut() {
            if !in_rows {
                table.document += &format!("{line}\n");
            } else if !line.is_empty() && !line.starts_with('#') {
                let (flow, expected) = line.split_once("=>").unwrap_or_else(|| panic!("{place}: no =>"));
                table.rows.push((place, flow.trim().to_owned(), expected.trim().to_owned()));
            }
        } else {
            preamble += &format!("{line}\n");
        }
    }
    for table in tables.iter_mut().filter(|table| !table.document.contains("nicfw:")) {
        table.document.insert_str(0, &preamble);
    }
    tables
}

fn words(document: &Document, decision: &Decision) -> String {
    let verdict = if decision.verdict == Verdict::Allow { "allow" } else { "deny" };
    let why = match decision.why {
        Why::ForeignMac { .. } => "mac".to_owned(),
        Why::ForeignVlan { .. } => "vlan".to_owned(),
        Why::ForeignPort { .. } => "port".to_owned(),
        Why::NeighbourDiscovery { .. } => "nd".to_owned(),
        Why::Multicast { .. } => "multicast".to_owned(),
        Why::NoRule { .. } => "no rule".to_owned(),
        Why::Arp => "arp".to_owned(),
        Why::OwnedMac { .. } => "owned mac".to_owned(),
        Why::Unbound => "unbound".to_owned(),
        Why::Rule { place, reply, .. } => {
            let reply = if reply { "reply " } else { "" };
            match place {
                RulePlace::Management(i) => format!("{reply}management#{}", i + 1),
                RulePlace::Policy(p, i) => format!("{reply}{}#{}", document.policies[p].name, i + 1),
            }
        }
    };
    format!("{verdict} {why}")
}

fn verdicts(document: &Document, flow: &str) -> String {
    let flow: FlowText = flow.parse().unwrap_or_else(|e| panic!("{flow}: {e}"));
    let judgements = flow.judgements(document).unwrap_or_else(|e| panic!("{flow}: {e}"));
    match &judgements[..] {
        [one] => words(document, &document.decide(one)),
        [out, into] => {
            let (out, into) = (document.decide(out), document.decide(into));
            format!("out {} then in {}", words(document, &out), words(document, &into))
        }
        other => panic!("{} judgements", other.len()),
    }
}

#[test]
fn every_row_of_every_table_holds() {
    let mut files: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verdicts"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let (mut wrong, mut count, mut on_replies) = (Vec::new(), 0, 0);
    for table in files.iter().flat_map(|file| tables(file)) {
        let document = Document::parse(&table.document, &table.title)
            .unwrap_or_else(|e| panic!("{} {}:\n{e}\n{}", table.place, table.title, table.document));
        assert!(!table.rows.is_empty(), "{} has no rows", table.place);
        count += 1;
        on_replies += usize::from(table.rows.iter().any(|(_, _, expected)| expected.contains("reply")));
        for (place, flow, expected) in table.rows {
            let found = verdicts(&document, &flow);
            if found != expected {
                wrong.push(format!(
                    "{place}: {}\n    {flow}\n    expected {expected}\n    found    {found}",
                    table.title
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 50 && on_replies >= 20, "{count} tables, {on_replies} with replies");
}

#[test]
fn every_decision_is_told_in_words() {
    let text = r#"
nicfw: 1
unbound: deny
multicast: deny
management:
  - {allow: in, proto: tcp, local_ports: 22}
  - {allow: in, proto: tcp, local: 10.30.0.5, local_ports: 22, mac: "02:00:0a:1e:00:05"}
policies:
  other: []
  web:
    - {deny: in, proto: tcp, local_ports: 80}
    - {allow: out, proto: udp, remote_ports: 53}
bindings:
  - {container: first, ip: 10.30.1.16, mac: "02:00:0a:1e:01:10", attach: sriov, policy: other}
  - {container: shop, ip: [10.30.1.17, "2001:db8::17"], mac: "02:00:0a:1e:01:11", attach: sriov, policy: web, vlan: 7, physical_ports: 1, nd: open-icmpv6}
"#;
    let document = Document::parse(text, "web.yaml").unwrap();
    let shop = "(web.yaml:15)";
    let rows = [
        (
            "tcp 10.9.0.1:1 > 10.30.1.17:80 dst-mac=02:00:00:00:00:01",
            format!("deny: the IP of shop with a MAC that is not its own {shop}"),
        ),
        ("tcp 10.9.0.1:1 > 10.30.1.17:80 vlan=8", format!("deny: the IP of shop on a VLAN that is not its own {shop}")),
        (
            "tcp 10.9.0.1:1 > 10.30.1.17:80 physical-port=0",
            format!("deny: the IP of shop at a port that is not its own {shop}"),
        ),
        ("icmpv6 fe80::1 > 2001:db8::17", format!("allow: icmpv6 is open for neighbour discovery of shop {shop}")),
        (
            "icmpv6 fe80::1 > ff02::1:ff00:17 in",
            format!("allow: icmpv6 is open for neighbour discovery of shop {shop}"),
        ),
        ("udp 10.30.1.17:1 > 224.0.0.1:2", format!("deny: shop sends to a group, and multicast is denied {shop}")),
        ("tcp 10.9.0.1:1 > 10.30.1.17:22", "allow: management, rule 1 (web.yaml:6)".to_owned()),
        ("tcp 10.30.1.17:22 > 10.9.0.1:1", "allow: reply to management, rule 1 (web.yaml:6)".to_owned()),
        ("tcp 10.9.0.1:1 > 10.30.0.5:22", "allow: management, rule 2 (web.yaml:7)".to_owned()),
        ("tcp 10.9.0.1:1 > 10.30.1.17:80", "deny: policy web, rule 1 (web.yaml:11)".to_owned()),
        ("udp 10.30.1.17:40000 > 10.9.0.1:53", "allow: policy web, rule 2 (web.yaml:12)".to_owned()),
        ("udp 10.9.0.1:53 > 10.30.1.17:40000", "allow: reply to policy web, rule 2 (web.yaml:12)".to_owned()),
        ("tcp 10.9.0.1:1 > 10.30.1.17:81", format!("deny: no rule of policy web matches for shop {shop}")),
        ("arp 02:00:0a:1e:01:11 > ff:ff:ff:ff:ff:ff out", "allow: ARP that IPv4 needs".to_owned()),
        (
            "icmp 10.30.1.99 > 10.9.0.1 out src-mac=02:00:0a:1e:01:11",
            format!("deny: the MAC of shop without an IP of its own {shop}"),
        ),
        ("icmp 10.30.1.99 > 10.9.0.1 out", "deny: nobody bound the address (unbound)".to_owned()),
    ];
    for (flow, expected) in rows {
        let judgements = flow.parse::<FlowText>().unwrap().judgements(&document).unwrap();
        assert_eq!(document.describe(&document.decide(&judgements[0])), expected, "{flow}");
    }
    let open = Document::parse(&text.replace("unbound: deny", "unbound: allow"), "open.yaml").unwrap();
    let flow = "icmp 10.30.1.99 > 10.9.0.1 out".parse::<FlowText>().unwrap().judgements(&open).unwrap()[0];
    assert_eq!(open.describe(&open.decide(&flow)), "allow: nobody bound the address (unbound)");
}
