mod courses;
mod fake;
mod reservations;
mod restart;
mod time;

use std::collections::BTreeSet;
use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::held::{CompiledSource, HeldContent, with_denies};
use super::*;
use crate::adapter::RulesetVersion;
use crate::clock::{Clock, VirtualClock};
use crate::error::AdapterState;
use crate::journal::{ChangeKind, Journal, Reason};
use crate::policy::Document;
use crate::tables::{
    Action, CounterId, CounterValue, Image, ImageEntry, OriginId, RuleKey, Side, SubnetId, SubnetMap, TableOp, Target,
};
use crate::tables::{Entry, Tables};
use crate::terms::MacAddr;
use fake::{FakeEngine, Fault};

const ALLOW: Action = Action::Allow { sample: false };
const DENY: Action = Action::Deny { sample: false };
const GRACE: Duration = Duration::from_millis(10);

fn ip(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 30, 1, last).into()
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 10, 30, 1, last])
}

/// Containers shop-N with the IP 10.30.1.N and a MAC of their own.
fn document(shops: &[u8]) -> Document {
    let binding = |n: &u8| {
        format!(
            "  - {{container: shop-{n}, ip: 10.30.1.{n}, mac: \"{}\", attach: {{macvlan: vepa}}, policy: web}}\n",
            mac(*n)
        )
    };
    let bindings: String = shops.iter().map(binding).collect();
    let head =
        "nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web: [{allow: in, proto: tcp, local_ports: 80}]\n";
    Document::parse(&format!("{head}bindings:\n{bindings}"), "shops.yaml").unwrap()
}

fn base(shop: u8) -> [(RuleKey, ImageEntry); 2] {
    let deny = || Side { action: DENY, origins: vec![] };
    let entry = ImageEntry { rx: deny(), tx: deny(), counter: None };
    let by_ip = RuleKey { local_ip: Some(ip(shop)), ..RuleKey::default() };
    let by_mac = RuleKey { local_mac: Some(mac(shop)), ..RuleKey::default() };
    [(by_ip, entry.clone()), (by_mac, entry)]
}

/// An allow for received TCP to a port, from a class of remotes or from all.
fn allow(shop: u8, port: u16, from: Option<u16>) -> (RuleKey, ImageEntry) {
    let key = RuleKey {
        local_ip: Some(ip(shop)),
        local_mac: Some(mac(shop)),
        ether_type: Some(0x0800),
        ip_proto: Some(6),
        local_port: Some(port),
        remote_subnet: from.map(SubnetId),
        ..RuleKey::default()
    };
    let rx = Side { action: ALLOW, origins: vec![OriginId(port.into())] };
    (key, ImageEntry { rx, tx: Side::default(), counter: None })
}

fn image(entries: &[(RuleKey, ImageEntry)], prefix: Option<u32>) -> Image {
    let map = |first: u32| {
        let classes = [(0, 56_000), (first, 56_001), (first + (1 << 24), 56_000)];
        SubnetMap::build(classes.map(|(at, id)| (at, SubnetId(id))), &Target::profile0().sizes).unwrap().into()
    };
    Image { rules: entries.iter().cloned().collect(), subnets: prefix.map(map), ..Image::default() }
}

/// Two shops, two images that differ in everything: shop 1 has another port, shop 2 another remote.
fn change() -> (Document, Image, Image) {
    let bases = || base(1).into_iter().chain(base(2));
    let with = |rest: &[(RuleKey, ImageEntry)]| bases().chain(rest.iter().cloned()).collect::<Vec<_>>();
    let old = with(&[allow(1, 80, None), allow(1, 443, None), allow(2, 80, Some(56_001)), allow(2, 443, None)]);
    let new = with(&[allow(1, 80, None), allow(1, 8080, None), allow(2, 80, Some(56_001)), allow(2, 443, None)]);
    (document(&[1, 2]), image(&old, Some(0x0a00_0000)), image(&new, Some(0x1400_0000)))
}

const SETTINGS: Settings = Settings { grace: GRACE, commit_every: Duration::from_secs(60) };

