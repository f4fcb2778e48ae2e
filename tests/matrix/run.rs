//! One cell: the workload meets the fault, and what comes of it is compared with what was promised.

use nicfw::error::AdapterState;
use nicfw::journal::MemoryStore;
use nicfw_model::engines::rules::EngineConfig;
use nicfw_model::fault::FaultKind;
use nicfw_test_kit::faults::workloads::Act;

use crate::cells::{Torn, Wrong, arm};
use crate::witness::Death;
use crate::world::{Outcome, Prepared, World, numbers};

/// A sentence that did not hold, by its number, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub sentence: u8,
    pub what: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sentence {}: {}", self.sentence, self.what)
    }
}

pub fn broken<T>(sentence: u8, what: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { sentence, what: what.into() })
}

/// What a cell showed: whether its fault happened, and how often the oracle looked.
pub struct Shown {
    pub fired: bool,
    pub looks: u64,
}

/// Which contents may be there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Old,
    New,
    /// One of the two, whole.
    Either,
    /// The old one, but for these containers, which are closed.
    Closed(Vec<u8>),
    /// The old one; or nothing passes, until the next adoption.
    OldOrBlocked,
}

/// # Errors
/// What was promised and did not hold.
pub fn run(prepared: &Prepared, wrong: &Wrong, engine: EngineConfig) -> Result<Shown, Broken> {
    let mut world = World::new(prepared, engine).or_else(|error| broken(3, error))?;
    begins(&mut world)?;
    if let Wrong::Flipped { record, place } = wrong {
        return flipped(&mut world, *record, *place);
    }
    let fired = meet(&mut world, wrong)?;
    let looks = world.scene.borrow().looks;
    Ok(Shown { fired, looks })
}

/// What passes at the beginning is what the old document says.
fn begins(world: &mut World<'_>) -> Result<(), Broken> {
    world.watch(true, &[]);
    world.scene.borrow_mut().look("the beginning");
    seen(world, "the beginning")
}

/// The change meets the fault; afterwards it is made at last. True if the fault happened.
pub fn meet(world: &mut World<'_>, wrong: &Wrong) -> Result<bool, Broken> {
    let fired_before = world.scene.borrow().store.fired();
    arm(world, wrong);
    let open = matches!(wrong, Wrong::RebootUncached { .. });
    let outcome = if open { world.act_open() } else { world.act() };
    let fired = fired(world, wrong, &outcome, fired_before);
    let held = held(world, &outcome);
    let dead = world.scene.borrow().dead || store_is_dead(wrong);
    if !dead {
        if let Held::Closed(who) = &held {
            // What the error names as closed was closed on the way there.
            world
                .scene
                .borrow_mut()
                .violations
                .retain(|(sentence, container), _| *sentence != 2 || !who.contains(container));
        }
        seen(world, "the act")?;
        if !open && !rebooted_after_the_end(world, wrong, &held)? {
            holds(world, &held, 3, "what the act says is there")?;
        }
        world.watch(false, &[]);
        again(world, wrong, &outcome)?;
    }
    world.model.limit_rules(8192, None);
    let held = if dead { after_death(world, &outcome) } else { held };
    restarted(world, wrong, &held, dead)?;
    Ok(fired)
}

/// The management controller has rebooted when all was done, at the command that would have committed the cache: the older
/// content is back, and the next look at the adapter finds it.
fn rebooted_after_the_end(world: &mut World<'_>, wrong: &Wrong, held: &Held) -> Result<bool, Broken> {
    let reboots = match wrong {
        Wrong::Command { kind, .. } => matches!(kind, FaultKind::RebootBefore | FaultKind::RebootAfter),
        other => matches!(other, Wrong::RebootTwice { .. }),
    };
    if !reboots || *held != Held::New || world.passes() == world.after {
        return Ok(false);
    }
    let Some(firewall) = &mut world.firewall else { return Ok(false) };
    match firewall.audit() {
        Ok(audit) if audit.is_sound() => broken(3, "a reboot took the change away, and the audit finds nothing"),
        // An adapter that lost an answer in the reboot says so until it is recovered.
        Ok(_) | Err(_) => Ok(true),
    }
}

fn store_is_dead(wrong: &Wrong) -> bool {
    matches!(wrong, Wrong::KilledStoring { .. })
}

