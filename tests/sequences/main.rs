//! Sequences as people make them: every verb in any order, several processes and containers, processes that die at any call,
//! clocks that jump, addresses that move, journals that are copied, others who write rules, and management controllers that
//! reboot. `oracle.rs` says which sentences are looked at after each step.
//!
//! `PROPTEST_RNG_SEED` chooses the walks, `NICFW_SEQUENCES_STEPS` how many steps they take together; with
//! `NICFW_SEQUENCES_TELL` each step is printed with what was said.

mod documents;
mod eye;
mod found;
mod machine;
mod oracle;
mod probes;
mod promise;
mod step;
mod world;

use std::sync::atomic::Ordering;
use std::thread;

use machine::{Sum, walks};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")))
}

fn seed() -> u64 {
    let by_time = || std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_secs());
    number("PROPTEST_RNG_SEED").unwrap_or_else(by_time)
}

fn walk_all(steps: u64) {
    let (seed, sum) = (seed(), Sum::default());
    let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
    println!("seed {seed}, {steps} steps, {threads} threads");
    let broken: Vec<String> = thread::scope(|scope| {
        let one = |thread: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&seed.to_le_bytes());
            bytes[8] = u8::try_from(thread).expect("few");
            let sum = &sum;
            scope.spawn(move || walks(bytes, steps, sum))
        };
        let all: Vec<_> = (0..threads).map(one).collect();
        all.into_iter().filter_map(|thread| thread.join().expect("a walk tells what it finds").err()).collect()
    });
    println!("{sum:?}");
    assert!(broken.is_empty(), "seed {seed}: {}", broken.join("\n"));
    let of = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
    assert!(of(&sum.steps) >= steps);
    assert!(of(&sum.crashed) * 10 >= of(&sum.walks), "a tenth of the walks end with a process that dies");
    assert!(of(&sum.deaths_in_calls) * 100 >= of(&sum.steps), "processes die in their calls");
    assert!(of(&sum.done) * 2 >= of(&sum.steps) && of(&sum.refused) * 20 >= of(&sum.steps), "most is done, some refused");
}

#[test]
fn what_was_said_is_so_whatever_people_do() {
    walk_all(number("NICFW_SEQUENCES_STEPS").unwrap_or(100_000));
}
