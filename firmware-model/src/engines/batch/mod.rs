//! The rules engine for many frames at a time: the same tables, packed, so that a batch goes through each step together.
//!
//! Only [`BatchEngine::judge_all`] comes here. Whatever it decides, [`Engine::judge`](super::rules::Engine::judge) decides frame by
//! frame; what the packed form has no room for is left to that.

mod engine;
mod frames;
mod heads;
mod mark;
mod packed;
#[cfg(test)]
mod tests;

pub use engine::BatchEngine;
