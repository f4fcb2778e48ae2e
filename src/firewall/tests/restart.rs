//! What the next process does: with the journal of the last one, and an adapter to which anything may have happened.

use super::*;
use crate::firewall::watch::Tables as Found_;

/// The process ends, and another goes on.
fn restart(firewall: Firewall<FakeEngine>, clock: &Arc<VirtualClock>) -> (Firewall<FakeEngine>, Recovery) {
    let (mut engine, journal) = firewall.detach();
    engine.log.clear();
    engine.revive();
    Firewall::attach(engine, journal, clock.clone(), SETTINGS).unwrap()
}

fn refused(firewall: Firewall<FakeEngine>, clock: &Arc<VirtualClock>) -> AttachError {
    let (engine, journal) = firewall.detach();
    Firewall::attach(engine, journal, clock.clone(), SETTINGS).unwrap_err().error
}

#[test]
fn a_process_goes_on_where_the_last_one_stopped_and_sends_nothing() {
    let (document, old, new) = change();
    let (mut firewall, clock) = attached(&document, &old);
    let change = firewall.plan_source(source(&document, &new), "CHG-1").unwrap();
    firewall.apply(change).unwrap();
    firewall.reserve("shop-3", &[ip(3)], Some(mac(3)), "before it starts").unwrap();
    let (image, sent) = (firewall.image().clone(), firewall.engine().sent);
    let (mut firewall, recovery) = restart(firewall, &clock);
    assert_eq!(recovery, Recovery { found: Found::Same, commands: 0, rolled_back: None });
    assert_eq!((firewall.engine().sent, firewall.engine().log.len()), (sent, 0));
    assert_eq!(firewall.image(), &image);
    assert_eq!(firewall.document(), &document);
    assert_eq!(names(&firewall), ["shop-3"]);
    assert!(firewall.release("shop-3", "it is gone").unwrap().is_some());
    assert_holds(&mut firewall, &new);
}

#[test]
fn what_no_record_explains_is_refused() {
    let (document, old, _) = change();
    let clock = Arc::new(VirtualClock::new());
    let empty = Firewall::attach(FakeEngine::new(), Journal::in_memory(), clock.clone(), SETTINGS).unwrap_err();
    assert!(matches!(empty.error, AttachError::New));
    let (mut firewall, clock) = attached(&document, &old);
    firewall.engine().tables.rules.clear();
    let error = refused(firewall, &clock);
    assert!(matches!(error, AttachError::Foreign { record: 2, expected: Some(_), .. }), "{error}");
    assert!(error.to_string().contains("by record 2 of 2026-11-23T00:00:00.000Z it had "), "{error}");
}

/// Whoever looks for the foreign writer looks from the last record that agreed with the adapter on, however many came later.
#[test]
fn drift_is_dated_by_the_last_record_that_agreed() {
    let (document, old, new) = change();
    let (mut firewall, clock) = attached(&document, &old);
    let hour = Duration::from_secs(3600);
    clock.advance(hour);
    let planned = firewall.plan_source(source(&document, &new), "CHG-1").unwrap();
    // The record behind the one that begins a change ends it.
    let agreed = (firewall.apply(planned).unwrap().change.unwrap() + 1, clock.wall());
    assert!(agreed.1 > VirtualClock::START.after(hour));
    for port in [443, 80] {
        // One foreign write an hour, each of which is found and recorded.
        clock.advance(hour);
        firewall.engine().tables.rules.retain(|key, _| key.local_port != Some(port));
        let Found_::Drifted { record, since, .. } = firewall.audit().unwrap().tables else { panic!("it has changed") };
        assert_eq!((record, since), agreed, "port {port}");
        assert_eq!(firewall.journal().status().last_at, clock.wall(), "the drift is in the journal");
    }
    clock.advance(hour);
    let error = refused(firewall, &clock);
    assert!(matches!(&error, AttachError::Foreign { record, .. } if *record == agreed.0), "{error}");
    let said = format!("by record {} of {} it had ", agreed.0, agreed.1);
    assert!(error.to_string().contains(&said) && said.contains(" of 2026-11-23T01:00:00."), "{error}");
}