fn attached(document: &Document, image: &Image) -> (Firewall<FakeEngine>, Arc<VirtualClock>) {
    let clock = Arc::new(VirtualClock::new());
    (adopted(FakeEngine::new(), document, image, clock.clone()).unwrap(), clock)
}

/// As if the document had been compiled to this image.
fn adopted(
    engine: FakeEngine,
    document: &Document,
    image: &Image,
    clock: Arc<VirtualClock>,
) -> Result<Firewall<FakeEngine>, Box<Refused<FakeEngine, AdoptError>>> {
    let held = HeldContent::new(source(document, image).into(), Default::default());
    Firewall::with(engine, Journal::in_memory(), clock, SETTINGS, held).load(ChangeKind::Adopt, Reason::from("test"))
}

/// As if the document had been compiled to this image.
fn source(document: &Document, image: &Image) -> CompiledSource {
    CompiledSource::new(document.clone(), image.clone(), Default::default())
}

/// The tables as an image says, by another way than the firewall's.
fn tables_of(image: &Image) -> Tables {
    let entry =
        |e: &ImageEntry| Entry { rx: e.rx.action, tx: e.tx.action, counter: e.counter.map(|id| CounterId(500 + id.0)) };
    Tables {
        rules: image.rules.iter().map(|(key, e)| (*key, entry(e))).collect(),
        nodes: image.subnets.iter().flat_map(|map| &map.nodes).map(|n| (n.id, n.entries.clone())).collect(),
        trees: Default::default(),
    }
}

/// Entries, and the nodes that the image uses, are as the image says.
fn assert_holds(firewall: &mut Firewall<FakeEngine>, image: &Image) {
    let (is, wanted) = (&firewall.engine().tables, tables_of(image));
    assert_eq!(is.rules, wanted.rules);
    for (id, entries) in &wanted.nodes {
        assert_eq!(is.nodes.get(id), Some(entries), "node {id}");
    }
}

#[test]
fn attach_drops_what_was_there_while_everything_is_blocked() {
    let (document, old, _) = change();
    let (mut firewall, _) = attached(&document, &old);
    assert_eq!(
        firewall.engine().log,
        ["override Block with 1 entries", "reset", "override None with 8 entries", "commit"]
    );
    assert_holds(&mut firewall, &old);
    assert!(firewall.audit().unwrap().is_sound());
}

#[test]
fn a_failed_attach_stays_blocked() {
    let (document, old, _) = change();
    let mut engine = FakeEngine::new();
    engine.fault(3, Fault::Full);
    let error = adopted(engine, &document, &old, Arc::new(VirtualClock::new())).unwrap_err();
    assert!(matches!(error.error, AdoptError::Command { blocked: true, .. }));
    assert_eq!(error.to_string(), "taking over the adapter failed; it drops all traffic");
    // It blocks since before the first entry, and a refusal changes nothing about that.
    assert_eq!(error.engine.log, ["override Block with 1 entries", "reset"]);
    // Without an answer nobody knows: it is blocked once more.
    for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Reboot] {
        let mut engine = FakeEngine::new();
        engine.fault(3, fault);
        let error = adopted(engine, &document, &old, Arc::new(VirtualClock::new())).unwrap_err();
        assert!(matches!(error.error, AdoptError::Command { blocked: true, .. }), "{fault:?}");
        assert!(error.engine.log.len() == 3 && error.engine.log[2].starts_with("override Block with "), "{fault:?}");
    }
}

/// A reboot may bring other firmware: what is held was made for tables that are no longer there.
#[test]
fn another_adapter_than_the_content_was_made_for_is_not_brought_back() {
    let (document, old, new) = change();
    let (mut firewall, _) = attached(&document, &old);
    firewall.engine().fault(1, Fault::LostAfter);
    let planned = firewall.plan_source(source(&document, &new), "").unwrap();
    assert_eq!(firewall.apply(planned).unwrap_err().state, AdapterState::Unknown);
    let sent = firewall.engine().sent;
    firewall.engine().target.physical_ports += 1;
    let error = firewall.recover().unwrap_err();
    assert!(matches!(error.cause, ApplyCause::TargetChanged), "{error:?}");
    assert_eq!((error.state, firewall.engine().sent), (AdapterState::Unknown, sent));
    firewall.engine().target.physical_ports -= 1;
    firewall.recover().unwrap();
    assert_holds(&mut firewall, &old);
}