fn fired(world: &World<'_>, wrong: &Wrong, outcome: &Outcome, before: u64) -> bool {
    match wrong {
        Wrong::Command { .. } | Wrong::RebootUncached { .. } => world.model.faults_waiting() == 0,
        // The second one waits for the recovery.
        Wrong::RebootTwice { .. } => world.model.faults_waiting() <= 1,
        Wrong::Killed(_) => world.scene.borrow().dead,
        Wrong::KilledStoring { .. } | Wrong::Storing { .. } => world.scene.borrow().store.fired() > before,
        Wrong::Nothing | Wrong::Flipped { .. } => true,
        Wrong::Full { .. } | Wrong::Probe { .. } => *outcome != Outcome::Done,
    }
}

/// What should be there, by what the act said.
fn held(world: &World<'_>, outcome: &Outcome) -> Held {
    let act = world.prepared.workload.act;
    let adopts = act == Act::Adopt;
    match outcome {
        // Recovery goes back.
        Outcome::Done if act == Act::Recover => Held::Old,
        Outcome::Done => Held::New,
        Outcome::Failed(AdapterState::Unchanged) => Held::Old,
        Outcome::Failed(AdapterState::Closed(who)) => Held::Closed(numbers(who)),
        Outcome::Failed(AdapterState::Unknown) => Held::Either,
        Outcome::Refused(_) if adopts => Held::OldOrBlocked,
        Outcome::Refused(_) => Held::Either,
    }
}

/// A dead process has said nothing; what it had acknowledged stays.
fn after_death(world: &World<'_>, outcome: &Outcome) -> Held {
    match outcome {
        Outcome::Done if world.prepared.workload.act == Act::Recover => Held::Old,
        Outcome::Done => Held::New,
        _ if world.prepared.workload.act == Act::Adopt => Held::OldOrBlocked,
        _ => Held::Either,
    }
}

fn seen(world: &World<'_>, when: &str) -> Result<(), Broken> {
    match world.scene.borrow().violations.first_key_value() {
        None => Ok(()),
        Some(((sentence, _), what)) => broken(*sentence, format!("{when}: {what}")),
    }
}

/// What passes is what one of these contents says. An unknown state is looked at judgement by judgement alone.
fn holds(world: &World<'_>, held: &Held, sentence: u8, what: &str) -> Result<(), Broken> {
    let passes = world.passes();
    let (old, new) = (passes == world.before, passes == world.after);
    let closed = |who: &[u8]| {
        let scene = world.scene.borrow();
        let same =
            |at: usize| passes[at] == world.before[at] || (!passes[at] && who.contains(&scene.probes[at].container));
        (0..passes.len()).all(same)
    };
    let fine = match held {
        Held::Old => old,
        Held::New => new,
        Held::Either => true,
        Held::Closed(who) => closed(who),
        Held::OldOrBlocked => old || new || passes.iter().all(|passes| !passes),
    };
    let count = |other: &[bool]| passes.iter().zip(other).filter(|(a, b)| a != b).count();
    let differ =
        || format!("{} judgements differ from the old, {} from the new", count(&world.before), count(&world.after));
    if fine { Ok(()) } else { broken(sentence, format!("{what}: not {held:?}: {}", differ())) }
}

/// The same process goes on: it recovers where it must.
fn again(world: &mut World<'_>, wrong: &Wrong, outcome: &Outcome) -> Result<(), Broken> {
    if *outcome != Outcome::Failed(AdapterState::Unknown) {
        return Ok(());
    }
    let Some(firewall) = &mut world.firewall else { return Ok(()) };
    // A second fault may still wait for it.
    let recovered = (0..3).any(|_| firewall.recover().is_ok());
    seen(world, "recovery")?;
    if !recovered {
        // Tables that take nothing take no old content either: it stays unknown until they do.
        let small = matches!(wrong, Wrong::Full { .. } | Wrong::Probe { .. });
        return if small { Ok(()) } else { broken(4, "recovery fails again and again") };
    }
    if world.prepared.workload.act != Act::Recover && world.passes() == world.after {
        return Ok(());
    }
    holds(world, &Held::Old, 4, "after recovery")
}

