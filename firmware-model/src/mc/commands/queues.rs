//! Commands about VIs, queues, their timers and events (ef10.md 5.5 and 5.7).

use nicfw::mcdi::wire::{Cmd, McErrno, Privileges};

use crate::mc::command::{Command, GENERAL, Reply};
use crate::mc::controller::Mc;
use crate::mc::function::MAX_VIS;
use crate::mc::message::{In, Out};
use crate::mc::words as w;
use crate::vnic::{Checksums, Ring, Rxq, RxqConfig, Txq, software, start_up};

/// Sizes of rings in entries (ef10.md 3.1, Medford).
const EVQ_SIZES: (u32, u32) = (512, 32_768);
const RXQ_SIZES: (u32, u32) = (512, 4096);
const TXQ_SIZES: (u32, u32) = (512, 2048);

/// FLAGS of INIT_EVQ: the queue interrupts; it is armed from the start.
const INTERRUPTING: u32 = 1 << w::init_evq_in_bits::FLAG_INTERRUPTING;
const INT_ARMD: u32 = 1 << w::init_evq_in_bits::FLAG_INT_ARMD;
/// FLAGS of INIT_RXQ: frames have a prefix; a frame stays in one buffer; DMA_MODE (0 = one packet a time).
const PREFIX: u32 = 1 << w::init_rxq_in_bits::FLAG_PREFIX;
const DISABLE_SCATTER: u32 = 1 << w::init_rxq_in_bits::FLAG_DISABLE_SCATTER;
const DMA_MODE: u32 = 0xf << w::init_rxq_ext_in_bits::DMA_MODE;
/// FLAGS of INIT_TXQ: no checksum of IPv4 headers; none of TCP and UDP; TSO version 2.
const IP_CSUM_DIS: u32 = 1 << w::init_txq_in_bits::FLAG_IP_CSUM_DIS;
const TCP_CSUM_DIS: u32 = 1 << w::init_txq_in_bits::FLAG_TCP_CSUM_DIS;
const TSOV2_EN: u32 = 1 << w::init_txq_ext_in_bits::FLAG_TSOV2_EN;

/// One count of an event timer in nanoseconds, and the counts that its register holds. The quantum is 1536 cycles
/// (ef10.md 5.7) of a clock whose frequency is the model's own choice.
const SYS_MHZ: u32 = 800;
const TIMER_NS: u32 = 1536 * 1000 / SYS_MHZ;
const TIMER_COUNTS: u32 = 0x3fff;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    Command { cmd: Cmd::ALLOC_VIS, privilege: GENERAL, request: (8, 1020), run: Mc::alloc_vis },
    Command { cmd: Cmd::FREE_VIS, privilege: GENERAL, request: (0, 1020), run: Mc::free_vis },
    Command { cmd: Cmd::GET_VI_ALLOC_INFO, privilege: GENERAL, request: (0, 1020), run: Mc::get_vi_alloc_info },
    Command { cmd: Cmd::INIT_EVQ, privilege: GENERAL, request: (44, 1020), run: Mc::init_evq },
    Command { cmd: Cmd::INIT_RXQ, privilege: GENERAL, request: (36, 1020), run: Mc::init_rxq },
    Command { cmd: Cmd::INIT_TXQ, privilege: GENERAL, request: (36, 1020), run: Mc::init_txq },
    Command { cmd: Cmd::FINI_EVQ, privilege: GENERAL, request: (4, 1020), run: Mc::fini_evq },
    Command { cmd: Cmd::FINI_RXQ, privilege: GENERAL, request: (4, 1020), run: Mc::fini_rxq },
    Command { cmd: Cmd::FINI_TXQ, privilege: GENERAL, request: (4, 1020), run: Mc::fini_txq },
    Command { cmd: Cmd::DRIVER_EVENT, privilege: GENERAL, request: (12, 1020), run: Mc::driver_event },
    Command { cmd: Cmd::TRIGGER_INTERRUPT, privilege: Privileges::empty(), request: (4, 1020), run: Mc::trigger_interrupt },
    Command { cmd: Cmd::SET_EVQ_TMR, privilege: GENERAL, request: (16, 1020), run: Mc::set_evq_tmr },
    Command { cmd: Cmd::GET_EVQ_TMR_PROPERTIES, privilege: GENERAL, request: (0, 1020), run: Mc::get_evq_tmr_properties },
    Command { cmd: Cmd::GET_CLOCK, privilege: GENERAL, request: (0, 1020), run: Mc::get_clock },
];

