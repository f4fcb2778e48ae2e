//! The tables of the rules engine packed for many frames at a time.

mod heads;
pub(in crate::engines) mod packed;
