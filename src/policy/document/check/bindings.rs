//! Bindings: who holds which address, with which MAC, under which policy.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::draft::{BindingDraft, RuleDraft};
use super::super::problems::{At, Diagnostic, Spanned, did_you_mean};
use super::addrs;
use super::checker::Checker;
use super::names::said_twice;
use crate::policy::document::{Attach, Binding, Policy};
use crate::terms::MacAddr;
use crate::text;

impl Checker {
    pub(super) fn bindings(
        &mut self,
        drafts: Vec<BindingDraft>,
        policies: &[Policy],
        management: &[(RuleDraft, Option<Spanned<MacAddr>>)],
    ) -> Vec<Binding> {
        let mut mac_uses: BTreeMap<MacAddr, usize> = BTreeMap::new();
        let host_macs = management.iter().filter_map(|(_, mac)| mac.map(|mac| mac.value));
        for mac in host_macs.chain(drafts.iter().map(|draft| draft.mac.value)) {
            *mac_uses.entry(mac).or_default() += 1;
        }
        self.isolation(&drafts);
        let places: BTreeMap<&str, usize> = policies.iter().enumerate().map(|(i, p)| (p.name.as_str(), i)).collect();
        let mut containers = BTreeMap::new();
        let mut holders = BTreeMap::new();
        let mut bindings = Vec::with_capacity(drafts.len());
        for draft in drafts {
            self.problems.about(format!("binding {}", draft.container.value));
            self.container(&draft.container, &mut containers);
            self.ips(&draft, &mut holders);
            self.link(&draft);
            let policy = places.get(draft.policy.value.as_str()).copied();
            if policy.is_none() {
                self.problems.report_with(draft.policy.at, || unknown_policy(&draft.policy.value, &places));
            }
            let mut physical_ports: Vec<u32> = draft.physical_ports.iter().map(|port| port.value).collect();
            physical_ports.sort_unstable();
            physical_ports.dedup();
            bindings.push(Binding {
                container: draft.container.value,
                ips: draft.ips.iter().map(|ip| ip.value).collect(),
                mac: draft.mac.value,
                owns_mac: !draft.shares_mac
                    && draft.attach != Attach::Ipvlan
                    && mac_uses.get(&draft.mac.value) == Some(&1),
                vlan: draft.vlan.map(|vlan| vlan.value),
                physical_ports,
                policy: policy.unwrap_or_default(),
                attach: draft.attach,
                open_nd: draft.open_nd.is_some(),
                unprotected_accepted: draft.unprotected_accepted.is_some(),
                origin: self.origin(draft.at, draft.origin),
            });
        }
        bindings
    }

    fn container(&mut self, id: &Spanned<String>, seen: &mut BTreeMap<String, At>) {
        let why = match text::check(&id.value).or_else(|error| self.bears(error)) {
            Err(error) => Some(error.to_string()),
            Ok(()) if id.value.contains(char::is_whitespace) => Some("it holds a blank".to_owned()),
            Ok(()) => None,
        };
        if let Some(why) = why {
            let wrong = Diagnostic::new(
                format!("{} is not a container id: {why}", crate::text::quoted(&id.value)),
                format!("1 to {} bytes without blanks", text::LONGEST),
                "give the id that the orchestrator uses",
            );
            self.problems.report(id.at, &wrong);
        }
        if let Some(first) = seen.insert(id.value.clone(), id.at) {
            self.problems.report(id.at, &said_twice("container", &id.value, first));
        }
    }

