//! Items of lists: fields with a number or a text each.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use nicfw::device::{Suitability, Usability};
use nicfw::firewall::{Count, Engine, Firewall};
use nicfw::journal::Addresses;
use nicfw::policy::{Binding, Difference, Document, Finding, Nearest, Opening, Origin, ParseError};
use nicfw::tables::plan::Step;
use nicfw::tables::{ChangePhase, Explanation, HowManyMore, Table, Usage};
use nicfw::terms::Flow;
use nicfw::{Direction, RuleKey, TableOp, Verdict};

use crate::handle::Handle;
use crate::nicfw_field::{self, *};
use crate::{nicfw_direction, nicfw_list, nicfw_phase, nicfw_suitability, nicfw_verdict};

/// What an item holds for one field.
#[derive(Debug, Clone)]
enum Held {
    Number(u64),
    Text(String),
    /// What an entry matches. Put into words only when somebody asks: that takes longer than all the rest.
    Key(RuleKey),
    /// The same, field by field.
    Fields(RuleKey),
}

/// What an item says in one field.
#[derive(Debug)]
pub enum Value<'a> {
    Number(u64),
    Text(Cow<'a, str>),
}

impl Handle for nicfw_list {
    type Shared = Arc<[Item]>;
}

/// One item of a list.
#[derive(Debug, Clone)]
pub struct Item {
    held: Vec<(nicfw_field, Held)>,
    /// Says who asked for it, in fields of its own.
    origin: Option<Arc<Origin>>,
}

impl Item {
    pub fn new(text: impl Into<String>) -> Self {
        let mut held = Vec::with_capacity(6);
        held.push((NICFW_FIELD_TEXT, Held::Text(text.into())));
        Self { held, origin: None }
    }

    /// What it says in a field, given as C gives it.
    pub fn field(&self, field: i32) -> Option<Value<'_>> {
        let held = self.held.iter().find(|(known, _)| *known as i32 == field).map(|(_, held)| held);
        match held {
            Some(Held::Number(number)) => Some(Value::Number(*number)),
            Some(Held::Text(text)) => Some(Value::Text(text.into())),
            Some(Held::Key(key)) => Some(Value::Text(key.to_string().into())),
            Some(Held::Fields(key)) => Some(Value::Text(lines(key).into())),
            None => origin_field(self.origin.as_deref()?, field),
        }
    }

    fn number(mut self, field: nicfw_field, number: impl Into<u64>) -> Self {
        self.held.push((field, Held::Number(number.into())));
        self
    }

    pub fn text(mut self, field: nicfw_field, text: impl Into<String>) -> Self {
        self.held.push((field, Held::Text(text.into())));
        self
    }

    /// An entry: as one text, and by its fields.
    fn entry(mut self, key: RuleKey) -> Self {
        self.held.extend([(NICFW_FIELD_ENTRY, Held::Key(key)), (NICFW_FIELD_MATCHES, Held::Fields(key))]);
        self
    }

    /// One line each.
    fn texts(self, field: nicfw_field, lines: impl IntoIterator<Item = impl Display>) -> Self {
        let lines: Vec<String> = lines.into_iter().map(|line| line.to_string()).collect();
        self.text(field, lines.join("\n"))
    }

    fn maybe(self, field: nicfw_field, text: Option<&String>) -> Self {
        if let Some(text) = text { self.text(field, text) } else { self }
    }

    fn origin(self, origin: Option<&Arc<Origin>>) -> Self {
        Self { origin: origin.cloned(), ..self }
    }
}

/// The fields that an entry matches, one a line.
fn lines(key: &RuleKey) -> String {
    let lines: Vec<String> = key.named_fields().iter().map(|(name, value)| format!("{name}={value}")).collect();
    lines.join("\n")
}

/// What an origin says in a field.
fn origin_field(origin: &Origin, field: i32) -> Option<Value<'_>> {
    let texts = [
        (NICFW_FIELD_FILE, Some(&*origin.file)),
        (NICFW_FIELD_OWNER, origin.owner.as_deref()),
        (NICFW_FIELD_REASON, origin.reason.as_deref()),
        (NICFW_FIELD_TICKET, origin.ticket.as_deref()),
        (NICFW_FIELD_WHEN, origin.when.as_deref()),
        (NICFW_FIELD_UNTIL, origin.until.as_deref()),
    ];
    if field == NICFW_FIELD_LINE as i32 {
        return Some(Value::Number(origin.line.into()));
    }
    let text = texts.into_iter().find(|(known, _)| *known as i32 == field)?.1?;
    Some(Value::Text(text.into()))
}

