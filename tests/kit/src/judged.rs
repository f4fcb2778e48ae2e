//! What the model lets through.

use nicfw::terms::{Direction, Verdict};
use nicfw_model::Model;
use nicfw_model::engines::rules::{Decided, Decision};
use nicfw_model::packet::Headers;

/// Whether each of some frames passes, by the way that it goes.
pub fn passes(model: &Model, frames: impl Iterator<Item = (Direction, Headers)> + Clone) -> Vec<bool> {
    let mut out = vec![false; frames.clone().count()];
    for direction in [Direction::Rx, Direction::Tx] {
        let of_direction = frames.clone().enumerate().filter(|(_, (way, _))| *way == direction);
        let (places, headers): (Vec<usize>, Vec<Headers>) =
            of_direction.map(|(at, (_, headers))| (at, headers)).unzip();
        let mut decisions = vec![Decision { verdict: Verdict::Deny, by: Decided::NoMatch }; headers.len()];
        model.judge_all(&headers, direction, 0, &mut decisions);
        for (at, decision) in places.into_iter().zip(decisions) {
            out[at] = decision.verdict == Verdict::Allow;
        }
    }
    out
}
