//! What holds for every document: hostile text never panics the reader, code and text mean the same, and a reply always
//! answers the rule that it names.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;
use nicfw::policy::{
    AddrExpr, AddrTerm, Attach, BindingBuilder, Document, MacvlanMode, Origin, Proto, RuleBuilder, Why,
};
use nicfw::terms::{Direction, Flow, IpFlow, MacAddr, Ports, Verdict};
use proptest::prelude::*;

const EXAMPLE: &str = r#"nicfw: 1
unbound: allow
multicast: deny
owner: platform-team # default origin of what follows
ephemeral: [1024-2047, 5000]
groups:
  office: [10.20.0.0/16, "2001:db8::/32"]
  guests: {of: office, except: [10.20.99.0/24]}
management:
  - {allow: in, proto: tcp, local: 10.30.0.5, local_ports: 22, mac: "02:00:0a:1e:00:05"}
policies:
  web:
    - {allow: in, proto: tcp, local_ports: [80, "443-444"], remote: office, reason: shop front, ticket: CHG-1042}
    - allow: out
      proto: udp
      remote: 10.0.0.53
      remote_ports: 53
      replies: no
      until: 2026-12-31
bindings:
  - {container: shop-1, ip: [10.30.1.17, "2001:db8::17"], mac: "02:00:0a:1e:01:11", attach: {macvlan: vepa},
     policy: web, nd: open-icmpv6, vlan: 100, physical_ports: [0, 1]}
"#;

/// A change of a text: at a place, this many characters become others.
#[derive(Debug, Clone)]
struct Edit {
    at: prop::sample::Index,
    removed: usize,
    inserted: String,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let bits = prop::sample::select(vec![
        "",
        " ",
        "\n",
        "\t",
        ":",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\"",
        "'",
        "#",
        "&a",
        "*a",
        "!!str ",
        "|\n",
        ">\n",
        "? ",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "<<",
        "~",
        "\u{feff}",
        "\u{0}",
        "\u{1b}",
        "\u{85}",
        "\u{2028}",
        "é",
        "4294967296",
        "-1",
        "\"\\n\\u202e\"",
        "/33",
        "any",
        "policies:",
        "\r\n",
        "\\x",
        "@",
        "`",
    ]);
    let edit = (any::<prop::sample::Index>(), 0usize..12, bits).prop_map(|(at, removed, inserted)| Edit {
        at,
        removed,
        inserted: inserted.to_owned(),
    });
    prop::collection::vec(edit, 1..8)
}

fn edited(text: &str, edits: &[Edit]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for edit in edits {
        let at = edit.at.index(chars.len() + 1);
        let end = (at + edit.removed).min(chars.len());
        chars.splice(at..end, edit.inserted.chars());
    }
    chars.into_iter().collect()
}

/// Errors have places in the text and one line each.
fn errors_are_sound(text: &str) -> Result<(), TestCaseError> {
    let Err(errors) = Document::parse(text, "t.yaml") else { return Ok(()) };
    let lines = u32::try_from(text.split('\n').count()).unwrap();
    prop_assert!(!errors.errors().is_empty());
    for error in errors.errors() {
        prop_assert!((1..=lines + 1).contains(&error.line()), "{error} in {lines} lines");
        prop_assert!(error.column() >= 1);
        prop_assert!(!error.to_string().contains(|c: char| c.is_control()), "{error:?}");
    }
    Ok(())
}

/// A rule that can be said both ways.
#[derive(Debug, Clone)]
struct RuleSpec {
    direction: Direction,
    action: Verdict,
    proto: Proto,
    remote: Vec<AddrTerm>,
    except: Vec<AddrTerm>,
    remote_ports: Option<Vec<RangeInclusive<u16>>>,
    local_ports: Option<Vec<RangeInclusive<u16>>>,
    local: Option<IpAddr>,
    replies: Option<bool>,
    sample: bool,
    reason: Option<&'static str>,
}

/// The container at an index has this address.
fn address(index: usize) -> IpAddr {
    Ipv4Addr::new(10, 30, 1, 1 + u8::try_from(index).unwrap()).into()
}

fn terms() -> impl Strategy<Value = Vec<AddrTerm>> {
    let net = |text: &str| AddrTerm::Net(text.parse::<IpNet>().unwrap());
    let pool = vec![
        net("10.20.0.0/15"),
        net("10.20.0.0/16"),
        net("10.20.3.4/32"),
        net("10.30.1.1/32"),
        net("224.0.0.0/4"),
        net("2001:db8::/32"),
        AddrTerm::Group("office".to_owned()),
        AddrTerm::Any,
    ];
    prop::collection::vec(prop::sample::select(pool), 1..3)
}

