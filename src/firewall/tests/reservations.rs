//! Reservations add up, say what is true, and end with their release.

use super::*;
use crate::journal::Addresses;
use crate::tables::plan::Phase;

/// An entry of the rule table denies both ways, and nothing about the address is allowed.
fn is_closed(firewall: &mut Firewall<FakeEngine>, key: RuleKey) -> bool {
    let rules = &firewall.engine().tables.rules;
    let base = rules.get(&key).is_some_and(|is| is.rx == DENY && is.tx == DENY);
    base && !rules
        .iter()
        .any(|(k, is)| key.local_ip.is_some() && k.local_ip == key.local_ip && (is.rx == ALLOW || is.tx == ALLOW))
}

fn by_ip(last: u8) -> RuleKey {
    base(last)[0].0
}

fn by_mac(last: u8) -> RuleKey {
    base(last)[1].0
}

/// An adapter with one shop, and the image of it.
fn one_shop() -> (Firewall<FakeEngine>, Arc<VirtualClock>, Document, Image) {
    let (document, image) = (document(&[1]), image(&[&base(1)[..], &[allow(1, 80, None)]].concat(), None));
    let (firewall, clock) = attached(&document, &image);
    (firewall, clock, document, image)
}

/// Another rule for the one shop.
fn unrelated() -> Image {
    image(&[&base(1)[..], &[allow(1, 8080, None)]].concat(), None)
}

fn addresses(ips: &[u8], macs: &[u8]) -> Addresses {
    Addresses { ips: ips.iter().map(|n| ip(*n)).collect(), macs: macs.iter().map(|n| mac(*n)).collect() }
}

/// A shop-N at other addresses: IP and MAC end in `at`.
fn moved(shops: &[(u8, u8)]) -> (Document, Image) {
    let head =
        "nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web: [{allow: in, proto: tcp, local_ports: 80}]\n";
    let mut text = if shops.is_empty() { head.to_owned() } else { format!("{head}bindings:\n") };
    let mut entries = Vec::new();
    for (shop, at) in shops {
        text += &format!(
            "  - {{container: shop-{shop}, ip: 10.30.1.{at}, mac: \"{}\", attach: {{macvlan: vepa}}, policy: web}}\n",
            mac(*at)
        );
        entries.extend(base(*at));
        entries.push(allow(*at, 80, None));
    }
    (Document::parse(&text, "shops.yaml").unwrap(), image(&entries, None))
}

fn apply(firewall: &mut Firewall<FakeEngine>, document: &Document, image: &Image) -> Report {
    let planned = firewall.plan_source(source(document, image), "test").unwrap();
    let promised = planned.reserves.clone();
    let report = firewall.apply(planned).unwrap();
    assert_eq!(report.reserves, promised, "the report says what the plan has said");
    report
}

