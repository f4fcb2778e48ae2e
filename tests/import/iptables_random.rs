//! Random rule sets, written as `iptables-save` and as nft JSON, against an evaluator of this file.
//!
//! The evaluator follows chains packet by packet, with a connection state and a mark, as the kernel would. A document may
//! allow what it allows as a new connection that goes on, or as the reply to one, whatever the mark is; without states and
//! marks it must agree exactly.

use std::fmt::Write as _;

use nicfw::policy::import::{Effect, Format};
use nicfw::{Direction, Verdict};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{Probe, decide, read, settings};

const LOCAL: u32 = 0x0a1e_0111;
const USER_CHAINS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    Accept,
    Drop,
    Return,
    Jump(usize),
    Goto(usize),
    Nothing,
}

#[derive(Debug, Clone)]
struct Rule {
    /// Negated, third octet and prefix length of 10.0.x.0.
    src: Option<(bool, u32, u32)>,
    dst: Option<(bool, u32, u32)>,
    proto: Option<u8>,
    /// Of TCP and UDP alone.
    dports: Option<(u16, u16)>,
    sports: Option<(u16, u16)>,
    /// New, established.
    state: Option<(bool, bool)>,
    mark: bool,
    target: Target,
}

/// INPUT, OUTPUT, and user chains that call later ones alone.
#[derive(Debug, Clone)]
struct Rules {
    chains: Vec<Vec<Rule>>,
    accept: [bool; 2],
}

#[derive(Debug, Clone, Copy)]
struct Packet {
    probe: Probe,
    new: bool,
    marked: bool,
}

/// Which rules a test makes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Plain,
    Stateful,
}

impl Rule {
    fn matches(&self, packet: &Packet) -> bool {
        let addr = |condition: Option<(bool, u32, u32)>, addr: std::net::IpAddr| {
            let std::net::IpAddr::V4(addr) = addr else { return false };
            condition.is_none_or(|(negated, third, len)| {
                (addr.to_bits() >> (32 - len) == (0x0a00_0000 | third << 8) >> (32 - len)) != negated
            })
        };
        let port = |condition: Option<(u16, u16)>, port: Option<u16>| {
            condition.is_none_or(|(first, last)| port.is_some_and(|port| port >= first && port <= last))
        };
        let probe = &packet.probe;
        addr(self.src, probe.src)
            && addr(self.dst, probe.dst)
            && self.proto.is_none_or(|proto| proto == probe.proto)
            && port(self.sports, probe.ports.map(|ports| ports.0))
            && port(self.dports, probe.ports.map(|ports| ports.1))
            && self.state.is_none_or(|(new, established)| if packet.new { new } else { established })
            && (!self.mark || packet.marked)
    }
}

impl Rules {
    /// The verdict of a chain; `None` = back to the caller.
    fn walk(&self, chain: usize, packet: &Packet) -> Option<bool> {
        for rule in self.chains[chain].iter().filter(|rule| rule.matches(packet)) {
            let decided = match rule.target {
                Target::Accept => Some(true),
                Target::Drop => Some(false),
                Target::Return => return None,
                Target::Goto(target) => return self.walk(target, packet),
                Target::Jump(target) => self.walk(target, packet),
                Target::Nothing => None,
            };
            if decided.is_some() {
                return decided;
            }
        }
        None
    }

    fn accepts(&self, direction: Direction, packet: &Packet) -> bool {
        let base = usize::from(direction == Direction::Tx);
        self.walk(base, packet).unwrap_or(self.accept[base])
    }

    fn name(&self, chain: usize) -> String {
        ["INPUT".to_owned(), "OUTPUT".to_owned()].get(chain).cloned().unwrap_or_else(|| format!("U{chain}"))
    }

    fn as_iptables(&self) -> String {
        let policy = |i: usize| if self.accept[i] { "ACCEPT" } else { "DROP" };
        let mut text =
            format!("*filter\n:INPUT {} [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT {} [0:0]\n", policy(0), policy(1));
        for chain in 2..self.chains.len() {
            writeln!(text, ":{} - [0:0]", self.name(chain)).unwrap();
        }
        for (i, chain) in self.chains.iter().enumerate() {
            for rule in chain {
                writeln!(text, "-A {}{}", self.name(i), self.iptables_rule(rule)).unwrap();
            }
        }
        text + "COMMIT\n"
    }