fn ports() -> impl Strategy<Value = Option<Vec<RangeInclusive<u16>>>> {
    let range = prop::sample::select(vec![53..=53, 443..=443, 0..=65535, 1..=1023, 32768..=40000]);
    prop::option::weighted(0.6, prop::collection::vec(range, 1..3))
}

fn rules() -> impl Strategy<Value = RuleSpec> {
    let protos = vec![Proto::Any, Proto::TCP, Proto::UDP, Proto::SCTP, Proto::ICMP, Proto::Is(47)];
    let direction = prop::sample::select(vec![Direction::Rx, Direction::Tx]);
    let action = prop::sample::select(vec![Verdict::Allow, Verdict::Allow, Verdict::Deny]);
    let first = (direction, action, prop::sample::select(protos), terms(), prop::option::weighted(0.2, terms()));
    let local = prop::option::weighted(0.2, (0usize..3).prop_map(address));
    let reason =
        prop::option::of(prop::sample::select(vec!["shop front", "a: b # c", "\"quoted\" \\ text", "'", "- x"]));
    let second = (ports(), ports(), local, any::<Option<bool>>(), any::<bool>(), reason);
    (first, second).prop_map(
        |((direction, action, proto, remote, except), (rp, lp, local, replies, sample, reason))| {
            let has_ports = !matches!(proto, Proto::Is(number) if !Proto::has_ports(number));
            RuleSpec {
                direction,
                action,
                proto,
                remote,
                except: except.unwrap_or_default(),
                remote_ports: rp.filter(|_| has_ports),
                local_ports: lp.filter(|_| has_ports),
                local,
                replies: replies.filter(|_| action == Verdict::Allow),
                sample,
                reason,
            }
        },
    )
}

impl RuleSpec {
    fn in_code(&self) -> RuleBuilder {
        let mut rule = match self.action {
            Verdict::Allow => RuleBuilder::allow(self.direction),
            Verdict::Deny => RuleBuilder::deny(self.direction),
        };
        rule = rule.proto(self.proto).remote(AddrExpr::of(self.remote.clone()).except(self.except.clone()));
        if self.sample {
            rule = rule.sample();
        }
        if let Some(ports) = &self.remote_ports {
            rule = rule.remote_ports(ports.clone());
        }
        if let Some(ports) = &self.local_ports {
            rule = rule.local_ports(ports.clone());
        }
        if let Some(local) = self.local {
            rule = rule.local([local]);
        }
        if let Some(replies) = self.replies {
            rule = rule.replies(replies);
        }
        match self.reason {
            Some(reason) => rule.reason(reason),
            None => rule,
        }
    }

    fn in_text(&self) -> String {
        let action = if self.action == Verdict::Allow { "allow" } else { "deny" };
        let direction = if self.direction == Direction::Rx { "in" } else { "out" };
        let mut text = format!("{{{action}: {direction}, proto: {}, remote: {}", self.proto, list(&self.remote));
        let ports = |ports: &[RangeInclusive<u16>]| {
            let words: Vec<_> = ports.iter().map(|range| format!("{}-{}", range.start(), range.end())).collect();
            words.join(", ")
        };
        if !self.except.is_empty() {
            write!(text, ", except: {}", list(&self.except)).unwrap();
        }
        if let Some(said) = &self.remote_ports {
            write!(text, ", remote_ports: [{}]", ports(said)).unwrap();
        }
        if let Some(said) = &self.local_ports {
            write!(text, ", local_ports: [{}]", ports(said)).unwrap();
        }
        if let Some(local) = self.local {
            write!(text, ", local: {local}").unwrap();
        }
        if let Some(replies) = self.replies {
            write!(text, ", replies: {replies}").unwrap();
        }
        if let Some(reason) = self.reason {
            write!(text, ", reason: {reason:?}").unwrap();
        }
        if self.sample { text + ", sample: yes}" } else { text + "}" }
    }
}

fn list(terms: &[AddrTerm]) -> String {
    let words: Vec<_> = terms.iter().map(|term| format!("\"{term}\"")).collect();
    format!("[{}]", words.join(", "))
}

/// A document that can be said both ways: policies and, for each binding, the number of its policy and its VLAN.
#[derive(Debug, Clone)]
struct Spec {
    multicast: Verdict,
    policies: Vec<Vec<RuleSpec>>,
    bindings: Vec<(usize, Option<u16>, Attach)>,
}

fn specs() -> impl Strategy<Value = Spec> {
    let attach = vec![Attach::Sriov, Attach::None, Attach::Macvlan(MacvlanMode::Vepa), Attach::Ipvlan];
    let binding = (0usize..2, prop::option::weighted(0.2, 1u16..4095), prop::sample::select(attach));
    let verdict = prop::sample::select(vec![Verdict::Allow, Verdict::Deny]);
    let policies = prop::collection::vec(prop::collection::vec(rules(), 0..5), 2);
    (verdict, policies, prop::collection::vec(binding, 1..4)).prop_map(|(multicast, policies, bindings)| Spec {
        multicast,
        policies,
        bindings,
    })
}

