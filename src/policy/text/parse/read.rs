//! From the tree to a draft: one function for each kind of thing, one line for each key.

use std::net::IpAddr;

use super::super::words;
use super::yaml::{Node, Value};
use crate::policy::document::draft::{AddrTerm, Addrs, BindingDraft, Draft, OriginDraft, Ports, RuleDraft};
use crate::policy::document::problems::{At, Diagnostic, Problems, Spanned, did_you_mean};
use crate::policy::document::{Attach, MacvlanMode, Proto};
use crate::terms::{Direction, MacAddr, Verdict};
use crate::text::quoted;

// The keys of each kind of mapping.
const DOCUMENT: &str = "nicfw unbound multicast owner ephemeral expired management groups policies bindings";
const RULE: &str = "allow deny sample proto remote except remote_ports local_ports local replies \
    owner reason ticket when until";
const MANAGEMENT: &str = "allow deny mac sample proto remote except remote_ports local_ports local \
    replies owner reason ticket when until";
const BINDING: &str = "container ip mac owns_mac vlan physical_ports attach policy nd unprotected owner reason \
    ticket when until";
const ADDRS: &str = "of except";
const ATTACH: &str = "macvlan: vepa, macvlan: private, macvlan: bridge, ipvlan, bridge, sriov or none";

/// The draft of a document; `None` after reporting that the root is not a mapping.
pub(super) fn draft(root: Node, name: &str, problems: &mut Problems) -> Option<Draft> {
    let at = root.at;
    let mut keys = Keys::open(root, "the document", DOCUMENT, problems)?;
    version(&mut keys, problems);
    let mut draft = Draft::new(name);
    draft.at = at;
    draft.unbound = default_verdict(&mut keys, "unbound", problems);
    draft.multicast = default_verdict(&mut keys, "multicast", problems);
    draft.owner = keys.text("owner", problems);
    draft.ephemeral = keys.take("ephemeral").and_then(|node| ports(node, problems));
    draft.on_expiry = keys.word("expired", words::on_expiry, problems).map(|said| said.value).unwrap_or_default();
    for (name, node) in keys.map("groups", problems) {
        draft.groups.push((name, addrs(node, problems)));
    }
    for (name, node) in keys.map("policies", problems) {
        let rules = list(node, "a list of rules", "write [] to deny everything", problems);
        draft.policies.push((name, rules.into_iter().filter_map(|node| rule(node, problems)).collect()));
    }
    let management = keys.list("management", "a list of rules", problems);
    draft.management = management.into_iter().filter_map(|node| management_rule(node, problems)).collect();
    let bindings = keys.list("bindings", "a list of bindings", problems);
    draft.bindings = bindings.into_iter().filter_map(|node| binding(node, problems)).collect();
    Some(draft)
}

/// A verdict; one that cannot be read counts as said, so that it is reported once.
fn default_verdict(keys: &mut Keys, key: &str, problems: &mut Problems) -> Option<Spanned<Verdict>> {
    let node = keys.take(key)?;
    let at = node.at;
    Some(word(node, words::verdict, problems).unwrap_or(Spanned::new(at, Verdict::Deny)))
}

fn version(keys: &mut Keys, problems: &mut Problems) {
    let way_out = "write nicfw: 1 into the first line";
    let Some(node) = keys.require("nicfw", "nicfw: 1, the version of this form", way_out, problems) else { return };
    let Some(version) = scalar(node, "1", problems) else { return };
    if version.value != "1" {
        let what = format!("version {} of the form is not known", quoted(&version.value));
        problems
            .report(version.at, &Diagnostic::new(what, "nicfw: 1", "use a program that knows it, or write version 1"));
    }
}

fn rule(node: Node, problems: &mut Problems) -> Option<RuleDraft> {
    let mut keys = Keys::open(node, "a rule", RULE, problems)?;
    rule_fields(&mut keys, problems)
}

fn management_rule(node: Node, problems: &mut Problems) -> Option<(RuleDraft, Option<Spanned<MacAddr>>)> {
    let mut keys = Keys::open(node, "a management rule", MANAGEMENT, problems)?;
    let mac = keys.word("mac", words::mac, problems);
    Some((rule_fields(&mut keys, problems)?, mac))
}