#[test]
fn a_change_leaves_exactly_the_new_image() {
    let (document, old, new) = change();
    let (mut firewall, clock) = attached(&document, &old);
    let planned = firewall.plan_source(source(&document, &new), "CHG-1").unwrap();
    let stale = firewall.plan_source(source(&document, &old), "CHG-2").unwrap();
    let (before, sent) = (clock.now(), firewall.engine().sent);
    let report = firewall.apply(planned.clone()).unwrap();
    assert_holds(&mut firewall, &new);
    assert_eq!(firewall.image(), &new);
    assert_eq!(report.commands, planned.plan.steps.len());
    assert_eq!(Some(report.generation), report.change);
    assert_eq!(firewall.engine().sent - sent, report.commands);
    assert_eq!(clock.now() - before, GRACE * u32::try_from(report.pauses).unwrap(), "the grace time and no other");
    assert!(report.pauses > 0);
    assert!(report.closed_meanwhile.is_empty());

    let error = firewall.apply(stale).unwrap_err();
    assert!(matches!(error.cause, ApplyCause::Stale { planned, current } if planned < current));
    assert_eq!(error.state, AdapterState::Unchanged);
    assert_eq!(firewall.plan_source(source(&document, &new), "again").unwrap().plan.steps, []);
}

#[test]
fn a_refused_command_leaves_the_old_image() {
    let (document, old, new) = change();
    let steps = attached(&document, &old).0.plan_source(source(&document, &new), "").unwrap().plan.steps.len();
    assert!(steps > 8);
    for at in 0..steps {
        let (mut firewall, _) = attached(&document, &old);
        firewall.engine().fault(at, Fault::Full);
        let planned = firewall.plan_source(source(&document, &new), "").unwrap();
        let error = firewall.apply(planned.clone()).unwrap_err();
        assert_eq!(error.state, AdapterState::Unchanged, "command {at}");
        assert_eq!(error.to_string(), format!("command {} of {steps} failed; the adapter is unchanged", at + 1));
        let source = error.source().unwrap().source().unwrap();
        assert_eq!(source.to_string(), "SET_SECURITY_RULE failed: ENOSPC");
        assert_holds(&mut firewall, &old);
        assert!(firewall.audit().unwrap().is_sound());
        firewall.apply(planned).unwrap();
        assert_holds(&mut firewall, &new);
    }
}

#[test]
fn a_lost_command_is_recovered_whether_it_took_effect_or_not() {
    let (document, old, new) = change();
    let steps = attached(&document, &old).0.plan_source(source(&document, &new), "").unwrap().plan.steps.len();
    for at in 0..steps {
        for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Reboot] {
            let (mut firewall, _) = attached(&document, &old);
            firewall.engine().fault(at, fault);
            let planned = firewall.plan_source(source(&document, &new), "").unwrap();
            let error = firewall.apply(planned.clone()).unwrap_err();
            assert_eq!(error.state, AdapterState::Unknown, "{fault:?} of command {at}");
            let again = firewall.apply(planned).unwrap_err();
            assert!(matches!(again.cause, ApplyCause::Unrecovered));

            // Recovering may be lost too.
            firewall.engine().fault(2, Fault::LostAfter);
            firewall.engine().log.clear();
            assert_eq!(firewall.recover().unwrap_err().state, AdapterState::Unknown);
            firewall.recover().unwrap();
            assert_holds(&mut firewall, &old);
            let blocked = firewall.engine().log.iter().any(|line| line.starts_with("override Block"));
            assert_eq!(blocked, fault == Fault::Reboot, "unknown content is dropped, known content is sent again");
            let planned = firewall.plan_source(source(&document, &new), "").unwrap();
            firewall.apply(planned).unwrap();
            assert_holds(&mut firewall, &new);
        }
    }
}

