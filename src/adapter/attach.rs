//! The attach sequence: everything that must hold before the first rule, in the order that gives the most telling error.

use std::time::Duration;

use super::AdapterInfo;
use super::info::FirmwareVariant;
use crate::device::{Model, PciId};
use crate::error::MCDI_TIMEOUT;
use crate::mcdi::cmd::function::{Capabilities, FunctionId};
use crate::mcdi::cmd::{counters, function, ruleset};
use crate::mcdi::wire::{CapabilityFlags2, FW_DONT_CARE, FW_RULES_ENGINE, Privileges, SecurityRuleInfoOut};
use crate::mcdi::{Channel, McdiError};
use crate::tables::{BadSize, EngineProfile, Sizes, Target};
use crate::terms::MacAddr;

/// How to attach.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AttachOptions {
    /// Ask the firmware to change to the rules engine if another variant runs. That disturbs every function of the adapter.
    pub switch_firmware: bool,
    /// How long the management controller may take for one command.
    pub timeout: Duration,
}

impl AttachOptions {
    /// The same, which asks the firmware to change its variant or does not.
    #[must_use]
    pub fn with_switch_firmware(self, switch_firmware: bool) -> Self {
        Self { switch_firmware, ..self }
    }

    /// The same, with another patience for one command.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

impl Default for AttachOptions {
    /// Never switches the variant; 10 seconds for a command.
    fn default() -> Self {
        Self { switch_firmware: false, timeout: MCDI_TIMEOUT }
    }
}

/// Why nicfw does not work with an adapter. Its tables are unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The PCI id is none that nicfw drives.
    #[error(
        "{id} is not an adapter that nicfw drives (SFN8000: 1924:0a03, X2: 1924:0b03, and their virtual functions)"
    )]
    UnknownDevice {
        /// The id.
        id: PciId,
    },
    /// A command failed.
    #[error(transparent)]
    Command(#[from] McdiError),
    /// Another firmware variant runs.
    #[error("the adapter runs {variant} firmware, not the rules engine; attach with switch_firmware to change it")]
    NoRulesEngine {
        /// What runs.
        variant: FirmwareVariant,
    },
    /// The firmware was asked to change to the rules engine and did not.
    #[error("the adapter was asked for the rules engine and still runs {variant} firmware")]
    NotSwitched {
        /// What runs.
        variant: FirmwareVariant,
    },
    /// The rules engine runs, but without its commands (TSA_SUPPORT is clear).
    #[error("the adapter's rules engine offers no rule commands (TSA_SUPPORT is clear)")]
    NoTsaSupport,
    /// An outside controller holds the adapter.
    #[error("the adapter is bound to an outside controller, which alone may change its rules")]
    BoundToController,
    /// The function lacks privileges that the rule commands need.
    #[error("{function} lacks {}, which the rule commands need; use the adapter's first physical function", names(*.missing))]
    NoPrivilege {
        /// The function.
        function: FunctionId,
        /// What it lacks.
        missing: Privileges,
    },
    /// Nobody has described the semantics of the adapter's rules.
    #[error("the adapter's rules have version {version}, which nobody has described")]
    UnknownRulesVersion {
        /// RULES_VERSION.
        version: u32,
    },
    /// A size that the adapter reports makes no sense.
    #[error("the adapter reports {0}")]
    BadSize(#[from] BadSize),
    /// No physical function has a physical port.
    #[error("the adapter reports no physical port")]
    NoPhysicalPort,
}

fn names(privileges: Privileges) -> String {
    privileges.iter_names().map(|(name, _)| name).collect::<Vec<_>>().join(" and ")
}

/// What the attach sequence has learned.
#[derive(Debug)]
pub(super) struct Attached {
    pub info: AdapterInfo,
    pub target: Target,
}

pub(super) fn check_id(id: PciId) -> Result<(), AttachError> {
    if Model::of(id).is_some_and(Model::attaches) { Ok(()) } else { Err(AttachError::UnknownDevice { id }) }
}

/// Attaches. After an error the function is as it was found, unless a variant was switched.
pub(super) fn attach(channel: &mut Channel, pci_id: PciId, options: &AttachOptions) -> Result<Attached, AttachError> {
    let firmware = function::get_version(channel)?;
    let function = function::get_function_info(channel)?;
    let before = function::get_capabilities(channel)?;
    let switch = !variant(&before).is_rules_engine();
    if switch && !options.switch_firmware {
        return Err(AttachError::NoRulesEngine { variant: variant(&before) });
    }
    let privileges = function::get_privileges(channel, function)?;
    if !switch {
        check_capabilities(&before)?;
    }
    check_privileges(function, privileges)?;
    function::attach(channel, if switch { FW_RULES_ENGINE } else { FW_DONT_CARE })?;
    let learned = learn(channel, pci_id, firmware, function, privileges);
    if learned.is_err() && !channel.is_poisoned() {
        function::detach(channel).unwrap_or_else(|also| log::warn!("the function stays attached: {also}"));
    }
    learned
}

/// What can be asked once the driver is attached and the variant is settled.
fn learn(
    channel: &mut Channel,
    pci_id: PciId,
    firmware: function::FirmwareVersion,
    function: FunctionId,
    privileges: Privileges,
) -> Result<Attached, AttachError> {
    let capabilities = function::get_capabilities(channel)?;
    if !variant(&capabilities).is_rules_engine() {
        return Err(AttachError::NotSwitched { variant: variant(&capabilities) });
    }
    check_capabilities(&capabilities)?;
    let physical_ports = physical_ports(&capabilities).ok_or(AttachError::NoPhysicalPort)?;
    let rules = ruleset::get_security_rule_info(channel)?;
    let rules_version = rules.rules_version.get();
    let mut profile =
        EngineProfile::for_version(rules_version).ok_or(AttachError::UnknownRulesVersion { version: rules_version })?;
    let sizes = sizes(&rules)?;
    let counters = counters::get_config(channel)?;
    profile.counters = profile.counters.min(counters.max_stats);
    let info = AdapterInfo {
        pci_id,
        firmware,
        variant: variant(&capabilities),
        function,
        privileges,
        port: function::get_port_assignment(channel)?,
        mac: MacAddr(function::get_mac_address(channel)?),
        rules_version,
        counters: counters.max_stats,
        counter_width: counters.width,
    };
    Ok(Attached { info, target: Target { profile, sizes, physical_ports } })
}

fn variant(capabilities: &Capabilities) -> FirmwareVariant {
    FirmwareVariant { rx: capabilities.rx_firmware, tx: capabilities.tx_firmware }
}

fn check_capabilities(capabilities: &Capabilities) -> Result<(), AttachError> {
    if capabilities.flags2.contains(CapabilityFlags2::TSA_BOUND) {
        return Err(AttachError::BoundToController);
    }
    if !capabilities.flags2.contains(CapabilityFlags2::TSA_SUPPORT) {
        return Err(AttachError::NoTsaSupport);
    }
    Ok(())
}

fn check_privileges(function: FunctionId, has: Privileges) -> Result<(), AttachError> {
    let needs = Privileges::ADMIN.union(Privileges::ADMIN_TSA_UNBOUND);
    let missing = needs.difference(has);
    if missing.is_empty() { Ok(()) } else { Err(AttachError::NoPrivilege { function, missing }) }
}

/// Ports are numbered from 0, and each has a physical function (PFS_TO_PORTS_ASSIGNMENT).
fn physical_ports(capabilities: &Capabilities) -> Option<u32> {
    capabilities.ports.iter().flatten().max().map(|port| u32::from(*port) + 1)
}

fn sizes(rules: &SecurityRuleInfoOut) -> Result<Sizes, BadSize> {
    Sizes {
        subnet_nodes: rules.subnet_map_num_nodes.get(),
        entries_per_node: rules.subnet_map_num_entries_per_node.get(),
        subnet_id_min: rules.subnet_id_min.get(),
        subnet_id_max: rules.subnet_id_max.get(),
        port_tree_entries: rules.portrange_tree_num_entries.get(),
        portrange_id_min: rules.portrange_id_min.get(),
        portrange_id_max: rules.portrange_id_max.get(),
    }
    .check()
}