impl Spec {
    fn in_code(&self) -> Result<Document, nicfw::policy::ParseErrors> {
        let office: IpNet = "10.20.0.0/16".parse().unwrap();
        let mut document = Document::builder("t")
            .unbound(Verdict::Allow)
            .multicast(self.multicast)
            .owner("me")
            .group("office", AddrExpr::of([office]).except([IpAddr::from([10, 20, 9, 9])]));
        for (i, rules) in self.policies.iter().enumerate() {
            document = document.policy(&format!("p{i}"), rules.iter().map(RuleSpec::in_code));
        }
        for (i, (policy, vlan, attach)) in self.bindings.iter().enumerate() {
            let mut binding = BindingBuilder::new(&format!("c{i}"), mac(i), *attach, &format!("p{policy}"));
            binding = binding.ip(address(i)).accept_unprotected().ticket("T-1");
            document = document.binding(match vlan {
                Some(id) => binding.vlan(*id),
                None => binding,
            });
        }
        document.build()
    }

    fn in_text(&self) -> String {
        let multicast = if self.multicast == Verdict::Allow { "allow" } else { "deny" };
        let mut text = format!("nicfw: 1\nunbound: allow\nmulticast: {multicast}\nowner: me\n");
        text += "groups: {office: {of: 10.20.0.0/16, except: 10.20.9.9}}\npolicies:\n";
        for (i, rules) in self.policies.iter().enumerate() {
            let rules: Vec<_> = rules.iter().map(RuleSpec::in_text).collect();
            writeln!(text, "  p{i}: [{}]", rules.join(",\n    ")).unwrap();
        }
        text += "bindings:\n";
        for (i, (policy, vlan, attach)) in self.bindings.iter().enumerate() {
            let attach = match attach {
                Attach::Macvlan(_) => "{macvlan: vepa}".to_owned(),
                other => other.to_string(),
            };
            writeln!(text, "  - container: c{i}\n    ip: {}\n    mac: {}", address(i), mac(i)).unwrap();
            writeln!(text, "    attach: {attach}\n    policy: p{policy}\n    ticket: T-1").unwrap();
            writeln!(text, "    unprotected: accepted").unwrap();
            if let Some(id) = vlan {
                writeln!(text, "    vlan: {id}").unwrap();
            }
        }
        text
    }
}

fn mac(index: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, 1 + u8::try_from(index).unwrap()])
}

/// A document without its places in a text.
fn without_lines(mut document: Document) -> Document {
    let line_0 = |origin: &mut Arc<Origin>| *origin = Arc::new(Origin { line: 0, ..(**origin).clone() });
    for policy in document.policies.iter_mut().map(Arc::make_mut) {
        policy.line = 0;
        policy.rules.iter_mut().for_each(|rule| line_0(&mut rule.origin));
    }
    document.bindings.iter_mut().for_each(|binding| line_0(&mut Arc::make_mut(binding).origin));
    document
}

fn flows() -> impl Strategy<Value = IpFlow> {
    let remotes = ["10.20.3.4", "10.21.3.4", "10.20.9.9", "10.30.1.2", "224.0.0.251", "9.9.9.9"];
    let remote = prop::sample::select(remotes.map(|ip| ip.parse::<IpAddr>().unwrap()).to_vec());
    let proto = prop::sample::select(vec![Some(6u8), Some(17), Some(132), Some(1), Some(47), None]);
    let port = || prop::sample::select(vec![0u16, 53, 443, 1023, 1024, 32767, 32768, 40000, 60999, 61000, 65535]);
    let ports = prop::option::weighted(0.8, (port(), port()).prop_map(|(local, remote)| Ports { local, remote }));
    (0usize..3, remote, proto, ports).prop_map(|(local, remote, proto, ports)| IpFlow {
        local: address(local),
        remote,
        proto,
        ports: ports.filter(|_| proto.is_some_and(Proto::has_ports)),
    })
}

