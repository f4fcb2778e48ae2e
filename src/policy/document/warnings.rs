//! What is allowed to be said but may not do what it seems to.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::policy::document::{Binding, Document, Origin, Policy, Rule};
use crate::terms::{AddrSet, Direction, Verdict};

/// One thing of a document that may surprise, as `web.yaml:12: ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// Where it was said.
    pub origin: Arc<Origin>,
    /// What may surprise.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

impl Document {
    /// What may surprise: bindings first, then rules, each in the order of the document.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings: Vec<_> = self.bindings.iter().flat_map(|binding| binding_warnings(binding)).collect();
        warnings.extend(self.dropped());
        let mut users = vec![Vec::new(); self.policies.len()];
        for binding in &self.bindings {
            if let Some(ips) = users.get_mut(binding.policy) {
                ips.extend(binding.ips.iter().copied());
            }
        }
        for (policy, ips) in self.policies.iter().zip(users) {
            let ips = ips.into_iter().collect();
            warnings.extend(policy.rules.iter().filter_map(|rule| self.rule_warning(policy, &ips, rule)));
        }
        warnings
    }

    /// What is dropped and may be missed: once for all that it concerns, where the first was said.
    fn dropped(&self) -> Vec<Warning> {
        // Without its own MAC, or with `unbound: deny`, it is the same: frames of no bound IP do not pass.
        let guarded = |binding: &&Arc<Binding>| binding.owns_mac || self.unbound == Verdict::Deny;
        let with =
            |has: fn(&IpAddr) -> bool| self.bindings.iter().filter(guarded).filter(move |b| b.ips.iter().any(has));
        let lacks = |binding: &&Arc<Binding>| !binding.ips.iter().any(is_link_local);
        let v6: Vec<_> = with(IpAddr::is_ipv6).filter(lacks).collect();
        let v4: Vec<_> = with(IpAddr::is_ipv4).collect();
        let mut out = Vec::new();
        if let Some(first) = v6.first() {
            let text = format!(
                "{}: what is sent from an IPv6 link-local address (probes of neighbours, router solicitations, MLD, DHCPv6) is \
                 dropped, as it is not bound: give it as one more ip; what is sent from :: (duplicate address detection) is \
                 dropped anyhow",
                several(first, v6.len())
            );
            out.push(Warning { origin: first.origin.clone(), text });
        }
        if let Some(first) = v4.first() {
            let text = format!(
                "{}: what is sent from 0.0.0.0 is dropped, so a DHCP client gets no lease: give the address to the container \
                 from outside, and run the client in the host",
                several(first, v4.len())
            );
            out.push(Warning { origin: first.origin.clone(), text });
        }
        if self.unbound == Verdict::Deny {
            let file = self.name.clone();
            let nobody = Origin { owner: None, reason: None, ticket: None, file, line: 0, when: None, until: None };
            let text = "unbound: deny drops LACP, LLDP and spanning tree of the host too: aggregate links with unbound: allow, \
                        or statically"
                .to_owned();
            out.push(Warning { origin: Arc::new(nobody), text });
        }
        out
    }

    fn rule_warning(&self, policy: &Policy, users: &AddrSet, rule: &Rule) -> Option<Warning> {
        let elsewhere = rule.local.as_ref().is_some_and(|local| local.subtract(users) == *local);
        let only_groups = rule.remote.set.subtract(&AddrSet::groups()).is_empty();
        let sends = rule.direction == Direction::Tx && rule.action == Verdict::Allow;
        let text = if elsewhere && !users.is_empty() {
            format!("the rule never applies: no binding with policy {} has an address in its local", policy.name)
        } else if only_groups && sends && self.multicast == Verdict::Deny {
            "the rule never applies: it allows sending to groups only, and multicast is denied".to_owned()
        } else {
            return None;
        };
        Some(Warning { origin: rule.origin.clone(), text })
    }
}

