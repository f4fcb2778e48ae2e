//! From any document to any other on the model: between any two commands each judgement is the old one or the new one, and no
//! packet passes end to end that neither document admits. Containers that the plan announces as closed may be denied meanwhile.
//!
//! What the documents mean comes from the reference evaluator, what the tables do from the model, which holds them as commands
//! wrote them.

mod ranked;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nicfw::Adapter;
use nicfw::adapter::AttachOptions;
use nicfw::clock::{Clock, Signal, Timestamp, VirtualClock};
use nicfw::firewall::{Adopt, Firewall, Settings};
use nicfw::policy::Document;
use nicfw::tables::{Compiled, LookupOrder, Sizes};
use nicfw::terms::{Direction, Flow, MacAddr, Packet, Verdict};
use nicfw_model::engines::rules::{Decided, Decision, EngineConfig};
use nicfw_model::fault::{Fault, FaultKind};
use nicfw_model::packet::{Headers, parse};
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use nicfw_test_kit::command::command;
use nicfw_test_kit::frames::{self, frame};
use nicfw_test_kit::orders;
use nicfw_test_kit::packets::{packet, shape};
use nicfw_test_kit::texts::document;
use nicfw_test_kit::watched::{Watched, watched};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Physical port of every judgement.
const PORT: u32 = 0;

/// Time that passes only where the firewall waits; how often it does tells packets in flight from packets that have arrived.
#[derive(Default)]
struct Pauses(AtomicUsize);

impl Clock for Pauses {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed).try_into().unwrap())
    }

    fn wall(&self) -> Timestamp {
        VirtualClock::START.after(self.now())
    }

    fn sleep(&self, _: Duration) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn wait(&self, signal: &dyn Signal, _: Duration) -> bool {
        signal.wait(Duration::ZERO)
    }
}

/// By packet: whether it passes on TX and on RX.
type Judged = Vec<(bool, bool)>;

fn judged(model: &Model, headers: &[Headers]) -> Judged {
    let side = |direction| {
        let mut decisions = vec![Decision { verdict: Verdict::Deny, by: Decided::NoMatch }; headers.len()];
        model.judge_all(headers, direction, PORT, &mut decisions);
        decisions.into_iter().map(|decision| decision.verdict == Verdict::Allow)
    };
    side(Direction::Tx).zip(side(Direction::Rx)).collect()
}

/// Default tables, and tables in which a change has to close somebody.
fn sizes(tight: bool) -> Sizes {
    let sizes = Sizes::profile0();
    if !tight {
        return sizes;
    }
    Sizes {
        subnet_nodes: 28,
        subnet_id_max: sizes.subnet_id_min + 6,
        port_tree_entries: 31,
        portrange_id_max: 8,
        ..sizes
    }
}

/// What is bound to a container: its IPs and its MAC are what judgements of it name.
fn is_of(document: &Document, containers: &BTreeSet<String>, flow: &Flow) -> bool {
    document
        .bindings
        .iter()
        .filter(|binding| containers.contains(&binding.container))
        .any(|binding| binding.mac == flow.local_mac || flow.ip.is_some_and(|ip| binding.ips.contains(&ip.local)))
}

fn containers(document: &Document) -> BTreeSet<String> {
    document.bindings.iter().map(|binding| binding.container.clone()).collect()
}

/// How a change ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// A document or the change does not fit.
    Refused,
    Applied {
        commands: usize,
        somebody_closed: bool,
    },
}

/// What is changed, and what is watched meanwhile.
struct Scene<'a> {
    texts: [&'a str; 2],
    packets: &'a [(Packet, frames::Shape)],
    sizes: Sizes,
    order: LookupOrder,
    seed: u64,
}

/// An adapter that holds the old document, and the new one beside it.
struct World {
    model: Model,
    headers: Vec<Headers>,
    firewall: Firewall<Watched<(usize, Judged)>>,
    old: Compiled,
    new: Compiled,
}

impl Scene<'_> {
    /// `None` if a document does not fit.
    fn set(&self) -> Option<World> {
        let mut engine = EngineConfig { sizes: self.sizes, seed: self.seed, ..EngineConfig::profile0() };
        let ranked = self.order != LookupOrder::Unordered;
        if ranked {
            engine.profile = orders::target(self.order.clone()).profile;
        }
        let profile = engine.profile.clone();
        let function = |port| FunctionConfig::admin(port, MacAddr([2, 0xff, 0, 0, 0, u8::try_from(port).unwrap()]));
        let model = Model::new(ModelConfig { engine, ..ModelConfig::new(vec![function(0), function(1)]) });
        let clock = Arc::new(Pauses::default());
        let adapter =
            Adapter::from_device(Box::new(model.function(0)), clock.clone(), AttachOptions::default()).unwrap();
        let mut target = adapter.target().clone();
        if ranked {
            target.profile = profile;
        }
        let [old, new] = self.texts.map(|text| Document::parse(text, "test.yaml").unwrap());
        let old = Compiled::new(&old, &target, None).ok()?;
        let new = Compiled::new(&new, &target, Some(&old)).ok()?;
        let parsed = |(packet, shape): &(Packet, frames::Shape)| parse(&frame(packet, *shape)).unwrap();
        let headers: Vec<Headers> = self.packets.iter().map(parsed).collect();
        let watched = {
            let (model, headers, clock) = (model.clone(), headers.clone(), clock.clone());
            watched(adapter, target, move || (clock.0.load(Ordering::Relaxed), judged(&model, &headers)))
        };
        let mut firewall = Firewall::adopt(watched, Adopt::of(&old), clock, Settings::default()).unwrap();
        firewall.engine().observer.seen.clear();
        Some(World { model, headers, firewall, old, new })
    }
}

