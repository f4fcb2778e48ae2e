//! How long work takes.

use std::time::Instant;

/// Seconds that some work takes.
pub fn time(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}
