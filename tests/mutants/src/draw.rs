//! Which mutants are tried: drawn by a seed, from each room as many as its part of the whole list.

use std::collections::VecDeque;

/// The mutants of one room in the order in which they are drawn.
pub struct Urn {
    /// Mutants of the room, by number.
    order: VecDeque<usize>,
    /// How many of the room are wanted.
    wanted: usize,
    drawn: Vec<usize>,
}

impl Urn {
    /// Mutants now drawn.
    pub fn drawn(&self) -> &[usize] {
        &self.drawn
    }

    /// Draws until as many are there as are wanted, or the room has no more.
    fn fill(&mut self) {
        while self.drawn.len() < self.wanted {
            let Some(next) = self.order.pop_front() else { break };
            self.drawn.push(next);
        }
    }

    /// Puts one away for good, and draws another for it. False if it was not drawn from here.
    pub fn put_away(&mut self, number: usize) -> bool {
        let before = self.drawn.len();
        self.drawn.retain(|drawn| *drawn != number);
        let was_here = self.drawn.len() < before;
        self.fill();
        was_here
    }
}

/// Draws `count` of the mutants of all rooms, in proportion to how many each room has (largest remainders).
pub fn draw(rooms: &[Vec<usize>], count: usize, seed: u64) -> Vec<Urn> {
    let total: usize = rooms.iter().map(Vec::len).sum();
    let count = count.min(total);
    let mut shares: Vec<usize> = rooms.iter().map(|room| room.len() * count / total.max(1)).collect();
    let mut by_remainder: Vec<usize> = (0..rooms.len()).collect();
    by_remainder.sort_by_key(|&room| std::cmp::Reverse(rooms[room].len() * count % total.max(1)));
    let left = count - shares.iter().sum::<usize>();
    for &room in by_remainder.iter().take(left) {
        shares[room] += 1;
    }
    let mut random = fastrand::Rng::with_seed(seed);
    rooms
        .iter()
        .zip(shares)
        .map(|(room, wanted)| {
            let mut order = room.clone();
            random.shuffle(&mut order);
            let mut urn = Urn { order: order.into(), wanted, drawn: Vec::new() };
            urn.fill();
            urn
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_have_their_part_and_the_whole_is_what_was_asked_for() {
        let rooms = [(0..70).collect::<Vec<_>>(), (70..95).collect(), (95..100).collect()];
        let urns = draw(&rooms, 10, 7);
        assert_eq!(urns.iter().map(|urn| urn.drawn().len()).collect::<Vec<_>>(), [7, 3, 0]);
        for (urn, room) in urns.iter().zip(&rooms) {
            assert!(urn.drawn().iter().all(|number| room.contains(number)));
        }
        let again = draw(&rooms, 10, 7);
        assert_eq!(again[0].drawn(), urns[0].drawn());
        assert_ne!(draw(&rooms, 10, 8)[0].drawn(), urns[0].drawn());
        assert_eq!(draw(&rooms, 1_000, 7).iter().map(|urn| urn.drawn().len()).sum::<usize>(), 100);
    }

    #[test]
    fn what_is_put_away_is_drawn_anew_and_never_comes_back() {
        let mut urn = draw(&[(0..3).collect()], 2, 1).remove(0);
        let first = urn.drawn()[0];
        assert!(urn.put_away(first));
        assert_eq!(urn.drawn().len(), 2);
        assert!(!urn.drawn().contains(&first));
        assert!(!urn.put_away(first));
        let second = urn.drawn()[0];
        assert!(urn.put_away(second));
        assert_eq!(urn.drawn().len(), 1);
    }
}
