//! Commands about the adapter and the function (ef10.md 4.9, 5.1 to 5.4).
//!
//! ENTITY_RESET is not among them: nicfw holds no VIs, and whether counters and rules survive it is an assumption that
//! attaching does not need.

use std::fmt;

use zerocopy::IntoBytes;

use super::super::wire::{
    AttachState, CAPABILITIES_V1_LEN, CAPABILITIES_V2_LEN, CapabilityFlags2, Cmd, DrvAttachIn, DrvAttachOut,
    FW_DONT_CARE, FuncFlags, GetCapabilitiesOut, GetFunctionInfoOut, GetMacAddressesOut, GetPortAssignmentOut,
    GetVersionOut, PF_NO_PORT, PrivilegeMaskIn, PrivilegeMaskOut, Privileges, VF_NULL, zero_extended,
};
use super::super::{Channel, McdiError};

/// What GET_VERSION tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FirmwareVersion {
    /// The four numbers of the version, most significant first.
    pub version: [u16; 4],
    /// Build time in seconds since 1970 UTC.
    pub build: u32,
}

/// GET_VERSION.
///
/// # Errors
/// See [`McdiError`].
pub fn get_version(channel: &mut Channel) -> Result<FirmwareVersion, McdiError> {
    let out: GetVersionOut = zero_extended(channel.call(Cmd::GET_VERSION, &[], size_of::<GetVersionOut>())?);
    Ok(FirmwareVersion { version: out.version.map(|number| number.get()), build: out.firmware.get() })
}

/// DRV_ATTACH with ATTACH set: announces the driver and the firmware variant that it prefers. Returns the function's flags,
/// empty from firmware that sends none.
///
/// # Errors
/// See [`McdiError`]; EPERM if a function without ADMIN names a variant.
pub fn attach(channel: &mut Channel, firmware_id: u32) -> Result<FuncFlags, McdiError> {
    drv_attach(channel, AttachState::ATTACH, firmware_id)
}

/// DRV_ATTACH with ATTACH clear: the driver takes its leave. Rules stay.
///
/// # Errors
/// See [`McdiError`].
pub fn detach(channel: &mut Channel) -> Result<(), McdiError> {
    drv_attach(channel, AttachState::empty(), FW_DONT_CARE).map(drop)
}

fn drv_attach(channel: &mut Channel, state: AttachState, firmware_id: u32) -> Result<FuncFlags, McdiError> {
    let request = DrvAttachIn { new_state: state.bits().into(), update: 1.into(), firmware_id: firmware_id.into() };
    let out: DrvAttachOut = zero_extended(channel.call(Cmd::DRV_ATTACH, request.as_bytes(), 4)?);
    Ok(FuncFlags::from_bits_retain(out.func_flags.get()))
}

/// What GET_CAPABILITIES tells, as far as the rules engine is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// RX_DPCPU_FW_ID.
    pub rx_firmware: u16,
    /// TX_DPCPU_FW_ID.
    pub tx_firmware: u16,
    /// Empty from firmware that answers V1.
    pub flags2: CapabilityFlags2,
    /// Physical port of each physical function, `None` for a function without one.
    pub ports: [Option<u8>; 16],
}

/// GET_CAPABILITIES.
///
/// # Errors
/// See [`McdiError`].
pub fn get_capabilities(channel: &mut Channel) -> Result<Capabilities, McdiError> {
    let reply = channel.call(Cmd::GET_CAPABILITIES, &[], CAPABILITIES_V1_LEN)?;
    let has_v2 = reply.len() >= CAPABILITIES_V2_LEN;
    let out: GetCapabilitiesOut = zero_extended(reply);
    Ok(Capabilities {
        rx_firmware: out.rx_dpcpu_fw_id.get(),
        tx_firmware: out.tx_dpcpu_fw_id.get(),
        flags2: CapabilityFlags2::from_bits_retain(if has_v2 { out.flags2.get() } else { 0 }),
        ports: out.pfs_to_ports_assignment.map(|port| (has_v2 && port < PF_NO_PORT).then_some(port)),
    })
}

/// One PCI function of the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FunctionId {
    /// Number of the physical function.
    pub pf: u16,
    /// Number of the virtual function, `None` for the physical one.
    pub vf: Option<u16>,
}

impl fmt::Display for FunctionId {
    /// As in `PF 0` or `PF 0 VF 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PF {}", self.pf)?;
        self.vf.map_or(Ok(()), |vf| write!(f, " VF {vf}"))
    }
}

