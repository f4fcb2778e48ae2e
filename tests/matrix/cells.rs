//! The cells of the matrix: one workload, one fault, one place.

use nicfw::journal::Fault as StoreFault;
use nicfw::mcdi::wire::McErrno;
use nicfw_model::engines::rules::{EngineConfig, ProbeLimit};
use nicfw_model::fault::{Fault, FaultKind};
use nicfw_test_kit::faults::workloads::Act;

use crate::witness::Death;
use crate::world::{Outcome, Prepared, World};

/// How much of what was not durable a crash leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Torn {
    None,
    Bytes(usize),
    All,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    Nothing,
    /// The command with this number, from 0.
    Command {
        at: u32,
        kind: FaultKind,
    },
    /// The management controller reboots after a command, and again so many commands later.
    RebootTwice {
        at: u32,
        again: u32,
    },
    /// It reboots, and had committed nothing.
    RebootUncached {
        at: u32,
        after: bool,
    },
    /// The process dies around a call of the engine.
    Killed(Death),
    /// The process dies at a call of the store.
    KilledStoring {
        call: u64,
        torn: Torn,
    },
    /// A call of the store fails.
    Storing {
        call: u64,
        fault: StoreFault,
    },
    /// One byte of a record is changed after the process has died in the middle of its work: `place` of 4.
    Flipped {
        record: usize,
        place: usize,
    },
    /// The rule table takes so many entries.
    Full {
        entries: u32,
    },
    /// The hash of the rule table gives up: each of so many buckets takes as many entries as it has, and one more.
    Probe {
        buckets: u64,
        depth: u32,
    },
}

impl Wrong {
    /// The column that it is counted in.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Command { kind, .. } => match kind {
                FaultKind::Error(_) => "error code",
                FaultKind::Hang { .. } => "no answer",
                FaultKind::Late => "late answer",
                FaultKind::WrongSequence => "wrong sequence",
                FaultKind::WrongCommand => "wrong command",
                FaultKind::Length(_) => "length",
                FaultKind::EmptyError => "error of length 0",
                FaultKind::Garbage(bytes) if bytes.first() == Some(&0) => "all zeros",
                FaultKind::Garbage(_) => "all ones",
                FaultKind::Replayed => "replayed answer",
                FaultKind::Duplicate => "duplicate answer",
                FaultKind::RebootBefore => "reboot before",
                FaultKind::RebootAfter => "reboot after",
                FaultKind::Gone | FaultKind::ErrorAfterEffect(_) => "other",
            },
            Self::Nothing => "nothing",
            Self::RebootTwice { .. } => "reboot in recovery",
            Self::RebootUncached { .. } => "reboot, no cache",
            Self::Killed(_) => "killed, doorbell",
            Self::KilledStoring { torn: Torn::Bytes(_), .. } => "record torn",
            Self::KilledStoring { .. } => "killed, storing",
            Self::Storing { .. } => "storage fails",
            Self::Flipped { .. } => "record flipped",
            Self::Full { .. } => "table full",
            Self::Probe { .. } => "probe limit",
        }
    }
}

/// What a run without a fault uses.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    pub commands: u32,
    /// First and last call of the engine, and of the store.
    pub calls: (u64, u64),
    pub storing: (u64, u64),
    pub entries: (u32, u32),
}

pub fn extent(prepared: &Prepared) -> Extent {
    let mut world = World::new(prepared, EngineConfig::profile0()).expect("nothing is wrong");
    let entries = |world: &World<'_>| u32::try_from(world.model.snapshot().rules.len()).expect("few");
    let count = |world: &World<'_>| {
        let scene = world.scene.borrow();
        (world.model.commands_executed(), scene.calls, scene.store.calls())
    };
    let (before, held) = (count(&world), entries(&world));
    assert_eq!(world.act(), Outcome::Done);
    let after = count(&world);
    let peak = prepared.new.image().rules.len().max(prepared.old.image().rules.len()) + 12;
    Extent {
        commands: u32::try_from(after.0 - before.0).expect("few"),
        calls: (before.1, after.1),
        storing: (before.2, after.2),
        entries: (held, u32::try_from(peak).expect("few")),
    }
}

/// Every error code that the protocol names.
pub fn error_codes() -> Vec<McErrno> {
    (1..0x2000).map(McErrno).filter(|code| code.name().is_some()).collect()
}

