//! The firewall on the firmware model: what it puts there, what frames meet while it changes, and what faults leave.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nicfw::adapter::{Adapter, AttachOptions};
use nicfw::clock::{Clock, VirtualClock};
use nicfw::error::AdapterState;
use nicfw::firewall::{Adopt, ApplyCause, Firewall, Settings};
use nicfw::mcdi::wire::{Cmd, McErrno};
use nicfw::policy::Document;
use nicfw::tables::{Compiled, CounterId, CounterValue, Entry, Image, ImageEntry, TableOp, Target};
use nicfw::terms::{Direction, IpHeader, MacAddr, Packet, Verdict};
use nicfw_model::fault::{Fault, FaultKind};
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use nicfw_test_kit::backend;
use nicfw_test_kit::watched::{Watched, watched};

const HEAD: &str = "nicfw: 1
unbound: allow
multicast: deny
groups:
  office: [10.20.0.0/16, 10.21.0.0/16]
  lab: [10.20.128.0/17, 192.0.2.0/24]
";

/// Two shops; the office may reach web ports.
const OLD: &str = r#"policies:
  web:
    - {allow: in, proto: tcp, local_ports: [80, 443], remote: office}
    - {allow: out, proto: udp, remote: 10.0.0.53, remote_ports: 53}
  db:
    - {allow: in, proto: tcp, local_ports: 5432, remote: 10.30.1.1}
bindings:
  - {container: shop-1, ip: 10.30.1.1, mac: "02:00:0a:1e:01:01", attach: {macvlan: vepa}, policy: web}
  - {container: shop-2, ip: 10.30.1.2, mac: "02:00:0a:1e:01:02", attach: {macvlan: vepa}, policy: db}
"#;

/// The lab comes in and splits the office, a port range comes, DNS goes, shop-2 leaves, shop-3 comes.
const NEW: &str = r#"policies:
  web:
    - {deny: in, proto: tcp, local_ports: 443, remote: lab}
    - {allow: in, proto: tcp, local_ports: [80, 400-500], remote: office}
    - {allow: in, proto: icmp, remote: lab}
bindings:
  - {container: shop-1, ip: 10.30.1.1, mac: "02:00:0a:1e:01:01", attach: {macvlan: vepa}, policy: web}
  - {container: shop-3, ip: 10.30.1.3, mac: "02:00:0a:1e:01:03", attach: {macvlan: vepa}, policy: web}
"#;

const SHOPS: [u8; 3] = [1, 2, 3];
const REMOTES: [[u8; 4]; 6] =
    [[10, 20, 1, 1], [10, 20, 200, 1], [10, 21, 0, 1], [192, 0, 2, 7], [10, 0, 0, 53], [203, 0, 113, 9]];
const LOCAL_PORTS: [u16; 5] = [80, 443, 450, 5432, 40_000];

fn document(body: &str) -> Document {
    Document::parse(&format!("{HEAD}{body}"), "shops.yaml").unwrap()
}

fn shop_ip(shop: u8) -> [u8; 4] {
    [10, 30, 1, shop]
}

fn shop_mac(shop: u8) -> MacAddr {
    MacAddr([2, 0, 10, 30, 1, shop])
}

/// One judgement of the bench: a packet, one side of it, and the shop on that side.
#[derive(Debug, Clone, Copy)]
struct Probe {
    shop: u8,
    direction: Direction,
    packet: Packet,
}

impl Probe {
    fn new(shop: u8, direction: Direction, remote: [u8; 4], proto: u8, ports: Option<(u16, u16)>) -> Self {
        let (local_mac, remote_mac) = (shop_mac(shop), MacAddr([2, 0, 0, 0, 0, 0x99]));
        let (local, remote) = (shop_ip(shop).into(), Ipv4Addr::from(remote).into());
        let rx = direction == Direction::Rx;
        let (src, dst): (IpAddr, IpAddr) = if rx { (remote, local) } else { (local, remote) };
        let ports = ports.map(|(local, remote)| if rx { (remote, local) } else { (local, remote) });
        let (src_mac, dst_mac) = if rx { (remote_mac, local_mac) } else { (local_mac, remote_mac) };
        let ip = Some(IpHeader { src, dst, proto: Some(proto), ports });
        let packet = Packet { src_mac, dst_mac, outer_vlan: None, inner_vlan: None, ether_type: 0x0800, ip };
        Self { shop, direction, packet }
    }

