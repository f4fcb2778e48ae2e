//! Policy sets of any size, what they cost at least and at most, and how work is timed.

pub mod bound;
pub mod generated;
pub mod measure;
pub mod ratio;
pub mod sets;
pub mod spread;
