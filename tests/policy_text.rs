//! Documents as text again: written, read and compared; and rules that are good until a date.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use nicfw::clock::Timestamp;
use nicfw::policy::{AddrExpr, Attach, BindingBuilder, Document, FlowText, OnExpiry, Origin, Proto, RuleBuilder};
use nicfw::terms::{AddrSet, Direction, MacAddr, PortSet, Verdict};
use proptest::prelude::*;

const EVERYTHING: &str = r#"# A comment.
nicfw: 1
unbound: allow
multicast: deny
owner: platform-team
ephemeral: [1024-2047, 5000]
expired: withdraw
groups:
  office: [10.20.0.0/16, "2001:db8::/32"]
  guests: {of: office, except: 10.20.99.0/24}
  on: 10.7.7.7

management:
  - {allow: in, proto: tcp, local: 10.30.0.5, local_ports: 22, mac: "02:00:0a:1e:00:05", sample: yes}
  - {allow: out, proto: udp, remote: guests, remote_ports: 123}
policies:
  web:
    - {allow: in, proto: tcp, local_ports: [80, "443-444"], remote: office, reason: shop front, ticket: CHG-1042}
    - {allow: in, remote: [office, 10.0.0.53], except: [guests, 10.20.99.9]}
    - {deny: out, remote: {of: any, except: "::/0"}, owner: somebody else}
    - allow: out
      proto: udp
      remote: on
      remote_ports: 0-65535
      local: [10.30.1.17, 10.30.1.0/28]
      replies: no
      when: 2026-01-01
      until: 2026-12-31T08:30:00Z
    - {deny: in, proto: 47}
    - {allow: out, proto: any, local_ports: 0-65535, remote: [10.0.0.0/8, 10.20.0.0/16]}
  spare: []
bindings:
  - {container: shop-1, ip: [10.30.1.17, "2001:db8::17"], mac: "02:00:0a:1e:01:11", attach: {macvlan: vepa},
     policy: web, nd: open-icmpv6, vlan: 100, physical_ports: [1, 0]}
  - {container: "null", ip: 10.30.1.18, mac: "02:00:0a:1e:01:12", attach: {macvlan: private}, policy: spare}
  - {container: "c{3}", ip: 10.30.1.19, mac: "02:00:0a:1e:01:13", attach: {macvlan: bridge}, policy: web,
     unprotected: accepted}
  - {container: "4", ip: 10.30.1.20, mac: "02:00:0a:1e:01:12", attach: sriov, policy: web, until: 2026-12-31}
  - {container: five, ip: 10.30.1.21, mac: "02:00:0a:1e:01:15", attach: bridge, policy: web, unprotected: accepted}
  - {container: six, ip: 10.30.1.22, mac: "02:00:0a:1e:01:16", attach: ipvlan, policy: web, unprotected: accepted}
  - {container: seven, ip: 10.30.1.23, mac: "02:00:0a:1e:01:17", attach: none, policy: web, owns_mac: no}
"#;

/// The same document, but for the words of remote addresses.
fn without_words(mut document: Document) -> Document {
    document.management.iter_mut().for_each(|management| management.rule.remote.text.clear());
    let policies = document.policies.iter_mut().map(Arc::make_mut);
    policies.flat_map(|policy| &mut policy.rules).for_each(|rule| rule.remote.text.clear());
    document
}

/// Writes a document and reads it again; what comes back is the same and is written as the same text.
#[track_caller]
fn there_and_back(document: &Document) -> Document {
    let text = document.to_text();
    let restored = Document::restore(&text, &document.name, &document.origin_lines());
    let restored = restored.unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(without_words(restored.clone()), without_words(document.clone()), "{text}");
    assert_eq!(restored.to_text(), text);
    restored
}

fn everything() -> Document {
    Document::parse(EVERYTHING, "all.yaml").unwrap()
}

fn net(text: &str) -> AddrSet {
    text.parse::<IpNet>().unwrap().into()
}