    /// Ethernet, IPv4 without options, and the first 8 bytes of what follows.
    fn frame(&self) -> Vec<u8> {
        let ip = self.packet.ip.unwrap();
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (ip.src, ip.dst) else { panic!("the bench is IPv4") };
        let mut frame = [self.packet.dst_mac.0, self.packet.src_mac.0].concat();
        frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, ip.proto.unwrap(), 0, 0]);
        frame.extend(src.octets());
        frame.extend(dst.octets());
        let (from, to) = ip.ports.unwrap_or((0x0800, 0));
        frame.extend(from.to_be_bytes());
        frame.extend(to.to_be_bytes());
        frame.resize(60, 0);
        frame
    }
}

fn probes() -> Vec<Probe> {
    let mut probes = Vec::new();
    let others = SHOPS.map(shop_ip);
    for shop in SHOPS {
        for remote in REMOTES.into_iter().chain(others).filter(|remote| *remote != shop_ip(shop)) {
            for direction in [Direction::Rx, Direction::Tx] {
                probes.push(Probe::new(shop, direction, remote, 1, None));
                for local in LOCAL_PORTS {
                    for (proto, remote_port) in [(6, 51_000), (17, 53)] {
                        probes.push(Probe::new(shop, direction, remote, proto, Some((local, remote_port))));
                    }
                }
            }
        }
    }
    probes
}

/// What the document says. A shop that left keeps its denies.
fn decided(document: &Document, left: &[u8], probes: &[Probe]) -> Vec<Verdict> {
    let decide = |probe: &Probe| {
        let flow = probe.packet.judged(probe.direction, 0);
        if left.contains(&probe.shop) { Verdict::Deny } else { document.decide(&flow).verdict }
    };
    probes.iter().map(decide).collect()
}

fn judged(model: &Model, probes: &[Probe]) -> Vec<Verdict> {
    let judge = |probe: &Probe| model.judge(&probe.frame(), probe.direction, 0).unwrap().verdict;
    probes.iter().map(judge).collect()
}

fn config() -> ModelConfig {
    ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))])
}

fn compile(old: &str, new: &str, target: &Target) -> (Compiled, Compiled) {
    let old = Compiled::new(&document(old), target, None).unwrap();
    let new = Compiled::new(&document(new), target, Some(&old)).unwrap();
    (old, new)
}

/// The two documents, compiled for profile 0.
static COMPILED: OnceLock<(Compiled, Compiled)> = OnceLock::new();

struct Bench {
    model: Model,
    firewall: Firewall<Watched<Vec<Verdict>>>,
    old: Compiled,
    new: Compiled,
    probes: Vec<Probe>,
    /// Verdicts that the documents give.
    before: Vec<Verdict>,
    after: Vec<Verdict>,
}

impl Bench {
    /// An adapter that holds the old document, and the new one compiled for it.
    fn new(seed: u64) -> Self {
        Self::with(seed, probes())
    }

    fn with(seed: u64, probes: Vec<Probe>) -> Self {
        let mut config = config();
        config.engine.seed = seed;
        let compiled = |target: &Target| COMPILED.get_or_init(|| compile(OLD, NEW, target)).clone();
        Self::of(config, compiled, probes)
    }

    fn of(config: ModelConfig, compile: impl Fn(&Target) -> (Compiled, Compiled), probes: Vec<Probe>) -> Self {
        let model = Model::new(config);
        let clock = Arc::new(VirtualClock::new());
        let options = AttachOptions::default();
        let adapter = Adapter::from_device(backend::function(&model, 0), clock.clone(), options).unwrap();
        let (old, new) = compile(adapter.target());
        let (before, after) = (decided(old.document(), &[], &probes), decided(new.document(), &[2], &probes));
        let (there, watching) = (model.clone(), probes.clone());
        let target = adapter.target().clone();
        let engine = watched(adapter, target, move || judged(&there, &watching));
        let mut firewall = Firewall::adopt(engine, Adopt::of(&old), clock, Settings::default()).unwrap();
        firewall.engine().observer.seen.clear();
        Self { model, firewall, old, new, probes, before, after }
    }

