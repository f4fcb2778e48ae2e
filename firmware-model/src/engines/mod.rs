//! Engines that judge frames by the tables of an adapter.
//!
//! | folder | what it is |
//! |---|---|
//! | [`rules`] | the rules engine: every command and every frame of the adapter goes to it |
//! | [`batch`] | the same tables packed for many frames at a time, for [`Model::judge_all`](crate::Model::judge_all) alone; `rules` is its oracle |
//!
//! `batch` uses `rules`, never the other way.

pub mod batch;
pub mod rules;
