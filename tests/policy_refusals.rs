//! Bad documents and bad flow texts: the exact message for each.
//!
//! `tests/golden/refusals.txt` holds a title (`=== ...`), a text, a line `~~~` and the messages. A text without `nicfw:` has
//! the file's preamble before it, so its own first line counts as line 4. `tests/golden/flow_refusals.txt` holds a flow
//! text a line and its message in the next. `NICFW_BLESS=1 cargo test --test policy_refusals` writes what is found: read
//! the difference before it is committed.

use std::fs;
use std::path::PathBuf;

use nicfw::policy::{Attach, BindingBuilder, Document, FlowText, Proto, RuleBuilder};
use nicfw::terms::{Direction, MacAddr, Verdict};

fn golden(name: &str) -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = fs::read_to_string(&path).unwrap();
    (path, text)
}

/// Compares a golden file with what was found, or writes it.
fn compare(path: &PathBuf, expected: &str, found: &str) {
    if std::env::var_os("NICFW_BLESS").is_some() {
        fs::write(path, found).unwrap();
        return;
    }
    for (i, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(expected, found, "{}:{}", path.display(), i + 1);
    }
    assert_eq!(expected, found, "{}", path.display());
}

#[test]
fn bad_documents_are_refused_with_these_words() {
    let (path, text) = golden("refusals.txt");
    let (preamble, cases) = text.split_once("=== ").unwrap();
    let (mut found, mut count) = (preamble.to_owned(), 0);
    for case in cases.split("\n=== ") {
        let (title, rest) = case.split_once('\n').unwrap();
        let (body, _) = rest.split_once("\n~~~").unwrap_or((rest.trim_end(), ""));
        let preamble = if body.contains("nicfw:") || body.starts_with("# whole") { "" } else { preamble.trim_start() };
        let unescaped = body.replace("<NUL>", "\0").replace("<ESC>", "\u{1b}");
        let document = format!("{preamble}{unescaped}");
        let errors = match Document::parse(&document, "t.yaml") {
            Ok(_) => panic!("{title}: not refused"),
            Err(errors) => errors,
        };
        let gap = if count == 0 { "" } else { "\n" };
        found += &format!("{gap}=== {title}\n{body}\n~~~\n{errors}\n");
        count += 1;
    }
    compare(&path, &text, &found);
    assert!(count >= 40, "{count} refusals");
}

#[test]
fn bad_flow_texts_are_refused_with_these_words() {
    let (path, text) = golden("flow_refusals.txt");
    let document = Document::parse("{nicfw: 1, unbound: allow, multicast: deny}", "t.yaml").unwrap();
    let mut found = String::new();
    for flow in text.lines().filter(|line| !line.starts_with("    ")) {
        let refused = flow.parse::<FlowText>().and_then(|flow| flow.judgements(&document)).map(|_| ());
        let error = refused.expect_err(flow);
        found += &format!("{flow}\n    {error}\n");
    }
    compare(&path, &text, &found);
}

#[test]
fn a_document_made_in_code_is_refused_by_the_thing_it_is_about() {
    let rule = RuleBuilder::allow(Direction::Rx).proto(Proto::ICMP).local_ports([80..=90]);
    let binding = |name: &str| BindingBuilder::new(name, MacAddr::BROADCAST, Attach::Bridge, "wbe");
    let errors = Document::builder("agent")
        .multicast(Verdict::Deny)
        .owner("two\nlines")
        .group("any", ["nobody"])
        .policy("web", [RuleBuilder::deny(Direction::Tx), rule])
        .binding(binding("shop-1").ip("10.30.1.17".parse().unwrap()).vlan(4095))
        .binding(binding("shop-2").ip("10.30.1.17".parse().unwrap()).ip("::ffff:10.1.1.1".parse().unwrap()))
        .build()
        .unwrap_err();
    let expected = r#"agent: "two\nlines" is not a text for owner: it holds U+000A at byte 3, which a terminal obeys or does not show; expected 1 to 250 bytes of text in one line; shorten it, or leave it out
agent: unbound is missing; expected unbound: allow or unbound: deny; say allow while other addresses of this host must keep working, deny when all of them are bound
agent: group any: "any" is not a name for a group; expected up to 64 letters, digits, _, - and ., the first a letter or _, and not the word any; choose another name
agent: group any: unknown group "nobody"; expected any, an address, a prefix or the name of a group; define it under groups
agent: policy web, rule 2: protocol icmp has no ports; expected proto any, tcp, udp or sctp beside ports; leave the ports out, or change proto
agent: binding shop-1: shop-1 and shop-2 can reach each other inside the host, where no policy is enforced; expected attach: sriov, or macvlan in mode vepa or private; attach them so, or say unprotected: accepted
agent: binding shop-2: shop-2 and shop-1 can reach each other inside the host, where no policy is enforced; expected attach: sriov, or macvlan in mode vepa or private; attach them so, or say unprotected: accepted
agent: binding shop-1: ff:ff:ff:ff:ff:ff is a group address; expected the MAC of one station; give the MAC of the container's interface
agent: binding shop-1: 4095 is not a VLAN id; expected 1 to 4094; leave vlan out if tags are not to be looked at
agent: binding shop-1: unknown policy "wbe"; expected the name of a policy; did you mean web?
agent: binding shop-2: 10.30.1.17 is bound to shop-1 already; expected one holder for each address; release it there, or bind another address
agent: binding shop-2: ::ffff:10.1.1.1 is an IPv4-mapped IPv6 address; expected 10.1.1.1; write IPv4 addresses as such: the adapter tells the families apart by the frame
agent: binding shop-2: ff:ff:ff:ff:ff:ff is a group address; expected the MAC of one station; give the MAC of the container's interface
agent: binding shop-2: unknown policy "wbe"; expected the name of a policy; did you mean web?"#;
    assert_eq!(errors.to_string(), expected);
    assert!(errors.errors().iter().all(|error| error.line() == 0));
}
