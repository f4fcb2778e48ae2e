//! Commands about the adapter and its functions (ef10.md 4.9, 5.1 to 5.5, 7.1).

use nicfw::mcdi::wire::{
    AttachState, CapabilityFlags2, Cmd, DrvAttachIn, DrvAttachOut, FW_DONT_CARE, FuncFlags, GetCapabilitiesOut,
    GetFunctionInfoOut, GetMacAddressesOut, GetParserDispInfoIn, GetPortAssignmentOut, GetVersionOut, McErrno,
    OP_GET_SECURITY_RULE_INFO, PD_FW_TYPE_RULES_ENGINE, PF_NO_PORT, PrivilegeMaskIn, PrivilegeMaskOut, Privileges,
    SecurityRuleInfoOut, VF_NULL,
};
use zerocopy::{FromZeros, IntoBytes};

use crate::mc::command::{Command, GENERAL, Reply, request};
use crate::mc::config::{FirmwareVariant, Switching};
use crate::mc::controller::Mc;
use crate::mc::function::MAX_VIS;
use crate::mc::words as w;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    Command { cmd: Cmd::GET_VERSION, privilege: GENERAL, request: (0, 4), run: Mc::get_version },
    Command { cmd: Cmd::DRV_ATTACH, privilege: GENERAL, request: (12, 32), run: Mc::drv_attach },
    Command { cmd: Cmd::ENTITY_RESET, privilege: GENERAL, request: (0, 4), run: Mc::entity_reset },
    Command { cmd: Cmd::GET_MAC_ADDRESSES, privilege: GENERAL, request: (0, 0), run: Mc::get_mac_addresses },
    Command { cmd: Cmd::PRIVILEGE_MASK, privilege: GENERAL, request: (8, 8), run: Mc::privilege_mask },
    Command { cmd: Cmd::GET_PORT_ASSIGNMENT, privilege: GENERAL, request: (0, 0), run: Mc::get_port_assignment },
    Command { cmd: Cmd::GET_CAPABILITIES, privilege: GENERAL, request: (0, 0), run: Mc::get_capabilities },
    Command { cmd: Cmd::GET_PARSER_DISP_INFO, privilege: GENERAL, request: (4, 4), run: Mc::get_parser_disp_info },
    Command { cmd: Cmd::GET_FUNCTION_INFO, privilege: GENERAL, request: (0, 0), run: Mc::get_function_info },
];

/// Build time that the model reports: 2024-01-01 00:00:00 UTC.
const BUILD_TIME: u32 = 1_704_067_200;
/// Version of the MCDI protocol.
const PCOL: u32 = 2;
/// Firmware version that the model reports.
pub(super) const VERSION: [u16; 4] = [6, 2, 7, 1000];
/// DO_CHANGE of NEW_MASK.
const DO_CHANGE: u32 = 1 << 31;
/// OP of GET_PARSER_DISP_INFO: the combinations of fields that filters can match.
const GET_SUPPORTED_RX_MATCHES: u32 = w::parser_op::GET_SUPPORTED_RX_MATCHES;
/// Length of GET_CAPABILITIES_V3_OUT in bytes.
const CAPABILITIES_V3_LEN: usize = 76;

/// FLAGS1 of GET_CAPABILITIES: VADAPTOR_QUERY, VADAPTOR_PERMIT_SET_MAC_WHEN_FILTERS_INSTALLED, RX_PREFIX_LEN_0,
/// RX_PREFIX_LEN_14, RX_DISABLE_SCATTER, EVB. No TSO, VLAN insertion, timestamps, event batching or encapsulation.
const FLAGS1: u32 = {
    use w::get_capabilities_out_bits::*;
    1 << VADAPTOR_QUERY
        | 1 << VADAPTOR_PERMIT_SET_MAC_WHEN_FILTERS_INSTALLED
        | 1 << RX_PREFIX_LEN_0
        | 1 << RX_PREFIX_LEN_14
        | 1 << RX_DISABLE_SCATTER
        | 1 << EVB
};
/// FLAGS2 of GET_CAPABILITIES: INIT_EVQ_V2.
const INIT_EVQ_V2: u32 = 1 << w::get_capabilities_v2_out_bits::INIT_EVQ_V2;