    /// The tables hold the firewall's image: entries exactly, and of nodes and trees at least what the image uses.
    fn assert_tables(&self) {
        let (image, snapshot): (&Image, _) = (self.firewall.image(), self.model.snapshot());
        let sizes = self.old.target().sizes;
        // The model gives counter pairs in rising order from 1.
        let counter = |id: Option<CounterId>| id.map(|id| CounterId(id.0 + 1));
        let held = |e: &ImageEntry| Entry { rx: e.rx.action, tx: e.tx.action, counter: counter(e.counter) };
        assert_eq!(snapshot.rules, image.rules.iter().map(|(key, entry)| (*key, held(entry))).collect());
        for node in image.subnets.iter().flat_map(|map| &map.nodes) {
            assert!(snapshot.subnet_nodes.contains(node), "{node:?}");
        }
        for (map, tree) in [(&image.remote_ports, &snapshot.remote_ports), (&image.local_ports, &snapshot.local_ports)]
        {
            if let Some(map) = map {
                assert_eq!(tree.as_ref(), Some(&map.tree(&sizes).unwrap()));
            }
        }
    }

    /// Each judgement that was seen is the old one or the new one, or a deny for one of these shops.
    fn assert_seen(&mut self, closed: &BTreeSet<u8>) {
        for (step, verdicts) in std::mem::take(&mut self.firewall.engine().observer.seen).iter().enumerate() {
            for (at, probe) in self.probes.iter().enumerate() {
                let known = verdicts[at] == self.before[at] || verdicts[at] == self.after[at];
                let shut = verdicts[at] == Verdict::Deny && closed.contains(&probe.shop);
                assert!(known || shut, "after command {step}: {probe:?} is {:?}", verdicts[at]);
            }
        }
    }

    fn assert_verdicts(&self, expected: &[Verdict]) {
        for ((probe, is), expected) in self.probes.iter().zip(judged(&self.model, &self.probes)).zip(expected) {
            assert_eq!(is, *expected, "{probe:?}");
        }
    }
}

fn shops(names: &[String]) -> BTreeSet<u8> {
    names.iter().map(|name| name.strip_prefix("shop-").unwrap().parse().unwrap()).collect()
}

#[test]
fn the_tables_hold_the_image_and_frames_meet_what_the_document_says() {
    let mut bench = Bench::new(1);
    bench.assert_tables();
    bench.assert_verdicts(&bench.before);
    let allowed = bench.before.iter().filter(|verdict| **verdict == Verdict::Allow).count();
    assert!(allowed > 20 && allowed < bench.before.len(), "the probes tell something: {allowed} pass");
    assert_ne!(bench.before, bench.after);
    assert!(bench.firewall.audit().unwrap().is_sound());
}

#[test]
fn a_live_change_shows_no_third_verdict() {
    for seed in 0..2 {
        let mut bench = Bench::new(seed);
        let change = bench.firewall.plan(&bench.new, "CHG-1").unwrap();
        let closed = shops(&change.closed_meanwhile);
        assert!(closed.is_empty(), "there is room: nobody is closed meanwhile");
        let commands = change.plan.steps.len();
        let report = bench.firewall.apply(change).unwrap();
        assert_eq!((report.commands, bench.firewall.engine().observer.seen.len()), (commands, commands));
        bench.assert_seen(&closed);
        bench.assert_tables();
        bench.assert_verdicts(&bench.after);

        let open = std::mem::take(&mut bench.before);
        bench.before = decided(bench.old.document(), &[3], &bench.probes);
        let back = bench.firewall.plan(&bench.old, "back").unwrap();
        let closed = shops(&back.closed_meanwhile);
        bench.firewall.apply(back).unwrap();
        bench.assert_seen(&closed);
        bench.assert_verdicts(&bench.before);
        assert!(bench.firewall.release("shop-3", "test").unwrap().is_some());
        bench.assert_tables();
        bench.assert_verdicts(&open);
        assert_eq!(bench.firewall.image(), bench.old.image());
    }
}

/// The commands that carry out a plan.
fn is_table_command(cmd: Cmd) -> bool {
    [Cmd::SET_SECURITY_RULE, Cmd::SUBNET_MAP_SET_NODE, Cmd::LOCAL_PORTRANGE_MAP_SET_TREE].contains(&cmd)
        || cmd == Cmd::REMOTE_PORTRANGE_MAP_SET_TREE
}

/// The fault that meets command `at` of a plan.
fn fault(plan: &nicfw::tables::plan::Plan, at: usize, kind: FaultKind) -> Fault {
    let cmd = |op: &TableOp| match op {
        TableOp::SetRule { .. } => Cmd::SET_SECURITY_RULE,
        TableOp::SetSubnetNode(_) => Cmd::SUBNET_MAP_SET_NODE,
        TableOp::SetRemotePortTree(_) => Cmd::REMOTE_PORTRANGE_MAP_SET_TREE,
        TableOp::SetLocalPortTree(_) => Cmd::LOCAL_PORTRANGE_MAP_SET_TREE,
    };
    let hit = cmd(&plan.steps[at].op);
    assert!(is_table_command(hit));
    let before = plan.steps[..at].iter().filter(|step| cmd(&step.op) == hit).count();
    Fault { cmd: Some(hit), after: u32::try_from(before).unwrap(), kind }
}

