//! The state machine that draws what happens next, and the walks through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::strategy::{BoxedStrategy, Union, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

use crate::sequences::documents;
use crate::sequences::step::{Foreign, Step, Wrong};

/// An adapter, whoever drives it, and the oracle beside it.
pub trait World {
    /// Where nobody has done anything yet.
    fn new(seed: u64) -> Self;

    /// # Errors
    /// The sentence that the step broke.
    fn step(&mut self, step: &Step) -> Result<(), String>;

    /// What was done so far.
    fn tally(&self) -> Tally;
}

/// What is known of a walk while it is drawn: enough to draw what makes sense, nothing that decides.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// Of the model.
    pub seed: u64,
    /// It ends with a process that dies in a call.
    pub dies: Option<u64>,
    loaded: bool,
    amiss: bool,
    /// Seconds that the clock is behind.
    behind: i64,
}

pub struct People;

fn policy() -> impl Strategy<Value = usize> {
    0..documents::count()
}

fn container() -> impl Strategy<Value = u8> {
    1..=4u8
}

fn changes() -> BoxedStrategy<Step> {
    let confirm = prop_oneof![3 => Just(None), 1 => (1..90u32).prop_map(Some)];
    let addresses = subsequence(vec![1u8, 2, 3, 4, 5], 1..=2);
    prop_oneof![
        8 => (policy(), confirm).prop_map(|(policy, confirm)| Step::Apply { policy, confirm }),
        6 => (container(), addresses, any::<bool>())
            .prop_map(|(container, addresses, mac)| Step::Reserve { container, addresses, mac }),
        4 => container().prop_map(|container| Step::Release { container }),
        2 => (0..6usize).prop_map(|back| Step::Rollback { back }),
        2 => Just(Step::Confirm),
        1 => Just(Step::Withdraw),
    ]
    .boxed()
}

fn looks() -> BoxedStrategy<Step> {
    prop_oneof![
        3 => Just(Step::Audit),
        3 => Just(Step::Poll),
        1 => Just(Step::Commit),
        1 => Just(Step::Counters),
        1 => Just(Step::Recover),
        1 => any::<usize>().prop_map(|probe| Step::Explain { probe: probe % 10_000 }),
    ]
    .boxed()
}

fn processes() -> BoxedStrategy<Step> {
    prop_oneof![
        3 => Just(Step::Start),
        1 => Just(Step::Stop),
        2 => (0..300usize).prop_map(|torn| Step::Crash { torn }),
    ]
    .boxed()
}

fn takes_over() -> BoxedStrategy<Step> {
    prop_oneof![
        2 => policy().prop_map(|policy| Step::Adopt { policy }),
        1 => Just(Step::Repair),
    ]
    .boxed()
}

fn clocks() -> BoxedStrategy<Step> {
    let jump = prop_oneof![3 => -120..120i64, 1 => -90_000..90_000i64];
    prop_oneof![
        3 => (0..100u32).prop_map(|seconds| Step::Pass { seconds }),
        1 => jump.prop_map(|seconds| Step::SetClock { seconds }),
    ]
    .boxed()
}

fn somebody() -> BoxedStrategy<Step> {
    let foreign = prop_oneof![
        (0..20usize).prop_map(Foreign::Remove),
        (0..20usize).prop_map(Foreign::Open),
        policy().prop_map(Foreign::TakeOver),
    ];
    prop_oneof![
        2 => foreign.prop_map(|what| Step::Foreign { what }),
        2 => Just(Step::Reboot),
        2 => Just(Step::Copy),
        1 => Just(Step::PutBack),
        1 => any::<bool>().prop_map(|open| Step::Leave { open }),
    ]
    .boxed()
}

fn wrong() -> BoxedStrategy<Step> {
    let wrong = prop_oneof![
        6 => (0..30u64, any::<bool>()).prop_map(|(call, after)| Wrong::Death { call, after }),
        2 => (0..5u64, 0..60u8).prop_map(|(call, how)| Wrong::Store { call, how }),
        1 => (0..20u32).prop_map(|command| Wrong::Refused { command }),
        1 => (0..20u32, any::<bool>()).prop_map(|(command, effect)| Wrong::Silent { command, effect }),
        1 => (0..20u32, any::<bool>()).prop_map(|(command, after)| Wrong::Reboots { command, after }),
    ];
    wrong.prop_map(|wrong| Step::Arm { wrong }).boxed()
}