impl Mc {
    pub(super) fn get_version(&mut self, _: usize, _: &[u8]) -> Reply {
        let out = GetVersionOut {
            firmware: BUILD_TIME.into(),
            pcol: PCOL.into(),
            supported_funcs: [0xff; 16],
            version: VERSION.map(Into::into),
        };
        Ok(out.as_bytes().to_vec())
    }

    pub(super) fn drv_attach(&mut self, function: usize, payload: &[u8]) -> Reply {
        let attach: DrvAttachIn = request(payload)?;
        let wish = attach.firmware_id.get();
        let others = self.functions.iter().enumerate().any(|(i, other)| i != function && other.attached != 0);
        let own = self.functions.get_mut(function).ok_or(McErrno::ENOENT)?;
        if wish != FW_DONT_CARE && !own.config.privileges.contains(Privileges::ADMIN) {
            return Err(McErrno::EPERM);
        }
        let old_state = own.attached;
        let mut flags =
            if own.config.vf.is_none() { FuncFlags::PRIMARY | FuncFlags::LINKCTRL } else { FuncFlags::empty() };
        flags.set(FuncFlags::TRUSTED, own.config.privileges.contains(Privileges::ADMIN));
        if attach.update.get() == 1 {
            let attaches = attach.new_state.get() & AttachState::ATTACH.bits() != 0;
            own.attached = attach.new_state.get();
            if !attaches {
                own.attached = 0;
                self.engine.function_reset(function);
            } else if let (Switching::FirstAttach, false, Some(variant)) =
                (self.switching, others, FirmwareVariant::of(wish))
            {
                self.variant = variant;
            }
        }
        Ok(DrvAttachOut { old_state: old_state.into(), func_flags: flags.bits().into() }.as_bytes().to_vec())
    }

    pub(super) fn entity_reset(&mut self, function: usize, _: &[u8]) -> Reply {
        self.own(function)?.free();
        self.engine.function_reset(function);
        Ok(Vec::new())
    }

    pub(super) fn get_mac_addresses(&mut self, function: usize, _: &[u8]) -> Reply {
        let own = self.functions.get(function).ok_or(McErrno::ENOENT)?;
        let out = GetMacAddressesOut {
            mac_addr_base: own.config.mac.0,
            reserved: [0; 2],
            mac_count: 1.into(),
            mac_stride: 1.into(),
        };
        Ok(out.as_bytes().to_vec())
    }

    /// Reading needs no privilege but for another function; changing needs ADMIN.
    pub(super) fn privilege_mask(&mut self, function: usize, payload: &[u8]) -> Reply {
        let ask: PrivilegeMaskIn = request(payload)?;
        let own = self.functions.get(function).ok_or(McErrno::ENOENT)?;
        let admin = own.config.privileges.contains(Privileges::ADMIN);
        let named = |pf: u16, vf: Option<u16>| pf == ask.pf.get() && vf.unwrap_or(VF_NULL) == ask.vf.get();
        let at = self.functions.iter().position(|f| named(f.config.pf, f.config.vf)).ok_or(McErrno::ENOENT)?;
        let change = ask.new_mask.get() & DO_CHANGE != 0;
        if !admin && (change || at != function) {
            return Err(McErrno::EPERM);
        }
        let target = self.functions.get_mut(at).ok_or(McErrno::ENOENT)?;
        let old_mask = target.config.privileges.bits() & !DO_CHANGE;
        if change {
            target.config.privileges = Privileges::from_bits_retain(ask.new_mask.get() & !DO_CHANGE);
        }
        Ok(PrivilegeMaskOut { old_mask: old_mask.into() }.as_bytes().to_vec())
    }