/// The next process goes on, and the change is made at last.
fn restarted(world: &mut World<'_>, wrong: &Wrong, held: &Held, dead: bool) -> Result<(), Broken> {
    let store = world.scene.borrow().store.clone();
    let store = match wrong {
        Wrong::KilledStoring { torn: Torn::None, .. } => store.after_crash(0),
        Wrong::KilledStoring { torn: Torn::Bytes(bytes), .. } => store.after_crash(*bytes),
        _ => store.after_crash(usize::MAX),
    };
    world.watch(false, &[]);
    // A second fault, or an answer that comes after its process, may meet the restart: then whoever starts it tries again.
    let spills = [FaultKind::Late, FaultKind::Duplicate];
    let tries = match wrong {
        Wrong::RebootTwice { .. } => 3,
        Wrong::Command { kind, .. } if spills.contains(kind) => 2,
        _ => 1,
    };
    let mut went = world.start(store.clone());
    for _ in 1..tries {
        if went.is_err() || world.model.faults_waiting() > 0 {
            went = world.start(store.clone());
        }
    }
    seen(world, "the restart")?;
    let adopts = world.prepared.workload.act == Act::Adopt;
    match went {
        Ok(()) => {}
        // Nothing was written down before the adoption failed: the adapter is a stranger's, and after a reboot that
        // found nothing committed it is empty.
        Err(error) if adopts && error == "new" => {
            let empty = matches!(wrong, Wrong::RebootUncached { .. });
            return if empty { Ok(()) } else { holds(world, &Held::OldOrBlocked, 4, "a stranger") };
        }
        Err(error) => return broken(4, format!("the next process cannot go on: {error}")),
    }
    world.noticed();
    let passes = world.passes();
    let back = world.prepared.workload.act == Act::Recover;
    let whole = passes == world.before || (passes == world.after && !back);
    match held {
        Held::Either | Held::OldOrBlocked if whole => {}
        Held::Either | Held::OldOrBlocked => holds(world, &Held::Old, 4, "after the restart")?,
        // A change that was done, and whose end could not be written down, is done or taken back.
        Held::New if dead => holds(world, &Held::New, 4, "after the restart, what was acknowledged")?,
        other => holds(world, other, 4, "after the restart")?,
    }
    finish(world)
}

/// The change can still be made, and leaves nothing behind.
fn finish(world: &mut World<'_>) -> Result<(), Broken> {
    if !matches!(world.prepared.workload.act, Act::Apply | Act::Adopt) {
        return Ok(());
    }
    let goal = world.goal;
    let firewall = world.firewall.as_mut().expect("it goes on");
    let change = match firewall.plan(goal, "once more") {
        Ok(change) => change,
        Err(error) => return broken(5, format!("once more: {error}")),
    };
    if let Err(error) = firewall.apply(change) {
        return broken(5, format!("once more: {error}: {:?}", error.cause));
    }
    holds(world, &Held::New, 5, "once more")?;
    let image = world.firewall.as_ref().expect("it goes on").image().clone();
    let snapshot = world.model.snapshot();
    let same = image.rules.len() == snapshot.rules.len()
        && image.rules.iter().all(|(key, entry)| {
            snapshot.rules.get(key).is_some_and(|is| (is.rx, is.tx) == (entry.rx.action, entry.tx.action))
        });
    if same { Ok(()) } else { broken(5, "the tables hold other entries than the image") }
}

/// A record of the journal is changed after the process died in its work: the next one refuses the journal and sends
/// nothing, or takes the last record for torn.
fn flipped(world: &mut World<'_>, record: usize, place: usize) -> Result<Shown, Broken> {
    let calls = crate::cells::extent(world.prepared).calls;
    arm(world, &Wrong::Killed(Death { call: crate::cells::middle(calls), after: true }));
    world.act();
    let bytes = world.scene.borrow().store.after_crash(usize::MAX).bytes();
    let Some((from, to)) = place_of(&bytes, record) else { return broken(4, "no such record") };
    let at = from + (to - from - 1) * place / 3;
    let mut changed = bytes;
    changed[at] ^= 0x10;
    let (executed, passes) = (world.model.snapshot(), world.passes());
    world.watch(false, &[]);
    let last = to == changed.len();
    match world.start(MemoryStore::with(changed)) {
        Err(_) if world.model.snapshot() == executed && world.passes() == passes => {}
        Err(error) => return broken(4, format!("refused ({error}), and the adapter is another")),
        Ok(()) if last => {}
        Ok(()) => return broken(4, format!("record {record} was changed at byte {at}, and nobody noticed")),
    }
    seen(world, "a changed journal")?;
    Ok(Shown { fired: true, looks: world.scene.borrow().looks })
}

/// The bytes of a record, by the lengths that the format puts before each.
fn place_of(bytes: &[u8], record: usize) -> Option<(usize, usize)> {
    // Header: magic 16, format 4, keyed 1, length of the adapter's name 1, the name, checksum 4.
    let mut at = 16 + 4 + 1 + 1 + usize::from(*bytes.get(21)?) + 4;
    for number in 0.. {
        let len = u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
        // Length 4, checksum 4, hash before 32, checksum 4; payload; hash 32.
        let end = at + 44 + usize::try_from(len).ok()? + 32;
        if number == record {
            return (end <= bytes.len()).then_some((at, end));
        }
        at = end;
    }
    None
}