/// What happens: on a day like any other; after something has happened to the adapter; before anybody has taken it over.
#[derive(Clone)]
struct Days {
    calm: BoxedStrategy<Step>,
    amiss: BoxedStrategy<Step>,
    new: BoxedStrategy<Step>,
}

thread_local! {
    static DAYS: Days = {
        let of = |[change, look, process, take, clock, some, wrong_]: [u32; 7]| {
            let all = [changes(), looks(), processes(), takes_over(), clocks(), somebody(), wrong()];
            let weighted = [change, look, process, take, clock, some, wrong_].into_iter().zip(all);
            Union::new_weighted(weighted.filter(|(weight, _)| *weight > 0).collect()).boxed()
        };
        Days {
            calm: of([42, 18, 10, 2, 12, 5, 9]),
            amiss: of([20, 18, 15, 30, 8, 5, 4]),
            new: of([5, 3, 5, 80, 4, 3, 0]),
        }
    };
}

impl ReferenceStateMachine for People {
    type State = Drawn;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Drawn> {
        (0..1000u64, prop::option::weighted(0.25, 0..40u64))
            .prop_map(|(seed, dies)| Drawn { seed, dies, loaded: false, amiss: false, behind: 0 })
            .no_shrink()
            .boxed()
    }

    fn transitions(state: &Drawn) -> BoxedStrategy<Step> {
        DAYS.with(|days| match (state.loaded, state.amiss) {
            (false, _) => days.new.clone(),
            (true, true) => days.amiss.clone(),
            (true, false) => days.calm.clone(),
        })
    }

    fn apply(mut state: Drawn, step: &Step) -> Drawn {
        match step {
            Step::Adopt { .. } => (state.loaded, state.amiss) = (true, false),
            Step::Repair => state.amiss = false,
            Step::Foreign { .. } | Step::PutBack | Step::Leave { .. } => state.amiss = true,
            Step::SetClock { seconds } => state.behind = (state.behind - seconds).max(0),
            Step::Pass { seconds } => state.behind = (state.behind - i64::from(*seconds)).max(0),
            _ => {}
        }
        state
    }
}

/// How a walk begins, its steps, and how many of them were seen.
type Walk = (Drawn, Vec<Step>, Option<Arc<AtomicUsize>>);

/// # Errors
/// The step that broke a sentence, and which.
pub fn walk<W: World>(drawn: &Drawn, steps: &[Step], seen: Option<&AtomicUsize>) -> Result<Tally, String> {
    let mut world = W::new(drawn.seed);
    for (at, step) in steps.iter().enumerate() {
        if let Some(seen) = seen {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        world.step(step).map_err(|broken| format!("step {at}: {broken}"))?;
    }
    if let Some(call) = drawn.dies {
        let last = [
            Step::Start,
            Step::Arm { wrong: Wrong::Death { call, after: call % 2 == 0 } },
            Step::Apply { policy: usize::try_from(drawn.seed).unwrap_or_default() % documents::count(), confirm: None },
            Step::Crash { torn: usize::try_from(call).unwrap_or_default() * 7 },
            Step::Start,
            Step::Audit,
        ];
        for step in &last {
            world.step(step).map_err(|broken| format!("the end: {broken}"))?;
        }
    }
    Ok(world.tally())
}

/// What a walk did.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub steps: u64,
    /// Times that the oracle has asked the model.
    pub looks: u64,
    /// Deaths of processes, between two calls and in one.
    pub deaths: u64,
    pub deaths_in_calls: u64,
    /// Changes that took effect, and what was refused.
    pub done: u64,
    pub refused: u64,
}

/// What all walks did.
#[derive(Debug, Default)]
pub struct Sum {
    pub walks: AtomicU64,
    /// Walks that ended with a process that died.
    pub crashed: AtomicU64,
    pub steps: AtomicU64,
    pub looks: AtomicU64,
    pub deaths: AtomicU64,
    pub deaths_in_calls: AtomicU64,
    pub done: AtomicU64,
    pub refused: AtomicU64,
}

