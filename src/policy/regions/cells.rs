//! The cells of a shape one by one: combinations of classes that the same rules match. For questions about rules that
//! decide nothing, which no region names.

use super::budget::Budget;
use super::classes::{Class, Mask, regroup};
use super::cutter::{Cutter, Family};
use super::shape::{DIRECTIONS, Decided, Shape};
use crate::policy::document::{Document, Proto, Rule};
use crate::terms::Direction;

/// Frames that the same rules match.
pub(crate) struct Cell<'a> {
    pub direction: Direction,
    /// What all three have in common matches: places in [`Shape::rules`], and the marker behind them.
    matching: [&'a Mask; 3],
    rules: usize,
    /// What decides if these masks tell what matches.
    decide: &'a dyn Fn([&Mask; 3]) -> Decided,
}

impl Cell<'_> {
    /// Places in [`Shape::rules`] of the rules that match, in rising order and whatever their direction.
    pub fn matching(&self) -> impl Iterator<Item = usize> {
        let [a, b, c] = self.matching;
        Mask::common(a, b, c).filter(|at| *at < self.rules)
    }

    /// True if the remote addresses are groups.
    pub fn is_of_groups(&self) -> bool {
        self.matching[0].contains(self.rules)
    }

    pub fn decide(&self) -> Decided {
        (self.decide)(self.matching)
    }

    /// What would decide if the rules at these places were not there.
    pub fn decide_without(&self, out: &Mask) -> Decided {
        let [remote, remote_ports, local_ports] = self.matching;
        (self.decide)([&remote.without(out), remote_ports, local_ports])
    }
}

/// Shows every cell of a shape that is not empty, within a budget; `None` if that is spent.
pub(crate) fn each_cell(
    document: &Document,
    shape: &Shape,
    budget: &Budget,
    see: &mut dyn FnMut(&Cell<'_>),
) -> Option<()> {
    let protocols = shape.protocols(document);
    if shape.v6 {
        Cutter::<u128>::new(document, shape, budget).each_cell(&protocols, see)
    } else {
        Cutter::<u32>::new(document, shape, budget).each_cell(&protocols, see)
    }
}

impl<T: Family> Cutter<'_, T> {
    fn each_cell(&self, protocols: &[u8], see: &mut dyn FnMut(&Cell<'_>)) -> Option<()> {
        for direction in DIRECTIONS {
            for proto in protocols.iter().map(|number| Some(*number)).chain([None]) {
                self.of_one(direction, proto, see)?;
            }
        }
        Some(())
    }

    fn of_one(&self, direction: Direction, proto: Option<u8>, see: &mut dyn FnMut(&Cell<'_>)) -> Option<()> {
        let ported = proto.is_some_and(Proto::has_ports);
        let fits = |rule: &Rule| match rule.proto {
            Proto::Any => ported || rule.ports.is_none(),
            Proto::Is(number) => proto == Some(number) && (ported || rule.ports.is_none()),
        };
        let (with_ports, without) = (self.mask(fits), self.mask(|rule| fits(rule) && rule.ports.is_none()));
        let effort = with_ports.words() + 16;
        let mut show = |matching: [&Mask; 3], ephemeral: bool| {
            let decide = |masks: [&Mask; 3]| self.decide(direction, proto, masks, ephemeral);
            see(&Cell { direction, matching, rules: self.rules.len(), decide: &decide });
        };
        for remote in regroup(&self.remotes, &with_ports) {
            self.budget.spend(effort)?;
            show([&remote.within, &without, &without], false);
            if !ported {
                continue;
            }
            let (rows, columns) = self.sides(&remote.within.and(&with_ports));
            self.budget.spend((rows.len() + columns.len()) * effort)?;
            self.budget.spend(rows.len().saturating_mul(columns.len()).saturating_mul(effort))?;
            for row in &rows {
                for column in &columns {
                    show([&remote.within, &row.within, &column.within], self.is_ephemeral(column));
                }
            }
        }
        Some(())
    }

    fn is_ephemeral(&self, column: &Class<u16>) -> bool {
        column.within.contains(self.rules.len())
    }
}