#[test]
fn what_the_journal_says_is_loaded_again_by_repair() {
    let (document, old, _) = change();
    let (mut firewall, clock) = attached(&document, &old);
    firewall.engine().tables.rules.clear();
    assert!(matches!(firewall.audit().unwrap().tables, Found_::Drifted { record: 2, .. }));
    let (engine, journal) = firewall.detach();
    let mut firewall = Firewall::repair(engine, journal, "somebody was there", clock, SETTINGS).unwrap();
    assert_holds(&mut firewall, &old);
    assert!(firewall.audit().unwrap().is_sound());
}

#[test]
fn a_reboot_between_two_processes_is_found() {
    let (document, mut old, _) = change();
    old.rules.get_mut(&allow(1, 80, None).0).unwrap().counter = Some(CounterId(0));
    let (mut firewall, clock) = attached(&document, &old);
    // The management controller came back with the tables that it had.
    firewall.engine().reboot(|_| {});
    let (mut firewall, recovery) = restart(firewall, &clock);
    assert_eq!(recovery, Recovery { found: Found::Uncounted, commands: 1, rolled_back: None });
    assert_holds(&mut firewall, &old);
    // What a reboot loads next is what is held now, with the counters that it has now.
    assert_eq!(firewall.engine().log.last().unwrap(), "commit");
    assert!(!firewall.audit().unwrap().cache_behind);
    firewall.engine().counters[0].rx += 7;
    assert_eq!(firewall.counters().unwrap()[0].delta.rx, 7);
    // And with others.
    firewall.engine().reboot(|tables| tables.rules.clear());
    let (mut firewall, recovery) = restart(firewall, &clock);
    assert_eq!(recovery.found, Found::Rebooted);
    assert!(firewall.engine().log.iter().any(|line| line.starts_with("override Block")));
    assert_eq!(firewall.engine().log.last().unwrap(), "commit");
    assert_holds(&mut firewall, &old);
    let (_, recovery) = restart(firewall, &clock);
    assert_eq!(recovery.found, Found::Same);
}

#[test]
fn a_change_that_did_not_end_is_gone_after_the_restart() {
    let (document, old, new) = change();
    let steps = attached(&document, &old).0.plan_source(source(&document, &new), "").unwrap().plan.steps.len();
    for at in 0..steps {
        for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Reboot] {
            let (mut firewall, clock) = attached(&document, &old);
            firewall.engine().fault(at, fault);
            let change = firewall.plan_source(source(&document, &new), "CHG-1").unwrap();
            firewall.apply(change.clone()).unwrap_err();
            let (mut firewall, recovery) = restart(firewall, &clock);
            assert!(matches!(recovery.found, Found::Interrupted { .. }), "{fault:?} of command {at}: {recovery:?}");
            let nothing_sent = at == 0 && fault == Fault::LostBefore;
            assert_eq!(recovery.commands == 0, nothing_sent, "known by the hash");
            assert_holds(&mut firewall, &old);
            let (mut firewall, recovery) = restart(firewall, &clock);
            assert_eq!((recovery.found, recovery.commands), (Found::Same, 0), "{fault:?} of command {at}");
            let change = firewall.plan_source(source(&document, &new), "CHG-1 again").unwrap();
            firewall.apply(change).unwrap();
            assert_holds(&mut firewall, &new);
        }
    }
}

#[test]
fn an_unconfirmed_change_is_taken_back() {
    let (document, old, new) = change();
    let minute = Duration::from_secs(60);
    let unconfirmed = || {
        let (mut firewall, clock) = attached(&document, &old);
        let change = firewall.plan_source(source(&document, &new), "CHG-1").unwrap().confirm_within(minute);
        let number = firewall.apply(change).unwrap().change.unwrap();
        (firewall, clock, number)
    };
    let (mut firewall, clock, number) = unconfirmed();
    let other = firewall.plan_source(source(&document, &old), "CHG-2").unwrap();
    assert!(
        matches!(firewall.apply(other).unwrap_err().cause, ApplyCause::Unconfirmed { change, .. } if change == number)
    );
    firewall.reserve("shop-3", &[ip(3)], None, "closing is always accepted").unwrap();
    clock.advance(minute - Duration::from_secs(1));
    assert_eq!(firewall.poll().unwrap().rolled_back, None);
    assert_eq!(firewall.confirm().unwrap(), number);
    clock.advance(minute);
    assert_eq!(firewall.poll().unwrap().rolled_back, None);
    assert!(matches!(firewall.confirm(), Err(ConfirmError::Nothing)));

    let (mut firewall, clock, number) = unconfirmed();
    // Whoever sets the clock back gains no time.
    clock.set_wall("2026-11-22T00:00:00Z".parse().unwrap());
    clock.advance(minute);
    assert!(matches!(firewall.confirm(), Err(ConfirmError::Late { .. })));
    assert_eq!(firewall.poll().unwrap().rolled_back, Some(number));
    assert_holds(&mut firewall, &old);
    assert_eq!(firewall.poll().unwrap().rolled_back, None);

    let (firewall, clock, number) = unconfirmed();
    let (firewall, recovery) = restart(firewall, &clock);
    assert_eq!((recovery.found, recovery.rolled_back), (Found::Same, None));
    clock.advance(minute);
    let (mut firewall, recovery) = restart(firewall, &clock);
    assert_eq!((recovery.found, recovery.rolled_back), (Found::Same, Some(number)));
    assert_holds(&mut firewall, &old);
}