/// All cells of a workload.
pub fn cells(prepared: &Prepared) -> Vec<Wrong> {
    let extent = extent(prepared);
    let mut out = vec![Wrong::Nothing];
    let longest = 1020;
    for at in 0..extent.commands {
        let mut add = |kind| out.push(Wrong::Command { at, kind });
        error_codes().into_iter().for_each(|code| add(FaultKind::Error(code)));
        [0, 1, 3, 255, longest, longest + 1].into_iter().for_each(|len| add(FaultKind::Length(len)));
        for kind in [
            FaultKind::Hang { effect: false },
            FaultKind::Hang { effect: true },
            FaultKind::Late,
            FaultKind::WrongSequence,
            FaultKind::WrongCommand,
            FaultKind::EmptyError,
            FaultKind::Garbage(vec![0xff; 1028]),
            FaultKind::Garbage(vec![0; 1028]),
            FaultKind::Replayed,
            FaultKind::Duplicate,
            FaultKind::RebootBefore,
            FaultKind::RebootAfter,
        ] {
            add(kind);
        }
        out.extend([false, true].map(|after| Wrong::RebootUncached { at, after }));
        out.extend([1, 4, 9, 16].map(|again| Wrong::RebootTwice { at, again }));
    }
    for call in extent.calls.0..extent.calls.1 {
        out.extend([false, true].map(|after| Wrong::Killed(Death { call, after })));
    }
    for call in extent.storing.0..extent.storing.1 {
        out.extend([Torn::None, Torn::All].map(|torn| Wrong::KilledStoring { call, torn }));
        for fault in [
            StoreFault::Fails(std::io::ErrorKind::StorageFull),
            StoreFault::Fails(std::io::ErrorKind::Other),
            StoreFault::FailsLate(std::io::ErrorKind::Other),
            StoreFault::Tears(9),
        ] {
            out.push(Wrong::Storing { call, fault });
        }
    }
    out.extend(torn(prepared, extent));
    for record in 0..records(prepared, extent) {
        out.extend((0..4).map(|place| Wrong::Flipped { record, place }));
    }
    let act = prepared.workload.act;
    if !matches!(act, Act::Attach | Act::Detach) {
        // An adoption begins with empty tables.
        let first = if act == Act::Adopt { 0 } else { extent.entries.0 };
        out.extend((first..extent.entries.1).map(|entries| Wrong::Full { entries }));
        out.extend((0..24).map(|at| Wrong::Probe { buckets: 1 << (at % 6), depth: 1 + at / 6 }));
    }
    out
}

/// Every byte at which the last record can be torn: the process dies when it makes that record durable.
fn torn(prepared: &Prepared, extent: Extent) -> Vec<Wrong> {
    let mut out = Vec::new();
    for call in extent.storing.0..extent.storing.1 {
        let mut world = World::new(prepared, EngineConfig::profile0()).expect("nothing is wrong");
        arm(&mut world, &Wrong::KilledStoring { call, torn: Torn::None });
        world.act();
        let unsynced = world.scene.borrow().store.unsynced();
        if unsynced > 1 {
            out.extend((1..unsynced).map(|bytes| Wrong::KilledStoring { call, torn: Torn::Bytes(bytes) }));
        }
    }
    out
}

/// Records of a journal whose process died in the middle of the workload.
fn records(prepared: &Prepared, extent: Extent) -> usize {
    let mut world = World::new(prepared, EngineConfig::profile0()).expect("nothing is wrong");
    arm(&mut world, &Wrong::Killed(Death { call: middle(extent.calls), after: true }));
    world.act();
    let store = world.scene.borrow().store.after_crash(0);
    nicfw::journal::Journal::read(Box::new(store), None)
        .map_or(0, |journal| usize::try_from(journal.head().number).expect("few"))
}

pub fn middle((from, to): (u64, u64)) -> u64 {
    from.midpoint(to)
}

/// Makes it go wrong, from now on.
pub fn arm(world: &mut World<'_>, wrong: &Wrong) {
    let inject = |after: u32, kind: FaultKind| world.model.inject(Fault { cmd: None, after, kind });
    match wrong {
        Wrong::Command { at, kind } => inject(*at, kind.clone()),
        Wrong::RebootTwice { at, again } => {
            inject(*at, FaultKind::RebootAfter);
            inject(at + again, FaultKind::RebootBefore);
        }
        Wrong::RebootUncached { at, after } => {
            world.model.invalidate_cache();
            inject(*at, if *after { FaultKind::RebootAfter } else { FaultKind::RebootBefore });
        }
        Wrong::Killed(death) => world.scene.borrow_mut().death = Some(*death),
        Wrong::Nothing | Wrong::Flipped { .. } => {}
        Wrong::KilledStoring { call, .. } => {
            let scene = world.scene.borrow();
            scene.store.die(call - scene.store.calls());
        }
        Wrong::Storing { call, fault } => {
            let scene = world.scene.borrow();
            scene.store.fail(call - scene.store.calls(), *fault);
        }
        Wrong::Full { entries } => world.model.limit_rules(*entries, None),
        Wrong::Probe { buckets, depth } => {
            world.model.limit_rules(8192, Some(ProbeLimit { buckets: *buckets, depth: *depth }));
        }
    }
}