fn rule_fields(keys: &mut Keys, problems: &mut Problems) -> Option<RuleDraft> {
    let at = keys.at;
    let action = action(keys, problems);
    let proto = keys.word("proto", words::proto, problems).unwrap_or(Spanned::new(at, Proto::Any));
    let sample = keys.word("sample", words::switch, problems).is_some_and(|said| said.value);
    let mut remote = keys.take("remote").map_or_else(|| Addrs::any(at), |node| addrs(node, problems));
    if let Some(node) = keys.take("except") {
        remote.refused |= !terms(node, &mut remote.except, problems);
    }
    let remote_ports = keys.take("remote_ports").and_then(|node| ports(node, problems));
    let local_ports = keys.take("local_ports").and_then(|node| ports(node, problems));
    let local = keys.take("local").map(|node| addrs(node, problems));
    let replies = keys.word("replies", words::switch, problems);
    let origin = origin(keys, problems);
    let (action, direction) = action?;
    Some(RuleDraft { at, direction, action, sample, proto, remote, remote_ports, local_ports, local, replies, origin })
}

/// `allow: in` and its three sisters.
fn action(keys: &mut Keys, problems: &mut Problems) -> Option<(Verdict, Direction)> {
    let wrong =
        |what| Diagnostic::new(what, "one of allow: in, allow: out, deny: in, deny: out", "say it once in each rule");
    match (keys.take("allow"), keys.take("deny")) {
        (Some(node), None) => Some((Verdict::Allow, word(node, words::direction, problems)?.value)),
        (None, Some(node)) => Some((Verdict::Deny, word(node, words::direction, problems)?.value)),
        (Some(_), Some(second)) => {
            problems.report(second.at, &wrong("both allow and deny"));
            None
        }
        (None, None) => {
            problems.report(keys.at, &wrong("neither allow nor deny"));
            None
        }
    }
}

fn binding(node: Node, problems: &mut Problems) -> Option<BindingDraft> {
    let mut keys = Keys::open(node, "a binding", BINDING, problems)?;
    let at = keys.at;
    let container = keys.required_word("container", "the container's id", Ok, problems);
    let ips = keys.require("ip", "the container's address, or a list of them", "say which IP is bound", problems);
    let ips = ips.map(|node| ip_list(node, problems));
    let mac = keys.required_word("mac", "the MAC of the container's frames", |word| words::mac(&word), problems);
    let shares_mac = keys.fixed("owns_mac", "no", problems).is_some();
    let policy = keys.required_word("policy", "the name of a policy", Ok, problems);
    let attach = keys.require("attach", ATTACH, "say how the container reaches the adapter", problems);
    let attach = attach.and_then(|node| attachment(node, problems));
    let vlan = keys.word("vlan", |word| words::number::<u16>(word, "VLAN id", 1, 4094), problems);
    let physical_ports = keys.take("physical_ports").map(|node| physical_ports(node, problems)).unwrap_or_default();
    let open_nd = keys.fixed("nd", "open-icmpv6", problems);
    let unprotected_accepted = keys.fixed("unprotected", "accepted", problems);
    let origin = origin(&mut keys, problems);
    let (ips, ips_refused) = ips?;
    Some(BindingDraft {
        at,
        container: container?,
        ips,
        ips_refused,
        mac: mac?,
        shares_mac,
        vlan,
        physical_ports,
        policy: policy?,
        attach: attach?,
        open_nd,
        unprotected_accepted,
        origin,
    })
}

/// The addresses, and whether some could not be read.
fn ip_list(node: Node, problems: &mut Problems) -> (Vec<Spanned<IpAddr>>, bool) {
    let nodes = one_or_more(node);
    let said = nodes.len();
    let ips: Vec<_> = nodes.into_iter().filter_map(|node| word(node, words::addr, problems)).collect();
    let refused = ips.len() < said;
    (ips, refused)
}

fn physical_ports(node: Node, problems: &mut Problems) -> Vec<Spanned<u32>> {
    let at = node.at;
    let nodes = one_or_more(node);
    if nodes.is_empty() {
        let wrong =
            Diagnostic::new("an empty list of physical ports", "at least one", "leave the field out for all ports");
        problems.report(at, &wrong);
    }
    let port = |text: &str| words::number::<u32>(text, "physical port", 0, u32::MAX - 1);
    nodes.into_iter().filter_map(|node| word(node, port, problems)).collect()
}