    pub(super) fn get_port_assignment(&mut self, function: usize, _: &[u8]) -> Reply {
        let own = self.functions.get(function).ok_or(McErrno::ENOENT)?;
        Ok(GetPortAssignmentOut { port: own.config.port.into() }.as_bytes().to_vec())
    }

    pub(super) fn get_capabilities(&mut self, _: usize, _: &[u8]) -> Reply {
        let rules = self.variant == FirmwareVariant::RulesEngine;
        let mut flags2 = CapabilityFlags2::empty();
        flags2.set(CapabilityFlags2::TSA_SUPPORT, rules);
        flags2.set(CapabilityFlags2::TSA_BOUND, rules && self.bound);
        flags2 |= CapabilityFlags2::from_bits_retain(INIT_EVQ_V2);
        let pd_version = if rules { PD_FW_TYPE_RULES_ENGINE << 12 | 1 } else { 1 };
        let mut out = GetCapabilitiesOut::new_zeroed();
        let filtering = u32::from(self.tx_mac_filtering) << w::get_capabilities_out_bits::TX_MAC_SECURITY_FILTERING;
        out.flags1 = (FLAGS1 | filtering).into();
        out.rx_dpcpu_fw_id = self.variant.dpcpu_id().into();
        out.tx_dpcpu_fw_id = self.variant.dpcpu_id().into();
        out.rxpd_fw_version = pd_version.into();
        out.txpd_fw_version = pd_version.into();
        out.flags2 = flags2.bits().into();
        out.pfs_to_ports_assignment = [PF_NO_PORT + 2; 16];
        let vis = u16::try_from(MAX_VIS).unwrap_or(u16::MAX);
        out.num_vis_per_port.iter_mut().take(self.ports.len()).for_each(|count| *count = vis.into());
        for function in &self.functions {
            let slot = out.pfs_to_ports_assignment.get_mut(usize::from(function.config.pf));
            if let (Some(slot), None) = (slot, function.config.vf) {
                *slot = u8::try_from(function.config.port).unwrap_or(PF_NO_PORT);
            }
        }
        let bytes = out.as_bytes();
        Ok(bytes.get(..CAPABILITIES_V3_LEN).unwrap_or(bytes).to_vec())
    }

    pub(super) fn get_function_info(&mut self, function: usize, _: &[u8]) -> Reply {
        let own = self.functions.get(function).ok_or(McErrno::ENOENT)?;
        let vf = own.config.vf.unwrap_or(VF_NULL);
        Ok(GetFunctionInfoOut { pf: u32::from(own.config.pf).into(), vf: u32::from(vf).into() }.as_bytes().to_vec())
    }

    /// The filter table's combinations of fields, and the sizes of the security tables; another operation is known but not
    /// possible: ENOTSUP.
    pub(super) fn get_parser_disp_info(&mut self, _: usize, payload: &[u8]) -> Reply {
        let ask: GetParserDispInfoIn = request(payload)?;
        if ask.op.get() == GET_SUPPORTED_RX_MATCHES {
            return Self::supported_matches(GET_SUPPORTED_RX_MATCHES);
        }
        if ask.op.get() != OP_GET_SECURITY_RULE_INFO || self.variant != FirmwareVariant::RulesEngine {
            return Err(McErrno::ENOTSUP);
        }
        let sizes = self.engine.config().sizes;
        let out = SecurityRuleInfoOut {
            op: OP_GET_SECURITY_RULE_INFO.into(),
            rules_version: self.rules_version.into(),
            subnet_map_num_nodes: sizes.subnet_nodes.into(),
            subnet_map_num_entries_per_node: sizes.entries_per_node.into(),
            subnet_id_min: sizes.subnet_id_min.into(),
            subnet_id_max: sizes.subnet_id_max.into(),
            portrange_tree_num_entries: sizes.port_tree_entries.into(),
            portrange_id_min: sizes.portrange_id_min.into(),
            portrange_id_max: sizes.portrange_id_max.into(),
        };
        Ok(out.as_bytes().to_vec())
    }
}