#[test]
fn the_canonical_text_says_everything_once() {
    assert_eq!(
        everything().to_text(),
        r#"nicfw: 1
unbound: allow
multicast: deny
ephemeral: [1024-2047, 5000]
expired: withdraw
groups:
  guests: [10.20.0.0/18, 10.20.64.0/19, 10.20.96.0/23, 10.20.98.0/24, 10.20.100.0/22, 10.20.104.0/21, 10.20.112.0/20, 10.20.128.0/17, "2001:db8::/32"]
  office: [10.20.0.0/16, "2001:db8::/32"]
  "on": 10.7.7.7
management:
  - {allow: in, proto: tcp, remote: any, local_ports: 22, local: 10.30.0.5, sample: yes, owner: platform-team, mac: "02:00:0a:1e:00:05"}
  - {allow: out, proto: udp, remote: guests, remote_ports: 123, owner: platform-team}
policies:
  web:
    - {allow: in, proto: tcp, remote: office, local_ports: [80, 443-444], owner: platform-team, reason: "shop front", ticket: CHG-1042}
    - {allow: in, proto: any, remote: {of: [office, 10.0.0.53], except: [guests, 10.20.99.9]}, owner: platform-team}
    - {deny: out, proto: any, remote: {of: any, except: "::/0"}, owner: "somebody else"}
    - {allow: out, proto: udp, remote: "on", remote_ports: 0-65535, local: [10.30.1.0/28, 10.30.1.17], replies: no, owner: platform-team, when: 2026-01-01, until: "2026-12-31T08:30:00Z"}
    - {deny: in, proto: 47, remote: any, owner: platform-team}
    - {allow: out, proto: any, remote: [10.0.0.0/8, 10.20.0.0/16], local_ports: 0-65535, owner: platform-team}
  spare: []
bindings:
  - {container: shop-1, ip: [10.30.1.17, "2001:db8::17"], mac: "02:00:0a:1e:01:11", vlan: 100, physical_ports: [0, 1], attach: {macvlan: vepa}, policy: web, nd: open-icmpv6, owner: platform-team}
  - {container: "null", ip: 10.30.1.18, mac: "02:00:0a:1e:01:12", owns_mac: no, attach: {macvlan: private}, policy: spare, owner: platform-team}
  - {container: "c{3}", ip: 10.30.1.19, mac: "02:00:0a:1e:01:13", attach: {macvlan: bridge}, policy: web, unprotected: accepted, owner: platform-team}
  - {container: 4, ip: 10.30.1.20, mac: "02:00:0a:1e:01:12", owns_mac: no, attach: sriov, policy: web, owner: platform-team, until: 2026-12-31}
  - {container: five, ip: 10.30.1.21, mac: "02:00:0a:1e:01:15", attach: bridge, policy: web, unprotected: accepted, owner: platform-team}
  - {container: six, ip: 10.30.1.22, mac: "02:00:0a:1e:01:16", attach: ipvlan, policy: web, unprotected: accepted, owner: platform-team}
  - {container: seven, ip: 10.30.1.23, mac: "02:00:0a:1e:01:17", owns_mac: no, attach: none, policy: web, owner: platform-team}
"#
    );
}

#[test]
fn a_document_with_everything_comes_back_whole() {
    let document = everything();
    assert_eq!(there_and_back(&document), document, "with the words of its addresses");
    assert_eq!(document.origin_lines()[..4], [14, 15, 17, 18], "two management rules, the policy, its first rule");
    let parsed = Document::parse(&document.to_text(), "all.yaml").unwrap();
    assert_eq!(parsed.to_text(), document.to_text());
    assert_ne!(parsed.origin_lines(), document.origin_lines());
}

#[test]
fn an_owner_of_everything_is_said_once() {
    let text = EVERYTHING.replace(", owner: somebody else", "");
    let document = Document::parse(&text, "all.yaml").unwrap();
    assert_eq!(document.to_text().matches("platform-team").count(), 1);
    assert_eq!(there_and_back(&document), document);
    let nobody = Document::parse(&EVERYTHING.replace("owner: platform-team\n", ""), "all.yaml").unwrap();
    assert_eq!(there_and_back(&nobody), nobody);
}

#[test]
fn a_group_that_code_changed_in_one_rule_is_written_out_there() {
    let mut document = everything();
    let web = Arc::make_mut(&mut document.policies[0]);
    let mut second = web.rules[0].clone();
    second.remote.set = net("10.20.0.0/17");
    web.rules.push(second);
    let restored = there_and_back(&document);
    let texts = [0, 6].map(|i| restored.policies[0].rules[i].remote.text.as_str());
    assert_eq!(texts, ["office", "10.20.0.0/17"]);
}