#[test]
fn what_cannot_be_restored_is_closed_and_the_next_change_opens_it() {
    let (document, old, new) = change();
    let (mut firewall, _) = attached(&document, &old);
    let planned = firewall.plan_source(source(&document, &new), "").unwrap();
    let key = allow(1, 443, None).0;
    let taken = |step: &crate::tables::plan::Step| matches!(&step.op, TableOp::SetRule { key: k, rx: Action::None, .. } if *k == key);
    let at = planned.plan.steps.iter().position(taken).unwrap();
    // The command after it is refused, and then the one that would restore it.
    firewall.engine().fault(at + 1, Fault::Full);
    firewall.engine().fault(at + 2, Fault::Full);
    let error = firewall.apply(planned).unwrap_err();
    assert_eq!(error.state, AdapterState::Closed(vec!["shop-1".to_owned()]));
    assert!(error.to_string().ends_with("closed until the next policy is applied: shop-1"));
    let mut closed = old.clone();
    closed.rules.retain(|key, _| key.local_ip != Some(ip(1)) || key.is_base());
    assert_holds(&mut firewall, &closed);
    assert_eq!(firewall.image(), &closed);
    let planned = firewall.plan_source(source(&document, &new), "").unwrap();
    firewall.apply(planned).unwrap();
    assert_holds(&mut firewall, &new);
}

#[test]
fn whatever_two_commands_are_refused_the_state_is_as_reported() {
    let (document, old, new) = change();
    let steps = attached(&document, &old).0.plan_source(source(&document, &new), "").unwrap().plan.steps.len();
    let mut closed = 0;
    for at in 0..steps {
        for then in 0..=at {
            let (mut firewall, _) = attached(&document, &old);
            firewall.engine().fault(at, Fault::Full);
            firewall.engine().fault(at + 1 + then, Fault::Full);
            let planned = firewall.plan_source(source(&document, &new), "").unwrap();
            match firewall.apply(planned).unwrap_err().state {
                AdapterState::Unchanged => assert_holds(&mut firewall, &old),
                AdapterState::Closed(who) => {
                    closed += 1;
                    let image = firewall.image().clone();
                    assert_holds(&mut firewall, &image);
                    for (key, entry) in &image.rules {
                        let name = firewall.held.names.container(&crate::tables::plan::Local::of(key)).unwrap();
                        assert!(!who.contains(&name.to_owned()) || entry.rx.action != ALLOW, "{key:?}");
                        assert!(who.contains(&name.to_owned()) || old.rules[key] == *entry);
                    }
                }
                AdapterState::Unknown => {
                    firewall.recover().unwrap();
                    assert_holds(&mut firewall, &old);
                }
            }
        }
    }
    assert!(closed > 0);
}

#[test]
fn reserve_protects_before_the_container_starts() {
    let (two, old, _) = change();
    let (mut firewall, _) = attached(&two, &old);
    firewall.reserve("shop-3", &[ip(3)], Some(mac(3)), "test").unwrap();
    let mut reserved = old.clone();
    reserved.rules.extend(base(3));
    assert_holds(&mut firewall, &reserved);
    assert_eq!(names(&firewall), ["shop-3"]);

    let error = firewall.reserve("shop-4", &[ip(3)], None, "test").unwrap_err();
    assert_eq!(error.to_string(), "10.30.1.3 is reserved for shop-3");
    let error = firewall.reserve("shop-4", &[ip(1)], None, "test").unwrap_err();
    assert_eq!(error.to_string(), "10.30.1.1 is bound to shop-1");

    firewall.engine().fault(0, Fault::Full);
    let error = firewall.reserve("shop-4", &[ip(4)], None, "test").unwrap_err();
    assert_eq!(error.to_string(), "shop-4 is unprotected: its base denies are not in the adapter; do not start it");
    assert_holds(&mut firewall, &reserved);

    let bound = with_denies(&old, reserved.rules.keys().copied());
    let planned = firewall.plan_source(source(&document(&[1, 2, 3]), &bound), "").unwrap();
    assert_eq!(planned.plan.steps, [], "the denies are there already");
    firewall.apply(planned).unwrap();
    assert_eq!(firewall.reserved().count(), 0);
}