#[test]
fn a_second_reservation_adds_to_the_first() {
    let (mut firewall, clock, document, _) = one_shop();
    firewall.reserve("two", &[ip(20)], Some(mac(20)), "it comes").unwrap();
    firewall.reserve("two", &[ip(21)], Some(mac(21)), "one more").unwrap();
    // A container that is bound reserves one more address, twice.
    firewall.reserve("shop-1", &[ip(30)], None, "a second address").unwrap();
    firewall.reserve("shop-1", &[ip(31)], None, "a third address").unwrap();
    let reserved = |firewall: &Firewall<FakeEngine>| {
        firewall.reserved().map(|(name, at)| (name.to_owned(), at.clone())).collect::<Vec<_>>()
    };
    let expected =
        vec![("shop-1".to_owned(), addresses(&[30, 31], &[])), ("two".to_owned(), addresses(&[20, 21], &[20, 21]))];
    assert_eq!(reserved(&firewall), expected);
    let keys = [by_ip(20), by_ip(21), by_mac(20), by_mac(21), by_ip(30), by_ip(31)];
    // An unrelated change, a rollback, a repair, another process: none of them opens anything.
    let first = firewall.journal().status().change.unwrap();
    apply(&mut firewall, &document, &unrelated());
    keys.iter().for_each(|key| assert!(is_closed(&mut firewall, *key), "a change opens {key:?}"));
    firewall.rollback(1, "back").unwrap();
    keys.iter().for_each(|key| assert!(is_closed(&mut firewall, *key), "a rollback opens {key:?}"));
    firewall.rollback(first, "and forth").unwrap();
    let (engine, journal) = firewall.detach();
    let (firewall, _) = Firewall::attach(engine, journal, clock.clone(), SETTINGS).unwrap();
    assert_eq!(reserved(&firewall), expected);
    let (engine, journal) = firewall.detach();
    let mut firewall = Firewall::repair(engine, journal, "repair", clock, SETTINGS).unwrap();
    assert_eq!(reserved(&firewall), expected);
    keys.iter().for_each(|key| assert!(is_closed(&mut firewall, *key), "a repair opens {key:?}"));
    // The release of one ends all of its own, and nothing else.
    let report = firewall.release("two", "it is gone").unwrap().unwrap();
    assert_eq!(report.still_held, []);
    for (key, closed) in keys.iter().zip([false, false, false, false, true, true]) {
        assert_eq!(is_closed(&mut firewall, *key), closed, "{key:?}");
    }
    firewall.release("shop-1", "no more").unwrap().unwrap();
    assert_eq!(reserved(&firewall), []);
    assert!(is_closed(&mut firewall, by_mac(1)), "what a policy binds is not released");
}

#[test]
fn adopting_with_the_journal_opens_nothing_that_is_reserved() {
    let (mut firewall, clock, document, image) = one_shop();
    firewall.reserve("two", &[ip(20)], None, "it comes").unwrap();
    let (engine, journal) = firewall.detach();
    let held = attach_carried(&journal, source(&document, &image));
    let mut firewall =
        Firewall::with(engine, journal, clock, SETTINGS, held).load(ChangeKind::Adopt, "again".into()).unwrap();
    assert!(is_closed(&mut firewall, by_ip(20)));
    assert_eq!(names(&firewall), ["two"]);
}

/// What [`Firewall::adopt`] loads: it takes a compiled document, which the tests here do without.
fn attach_carried(journal: &Journal, source: CompiledSource) -> HeldContent {
    super::super::attach::carried_over(journal.status(), source)
}

#[test]
fn a_reservation_says_what_a_policy_opens() {
    let (mut firewall, ..) = one_shop();
    let report = firewall.reserve("shop-1", &[ip(1), ip(30)], None, "it starts").unwrap();
    let open: Vec<_> = report.open.iter().map(|at| (at.address.as_str(), at.bound.as_deref())).collect();
    assert_eq!(open, [("10.30.1.1", Some("shop-1"))]);
    assert_eq!(firewall.reserve("two", &[ip(20)], None, "it comes").unwrap().open, []);
}

#[test]
fn what_no_container_can_have_is_refused() {
    let (mut firewall, ..) = one_shop();
    let sent = firewall.engine().sent;
    let bad = [
        "239.1.1.1",
        "224.0.0.251",
        "255.255.255.255",
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "::",
        "::1",
        "ff02::1",
        "::ffff:10.30.1.20",
    ];
    for text in bad {
        let error = firewall.reserve("two", &[ip(20), text.parse().unwrap()], None, "it comes").unwrap_err();
        assert!(matches!(error, ReserveError::Unfit { .. }), "{text}: {error}");
        assert!(error.to_string().starts_with(text), "{error}");
    }
    for bad in ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"] {
        let error = firewall.reserve("two", &[], Some(bad.parse().unwrap()), "it comes").unwrap_err();
        assert!(matches!(error, ReserveError::Unfit { .. }), "{bad}: {error}");
    }
    // A MAC of another is that of another.
    let error = firewall.reserve("two", &[], Some(mac(1)), "it comes").unwrap_err();
    assert_eq!(error.to_string(), format!("{} is bound to shop-1", mac(1)));
    assert_eq!((firewall.engine().sent, firewall.reserved().count()), (sent, 0));
    firewall.reserve("two", &["fe80::1".parse().unwrap()], None, "a link-local address").unwrap();
}

