//! Why a flow passes or not: the rule that decides, and the entry that makes the adapter do so.

use std::fmt;
use std::sync::Arc;

use super::compile::Compiled;
use super::entry::OriginId;
use super::judge::Judgement;
use crate::policy::{Decision, Nearest, Origin};
use crate::tables::{Action, CounterId, MatchFields, RuleKey};
use crate::terms::{Direction, Flow, Packet, Verdict};

/// The verdict on one flow and what decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The flow.
    pub flow: Flow,
    /// What the document says.
    pub decision: Decision,
    /// The same in words, as `allow: policy web, rule 1 (web.yaml:9)`.
    pub text: String,
    /// Who asked for it, why and where; `None` where nothing in the document did.
    pub origin: Option<Arc<Origin>>,
    /// The entry that decides; `None` = no entry does.
    pub entry: Option<ExplainedEntry>,
    /// For a flow that is denied, the rule that comes nearest to letting it through.
    pub nearest: Option<Nearest>,
}

/// The entry that decides about a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExplainedEntry {
    /// What it matches.
    pub key: RuleKey,
    /// The combination of match fields: the adapter's lookup that finds it.
    pub lookup: MatchFields,
    /// What it does in the direction of the flow.
    pub action: Action,
    /// All who asked for it.
    pub origins: Vec<OriginId>,
    /// Its counter.
    pub counter: Option<CounterId>,
}

impl Compiled {
    /// Explains one judgement of a frame.
    #[must_use]
    pub fn explain(&self, flow: &Flow) -> Explanation {
        let document = self.document();
        let decision = document.decide(flow);
        let Judgement { entry, .. } = self.image().judge(flow, &self.target().profile, 0);
        let explained = |key: RuleKey| {
            let entry = self.image().rules.get(&key)?;
            let side = if flow.direction == Direction::Rx { &entry.rx } else { &entry.tx };
            Some(ExplainedEntry {
                key,
                lookup: key.fields(),
                action: side.action,
                origins: side.origins.clone(),
                counter: entry.counter,
            })
        };
        Explanation {
            flow: *flow,
            decision,
            text: document.describe(&decision),
            origin: document.origin(&decision.why).cloned(),
            entry: entry.and_then(explained),
            nearest: document.nearest(flow),
        }
    }

    /// Explains a frame: sent where its source is bound, then received where its destination is; received if neither is.
    #[must_use]
    pub fn explain_packet(&self, packet: &Packet, physical_port: u32) -> Vec<Explanation> {
        let bound = |ip| self.document().binding_of(ip).is_some();
        let owned = |mac| self.document().bindings.iter().any(|binding| binding.mac == mac);
        let sent = owned(packet.src_mac) || packet.ip.is_some_and(|ip| bound(ip.src));
        let received = !sent || owned(packet.dst_mac) || packet.ip.is_some_and(|ip| bound(ip.dst));
        let directions = [(sent, Direction::Tx), (received, Direction::Rx)];
        let judged = directions.into_iter().filter(|(is, _)| *is);
        judged.map(|(_, direction)| self.explain(&packet.judged(direction, physical_port))).collect()
    }
}

impl Explanation {
    /// Whether the flow passes.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.decision.verdict
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.flow.direction == Direction::Rx { "in" } else { "out" };
        write!(f, "{direction}: {}", self.text)?;
        match &self.entry {
            Some(entry) => write!(f, "; entry {}", entry.key),
            None => f.write_str("; no entry"),
        }
    }
}
