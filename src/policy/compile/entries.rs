//! The entries of all local sides, with the ids of a layout's classes.

use std::collections::BTreeMap;

use super::base::Fixed;
use super::layout::{Layout, Local};
use super::maps::Maps;
use super::origins::Origins;
use super::regions::Cause;
use crate::policy::{Document, Image, ImageEntry, OriginId, RulePlace, Rules, Side};
use crate::tables::{Action, RuleKey, Verdict};

/// The image, but for its counters.
pub(super) fn entries(
    document: &Document,
    origins: &Origins,
    layout: &Layout,
    locals: &[Local],
    fixed: &BTreeMap<RuleKey, Fixed>,
    maps: &Maps,
) -> Image {
    let mut image = Image {
        rules: Rules::new(),
        subnets: maps.subnets.clone(),
        remote_ports: maps.remote_ports.clone(),
        local_ports: maps.local_ports.clone(),
    };
    for (key, fixed) in fixed {
        let rx = fixed_side(fixed, origins);
        let tx = if fixed.tx { rx.clone() } else { Side::default() };
        image.rules.insert(*key, ImageEntry { rx, tx, counter: None });
    }
    let [subnets, remote_ports, local_ports] = &maps.ids;
    for local in locals {
        for (tail, [rx, tx]) in layout.tails[local.shape].iter().flatten() {
            let key = RuleKey {
                local_ip: local.key.local_ip,
                local_mac: local.key.local_mac,
                outer_vlan: local.key.outer_vlan,
                physical_port: local.key.physical_port,
                ether_type: local.key.ether_type,
                ..tail.key([subnets, remote_ports, local_ports])
            };
            let rx = allow(rx, document, origins, local);
            let tx = allow(tx, document, origins, local);
            image.rules.insert(key, ImageEntry { rx, tx, counter: None });
        }
    }
    image
}

fn fixed_side(fixed: &Fixed, origins: &Origins) -> Side {
    let action = match fixed.verdict {
        Verdict::Allow => Action::Allow { sample: false },
        Verdict::Deny => Action::Deny { sample: false },
    };
    let management = fixed.management.iter().filter_map(|at| origins.rule(RulePlace::Management(*at)));
    let mut asked: Vec<OriginId> = management.chain(fixed.bindings.iter().map(|at| origins.binding(*at))).collect();
    if asked.is_empty() {
        asked.push(origins.document());
    }
    asked.sort_unstable();
    Side { action, origins: asked }
}

/// An allow for several rules samples if one of them does.
fn allow(causes: &[Cause], document: &Document, origins: &Origins, local: &Local) -> Side {
    if causes.is_empty() {
        return Side::default();
    }
    let rules = || {
        causes.iter().filter_map(|cause| match *cause {
            Cause::Rule { place, .. } => Some(place),
            Cause::NeighbourDiscovery | Cause::Multicast | Cause::NoRule => None,
        })
    };
    let sample = rules().any(|place| document.rule(place).is_some_and(|rule| rule.sample));
    let mut asked: Vec<OriginId> = rules().filter_map(|place| origins.rule(place)).collect();
    if causes.contains(&Cause::NeighbourDiscovery) {
        asked.extend(local.binding.map(|at| origins.binding(at)));
    }
    asked.sort_unstable();
    asked.dedup();
    Side { action: Action::Allow { sample }, origins: asked }
}
