//! Courses by themselves: no adapter, no journal, no clock. Each answer is given by hand, and what follows is compared.

use super::*;
use crate::adapter::{AdapterError, Cmd, McErrno, McdiError};
use crate::firewall::apply::{Apply, Ended};
use crate::firewall::machine::{Answer, Effect, Failure, Machine, Note};
use crate::journal::JournalError;
use crate::tables::plan::{Phase, Step};

fn rule(port: u16, rx: Action) -> TableOp {
    TableOp::SetRule { key: allow(1, port, None).0, rx, tx: Action::None, counter: None }
}

/// 443 goes, and after a pause 8080 comes.
fn steps() -> Vec<Step> {
    let step = |phase, pause_before, op, undo| Step { phase, pause_before, op, undo: Some(undo) };
    vec![
        step(Phase::Tighten, false, rule(443, Action::None), rule(443, ALLOW)),
        step(Phase::Loosen, true, rule(8080, ALLOW), rule(8080, Action::None)),
    ]
}

fn version(byte: u8) -> RulesetVersion {
    RulesetVersion::from_bytes(&[byte])
}

fn refused() -> Answer {
    let error = McdiError::Refused { cmd: Cmd::SET_SECURITY_RULE, errno: McErrno::ENOSPC, arg: None };
    Answer::Failed(Failure::Adapter(error.into()))
}

fn lost() -> Answer {
    let error = McdiError::Timeout { cmd: Cmd::SET_SECURITY_RULE, after: Duration::from_secs(10) };
    Answer::Failed(Failure::Adapter(AdapterError::from(error)))
}

/// Plays a course: answers, and the effects that they must lead to.
fn play(answers: Vec<Answer>, effects: &[&str], ended: &Ended) {
    let (steps, (document, old, _)) = (steps(), change());
    let (names, before) = (super::super::names::Names::of(&document), version(1));
    let mut course = Apply::new(&steps, &old, &names, Some(&before));
    let mut answer = Answer::Done;
    let mut answers = answers.into_iter();
    let mut seen = Vec::new();
    loop {
        let effect = course.next(answer);
        seen.push(match &effect {
            Effect::Send(TableOp::SetRule { key, rx, .. }) => {
                format!("{} {}", key.local_port.unwrap(), if *rx == ALLOW { "on" } else { "off" })
            }
            Effect::Write(Note::Begin) => "begin".to_owned(),
            Effect::Write(Note::Done(version)) => format!("done {}", version.is_some()),
            Effect::Write(Note::Undone(..)) => "undone".to_owned(),
            Effect::Write(Note::Closed { who, .. }) => format!("closed {}", who.join(" ")),
            Effect::Write(Note::Unknown(_)) => "unknown".to_owned(),
            other => format!("{other:?}"),
        });
        if effect == Effect::Finish {
            break;
        }
        answer = answers.next().unwrap_or_else(|| panic!("no answer to {seen:?}"));
    }
    assert_eq!(seen, effects);
    assert_eq!(answers.count(), 0, "the course ends early");
    let outcome = course.outcome();
    match (&outcome.ended, ended) {
        (Ended::Closed { .. }, Ended::Closed { .. }) => {}
        (is, should) => assert_eq!(is, should),
    }
    assert_eq!(outcome.cause.is_none(), *ended == Ended::Done);
}

fn full() -> Answer {
    let source = std::io::ErrorKind::StorageFull.into();
    Answer::Failed(Failure::Journal(JournalError::Full { len: 100, source }))
}

fn done(count: usize) -> Vec<Answer> {
    (0..count).map(|_| Answer::Done).collect()
}

/// To the end of the steps: checked, begun, metered, sent, paused, sent.
fn to_the_version() -> Vec<Answer> {
    [vec![Answer::Version(version(1))], done(5)].concat_answers()
}

trait Concat {
    fn concat_answers(self) -> Vec<Answer>;
}

impl<const N: usize> Concat for [Vec<Answer>; N] {
    fn concat_answers(self) -> Vec<Answer> {
        self.into_iter().flatten().collect()
    }
}

const SENT: [&str; 6] = ["Version", "begin", "Meter", "443 off", "Pause", "8080 on"];
const BACK: [&str; 3] = ["8080 off", "Pause", "443 on"];

#[test]
fn a_change_is_written_down_before_and_after() {
    let answers = [to_the_version(), vec![Answer::Version(version(2)), Answer::Done]].concat_answers();
    play(answers, &[&SENT[..], &["Version", "done true", "Finish"]].concat(), &Ended::Done);
}

#[test]
fn an_end_that_the_journal_does_not_take_is_taken_back() {
    let answers = [
        to_the_version(),
        vec![Answer::Version(version(2)), full()],
        done(3),
        vec![Answer::Version(version(1)), Answer::Done],
    ]
    .concat_answers();
    let effects = [&SENT[..], &["Version", "done true"], &BACK, &["Version", "undone", "Finish"]].concat();
    play(answers, &effects, &Ended::Unchanged);
}

/// Nobody knows whether the record is there: if it is, the change took effect.
#[test]
fn an_end_that_the_journal_may_have_taken_is_not_taken_back() {
    let broken = || Answer::Failed(Failure::Journal(JournalError::Broken { source: None }));
    let answers = [to_the_version(), vec![Answer::Version(version(2)), broken(), broken()]].concat_answers();
    let effects = [&SENT[..], &["Version", "done true", "unknown", "Finish"]].concat();
    play(answers, &effects, &Ended::Unknown);
}

#[test]
fn a_version_that_gets_no_answer_leaves_all_unknown() {
    let answers = [to_the_version(), vec![lost(), Answer::Done]].concat_answers();
    play(answers, &[&SENT[..], &["Version", "unknown", "Finish"]].concat(), &Ended::Unknown);
    let answers = [to_the_version(), vec![refused(), Answer::Done]].concat_answers();
    play(answers, &[&SENT[..], &["Version", "done false", "Finish"]].concat(), &Ended::Done);
}

#[test]
fn nothing_is_sent_before_the_journal_has_it() {
    let answers = vec![Answer::Version(version(1)), full()];
    play(answers, &["Version", "begin", "Finish"], &Ended::Unchanged);
    play(vec![Answer::Version(version(9))], &["Version", "Finish"], &Ended::Unchanged);
    play(vec![lost()], &["Version", "Finish"], &Ended::Unknown);
}

#[test]
fn what_cannot_be_taken_back_is_closed() {
    // 8080 is refused, and then the way back of 443: all of shop-1 closes, here port 80.
    let begun = || [vec![Answer::Version(version(1))], done(2)].concat_answers();
    let answers =
        [begun(), done(2), vec![refused(), refused()], done(1), vec![Answer::Version(version(3)), Answer::Done]]
            .concat_answers();
    let effects = [
        "Version",
        "begin",
        "Meter",
        "443 off",
        "Pause",
        "8080 on",
        "443 on",
        "80 off",
        "Version",
        "closed shop-1",
        "Finish",
    ];
    play(answers, &effects, &Ended::Closed { who: BTreeSet::new(), rules: Default::default() });
    // And where that gets no answer, all is unknown.
    let answers = [begun(), done(2), vec![refused(), refused(), lost(), Answer::Done]].concat_answers();
    let effects = ["Version", "begin", "Meter", "443 off", "Pause", "8080 on", "443 on", "80 off", "unknown", "Finish"];
    play(answers, &effects, &Ended::Unknown);
}
