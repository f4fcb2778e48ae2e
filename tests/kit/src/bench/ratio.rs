//! How ratios are measured: both sides in turn.

use super::spread::Spread;

/// Times two sides in turn, so that what slows the machine slows both; the ratio of each pair.
pub fn ratio(runs: usize, mut one: impl FnMut() -> f64, mut other: impl FnMut() -> f64) -> Spread {
    Spread::of((0..runs).map(|_| one() / other()))
}