fn change(scene: &Scene<'_>) -> Result<Outcome, TestCaseError> {
    let Some(World { model, headers, mut firewall, old, new }) = scene.set() else { return Ok(Outcome::Refused) };
    let packets = scene.packets;
    let Ok(change) = firewall.plan(&new, "test") else { return Ok(Outcome::Refused) };
    let closes = change.plan.closes.clone();
    let before = judged(&model, &headers);
    let report = firewall.apply(change).unwrap();
    let after = judged(&model, &headers);
    let seen = std::mem::take(&mut firewall.engine().observer.seen);
    prop_assert_eq!(seen.len(), report.commands);

    // Whoever has left stays denied until it is released.
    let gone: BTreeSet<String> = containers(old.document()).difference(&containers(new.document())).cloned().collect();
    for (at, (packet, _)) in packets.iter().enumerate() {
        for direction in [Direction::Tx, Direction::Rx] {
            let of = |judged: &Judged| if direction == Direction::Tx { judged[at].0 } else { judged[at].1 };
            let flow = packet.judged(direction, PORT);
            let says = |compiled: &Compiled| compiled.document().decide(&flow).verdict == Verdict::Allow;
            let has_left = is_of(old.document(), &gone, &flow);
            prop_assert_eq!(of(&before), says(&old), "before: {:?}", flow);
            prop_assert!(of(&after) == says(&new) || (has_left && !of(&after)), "after: {:?}", flow);
            let may_close = closes.iter().any(|local| {
                let ip = local.ip.is_none_or(|ip| flow.ip.is_some_and(|flow| flow.local == ip));
                ip && local.mac.is_none_or(|mac| mac == flow.local_mac)
            });
            for (command, (_, judged)) in seen.iter().enumerate() {
                let known = of(judged) == of(&before) || of(judged) == of(&after);
                prop_assert!(known || (may_close && !of(judged)), "after command {}: {:?}", command, flow);
            }
        }
        end_to_end(at, &before, &after, &seen)?;
    }
    Ok(Outcome::Applied { commands: report.commands, somebody_closed: !closes.is_empty() })
}

/// A command of the change gets no answer, and may have taken effect or not. Recovery brings the old document back, and opens
/// nothing on the way that neither document opens. Returns the number of commands that the change has; `place` names one of them.
fn lost_answer(scene: &Scene<'_>, place: usize, effect: bool) -> Result<usize, TestCaseError> {
    let after = {
        let Some(World { model, headers, mut firewall, new, .. }) = scene.set() else { return Ok(0) };
        let Ok(change) = firewall.plan(&new, "test") else { return Ok(0) };
        firewall.apply(change).unwrap();
        judged(&model, &headers)
    };
    let World { model, headers, mut firewall, new, .. } = scene.set().unwrap();
    let change = firewall.plan(&new, "test").unwrap();
    let steps = &change.plan.steps;
    let commands = steps.len();
    let Some(at) = place.checked_rem(commands) else { return Ok(0) };
    let cmd = command(&steps[at].op);
    let same = steps[..at].iter().filter(|step| command(&step.op) == cmd).count();
    model.inject(Fault { cmd: Some(cmd), after: same.try_into().unwrap(), kind: FaultKind::Hang { effect } });
    let before = judged(&model, &headers);
    prop_assert!(firewall.apply(change).is_err());
    let recovered = firewall.recover();
    prop_assert!(recovered.is_ok(), "{:?}", recovered);
    let open = |(tx, rx): (bool, bool), (old, new): ((bool, bool), (bool, bool))| {
        (tx && !old.0 && !new.0) || (rx && !old.1 && !new.1)
    };
    for (command, (_, judged)) in std::mem::take(&mut firewall.engine().observer.seen).iter().enumerate() {
        for (at, is) in judged.iter().enumerate() {
            prop_assert!(!open(*is, (before[at], after[at])), "after command {}: packet {}", command, at);
        }
    }
    prop_assert_eq!(judged(&model, &headers), before);
    Ok(commands)
}