impl Mc {
    /// A minimum that is too large gets ENOSPC, a second allocation EALREADY: no document tells the codes.
    fn alloc_vis(&mut self, function: usize, payload: &[u8]) -> Reply {
        let (min, max) =
            (In(payload).u32(w::alloc_vis_in::MIN_VI_COUNT), In(payload).u32(w::alloc_vis_in::MAX_VI_COUNT));
        let vnic = &mut self.own(function)?.vnic;
        if vnic.vis != 0 {
            return Err(McErrno::EALREADY);
        }
        if min == 0 || max < min {
            return Err(McErrno::EINVAL);
        }
        if min > MAX_VIS {
            return Err(McErrno::ENOSPC);
        }
        vnic.vis = max.min(MAX_VIS);
        // VI_BASE is the adapter's number of the first VI; everything else that names a VI is relative to the function.
        let base = u32::try_from(function).unwrap_or(0).saturating_mul(MAX_VIS);
        Ok(Out::new(8).u32(w::alloc_vis_out::VI_COUNT, max.min(MAX_VIS)).u32(w::alloc_vis_out::VI_BASE, base).done())
    }

    fn free_vis(&mut self, function: usize, _: &[u8]) -> Reply {
        let vnic = &mut self.own(function)?.vnic;
        if vnic.vis == 0 {
            return Err(McErrno::EALREADY);
        }
        if vnic.has_queue() {
            return Err(McErrno::EBUSY);
        }
        vnic.vis = 0;
        Ok(Vec::new())
    }

    fn get_vi_alloc_info(&mut self, function: usize, _: &[u8]) -> Reply {
        let base = u32::try_from(function).unwrap_or(0).saturating_mul(MAX_VIS);
        Ok(Out::new(12)
            .u32(w::get_vi_alloc_info_out::VI_COUNT, self.own(function)?.vnic.vis)
            .u32(w::get_vi_alloc_info_out::VI_BASE, base)
            .done())
    }

    /// The first form of INIT_EVQ and V2 differ in flags that the model does not need: both are answered.
    fn init_evq(&mut self, function: usize, payload: &[u8]) -> Reply {
        let ask = In(payload);
        let (instance, flags, vector) =
            (ask.u32(w::init_evq_in::INSTANCE), ask.u32(w::init_evq_in::FLAGS), ask.u32(w::init_evq_in::IRQ_NUM));
        let ring = Ring::new(ask.u32(w::init_evq_in::SIZE), EVQ_SIZES, ask.quads(w::init_evq_in::DMA_ADDR))?;
        let vnic = &mut self.own(function)?.vnic;
        let interrupting = flags & INTERRUPTING != 0;
        vnic.add_evq(instance, ring, interrupting.then_some(vector), flags & INT_ARMD != 0)?;
        vnic.after_answer(instance, start_up(instance));
        Ok(Out::new(8).u32(w::init_evq_out::IRQ, vector).done())
    }

    fn init_rxq(&mut self, function: usize, payload: &[u8]) -> Reply {
        let ask = In(payload);
        let (evq, label, instance, flags) = (
            ask.u32(w::init_rxq_in::TARGET_EVQ),
            ask.u32(w::init_rxq_in::LABEL),
            ask.u32(w::init_rxq_in::INSTANCE),
            ask.u32(w::init_rxq_in::FLAGS),
        );
        if flags & DMA_MODE != 0 {
            return Err(McErrno::ENOTSUP);
        }
        let ring = Ring::new(ask.u32(w::init_rxq_in::SIZE), RXQ_SIZES, ask.quads(w::init_rxq_in::DMA_ADDR))?;
        let own = self.with_vadaptor(function, ask.u32(w::init_rxq_in::PORT_ID))?;
        let config = RxqConfig { evq, label, prefix: flags & PREFIX != 0, scatter: flags & DISABLE_SCATTER == 0 };
        own.vnic.add_rxq(instance, Rxq::new(ring, config))?;
        Ok(Vec::new())
    }