fn attachment(node: Node, problems: &mut Problems) -> Option<Attach> {
    let at = node.at;
    let wrong = |what: String| Diagnostic::new(what, ATTACH, "choose the one that the orchestrator uses");
    match node.value {
        Value::Refused => None,
        Value::Scalar(text) => {
            let found = match text.as_str() {
                "ipvlan" => Ok(Attach::Ipvlan),
                "bridge" => Ok(Attach::Bridge),
                "sriov" => Ok(Attach::Sriov),
                "none" => Ok(Attach::None),
                "macvlan" => Err(wrong("macvlan without its mode".to_owned())),
                _ => Err(wrong(format!("unknown attachment {}", quoted(&text)))),
            };
            problems.ok_or_report(at, found)
        }
        Value::Map(mut entries) => match (entries.pop(), entries.is_empty()) {
            (Some((key, mode)), true) if key.value == "macvlan" => {
                let mode = scalar(mode, "vepa, private or bridge", problems)?;
                let found = match mode.value.as_str() {
                    "vepa" => Ok(Attach::Macvlan(MacvlanMode::Vepa)),
                    "private" => Ok(Attach::Macvlan(MacvlanMode::Private)),
                    "bridge" => Ok(Attach::Macvlan(MacvlanMode::Bridge)),
                    other => Err(wrong(format!("unknown macvlan mode {}", quoted(other)))),
                };
                problems.ok_or_report(mode.at, found)
            }
            _ => {
                problems.report(at, &wrong("an attachment that is not known".to_owned()));
                None
            }
        },
        Value::List(_) => {
            problems.report(at, &wrong("a list of attachments".to_owned()));
            None
        }
    }
}

fn origin(keys: &mut Keys, problems: &mut Problems) -> OriginDraft {
    OriginDraft {
        owner: keys.text("owner", problems),
        reason: keys.text("reason", problems),
        ticket: keys.text("ticket", problems),
        when: keys.text("when", problems),
        until: keys.text("until", problems),
    }
}

/// An expression: a word, a list of words, or `{of: ..., except: ...}`.
fn addrs(node: Node, problems: &mut Problems) -> Addrs {
    let mut addrs = Addrs { at: node.at, of: Vec::new(), except: Vec::new(), refused: false };
    if !matches!(node.value, Value::Map(_)) {
        addrs.refused = !terms(node, &mut addrs.of, problems);
        return addrs;
    }
    let mut keys = Keys::open(node, "an address expression", ADDRS, problems);
    let keys = keys.as_mut();
    let of = keys.and_then(|keys| {
        if let Some(node) = keys.take("except") {
            addrs.refused |= !terms(node, &mut addrs.except, problems);
        }
        keys.require("of", "of: addresses, prefixes or groups", "write of: any to except from all", problems)
    });
    addrs.refused |= !of.is_some_and(|node| terms(node, &mut addrs.of, problems));
    addrs
}

/// Adds the terms of a word or a list of words; false after reporting that some are none.
fn terms(node: Node, to: &mut Vec<Spanned<AddrTerm>>, problems: &mut Problems) -> bool {
    let nodes = one_or_more(node);
    let wanted = to.len() + nodes.len();
    to.extend(nodes.into_iter().filter_map(|node| word(node, words::addr_term, problems)));
    to.len() == wanted
}

fn ports(node: Node, problems: &mut Problems) -> Option<Ports> {
    let at = node.at;
    let nodes = one_or_more(node);
    let said = nodes.len();
    let ports: Vec<_> = nodes.into_iter().filter_map(|node| word(node, words::ports, problems)).collect();
    (said == ports.len()).then(|| Spanned::new(at, ports.into_iter().map(|port| port.value).collect()))
}

/// The items of a list, or the one node that stands for a list of one.
fn one_or_more(node: Node) -> Vec<Node> {
    match node.value {
        Value::List(items) => items,
        _ => vec![node],
    }
}

fn list(node: Node, expected: &str, way_out: &str, problems: &mut Problems) -> Vec<Node> {
    match node.value {
        Value::List(items) => return items,
        Value::Refused => {}
        Value::Scalar(_) | Value::Map(_) => {
            problems.report(node.at, &Diagnostic::new(format!("{} instead of a list", kind(&node)), expected, way_out));
        }
    }
    Vec::new()
}

/// A word that some function understands.
fn word<T>(
    node: Node,
    understand: impl FnOnce(&str) -> Result<T, Diagnostic>,
    problems: &mut Problems,
) -> Option<Spanned<T>> {
    let said = scalar(node, "one word", problems)?;
    problems.ok_or_report(said.at, understand(&said.value)).map(|value| Spanned::new(said.at, value))
}

