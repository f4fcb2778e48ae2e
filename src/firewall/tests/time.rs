//! What is decided by a date, and by a clock that was set back or had been ahead; and the grace time.

use super::*;
use crate::clock::Timestamp;
use crate::journal::JournalError;
use crate::tables::Compiled;
use crate::tables::plan::Phase;

const HOUR: Duration = Duration::from_secs(3600);

fn set_back(clock: &VirtualClock, by: Duration) -> Timestamp {
    let was = clock.wall();
    let millis = u64::try_from(by.as_millis()).unwrap();
    clock.set_wall(Timestamp(was.0 - millis));
    was
}

fn next_process(firewall: Firewall<FakeEngine>, clock: &Arc<VirtualClock>) -> (Firewall<FakeEngine>, Recovery) {
    let (mut engine, journal) = firewall.detach();
    engine.revive();
    Firewall::attach(engine, journal, clock.clone(), SETTINGS).unwrap()
}

/// An adapter whose change waits for confirmation.
fn unconfirmed(within: Duration) -> (Firewall<FakeEngine>, Arc<VirtualClock>, Image, u64) {
    let (document, old, new) = change();
    let (mut firewall, clock) = attached(&document, &old);
    clock.advance(HOUR);
    let change = firewall.plan_source(source(&document, &new), "CHG-1").unwrap().confirm_within(within);
    let number = firewall.apply(change).unwrap().change.unwrap();
    (firewall, clock, old, number)
}

#[test]
fn a_process_whose_clock_is_behind_the_journal_takes_the_change_back() {
    let (firewall, clock, old, number) = unconfirmed(Duration::from_secs(3));
    clock.advance(Duration::from_secs(4));
    set_back(&clock, HOUR);
    let (mut firewall, recovery) = next_process(firewall, &clock);
    assert_eq!(recovery.rolled_back, Some(number));
    assert!(matches!(firewall.confirm(), Err(ConfirmError::Nothing)));
    assert_holds(&mut firewall, &old);
}

#[test]
fn a_process_that_attached_in_time_gains_none_by_a_clock_that_is_set_back() {
    let (firewall, clock, old, number) = unconfirmed(Duration::from_secs(60));
    clock.advance(Duration::from_secs(30));
    let (mut firewall, recovery) = next_process(firewall, &clock);
    assert_eq!(recovery.rolled_back, None);
    // By less than what a time service adjusts, again and again.
    for _ in 0..20 {
        clock.advance(Duration::from_millis(1400));
        set_back(&clock, Duration::from_millis(1300));
        assert_eq!(firewall.poll().unwrap().rolled_back, None);
    }
    clock.advance(Duration::from_secs(2));
    assert!(matches!(firewall.confirm(), Err(ConfirmError::Late { .. })), "30 seconds have passed since it attached");
    assert_eq!(firewall.poll().unwrap().rolled_back, Some(number));
    assert_holds(&mut firewall, &old);
}

/// By the date alone, at the very moment: the clock that nobody sets has not moved.
#[test]
fn the_time_to_confirm_ends_at_its_date() {
    let (mut firewall, clock, old, number) = unconfirmed(HOUR);
    let by = firewall.journal().status().confirm.as_ref().unwrap().by;
    // From when the change was asked for; its commands have taken some of it.
    let left = by.since(clock.wall());
    assert!(left <= HOUR && left > HOUR - Duration::from_secs(1), "{left:?}");
    clock.set_wall(Timestamp(by.0 - 1));
    assert_eq!(firewall.poll().unwrap().rolled_back, None);
    clock.set_wall(by);
    assert!(matches!(firewall.confirm(), Err(ConfirmError::Late { by: at, now, .. }) if at == by && now == by));
    assert_eq!(firewall.poll().unwrap().rolled_back, Some(number));
    assert_holds(&mut firewall, &old);
}

