//! The demo's course: every flow with the firewall off, with it on, and with one rule less.

use std::collections::BTreeMap;

use nicfw::policy::{Document, Packet};
use nicfw::tables::{CounterId, Direction, RuleKey, Verdict};

use super::exchange::{Crossing, Lab, Nonce, Observation, Probe};
use super::flows::{CHANGED_RULE, Flow, POLICY, POLICY_NAME};
use super::report::{ChangeReport, CounterReport, EntryReport, FlowReport};
use crate::emulated::{Counts, Emulated, Judgement};
use crate::entries;
use crate::failure::Failure;
use crate::output::Progress;

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
            control.push(self.probe("firewall off", &flow.probe)?.delivered);
        }
        self.adapter.load(policy()?)?;
        let (mut reports, mut observations) = (Vec::new(), Vec::new());
        for (i, flow) in self.flows.iter().enumerate() {
            let before = self.adapter.counts()?;
            let observation = self.probe("firewall on", &flow.probe)?;
            let after = self.adapter.counts()?;
            reports.push(self.report(i, control.get(i) == Some(&true), &observation, &before, &after)?);
            observations.push(observation);
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
        let before = self.adapter.tables()?;
        let out = self.adapter.load(without_rule()?)?;
        let (mut changed, mut expected) = (Vec::new(), Vec::new());
        for (i, (flow, with)) in self.flows.iter().zip(with).enumerate() {
            let without = self.probe("one rule out", &flow.probe)?;
            if without.delivered != with.delivered {
                changed.push(i + 1);
            }
            // The frames of the run with the rule, judged without it: how far they would have come.
            let (judged, _) = self.judge_all(flow, with)?;
            if verdict(&judged) != Some(if with.delivered { Verdict::Allow } else { Verdict::Deny }) {
                expected.push(i + 1);
            }
        }
        let back = self.adapter.load(document)?;
        let tables_identical = self.adapter.tables()? == before;
        Ok(ChangeReport {
            rule,
            commands_out: out.commands,
            commands_back: back.commands,
            changed,
            expected,
            tables_identical,
        })
    }

    fn probe(&mut self, phase: &str, probe: &Probe) -> Result<Observation, Failure> {
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
        arrived_off: bool,
        observation: &Observation,
        before: &Counts,
        after: &Counts,
    ) -> Result<FlowReport, Failure> {
        let Some(flow) = self.flows.get(index) else { return Err(Failure::usage("demo: no such flow")) };
        let (own, all) = self.judge_all(flow, observation)?;
        let mut wrong = Vec::new();
        if !arrived_off {
            wrong.push("did not arrive with the firewall off".to_owned());
        }
        let policy = verdict(&own).unwrap_or(Verdict::Deny);
        if own.is_empty() {
            wrong.push("nothing was sent".to_owned());
        }
        if policy != flow.expect {
            wrong.push(format!("expected {}", super::report::Word::from(flow.expect)));
        }
        if observation.delivered != (policy == Verdict::Allow) {
            wrong.push("what arrived is not what the policy says".to_owned());
        }
        wrong.extend(
            own.iter().flatten().find(|j| !j.agrees).map(|j| format!("tables and policy disagree: {}", j.words)),
        );
        let counters = self.counters(&own, &all, before, after, &mut wrong);
        let deciding = deciding(&own);
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

    /// The judgements of a flow's own frames, frame by frame; and those of all frames that crossed meanwhile.
    fn judge_all(
        &self,
        flow: &Flow,
        observation: &Observation,
    ) -> Result<(Vec<Vec<Judgement>>, Vec<Judgement>), Failure> {
        let (mut own, mut all) = (Vec::new(), Vec::new());
        for crossing in &observation.crossings {
            let (packet, judgements) = self.adapter.judge(crossing.from.place(), &crossing.frame)?;
            all.extend(judgements.iter().cloned());
            if is_of(&packet, crossing, &flow.probe) {
                own.push(judgements);
            }
        }
        Ok((own, all))
    }

    /// What the counters of the flow's entries did, against the frames on the cables.
    fn counters(
        &mut self,
        own: &[Vec<Judgement>],
        all: &[Judgement],
        before: &Counts,
        after: &Counts,
        wrong: &mut Vec<String>,
    ) -> Vec<CounterReport> {
        let expected = tally(all.iter());
        for (counter, sides) in after {
            for (direction, now) in [(Direction::Rx, sides.rx), (Direction::Tx, sides.tx)] {
                let then = before.get(counter).map_or(0, |sides| sides.of(direction));
                let frames = expected.get(&(*counter, direction)).copied().unwrap_or(0);
                if now.wrapping_sub(then) != frames {
                    wrong.push(format!(
                        "counter {} moved by {} for {frames} frames",
                        counter.0,
                        now.wrapping_sub(then)
                    ));
                }
            }
        }
        let mut reports: Vec<CounterReport> = Vec::new();
        let mine = tally(own.iter().flatten());
        for judgement in own.iter().flatten() {
            let (Some(entry), Some(counter)) = (judgement.entry, judgement.counter) else { continue };
            let key = (counter, judgement.direction);
            let entry = self.label(entry);
            let direction = if judgement.direction == Direction::Rx { "rx" } else { "tx" };
            if reports.iter().any(|report| report.entry == entry && report.direction == direction) {
                continue;
            }
            let then = before.get(&counter).map_or(0, |sides| sides.of(judgement.direction));
            let now = after.get(&counter).map_or(0, |sides| sides.of(judgement.direction));
            let frames = mine.get(&key).copied().unwrap_or(0);
            let others = expected.get(&key).copied().unwrap_or(0) - frames;
            reports.push(CounterReport {
                entry,
                direction,
                frames,
                moved: now.wrapping_sub(then).wrapping_sub(others),
            });
        }
        reports
    }

    fn label(&mut self, key: RuleKey) -> String {
        let next = format!("E{}", self.labels.len() + 1);
        self.labels.entry(key).or_insert(next).clone()
    }

    fn entries(&self) -> Vec<EntryReport> {
        let image = self.adapter.image();
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

/// Whether every frame of the flow passes; `None` for no frames.
fn verdict(own: &[Vec<Judgement>]) -> Option<Verdict> {
    let open = own.iter().flatten().all(|judgement| judgement.verdict == Verdict::Allow);
    (!own.is_empty()).then_some(if open { Verdict::Allow } else { Verdict::Deny })
}

/// The judgement that stopped the flow, or those that let its first frame pass.
fn deciding(own: &[Vec<Judgement>]) -> Vec<&Judgement> {
    match own.iter().flatten().find(|judgement| judgement.verdict == Verdict::Deny) {
        Some(stopped) => vec![stopped],
        None => own.first().into_iter().flatten().collect(),
    }
}

fn tally<'j>(judgements: impl Iterator<Item = &'j Judgement>) -> BTreeMap<(CounterId, Direction), u64> {
    let mut frames = BTreeMap::new();
    for judgement in judgements {
        if let Some(counter) = judgement.counter {
            *frames.entry((counter, judgement.direction)).or_insert(0) += 1;
        }
    }
    frames
}

/// Whether a frame belongs to a probe, and not to what else the stacks say meanwhile (address resolution, groups).
fn is_of(packet: &Packet, crossing: &Crossing, probe: &Probe) -> bool {
    const ARP: u16 = 0x0806;
    let between = |a, b| packet.ip.is_some_and(|ip| (ip.src, ip.dst) == (a, b) || (ip.src, ip.dst) == (b, a));
    let proto = |number| packet.ip.is_some_and(|ip| ip.proto == Some(number));
    match *probe {
        Probe::Tcp { from, to } => between(from.ip(), to.ip()) && proto(6),
        Probe::Udp { from, to, .. } => between(from.ip(), to.ip()) && proto(17),
        Probe::Group { from, group, .. } => between(from.ip(), group.ip()) && proto(17),
        Probe::Ping { from, to, .. } => between(from, to) && (proto(1) || proto(58)),
        Probe::Arp { from, to } => packet.ether_type == ARP && [from, to].contains(&crossing.from),
        Probe::Raw { from, frame, .. } => {
            crossing.from == from && packet.src_mac == frame.src_mac && between(frame.src.ip(), frame.dst.ip())
        }
    }
}

/// The demo's policy.
///
/// # Errors
/// The text is wrong, which a test rules out.
pub fn policy() -> Result<Document, Failure> {
    Document::parse(POLICY, POLICY_NAME).map_err(Failure::usage)
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
