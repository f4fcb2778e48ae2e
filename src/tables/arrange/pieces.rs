//! What of the regions an unordered table can say: allows alone, each with exactly the frames that it matches.
//!
//! An entry without a field matches every value of it. So three things cannot be cut in two, and are refused by name:
//! frames without ports from those with ports, unnamed protocols from named ones, and IPv6 addresses but by single ones.

use std::collections::BTreeMap;

use smallvec::{SmallVec, smallvec};

use crate::policy::regions::classes::points_up_to;
use crate::policy::regions::{Budget, Cause, Region, Shape, Wanted, regions_within};
use crate::policy::{Document, PortPair};
use crate::tables::refuse::CompileError;
use crate::terms::{AddrSet, Direction, IntervalSet, Point, Verdict};

/// Single IPv6 addresses that one rule may name.
pub(crate) const MOST_V6: usize = 4096;

/// Frames that a group of entries decides alike. Pieces of one shape and direction are disjoint, or one comes before the
/// other in the order of lookups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub direction: Direction,
    /// `None`: every protocol.
    pub proto: Option<u8>,
    /// Single addresses or all if IPv6.
    pub remote: AddrSet,
    /// `None`: with and without ports.
    pub ports: Option<PortPair>,
    pub verdict: Verdict,
    /// What decides so, sorted.
    pub causes: SmallVec<[Cause; 1]>,
}

/// The pieces of a shape, within a budget.
pub(crate) fn pieces(document: &Document, shape: &Shape, budget: &Budget) -> Result<Vec<Piece>, CompileError> {
    let regions = regions_within(document, shape, &shape.protocols(document), Wanted::Allowed, budget);
    let regions = regions.ok_or_else(|| CompileError::too_complex(document, shape))?;
    let mut out = Vec::new();
    let (rx, tx): (Vec<Region>, Vec<Region>) =
        regions.into_iter().partition(|region| region.direction == Direction::Rx);
    for mut rest in [rx, tx] {
        let is_other = |region: &Region| region.proto.is_none();
        let is_whole = |region: &Region| region.ports.is_none() && region.proto.is_some();
        let any = widen(document, &rest, is_other, |_, _| true, CompileError::any_proto)?;
        let by_any = union(&any);
        rest.retain(|region| region.proto.is_some());
        let same = |a: &Region, b: &Region| a.proto == b.proto;
        if !by_any.is_empty() {
            rest = rest.iter().filter_map(|region| without(region, &by_any)).collect();
        }
        let whole = widen(document, &rest, is_whole, same, CompileError::fragments)?;
        out.extend(any);
        for region in rest.into_iter().filter(|region| region.ports.is_some() && region.verdict == Verdict::Allow) {
            let covered = whole.iter().filter(|piece| piece.proto == region.proto);
            let covered = covered.fold(AddrSet::empty(), |all, piece| all.union(&piece.remote));
            if covered.is_empty() {
                out.push(region.into());
            } else {
                out.extend(without(&region, &covered).map(Piece::from));
            }
        }
        out.extend(whole);
    }
    if shape.v6 { expressible_v6(document, out) } else { Ok(out) }
}

impl From<Region> for Piece {
    fn from(region: Region) -> Self {
        let Region { direction, proto, ports, verdict, cause, remote } = region;
        Self { direction, proto, remote, ports, verdict, causes: smallvec![cause] }
    }
}

/// Makes pieces of those allowed regions that only an entry without a field can express. The entry matches the regions
/// `beside` it too: these must be allowed where their remote addresses meet.
fn widen(
    document: &Document,
    regions: &[Region],
    is_wide: impl Fn(&Region) -> bool,
    beside: impl Fn(&Region, &Region) -> bool,
    refuse: fn(&Document, &Region, &Region) -> CompileError,
) -> Result<Vec<Piece>, CompileError> {
    let mut out = Vec::new();
    for wide in regions.iter().filter(|region| is_wide(region) && region.verdict == Verdict::Allow) {
        let mut piece = Piece::from(wide.clone());
        let met = regions.iter().filter(|other| !is_wide(other) && beside(wide, other));
        for other in met.filter(|other| !is_disjoint(&wide.remote, &other.remote)) {
            if other.verdict == Verdict::Deny {
                return Err(refuse(document, wide, other));
            }
            piece.causes.push(other.cause);
        }
        piece.causes.sort_unstable();
        piece.causes.dedup();
        out.push(piece);
    }
    Ok(out)
}

