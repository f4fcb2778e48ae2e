//! What a document leaves open that a stateful firewall would not, in the words of its rules.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::policy::document::{Binding, Document, Origin, PortPair, Proto};
use crate::policy::regions::{Cause, Region, Shape, regions};
use crate::policy::text::prefixes;
use crate::terms::{AddrSet, Direction, IntervalSet, PortSet, Verdict};

const ICMPV6: u8 = 58;

/// Something that passes although nobody asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opening {
    /// The container that it concerns; `None` = all of them.
    pub container: Option<String>,
    /// The rule or binding that opens it; `None` = the document as a whole.
    pub origin: Option<Arc<Origin>>,
    /// What is open; `None` = frames for groups, or ARP.
    pub open: Option<Open>,
    /// One sentence, with the origin's place at its end.
    pub text: String,
}

/// Flows that are open, seen from the container.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Open {
    /// `Rx`: others reach the container; `Tx`: it reaches others; `None`: both.
    pub direction: Option<Direction>,
    /// The container's address; `None` = each of its IPv6 addresses.
    pub local: Option<IpAddr>,
    /// `None` = every protocol that no rule names.
    pub proto: Option<u8>,
    /// Addresses of the others.
    pub remote: AddrSet,
    /// Their ports, and those of the container; `None` = frames without ports, too.
    pub ports: Option<PortPair>,
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Document {
    /// What passes although nobody asked for it: what replies leave open beyond a stateful firewall, neighbour
    /// discovery, ARP, and groups.
    #[must_use]
    pub fn openings(&self) -> Vec<Opening> {
        let document = self;
        let mut out = Vec::new();
        for binding in &document.bindings {
            let mut seen = BTreeSet::new();
            for ip in &binding.ips {
                let shape = Shape::bound(document, binding, *ip);
                if seen.insert(shape.clone()) {
                    let regions = regions(document, &shape, &shape.protocols(document));
                    replies(document, binding, *ip, &regions, &mut out);
                }
            }
            if binding.open_nd {
                out.push(Opening {
                    container: Some(binding.container.clone()),
                    origin: Some(binding.origin.clone()),
                    open: Some(Open {
                        direction: None,
                        local: None,
                        proto: Some(ICMPV6),
                        remote: AddrSet { v4: IntervalSet::empty(), ..AddrSet::full() },
                        ports: None,
                    }),
                    text: format!(
                        "any host or group may exchange icmpv6 of every type with {}, also router advertisements, redirects \
                         and neighbour advertisements for foreign addresses: {} (nd: open-icmpv6)",
                        binding.container, binding.origin
                    ),
                });
            }
        }
        if document.bindings.iter().any(|binding| binding.ips.iter().any(IpAddr::is_ipv4)) {
            let text = format!(
                "any container with an IPv4 address may claim foreign addresses by ARP, and others may claim its: what ARP \
                 says is not seen: {}",
                document.name
            );
            out.push(Opening { container: None, origin: None, open: None, text });
        }
        if document.unbound == Verdict::Allow && !document.bindings.is_empty() {
            let text = format!(
                "any host may reach every container by group and broadcast addresses: {} (unbound: allow)",
                document.name
            );
            out.push(Opening { container: None, origin: None, open: None, text });
        }
        out
    }
}

fn replies(document: &Document, binding: &Binding, ip: IpAddr, regions: &[Region], out: &mut Vec<Opening>) {
    for region in regions {
        let Cause::Rule { place, reply: true } = region.cause else { continue };
        let Some(rule) = document.rule(place).filter(|_| region.verdict == Verdict::Allow) else { continue };
        // Later fragments go without saying where the protocol is open with ports.
        let has_ports = region.proto.is_some_and(Proto::has_ports);
        let with_ports = |other: &&Region| {
            other.ports.is_some()
                && (other.direction, other.proto, other.cause) == (region.direction, region.proto, region.cause)
        };
        if has_ports && region.ports.is_none() && regions.iter().any(|other| with_ports(&other)) {
            continue;
        }
        let family = |set: &AddrSet| if ip.is_ipv4() { set.v4.is_empty() } else { set.v6.is_empty() };
        let is_all =
            if ip.is_ipv4() { rule.remote.set.v4 == region.remote.v4 } else { rule.remote.set.v6 == region.remote.v6 };
        if family(&region.remote) {
            continue;
        }
        let remote = if is_all { rule.remote.text.clone() } else { prefixes(&region.remote) };
        let (remote_ports, local_ports) = match &region.ports {
            Some(ports) => (words(&ports.remote), words(&ports.local)),
            None => (String::new(), String::new()),
        };
        let proto = region.proto.map_or_else(|| "other protocols".to_owned(), |number| Proto::Is(number).to_string());
        let container = &binding.container;
        let text = match region.direction {
            Direction::Rx => {
                format!("{remote} from {proto}{remote_ports} may reach {container} {proto}{local_ports} unasked")
            }
            Direction::Tx => {
                format!("{container} from {proto}{local_ports} may reach {remote} {proto}{remote_ports} unasked")
            }
        };
        out.push(Opening {
            container: Some(container.clone()),
            origin: Some(rule.origin.clone()),
            open: Some(Open {
                direction: Some(region.direction),
                local: Some(ip),
                proto: region.proto,
                remote: region.remote.clone(),
                ports: region.ports.clone(),
            }),
            text: format!("{text}: {}", rule.origin),
        });
    }
}

fn words(ports: &PortSet) -> String {
    if ports.is_full() { String::new() } else { format!(" {ports}") }
}
