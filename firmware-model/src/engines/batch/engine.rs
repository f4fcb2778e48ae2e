//! Judges many frames by the tables of an engine.

use nicfw::adapter::Override;
use nicfw::terms::Direction;

use super::frames::{BATCH, Batch};
use super::packed::Packed;
use crate::engines::rules::{Decision, Engine};
use crate::packet::Headers;

/// Judges many frames at once by the tables of an [`Engine`]. It keeps nothing but a copy of these, made for speed.
#[derive(Debug)]
pub struct BatchEngine {
    packed: Packed,
    /// State of the tables that `packed` was made of; 0 = none.
    state: u64,
    batch: Box<Batch>,
}

impl Default for BatchEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchEngine {
    /// For the tables of any engine.
    #[must_use]
    pub fn new() -> Self {
        Self { packed: Packed::new(), state: 0, batch: Box::new(Batch::new()) }
    }

    /// Judges frames at a physical port, in their order, as [`Engine::judge`] judges each, and counts them in `engine`: as many as
    /// there are `decisions`. Nothing is allocated unless commands have changed the tables since the last call.
    pub fn judge_all(
        &mut self,
        engine: &mut Engine,
        frames: &[Headers],
        direction: Direction,
        physical_port: u32,
        decisions: &mut [Decision],
    ) {
        let mut pass = engine.pass(direction, physical_port);
        let is_packed = pass.overridden == Override::None
            && pass.walk.none_is_absent
            && pass.walk.miss_goes_on
            && !pass.later_has_ports;
        if !is_packed {
            decisions.iter_mut().zip(frames).for_each(|(decision, headers)| *decision = pass.decide(headers));
            return;
        }
        if self.state != pass.lookup.state() {
            self.packed.refresh(&pass);
            self.state = pass.lookup.state();
        }
        let batch = &mut *self.batch;
        for (decisions, frames) in decisions.chunks_mut(BATCH).zip(frames.chunks(BATCH)) {
            // Each frame has a decision.
            let frames = frames.get(..decisions.len()).unwrap_or(frames);
            if pass.local_is_destination {
                self.packed.decide::<true>(&mut pass, frames, batch, decisions);
            } else {
                self.packed.decide::<false>(&mut pass, frames, batch, decisions);
            }
            for place in batch.others.iter() {
                if let (Some(decision), Some(headers)) = (decisions.get_mut(place), frames.get(place)) {
                    *decision = pass.decide(headers);
                }
            }
        }
    }
}
