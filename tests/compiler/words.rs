//! What the compiler says: refusals, explanations, openings and differences, word for word.

use nicfw::policy::{Document, FlowText};
use nicfw::tables::{Action, Compiled, OriginId, Table, Target};
use nicfw::terms::Verdict;

fn parse(text: &str) -> Document {
    Document::parse(text, "web.yaml").unwrap_or_else(|e| panic!("{e}"))
}

fn web(rules: &[&str], binding: &str) -> Document {
    let rules: Vec<_> = rules.iter().map(|rule| format!("    - {{{rule}}}\n")).collect();
    let rules = if rules.is_empty() { "    []\n".to_owned() } else { rules.concat() };
    parse(&format!(
        "nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web:\n{rules}bindings:\n  - {{container: shop-1, mac: \"02:00:0a:1e:01:11\", \
         attach: {{macvlan: vepa}}, policy: web, {binding}}}\n"
    ))
}

const V4: &str = "ip: 10.30.1.17";
const V6: &str = "ip: 2001:db8::17, nd: open-icmpv6";

fn refusal(document: &Document, target: &Target) -> String {
    Compiled::new(document, target, None).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn refusals() {
    let full = Target::profile0();
    let mut three_ids = Target::profile0();
    three_ids.sizes.subnet_id_max = three_ids.sizes.subnet_id_min + 2;
    let mut few_rules = Target::profile0();
    few_rules.profile.rules = 4;
    let mut few_combinations = Target::profile0();
    few_combinations.profile.combinations = 3;
    let nets = [
        "allow: in, proto: tcp, local_ports: 80, remote: 10.1.0.0/16",
        "allow: in, proto: tcp, local_ports: [81, 82], remote: [10.2.0.0/16, 10.1.0.0/17]",
        "allow: in, proto: tcp, local_ports: 83, remote: 10.3.0.0/16",
    ];
    let one = ["allow: in, proto: tcp, local_ports: [80, 90], remote: 10.1.0.0/16"];
    let cases: [(&[&str], &str, &Target, &str); 13] = [
        (
            &nets,
            V4,
            &three_ids,
            "web.yaml:6: does not fit: 2 subnet ids missing (0 free); largest user: policy web, 4. Nothing was sent. \
             See: nicfw plan --by policy",
        ),
        (
            &[nets[0], nets[2]],
            V4,
            &few_rules,
            "web.yaml:6: does not fit: 1 rules missing (0 free); largest user: policy web, 5. Nothing was sent. \
             See: nicfw plan --by policy",
        ),
        (
            &one,
            V4,
            &few_combinations,
            "web.yaml:6: does not fit: 1 combinations of match fields missing (0 free); largest user: policy web, 1. \
             Nothing was sent. See: nicfw plan --by policy",
        ),
        (
            &["deny: in, proto: tcp, local_ports: 22", "allow: in, proto: tcp"],
            V4,
            &full,
            "web.yaml:7: tcp frames without ports (later fragments) are allowed here, but with local ports 22 they are \
             denied by web.yaml:6; an entry without ports would allow both. Name ports in this rule. Nothing was sent",
        ),
        (
            &["allow: out"],
            V4,
            &full,
            "web.yaml:6: every protocol is allowed here, but tcp without ports (a later fragment) is allowed by no rule; an entry without a \
             protocol would allow both. Name protocols in this rule, or say replies: no. Nothing was sent",
        ),
        (
            &["deny: in, proto: icmp", "allow: in"],
            V4,
            &full,
            "web.yaml:7: every protocol is allowed here, but icmp is denied by web.yaml:6; an entry without a \
             protocol would allow both. Name protocols in this rule. Nothing was sent",
        ),
        (
            &["allow: in, proto: tcp, local_ports: 80, remote: \"2001:db8::/32\""],
            V6,
            &full,
            "web.yaml:6: the subnet map holds IPv4 prefixes only, and what is left of this rule's IPv6 remotes is neither \
             all addresses nor a few single ones. Name single IPv6 addresses. Nothing was sent",
        ),
        (
            &["allow: out, proto: tcp, remote_ports: 80"],
            V6,
            &full,
            "web.yaml:6: an entry names all IPv6 addresses or a single one, and multicast: deny takes the groups away from \
             this rule's. Say multicast: allow (which needs unbound: allow), or name single IPv6 addresses. Nothing was sent",
        ),
        (
            &["allow: in, proto: tcp, local_ports: 443"],
            V6,
            &full,
            "web.yaml:6: an entry names all IPv6 addresses or a single one, and multicast: deny takes the groups away from \
             those to which this rule's replies go. Say multicast: allow (which needs unbound: allow), or replies: no, or \
             name single IPv6 addresses. Nothing was sent",
        ),
        (
            &["allow: in, proto: tcp, local_ports: 443, remote: \"2001:db8::\""],
            V6,
            &full,
            "web.yaml:6: the rule table cannot hold an entry for this: remote address 2001:db8:: cannot be matched: in an \
             entry it has the same bytes as the IPv4 address 32.1.13.184. Name other addresses, or take this one out with \
             except: [\"2001:db8::\"]. Nothing was sent",
        ),
        (
            &["allow: out, proto: tcp, remote: [\"2001:db8::9\", \"2001:db9::\"]"],
            V6,
            &full,
            "web.yaml:6: the rule table cannot hold an entry for this: remote address 2001:db9:: cannot be matched: in an \
             entry it has the same bytes as the IPv4 address 32.1.13.185. Name other addresses, or take this one out with \
             except: [\"2001:db9::\"]. Nothing was sent",
        ),
        (
            &[],
            "ip: \"2001:db8::\", nd: open-icmpv6",
            &full,
            "web.yaml:8: the rule table cannot hold an entry for this: local address 2001:db8:: cannot be matched: in an \
             entry it has the same bytes as the IPv4 address 32.1.13.184. Bind or name another address. Nothing was sent",
        ),
        (
            &[],
            "ip: 10.30.1.17, physical_ports: 2",
            &full,
            "web.yaml:8: physical port 2: the adapter has 2, counted from 0. Nothing was sent",
        ),
    ];
    for (rules, binding, target, expected) in cases {
        assert_eq!(refusal(&web(rules, binding), target), expected);
    }
    let mut drops = Target::profile0();
    drops.profile.no_match = Verdict::Deny;
    assert_eq!(
        refusal(&web(&[], V4), &drops),
        "web.yaml: unbound: allow needs an adapter that lets through what no entry decides. Nothing was sent"
    );
}

#[test]
fn the_ways_out_that_refusals_name_lead_out() {
    // multicast: allow; replies: no; another address.
    let text = web(&["allow: in, proto: tcp, local_ports: 443"], V6).to_text();
    let says =
        |text: &str| Compiled::new(&Document::parse(text, "web.yaml").unwrap(), &Target::profile0(), None).is_ok();
    assert!(!says(&text));
    assert!(says(&text.replace("multicast: deny", "multicast: allow")));
    assert!(says(&text.replace("local_ports: 443", "local_ports: 443, replies: no")), "{text}");
    for (remote, fits) in [("\"2001:db8::\"", false), ("\"2001:db8::9\"", true)] {
        let rule = format!("allow: in, proto: tcp, local_ports: 443, remote: {remote}");
        assert_eq!(says(&web(&[&rule], V6).to_text()), fits);
    }
}

/// The case that was found: frames of the host, whose entries name its MAC, on adapters with one port and with an odd number.
#[test]
fn verdicts_that_depend_on_the_port_are_proved_on_any_number_of_ports() {
    let management = r#"
nicfw: 1
unbound: deny
multicast: deny
management:
  - {allow: in, proto: tcp, local_ports: 22, remote: 10.20.0.1, local: 10.30.0.1, mac: "02:00:0a:1e:00:01", reason: host}
policies: {p0: []}
bindings: []
"#;
    let at_port = r#"
nicfw: 1
unbound: allow
multicast: deny
policies: {p0: [{allow: in, proto: tcp, local_ports: 22, remote: 10.20.0.1}]}
bindings: [{container: a, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: sriov, physical_ports: 0, policy: p0}]
"#;
    for text in [management, at_port] {
        for physical_ports in 1..=5 {
            let target = Target { physical_ports, ..Target::profile0() };
            let document = Document::parse(text, "ports.yaml").unwrap_or_else(|error| panic!("{error}"));
            Compiled::new(&document, &target, None).unwrap_or_else(|error| panic!("{physical_ports} ports: {error}"));
        }
    }
}

const EXAMPLE: [&str; 2] = [
    "allow: in, proto: tcp, local_ports: [80, 443], remote: 10.20.0.0/15, ticket: CHG-1042",
    "allow: out, proto: udp, remote: 10.0.0.53, remote_ports: 53",
];

#[test]
fn openings_are_in_the_words_of_the_rules() {
    let compiled = Compiled::new(&web(&EXAMPLE, V4), &Target::profile0(), None).unwrap();
    let openings: Vec<_> = compiled.document().openings().iter().map(ToString::to_string).collect();
    assert_eq!(
        openings,
        [
            "10.0.0.53 from udp 53 may reach shop-1 udp 32768-60999 unasked: web.yaml:7",
            "shop-1 from tcp 80,443 may reach 10.20.0.0/15 tcp unasked: web.yaml:6",
            "any container with an IPv4 address may claim foreign addresses by ARP, and others may claim its: what ARP says is \
             not seen: web.yaml",
            "any host may reach every container by group and broadcast addresses: web.yaml (unbound: allow)",
        ]
    );
    let v6 = Compiled::new(&web(&[], V6), &Target::profile0(), None).unwrap();
    assert_eq!(
        v6.document().openings()[0].to_string(),
        "any host or group may exchange icmpv6 of every type with shop-1, also router advertisements, redirects and neighbour \
         advertisements for foreign addresses: web.yaml:8 (nd: open-icmpv6)"
    );
}

fn explain(compiled: &Compiled, flow: &str) -> Vec<String> {
    let flow: FlowText = flow.parse().unwrap();
    let flows = flow.judgements(compiled.document()).unwrap();
    flows.iter().map(|flow| compiled.explain(flow).to_string()).collect()
}

#[test]
fn explanations_name_rule_and_entry() {
    let compiled = Compiled::new(&web(&EXAMPLE, V4), &Target::profile0(), None).unwrap();
    let mac = "local_mac=02:00:0a:1e:01:11";
    assert_eq!(
        explain(&compiled, "tcp 10.20.3.4:51000 > 10.30.1.17:443"),
        [format!(
            "in: allow: policy web, rule 1 (web.yaml:6); entry local_ip=10.30.1.17 {mac} ether_type=0x0800 ip_proto=6 \
             remote_subnet=56001 local_portrange=2"
        )]
    );
    assert_eq!(
        explain(&compiled, "udp 10.30.1.17:40000 > 10.0.0.53:53"),
        [format!(
            "out: allow: policy web, rule 2 (web.yaml:7); entry local_ip=10.30.1.17 {mac} ether_type=0x0800 ip_proto=17 \
             remote_ip=10.0.0.53 remote_port=53"
        )]
    );
    assert_eq!(
        explain(&compiled, "tcp 10.99.3.4:51000 > 10.30.1.17:443"),
        ["in: deny: no rule of policy web matches for shop-1 (web.yaml:9); entry local_ip=10.30.1.17"]
    );
    assert_eq!(
        explain(&compiled, "tcp 10.99.3.4:51000 > 10.30.1.99:443 in"),
        ["in: allow: nobody bound the address (unbound); no entry"]
    );
}

#[test]
fn a_packet_between_two_bindings_is_explained_twice() {
    let text = r#"nicfw: 1
unbound: deny
multicast: deny
policies:
  open: [{allow: out, proto: tcp, remote_ports: 80}]
  shut: []
bindings:
  - {container: a, ip: 10.0.0.1, mac: "02:00:00:00:00:01", attach: sriov, policy: open}
  - {container: b, ip: 10.0.0.2, mac: "02:00:00:00:00:02", attach: sriov, policy: shut}
"#;
    let compiled = Compiled::new(&parse(text), &Target::profile0(), None).unwrap();
    let packet = nicfw::terms::Packet {
        src_mac: "02:00:00:00:00:01".parse().unwrap(),
        dst_mac: "02:00:00:00:00:02".parse().unwrap(),
        outer_vlan: None,
        inner_vlan: None,
        ether_type: 0x0800,
        ip: Some(nicfw::terms::IpHeader {
            src: "10.0.0.1".parse().unwrap(),
            dst: "10.0.0.2".parse().unwrap(),
            proto: Some(6),
            ports: Some((40_000, 80)),
        }),
    };
    let verdicts: Vec<_> = compiled.explain_packet(&packet, 0).iter().map(|e| e.verdict()).collect();
    assert_eq!(verdicts, [Verdict::Allow, Verdict::Deny]);
}

#[test]
fn differences_are_regions_with_a_witness() {
    let old = Compiled::new(&web(&EXAMPLE, V4), &Target::profile0(), None).unwrap();
    let new = web(&["allow: in, proto: tcp, local_ports: 443, remote: 10.20.0.0/15", EXAMPLE[1]], V4);
    let new = Compiled::new(&new, &Target::profile0(), Some(&old)).unwrap();
    let words: Vec<_> = old.diff(&new).iter().map(ToString::to_string).collect();
    let local = "shop-1 10.30.1.17 by 02:00:0a:1e:01:11";
    assert_eq!(
        words,
        [
            format!("newly denied in: {local}, tcp, remote 10.20.0.0/15, remote ports 0-65535, local ports 80"),
            format!("newly denied out: {local}, tcp, remote 10.20.0.0/15, remote ports 0-65535, local ports 80"),
        ]
    );
    assert_eq!(new.diff(&old)[0].verdict, Verdict::Allow);
}

#[test]
fn counters_belong_to_bindings_and_rules_and_run_out_quietly() {
    let document = web(&EXAMPLE, V4);
    let compiled = Compiled::new(&document, &Target::profile0(), None).unwrap();
    let slots = compiled.counter_slots();
    assert_eq!(slots.values().filter(|slot| slot.base.is_some()).count(), 2, "IP and MAC own one each");
    let both_ways = |slot: &&nicfw::tables::CounterSlot| slot.rx == [OriginId(0)] && slot.tx == [OriginId(0)];
    assert_eq!(slots.values().filter(both_ways).count(), 1, "one entry carries rule 1 both ways");
    let mut few = Target::profile0();
    few.profile.counters = 3;
    let compiled = Compiled::new(&document, &few, None).unwrap();
    let counted: Vec<_> = compiled.image().rules.iter().filter(|(_, entry)| entry.counter.is_some()).collect();
    assert_eq!((counted.len(), counted.iter().filter(|(key, _)| key.is_base()).count()), (3, 2));
    let said = "3 entries go without a counter: 6 counters are needed, the adapter has 3";
    assert!(compiled.warnings().iter().any(|warning| warning == said), "{:?}", compiled.warnings());
    let usage = compiled.usage().iter().find(|usage| usage.table == Table::Counters).unwrap();
    assert_eq!((usage.used(), usage.free(), usage.missing()), (3, 0, 3));
}

#[test]
fn ids_and_counters_of_what_stays_are_kept() {
    let more = "allow: in, proto: tcp, local_ports: [8000, 8001], remote: 10.1.0.0/16";
    let target = Target::profile0();
    let old = Compiled::new(&web(&EXAMPLE, V4), &target, None).unwrap();
    let new = Compiled::new(&web(&[more, EXAMPLE[0], EXAMPLE[1]], V4), &target, Some(&old)).unwrap();
    for (key, entry) in &old.image().rules {
        let after = new.image().rules.get(key).unwrap_or_else(|| panic!("{key} is there no more"));
        assert_eq!(
            (after.rx.action, after.tx.action, after.counter),
            (entry.rx.action, entry.tx.action, entry.counter)
        );
    }
    let back = Compiled::new(&web(&EXAMPLE, V4), &target, Some(&new)).unwrap();
    // Origins may have other numbers, and stand for the same.
    let content = |compiled: &Compiled| {
        let who = |side: &nicfw::tables::Side| {
            side.origins.iter().map(|id| compiled.origin(*id).unwrap()).collect::<Vec<_>>()
        };
        let entry = |(key, entry): (&nicfw::tables::RuleKey, &nicfw::tables::ImageEntry)| {
            let (rx, tx) = (who(&entry.rx), who(&entry.tx));
            (*key, entry.rx.action, entry.tx.action, entry.counter, rx, tx)
        };
        compiled.image().rules.iter().map(entry).collect::<Vec<_>>()
    };
    assert_eq!(content(&back), content(&old));
    let allows = |compiled: &Compiled| {
        let is = |action: Action| action.verdict() == Some(Verdict::Allow);
        compiled.image().rules.values().filter(|entry| is(entry.rx.action) || is(entry.tx.action)).count()
    };
    assert_eq!((allows(&old), allows(&new)), (4, 5));
}

#[test]
fn samples_follow_their_rules_into_the_entries() {
    let sampled = web(&["allow: in, proto: tcp, local_ports: 80, sample: true", EXAMPLE[1]], V4);
    let compiled = Compiled::new(&sampled, &Target::profile0(), None).unwrap();
    let samples = |action: &Action| *action == Action::Allow { sample: true };
    let rules = &compiled.image().rules;
    let entries: Vec<_> =
        rules.values().filter(|entry| samples(&entry.rx.action) || samples(&entry.tx.action)).collect();
    assert!(!entries.is_empty());
    assert!(entries.iter().all(|entry| {
        let sides = [&entry.rx, &entry.tx].into_iter().filter(|side| samples(&side.action));
        sides.into_iter().all(|side| side.origins == [OriginId(0)])
    }));
    assert_eq!(
        refusal(&web(&["deny: in, proto: tcp, sample: true"], V4), &Target::profile0()),
        "web.yaml:6: a deny is not an entry of its own under this adapter's lookup order, so it cannot be sampled. \
         Leave sample out. Nothing was sent"
    );
}
