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
