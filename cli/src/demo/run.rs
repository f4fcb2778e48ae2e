//! The demo's course: every flow with the firewall off, with it on, and with one rule less.

use std::collections::BTreeMap;
use std::ops::Range;

use nicfw::policy::Document;
use nicfw::tables::{Compiled, RuleKey};
use nicfw::terms::Verdict;

use super::attribution::{Moved, attribute, moved};
use super::exchange::{Lab, Nonce, Observation, Probe};
use super::flows::{CHANGED_RULE, Flow, POLICY, POLICY_NAME};
use super::policy::policy;
use super::report::{ChangeReport, CounterReport, EntryReport, FlowReport};
use crate::emulated::{Counts, Emulated};
use crate::failure::Failure;
use crate::judge::{Judgement, judge};
use crate::output::Progress;
use crate::packets::packet;
use crate::{entries, words};

/// How often the counters are read again when frames cross meanwhile.
const READINGS: usize = 100;

/// Labs and an adapter, in the middle of a demo.
pub struct Run<'a> {
    lab: &'a mut dyn Lab,
    adapter: &'a mut Emulated,
    flows: &'a [Flow],
    progress: &'a mut Progress,
    nonce: u64,
    labels: BTreeMap<RuleKey, String>,
}

/// What came of the flows and of the change.
pub struct Outcome {
    /// One per flow.
    pub flows: Vec<FlowReport>,
    /// The entries that decided, in the order of their labels.
    pub entries: Vec<EntryReport>,
}

impl<'a> Run<'a> {
    /// A run whose adapter holds no rules yet.
    pub fn new(lab: &'a mut dyn Lab, adapter: &'a mut Emulated, flows: &'a [Flow], progress: &'a mut Progress) -> Self {
        Self { lab, adapter, flows, progress, nonce: 0, labels: BTreeMap::new() }
    }

    /// Every flow with the firewall off and on.
    ///
    /// # Errors
    /// A probe that could not be made, or an adapter that refuses the policy.
    pub fn off_and_on(&mut self) -> Result<(Outcome, Vec<Observation>), Failure> {
        let mut control = Vec::new();
        for flow in self.flows {
            control.push(self.probe("firewall off", &flow.probe)?);
        }
        self.adapter.load(&policy()?)?;
        let (mut reports, mut observations) = (Vec::new(), Vec::new());
        let (mut before, mut start) = self.settled()?;
        for (i, flow) in self.flows.iter().enumerate() {
            let delivered = self.probe("firewall on", &flow.probe)?;
            let (after, end) = self.settled()?;
            let observation = Observation { delivered, crossings: self.lab.crossings(start..end) };
            let moved = moved(&before, &after);
            reports.push(self.report(i, flow, control.get(i) == Some(&true), &observation, moved)?);
            observations.push(observation);
            (before, start) = (after, end);
        }
        let entries = self.entries();
        Ok((Outcome { flows: reports, entries }, observations))
    }

    /// Takes one rule out of the running policy, tries every flow again, and puts the rule back.
    ///
    /// # Errors
    /// As for [`Run::off_and_on`].
    pub fn change(&mut self, with: &[Observation]) -> Result<ChangeReport, Failure> {
        let document = policy()?;
        let rule = changed_rule(&document)?;
        let before = self.adapter.read_back();
        let out = self.adapter.load(&without_rule()?)?;
        let (mut changed, mut expected) = (Vec::new(), Vec::new());
        for (i, (flow, with)) in self.flows.iter().zip(with).enumerate() {
            let without = self.probe("one rule out", &flow.probe)?;
            if without != with.delivered {
                changed.push(i + 1);
            }
            // The frames of the run with the rule, judged without it: how far they would have come.
            let passes = self.judge_all(flow, with)?.verdict() == Verdict::Allow;
            if passes != with.delivered {
                expected.push(i + 1);
            }
        }
        let back = self.adapter.load(&document)?;
        let tables_identical = self.adapter.read_back() == before;
        Ok(ChangeReport {
            rule,
            commands_out: out.commands,
            commands_back: back.commands,
            changed,
            expected,
            tables_identical,
        })
    }