/// Management reaches what is bound: a document that binds what was reserved opens it, and one that does not opens nothing.
#[test]
fn binding_what_was_reserved_waits_for_the_clock_where_there_is_management() {
    let head = "nicfw: 1\nunbound: allow\nmulticast: deny\nmanagement:\n  - {allow: in, proto: tcp, local_ports: 22, remote: \
                10.0.0.7}\npolicies:\n  web: []\nbindings:\n";
    let managed = |shops: &[u8]| {
        let binding = |n: &u8| {
            format!("  - {{container: shop-{n}, ip: 10.30.1.{n}, mac: \"{}\", attach: sriov, policy: web}}\n", mac(*n))
        };
        Document::parse(&(head.to_owned() + &shops.iter().map(binding).collect::<String>()), "shops.yaml").unwrap()
    };
    let one = managed(&[1]);
    let (with, without) = (image(&[&base(1)[..], &[allow(1, 80, None)]].concat(), None), image(&base(1), None));
    let (mut firewall, clock) = attached(&one, &without);
    clock.advance(2 * HOUR);
    firewall.reserve("shop-2", &[ip(2)], Some(mac(2)), "the clock is ahead").unwrap();
    set_back(&clock, 2 * HOUR);
    let opening = firewall.plan_source(source(&one, &with), "as if the documents said the same").unwrap();
    assert!(opening.plan.steps.iter().any(|step| step.phase == Phase::Loosen));
    firewall.apply(opening).unwrap();
    let binding = firewall.plan_source(
        source(&managed(&[1, 2]), &image(&[&base(1)[..], &base(2), &[allow(2, 22, None)]].concat(), None)),
        "it comes",
    );
    let refused = firewall.apply(binding.unwrap()).unwrap_err();
    assert!(matches!(refused.cause, ApplyCause::Journal(JournalError::ClockBack { .. })), "{refused:?}");
}

#[test]
fn what_closes_does_not_wait_for_a_clock_and_what_opens_says_the_way_out() {
    let (document, old, new) = change();
    let (mut firewall, clock) = attached(&document, &old);
    // Once, the clock was two hours ahead.
    clock.advance(2 * HOUR);
    firewall.reserve("shop-8", &[ip(8)], None, "the clock is ahead").unwrap();
    let ahead = set_back(&clock, 2 * HOUR);

    let opening = firewall.plan_source(source(&document, &new), "it opens 8080").unwrap();
    assert!(opening.plan.steps.iter().any(|step| step.phase == Phase::Loosen));
    // As if the documents differed: the images here do, and are not compiled.
    let sent = firewall.engine().sent;
    let refused = firewall.release("shop-8", "gone").unwrap_err();
    assert!(
        matches!(&refused.cause, ApplyCause::Journal(JournalError::ClockBack { last, .. }) if *last == ahead),
        "{refused:?}"
    );
    assert!(refused.cause.to_string().contains("nicfw journal FILE clock --reason"), "{}", refused.cause);
    assert_eq!((firewall.engine().sent, refused.state), (sent, AdapterState::Unchanged));

    firewall.reserve("shop-9", &[ip(9)], None, "closing").unwrap();
    let mut tighter = old.clone();
    tighter.rules.remove(&allow(1, 443, None).0);
    let tightening = firewall.plan_source(source(&document, &tighter), "closing").unwrap();
    firewall.apply(tightening).unwrap();
    firewall.rollback(1, "taking back").unwrap();
    assert_eq!(firewall.journal().status().last_at, ahead, "dates stand still meanwhile");
    let (firewall, _) = next_process(firewall, &clock);
    let (engine, journal) = firewall.detach();
    let mut firewall = Firewall::repair(engine, journal, "repair", clock.clone(), SETTINGS).unwrap();

    // The way out sends nothing.
    let sent = firewall.engine().sent;
    let now = clock.wall();
    firewall.journal_mut().accept_clock(now, Reason::new("ann", "the RTC was wrong")).unwrap();
    assert_eq!((firewall.engine().sent, firewall.date()), (sent, now));
    firewall.release("shop-8", "gone").unwrap().unwrap();
    clock.advance(HOUR);
    let (mut firewall, _) = next_process(firewall, &clock);
    firewall.release("shop-9", "gone").unwrap().unwrap();
    assert!(firewall.journal_mut().verify(None).is_ok());
    let error = firewall.journal_mut().accept_clock(clock.wall(), Reason::from("again")).unwrap_err();
    assert!(matches!(error, JournalError::OutOfOrder { .. }), "it is not behind: {error}");
}