fn scalar(node: Node, expected: &str, problems: &mut Problems) -> Option<Spanned<String>> {
    match node.value {
        Value::Scalar(text) if !text.is_empty() => Some(Spanned::new(node.at, text)),
        Value::Refused => None,
        Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
            let wrong = Diagnostic::new(format!("{} instead of a word", kind(&node)), expected, "write a single value");
            problems.report(node.at, &wrong);
            None
        }
    }
}

fn kind(node: &Node) -> &'static str {
    match &node.value {
        Value::Scalar(text) if text.is_empty() => "nothing",
        Value::Scalar(_) | Value::Refused => "a word",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

/// The keys of a mapping that were not read yet.
struct Keys {
    at: At,
    what: &'static str,
    entries: Vec<(Spanned<String>, Node)>,
}

impl Keys {
    /// Opens a mapping and reports keys that are not known; `None` after reporting that it is none.
    fn open(node: Node, what: &'static str, known: &str, problems: &mut Problems) -> Option<Self> {
        let at = node.at;
        match node.value {
            Value::Map(entries) => {
                for (key, _) in entries.iter().filter(|(key, _)| known.split(' ').all(|word| word != key.value)) {
                    problems.report_with(key.at, || unknown_key(&key.value, what, known));
                }
                Some(Self { at, what, entries })
            }
            Value::Refused => None,
            Value::Scalar(_) | Value::List(_) => {
                let found = format!("{} instead of {what}", kind(&node));
                problems.report(
                    at,
                    &Diagnostic::new(
                        found,
                        "a mapping (key: value)",
                        format!("its keys are {}", known.replace(' ', ", ")),
                    ),
                );
                None
            }
        }
    }

    fn take(&mut self, key: &str) -> Option<Node> {
        let i = self.entries.iter().position(|(said, _)| said.value == key)?;
        Some(self.entries.swap_remove(i).1)
    }

    fn require(&mut self, key: &str, expected: &str, way_out: &str, problems: &mut Problems) -> Option<Node> {
        let node = self.take(key);
        if node.is_none() {
            problems.report(self.at, &Diagnostic::new(format!("{} lacks {key}", self.what), expected, way_out));
        }
        node
    }

    fn word<T>(
        &mut self,
        key: &str,
        understand: impl FnOnce(&str) -> Result<T, Diagnostic>,
        problems: &mut Problems,
    ) -> Option<Spanned<T>> {
        word(self.take(key)?, understand, problems)
    }

    fn required_word<T>(
        &mut self,
        key: &str,
        expected: &str,
        understand: impl FnOnce(String) -> Result<T, Diagnostic>,
        problems: &mut Problems,
    ) -> Option<Spanned<T>> {
        let node = self.require(key, expected, &format!("add {key}"), problems)?;
        word(node, |text| understand(text.to_owned()), problems)
    }

    fn text(&mut self, key: &str, problems: &mut Problems) -> Option<Spanned<String>> {
        scalar(self.take(key)?, "a text", problems)
    }

    /// The place of a key that has just one value.
    fn fixed(&mut self, key: &str, value: &str, problems: &mut Problems) -> Option<At> {
        let said = scalar(self.take(key)?, value, problems)?;
        if said.value != value {
            let what = format!("{key} cannot be {}", quoted(&said.value));
            let wrong = Diagnostic::new(what, format!("{key}: {value}"), format!("say that, or leave {key} out"));
            problems.report(said.at, &wrong);
        }
        Some(said.at)
    }

    fn list(&mut self, key: &str, expected: &str, problems: &mut Problems) -> Vec<Node> {
        self.take(key).map(|node| list(node, expected, "write one item a line", problems)).unwrap_or_default()
    }

    fn map(&mut self, key: &str, problems: &mut Problems) -> Vec<(Spanned<String>, Node)> {
        let Some(node) = self.take(key) else { return Vec::new() };
        match node.value {
            Value::Map(entries) => return entries,
            Value::Refused => {}
            Value::Scalar(_) | Value::List(_) => {
                let what = format!("{} instead of {key}", kind(&node));
                problems.report(node.at, &Diagnostic::new(what, "a mapping (name: value)", "write one name a line"));
            }
        }
        Vec::new()
    }
}

fn unknown_key(key: &str, what: &str, known: &str) -> Diagnostic {
    let way_out = did_you_mean(key, known.split(' '), "remove it");
    Diagnostic::new(
        format!("{what} has no key {}", quoted(key)),
        format!("one of {}", known.replace(' ', ", ")),
        way_out,
    )
}