#[test]
fn an_unbound_container_stays_closed_until_its_release() {
    let (document_of_two, old, _) = change();
    let (mut firewall, _) = attached(&document_of_two, &old);
    let one = document(&[1]);
    let without: Vec<_> = base(1).into_iter().chain([allow(1, 80, None)]).collect();
    let without = image(&without, None);
    let planned = firewall.plan_source(source(&one, &without), "shop-2 leaves").unwrap();
    firewall.apply(planned).unwrap();
    let mut kept = without.clone();
    kept.rules.extend(base(2));
    assert_holds(&mut firewall, &kept);
    assert_eq!(names(&firewall), ["shop-2"]);
    assert!(firewall.release("shop-1", "test").unwrap().is_none(), "a bound container keeps its denies");
    assert!(firewall.release("shop-2", "test").unwrap().is_some());
    assert_holds(&mut firewall, &without);
    assert!(firewall.release("shop-2", "test").unwrap().is_none());
}

#[test]
fn a_change_by_somebody_else_is_seen() {
    let (document, old, new) = change();
    let (mut firewall, _) = attached(&document, &old);
    let planned = firewall.plan_source(source(&document, &new), "").unwrap();
    firewall.engine().tables.rules.clear();
    assert!(matches!(firewall.audit().unwrap().tables, super::watch::Tables::Drifted { expected: Some(_), .. }));
    let error = firewall.apply(planned).unwrap_err();
    assert!(matches!(error.cause, ApplyCause::Foreign { .. }));
    assert_eq!(error.state, AdapterState::Unchanged);
}

#[test]
fn counters_count_from_their_first_use_for_whom_they_count() {
    let (document, mut old, mut new) = change();
    let (key, other) = (allow(1, 80, None).0, allow(1, 8080, None).0);
    old.rules.get_mut(&key).unwrap().counter = Some(CounterId(1));
    new.rules.get_mut(&key).unwrap().counter = Some(CounterId(1));
    new.rules.get_mut(&other).unwrap().counter = Some(CounterId(0));
    let (mut firewall, _) = attached(&document, &old);
    assert_holds(&mut firewall, &old);
    firewall.engine().counters[1].rx += 7;
    let counts = firewall.counters().unwrap();
    let seven = CounterValue { rx: 7, tx: 0 };
    let expected =
        Count { counter: CounterId(1), entries: vec![key], origins: vec![OriginId(80)], total: seven, delta: seven };
    assert_eq!(counts, [expected]);
    firewall.engine().counters[0].rx += 100;
    let planned = firewall.plan_source(source(&document, &new), "").unwrap();
    firewall.apply(planned).unwrap();
    assert_holds(&mut firewall, &new);
    firewall.engine().counters[0].tx += 2;
    firewall.engine().counters[1].rx += 1;
    let counts = firewall.counters().unwrap();
    let values: Vec<_> = counts.iter().map(|c| (c.counter.0, c.total, c.delta)).collect();
    let value = |rx, tx| CounterValue { rx, tx };
    assert_eq!(values, [(0, value(0, 2), value(0, 2)), (1, value(8, 0), value(1, 0))]);
}

#[test]
fn the_cache_is_committed_after_tightening_at_a_bounded_rate() {
    let (document, old, new) = change();
    let (mut firewall, clock) = attached(&document, &old);
    let mut apply = |image: &Image| {
        let planned = firewall.plan_source(source(&document, image), "").unwrap();
        let behind = firewall.apply(planned).unwrap().cache_behind;
        (behind, firewall.engine().log.iter().filter(|line| *line == "commit").count())
    };
    assert_eq!(apply(&new), (true, 1), "a moment after the commit at attach");
    clock.advance(Duration::from_secs(60));
    assert_eq!(apply(&old), (false, 2));
}

/// Containers for which something is reserved.
fn names(firewall: &Firewall<FakeEngine>) -> Vec<String> {
    firewall.reserved().map(|(container, _)| container.to_owned()).collect()
}