#[test]
fn a_fault_at_any_command_leaves_what_is_reported() {
    let steps = {
        let bench = Bench::new(0);
        bench.firewall.plan(&bench.new, "").unwrap().plan.steps.len()
    };
    assert!(steps > 10);
    let kinds = [
        FaultKind::Error(McErrno::ENOSPC),
        FaultKind::Hang { effect: false },
        FaultKind::Hang { effect: true },
        FaultKind::WrongSequence,
        FaultKind::RebootBefore,
        FaultKind::RebootAfter,
    ];
    // A command costs much more over a socket; that each step is met by each fault is shown in process.
    let stride = if backend::over_socket() { 7 } else { 1 };
    for at in (0..steps).step_by(stride) {
        for kind in &kinds {
            let mut bench = Bench::with(at as u64, probes().into_iter().step_by(13).collect());
            let change = bench.firewall.plan(&bench.new, "").unwrap();
            let closed = shops(&change.closed_meanwhile);
            bench.model.inject(fault(&change.plan, at, kind.clone()));
            let error = bench.firewall.apply(change.clone()).unwrap_err();
            assert_eq!(bench.model.faults_waiting(), 0);
            assert!(matches!(error.cause, ApplyCause::Command { step, .. } if step == at + 1), "{error:?}");
            let refused = matches!(kind, FaultKind::Error(_));
            let rebooted = matches!(kind, FaultKind::RebootBefore | FaultKind::RebootAfter);
            if refused {
                assert_eq!(error.state, AdapterState::Unchanged);
            } else {
                assert_eq!(error.state, AdapterState::Unknown, "{kind:?} at {at}");
                assert!(matches!(bench.firewall.apply(change).unwrap_err().cause, ApplyCause::Unrecovered));
                if rebooted {
                    // The committed cache decides, and then the override: not what these probes are about.
                    bench.firewall.recover().unwrap();
                    bench.firewall.engine().observer.seen.clear();
                } else {
                    // Closed while entries are sent again: everything may be denied, nothing else may be allowed.
                    bench.assert_seen(&closed);
                    bench.firewall.recover().unwrap();
                    bench.assert_seen(&SHOPS.into());
                }
            }
            bench.assert_seen(&closed);
            bench.assert_tables();
            bench.assert_verdicts(&bench.before);
            assert!(bench.firewall.audit().unwrap().is_sound());
            let change = bench.firewall.plan(&bench.new, "").unwrap();
            bench.firewall.apply(change).unwrap();
            bench.assert_tables();
            bench.assert_verdicts(&bench.after);
        }
    }
}

/// A shop that only the office may reach, and one that only the lab may.
const SMALL_OLD: &str = r#"policies:
  web: [{allow: in, proto: tcp, local_ports: [80, 443, 5432], remote: office, replies: no}]
  db: [{allow: in, remote: lab, replies: no}]
bindings:
  - {container: shop-1, ip: 10.30.1.1, mac: "02:00:0a:1e:01:01", attach: {macvlan: vepa}, policy: web}
  - {container: shop-2, ip: 10.30.1.2, mac: "02:00:0a:1e:01:02", attach: {macvlan: vepa}, policy: db}
"#;

#[test]
fn in_tiny_tables_the_plan_names_who_is_closed_and_nobody_else_is() {
    let mut closed_at_all = 0;
    for ids in 4..10 {
        let small_new =
            SMALL_OLD.replace("remote: office", "remote: 10.21.0.0/17").replace("remote: lab", "remote: office");
        let mut config = config();
        config.engine.sizes.subnet_id_max = config.engine.sizes.subnet_id_min + ids - 1;
        config.engine.sizes.subnet_nodes = 24;
        config.engine.sizes.port_tree_entries = 15;
        let mut bench = Bench::of(config, |target| compile(SMALL_OLD, &small_new, target), probes());
        // Nobody left.
        bench.after = decided(bench.new.document(), &[], &bench.probes);
        let change = bench.firewall.plan(&bench.new, "").unwrap();
        let closed = shops(&change.closed_meanwhile);
        closed_at_all += usize::from(!closed.is_empty());
        bench.firewall.apply(change).unwrap();
        bench.assert_seen(&closed);
        bench.assert_tables();
        bench.assert_verdicts(&bench.after);
    }
    assert!(closed_at_all > 0 && closed_at_all < 6, "some sizes are too small for a seamless change: {closed_at_all}");
}