fn verdict(verdict: Verdict) -> u64 {
    match verdict {
        Verdict::Allow => nicfw_verdict::NICFW_ALLOW as u64,
        Verdict::Deny => nicfw_verdict::NICFW_DENY as u64,
    }
}

fn direction(direction: Direction) -> u64 {
    match direction {
        Direction::Rx => nicfw_direction::NICFW_IN as u64,
        Direction::Tx => nicfw_direction::NICFW_OUT as u64,
    }
}

pub fn explanation(explanation: Explanation) -> Item {
    let passes = explanation.verdict();
    let item = Item::new(explanation.text)
        .number(NICFW_FIELD_VERDICT, verdict(passes))
        .number(NICFW_FIELD_DIRECTION, direction(explanation.flow.direction))
        .origin(explanation.origin.as_ref());
    let Some(entry) = &explanation.entry else { return item };
    let item = item.entry(entry.key);
    if let Some(counter) = entry.counter { item.number(NICFW_FIELD_COUNTER, counter.0) } else { item }
}

pub fn decision(document: &Document, flow: &Flow) -> Item {
    let decision = document.decide(flow);
    Item::new(document.describe(&decision))
        .number(NICFW_FIELD_VERDICT, verdict(decision.verdict))
        .number(NICFW_FIELD_DIRECTION, direction(flow.direction))
        .origin(document.origin(&decision.why))
}

pub fn difference(difference: &Difference) -> Item {
    Item::new(difference.to_string())
        .number(NICFW_FIELD_VERDICT, verdict(difference.verdict))
        .number(NICFW_FIELD_DIRECTION, direction(difference.direction))
}

pub fn opening(opening: &Opening) -> Item {
    let item = Item::new(&opening.text).origin(opening.origin.as_ref());
    item.maybe(NICFW_FIELD_CONTAINER, opening.container.as_ref())
}

pub fn usage(usage: &Usage) -> Item {
    let users = |users: &[(String, u64)]| users.iter().map(|(name, used)| format!("{name} {used}")).collect::<Vec<_>>();
    Item::new(format!("{}: {} of {}", usage.table, usage.needed, usage.available))
        .text(NICFW_FIELD_TABLE, usage.table.to_string())
        .number(NICFW_FIELD_USED, usage.used())
        .number(NICFW_FIELD_AVAILABLE, usage.available)
        .number(NICFW_FIELD_MISSING, usage.missing())
        .texts(NICFW_FIELD_BY_POLICY, users(&usage.by_policy))
        .texts(NICFW_FIELD_BY_CONTAINER, users(&usage.by_binding))
}

pub fn count(count: &Count, firewall: &Firewall<impl Engine>) -> Item {
    let origin = count.origins.first().and_then(|id| firewall.origin(*id));
    let by = origin.map_or_else(String::new, |origin| format!(" ({origin})"));
    Item::new(format!("counter {}{by}: {} received, {} transmitted", count.counter.0, count.total.rx, count.total.tx))
        .number(NICFW_FIELD_COUNTER, count.counter.0)
        .number(NICFW_FIELD_RX_FRAMES, count.total.rx)
        .number(NICFW_FIELD_TX_FRAMES, count.total.tx)
        .number(NICFW_FIELD_RX_NEW, count.delta.rx)
        .number(NICFW_FIELD_TX_NEW, count.delta.tx)
        .texts(NICFW_FIELD_ENTRY, &count.entries)
        .origin(origin)
}

pub fn binding(document: &Document, binding: &Binding) -> Item {
    let policy = document.policies.get(binding.policy).map_or("", |policy| policy.name.as_str());
    Item::new(format!("{} by policy {policy} ({})", binding.container, binding.origin))
        .number(NICFW_FIELD_BOUND, 1_u64)
        .text(NICFW_FIELD_CONTAINER, &binding.container)
        .text(NICFW_FIELD_POLICY, policy)
        .text(NICFW_FIELD_MAC, binding.mac.to_string())
        .texts(NICFW_FIELD_ADDRESSES, &binding.ips)
        .origin(Some(&binding.origin))
}

