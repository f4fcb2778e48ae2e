//! The EF10 register map (Huntington, Medford, Medford2). Offsets, fields and rules: ef10.md 2.1 and 4.3; names are those
//! of the hardware headers without their prefix (`ER_DZ_MC_DB_LWRD` is [`MC_DB_LWRD`]).

use volatile_register::{RO, RW, WO};

use super::{Field, Reg, reg};

/// Registers that a function has once, from offset 0 of its memory BAR.
#[repr(C)]
pub struct FunctionRegs {
    /// BIU_HW_REV_ID.
    pub hw_rev_id: RO<u32>,
    _r0: [u32; 3],
    /// BIU_MC_SFT_STATUS, row 0.
    pub mc_sft_status: RO<u32>,
    _r1: [u32; 31],
    /// BIU_INT_ISR.
    pub int_isr: RO<u32>,
    _r2: [u32; 91],
    /// MC_DB_LWRD.
    pub mc_db_lwrd: WO<u32>,
    /// MC_DB_HWRD.
    pub mc_db_hwrd: WO<u32>,
}

/// Registers of one VI, at the VI's number times the VI stride.
#[repr(C)]
pub struct ViRegs {
    _r0: [u32; 256],
    /// EVQ_RPTR.
    pub evq_rptr: RW<u32>,
    _r1: [u32; 7],
    /// EVQ_TMR.
    pub evq_tmr: RW<u32>,
    _r2: [u32; 259],
    /// RX_DESC_UPD.
    pub rx_desc_upd: WO<u32>,
    _r3: [u32; 119],
    /// TX_DESC_UPD, LWORD: low half of a pushed descriptor.
    pub tx_desc_upd_lword: WO<u32>,
    /// TX_DESC_UPD, HWORD: high half of a pushed descriptor.
    pub tx_desc_upd_hword: WO<u32>,
    /// TX_DESC_UPD, WPTR. Written alone it is the doorbell without a push.
    pub tx_desc_upd_wptr: WO<u32>,
}

/// Identifies the hardware; reads [`HW_REV_ID_RESET`]. All ones here means that the function is gone.
pub const HW_REV_ID: Reg<FunctionRegs, RO<u32>> = reg!(FunctionRegs, hw_rev_id);
/// State of the MC: [`MC_STATUS`] and [`MC_BOOT_COUNT`].
pub const MC_SFT_STATUS: Reg<FunctionRegs, RO<u32>> = reg!(FunctionRegs, mc_sft_status);
/// Legacy interrupt status; reading acknowledges.
pub const INT_ISR: Reg<FunctionRegs, RO<u32>> = reg!(FunctionRegs, int_isr);
/// *High* half of the request's bus address, despite the name. Written first.
pub const MC_DB_LWRD: Reg<FunctionRegs, WO<u32>> = reg!(FunctionRegs, mc_db_lwrd);
/// *Low* half of the request's bus address. Writing it rings the doorbell.
pub const MC_DB_HWRD: Reg<FunctionRegs, WO<u32>> = reg!(FunctionRegs, mc_db_hwrd);

/// Event queue read pointer: [`EVQ_RPTR_RPTR`].
pub const EVQ_RPTR: Reg<ViRegs, RW<u32>> = reg!(ViRegs, evq_rptr);
/// Event queue timer.
pub const EVQ_TMR: Reg<ViRegs, RW<u32>> = reg!(ViRegs, evq_tmr);
/// Receive doorbell; the write pointer is a multiple of 8.
pub const RX_DESC_UPD: Reg<ViRegs, WO<u32>> = reg!(ViRegs, rx_desc_upd);
/// First dword of the transmit doorbell.
pub const TX_DESC_UPD_LWORD: Reg<ViRegs, WO<u32>> = reg!(ViRegs, tx_desc_upd_lword);
/// Second dword of the transmit doorbell.
pub const TX_DESC_UPD_HWORD: Reg<ViRegs, WO<u32>> = reg!(ViRegs, tx_desc_upd_hword);
/// Third dword of the transmit doorbell.
pub const TX_DESC_UPD_WPTR: Reg<ViRegs, WO<u32>> = reg!(ViRegs, tx_desc_upd_wptr);

/// HW_REV_ID of a live function.
pub const HW_REV_ID_RESET: u32 = 0xeb14_face;
/// What every register reads once the function is gone from the bus.
pub const ALL_ONES: u32 = u32::MAX;

/// High half of MC_SFT_STATUS: [`MC_RUNNING`], or the MC is booting or dead.
pub const MC_STATUS: Field = Field::new(16, 16);
/// Value of [`MC_STATUS`] while the MC runs.
pub const MC_RUNNING: u32 = 0xb007;
/// Low half of MC_SFT_STATUS: how often the MC has booted.
pub const MC_BOOT_COUNT: Field = Field::new(0, 16);
/// Written alone to MC_DB_HWRD it cancels an outstanding request. An address has its low 8 bits clear.
pub const MC_DB_CANCEL: u32 = 1;

/// EVQ_RPTR: index of the next event to read.
pub const EVQ_RPTR_RPTR: Field = Field::new(0, 15);
/// EVQ_TMR: timer value.
pub const EVQ_TMR_VAL: Field = Field::new(0, 14);
/// EVQ_TMR: 0 off, 1 start at once, 2 start on trigger, 3 interrupt hold-off.
pub const EVQ_TMR_MODE: Field = Field::new(14, 2);
/// RX_DESC_UPD: ring index.
pub const RX_DESC_UPD_WPTR: Field = Field::new(0, 12);
/// TX_DESC_UPD, third dword: ring index.
pub const TX_DESC_UPD_WPTR_WPTR: Field = Field::new(0, 12);

/// VI stride in bytes for a VI_WINDOW_MODE of GET_CAPABILITIES V3; `None` for a mode that nobody has described (ef10.md 1.3).
#[must_use]
pub fn vi_stride(window_mode: u8) -> Option<usize> {
    [8192, 16384, 65536].get(usize::from(window_mode)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets as ef10.md 2.1 prints them.
    #[test]
    fn offsets_are_those_of_the_document() {
        assert_eq!(HW_REV_ID.offset(), 0x000);
        assert_eq!(MC_SFT_STATUS.offset(), 0x010);
        assert_eq!(INT_ISR.offset(), 0x090);
        assert_eq!(MC_DB_LWRD.offset(), 0x200);
        assert_eq!(MC_DB_HWRD.offset(), 0x204);
        assert_eq!(size_of::<FunctionRegs>(), 0x208);
        assert_eq!(EVQ_RPTR.offset(), 0x400);
        assert_eq!(EVQ_TMR.offset(), 0x420);
        assert_eq!(RX_DESC_UPD.offset(), 0x830);
        assert_eq!(TX_DESC_UPD_LWORD.offset(), 0xa10);
        assert_eq!(TX_DESC_UPD_HWORD.offset(), 0xa14);
        assert_eq!(TX_DESC_UPD_WPTR.offset(), 0xa18);
        assert_eq!(size_of::<ViRegs>(), 0xa1c);
    }

    #[test]
    fn mc_status_splits_into_state_and_boot_count() {
        assert_eq!((MC_STATUS.get(0xb007_0012), MC_BOOT_COUNT.get(0xb007_0012)), (MC_RUNNING, 0x12));
        assert_eq!(MC_STATUS.get(0x1111_face), 0x1111, "reset value: not running");
    }

    #[test]
    fn strides_follow_the_window_mode() {
        assert_eq!([0, 1, 2, 3, 255].map(vi_stride), [Some(8192), Some(16384), Some(65536), None, None]);
    }
}
