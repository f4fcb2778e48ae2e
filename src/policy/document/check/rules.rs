//! Rules of policies and of the management list.

use super::super::draft::{AddrTerm, RuleDraft};
use super::super::problems::{At, Diagnostic, Spanned};
use super::bindings;
use super::checker::Checker;
use crate::policy::document::{Binding, Management, PortPair, Proto, Remote, Rule};
use crate::terms::{AddrSet, MacAddr, PortSet, Verdict};

impl Checker {
    /// A rule; `None` only after reporting something.
    pub(super) fn rule(&mut self, draft: RuleDraft) -> Option<Rule> {
        self.fields_agree(&draft);
        let set = self.groups.resolve(&draft.remote, &mut self.problems);
        let local = match &draft.local {
            Some(addrs) => self.groups.resolve(addrs, &mut self.problems).map(Some),
            None => Some(None),
        };
        let names_local_ports = draft.local_ports.is_some();
        let names_ports = names_local_ports || draft.remote_ports.is_some();
        let mut side = |ports: Option<_>| ports.map_or_else(PortSet::full, |ports| self.ports(&ports));
        let ports = PortPair { remote: side(draft.remote_ports), local: side(draft.local_ports) };
        let origin = self.origin(draft.at, draft.origin);
        Some(Rule {
            direction: draft.direction,
            action: draft.action,
            sample: draft.sample,
            proto: draft.proto.value,
            remote: Remote { text: draft.remote.to_string(), set: set? },
            ports: names_ports.then_some(ports),
            local: local?,
            replies: draft.action == Verdict::Allow && draft.replies.is_none_or(|said| said.value),
            names_local_ports,
            origin,
        })
    }

    /// Fields that are sound alone and make no sense together.
    fn fields_agree(&mut self, draft: &RuleDraft) {
        if let Some(replies) = draft.replies.filter(|_| draft.action == Verdict::Deny) {
            let wrong = Diagnostic::new("a deny has no replies", "replies beside allow only", "leave replies out");
            self.problems.report(replies.at, &wrong);
        }
        let Proto::Is(number) = draft.proto.value else { return };
        let ports = draft.remote_ports.as_ref().or(draft.local_ports.as_ref());
        if let Some(ports) = ports.filter(|_| !Proto::has_ports(number)) {
            let wrong = Diagnostic::new(
                format!("protocol {} has no ports", draft.proto.value),
                "proto any, tcp, udp or sctp beside ports",
                "leave the ports out, or change proto",
            );
            self.problems.report(ports.at, &wrong);
        }
    }

    /// The management list.
    pub(super) fn management(
        &mut self,
        drafts: Vec<(RuleDraft, Option<Spanned<MacAddr>>)>,
        bound: &[Binding],
        unbound: Verdict,
    ) -> Vec<Management> {
        let bound: AddrSet = bound.iter().flat_map(|b| b.ips.iter().copied()).collect();
        let mut management = Vec::with_capacity(drafts.len());
        for (i, (draft, mac)) in drafts.into_iter().enumerate() {
            self.problems.about(format!("management, rule {}", i + 1));
            if draft.action == Verdict::Deny {
                let way_out = "write the deny into a policy";
                let wrong = Diagnostic::new("a deny among the management rules", "allow: in or allow: out", way_out);
                self.problems.report(draft.at, &wrong);
            }
            let at = draft.local.as_ref().map_or(draft.at, |local| local.at);
            let Some(rule) = self.rule(draft) else { continue };
            let unbound_local = rule.local.as_ref().map_or_else(AddrSet::empty, |local| local.subtract(&bound));
            self.management_local(at, &unbound_local, mac, unbound);
            management.push(Management { rule, mac: mac.map(|mac| mac.value) });
        }
        management
    }

    /// Checks what a management rule says about addresses that nobody bound.
    fn management_local(&mut self, at: At, local: &AddrSet, mac: Option<Spanned<MacAddr>>, unbound: Verdict) {
        if local.subtract(&AddrSet::groups()) != *local {
            let wrong = Diagnostic::new(
                "local holds group addresses",
                "addresses that this host has",
                "name the addresses of the host one by one",
            );
            self.problems.report(at, &wrong);
        } else if unbound == Verdict::Deny && !local.v6.is_empty() {
            let wrong = Diagnostic::new(
                "neighbour discovery of an IPv6 address that nobody bound is closed by unbound: deny",
                "IPv4 addresses",
                "say unbound: allow, or bind the address",
            );
            self.problems.report(at, &wrong);
        } else if !local.is_empty() && mac.is_none() {
            let example = local.prefixes().first().map_or_else(String::new, |net| AddrTerm::Net(*net).to_string());
            let wrong = Diagnostic::new(
                format!("nobody bound {example}: say with which MAC it is the host's, or anybody could use it"),
                "mac beside local",
                "say the MAC that the host uses for the address",
            );
            self.problems.report(at, &wrong);
        }
        let Some(mac) = mac else { return };
        self.problems.ok_or_report(mac.at, bindings::sound_mac(mac.value));
        if local.is_empty() {
            let wrong = Diagnostic::new(
                "mac without a local address that nobody bound",
                "local: an address of the host itself",
                "leave mac out, or add local",
            );
            self.problems.report(mac.at, &wrong);
        }
    }
}
