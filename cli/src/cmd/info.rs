//! `nicfw info`: what an adapter is. It is attached to and let go of again; its rules are not touched.

use std::fmt::Write as _;

use nicfw::adapter::AdapterInfo;
use nicfw::device::Locator;
use nicfw::tables::{Assumption, Target};
use nicfw_model::factory_mac;
use serde::Serialize;

use crate::args::Info;
use crate::attached::{Fingerprints, attached};
use crate::emulated::Emulated;
use crate::failure::{Exit, Failure};
use crate::output::Report;

#[derive(Serialize)]
struct InfoReport {
    emulated: bool,
    /// Where it is, if it is not emulated in this process.
    device: Option<String>,
    pci_id: String,
    function: String,
    mac: String,
    firmware: String,
    variant: String,
    /// Of its tables, as `rules`.
    family: &'static str,
    /// Of the family, as the adapter tells it.
    family_version: u32,
    physical_ports: u32,
    /// Of the tables, by the names that the family gives them.
    sizes: Vec<SizeReport>,
    counter_bits: u32,
    /// Of the rules that it holds, if it is not emulated in this process.
    fingerprints: Option<Fingerprints>,
    /// Each assumption about the rules engine, and the first measurement on a card that would refute it.
    assumptions: Vec<AssumptionReport>,
}

#[derive(Serialize)]
struct SizeReport {
    name: &'static str,
    value: u32,
}

#[derive(Serialize)]
struct AssumptionReport {
    assumption: String,
    refuted_by: &'static str,
}

/// An emulated adapter of this process.
fn emulated() -> Result<(AdapterInfo, Target, Option<Fingerprints>), Failure> {
    let mut adapter = Emulated::new(&[factory_mac(1)])?;
    let info = adapter.info().ok_or_else(|| Failure::usage("the emulated adapter tells nothing about itself"))?;
    Ok((info, adapter.target().clone(), None))
}

/// The adapter behind a function, and what its rules are.
fn elsewhere(locator: &Locator) -> Result<(AdapterInfo, Target, Option<Fingerprints>), Failure> {
    attached(locator, None, false, |adapter| {
        Ok((adapter.info().clone(), adapter.target().clone(), Some(Fingerprints::of(adapter)?)))
    })
}

/// The first measurement on a real card that would refute an assumption, in the words of docs/assumptions.md.
fn refuted_by(assumption: Assumption) -> &'static str {
    match assumption {
        Assumption::BaseRanksLowest => {
            "deny by LOCAL_IP alone, allow by LOCAL_IP and ETHER_TYPE: a frame that matches both is dropped"
        }
        Assumption::LocalIsHostSide => "deny RX by LOCAL_IP = A: a received frame with destination A still arrives",
        Assumption::NoMatchAccepts => "with all rules reset, a frame that no entry matches is dropped",
        Assumption::TrieMsbFirst => {
            "16 entries a node, and a root whose entry 0 alone has an id of its own: 1.0.0.1 does not get it"
        }
        Assumption::PortTreeHeapOrder => {
            "a tree of three entries with key 100 and two ids: ports 100 and 101 get one id, or each the other's"
        }
        Assumption::TableSizes => {
            "distinct keys are inserted until ENOSPC: it comes before the size that the profile names"
        }
        Assumption::LaterFragmentHasNoPorts => "an allow by ports admits the second fragment of a datagram",
        Assumption::NonIpIsJudged => "deny by LOCAL_MAC: an ARP frame of that MAC still passes",
        Assumption::NoneIsAbsent => "an entry with RX NONE beside a base deny: a frame that matches both passes",
        Assumption::MissGoesOn => {
            "two combinations in use: an entry in one of them decides no frame that the other misses"
        }
        Assumption::SetReplaces => "allow, then deny with the same key: frames still pass, or the command fails",
        Assumption::RulesSurviveReset => "deny, then FLR of the function that wrote it: frames pass",
        Assumption::VersionIsContent => "add and take back an entry: the version hash differs from the one before",
        Assumption::RebootClearsCounters => "count, reboot the MC, read: the counter is not zero",
    }
}

pub fn run(args: &Info) -> Result<Report, Failure> {
    let locator = args.device.as_ref();
    let (info, target, fingerprints) = locator.map_or_else(emulated, elsewhere)?;
    let [a, b, c, d] = info.firmware.version;
    let assumptions = Assumption::ALL.iter().zip(1..).map(|(assumption, number)| AssumptionReport {
        assumption: format!("A{number} {assumption:?}"),
        refuted_by: refuted_by(*assumption),
    });
    let report = InfoReport {
        emulated: locator.is_none(),
        device: locator.map(|locator| locator.to_string()),
        pci_id: info.pci_id.to_string(),
        function: info.function.to_string(),
        mac: info.mac.to_string(),
        firmware: format!("{a}.{b}.{c}.{d}"),
        variant: info.variant.to_string(),
        family: Target::FAMILY,
        family_version: info.rules_version,
        physical_ports: target.physical_ports,
        sizes: target.named_sizes().into_iter().map(|(name, value)| SizeReport { name, value }).collect(),
        counter_bits: info.counter_width,
        fingerprints,
        assumptions: assumptions.collect(),
    };
    if args.output.json {
        return Report::json(&report, Exit::Done);
    }
    Ok(Report::done(screen(&report, &target)))
}

fn screen(report: &InfoReport, Target { profile, sizes, .. }: &Target) -> String {
    let ids = |min: u32, max: u32| (max + 1).saturating_sub(min);
    let (subnet_ids, port_ids) =
        (ids(sizes.subnet_id_min, sizes.subnet_id_max), ids(sizes.portrange_id_min, sizes.portrange_id_max));
    let lines: [(&str, String); 9] = [
        ("function", format!("{} {}, MAC {}", report.pci_id, report.function, report.mac)),
        ("firmware", format!("{}, {}", report.firmware, report.variant)),
        ("tables", format!("of the family {}, version {}", report.family, report.family_version)),
        ("rules", format!("{}, in at most {} combinations of match fields", profile.rules, profile.combinations)),
        ("counter pairs", format!("{} of {} bits", profile.counters, report.counter_bits)),
        ("subnet map", format!("{} nodes of {} entries", sizes.subnet_nodes, sizes.entries_per_node)),
        ("subnet ids", subnet_ids.to_string()),
        ("port-range maps", format!("2 trees of {} entries", sizes.port_tree_entries)),
        ("port-range ids", format!("{port_ids} each")),
    ];
    let mut text =
        report.device.as_ref().map_or("EMULATED adapter\n".to_owned(), |device| format!("adapter {device}\n"));
    // Writing to a string cannot fail.
    for (name, value) in lines {
        let _ = writeln!(text, "  {name:<16} {value}");
    }
    if let Some(fingerprints) = &report.fingerprints {
        let _ = writeln!(text, "  {:<16} {fingerprints}", "holds");
    }
    text.push_str("Assumed about its rules engine, and the first measurement on a card that would refute it:\n");
    for line in &report.assumptions {
        let _ = writeln!(text, "  {}: {}", line.assumption, line.refuted_by);
    }
    text
}