    fn init_txq(&mut self, function: usize, payload: &[u8]) -> Reply {
        let ask = In(payload);
        let (evq, label, instance, flags) = (
            ask.u32(w::init_txq_in::TARGET_EVQ),
            ask.u32(w::init_txq_in::LABEL),
            ask.u32(w::init_txq_in::INSTANCE),
            ask.u32(w::init_txq_in::FLAGS),
        );
        if flags & TSOV2_EN != 0 {
            return Err(McErrno::ENOTSUP);
        }
        let ring = Ring::new(ask.u32(w::init_txq_in::SIZE), TXQ_SIZES, ask.quads(w::init_txq_in::DMA_ADDR))?;
        let checksums = Checksums { ip: flags & IP_CSUM_DIS == 0, segment: flags & TCP_CSUM_DIS == 0 };
        let own = self.with_vadaptor(function, ask.u32(w::init_txq_in::PORT_ID))?;
        own.vnic.add_txq(instance, Txq::new(ring, evq, label, checksums))?;
        Ok(Vec::new())
    }

    fn fini_evq(&mut self, function: usize, payload: &[u8]) -> Reply {
        self.own(function)?.vnic.remove_evq(In(payload).u32(w::fini_evq_in::INSTANCE)).map(|()| Vec::new())
    }

    fn fini_rxq(&mut self, function: usize, payload: &[u8]) -> Reply {
        self.own(function)?.vnic.remove_rxq(In(payload).u32(w::fini_rxq_in::INSTANCE)).map(|()| Vec::new())
    }

    fn fini_txq(&mut self, function: usize, payload: &[u8]) -> Reply {
        self.own(function)?.vnic.remove_txq(In(payload).u32(w::fini_txq_in::INSTANCE)).map(|()| Vec::new())
    }

    fn driver_event(&mut self, function: usize, payload: &[u8]) -> Reply {
        let ask = In(payload);
        let vnic = &mut self.own(function)?.vnic;
        if !vnic.has_evq(ask.u32(w::driver_event_in::EVQ)) {
            return Err(McErrno::ENOENT);
        }
        vnic.after_answer(ask.u32(w::driver_event_in::EVQ), software(ask.u64(w::driver_event_in::DATA)));
        Ok(Vec::new())
    }

    fn trigger_interrupt(&mut self, function: usize, payload: &[u8]) -> Reply {
        self.own(function)?.vnic.raise(Some(In(payload).u32(w::trigger_interrupt_in::INTR_LEVEL)));
        Ok(Vec::new())
    }

    /// The times that are asked for, rounded up to whole counts; they take no time (see [`crate::vnic`]).
    fn set_evq_tmr(&mut self, function: usize, payload: &[u8]) -> Reply {
        let ask = In(payload);
        if !self.own(function)?.vnic.has_evq(ask.u32(w::set_evq_tmr_in::INSTANCE)) {
            return Err(McErrno::ENOENT);
        }
        let actual = |ns: u32| ns.div_ceil(TIMER_NS).min(TIMER_COUNTS) * TIMER_NS;
        Ok(Out::new(8)
            .u32(w::set_evq_tmr_out::TMR_LOAD_ACT_NS, actual(ask.u32(w::set_evq_tmr_in::TMR_LOAD_REQ_NS)))
            .u32(w::set_evq_tmr_out::TMR_RELOAD_ACT_NS, actual(ask.u32(w::set_evq_tmr_in::TMR_RELOAD_REQ_NS)))
            .done())
    }

    fn get_evq_tmr_properties(&mut self, _: usize, _: &[u8]) -> Reply {
        let out = Out::new(36)
            .u32(w::get_evq_tmr_properties_out::TMR_REG_NS_PER_COUNT, TIMER_NS)
            .u32(w::get_evq_tmr_properties_out::TMR_REG_MAX_COUNT, TIMER_COUNTS)
            .u32(w::get_evq_tmr_properties_out::TMR_REG_STEP, 1);
        Ok(out
            .u32(w::get_evq_tmr_properties_out::MCDI_TMR_MAX_NS, TIMER_NS * TIMER_COUNTS)
            .u32(w::get_evq_tmr_properties_out::MCDI_TMR_STEP_NS, TIMER_NS)
            .done())
    }

    fn get_clock(&mut self, _: usize, _: &[u8]) -> Reply {
        Ok(Out::new(8).u32(w::get_clock_out::SYS_FREQ, SYS_MHZ).u32(w::get_clock_out::DPCPU_FREQ, SYS_MHZ).done())
    }
}