    fn iptables_rule(&self, rule: &Rule) -> String {
        let mut text = String::new();
        for (option, addr) in [("-s", rule.src), ("-d", rule.dst)] {
            if let Some((negated, third, len)) = addr {
                write!(text, " {}{option} 10.0.{third}.0/{len}", if negated { "! " } else { "" }).unwrap();
            }
        }
        if let Some(proto) = rule.proto {
            write!(text, " -p {proto}").unwrap();
        }
        for (option, ports) in [("--sport", rule.sports), ("--dport", rule.dports)] {
            if let Some((first, last)) = ports {
                write!(text, " {option} {first}:{last}").unwrap();
            }
        }
        if let Some((new, established)) = rule.state {
            let states = [(new, "NEW"), (established, "ESTABLISHED")];
            let states: Vec<_> = states.iter().filter(|state| state.0).map(|state| state.1).collect();
            write!(text, " -m conntrack --ctstate {}", states.join(",")).unwrap();
        }
        if rule.mark {
            text.push_str(" -m mark --mark 0x1");
        }
        let target = match rule.target {
            Target::Accept => " -j ACCEPT".to_owned(),
            Target::Drop => " -j DROP".to_owned(),
            Target::Return => " -j RETURN".to_owned(),
            Target::Jump(chain) => format!(" -j {}", self.name(chain)),
            Target::Goto(chain) => format!(" -g {}", self.name(chain)),
            Target::Nothing => String::new(),
        };
        text + &target
    }

    fn as_nft(&self) -> String {
        let mut items = vec![
            json!({"metainfo": {"json_schema_version": 1}}),
            json!({"table": {"family": "ip", "name": "t", "handle": 1}}),
        ];
        for (i, _) in self.chains.iter().enumerate() {
            let mut chain = json!({"family": "ip", "table": "t", "name": self.name(i), "handle": i});
            if let Some(hook) = ["input", "output"].get(i) {
                chain["hook"] = Value::from(*hook);
                chain["prio"] = Value::from(0);
                chain["policy"] = Value::from(if self.accept[i] { "accept" } else { "drop" });
            }
            items.push(json!({ "chain": chain }));
        }
        for (i, chain) in self.chains.iter().enumerate() {
            for rule in chain {
                let expr = self.nft_rule(rule);
                items.push(json!({"rule": {"family": "ip", "table": "t", "chain": self.name(i), "expr": expr}}));
            }
        }
        json!({ "nftables": items }).to_string()
    }

    fn nft_rule(&self, rule: &Rule) -> Vec<Value> {
        let compare = |left: Value, op: &str, right: Value| json!({"match": {"op": op, "left": left, "right": right}});
        let mut expr = Vec::new();
        for (field, addr) in [("saddr", rule.src), ("daddr", rule.dst)] {
            if let Some((negated, third, len)) = addr {
                let left = json!({"payload": {"protocol": "ip", "field": field}});
                let right = json!({"prefix": {"addr": format!("10.0.{third}.0"), "len": len}});
                expr.push(compare(left, if negated { "!=" } else { "==" }, right));
            }
        }
        if let Some(proto) = rule.proto {
            expr.push(compare(json!({"meta": {"key": "l4proto"}}), "==", json!(proto)));
        }
        for (field, ports) in [("sport", rule.sports), ("dport", rule.dports)] {
            if let Some((first, last)) = ports {
                let left = json!({"payload": {"protocol": "th", "field": field}});
                expr.push(compare(left, "==", json!({"set": [first, {"range": [first, last]}]})));
            }
        }
        if let Some((new, established)) = rule.state {
            let states = [(new, "new"), (established, "established")];
            let states: Vec<_> = states.iter().filter(|state| state.0).map(|state| state.1).collect();
            expr.push(compare(json!({"ct": {"key": "state"}}), "in", json!(states)));
        }
        if rule.mark {
            expr.push(compare(json!({"meta": {"key": "mark"}}), "==", json!(1)));
        }
        expr.push(json!({"counter": {"packets": 0, "bytes": 0}}));
        match rule.target {
            Target::Accept => expr.push(json!({"accept": null})),
            Target::Drop => expr.push(json!({"drop": null})),
            Target::Return => expr.push(json!({"return": null})),
            Target::Jump(chain) => expr.push(json!({"jump": {"target": self.name(chain)}})),
            Target::Goto(chain) => expr.push(json!({"goto": {"target": self.name(chain)}})),
            Target::Nothing => {}
        }
        expr
    }
}

fn target(chain: usize) -> BoxedStrategy<Target> {
    let first = (chain + 1).max(2);
    let plain = prop_oneof![
        4 => Just(Target::Accept),
        4 => Just(Target::Drop),
        2 => Just(Target::Return),
        1 => Just(Target::Nothing),
    ];
    if first >= 2 + USER_CHAINS {
        return plain.boxed();
    }
    let to = first..2 + USER_CHAINS;
    prop_oneof![4 => plain, 2 => to.clone().prop_map(Target::Jump), 1 => to.prop_map(Target::Goto)].boxed()
}

