//! One judgement of a frame with everything there is to say about it: the policy's verdict and the tables' side by side.

use std::collections::BTreeSet;
use std::sync::Arc;

use nicfw::policy::Origin;
use nicfw::tables::{Compiled, CounterId, RuleKey};
use nicfw::terms::{Direction, Flow, Packet, Verdict};
use serde::Serialize;

use crate::entries::EntryWords;
use crate::words;

/// Orders of lookup that are tried to find every entry that may decide a frame.
const ORDERS: std::ops::Range<u64> = 0..16;

/// What becomes of a frame at one crossing of the adapter.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// Which way it crosses.
    pub direction: Direction,
    /// The policy's verdict.
    pub verdict: Verdict,
    /// What decided, in few words.
    pub words: String,
    /// Where that was written.
    pub origin: Option<Arc<Origin>>,
    /// The entries that decide it, with their counters: one; or several base entries, of which the order of lookup chooses
    /// one; or none.
    pub entries: Vec<(RuleKey, Option<CounterId>)>,
    /// Whether the tables say the same as the policy.
    pub agrees: bool,
}

/// Judges flows, in their order.
pub fn judge(compiled: &Compiled, flows: &[Flow]) -> Vec<Judgement> {
    let mut tables: Vec<BTreeSet<(Verdict, Option<RuleKey>)>> = vec![BTreeSet::new(); flows.len()];
    for seed in ORDERS {
        let judged = compiled.image().judge_all(flows, &compiled.target().profile, seed);
        for (all, judgement) in tables.iter_mut().zip(judged) {
            all.insert((judgement.verdict, judgement.entry));
        }
    }
    flows.iter().zip(tables).map(|(flow, tables)| one(compiled, flow, tables)).collect()
}

fn one(compiled: &Compiled, flow: &Flow, tables: BTreeSet<(Verdict, Option<RuleKey>)>) -> Judgement {
    let document = compiled.document();
    let decision = document.decide(flow);
    let counter = |key| compiled.image().rules.get(&key).and_then(|entry| entry.counter);
    Judgement {
        direction: flow.direction,
        verdict: decision.verdict,
        words: words::short(document, &decision),
        origin: document.origin(&decision.why).cloned(),
        agrees: tables.iter().all(|(verdict, _)| *verdict == decision.verdict),
        entries: tables.into_iter().filter_map(|(_, entry)| entry).map(|key| (key, counter(key))).collect(),
    }
}

/// The sides of a frame from anywhere that are judged: the sender's if it is bound, then the receiver's if it is; for a
/// frame between others the receiver's, as the adapter would see it come in.
pub fn sides(compiled: &Compiled, packet: &Packet) -> Vec<Direction> {
    let document = compiled.document();
    let ours = |direction| {
        let flow = packet.judged(direction, 0);
        let ip = flow.ip.is_some_and(|ip| document.binding_of(ip.local).is_some());
        ip || document.bindings.iter().any(|binding| binding.mac == flow.local_mac)
    };
    let sides: Vec<Direction> = [Direction::Tx, Direction::Rx].into_iter().filter(|side| ours(*side)).collect();
    if sides.is_empty() { vec![Direction::Rx] } else { sides }
}

/// A judgement as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JudgementReport {
    /// `rx` or `tx`.
    pub direction: &'static str,
    /// `allow` or `deny`.
    pub verdict: &'static str,
    /// What decided, in few words.
    pub why: String,
    /// Where that was written.
    pub origin: Option<String>,
    /// Who asked for it.
    pub owner: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The ticket.
    pub ticket: Option<String>,
    /// The entries that decide it; more than one = whichever base deny is looked up first.
    pub entries: Vec<EntryWords>,
}

impl JudgementReport {
    /// The judgement in words.
    pub fn new(judgement: &Judgement, compiled: &Compiled) -> Self {
        let origin = judgement.origin.as_deref();
        Self {
            direction: words::direction(judgement.direction),
            verdict: words::verdict(judgement.verdict),
            why: judgement.words.clone(),
            origin: origin.map(ToString::to_string),
            owner: origin.and_then(|origin| origin.owner.clone()),
            reason: origin.and_then(|origin| origin.reason.clone()),
            ticket: origin.and_then(|origin| origin.ticket.clone()),
            entries: judgement.entries.iter().map(|(key, _)| EntryWords::of(key, compiled.image())).collect(),
        }
    }

    /// The entries for people.
    pub fn entry(&self) -> String {
        match &self.entries[..] {
            [] => "none: what no entry decides passes".to_owned(),
            entries => entries.iter().map(|entry| entry.text.as_str()).collect::<Vec<_>>().join("\nor "),
        }
    }
}