    fn ips(&mut self, draft: &BindingDraft, holders: &mut BTreeMap<IpAddr, (String, At)>) {
        if draft.ips.is_empty() && !draft.ips_refused {
            let wrong = Diagnostic::new(
                "a binding without an address",
                "at least one ip",
                "name the container's enterprise IP",
            );
            self.problems.report(draft.at, &wrong);
        }
        for ip in &draft.ips {
            self.problems.ok_or_report(ip.at, addrs::sound_host(ip.value));
            if let Some((holder, at)) = holders.get(&ip.value) {
                let line = if at.line == 0 { String::new() } else { format!(" (line {})", at.line) };
                let wrong = Diagnostic::new(
                    format!("{} is bound to {holder}{line} already", ip.value),
                    "one holder for each address",
                    "release it there, or bind another address",
                );
                self.problems.report(ip.at, &wrong);
            } else {
                holders.insert(ip.value, (draft.container.value.clone(), ip.at));
            }
        }
        let v6 = draft.ips.iter().find(|ip| ip.value.is_ipv6());
        match (v6, draft.open_nd) {
            (Some(ip), None) if ip.value == ip.value.to_canonical() => {
                let wrong = Diagnostic::new(
                    format!("{} needs neighbour discovery, and the tables cannot tell it from other icmpv6", ip.value),
                    "nd: open-icmpv6",
                    "say so in the binding and accept that all icmpv6 is open for it, or leave the IPv6 address out",
                );
                self.problems.report(ip.at, &wrong);
            }
            (None, Some(at)) if !draft.ips_refused => {
                let wrong = Diagnostic::new("nd without an IPv6 address", "nd beside IPv6 only", "leave nd out");
                self.problems.report(at, &wrong);
            }
            _ => {}
        }
    }

    /// Checks MAC, VLAN and physical ports.
    fn link(&mut self, draft: &BindingDraft) {
        self.problems.ok_or_report(draft.mac.at, sound_mac(draft.mac.value));
        if let Some(vlan) = draft.vlan.filter(|vlan| !(1..=4094).contains(&vlan.value)) {
            let wrong = Diagnostic::new(
                format!("{} is not a VLAN id", vlan.value),
                "1 to 4094",
                "leave vlan out if tags are not to be looked at",
            );
            self.problems.report(vlan.at, &wrong);
        }
        // ALL_PHYSICAL_PORTS of RESET_SECURITY_RULES (ef10.md 7.2) means every port and cannot be the number of one.
        if let Some(port) = draft.physical_ports.iter().find(|port| port.value == u32::MAX) {
            let wrong = Diagnostic::new(
                format!("{} is not a physical port", port.value),
                "a port of the adapter, counted from 0",
                "leave physical_ports out for all ports",
            );
            self.problems.report(port.at, &wrong);
        }
    }

    /// Refuses containers that can reach each other inside the host, unless that is accepted.
    fn isolation(&mut self, drafts: &[BindingDraft]) {
        let inside = || drafts.iter().filter(|draft| !draft.attach.local_traffic_reaches_adapter());
        let id = |draft: &BindingDraft| draft.container.value.clone();
        let Some(first) = inside().next().map(id) else { return };
        let Some(second) = inside().map(id).find(|other| *other != first) else { return };
        for draft in inside().filter(|draft| draft.unprotected_accepted.is_none()) {
            let other = if draft.container.value == first { &second } else { &first };
            self.problems.about(format!("binding {}", draft.container.value));
            let wrong = Diagnostic::new(
                format!(
                    "{} and {} can reach each other inside the host, where no policy is enforced",
                    draft.container.value, other
                ),
                "attach: sriov, or macvlan in mode vepa or private",
                "attach them so, or say unprotected: accepted",
            );
            self.problems.report(draft.at, &wrong);
        }
    }
}

fn unknown_policy(name: &str, known: &BTreeMap<&str, usize>) -> Diagnostic {
    let way_out = did_you_mean(name, known.keys().copied(), "define it under policies");
    Diagnostic::new(format!("unknown policy {}", crate::text::quoted(name)), "the name of a policy", way_out)
}

/// What is wrong with a MAC that no single station can have: a group address or 00:00:00:00:00:00. `None` if one can have it.
#[must_use]
pub fn mac_fault(mac: MacAddr) -> Option<String> {
    sound_mac(mac).err().map(|wrong| wrong.what)
}

/// Refuses MACs that no single station can have.
pub(super) fn sound_mac(mac: MacAddr) -> Result<(), Diagnostic> {
    if mac.is_group() || mac == MacAddr::default() {
        let what = if mac.is_group() { format!("{mac} is a group address") } else { format!("{mac} is not a station") };
        return Err(Diagnostic::new(what, "the MAC of one station", "give the MAC of the container's interface"));
    }
    Ok(())
}
