//! Engines that judge frames by the tables of an adapter.

pub(crate) mod batch;
pub mod rules;