#[test]
fn the_clock_is_not_accepted_while_a_change_waits() {
    let (mut firewall, clock, old, number) = unconfirmed(HOUR);
    set_back(&clock, HOUR / 2);
    let error = firewall.journal_mut().accept_clock(clock.wall(), Reason::from("more time")).unwrap_err();
    assert!(error.to_string().contains("confirm it or roll it back first"), "{error}");
    firewall.rollback(1, "back").unwrap();
    firewall.journal_mut().accept_clock(clock.wall(), Reason::from("right now")).unwrap();
    assert!(number > 1);
    assert_holds(&mut firewall, &old);
}

/// When the cache is due does not depend on the date: not in the process that changed the rules, nor in the next one.
#[test]
fn a_clock_that_is_set_back_delays_no_commit_of_the_cache() {
    let (document, old, new) = change();
    let (mut firewall, clock) = attached(&document, &old);
    let commits = |firewall: &mut Firewall<FakeEngine>| {
        firewall.poll().unwrap();
        firewall.engine().log.iter().filter(|line| *line == "commit").count()
    };
    let planned = firewall.plan_source(source(&document, &new), "CHG-1").unwrap();
    assert!(firewall.apply(planned).unwrap().cache_behind, "a moment after the commit at attach");
    set_back(&clock, HOUR);
    clock.advance(SETTINGS.commit_every / 2);
    assert_eq!(commits(&mut firewall), 1, "half of the time has passed");
    clock.advance(SETTINGS.commit_every / 2);
    assert_eq!((commits(&mut firewall), firewall.audit().unwrap().cache_behind), (2, false));

    let mut tighter = new.clone();
    tighter.rules.remove(&allow(1, 8080, None).0);
    let planned = firewall.plan_source(source(&document, &tighter), "CHG-2").unwrap();
    assert!(firewall.apply(planned).unwrap().cache_behind, "a moment after the last commit");
    let (mut firewall, _) = next_process(firewall, &clock);
    assert!(firewall.journal().is_ahead_of(clock.wall()), "its clock is behind the journal still");
    assert_eq!((commits(&mut firewall), firewall.audit().unwrap().cache_behind), (3, false));
}

/// What had run out by the journal's last record stays so, in the process that wrote it and in the next one.
#[test]
fn a_clock_that_is_set_back_brings_nothing_back_that_had_run_out() {
    let text = r#"nicfw: 1
unbound: allow
multicast: deny
expired: withdraw
policies:
  web:
    - {allow: in, proto: tcp, local_ports: 80}
    - {allow: in, proto: tcp, local_ports: 22, until: "2026-11-23T01:00:00Z"}
bindings:
  - {container: shop-1, ip: 10.30.1.1, mac: "02:00:0a:1e:01:01", attach: {macvlan: vepa}, policy: web}
"#;
    let document = Document::parse(text, "shops.yaml").unwrap();
    let compiled = Compiled::new(&document, &Target::profile0(), None).unwrap();
    let (mut firewall, clock) = attached(&document, compiled.image());
    let opens = |firewall: &mut Firewall<FakeEngine>, port: u16| {
        let rules = &firewall.engine().tables.rules;
        rules.iter().any(|(key, is)| key.local_port == Some(port) && is.rx == ALLOW)
    };
    clock.advance(HOUR / 2);
    assert_eq!((firewall.audit().unwrap().expired.len(), opens(&mut firewall, 22)), (0, true));
    assert!(firewall.withdraw_expired("not yet").unwrap().is_none());
    clock.advance(HOUR);
    firewall.reserve("shop-9", &[ip(9)], None, "half past one").unwrap();
    set_back(&clock, HOUR);
    assert_eq!(firewall.audit().unwrap().expired.len(), 1, "the journal has seen half past one");
    let (mut firewall, _) = next_process(firewall, &clock);
    assert_eq!(firewall.audit().unwrap().expired.len(), 1, "the next process has read of it");
    assert!(firewall.withdraw_expired("it is over").unwrap().is_some());
    assert_eq!((opens(&mut firewall, 80), opens(&mut firewall, 22)), (true, false));
}

