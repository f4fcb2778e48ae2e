//! Conditions while a rule is read: parts of the packets, each with what nobody can say about it.

use super::super::document::Proto;
use super::rules::{Action, ChainRule, Doubt, Match, Place, Protos};
use crate::terms::PortSet;

/// Part of the packets that a condition may match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub when: Match,
    /// Why nobody can say which packets of the part match; `None` if all do.
    pub doubt: Option<String>,
}

impl Piece {
    /// A condition that can be said.
    pub fn sure(when: Match) -> Self {
        Self { when, doubt: None }
    }

    /// A condition that holds for some of these packets.
    pub fn unsure(when: Match, doubt: impl Into<String>) -> Self {
        Self { when, doubt: Some(doubt.into()) }
    }
}

/// What `! --sport A ! --dport B` holds for. By the manual these are two conditions; iptables 1.8 loads one comparison, which
/// holds unless both ports are those. The packets about which the two differ are in doubt.
pub(super) fn neither_port(source: u16, destination: u16) -> [Piece; 3] {
    let (source, destination) = (PortSet::point(source), PortSet::point(destination));
    let (other_source, other_destination) = (source.complement(), destination.complement());
    let when = |source: &PortSet, destination: &PortSet| Match {
        ports: Some((source.clone(), destination.clone())),
        ..Match::any()
    };
    let why = "iptables loads two negated ports as one comparison, which holds unless both are those";
    [
        Piece::sure(when(&other_source, &other_destination)),
        Piece::unsure(when(&source, &other_destination), why),
        Piece::unsure(when(&other_source, &destination), why),
    ]
}

/// Packets that all conditions so far may match.
#[derive(Debug, Clone)]
struct Part {
    when: Match,
    doubts: Vec<Doubt>,
}

/// What the conditions of a rule that were read so far match. Parts may overlap; a packet that is in several with the same
/// doubts matches once.
#[derive(Debug, Clone)]
pub(super) struct Parts(Vec<Part>);

impl Parts {
    /// Every packet.
    pub fn all() -> Self {
        Self(vec![Part { when: Match::any(), doubts: Vec::new() }])
    }

    /// No packet.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Those of others too.
    pub fn add(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all are packets of one protocol.
    pub fn are_of(&self, protocol: Proto) -> bool {
        let of = |part: &Part| match &part.when.protos {
            Protos::Any => false,
            Protos::Of(numbers) => numbers.iter().all(|number| Proto::Is(*number) == protocol),
        };
        self.0.iter().all(of)
    }

    /// One condition more that nobody can say.
    pub fn doubt(&mut self, doubt: &Doubt) {
        for part in &mut self.0 {
            add(&mut part.doubts, doubt);
        }
    }

    /// One condition more, which is true in these pieces; at most `most` parts are kept.
    pub fn narrow(&mut self, pieces: &[Piece], most: usize) {
        let both = |part: &Part, piece: &Piece| {
            let when = part.when.intersect(&piece.when)?;
            let mut doubts = part.doubts.clone();
            if let Some(doubt) = &piece.doubt {
                add(&mut doubts, &Doubt::new(doubt));
            }
            Some(Part { when, doubts })
        };
        let parts = self.0.iter().flat_map(|part| pieces.iter().filter_map(move |piece| both(part, piece)));
        self.0 = parts.take(most).collect();
    }

    /// The rules that the parts are, one for each set of doubts; none if no packet matches.
    pub fn rules(&self, place: &Place, action: &Action) -> Vec<ChainRule> {
        let mut rules: Vec<(&[Doubt], ChainRule)> = Vec::new();
        for part in &self.0 {
            match rules.iter_mut().find(|(doubts, _)| *doubts == part.doubts) {
                Some((_, rule)) => rule.when.push(part.when.clone()),
                None => {
                    let doubt = Doubt::all(&part.doubts);
                    let when = vec![part.when.clone()];
                    let rule = ChainRule { place: place.clone(), when, doubt, action: action.clone(), beside: None };
                    rules.push((&part.doubts, rule));
                }
            }
        }
        rules.into_iter().map(|(_, rule)| rule).collect()
    }
}

fn add(doubts: &mut Vec<Doubt>, doubt: &Doubt) {
    if !doubts.contains(doubt) {
        doubts.push(doubt.clone());
    }
}