/// GET_FUNCTION_INFO: which function this is.
///
/// # Errors
/// See [`McdiError`].
pub fn get_function_info(channel: &mut Channel) -> Result<FunctionId, McdiError> {
    let cmd = Cmd::GET_FUNCTION_INFO;
    let out: GetFunctionInfoOut = zero_extended(channel.call(cmd, &[], size_of::<GetFunctionInfoOut>())?);
    let narrow = |field, value: u32| {
        // VF_NULL is 0xffff where it is a half word; as a whole word firmware may extend it.
        u16::try_from(value).map_err(|_| McdiError::BadReply { cmd, field, value: value.into() })
    };
    let pf = narrow("PF", out.pf.get())?;
    let vf = if out.vf.get() == u32::MAX { VF_NULL } else { narrow("VF", out.vf.get())? };
    Ok(FunctionId { pf, vf: (vf != VF_NULL).then_some(vf) })
}

/// PRIVILEGE_MASK without a change: what a function may do.
///
/// # Errors
/// See [`McdiError`].
pub fn get_privileges(channel: &mut Channel, function: FunctionId) -> Result<Privileges, McdiError> {
    let request =
        PrivilegeMaskIn { pf: function.pf.into(), vf: function.vf.unwrap_or(VF_NULL).into(), new_mask: 0.into() };
    let min = size_of::<PrivilegeMaskOut>();
    let out: PrivilegeMaskOut = zero_extended(channel.call(Cmd::PRIVILEGE_MASK, request.as_bytes(), min)?);
    Ok(Privileges::from_bits_retain(out.old_mask.get()))
}

/// GET_PORT_ASSIGNMENT: the physical port of the function, if it has one.
///
/// # Errors
/// See [`McdiError`].
pub fn get_port_assignment(channel: &mut Channel) -> Result<Option<u32>, McdiError> {
    let min = size_of::<GetPortAssignmentOut>();
    let out: GetPortAssignmentOut = zero_extended(channel.call(Cmd::GET_PORT_ASSIGNMENT, &[], min)?);
    Ok(Some(out.port.get()).filter(|port| *port != u32::MAX))
}

