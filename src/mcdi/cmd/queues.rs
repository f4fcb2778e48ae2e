//! Commands about the one VI that completions need (ef10.md 5.5 and 5.7).

use zerocopy::IntoBytes;

use super::super::wire::{
    AllocVisIn, Cmd, EVQ_INTERRUPTING, EVQ_TIMER_OFF, FiniEvqIn, InitEvqIn, LOG_DEST_EVQ, LogCtrlIn,
};
use super::super::{Channel, McdiError};
use crate::dma::Iova;

/// ALLOC_VIS for exactly one VI.
///
/// # Errors
/// See [`McdiError`].
pub fn alloc_vi(channel: &mut Channel) -> Result<(), McdiError> {
    let request = AllocVisIn { min_vi_count: 1.into(), max_vi_count: 1.into() };
    channel.call(Cmd::ALLOC_VIS, request.as_bytes(), 8).map(drop)
}

/// FREE_VIS.
///
/// # Errors
/// See [`McdiError`]; EALREADY if the function has none.
pub fn free_vis(channel: &mut Channel) -> Result<(), McdiError> {
    channel.call(Cmd::FREE_VIS, &[], 0).map(drop)
}

/// INIT_EVQ: event queue 0, a ring of `entries` in one page at `ring`, which interrupts by `vector`.
///
/// # Errors
/// See [`McdiError`].
pub fn init_evq(channel: &mut Channel, ring: Iova, entries: u32, vector: u32) -> Result<(), McdiError> {
    let request = InitEvqIn {
        size: entries.into(),
        instance: 0.into(),
        tmr_load: 0.into(),
        tmr_reload: 0.into(),
        flags: EVQ_INTERRUPTING.into(),
        tmr_mode: EVQ_TIMER_OFF.into(),
        irq_num: vector.into(),
        count_mode: EVQ_TIMER_OFF.into(),
        count_thrshld: 0.into(),
        dma_addr: ring.0.into(),
    };
    channel.call(Cmd::INIT_EVQ, request.as_bytes(), 0).map(drop)
}

/// FINI_EVQ of event queue 0.
///
/// # Errors
/// See [`McdiError`]; EALREADY if it is not there.
pub fn fini_evq(channel: &mut Channel) -> Result<(), McdiError> {
    channel.call(Cmd::FINI_EVQ, FiniEvqIn { instance: 0.into() }.as_bytes(), 0).map(drop)
}

/// LOG_CTRL: the MC's events go to event queue 0.
///
/// # Errors
/// See [`McdiError`].
pub fn events_to_evq(channel: &mut Channel) -> Result<(), McdiError> {
    let request = LogCtrlIn { log_dest: LOG_DEST_EVQ.into(), log_dest_evq: 0.into() };
    channel.call(Cmd::LOG_CTRL, request.as_bytes(), 0).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::super::fake::golden;
    use super::*;

    /// Requests typed from ef10.md 5.5 and 5.7; the first command of a channel has NEWEPOCH and sequence number 0.
    #[test]
    fn requests_are_those_of_the_document() {
        golden(
            "ff 00 00 00 8b 00 08 00  01 00 00 00 01 00 00 00",
            "ff 00 80 00 8b 00 08 00  01 00 00 00 00 00 00 00",
            alloc_vi,
        )
        .unwrap();
        golden("ff 00 00 00 8c 00 00 00", "ff 00 80 00 8c 00 00 00", free_vis).unwrap();
        golden(
            "ff 00 00 00 80 00 2c 00  00 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 \
             05 00 00 00 00 00 00 00 00 00 00 00 00 10 00 80 07 00 00 00",
            "ff 00 80 00 80 00 00 00",
            |channel| init_evq(channel, Iova(0x7_8000_1000), 512, 5),
        )
        .unwrap();
        golden("ff 00 00 00 83 00 04 00  00 00 00 00", "ff 00 80 00 83 00 00 00", fini_evq).unwrap();
        golden("87 08 00 00 02 00 00 00 00 00 00 00", "87 00 80 00", events_to_evq).unwrap();
    }
}