pub fn reserved((container, addresses): (&str, &Addresses)) -> Item {
    let item = Item::new(format!("{container}, kept closed: {addresses}"))
        .number(NICFW_FIELD_BOUND, 0_u64)
        .text(NICFW_FIELD_CONTAINER, container)
        .texts(NICFW_FIELD_ADDRESSES, &addresses.ips);
    if addresses.macs.is_empty() { item } else { item.texts(NICFW_FIELD_MAC, &addresses.macs) }
}

pub fn step(step: &Step) -> Item {
    let phase = match ChangePhase::from(step.phase) {
        ChangePhase::Tighten => nicfw_phase::NICFW_PHASE_TIGHTEN,
        ChangePhase::Loosen => nicfw_phase::NICFW_PHASE_LOOSEN,
        ChangePhase::Tidy => nicfw_phase::NICFW_PHASE_TIDY,
        _ => nicfw_phase::NICFW_PHASE_PREPARE,
    };
    let item = Item::new(command(&step.op))
        .number(NICFW_FIELD_PHASE, phase as u64)
        .number(NICFW_FIELD_PAUSE, step.pause_before);
    let item = if let TableOp::SetRule { key, .. } = step.op { item.entry(key) } else { item };
    if let Some(undo) = &step.undo { item.text(NICFW_FIELD_UNDO, command(undo)) } else { item }
}

pub fn peak((table, used): (Table, u64)) -> Item {
    Item::new(format!("{table}: {used} at the worst moment"))
        .text(NICFW_FIELD_TABLE, table.to_string())
        .number(NICFW_FIELD_USED, used)
}

/// A command in words.
fn command(op: &TableOp) -> String {
    match op {
        TableOp::SetRule { key, rx, tx, .. } => format!("rule {key}: in {rx:?}, out {tx:?}"),
        TableOp::SetSubnetNode(node) => format!("subnet node {}", node.id),
        TableOp::SetRemotePortTree(tree) => format!("remote port-range tree of {} entries", tree.len()),
        TableOp::SetLocalPortTree(tree) => format!("local port-range tree of {} entries", tree.len()),
    }
}

pub fn problem(problem: &ParseError, name: &str) -> Item {
    Item::new(problem.to_string())
        .text(NICFW_FIELD_FILE, name)
        .number(NICFW_FIELD_LINE, problem.line())
        .number(NICFW_FIELD_COLUMN, problem.column())
}

pub fn finding(finding: &Finding) -> Item {
    Item::new(finding.to_string()).text(NICFW_FIELD_LINT, finding.lint.name()).origin(finding.origins.first())
}

pub fn nearest(nearest: &Nearest, flow: &Flow) -> Item {
    Item::new(nearest.to_string())
        .number(NICFW_FIELD_DIRECTION, direction(flow.direction))
        .texts(NICFW_FIELD_OBSTACLES, nearest.obstacles.iter().map(|obstacle| &obstacle.text))
        .origin(Some(&nearest.origin))
}

pub fn room(container: &str, more: &HowManyMore) -> Item {
    let ends = more.ends.as_ref().map_or_else(|| "nothing was found to end it".to_owned(), ToString::to_string);
    let item = Item::new(ends).text(NICFW_FIELD_CONTAINER, container).number(NICFW_FIELD_MORE, more.more);
    if let Some(ends) = more.table() { item.text(NICFW_FIELD_TABLE, ends.to_string()) } else { item }
}

pub fn function(function: &Suitability) -> Item {
    let suitability = match function.verdict() {
        Usability::Yes => nicfw_suitability::NICFW_SUITABLE,
        Usability::No => nicfw_suitability::NICFW_UNSUITABLE,
        Usability::UnknownUntilAttach => nicfw_suitability::NICFW_UNKNOWN_UNTIL_OPEN,
    };
    let (address, model) = (function.address, &function.model);
    Item::new(format!("{address} {}: {}", model.name, function.verdict()))
        .text(NICFW_FIELD_PCI_ADDRESS, address.to_string())
        .number(NICFW_FIELD_VENDOR, model.id.vendor)
        .number(NICFW_FIELD_DEVICE, model.id.device)
        .text(NICFW_FIELD_CHIP, model.name)
        .maybe(NICFW_FIELD_DRIVER, function.driver.as_ref())
        .number(NICFW_FIELD_SUITABILITY, suitability as u64)
        .texts(NICFW_FIELD_OBSTACLES, &function.obstacles)
        .texts(NICFW_FIELD_COMMANDS, function.obstacles.iter().flat_map(|obstacle| obstacle.commands(address)))
}