/// A packet that was sent at some time arrives at that time or later, up to the next pause.
fn end_to_end(at: usize, before: &Judged, after: &Judged, seen: &[(usize, Judged)]) -> Result<(), TestCaseError> {
    let admits = |(tx, rx): (bool, bool)| tx && rx;
    if admits(before[at]) || admits(after[at]) {
        return Ok(());
    }
    let (mut sent, mut tx_now, mut pauses) = (before[at].0, before[at].0, None);
    for (command, (now, judged)) in seen.iter().enumerate() {
        if pauses.replace(*now).is_some_and(|then| then != *now) {
            // What was sent before the pause has arrived; what was judged last is sent still.
            sent = tx_now;
        }
        let (tx, rx) = judged[at];
        sent |= tx;
        tx_now = tx;
        prop_assert!(!(sent && rx), "after command {command}: packet {at} passes, and neither document admits it");
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_third_judgement_between_two_commands(
        old in document(),
        new in document(),
        packets in prop::collection::vec((packet(), shape()), 60),
        tight in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let scene = Scene {
            texts: [&old, &new],
            packets: &packets,
            sizes: sizes(tight),
            order: LookupOrder::Unordered,
            seed,
        };
        change(&scene)
            .map_err(|error| TestCaseError::fail(format!("{error}\nfrom\n{old}\nto\n{new}")))?;
    }
}

proptest! {
    #[test]
    fn a_lost_answer_opens_nothing(
        old in document(),
        new in document(),
        packets in prop::collection::vec((packet(), shape()), 40),
        place in any::<usize>(),
        tight in any::<bool>(),
        effect in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let (texts, order) = ([old.as_str(), new.as_str()], LookupOrder::Unordered);
        lost_answer(&Scene { texts, packets: &packets, sizes: sizes(tight), order, seed }, place, effect)
            .map_err(|error| TestCaseError::fail(format!("{error}\nfrom\n{old}\nto\n{new}")))?;
    }
}

/// Before a map is written no entry may name an id of it, not even to go to NONE.
#[test]
fn a_change_that_writes_the_first_maps_can_be_lost_at_any_command() {
    let text = |rule: &str| {
        let binding = "{container: shop-1, ip: 10.30.1.17, mac: \"02:00:0a:1e:01:11\", attach: sriov, policy: web}";
        format!(
            "nicfw: 1\nunbound: allow\nmulticast: allow\npolicies:\n  web:\n    - {{{rule}}}\nbindings:\n  - {binding}\n"
        )
    };
    let old = text("allow: in, proto: tcp, local_ports: 22, remote: 10.0.0.53, replies: no");
    let new = text(
        "allow: in, proto: tcp, local_ports: 8000-8099, remote_ports: 1024-65535, remote: 10.20.0.0/16, replies: no",
    );
    let mut runner = TestRunner::deterministic();
    let packets = prop::collection::vec((packet(), shape()), 60).new_tree(&mut runner).unwrap().current();
    let order = LookupOrder::Unordered;
    let scene = Scene { texts: [&old, &new], packets: &packets, sizes: sizes(false), order, seed: 0 };
    let maps = |compiled: &Compiled| {
        let image = compiled.image();
        [image.subnets.is_some(), image.remote_ports.is_some(), image.local_ports.is_some()]
    };
    let world = scene.set().unwrap();
    assert_eq!((maps(&world.old), maps(&world.new)), ([false; 3], [true; 3]));
    let commands = lost_answer(&scene, 0, false).unwrap();
    for place in 0..commands {
        for effect in [false, true] {
            lost_answer(&scene, place, effect).unwrap_or_else(|error| panic!("command {place}, {effect}: {error}"));
        }
    }
}

/// The tests above show nothing where a change is refused or empty, and little where nobody is ever closed.
#[test]
fn most_changes_are_applied_and_some_close_somebody() {
    let mut runner = TestRunner::deterministic();
    let mut draw = || document().new_tree(&mut runner).unwrap().current();
    let pairs: Vec<[String; 2]> = (0..60).map(|_| [draw(), draw()]).collect();
    let outcomes = |tight| {
        let outcome = |[old, new]: &[String; 2]| {
            let (texts, order) = ([old.as_str(), new.as_str()], LookupOrder::Unordered);
            change(&Scene { texts, packets: &[], sizes: sizes(tight), order, seed: 0 }).unwrap()
        };
        pairs.iter().map(outcome).collect::<Vec<_>>()
    };
    let commands = outcomes(false).into_iter().filter_map(|outcome| match outcome {
        Outcome::Applied { commands, .. } => Some(commands),
        Outcome::Refused => None,
    });
    let commands: Vec<usize> = commands.filter(|commands| *commands > 0).collect();
    assert!(commands.len() > 20, "{} of 60 changes have commands", commands.len());
    assert!(commands.iter().sum::<usize>() > 20 * commands.len(), "{commands:?}");
    let closing = |outcome: &Outcome| matches!(outcome, Outcome::Applied { somebody_closed: true, .. });
    assert!(outcomes(true).iter().any(closing), "tight tables close nobody");
}
