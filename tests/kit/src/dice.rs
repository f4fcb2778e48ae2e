//! Random choices: the same seed, the same choices, on every machine and with every version.

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

/// Numbers of splitmix64.
#[derive(Debug, Clone)]
pub struct Dice(SplitMix64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::from_seed(seed.to_le_bytes()))
    }

    pub fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.word() % end as u64).expect("less than a usize")
    }

    /// Any 32 bits.
    pub fn bits(&mut self) -> u32 {
        u32::try_from(self.word() >> 32).expect("32 bits are left")
    }

    /// Of the numbers from one to another, both among them.
    pub fn between(&mut self, first: u16, last: u16) -> u16 {
        first + u16::try_from(self.below(usize::from(last - first) + 1)).expect("less than the last")
    }

    /// True in so many of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