    /// The counters, and the number of frames that they have counted: no frame crosses between the two readings.
    fn settled(&mut self) -> Result<(Counts, usize), Failure> {
        for _ in 0..READINGS {
            let crossed = self.lab.crossed();
            let counts = self.adapter.counts()?;
            if self.lab.crossed() == crossed {
                return Ok((counts, crossed));
            }
        }
        Err(Failure::usage("demo: the namespaces do not fall silent; expected no traffic but the demo's; run it again"))
    }

    fn probe(&mut self, phase: &str, probe: &Probe) -> Result<bool, Failure> {
        self.nonce += 1;
        self.progress.say(&format!(
            "{phase}: {} of {}",
            (self.nonce - 1) % self.flows.len() as u64 + 1,
            self.flows.len()
        ));
        self.lab.run(probe, Nonce(self.nonce)).map_err(|error| {
            Failure::usage(format!(
                "demo: {phase}: {probe:?}: {error}; the machine's network stack refused; try --in-process"
            ))
        })
    }

    fn report(
        &mut self,
        index: usize,
        flow: &Flow,
        arrived_off: bool,
        observation: &Observation,
        moved: Moved,
    ) -> Result<FlowReport, Failure> {
        let judged = self.judge_all(flow, observation)?;
        let mut wrong = Vec::new();
        if !arrived_off {
            wrong.push("did not arrive with the firewall off".to_owned());
        }
        let policy = judged.verdict();
        if judged.first.is_none() {
            wrong.push("nothing was sent".to_owned());
        }
        if policy != flow.expect {
            wrong.push(format!("expected {}", super::report::Word::from(flow.expect)));
        }
        if observation.delivered != (policy == Verdict::Allow) {
            wrong.push("what arrived is not what the policy says".to_owned());
        }
        if !judged.came_out_as_judged() {
            wrong.push("a frame passed that the policy stops, or the other way round".to_owned());
        }
        wrong.extend(judged.own().find(|j| !j.agrees).map(|j| format!("tables and policy disagree: {}", j.words)));
        let counters = self.counters(&judged, moved, &mut wrong);
        let deciding = judged.deciding();
        let words: Vec<&str> = deciding.iter().map(|judgement| judgement.words.as_str()).collect();
        let origin = deciding.last().and_then(|judgement| judgement.origin.clone());
        Ok(FlowReport {
            number: index + 1,
            what: flow.title,
            arrived_off,
            expected: flow.expect.into(),
            policy: policy.into(),
            arrived_on: observation.delivered,
            why: words.join("\nthen "),
            ticket: origin.as_ref().and_then(|origin| origin.ticket.clone()),
            origin: origin.map(|origin| origin.to_string()),
            counters,
            wrong,
        })
    }

    /// The judgements of all frames that crossed, in order, and which of them are of the flow's own frames.
    fn judge_all(&self, flow: &Flow, observation: &Observation) -> Result<Judged, Failure> {
        let compiled = self.adapter.compiled().ok_or_else(|| Failure::usage("demo: the adapter holds no policy"))?;
        let (mut judged, mut flows) = (Judged::default(), Vec::new());
        for crossing in &observation.crossings {
            let Some(packet) = packet(&crossing.frame) else { continue };
            let sides = &crossing.carried.judged;
            if flow.probe.owns(crossing) {
                let passed = !crossing.carried.reached.is_empty();
                judged.outcomes.push((flows.len()..flows.len() + sides.len(), passed));
                judged.own.extend(flows.len()..flows.len() + sides.len());
                judged.first.get_or_insert(sides.len());
            }
            flows.extend(sides.iter().map(|side| packet.judged(*side, 0)));
        }
        judged.all = judge(compiled, &flows);
        Ok(judged)
    }

