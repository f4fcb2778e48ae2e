//! Commands about the port behind a function: PHY, link, MAC and its statistics (ef10.md 5.8).

use nicfw::dma::Iova;
use nicfw::mcdi::wire::{Cmd, McErrno, Privileges};

use crate::mac::{self, CAPABILITIES, STATISTICS};
use crate::mc::command::{Command, GENERAL, Reply};
use crate::mc::controller::Mc;
use crate::mc::function::Periodic;
use crate::mc::message::{In, Out};
use crate::mc::words as w;
use crate::vnic::{link_changed, statistics};

/// Speed of a link that is up, in Mbit/s.
const SPEED: u32 = 10_000;
/// Length of the statistics block in bytes.
const BLOCK: usize = 8 * STATISTICS;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    Command { cmd: Cmd::GET_PHY_CFG, privilege: GENERAL, request: (0, 1020), run: Mc::get_phy_cfg },
    Command { cmd: Cmd::GET_PHY_STATE, privilege: GENERAL, request: (0, 1020), run: Mc::get_phy_state },
    Command { cmd: Cmd::GET_LOOPBACK_MODES, privilege: GENERAL, request: (0, 1020), run: Mc::get_loopback_modes },
    Command { cmd: Cmd::GET_LINK, privilege: GENERAL, request: (0, 1020), run: Mc::get_link },
    Command { cmd: Cmd::SET_LINK, privilege: Privileges::LINK, request: (16, 1020), run: Mc::set_link },
    Command { cmd: Cmd::SET_ID_LED, privilege: Privileges::LINK, request: (4, 1020), run: Mc::set_id_led },
    Command { cmd: Cmd::SET_MAC, privilege: GENERAL, request: (28, 1020), run: Mc::set_mac },
    Command { cmd: Cmd::MAC_STATS, privilege: GENERAL, request: (20, 1020), run: Mc::mac_stats },
];

impl Mc {
    fn get_phy_cfg(&mut self, _: usize, _: &[u8]) -> Reply {
        const PRESENT: u32 = 1 << w::get_phy_cfg_out_bits::PRESENT;
        let out =
            Out::new(72).u32(w::get_phy_cfg_out::FLAGS, PRESENT).u32(w::get_phy_cfg_out::SUPPORTED_CAP, CAPABILITIES);
        Ok(out
            .bytes(w::get_phy_cfg_out::NAME, b"EMULATED")
            .u32(w::get_phy_cfg_out::MEDIA_TYPE, w::media::SFP_PLUS)
            .bytes(w::get_phy_cfg_out::REVISION, b"0")
            .done())
    }

    fn get_phy_state(&mut self, _: usize, _: &[u8]) -> Reply {
        const OK: u32 = 1;
        Ok(OK.to_le_bytes().to_vec())
    }

    /// No loopback mode at any speed.
    fn get_loopback_modes(&mut self, _: usize, _: &[u8]) -> Reply {
        Ok(Out::new(40).done())
    }

    fn get_link(&mut self, function: usize, _: &[u8]) -> Reply {
        let link = self.port_of(function)?.link;
        let speed = if link.up { SPEED } else { 0 };
        let out = Out::new(28)
            .u32(w::get_link_out::CAP, CAPABILITIES)
            .u32(w::get_link_out::LP_CAP, link.partner_capabilities())
            .u32(w::get_link_out::LINK_SPEED, speed);
        Ok(out.u32(w::get_link_out::FLAGS, link.flags()).u32(w::get_link_out::FCNTL, link.flow_control).done())
    }

    /// The port has one speed, so there is nothing to choose; a loopback mode is not possible.
    fn set_link(&mut self, function: usize, payload: &[u8]) -> Reply {
        self.port_of(function)?;
        if In(payload).u32(w::set_link_in::LOOPBACK_MODE) != 0 {
            return Err(McErrno::EINVAL);
        }
        Ok(Vec::new())
    }

    fn set_id_led(&mut self, _: usize, payload: &[u8]) -> Reply {
        const DEFAULT: u32 = 2;
        if In(payload).u32(w::set_id_led_in::STATE) > DEFAULT { Err(McErrno::EINVAL) } else { Ok(Vec::new()) }
    }