fn union(pieces: &[Piece]) -> AddrSet {
    pieces.iter().fold(AddrSet::empty(), |all, piece| all.union(&piece.remote))
}

fn is_disjoint(a: &AddrSet, b: &AddrSet) -> bool {
    a.v4.is_disjoint(&b.v4) && a.v6.is_disjoint(&b.v6)
}

fn without(region: &Region, addrs: &AddrSet) -> Option<Region> {
    let remote = region.remote.subtract(addrs);
    (!remote.is_empty()).then(|| Region { remote, ..region.clone() })
}

fn is_expressible<T: Point>(set: &IntervalSet<T>) -> bool {
    set.is_full() || points_up_to(set, MOST_V6).is_some()
}

/// Puts pieces together that differ only in their remote addresses, where only the whole is expressible.
fn expressible_v6(document: &Document, pieces: Vec<Piece>) -> Result<Vec<Piece>, CompileError> {
    let mut alike: BTreeMap<(Direction, Option<u8>, Option<PortPair>), Vec<Piece>> = BTreeMap::new();
    for piece in pieces {
        alike.entry((piece.direction, piece.proto, piece.ports.clone())).or_default().push(piece);
    }
    let mut out = Vec::new();
    for mut group in alike.into_values() {
        if let Some(bad) = group.iter().position(|piece| !is_expressible(&piece.remote.v6)) {
            let remote = union(&group);
            let refusal = CompileError::ipv6_remote(document, &group[bad].causes);
            let mut all = group.swap_remove(bad);
            if !is_expressible(&remote.v6) {
                return Err(refusal);
            }
            all.causes.extend(group.into_iter().flat_map(|piece| piece.causes));
            all.causes.sort_unstable();
            all.causes.dedup();
            out.push(Piece { remote, ..all });
        } else {
            out.append(&mut group);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: u32 = 40;

    /// Rules over each other in addresses and ports, allows and denies in turn, the narrow ones first.
    fn document() -> Document {
        let rule = |i: u32| {
            let action = if i.is_multiple_of(2) { "deny: in" } else { "allow: in, replies: no" };
            let remote = if i.is_multiple_of(3) { "10.0.0.0/8".to_owned() } else { format!("10.{i}.0.0/16") };
            format!("    - {{{action}, proto: tcp, remote: {remote}, local_ports: {}-{}}}\n", 1000 + i, 60_000 - i)
        };
        let rules: String = (0..RULES).rev().map(rule).collect();
        let text = format!(
            "nicfw: 1\nunbound: deny\nmulticast: deny\npolicies:\n  web:\n{rules}bindings:\n  - {{container: a, ip: 10.30.1.17, \
             mac: \"02:00:0a:1e:01:11\", attach: sriov, policy: web}}\n"
        );
        Document::parse(&text, "t.yaml").unwrap()
    }

    /// Work that does not fit its budget ends as soon as that is spent.
    #[test]
    fn rules_that_take_more_steps_than_there_are_are_refused_when_these_are_spent() {
        let document = document();
        let binding = &document.bindings[0];
        let shape = Shape::bound(&document, binding, binding.ips[0]);
        let all = Budget::of(1 << 30);
        let whole = pieces(&document, &shape, &all).unwrap();
        let needed = all.spent();
        assert!(whole.len() > 10 && needed > 100, "{} pieces, {needed} steps", whole.len());
        assert_eq!(pieces(&document, &shape, &Budget::of(needed)).unwrap(), whole);
        for steps in [0, 1, needed / 2, needed - 1] {
            let budget = Budget::of(steps);
            let refused = pieces(&document, &shape, &budget).unwrap_err();
            assert!(budget.spent() <= steps, "{} of {steps}", budget.spent());
            let CompileError::TooComplex { at, rules } = &refused else { panic!("{refused}") };
            // The last rule's line: five stand before the first.
            assert_eq!((*rules, at.line), (RULES as usize, 5 + RULES));
            assert!(
                refused.to_string().starts_with("t.yaml:45: 40 rules meet here in too many combinations"),
                "{refused}"
            );
        }
    }
}