#[test]
fn after_a_reboot_the_committed_tables_decide() {
    let mut bench = Bench::new(0);
    let probe = Probe::new(1, Direction::Rx, [10, 20, 1, 1], 6, Some((443, 51_000)));
    let counted = |bench: &mut Bench, frames: u64| {
        for _ in 0..frames {
            bench.model.judge(&probe.frame(), Direction::Rx, 0).unwrap();
        }
        let counts = bench.firewall.counters().unwrap();
        counts.iter().map(|count| count.total.rx).max().unwrap()
    };
    assert_eq!(counted(&mut bench, 50), 50);
    bench.firewall.commit_cache().unwrap();
    bench.model.reboot();
    bench.assert_verdicts(&bench.before);
    let change = bench.firewall.plan(&bench.new, "").unwrap();
    let error = bench.firewall.apply(change).unwrap_err();
    assert_eq!(error.state, AdapterState::Unknown);
    bench.firewall.recover().unwrap();
    bench.assert_tables();
    assert_eq!(counted(&mut bench, 7), 57, "totals outlast the reboot");
    bench.assert_verdicts(&bench.before);
}

#[test]
fn counters_tell_which_rule_let_frames_through() {
    let mut bench = Bench::new(0);
    let probe = Probe::new(1, Direction::Rx, [10, 20, 1, 1], 6, Some((443, 51_000)));
    bench.firewall.counters().unwrap();
    for _ in 0..5 {
        assert_eq!(bench.model.judge(&probe.frame(), Direction::Rx, 0).unwrap().verdict, Verdict::Allow);
    }
    let moved: Vec<_> = bench.firewall.counters().unwrap();
    let moved: Vec<_> = moved.iter().filter(|count| count.delta != CounterValue::default()).collect();
    assert_eq!(moved.len(), 1);
    assert_eq!(moved[0].delta, CounterValue { rx: 5, tx: 0 });
    let origins: Vec<_> = moved[0].origins.iter().map(|id| bench.firewall.origin(*id).unwrap().to_string()).collect();
    assert_eq!(origins, ["shops.yaml:9"]);
}

#[test]
fn the_grace_time_passes_before_anything_new_is_allowed() {
    let (model, probes, clock) = (Model::new(config()), probes(), Arc::new(VirtualClock::new()));
    let adapter = Adapter::from_device(backend::function(&model, 0), clock.clone(), AttachOptions::default()).unwrap();
    let target = adapter.target().clone();
    let (old, new) = COMPILED.get_or_init(|| compile(OLD, NEW, &target)).clone();
    let (seen_by, watching, time, own) = (model.clone(), probes.clone(), clock.clone(), clock.clone());
    let engine = watched(adapter, target, move || (time.now(), judged(&seen_by, &watching)));
    let settings = Settings::new(Duration::from_secs(7), Settings::default().commit_every);
    let mut firewall = Firewall::adopt(engine, Adopt::of(&old), clock, settings).unwrap();
    let apply = |firewall: &mut Firewall<Watched<(Duration, Vec<Verdict>)>>, compiled: &Compiled| {
        let before = judged(&model, &probes);
        firewall.engine().observer.seen.clear();
        let change = firewall.plan(compiled, "").unwrap();
        firewall.apply(change).unwrap();
        let seen = std::mem::take(&mut firewall.engine().observer.seen);
        let allows = |verdicts: &[Verdict], at: usize| verdicts[at] == Verdict::Allow;
        let opened = seen.iter().position(|(_, is)| (0..is.len()).any(|at| allows(is, at) && !allows(&before, at)));
        let closes = |step: &usize| {
            let was = if *step == 0 { &before } else { &seen[step - 1].1 };
            (0..was.len()).any(|at| allows(was, at) && !allows(&seen[*step].1, at))
        };
        let closed = (0..seen.len()).rev().find(closes);
        let (opened, closed) = (opened.expect("it opens something"), closed.expect("it closes something"));
        assert!(closed < opened, "all that closes comes first");
        let passed = seen[opened].0 - seen[closed].0;
        assert!(passed >= settings.grace, "{passed:?} between command {closed} and command {opened}");
        seen[0].0
    };
    apply(&mut firewall, &new);
    // What the change retired is not used before the same time has passed.
    let ended = own.now();
    let began = apply(&mut firewall, &old);
    assert!(began - ended >= settings.grace, "{:?} between two changes", began - ended);
}
