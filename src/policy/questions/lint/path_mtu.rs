//! Policies under which path-MTU discovery fails: TCP passes, and the ICMP that says "too large" does not come in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::common::at_line;
use super::finding::{Finding, Lint};
use crate::policy::document::{Document, Origin, Proto, RulePlace};
use crate::policy::regions::{Region, Shape, regions};
use crate::terms::{AddrSet, Direction, Verdict};

const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Finds the policies, each with its rules that let TCP out.
pub(super) fn missing(document: &Document, out: &mut Vec<Finding>) {
    let mut found: BTreeMap<(usize, bool), Vec<Arc<Origin>>> = BTreeMap::new();
    for binding in &document.bindings {
        for ip in &binding.ips {
            let shape = Shape::bound(document, binding, *ip);
            let at = (binding.policy, shape.v6);
            if !found.contains_key(&at) && breaks(document, &shape) {
                found.insert(at, senders(document, &shape, binding.policy));
            }
        }
    }
    for ((policy, v6), senders) in found {
        let Some(of) = document.policies.get(policy) else { continue };
        let icmp = if v6 { "icmpv6" } else { "icmp" };
        let text = format!(
            "policy {} lets tcp out and no {icmp} in: what is too large for the path is lost in silence; \
             add {{allow: in, proto: {icmp}}}",
            of.name
        );
        let origins = [at_line(document, of.line)].into_iter().chain(senders).collect();
        out.push(Finding { lint: Lint::NoPathMtu { policy, v6 }, origins, text });
    }
}

fn breaks(document: &Document, shape: &Shape) -> bool {
    let icmp = if shape.v6 { ICMPV6 } else { ICMP };
    let mut protocols = shape.protocols(document);
    protocols.extend([TCP, icmp]);
    protocols.sort_unstable();
    protocols.dedup();
    let regions = regions(document, shape, &protocols);
    let passes = |direction, proto| {
        let of = |region: &Region| (region.direction, region.proto) == (direction, Some(proto));
        let in_family = |set: &AddrSet| if shape.v6 { !set.v6.is_empty() } else { !set.v4.is_empty() };
        regions.iter().any(|region| of(region) && region.verdict == Verdict::Allow && in_family(&region.remote))
    };
    passes(Direction::Tx, TCP) && !passes(Direction::Rx, icmp)
}

/// The policy's rules for an address that allow TCP.
fn senders(document: &Document, shape: &Shape, policy: usize) -> Vec<Arc<Origin>> {
    let of_policy = |place: &&RulePlace| matches!(place, RulePlace::Policy(at, _) if *at == policy);
    let rules = shape.rules.iter().filter(of_policy).filter_map(|place| document.rule(*place));
    let tcp = rules.filter(|rule| rule.action == Verdict::Allow && matches!(rule.proto, Proto::Any | Proto::TCP));
    tcp.map(|rule| rule.origin.clone()).collect()
}
