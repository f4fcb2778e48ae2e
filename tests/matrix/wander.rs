//! Changes without end, to and fro between two documents, each of them met by some fault: what the cells of the matrix do one
//! by one, in a row on the same adapter and with the same journal.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::ErrorKind;

use nicfw::journal::Fault as StoreFault;
use nicfw_model::engines::rules::EngineConfig;
use nicfw_model::fault::FaultKind;
use nicfw_test_kit::dice::Dice;
use nicfw_test_kit::faults::workloads::{Act, Workload, workloads};

use crate::cells::{Torn, Wrong, error_codes};
use crate::run::meet;
use crate::witness::Death;
use crate::world::{Prepared, World};

/// Changes that one adapter and one journal go through.
const ROUNDS: u64 = 60;

/// What a walk showed. The same seed gives the same walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    /// Calls after which the oracle looked at all judgements.
    pub looks: u64,
    pub changes: u64,
    /// Changes whose fault happened.
    pub faults: u64,
    /// Over the bytes of all journals and what each change showed.
    pub digest: u64,
}

/// A fault somewhere in a change of so many commands.
fn some_fault(dice: &mut Dice, world: &World<'_>, commands: usize) -> Wrong {
    let number = |value: usize| u32::try_from(value).expect("a short plan");
    let at = number(dice.below(commands));
    let (calls, storing) = (world.scene.borrow().calls, world.scene.borrow().store.calls());
    let call = calls + dice.below(commands + 4) as u64;
    let store_call = storing + dice.below(4) as u64;
    let codes = error_codes();
    let kinds = [
        FaultKind::Error(codes[dice.below(codes.len())]),
        FaultKind::Length([0, 1, 3, 255, 1020, 1021][dice.below(6)]),
        FaultKind::Hang { effect: dice.below(2) == 0 },
        FaultKind::Late,
        FaultKind::WrongSequence,
        FaultKind::WrongCommand,
        FaultKind::EmptyError,
        FaultKind::Garbage(vec![[0, 0xff][dice.below(2)]; 1028]),
        FaultKind::Replayed,
        FaultKind::Duplicate,
        FaultKind::RebootBefore,
        FaultKind::RebootAfter,
    ];
    let entries = number(world.model.snapshot().rules.len() + dice.below(6));
    match dice.below(24) {
        0 => Wrong::Nothing,
        1 | 2 => Wrong::RebootTwice { at, again: number(dice.below(20)) },
        3 => Wrong::RebootUncached { at, after: dice.below(2) == 0 },
        4..=6 => Wrong::Killed(Death { call, after: dice.below(2) == 0 }),
        7 | 8 => {
            let torn = [Torn::None, Torn::Bytes(1 + dice.below(600)), Torn::All][dice.below(3)];
            Wrong::KilledStoring { call: store_call, torn }
        }
        9 | 10 => {
            let faults = [
                StoreFault::Fails(ErrorKind::StorageFull),
                StoreFault::FailsLate(ErrorKind::Other),
                StoreFault::Tears(dice.below(300)),
            ];
            Wrong::Storing { call: store_call, fault: faults[dice.below(3)] }
        }
        11 => Wrong::Full { entries },
        12 => Wrong::Probe { buckets: 1 << dice.below(6), depth: 1 + number(dice.below(4)) },
        _ => Wrong::Command { at, kind: kinds[dice.below(kinds.len())].clone() },
    }
}

/// # Errors
/// Which round of which pair broke which sentence.
pub fn walk(seed: u64, steps: u64) -> Result<Walk, String> {
    let mut dice = Dice::new(seed);
    let documents: Vec<String> =
        workloads().into_iter().filter(|workload| workload.act == Act::Apply).flat_map(|w| [w.old, w.new]).collect();
    let mut walk = Walk { looks: 0, changes: 0, faults: 0, digest: 0 };
    let mut digest = DefaultHasher::new();
    while walk.looks < steps {
        let mut pair = [0; 2].map(|_| documents[dice.below(documents.len())].clone());
        // A container that is not bound any more stays closed, so the walk begins with the document that binds more.
        pair.sort_by_key(|text| !text.contains("shop-3"));
        let [old, new] = pair;
        let closed: [&[u8]; 2] =
            if old.contains("shop-3") && !new.contains("shop-3") { [&[], &[3]] } else { [&[], &[]] };
        let engine = EngineConfig { seed: dice.word() % 1000, ..EngineConfig::profile0() };
        let workload = Workload { name: "walk", act: Act::Apply, old, new, closed };
        let prepared = Prepared::new(workload);
        let mut world = World::new(&prepared, engine)?;
        for round in 0..ROUNDS {
            let firewall = world.firewall.as_mut().ok_or("no process")?;
            let commands = firewall.plan(world.goal, "to look at").map_err(|e| e.to_string())?.plan.steps.len();
            if commands == 0 {
                break;
            }
            let wrong = some_fault(&mut dice, &world, commands);
            let number = walk.changes;
            let at = || format!("seed {seed}, change {number} (round {round}), {wrong:?}");
            let fired = meet(&mut world, &wrong).map_err(|broken| format!("{}: {broken}", at()))?;
            (format!("{wrong:?}"), fired, world.scene.borrow().looks).hash(&mut digest);
            walk.changes += 1;
            walk.faults += u64::from(fired && wrong != Wrong::Nothing);
            world.a_minute_passes().map_err(|error| format!("{}: then {error}", at()))?;
            world.turn();
        }
        let scene = world.scene.borrow();
        walk.looks += scene.looks;
        scene.store.bytes().hash(&mut digest);
    }
    walk.digest = digest.finish();
    Ok(walk)
}

#[test]
fn a_walk_of_changes_and_faults_breaks_nothing_and_replays() {
    let [first, second] = [20_261_123, 20_261_123].map(|seed| walk(seed, 20_000).unwrap_or_else(|e| panic!("{e}")));
    println!("{first:?}");
    assert_eq!(first, second);
    assert!(first.faults > first.changes / 2, "{first:?}");
}

/// `tests/long/matrix` runs it.
#[test]
#[ignore = "long"]
fn a_long_walk() {
    let number = |name: &str, other: u64| std::env::var(name).map_or(other, |text| text.parse().expect("a number"));
    let (seed, steps) = (number("NICFW_MATRIX_SEED", 1), number("NICFW_MATRIX_STEPS", 1_000_000));
    println!("seed {seed}, {steps} steps");
    println!("{:?}", walk(seed, steps).unwrap_or_else(|e| panic!("{e}")));
}
