//! What came of a demo, as data: the screen and the JSON are two views of it.

use serde::Serialize;

use crate::flows::OpeningReport;
use crate::usage::UsageReport;

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub struct DemoReport {
    /// Always true: no real adapter is part of the demo.
    pub emulated: bool,
    /// How the frames were made.
    pub mode: &'static str,
    /// What stands in for the adapter.
    pub adapter: String,
    /// One per flow.
    pub flows: Vec<FlowReport>,
    /// The entries that decided, by their label.
    pub entries: Vec<EntryReport>,
    /// A rule taken out and put back.
    pub change: ChangeReport,
    /// What replies leave open beyond a stateful firewall.
    pub openings: Vec<OpeningReport>,
    /// Use of each table.
    pub usage: Vec<UsageReport>,
    /// Further runs, of `--all`.
    pub extras: Vec<ExtraReport>,
    /// Whether all is as it should be.
    pub pass: bool,
    /// What this does not show.
    pub not_shown: Vec<&'static str>,
}

/// One flow.
#[derive(Debug, Clone, Serialize)]
pub struct FlowReport {
    /// Number, from 1.
    pub number: usize,
    /// What it is.
    pub what: &'static str,
    /// Control run with the firewall off: it arrived at the receiving socket.
    pub arrived_off: bool,
    /// What is to come of it, by hand.
    pub expected: Word,
    /// What the policy says.
    pub policy: Word,
    /// With the firewall on: it arrived at the receiving socket.
    pub arrived_on: bool,
    /// What decided, in words.
    pub why: String,
    /// Where that was written.
    pub origin: Option<String>,
    /// Its ticket.
    pub ticket: Option<String>,
    /// What the entries' counters did.
    pub counters: Vec<CounterReport>,
    /// What is not as it should be; empty = all is well.
    pub wrong: Vec<String>,
}

/// What an entry's counter did during a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CounterReport {
    /// Label of the entry.
    pub entry: String,
    /// `rx` or `tx`.
    pub direction: &'static str,
    /// By how much the counter moved for the flow's frames on the cables. Anything else that a counter did is wrong.
    pub frames: u64,
}

/// One entry of the adapter.
#[derive(Debug, Clone, Serialize)]
pub struct EntryReport {
    /// Short name, for the table.
    pub label: String,
    /// What it matches.
    pub matches: String,
    /// What it does.
    pub action: String,
}

/// A rule taken out of the running policy and put back.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeReport {
    /// The rule.
    pub rule: String,
    /// Commands that took it out.
    pub commands_out: usize,
    /// Commands that put it back.
    pub commands_back: usize,
    /// Numbers of the flows that came out otherwise without the rule.
    pub changed: Vec<usize>,
    /// Numbers of the flows that the policy says come out otherwise without the rule.
    pub expected: Vec<usize>,
    /// Afterwards every table was as before.
    pub tables_identical: bool,
}

/// A further run.
#[derive(Debug, Clone, Serialize)]
pub struct ExtraReport {
    /// What it was.
    pub what: String,
    /// Flows tried.
    pub flows: usize,
    /// Numbers of the flows that were not as they should be.
    pub wrong: Vec<usize>,
}

/// A verdict in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Passes.
    Allow,
    /// Does not.
    Deny,
}

impl From<nicfw::terms::Verdict> for Word {
    fn from(verdict: nicfw::terms::Verdict) -> Self {
        match verdict {
            nicfw::terms::Verdict::Allow => Self::Allow,
            nicfw::terms::Verdict::Deny => Self::Deny,
        }
    }
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

impl ChangeReport {
    /// Whether the change did what it should, and no more.
    pub fn good(&self) -> bool {
        self.tables_identical && self.changed == self.expected && !self.changed.is_empty()
    }
}