/// A virtual clock, and every wait on it.
#[derive(Debug, Default)]
struct Course {
    clock: VirtualClock,
    waits: std::sync::Mutex<Vec<Duration>>,
}

impl Clock for Course {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn wall(&self) -> Timestamp {
        self.clock.wall()
    }

    fn sleep(&self, duration: Duration) {
        self.waits.lock().unwrap().push(duration);
        self.clock.sleep(duration);
    }

    fn wait(&self, signal: &dyn crate::clock::Signal, duration: Duration) -> bool {
        self.clock.wait(signal, duration)
    }
}

#[test]
fn ids_that_a_change_retired_are_used_again_after_the_grace_time_only() {
    let (document, old, new) = change();
    let clock = Arc::new(Course::default());
    let held = HeldContent::new(source(&document, &old).into(), Default::default());
    let mut firewall = Firewall::with(FakeEngine::new(), Journal::in_memory(), clock.clone(), SETTINGS, held)
        .load(ChangeKind::Adopt, "test".into())
        .unwrap();
    let apply = |firewall: &mut Firewall<FakeEngine>, image: &Image| {
        let planned = firewall.plan_source(source(&document, image), "").unwrap();
        clock.waits.lock().unwrap().clear();
        firewall.apply(planned).unwrap();
        clock.waits.lock().unwrap().first().copied()
    };
    apply(&mut firewall, &new);
    // Right after it: before the first command of the next change the whole grace time passes.
    let planned = firewall.plan_source(source(&document, &old), "").unwrap();
    let pauses = planned.plan.steps.iter().filter(|step| step.pause_before).count();
    clock.waits.lock().unwrap().clear();
    let before = clock.now();
    firewall.apply(planned).unwrap();
    let waits = clock.waits.lock().unwrap().clone();
    assert_eq!(waits.first(), Some(&GRACE), "{waits:?}");
    assert_eq!(waits.len(), pauses + 1, "{waits:?}");
    assert_eq!(clock.now() - before, GRACE * u32::try_from(pauses + 1).unwrap());
    // Some of it has passed by itself.
    clock.clock.advance(GRACE / 2);
    assert_eq!(apply(&mut firewall, &new), Some(GRACE / 2));
    clock.clock.advance(GRACE);
    let planned = firewall.plan_source(source(&document, &old), "").unwrap();
    let pauses = planned.plan.steps.iter().filter(|step| step.pause_before).count();
    clock.waits.lock().unwrap().clear();
    firewall.apply(planned).unwrap();
    assert_eq!(clock.waits.lock().unwrap().len(), pauses, "nothing is left to wait for");
    // What was taken back has used ids too.
    firewall.engine().fault(1, Fault::Full);
    let planned = firewall.plan_source(source(&document, &new), "").unwrap();
    clock.clock.advance(GRACE);
    firewall.apply(planned.clone()).unwrap_err();
    clock.waits.lock().unwrap().clear();
    firewall.apply(planned).unwrap();
    assert_eq!(clock.waits.lock().unwrap().first(), Some(&GRACE));
}

#[test]
fn the_grace_time_passes_while_a_change_is_taken_back() {
    let (document, old, new) = change();
    let clock = Arc::new(VirtualClock::new());
    let mut firewall = adopted(FakeEngine::new(), &document, &old, clock.clone()).unwrap();
    let planned = firewall.plan_source(source(&document, &new), "").unwrap();
    let steps = &planned.plan.steps;
    let pause = steps.iter().position(|step| step.pause_before).unwrap();
    assert!(pause + 1 < steps.len());
    // The command after the pause is carried out, the next one is refused: back over the pause again.
    firewall.engine().fault(pause + 1, Fault::Full);
    let before = clock.now();
    clock.advance(GRACE);
    firewall.apply(planned).unwrap_err();
    assert_holds(&mut firewall, &old);
    assert_eq!(clock.now() - before, GRACE * 3, "on the way, and on the way back");
}