    /// What the counters of the flow's entries did, against the frames on the cables.
    fn counters(&mut self, judged: &Judged, moved: Moved, wrong: &mut Vec<String>) -> Vec<CounterReport> {
        let attributed = attribute(&judged.all, moved);
        wrong.extend(attributed.wrong);
        let mut reports: Vec<CounterReport> = Vec::new();
        for &index in &judged.own {
            let (Some(judgement), Some(Some(entry))) = (judged.all.get(index), attributed.entries.get(index)) else {
                continue;
            };
            let (entry, direction) = (self.label(*entry), words::direction(judgement.direction));
            match reports.iter_mut().find(|report| report.entry == entry && report.direction == direction) {
                Some(report) => report.frames += 1,
                None => reports.push(CounterReport { entry, direction, frames: 1 }),
            }
        }
        reports
    }

    fn label(&mut self, key: RuleKey) -> String {
        let next = format!("E{}", self.labels.len() + 1);
        self.labels.entry(key).or_insert(next).clone()
    }

    fn entries(&self) -> Vec<EntryReport> {
        let Some(image) = self.adapter.compiled().map(Compiled::image) else { return Vec::new() };
        let mut entries: Vec<EntryReport> = self
            .labels
            .iter()
            .map(|(key, label)| EntryReport {
                label: label.clone(),
                matches: entries::matches(key, image),
                action: image.rules.get(key).map(entries::does).unwrap_or_default(),
            })
            .collect();
        entries.sort_by_key(|entry| (entry.label.len(), entry.label.clone()));
        entries
    }
}

/// The judgements of what crossed during a probe.
#[derive(Default)]
struct Judged {
    all: Vec<Judgement>,
    /// Indices of those of the flow's own frames.
    own: Vec<usize>,
    /// For each of the flow's own frames its judgements, and whether it came out of the adapter.
    outcomes: Vec<(Range<usize>, bool)>,
    /// How many of `own` are of the flow's first frame; `None` for no frame.
    first: Option<usize>,
}

impl Judged {
    fn own(&self) -> impl Iterator<Item = &Judgement> {
        self.own.iter().filter_map(|index| self.all.get(*index))
    }

    /// Whether each of the flow's frames came out of the adapter just if all its judgements allow it.
    fn came_out_as_judged(&self) -> bool {
        let open = |judgements: &[Judgement]| judgements.iter().all(|judgement| judgement.verdict == Verdict::Allow);
        self.outcomes.iter().all(|(range, passed)| self.all.get(range.clone()).is_some_and(open) == *passed)
    }

    /// Whether every frame of the flow passes.
    fn verdict(&self) -> Verdict {
        if self.own().all(|judgement| judgement.verdict == Verdict::Allow) { Verdict::Allow } else { Verdict::Deny }
    }

    /// The judgement that stopped the flow, or those that let its first frame pass.
    fn deciding(&self) -> Vec<&Judgement> {
        match self.own().find(|judgement| judgement.verdict == Verdict::Deny) {
            Some(stopped) => vec![stopped],
            None => self.own().take(self.first.unwrap_or(0)).collect(),
        }
    }
}

/// The policy without the rule that the live change takes out. The other rules keep their lines.
fn without_rule() -> Result<Document, Failure> {
    let line = |line: &'static str| if line.contains(CHANGED_RULE) { "" } else { line };
    let text: Vec<&str> = POLICY.lines().map(line).collect();
    Document::parse(&text.join("\n"), POLICY_NAME).map_err(Failure::usage)
}

fn changed_rule(document: &Document) -> Result<String, Failure> {
    let rules = document.policies.iter().flat_map(|policy| &policy.rules);
    let rule = rules.map(|rule| &rule.origin).find(|origin| origin.reason.as_deref() == Some(CHANGED_RULE));
    let origin = rule.ok_or_else(|| Failure::usage(format!("demo: no rule `{CHANGED_RULE}` in {POLICY_NAME}")))?;
    Ok(format!("the rule `{CHANGED_RULE}` ({origin} {})", origin.ticket.as_deref().unwrap_or_default()))
}