/// Walks until all have taken so many steps.
///
/// # Errors
/// The shortest walk that breaks a sentence, as far as shrinking comes.
pub fn walks<W: World>(seed: [u8; 32], steps: u64, sum: &Sum) -> Result<(), String> {
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let strategy = People::sequential_strategy(40..80);
    while sum.steps.load(Ordering::Relaxed) < steps {
        let mut tree = strategy.new_tree(&mut runner).map_err(|e| e.to_string())?;
        let (drawn, walked, seen) = tree.current();
        match walk::<W>(&drawn, &walked, seen.as_deref()) {
            Ok(tally) => add(sum, &drawn, &tally),
            Err(broken) => return Err(shrunk::<W>(&mut tree, (drawn, walked, seen), broken)),
        }
    }
    Ok(())
}

fn add(sum: &Sum, drawn: &Drawn, tally: &Tally) {
    let Sum { walks, crashed, steps, looks, deaths, deaths_in_calls, done, refused } = sum;
    let numbers = [
        (walks, 1),
        (crashed, u64::from(drawn.dies.is_some())),
        (steps, tally.steps),
        (looks, tally.looks),
        (deaths, tally.deaths),
        (deaths_in_calls, tally.deaths_in_calls),
        (done, tally.done),
        (refused, tally.refused),
    ];
    for (place, number) in numbers {
        place.fetch_add(number, Ordering::Relaxed);
    }
}

/// The least walk that still breaks a sentence, as far as two ways of shrinking come: the strategy's own, and leaving steps
/// out one by one.
fn shrunk<W: World>(tree: &mut impl ValueTree<Value = Walk>, walked: Walk, broken: String) -> String {
    let (mut least, mut why, mut more) = (walked, broken, tree.simplify());
    for _ in 0..2000 {
        if !more {
            break;
        }
        let next = tree.current();
        more = match walk::<W>(&next.0, &next.1, None) {
            Err(broken) => {
                (least, why) = (next, broken);
                tree.simplify()
            }
            Ok(_) => tree.complicate() || tree.simplify(),
        };
    }
    let (drawn, mut steps, _) = least;
    let mut at = steps.len();
    while let Some(before) = at.checked_sub(1) {
        at = before;
        let less: Vec<Step> = [&steps[..at], &steps[at + 1..]].concat();
        if let Err(broken) = walk::<W>(&drawn, &less, None) {
            (steps, why, at) = (less, broken, steps.len() - 1);
        }
    }
    let list: String = steps.iter().map(|step| format!("    {step:?},\n")).collect();
    format!("{why}\n  in this walk, {drawn:?}:\n{list}")
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")))
}

fn seed() -> u64 {
    let by_time = || std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_secs());
    number("PROPTEST_RNG_SEED").unwrap_or_else(by_time)
}

/// Walks from the seed of the environment, until all have taken so many steps, or as many as the environment says.
///
/// # Panics
/// With the shortest walk that breaks a sentence.
pub fn walk_all<W: World>(steps: u64) {
    let steps = number("NICFW_SEQUENCES_STEPS").unwrap_or(steps);
    let (seed, sum) = (seed(), Sum::default());
    let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
    println!("seed {seed}, {steps} steps, {threads} threads");
    let broken: Vec<String> = thread::scope(|scope| {
        let one = |thread: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&seed.to_le_bytes());
            bytes[8] = u8::try_from(thread).expect("few");
            let sum = &sum;
            scope.spawn(move || walks::<W>(bytes, steps, sum))
        };
        let all: Vec<_> = (0..threads).map(one).collect();
        all.into_iter().filter_map(|thread| thread.join().expect("a walk tells what it finds").err()).collect()
    });
    println!("{sum:?}");
    assert!(broken.is_empty(), "seed {seed}: {}", broken.join("\n"));
    let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
    assert!(of(&sum.steps) >= steps);
    assert!(of(&sum.crashed) * 10 >= of(&sum.walks), "a tenth of the walks end with a process that dies");
    assert!(of(&sum.deaths_in_calls) * 100 >= of(&sum.steps), "processes die in their calls");
    assert!(
        of(&sum.done) * 2 >= of(&sum.steps) && of(&sum.refused) * 20 >= of(&sum.steps),
        "most is done, some refused"
    );
}