fn rule(chain: usize, kind: Kind) -> impl Strategy<Value = Rule> {
    let addr = || prop::option::weighted(0.4, (any::<bool>(), 0u32..4, prop::sample::select(vec![22u32, 23, 24])));
    let ports = || prop::option::weighted(0.3, (1u16..6, 1u16..6).prop_map(|(a, b)| (a.min(b), a.max(b))));
    let proto = prop::option::weighted(0.6, prop::sample::select(vec![1u8, 6, 17, 47]));
    let state = match kind {
        Kind::Plain => Just(None).boxed(),
        Kind::Stateful => {
            let states = prop::sample::select(vec![(true, false), (false, true), (true, true)]);
            prop::option::weighted(0.4, states).boxed()
        }
    };
    let mark = match kind {
        Kind::Plain => 0.0,
        Kind::Stateful => 0.15,
    };
    let fields = (addr(), addr(), proto, ports(), ports(), state, prop::bool::weighted(mark), target(chain));
    fields.prop_map(|(src, dst, proto, sports, dports, state, mark, target)| {
        let has_ports = matches!(proto, Some(6 | 17));
        let ports = |ports: Option<(u16, u16)>| ports.filter(|_| has_ports);
        Rule { src, dst, proto, sports: ports(sports), dports: ports(dports), state, mark, target }
    })
}

fn rules(kind: Kind) -> impl Strategy<Value = Rules> {
    let chain = move |i| prop::collection::vec(rule(i, kind), 0..5);
    // Half of the stateful sets begin like those that people write.
    let established = Rule {
        src: None,
        dst: None,
        proto: None,
        dports: None,
        sports: None,
        state: Some((false, true)),
        mark: false,
        target: Target::Accept,
    };
    let chains = (0..2 + USER_CHAINS).map(chain).collect::<Vec<_>>();
    (chains, any::<[bool; 2]>(), any::<[Option<prop::sample::Index>; 2]>()).prop_map(move |(mut chains, accept, at)| {
        for (chain, at) in chains.iter_mut().zip(at) {
            if let (Kind::Stateful, Some(at)) = (kind, at) {
                chain.insert(at.index(chain.len() + 1), established.clone());
            }
        }
        Rules { chains, accept }
    })
}

/// Every packet of a small world, in one direction.
fn probes(direction: Direction) -> Vec<Probe> {
    let mut all = Vec::new();
    for third in 0..5u32 {
        let remote = 0x0a00_0000 | third << 8 | 7;
        let (src, dst) = if direction == Direction::Rx { (remote, LOCAL) } else { (LOCAL, remote) };
        all.extend([1, 47].map(|proto| Probe::v4(src, dst, proto, 0, 0)));
        for proto in [6, 17] {
            all.push(Probe { ports: None, ..Probe::v4(src, dst, proto, 0, 0) });
            for (sport, dport) in [(1, 1), (2, 5), (4, 3), (5, 40000), (40000, 2), (3, 3), (0, 4)] {
                all.push(Probe::v4(src, dst, proto, sport, dport));
            }
        }
    }
    all
}

fn other(direction: Direction) -> Direction {
    if direction == Direction::Rx { Direction::Tx } else { Direction::Rx }
}

fn both_forms(rules: &Rules) -> [(Format, String); 2] {
    [(Format::Iptables, rules.as_iptables()), (Format::Nft, rules.as_nft())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn rules_without_states_and_marks_are_exact(rules in rules(Kind::Plain)) {
        for (format, text) in both_forms(&rules) {
            let import = read(format, &text, &settings(&["10.30.1.17"])).unwrap();
            let unreached = |line: &nicfw::policy::import::NotCarried| line.effect == Effect::NoVerdict;
            prop_assert!(import.not_carried.iter().all(unreached), "{:?}", import.not_carried);
            for direction in [Direction::Rx, Direction::Tx] {
                for probe in probes(direction) {
                    let packet = Packet { probe, new: true, marked: false };
                    let (verdict, reason) = decide(&import.document, &probe, direction);
                    let accepts = rules.accepts(direction, &packet);
                    prop_assert_eq!(verdict == Verdict::Allow, accepts, "{:?} {:?}\n{}\n{}", probe, reason, text, import.yaml);
                }
            }
        }
    }

    #[test]
    fn nothing_is_open_that_was_closed(rules in rules(Kind::Stateful)) {
        for (format, text) in both_forms(&rules) {
            let import = read(format, &text, &settings(&["10.30.1.17"])).unwrap();
            for direction in [Direction::Rx, Direction::Tx] {
                for probe in probes(direction) {
                    if decide(&import.document, &probe, direction).0 == Verdict::Deny {
                        continue;
                    }
                    for (marked, mirror_marked) in [(false, false), (false, true), (true, false), (true, true)] {
                        let goes_on = rules.accepts(direction, &Packet { probe, new: false, marked });
                        let begins = rules.accepts(direction, &Packet { probe, new: true, marked });
                        let asked = Packet { probe: probe.mirrored(), new: true, marked: mirror_marked };
                        let answers = rules.accepts(other(direction), &asked);
                        prop_assert!(
                            goes_on && (begins || answers),
                            "{probe:?} marks {marked} {mirror_marked}\n{text}\n{}", import.yaml
                        );
                    }
                }
            }
        }
    }
}