    /// The port takes every length up to that of a jumbo frame, whatever its functions ask for: the MTU is not enforced.
    /// Flow control is only remembered: nothing here is ever congested.
    fn set_mac(&mut self, function: usize, payload: &[u8]) -> Reply {
        use w::flow_control::{AUTO, BIDIR};
        let flow_control = match In(payload).u32(w::set_mac_in::FCNTL) {
            AUTO => BIDIR,
            mode if mode <= BIDIR => mode,
            _ => return Err(McErrno::ENOTSUP),
        };
        self.port_of(function)?.link.flow_control = flow_control;
        Ok(Vec::new())
    }

    /// Without DMA the block is the answer, as far as it fits.
    fn mac_stats(&mut self, function: usize, payload: &[u8]) -> Reply {
        use w::mac_stats_in_bits::{
            CLEAR, DMA, PERIOD_MS, PERIODIC_CHANGE, PERIODIC_CLEAR, PERIODIC_ENABLE, PERIODIC_NOEVENT,
        };
        let ask = In(payload);
        let (address, command, length) = (
            ask.u64(w::mac_stats_in::DMA_ADDR),
            ask.u32(w::mac_stats_in::CMD),
            usize::try_from(ask.u32(w::mac_stats_in::DMA_LEN)).unwrap_or(0),
        );
        let on = |bit: u32| command & 1 << bit != 0;
        if on(PERIODIC_CLEAR) {
            return Err(McErrno::ENOTSUP);
        }
        let starts = on(PERIODIC_CHANGE) && on(PERIODIC_ENABLE);
        let dma = on(DMA) || starts;
        if dma && length < BLOCK {
            return Err(McErrno::EINVAL);
        }
        if on(DMA) && !self.own(function)?.vnic.has_dma_queue() {
            return Err(McErrno::ENOENT);
        }
        if on(CLEAR) {
            self.port_of(function)?.counters = Default::default();
            self.own(function)?.counters = Default::default();
        }
        if on(PERIODIC_CHANGE) {
            let period_ms = (command >> PERIOD_MS).max(1);
            let periodic = Periodic { address, period_ms, waited_ms: 0, event: !on(PERIODIC_NOEVENT) };
            self.own(function)?.periodic = starts.then_some(periodic);
        }
        if dma {
            self.write_statistics(function, address);
            return Ok(Vec::new());
        }
        Ok(self.statistics(function)?.iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    fn statistics(&mut self, function: usize) -> Result<[u64; STATISTICS], McErrno> {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation.into();
        let port = self.port_of(function)?.counters;
        let own = self.own(function)?;
        Ok(mac::block(&port, &own.counters, own.vnic.no_descriptor, generation))
    }

    /// Writes the block: the generation at its start, the counters, the generation at its end. A driver reads the other
    /// way round, and tries again when they differ.
    fn write_statistics(&mut self, function: usize, address: u64) {
        let Ok(words) = self.statistics(function) else { return };
        let Some(memory) = self.own(function).ok().and_then(|own| own.vnic.host.memory.clone()) else { return };
        let mut at = address;
        for word in words {
            if let Err(e) = memory.write(Iova(at), &word.to_le_bytes()) {
                log::warn!("statistics are lost: {e}");
                return;
            }
            at = at.saturating_add(8);
        }
    }

    /// Time has passed: writes the statistics that are due.
    pub fn elapse(&mut self, ms: u32) {
        for function in 0..self.functions.len() {
            let Some(periodic) = self.functions.get_mut(function).and_then(|own| own.periodic.as_mut()) else {
                continue;
            };
            periodic.waited_ms = periodic.waited_ms.saturating_add(ms);
            if periodic.waited_ms < periodic.period_ms {
                continue;
            }
            periodic.waited_ms = 0;
            let Periodic { address, event, .. } = *periodic;
            self.write_statistics(function, address);
            if event {
                let generation = self.generation;
                self.tell(function, statistics(generation));
            }
        }
    }

    /// Plugs a cable in, or pulls it: every function at the port is told.
    pub fn set_cable(&mut self, port: u32, plugged: bool) {
        let Some(place) = usize::try_from(port).ok().and_then(|port| self.ports.get_mut(port)) else { return };
        place.link.up = plugged;
        let event = link_changed(place.link);
        for function in 0..self.functions.len() {
            if self.functions.get(function).is_some_and(|own| own.config.port == port) {
                self.tell(function, event);
            }
        }
    }
}