fn judged(document: &Document, ip: IpFlow, direction: Direction) -> nicfw::policy::Decision {
    let binding = document.binding_of(ip.local).map(|(_, binding)| binding);
    document.decide(&Flow {
        direction,
        physical_port: 0,
        local_mac: binding.map_or(MacAddr([2; 6]), |b| b.mac),
        remote_mac: MacAddr([4; 6]),
        outer_vlan: binding.and_then(|b| b.vlan),
        inner_vlan: None,
        ether_type: 0x0800,
        ip: Some(ip),
    })
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,80}") {
        errors_are_sound(&text)?;
    }

    #[test]
    fn text_like_yaml_never_panics(text in "[a-c:,\\-\\[\\]{}\"'#&*!|>%@?\\\\ \n\t0-9]{0,80}") {
        errors_are_sound(&text)?;
    }

    #[test]
    fn changed_documents_never_panic(edits in edits()) {
        errors_are_sound(&edited(EXAMPLE, &edits))?;
    }

    #[test]
    fn text_and_code_mean_the_same(spec in specs()) {
        match (Document::parse(&spec.in_text(), "t"), spec.in_code()) {
            (Ok(text), Ok(code)) => prop_assert_eq!(without_lines(text), code),
            (Err(text), Err(code)) => {
                let words = |errors: &nicfw::policy::ParseErrors| {
                    let mut words: Vec<_> = errors.errors().iter().map(|error| error.text().to_owned()).collect();
                    words.sort();
                    words
                };
                prop_assert_eq!(words(&text), words(&code));
            }
            (text, code) => prop_assert!(false, "text: {text:?}\ncode: {code:?}\n{}", spec.in_text()),
        }
    }

    #[test]
    fn what_is_written_means_the_same(spec in specs(), flows in prop::collection::vec(flows(), 20)) {
        let Ok(document) = Document::parse(&spec.in_text(), "t") else { return Ok(()) };
        let text = document.to_text();
        prop_assert_eq!(&Document::restore(&text, "t", &document.origin_lines()).unwrap(), &document);
        let read = Document::parse(&text, "t").unwrap();
        prop_assert_eq!(without_lines(read.clone()), without_lines(document.clone()));
        prop_assert_eq!(read.to_text(), text);
        for (ip, direction) in flows.into_iter().flat_map(|ip| [(ip, Direction::Rx), (ip, Direction::Tx)]) {
            prop_assert_eq!(judged(&read, ip, direction), judged(&document, ip, direction));
        }
    }

    #[test]
    fn a_reply_answers_the_rule_that_decides_its_mirror(spec in specs(), flows in prop::collection::vec(flows(), 20)) {
        let Ok(document) = spec.in_code() else { return Ok(()) };
        for ip in flows {
            for direction in [Direction::Rx, Direction::Tx] {
                let (here, mirror) = (judged(&document, ip, direction), judged(&document, ip, direction.opposite()));
                if let Why::Rule { place, reply: true, .. } = here.why {
                    prop_assert_eq!(here.verdict, Verdict::Allow);
                    let decided = matches!(mirror.why, Why::Rule { place: p, reply: false, .. } if p == place);
                    prop_assert!(decided && mirror.verdict == Verdict::Allow, "{:?} {:?}", ip, mirror);
                    prop_assert!(document.rule(place).unwrap().replies);
                }
                if let Why::Rule { place, reply: false, .. } = mirror.why {
                    let rule = document.rule(place).unwrap();
                    let unconfined = rule.names_local_ports || rule.direction == Direction::Rx;
                    let earlier = matches!(here.why, Why::Rule { place: p, .. } if p <= place);
                    let multicast = matches!(here.why, Why::Multicast { .. });
                    prop_assert!(earlier || multicast || !rule.replies || !unconfined, "{:?} {:?}", ip, here);
                }
            }
        }
    }
}

/// Texts whose work could grow faster than they do.
#[test]
fn large_hostile_texts_are_refused_in_bounded_work() {
    let head = "nicfw: 1\nunbound: deny\nmulticast: deny\n";
    let chain: String = (1..20_000).map(|i| format!("  g{i}: [g{}, {i}]\n", i - 1)).collect();
    let twice: String = (0..64).map(|i| format!("  h{}: [h{i}, h{i}]\n", i + 1)).collect();
    let spread: String = (0..4000).map(|i| format!("{}.{}.0.1, ", 20 + i / 250, i % 250)).collect();
    let users: String = (0..4000).map(|_| "    - {allow: in, remote: g}\n").collect();
    for (name, text) in [
        ("brackets", "[".repeat(1 << 20)),
        ("braces", "{a: ".repeat(1 << 18)),
        ("dashes", "- ".repeat(1 << 19)),
        ("keys", (0..50_000).map(|i| format!("k{i}: 1\n")).collect()),
        ("chain of groups", format!("{head}groups:\n  g0: 10.0.0.1\n{chain}")),
        ("doubled groups", format!("{head}groups:\n  h0: 10.0.0.1\n{twice}policies: {{web: [allow]}}")),
        ("a wide group in many rules", format!("{head}groups:\n  g: [{spread}]\npolicies:\n  web:\n{users}")),
        ("unknown groups", format!("{head}policies:\n  web:\n{users}")),
        ("beyond the limit", " ".repeat((1 << 20) + 1)),
    ] {
        assert!(Document::parse(&text, name).is_err(), "{name}");
    }
}
