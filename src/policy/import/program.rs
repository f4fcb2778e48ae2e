//! The chains of a file, and where packets start.

use super::rules::{Chain, ChainRule, Place};
use crate::terms::Verdict;

/// All chains of a file.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub chains: Vec<Chain>,
}

/// A chain in which packets start, and what becomes of those that reach its end.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub chain: usize,
    /// What it judges, other packets go past it. With a doubt: what it may judge.
    pub judges: Vec<ChainRule>,
    pub policy: Verdict,
    pub place: Place,
    /// It is where a host or router filters.
    pub main: bool,
    /// Packets meet it before they have a connection state.
    pub untracked: bool,
}
