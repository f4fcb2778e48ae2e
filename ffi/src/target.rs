//! Sizes of tables that a caller names: checked as those that an adapter reports.

use nicfw::{EngineProfile, Target};

use crate::failure::{Failure, Result};
use crate::nicfw_code::{NICFW_E_ARGUMENT, NICFW_E_FIT};
use crate::types::nicfw_target;

/// A target as C sees it.
pub fn target_to_c(target: &Target) -> nicfw_target {
    let Target { profile, sizes, physical_ports } = target;
    nicfw_target {
        size: 0,
        rules_version: profile.rules_version,
        physical_ports: *physical_ports,
        rules: profile.rules,
        counters: profile.counters,
        combinations: profile.combinations,
        subnet_nodes: sizes.subnet_nodes,
        entries_per_node: sizes.entries_per_node,
        subnet_id_min: sizes.subnet_id_min,
        subnet_id_max: sizes.subnet_id_max,
        port_tree_entries: sizes.port_tree_entries,
        portrange_id_min: sizes.portrange_id_min,
        portrange_id_max: sizes.portrange_id_max,
    }
}

/// The sizes must make sense, as those must that an adapter reports.
pub fn target_of_c(from: &nicfw_target) -> Result<Target> {
    let unknown =
        || Failure::new(NICFW_E_FIT, format!("rules of version {}: nobody has described them", from.rules_version));
    let mut target =
        Target { profile: EngineProfile::for_version(from.rules_version).ok_or_else(unknown)?, ..Target::profile0() };
    let Target { profile, sizes, physical_ports } = &mut target;
    let said = [
        (physical_ports, from.physical_ports),
        (&mut profile.rules, from.rules),
        (&mut profile.counters, from.counters),
        (&mut profile.combinations, from.combinations),
        (&mut sizes.subnet_nodes, from.subnet_nodes),
        (&mut sizes.entries_per_node, from.entries_per_node),
        (&mut sizes.subnet_id_min, from.subnet_id_min),
        (&mut sizes.subnet_id_max, from.subnet_id_max),
        (&mut sizes.port_tree_entries, from.port_tree_entries),
        (&mut sizes.portrange_id_min, from.portrange_id_min),
        (&mut sizes.portrange_id_max, from.portrange_id_max),
    ];
    for (size, said) in said {
        *size = if said == 0 { *size } else { said };
    }
    check(&target)?;
    Ok(target)
}

/// What the attach sequence demands of an adapter's sizes.
fn check(target: &Target) -> Result<()> {
    let Target { profile, sizes, physical_ports } = target;
    let pointer_max = (sizes.subnet_nodes.max(1) - 1).saturating_mul(sizes.entries_per_node);
    let demands = [
        ((1..=256).contains(physical_ports), "physical_ports must be 1 to 256"),
        (profile.rules <= 1 << 20, "rules must be at most 1048576"),
        (profile.counters <= 1 << 20, "counters must be at most 1048576"),
        ([2, 4, 16, 256].contains(&sizes.entries_per_node), "entries_per_node must be 2, 4, 16 or 256"),
        (pointer_max < sizes.subnet_id_min, "subnet_id_min must be above subnet_nodes - 1 times entries_per_node"),
        (sizes.subnet_id_min <= sizes.subnet_id_max, "subnet_id_max must not be below subnet_id_min"),
        (sizes.subnet_id_max <= 0xffff, "subnet_id_max must be at most 65535"),
        (sizes.port_tree_entries <= 255, "port_tree_entries must be at most 255"),
        (sizes.portrange_id_min <= sizes.portrange_id_max, "portrange_id_max must not be below portrange_id_min"),
        (sizes.portrange_id_max <= 0xffff, "portrange_id_max must be at most 65535"),
    ];
    match demands.into_iter().find(|(holds, _)| !holds) {
        Some((_, text)) => Err(Failure::new(NICFW_E_ARGUMENT, format!("target: {text}")).at("target")),
        None => Ok(()),
    }
}