#[test]
fn words_that_do_not_mean_their_addresses_are_replaced() {
    for text in [
        "any",
        "office",
        "nobody",
        "10.0.0.0/8, ",
        "10.9.9.9/8",
        "no such",
        "a except b",
        "",
        " except any",
        "::ffff:1.2.3.4",
        "\n",
    ] {
        let mut document = everything();
        let rule = &mut Arc::make_mut(&mut document.policies[0]).rules[0];
        (rule.remote.text, rule.remote.set) = (text.to_owned(), net("192.168.0.0/16"));
        assert_eq!(there_and_back(&document).policies[0].rules[0].remote.text, "192.168.0.0/16", "{text:?}");
    }
}

#[test]
fn sets_that_code_emptied_stay_empty() {
    let mut document = everything();
    document.ephemeral = PortSet::empty();
    let rules = &mut Arc::make_mut(&mut document.policies[0]).rules;
    rules[0].remote.set = AddrSet::empty();
    rules[0].ports.as_mut().unwrap().local = PortSet::empty();
    rules[3].local = Some(AddrSet::empty());
    rules[3].ports.as_mut().unwrap().remote = PortSet::empty();
    there_and_back(&document);
    let refused = Document::parse(&document.to_text(), "t").unwrap_err().to_string();
    assert_eq!((refused.matches("no address at all").count(), refused.matches("empty list of ports").count()), (2, 3));
}

#[test]
fn addresses_that_no_prefix_may_name_come_back() {
    let mut document = everything();
    let all_but = |text| AddrSet::full().subtract(&net(text));
    let rules = &mut Arc::make_mut(&mut document.policies[0]).rules;
    rules[0].remote.set = net("::fffe:0:0/95").subtract(&net("::fffe:0:0/96"));
    rules[1].remote.set = all_but("::ffff:0:0/112");
    rules[2].remote.set = net("0.0.0.0/0");
    rules[3].local = Some(all_but("10.0.0.0/8"));
    there_and_back(&document);
}

/// What the text cannot hold is refused when it is read, never read as something else.
#[test]
fn documents_that_make_no_sense_are_refused() {
    type Change = fn(&mut Document);
    let cases: [(&str, Change); 9] = [
        ("deny has no replies", |d| Arc::make_mut(&mut d.policies[0]).rules[2].replies = true),
        ("protocol 47 has no ports", |d| Arc::make_mut(&mut d.policies[0]).rules[4].names_local_ports = true),
        ("is there already", |d| Arc::make_mut(&mut d.policies[1]).name = "web".to_owned()),
        ("instead of a word", |d| Arc::make_mut(&mut d.bindings[0]).policy = 7),
        ("is bound to shop-1", |d| Arc::make_mut(&mut d.bindings[1]).ips = d.bindings[0].ips.clone()),
        ("is not a text for reason", |d| reason(d, "one\ntwo")),
        ("is not a date", |d| {
            Arc::make_mut(&mut Arc::make_mut(&mut d.bindings[0]).origin).until = Some("soon".to_owned())
        }),
        ("is a group address", |d| Arc::make_mut(&mut d.bindings[0]).mac = MacAddr::BROADCAST),
        ("is not a policy", |d| Arc::make_mut(&mut d.policies[0]).name = "a: b".to_owned()),
    ];
    for (wanted, change) in cases {
        let mut document = everything();
        change(&mut document);
        let refused = Document::restore(&document.to_text(), "t.yaml", &document.origin_lines()).unwrap_err();
        let wanted = if wanted == "is not a policy" { "is not a name for a policy" } else { wanted };
        assert!(refused.to_string().contains(wanted), "{wanted}: {refused}");
    }
    let mut document = everything();
    let rule = &mut Arc::make_mut(&mut document.policies[0]).rules[0];
    rule.names_local_ports = false;
    let restored = Document::restore(&document.to_text(), "t.yaml", &document.origin_lines()).unwrap();
    assert!(restored.policies[0].rules[0].ports.as_ref().unwrap().local.is_empty(), "closed, not open to more replies");
}

fn reason(document: &mut Document, text: &str) {
    let rule = &mut Arc::make_mut(&mut document.policies[0]).rules[0];
    rule.origin = Arc::new(Origin { reason: Some(text.to_owned()), ..(*rule.origin).clone() });
}

#[test]
fn lines_that_belong_to_another_text_are_refused() {
    let document = everything();
    let mut lines = document.origin_lines();
    lines.pop();
    let refused = Document::restore(&document.to_text(), "all.yaml", &lines).unwrap_err().to_string();
    assert_eq!(
        refused,
        "all.yaml:1:1: the document has 17 places, and 16 lines were given; expected one line for each place; give the \
         lines that belong to this text"
    );
}

