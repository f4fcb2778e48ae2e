//! Targets that a caller names: checked as those that an adapter reports.

use std::collections::BTreeSet;
use std::ffi::c_char;

use nicfw::{EngineProfile, Target};

use crate::failure::{Failure, Result, fixed};
use crate::nicfw_code::{NICFW_E_ARGUMENT, NICFW_E_FIT, NICFW_E_UNSUPPORTED};
use crate::types::{nicfw_size, nicfw_target};

/// A target as C sees it.
pub fn target_to_c(target: &Target) -> nicfw_target {
    let mut sizes = [nicfw_size { name: [0; 32], value: 0 }; 24];
    let mut sizes_count = 0;
    for (place, (name, value)) in sizes.iter_mut().zip(target.named_sizes()) {
        *place = nicfw_size { name: fixed(name), value: value.into() };
        sizes_count += 1;
    }
    nicfw_target {
        size: 0,
        family: fixed(Target::FAMILY),
        family_version: target.profile.rules_version,
        physical_ports: target.physical_ports,
        sizes_count,
        reserved: 0,
        sizes,
    }
}

/// The sizes must make sense, as those must that an adapter reports.
pub fn target_of_c(from: &nicfw_target) -> Result<Target> {
    let family = text(&from.family, "target.family")?;
    if !["", Target::FAMILY].contains(&family.as_str()) {
        let text =
            format!("target.family is {family:?}, of which this library knows nothing: it knows {}", Target::FAMILY);
        return Err(Failure::new(NICFW_E_FIT, text).at("target.family"));
    }
    if from.reserved != 0 {
        return Err(Failure::new(NICFW_E_UNSUPPORTED, "target says something in its reserved field").at("target"));
    }
    let unknown = || {
        let text = format!("tables of the family rules in version {}: nobody has described them", from.family_version);
        Failure::new(NICFW_E_FIT, text)
    };
    let profile = EngineProfile::for_version(from.family_version).ok_or_else(unknown)?;
    let mut target = Target { profile, ..Target::profile0() };
    if from.physical_ports != 0 {
        target.physical_ports = from.physical_ports;
    }
    let said = usize::try_from(from.sizes_count).ok().and_then(|count| from.sizes.get(..count)).ok_or_else(|| {
        let text = format!("target.sizes_count is {}, at most {} fit", from.sizes_count, from.sizes.len());
        Failure::new(NICFW_E_ARGUMENT, text).at("target.sizes_count")
    })?;
    let mut named = BTreeSet::new();
    for size in said {
        let name = text(&size.name, "target.sizes")?;
        let wrong = |what: String| Failure::new(NICFW_E_ARGUMENT, format!("target.sizes: {what}")).at("target.sizes");
        let value = u32::try_from(size.value).map_err(|_| wrong(format!("{name} is {}, too large", size.value)))?;
        if !named.insert(name.clone()) {
            return Err(wrong(format!("{name} is there twice")));
        }
        let known = target.named_sizes();
        if !known.iter().any(|(known, _)| *known == name) {
            let known = known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            return Err(wrong(format!("there is no size {name:?}; expected one of {known}")));
        }
        if value != 0 {
            target.set_size(&name, value);
        }
    }
    check(&target)?;
    Ok(target)
}

/// A text of a structure, which ends with NUL.
fn text(from: &[c_char], what: &str) -> Result<String> {
    let bytes: Vec<u8> = from.iter().take_while(|c| **c != 0).map(|c| c.to_ne_bytes()[0]).collect();
    if bytes.len() == from.len() {
        return Err(Failure::new(NICFW_E_ARGUMENT, format!("{what} does not end with NUL")).at(what));
    }
    String::from_utf8(bytes).map_err(|e| Failure::new(NICFW_E_ARGUMENT, format!("{what} is not UTF-8: {e}")).at(what))
}

/// What makes sense beside what [`Sizes::check`](nicfw::Sizes::check) asks.
fn check(target: &Target) -> Result<()> {
    let Target { profile, sizes, physical_ports } = target;
    let wrong = |text: String| Failure::new(NICFW_E_ARGUMENT, format!("target: {text}")).at("target");
    let demands = [
        ((1..=256).contains(physical_ports), "physical_ports must be 1 to 256"),
        (profile.rules <= 1 << 20, "rules must be at most 1048576"),
        (profile.counters <= 1 << 20, "counters must be at most 1048576"),
    ];
    if let Some((_, text)) = demands.into_iter().find(|(holds, _)| !holds) {
        return Err(wrong(text.to_owned()));
    }
    sizes.check().map(drop).map_err(|bad| wrong(bad.to_string()))
}