fn is_link_local(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

fn several(first: &Binding, count: usize) -> String {
    match count {
        1 => first.container.clone(),
        2 => format!("{} and another container", first.container),
        _ => format!("{} and {} other containers", first.container, count - 1),
    }
}

fn binding_warnings(binding: &Binding) -> Vec<Warning> {
    let name = &binding.container;
    let mut texts = Vec::new();
    if !binding.attach.local_traffic_reaches_adapter() {
        texts.push(format!(
            "{name} is attached by {}: between it and others inside this host no policy is enforced",
            binding.attach
        ));
    }
    if !binding.owns_mac {
        texts.push(format!(
            "{name} shares its MAC: only its IPs are guarded, and a frame with that MAC may have others"
        ));
    }
    texts.into_iter().map(|text| Warning { origin: binding.origin.clone(), text }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_surprise_is_said_with_its_place() {
        let text = r#"nicfw: 1
unbound: allow
multicast: deny
policies:
  web:
    - {allow: in, local: 10.30.1.99}
    - {allow: in, local: 10.30.1.0/24}
    - {allow: out, remote: [224.0.0.251, "ff02::fb"]}
    - {deny: out, remote: 224.0.0.251}
  spare: [{allow: in, local: 10.30.1.99}]
bindings:
  - {container: a, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: {macvlan: bridge}, policy: web}
  - {container: b, ip: 10.30.1.18, mac: "02:00:0a:1e:01:12", attach: ipvlan, policy: web, unprotected: accepted}
"#;
        let refused = Document::parse(text, "t.yaml").unwrap_err().to_string();
        assert!(refused.starts_with("t.yaml:12:5: a and b can reach each other inside the host"), "{refused}");
        let document = Document::parse(&text.replace("bridge}", "bridge}, unprotected: accepted"), "t.yaml").unwrap();
        let warnings: Vec<_> = document.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "t.yaml:12: a is attached by macvlan bridge: between it and others inside this host no policy is enforced",
                "t.yaml:13: b is attached by ipvlan: between it and others inside this host no policy is enforced",
                "t.yaml:13: b shares its MAC: only its IPs are guarded, and a frame with that MAC may have others",
                "t.yaml:12: a: what is sent from 0.0.0.0 is dropped, so a DHCP client gets no lease: give the address to the \
                 container from outside, and run the client in the host",
                "t.yaml:6: the rule never applies: no binding with policy web has an address in its local",
                "t.yaml:8: the rule never applies: it allows sending to groups only, and multicast is denied",
            ]
        );
    }

    #[test]
    fn one_container_inside_the_host_is_a_warning_only() {
        let text = r#"nicfw: 1
unbound: allow
multicast: deny
policies: {web: []}
bindings:
  - {container: a, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: {macvlan: bridge}, policy: web}
  - {container: b, ip: 10.30.1.18, mac: "02:00:0a:1e:01:12", attach: {macvlan: vepa}, policy: web}
"#;
        let warnings = Document::parse(text, "t.yaml").unwrap().warnings();
        assert_eq!(warnings.iter().filter(|warning| warning.text.contains("no policy is enforced")).count(), 1);
    }

    #[test]
    fn what_is_dropped_and_may_be_missed_is_said_once() {
        let text = r#"nicfw: 1
unbound: deny
multicast: deny
policies: {web: []}
bindings:
  - {container: a, ip: "2001:db8::17", mac: "02:00:0a:1e:01:11", attach: sriov, policy: web, nd: open-icmpv6}
  - {container: b, ip: ["2001:db8::18", 10.30.1.18], mac: "02:00:0a:1e:01:12", attach: sriov, policy: web, nd: open-icmpv6}
  - {container: c, ip: ["2001:db8::19", "fe80::19"], mac: "02:00:0a:1e:01:13", attach: sriov, policy: web, nd: open-icmpv6}
"#;
        let said = |text: &str| {
            Document::parse(text, "t.yaml").unwrap().warnings().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let warnings = said(text);
        let starts =
            ["t.yaml:6: a and another container: what is sent from an IPv6", "t.yaml:7: b: what", "t.yaml: unbound:"];
        assert_eq!(warnings.len(), starts.len(), "{warnings:?}");
        for (warning, start) in warnings.iter().zip(starts) {
            assert!(warning.starts_with(start), "{warning}");
        }
        for word in ["link-local", "::", "0.0.0.0", "DHCP", "LACP", "LLDP"] {
            assert!(warnings.iter().any(|warning| warning.contains(word)), "{word}");
        }
        assert!(said(&text.replace("unbound: deny", "unbound: allow")).iter().all(|w| !w.contains("LACP")));
    }
}