/// GET_MAC_ADDRESSES: the first address of the function, in wire order.
///
/// # Errors
/// See [`McdiError`].
pub fn get_mac_address(channel: &mut Channel) -> Result<[u8; 6], McdiError> {
    let min = size_of::<GetMacAddressesOut>();
    let out: GetMacAddressesOut = zero_extended(channel.call(Cmd::GET_MAC_ADDRESSES, &[], min)?);
    Ok(out.mac_addr_base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcdi::fake::golden;

    /// GET_VERSION_OUT: FIRMWARE 0x6501_0203, PCOL 1, SUPPORTED_FUNCS, VERSION 8.2.2.1006.
    #[test]
    fn version() {
        let reply = "88 20 80 00  03 02 01 65  01 00 00 00  \
                     ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff  08 00 02 00 02 00 ee 03";
        let version = golden("88 00 00 00", reply, get_version).unwrap();
        assert_eq!(version, FirmwareVersion { version: [8, 2, 2, 1006], build: 0x6501_0203 });
    }

    /// DRV_ATTACH_IN: NEW_STATE 1, UPDATE 1, FIRMWARE_ID 5. EXT_OUT: OLD_STATE 0, FUNC_FLAGS PRIMARY, LINKCTRL, TRUSTED.
    #[test]
    fn attach_and_detach() {
        let request = "9c 0c 00 00  01 00 00 00  01 00 00 00  05 00 00 00";
        let flags = golden(request, "9c 08 80 00  00 00 00 00  07 00 00 00", |c| attach(c, 5)).unwrap();
        assert_eq!(flags, FuncFlags::PRIMARY | FuncFlags::LINKCTRL | FuncFlags::TRUSTED);
        let old = golden(request, "9c 04 80 00  01 00 00 00", |c| attach(c, 5)).unwrap();
        assert_eq!(old, FuncFlags::empty(), "firmware that sends OLD_STATE only");
        // NEW_STATE 0, UPDATE 1, FIRMWARE_ID DONT_CARE.
        let request = "9c 0c 00 00  00 00 00 00  01 00 00 00  ff ff ff ff";
        golden(request, "9c 08 80 00  01 00 00 00  07 00 00 00", detach).unwrap();
    }

    /// GET_CAPABILITIES_OUT (V1), 20 bytes: both datapaths LOW_LATENCY (1).
    #[test]
    fn capabilities_of_old_firmware() {
        let reply = "ff 00 80 00 be 00 14 00  00 00 c0 00  01 00 01 00  00 50 00 50  00 00 00 00  00 00 00 00";
        let capabilities = golden("ff 00 00 00 be 00 00 00", reply, get_capabilities).unwrap();
        let flags2 = CapabilityFlags2::empty();
        assert_eq!(capabilities, Capabilities { rx_firmware: 1, tx_firmware: 1, flags2, ports: [None; 16] });
    }

    /// GET_CAPABILITIES_V3_OUT, 76 bytes: both datapaths RULES_ENGINE (5), both parsers of type 8, FLAGS2 TSA_SUPPORT, PF 0 on
    /// port 0, PF 1 on port 1, the others not present (0xfe).
    #[test]
    fn capabilities_of_the_rules_engine() {
        let reply = "ff 00 80 00 be 00 4c 00  00 00 c0 00  05 00 05 00  01 80 01 80  00 00 00 00  00 00 00 00 \
                     00 00 01 00  00 00  00 01 fe fe fe fe fe fe fe fe fe fe fe fe fe fe \
                     00 00 fe fe fe fe fe fe fe fe fe fe fe fe fe fe  00 04 00 04 00 00 00 00  40 10 10 00 00 08 \
                     00 00 00 00";
        let capabilities = golden("ff 00 00 00 be 00 00 00", reply, get_capabilities).unwrap();
        let mut ports = [None; 16];
        ports[..2].copy_from_slice(&[Some(0), Some(1)]);
        let flags2 = CapabilityFlags2::TSA_SUPPORT;
        assert_eq!(capabilities, Capabilities { rx_firmware: 5, tx_firmware: 5, flags2, ports });
    }

    /// GET_FUNCTION_INFO_OUT: PF 1, VF NULL; then PF 0, VF 2; then a PF that is no function number.
    #[test]
    fn function_info() {
        let request = "ff 00 00 00 ec 00 00 00";
        let physical = "ff 00 80 00 ec 00 08 00  01 00 00 00  ff ff 00 00";
        assert_eq!(golden(request, physical, get_function_info).unwrap(), FunctionId { pf: 1, vf: None });
        let virt = "ff 00 80 00 ec 00 0c 00  00 00 00 00  02 00 00 00  00 00 00 00";
        assert_eq!(golden(request, virt, get_function_info).unwrap(), FunctionId { pf: 0, vf: Some(2) });
        let bad = golden(request, "ff 00 80 00 ec 00 08 00  00 00 01 00  ff ff 00 00", get_function_info).unwrap_err();
        assert!(matches!(bad, McdiError::BadReply { field: "PF", value: 0x10000, .. }), "{bad}");
    }

    /// GET_PORT_ASSIGNMENT_OUT: PORT 1, then NULL_PORT.
    #[test]
    fn port_assignment() {
        let request = "ff 00 00 00 b8 00 00 00";
        let port = |reply| golden(request, reply, get_port_assignment).unwrap();
        assert_eq!(port("ff 00 80 00 b8 00 04 00  01 00 00 00"), Some(1));
        assert_eq!(port("ff 00 80 00 b8 00 04 00  ff ff ff ff"), None);
    }

    /// GET_MAC_ADDRESSES_OUT: MAC_ADDR_BASE, RESERVED, MAC_COUNT 1, MAC_STRIDE 1.
    #[test]
    fn mac_address() {
        let reply = "d5 10 80 00  00 0f 53 01 02 03 00 00  01 00 00 00  01 00 00 00";
        let mac = golden("d5 00 00 00", reply, get_mac_address).unwrap();
        assert_eq!(mac, [0x00, 0x0f, 0x53, 0x01, 0x02, 0x03]);
    }

    /// PRIVILEGE_MASK_IN: PF 1, VF 3, NEW_MASK 0; then PF 0 itself. OLD_MASK ADMIN and ADMIN_TSA_UNBOUND.
    #[test]
    fn privileges() {
        let of = |pf, vf| move |c: &mut Channel| get_privileges(c, FunctionId { pf, vf });
        let reply = "da 04 80 00  01 80 00 00";
        let mask = golden("da 08 00 00  01 00 03 00  00 00 00 00", reply, of(1, Some(3))).unwrap();
        assert_eq!(mask, Privileges::ADMIN | Privileges::ADMIN_TSA_UNBOUND);
        golden("da 08 00 00  00 00 ff ff  00 00 00 00", reply, of(0, None)).unwrap();
    }
}