#[test]
fn what_a_policy_takes_from_a_container_is_reserved_for_it_and_said() {
    let (mut firewall, ..) = one_shop();
    firewall.reserve("shop-1", &[ip(40)], None, "one more").unwrap();
    let (other, entries) = moved(&[(1, 50)]);
    let report = apply(&mut firewall, &other, &entries);
    // Two entries: the address and the MAC that it had.
    let expected = Reserved { container: "shop-1".to_owned(), addresses: addresses(&[1], &[1]), entries: 2 };
    assert_eq!(report.reserves, [expected]);
    for key in [by_ip(1), by_mac(1), by_ip(40)] {
        assert!(is_closed(&mut firewall, key), "{key:?}");
    }
    // The binding goes altogether.
    let (none, entries) = moved(&[]);
    let report = apply(&mut firewall, &none, &entries);
    assert_eq!(report.reserves[0].addresses, addresses(&[50], &[50]));
    // It comes back: what it is bound to is no longer reserved, what it was given besides is.
    let (first, entries) = moved(&[(1, 1)]);
    apply(&mut firewall, &first, &entries);
    let left: Vec<_> = firewall.reserved().map(|(_, at)| at.clone()).collect();
    assert_eq!(left, [addresses(&[40, 50], &[50])]);
    firewall.release("shop-1", "no more").unwrap().unwrap();
    assert!(!is_closed(&mut firewall, by_ip(50)) && !is_closed(&mut firewall, by_ip(40)));
    assert!(firewall.release("shop-1", "no more").unwrap().is_none());
}

/// An address that moves between containers and back.
#[test]
fn the_release_of_one_says_who_else_holds_the_address() {
    let (mut firewall, ..) = one_shop();
    let [one, two, none] = [moved(&[(1, 1)]), moved(&[(2, 1)]), moved(&[])];
    apply(&mut firewall, &one.0, &one.1);
    apply(&mut firewall, &two.0, &two.1);
    apply(&mut firewall, &one.0, &one.1);
    // The policy binds shop-1; shop-2 had it once.
    let error = firewall.reserve("shop-9", &[ip(1)], None, "it comes").unwrap_err();
    assert_eq!(error.to_string(), "10.30.1.1 is bound to shop-1");
    apply(&mut firewall, &none.0, &none.1);
    let report = firewall.release("shop-1", "gone").unwrap().unwrap();
    let held: Vec<_> = report.still_held.iter().map(|at| (at.address.clone(), at.reserved.clone())).collect();
    let two = vec!["shop-2".to_owned()];
    assert_eq!(held, [("10.30.1.1".to_owned(), two.clone()), (mac(1).to_string(), two)]);
    assert!(is_closed(&mut firewall, by_ip(1)));
    let error = firewall.reserve("shop-9", &[ip(1)], None, "it comes").unwrap_err();
    assert_eq!(error.to_string(), "10.30.1.1 is reserved for shop-2");
    let report = firewall.release("shop-2", "gone").unwrap().unwrap();
    assert_eq!(report.still_held, []);
    assert!(!is_closed(&mut firewall, by_ip(1)));
    firewall.reserve("shop-9", &[ip(1)], None, "it comes").unwrap();
}

#[test]
fn a_rollback_keeps_what_was_reserved_while_the_change_waited() {
    let (mut firewall, clock, document, _) = one_shop();
    let change = firewall.plan_source(source(&document, &unrelated()), "CHG-1").unwrap();
    assert!(change.plan.steps.iter().any(|step| step.phase == Phase::Loosen));
    firewall.apply(change.confirm_within(Duration::from_secs(60))).unwrap();
    firewall.reserve("two", &[ip(20)], None, "it comes").unwrap();
    firewall.reserve("two", &[ip(21)], None, "and more").unwrap();
    clock.advance(Duration::from_secs(61));
    assert!(firewall.poll().unwrap().rolled_back.is_some());
    assert!(is_closed(&mut firewall, by_ip(20)) && is_closed(&mut firewall, by_ip(21)));
}