#[test]
fn an_earlier_content_comes_back_by_its_number() {
    let (document_of_two, old, new) = change();
    let (mut firewall, clock) = attached(&document_of_two, &old);
    let one = document(&[1]);
    let first = firewall.journal().status().change.unwrap();
    let change = firewall.plan_source(source(&document_of_two, &new), "CHG-1").unwrap();
    let second = firewall.apply(change).unwrap().change.unwrap();
    let without: Vec<_> = base(1).into_iter().chain([allow(1, 80, None)]).collect();
    let change = firewall.plan_source(source(&one, &image(&without, None)), "CHG-2").unwrap();
    firewall.apply(change).unwrap();
    firewall.release("shop-2", "gone").unwrap();
    firewall.rollback(second, "it comes back").unwrap();
    assert_holds(&mut firewall, &new);
    let (mut firewall, _) = restart(firewall, &clock);
    firewall.rollback(first, "and further").unwrap();
    assert_holds(&mut firewall, &old);
    let error = firewall.rollback(9_999, "never was").unwrap_err();
    assert_eq!(error.state, AdapterState::Unchanged);
}

#[test]
fn a_hash_that_is_answered_otherwise_once_is_asked_for_again() {
    let (document, old, new) = change();
    let (mut firewall, clock) = attached(&document, &old);
    let cut = RulesetVersion::from_bytes(&[7]);
    let change = firewall.plan_source(source(&document, &new), "CHG-1").unwrap();
    firewall.engine().hashes.extend([Some(cut), None]);
    firewall.apply(change).unwrap();
    assert!(firewall.engine().hashes.is_empty(), "the answers were given");
    assert!(firewall.audit().unwrap().is_sound());
    let (mut firewall, recovery) = restart(firewall, &clock);
    assert_eq!(recovery.found, Found::Same);
    assert_holds(&mut firewall, &new);
}

#[test]
fn what_was_left_without_a_hash_is_loaded_again() {
    let (document, old, new) = change();
    let (mut firewall, clock) = attached(&document, &old);
    let change = firewall.plan_source(source(&document, &new), "CHG-1").unwrap();
    // The first question, before the first command, is answered twice alike; the last one never.
    let now = firewall.engine().ruleset_version().unwrap();
    firewall.engine().hashes.extend([Some(now.clone()), Some(now), None, None, None, None, None]);
    firewall.apply(change).unwrap();
    assert!(firewall.engine().hashes.is_empty(), "the answers were given");
    assert_holds(&mut firewall, &new);
    // Who knows whether somebody wrote since then.
    firewall.engine().tables.rules.clear();
    let (mut firewall, recovery) = restart(firewall, &clock);
    assert_eq!(recovery.found, Found::Unread);
    assert!(firewall.engine().log.iter().any(|line| line.starts_with("override Block")));
    assert_holds(&mut firewall, &new);
    assert_eq!(restart(firewall, &clock).1.found, Found::Same);
}

#[test]
fn the_next_process_commits_the_cache_that_the_last_one_owed() {
    let (document, old, new) = change();
    let (mut firewall, clock) = attached(&document, &old);
    let change = firewall.plan_source(source(&document, &new), "CHG-1").unwrap();
    assert!(firewall.apply(change).unwrap().cache_behind, "a moment after the commit at attach");
    let (mut firewall, _) = restart(firewall, &clock);
    assert!(!firewall.engine().log.contains(&"commit".to_owned()));
    firewall.poll().unwrap();
    assert!(firewall.engine().log.contains(&"commit".to_owned()));
    assert!(!firewall.audit().unwrap().cache_behind);
}
