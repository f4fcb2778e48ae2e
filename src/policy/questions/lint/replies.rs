//! Rules whose replies leave much open, because frames are judged without connection state.

use std::collections::BTreeMap;

use super::common::{Shapes, origin_of};
use super::finding::{Finding, Lint};
use crate::policy::document::{Document, Proto, RulePlace};
use crate::policy::regions::{Cause, Region, Shape, regions};
use crate::policy::text::named;
use crate::policy::text::prefixes;
use crate::terms::{AddrSet, Direction, PortSet, Verdict};

/// What the replies to a rule leave open at one address.
#[derive(Debug, Clone, Default)]
struct Open {
    remote: AddrSet,
    pairs: u128,
}

/// Finds the rules, each with the address that most is open for.
pub(super) fn open(document: &Document, shapes: &Shapes<'_>, out: &mut Vec<Finding>) {
    let mut most: BTreeMap<(RulePlace, Direction), (Open, &str)> = BTreeMap::new();
    for (shape, bindings) in shapes {
        let Some(binding) = bindings.first() else { continue };
        for (of, open) in of_shape(document, shape) {
            let largest = most.entry(of).or_default();
            if open.pairs > largest.0.pairs {
                *largest = (open, &binding.container);
            }
        }
    }
    for ((rule, direction), (open, container)) in most {
        if open.pairs > Lint::MUCH {
            let text = sentence(document, rule, direction, &open, container);
            let origins = origin_of(document, rule).into_iter().collect();
            let (container, pairs) = (container.to_owned(), open.pairs);
            out.push(Finding { lint: Lint::RepliesOpenMuch { rule, direction, container, pairs }, origins, text });
        }
    }
}

fn of_shape(document: &Document, shape: &Shape) -> BTreeMap<(RulePlace, Direction), Open> {
    let mut out: BTreeMap<_, Open> = BTreeMap::new();
    for region in regions(document, shape, &shape.protocols(document)) {
        let Cause::Rule { place, reply: true } = region.cause else { continue };
        if region.verdict == Verdict::Allow {
            let open = out.entry((place, region.direction)).or_default();
            open.pairs = open.pairs.saturating_add(pairs(&region));
            open.remote = open.remote.union(&region.remote);
        }
    }
    out
}

/// How many pairs of who may send and which port is reached.
fn pairs(region: &Region) -> u128 {
    let v4 = region.remote.v4.intervals().iter().map(|i| u128::from(i.last - i.first) + 1);
    // Whoever has an IPv6 address has a network of 64 bits to choose it from.
    let v6 = region.remote.v6.intervals().iter().map(|i| (i.last >> 64) - (i.first >> 64) + 1);
    let count = |set: &PortSet| set.intervals().iter().map(|i| u128::from(i.last - i.first) + 1).sum::<u128>();
    let ports = match (&region.ports, region.direction) {
        (Some(ports), Direction::Rx) => count(&ports.local),
        (Some(ports), Direction::Tx) => count(&ports.remote),
        // Later fragments without a first one reach nobody.
        (None, _) if region.proto.is_some_and(Proto::has_ports) => 0,
        (None, _) => 1,
    };
    v4.chain(v6).sum::<u128>().saturating_mul(ports)
}

fn sentence(document: &Document, rule: RulePlace, direction: Direction, open: &Open, container: &str) -> String {
    let (remote, pairs) = (prefixes(&open.remote), open.pairs);
    let reached = match direction {
        Direction::Rx => format!("{remote} may reach {container} unasked"),
        Direction::Tx => format!("{container} may reach {remote} unasked"),
    };
    format!(
        "replies to {} open {pairs} pairs of address and port: {reached}; \
         name fewer remotes or ports, or say replies: no",
        named(document, rule)
    )
}