#[test]
fn documents_larger_than_a_file_may_be_come_back() {
    let mut document = everything();
    let even = (0..60_000u32).map(|i| IpAddr::from((0x0a00_0000 + 2 * i).to_be_bytes()));
    Arc::make_mut(&mut document.policies[0]).rules[1].remote.set = even.collect();
    let wide = document.policies[0].rules[1].clone();
    Arc::make_mut(&mut document.policies[0]).rules.extend([wide.clone(), wide]);
    assert!(document.to_text().len() > 1 << 20);
    assert!(Document::parse(&document.to_text(), "t").unwrap_err().to_string().contains("at most 1048576"));
    there_and_back(&document);
}

#[test]
fn documents_made_in_code_come_back() {
    let office: IpNet = "10.20.0.0/16".parse().unwrap();
    let allow = RuleBuilder::allow(Direction::Rx).proto(Proto::TCP).reason("- \"x\"\\: # y").local_ports([0..=65535]);
    let deny = RuleBuilder::deny(Direction::Tx).remote(AddrExpr::of(["except"]).except([IpAddr::from([10, 20, 0, 1])]));
    let container = BindingBuilder::new("a,:#\u{e9}b", MacAddr([2; 6]), Attach::None, "except").shares_mac();
    let document = Document::builder("agent")
        .unbound(Verdict::Deny)
        .multicast(Verdict::Deny)
        .on_expiry(OnExpiry::Withdraw)
        .group("except", [office])
        .policy("except", [allow.remote(["except"]), deny])
        .binding(container.ip("10.0.0.1".parse().unwrap()))
        .build()
        .unwrap();
    assert!(!document.bindings[0].owns_mac);
    assert_eq!(there_and_back(&document), document);
    let document = Document::builder("agent").unbound(Verdict::Allow).multicast(Verdict::Allow).build().unwrap();
    assert_eq!(there_and_back(&document), document, "an empty document");
}

proptest! {
    #[test]
    fn any_text_of_an_origin_comes_back(
        texts in prop::collection::vec(prop::option::of("\\PC{1,60}"), 3),
        container in "[^\\s\\pC]{1,60}",
        name in "[A-Za-z_][A-Za-z0-9_.-]{0,63}",
    ) {
        let mut document = everything();
        let rule = &mut Arc::make_mut(&mut document.policies[0]).rules[0];
        let [owner, reason, ticket] = [0, 1, 2].map(|i: usize| texts[i].clone());
        rule.origin = Arc::new(Origin { owner, reason, ticket, ..(*rule.origin).clone() });
        document.groups = Arc::new([(name.clone(), rule.remote.set.clone())].into());
        rule.remote.text = name.clone();
        Arc::make_mut(&mut document.policies[1]).name = name;
        Arc::make_mut(&mut document.bindings[0]).container = container;
        let text = document.to_text();
        match Document::restore(&text, "all.yaml", &document.origin_lines()) {
            Ok(restored) => {
                prop_assert_eq!(restored.to_text(), text);
                prop_assert_eq!(without_words(restored), without_words(document));
            }
            // Characters that turn the writing direction, names that are there already.
            Err(errors) => prop_assert!(errors.errors().iter().all(|error| error.text().contains(" is no ")
                || error.text().contains("is there already")), "{}", errors),
        }
    }
}

const DATED: &str = r#"nicfw: 1
unbound: allow
multicast: deny
management:
  - {allow: in, proto: tcp, local_ports: 22, until: 2026-11-22}
policies:
  web:
    - {deny: in, remote: 10.9.0.0/16, until: 2026-11-22}
    - {allow: in, proto: tcp, local_ports: 80, until: 2026-11-23}
    - {allow: in, proto: tcp, local_ports: 443, until: "2026-11-23T08:30:00Z"}
    - {allow: in, proto: tcp, local_ports: 8080}
  rest: [{allow: in}]
  expired: [{allow: in}]
bindings:
  - {container: a, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: sriov, policy: web}
  - {container: b, ip: 10.30.1.18, mac: "02:00:0a:1e:01:12", attach: sriov, policy: rest, until: 2026-11-23}
"#;

fn at(date: &str) -> Timestamp {
    date.parse().unwrap()
}

fn lines(document: &Document, date: &str) -> Vec<u32> {
    document.expired(at(date)).iter().map(|origin| origin.line).collect()
}

fn verdict(document: &Document, flow: &str) -> Verdict {
    let flows = flow.parse::<FlowText>().unwrap().judgements(document).unwrap();
    document.decide(&flows[0]).verdict
}

