//! Documents back to text: what [`Document::parse`] reads, from a document that was read, built or changed in code.
//!
//! One rule and one binding a line, with every default said and every set as short as it can be; [`pieces`] spells the single
//! words, [`groups`] finds names for addresses, and [`lines`] puts the places in the original file back. Two texts are equal
//! where the documents are, so a text can be kept in place of a document.

pub(crate) mod groups;
mod lines;
pub(crate) mod pieces;

use std::fmt::Write as _;

use self::groups::Groups;
use crate::policy::document::{Attach, Binding, Document, Management, OnExpiry, Origin, Rule};
use crate::terms::{PortSet, Verdict};

impl Document {
    /// The document as text, in its canonical form.
    ///
    /// [`Document::restore`] makes the same document of it, and [`Document::parse`] one that decides the same and has the
    /// lines of this text. What the text cannot hold:
    ///
    /// - [`Remote::text`](crate::policy::Remote::text) stays if it means the rule's addresses; otherwise the rule names prefixes, or the group that
    ///   has the same addresses.
    /// - [`Origin::file`] becomes the name of the document.
    /// - A document that code brought out of order (two bindings with one address, ports beside a protocol that has none, a
    ///   reason of two lines) has a text that is refused. Only [`Binding::owns_mac`] is found out anew where it is true.
    ///
    /// `parse` refuses sets that code made empty, and more than 1 MiB of text; `restore` reads the first and 32 MiB.
    #[must_use]
    pub fn to_text(&self) -> String {
        let groups = Groups::new(&self.groups);
        let owner = common_owner(self);
        let mut out = String::from("nicfw: 1\n");
        // Writing to a string cannot fail.
        let _ = writeln!(out, "unbound: {}", pieces::verdict(self.unbound));
        let _ = writeln!(out, "multicast: {}", pieces::verdict(self.multicast));
        if let Some(owner) = owner {
            let _ = writeln!(out, "owner: {}", pieces::word(owner));
        }
        let _ = writeln!(out, "ephemeral: {}", pieces::ports(&self.ephemeral));
        let _ = writeln!(out, "expired: {}", on_expiry(self.on_expiry));
        section(&mut out, "groups", groups.lines());
        let management = self.management.iter().map(|management| item(&management_fields(management, &groups, owner)));
        section(&mut out, "management", management);
        section(
            &mut out,
            "policies",
            self.policies.iter().map(|policy| {
                let rules =
                    policy.rules.iter().map(|rule| format!("\n    {}", item(&rule_fields(rule, &groups, owner))));
                let rules: String = rules.collect();
                format!("{}:{}", pieces::word(&policy.name), if rules.is_empty() { " []" } else { &rules })
            }),
        );
        section(&mut out, "bindings", self.bindings.iter().map(|binding| item(&self.binding_fields(binding, owner))));
        out
    }

    fn binding_fields(&self, binding: &Binding, owner: Option<&str>) -> Vec<String> {
        // A policy that is not there is an empty word, which is refused.
        let policy = self.policies.get(binding.policy).map_or("", |policy| &policy.name);
        let mut fields = vec![
            format!("container: {}", pieces::word(&binding.container)),
            format!("ip: {}", pieces::list(binding.ips.iter().map(|ip| pieces::word(&ip.to_string())))),
            format!("mac: {}", pieces::word(&binding.mac.to_string())),
        ];
        if !binding.owns_mac && binding.attach != Attach::Ipvlan {
            fields.push("owns_mac: no".to_owned());
        }
        fields.extend(binding.vlan.map(|vlan| format!("vlan: {vlan}")));
        if !binding.physical_ports.is_empty() {
            let ports = pieces::list(binding.physical_ports.iter().map(ToString::to_string));
            fields.push(format!("physical_ports: {ports}"));
        }
        fields.push(format!("attach: {}", pieces::attach(binding.attach)));
        fields.push(format!("policy: {}", pieces::word(policy)));
        fields.extend(binding.open_nd.then(|| "nd: open-icmpv6".to_owned()));
        fields.extend(binding.unprotected_accepted.then(|| "unprotected: accepted".to_owned()));
        fields.extend(origin_fields(&binding.origin, owner));
        fields
    }
}