#[test]
fn a_date_is_good_up_to_its_last_second() {
    let document = Document::parse(DATED, "t.yaml").unwrap();
    assert_eq!(document.on_expiry, OnExpiry::Report);
    assert_eq!(lines(&document, "2026-11-22T23:59:59.999Z"), Vec::<u32>::new());
    assert_eq!(lines(&document, "2026-11-23T00:00:00Z"), [5, 8]);
    assert_eq!(lines(&document, "2026-11-23T08:30:00.999Z"), [5, 8]);
    assert_eq!(lines(&document, "2026-11-23T08:30:01Z"), [5, 8, 10]);
    assert_eq!(lines(&document, "2026-11-24T00:00:00Z"), [5, 8, 9, 10, 16]);
}

#[test]
fn what_has_expired_is_closed_and_denies_stay() {
    let document = Document::parse(DATED, "t.yaml").unwrap();
    assert_eq!(document.without_expired(at("2026-11-22T12:00:00Z")), document);
    let left = document.without_expired(at("2026-11-24T00:00:00Z"));
    assert!(left.management.is_empty());
    let stays: Vec<_> = left.policies[0].rules.iter().map(|rule| rule.origin.line).collect();
    assert_eq!(stays, [8, 11], "the deny, although its time is over, and the rule without a date");
    for (flow, before, after) in [
        ("tcp 10.20.0.1:50000 > 10.30.1.17:22", Verdict::Allow, Verdict::Deny),
        ("tcp 10.20.0.1:50000 > 10.30.1.17:80", Verdict::Allow, Verdict::Deny),
        ("tcp 10.20.0.1:50000 > 10.30.1.17:443", Verdict::Allow, Verdict::Deny),
        ("tcp 10.20.0.1:50000 > 10.30.1.17:8080", Verdict::Allow, Verdict::Allow),
        ("tcp 10.9.0.1:50000 > 10.30.1.17:8080", Verdict::Deny, Verdict::Deny),
        ("tcp 10.20.0.1:50000 > 10.30.1.18:8080", Verdict::Allow, Verdict::Deny),
    ] {
        assert_eq!((verdict(&document, flow), verdict(&left, flow)), (before, after), "{flow}");
    }
    // The name of the policy was taken by one with rules.
    let empty = &left.policies[left.bindings[1].policy];
    assert_eq!((empty.name.as_str(), empty.rules.len()), ("expired-2", 0));
    assert!(
        Arc::ptr_eq(&left.policies[1], &document.policies[1]) && Arc::ptr_eq(&left.bindings[0], &document.bindings[0])
    );
    assert_eq!(left.without_expired(at("2026-11-24T00:00:00Z")), left, "done once");
    assert_eq!(there_and_back(&left), left);
}

#[test]
fn a_date_that_nobody_can_read_has_passed() {
    let mut document = Document::parse(DATED, "t.yaml").unwrap();
    let rule = &mut Arc::make_mut(&mut document.policies[0]).rules[3];
    rule.origin = Arc::new(Origin { until: Some("next year".to_owned()), ..(*rule.origin).clone() });
    assert_eq!(lines(&document, "2020-01-01T00:00:00Z"), [11]);
}

#[test]
fn a_mac_that_a_withdrawn_rule_named_is_still_the_host_s() {
    let text = DATED.replace("local_ports: 22,", "local: 10.30.0.5, mac: \"02:00:0a:1e:01:11\", local_ports: 22,");
    let document = Document::parse(&text, "t.yaml").unwrap();
    let left = document.without_expired(at("2026-11-24T00:00:00Z"));
    assert!(left.management.is_empty() && !left.bindings[0].owns_mac && left.bindings[1].owns_mac);
    assert_eq!(there_and_back(&left), left);
}

#[test]
fn unknown_words_of_the_keys_are_refused() {
    for (text, wanted) in [
        ("expired: close", "expected report or withdraw"),
        ("expired: withdrow", "did you mean withdraw?"),
        ("expired: [report]", "a list instead of a word"),
    ] {
        let refused = Document::parse(&DATED.replace("multicast: deny", &format!("multicast: deny\n{text}")), "t.yaml");
        assert!(refused.unwrap_err().to_string().contains(wanted), "{text}");
    }
    let refused = Document::parse(&DATED.replace("attach", "owns_mac: yes, attach"), "t.yaml").unwrap_err();
    assert!(refused.to_string().contains("expected owns_mac: no"), "{refused}");
}