/// The owner of everything, if there is just one.
fn common_owner(document: &Document) -> Option<&str> {
    let mut owners = document.origins().map(|origin| origin.owner.as_deref());
    let first = owners.next()??;
    owners.all(|owner| owner == Some(first)).then_some(first)
}

/// A key with what stands below it, unless that is nothing.
fn section(out: &mut String, key: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        let _ = writeln!(out, "{key}:");
    }
    for line in lines {
        let _ = writeln!(out, "  {line}");
    }
}

fn item(fields: &[String]) -> String {
    format!("- {{{}}}", fields.join(", "))
}

fn management_fields(management: &Management, groups: &Groups<'_>, owner: Option<&str>) -> Vec<String> {
    let mut fields = rule_fields(&management.rule, groups, owner);
    fields.extend(management.mac.map(|mac| format!("mac: {}", pieces::word(&mac.to_string()))));
    fields
}

fn rule_fields(rule: &Rule, groups: &Groups<'_>, owner: Option<&str>) -> Vec<String> {
    let mut fields = vec![
        format!("{}: {}", pieces::verdict(rule.action), pieces::direction(rule.direction)),
        format!("proto: {}", rule.proto),
        format!("remote: {}", groups.remote(&rule.remote)),
    ];
    let (remote_ports, local_ports) = ports(rule);
    fields.extend(remote_ports.map(|set| format!("remote_ports: {}", pieces::ports(&set))));
    fields.extend(local_ports.map(|set| format!("local_ports: {}", pieces::ports(&set))));
    fields.extend(rule.local.as_ref().map(|set| format!("local: {}", groups.addresses(set))));
    // Only an allow has replies; a deny that has them is refused when it is read.
    match (rule.action, rule.replies) {
        (Verdict::Allow, false) => fields.push("replies: no".to_owned()),
        (Verdict::Deny, true) => fields.push("replies: yes".to_owned()),
        (Verdict::Allow, true) | (Verdict::Deny, false) => {}
    }
    fields.extend(rule.sample.then(|| "sample: yes".to_owned()));
    fields.extend(origin_fields(&rule.origin, owner));
    fields
}

/// Remote and local ports, as far as a rule names them.
fn ports(rule: &Rule) -> (Option<PortSet>, Option<PortSet>) {
    let Some(pair) = &rule.ports else {
        // Replies that are not confined, by ports that are not named: nothing can be said that means it.
        return (None, rule.names_local_ports.then(PortSet::empty));
    };
    let local = match (rule.names_local_ports, pair.local.is_full()) {
        (true, _) => Some(pair.local.clone()),
        (false, true) => None,
        // To name them would open more replies than there are: no port at all is the safe side.
        (false, false) => Some(PortSet::empty()),
    };
    let remote = (local.is_none() || !pair.remote.is_full()).then(|| pair.remote.clone());
    (remote, local)
}

fn origin_fields(origin: &Origin, common_owner: Option<&str>) -> impl Iterator<Item = String> {
    let owner = origin.owner.as_deref().filter(|owner| Some(*owner) != common_owner);
    let (reason, ticket) = (origin.reason.as_deref(), origin.ticket.as_deref());
    let (when, until) = (origin.when.as_deref(), origin.until.as_deref());
    let fields = [("owner", owner), ("reason", reason), ("ticket", ticket), ("when", when), ("until", until)];
    let fields = fields.map(|(key, text)| text.map(|text| format!("{key}: {}", pieces::word(text))));
    fields.into_iter().flatten()
}

fn on_expiry(what: OnExpiry) -> &'static str {
    match what {
        OnExpiry::Report => "report",
        OnExpiry::Withdraw => "withdraw",
    }
}
