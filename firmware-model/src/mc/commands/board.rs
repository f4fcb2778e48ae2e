//! Commands about the board: its name and ports, vectors, boot, the content of its flash, the module in its cage, self-tests.
//!
//! DPDK's probe asks for most of them and gives up without an answer; the kernel's driver asks for the rest on behalf of
//! `ethtool` and `devlink`.

use nicfw::mcdi::wire::{Cmd, McErrno, Privileges};

use super::adapter::VERSION;
use crate::mc::command::{Command, GENERAL, Reply};
use crate::mc::controller::{Mc, Offline};
use crate::mc::function::VECTORS;
use crate::mc::message::{In, Out};
use crate::mc::words as w;

/// Length of GET_BOARD_CFG_OUT with the fewest firmware subtypes, in bytes.
const BOARD_CFG_LEN: usize = 96;
/// Bytes of a page of GET_PHY_MEDIA_INFO.
const PAGE: usize = 128;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    Command { cmd: Cmd::GET_BOOT_STATUS, privilege: GENERAL, request: (0, 1020), run: Mc::get_boot_status },
    Command { cmd: Cmd::GET_BOARD_CFG, privilege: GENERAL, request: (0, 1020), run: Mc::get_board_cfg },
    Command { cmd: Cmd::START_BIST, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 1020), run: Mc::start_bist },
    Command { cmd: Cmd::POLL_BIST, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (0, 1020), run: Mc::poll_bist },
    Command { cmd: Cmd::NVRAM_INFO, privilege: Privileges::ADMIN, request: (4, 1020), run: Mc::nvram_info },
    Command { cmd: Cmd::GET_PHY_MEDIA_INFO, privilege: Privileges::ADMIN, request: (4, 1020), run: Mc::get_phy_media_info },
    Command { cmd: Cmd::NVRAM_METADATA, privilege: Privileges::ADMIN, request: (4, 1020), run: Mc::nvram_metadata },
    Command { cmd: Cmd::GET_PF_COUNT, privilege: GENERAL, request: (0, 1020), run: Mc::get_pf_count },
    Command { cmd: Cmd::GET_VECTOR_CFG, privilege: GENERAL, request: (0, 1020), run: Mc::get_vector_cfg },
    Command { cmd: Cmd::GET_RXDP_CONFIG, privilege: GENERAL, request: (0, 1020), run: Mc::get_rxdp_config },
    Command { cmd: Cmd::ENABLE_OFFLINE_BIST, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (0, 1020), run: Mc::enable_offline_bist },
    Command { cmd: Cmd::GET_PORT_MODES, privilege: GENERAL, request: (0, 1020), run: Mc::get_port_modes },
];

impl Mc {
    /// No offset to boot from: from the primary image.
    fn get_boot_status(&mut self, _: usize, _: &[u8]) -> Reply {
        let out = Out::new(8).u32(w::get_boot_status_out::BOOT_OFFSET, w::boot::NULL);
        Ok(out.u32(w::get_boot_status_out::FLAGS, 1 << w::get_boot_status_out_bits::FLAGS_PRIMARY).done())
    }

    /// The name, and the MAC of the first function at each of the two ports that the message has room for. No type, no
    /// capabilities: they are those of older boards.
    fn get_board_cfg(&mut self, _: usize, _: &[u8]) -> Reply {
        use w::get_board_cfg_out as at;
        let places = [
            (at::MAC_ADDR_BASE_PORT0, at::MAC_COUNT_PORT0, at::MAC_STRIDE_PORT0),
            (at::MAC_ADDR_BASE_PORT1, at::MAC_COUNT_PORT1, at::MAC_STRIDE_PORT1),
        ];
        let mut out = Out::new(BOARD_CFG_LEN).bytes(at::BOARD_NAME, b"EMULATED");
        for (port, (base, count, stride)) in (0..).zip(places) {
            if let Some(first) = self.functions.iter().find(|own| own.config.port == port) {
                out = out.bytes(base, &first.config.mac.0).u32(count, 1).u32(stride, 1);
            }
        }
        Ok(out.done())
    }

    fn get_pf_count(&mut self, _: usize, _: &[u8]) -> Reply {
        let pfs = self.functions.iter().filter(|own| own.config.vf.is_none()).count();
        Ok(vec![u8::try_from(pfs).unwrap_or(u8::MAX)])
    }

    /// Vectors are numbered by function, from 0.
    fn get_vector_cfg(&mut self, _: usize, _: &[u8]) -> Reply {
        use w::get_vector_cfg_out as at;
        let vectors = u32::from(VECTORS);
        Ok(Out::new(12).u32(at::VEC_BASE, 0).u32(at::VECS_PER_PF, vectors).u32(at::VECS_PER_VF, vectors).done())
    }

    /// Nothing is padded.
    fn get_rxdp_config(&mut self, _: usize, _: &[u8]) -> Reply {
        Ok(Out::new(4).u32(w::get_rxdp_config_out::DATA, 0).done())
    }

    /// The one mode that the board is in. The numbers are those of `ef10_tlv_layout.h` (TLV_PORT_MODE_*): ports of 10 Gbit/s,
    /// each with a cage of its own up to two, four to a cage beyond.
    fn get_port_modes(&mut self, _: usize, _: &[u8]) -> Reply {
        use w::get_port_modes_out as at;
        const ONE: u32 = 0;
        const TWO: u32 = 2;
        const FOUR: u32 = 4;
        const EIGHT: u32 = 25;
        let mode = match self.ports.len() {
            0 | 1 => ONE,
            2 => TWO,
            3 | 4 => FOUR,
            _ => EIGHT,
        };
        Ok(Out::new(12).u32(at::MODES, 1 << mode).u32(at::DEFAULT_MODE, mode).u32(at::CURRENT_MODE, mode).done())
    }

    /// There is no partition that a driver could reach: ENOENT, as for a type that nobody knows.
    fn nvram_info(&mut self, _: usize, _: &[u8]) -> Reply {
        Err(McErrno::ENOENT)
    }

    /// The firmware that runs has its version; the other images that a board of this kind has are there without one.
    fn nvram_metadata(&mut self, _: usize, payload: &[u8]) -> Reply {
        use w::nvram_metadata_out as at;
        use w::partition::{BUNDLE, EXPANSION_ROM, EXPANSION_UEFI, MC_FIRMWARE, SUC_FIRMWARE};
        let kind = In(payload).u32(w::nvram_metadata_in::TYPE);
        let out = Out::new(20).u32(at::TYPE, kind);
        match kind {
            MC_FIRMWARE => {
                let version = VERSION.map(u16::to_le_bytes).concat();
                Ok(out
                    .u32(at::FLAGS, 1 << w::nvram_metadata_out_bits::VERSION_VALID)
                    .bytes(at::VERSION_W, &version)
                    .done())
            }
            BUNDLE | EXPANSION_ROM | EXPANSION_UEFI | SUC_FIRMWARE => Ok(out.done()),
            _ => Err(McErrno::ENOENT),
        }
    }

    /// Pages 0 and 1 of an SFP+ cable (SFF-8472: the two halves of address A0h) without diagnostics; others are not there.
    fn get_phy_media_info(&mut self, _: usize, payload: &[u8]) -> Reply {
        use w::get_phy_media_info_out as at;
        let module = module();
        let page = match In(payload).u32(w::get_phy_media_info_in::PAGE) {
            0 => module,
            1 => [0; PAGE],
            _ => return Err(McErrno::EINVAL),
        };
        let len = u32::try_from(PAGE).unwrap_or(0);
        Ok(Out::new(at::DATA + PAGE).u32(at::DATALEN, len).bytes(at::DATA, &page).done())
    }

    /// From here on nothing passes, until the MC reboots: a test writes over memory that traffic needs.
    fn enable_offline_bist(&mut self, _: usize, _: &[u8]) -> Reply {
        self.offline = Offline::Testing(None);
        Ok(Vec::new())
    }

    /// The tests of memory and registers, once they are prepared for; EPERM before. No document tells the code.
    fn start_bist(&mut self, _: usize, payload: &[u8]) -> Reply {
        use w::bist::{MC_MEM_BIST, PORT_MEM_BIST, REG_BIST};
        let kind = In(payload).u32(w::start_bist_in::TYPE);
        if !matches!(kind, MC_MEM_BIST | PORT_MEM_BIST | REG_BIST) {
            return Err(McErrno::ENOTSUP);
        }
        if self.offline == Offline::No {
            return Err(McErrno::EPERM);
        }
        self.offline = Offline::Testing(Some(kind));
        Ok(Vec::new())
    }

    /// Every test passes at once. ENOENT if none was started: no document tells the code.
    fn poll_bist(&mut self, _: usize, _: &[u8]) -> Reply {
        use w::bist::REG_BIST;
        let len = match self.offline {
            Offline::Testing(Some(REG_BIST)) => 8,
            Offline::Testing(Some(_)) => 36,
            _ => return Err(McErrno::ENOENT),
        };
        Ok(Out::new(len).u32(w::poll_bist_out::RESULT, w::bist_result::PASSED).done())
    }
}

/// The first half of address A0h of SFF-8472: a passive copper cable.
fn module() -> [u8; PAGE] {
    let mut bytes = [0; PAGE];
    let mut put = |at: usize, from: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at + from.len()) {
            place.copy_from_slice(from);
        }
    };
    // Identifier SFP, extended identifier, connector: copper pigtail.
    put(0, &[0x03, 0x04, 0x21]);
    // Cable technology: passive; nominal rate 10.3 Gbit/s; copper length 1 m.
    put(8, &[0x04]);
    put(12, &[0x67]);
    put(18, &[0x01]);
    put(20, b"EMULATED        ");
    put(40, b"SFP+ CABLE      ");
    put(56, b"1   ");
    put(68, b"0               ");
    let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let [base, extended] = [sum(bytes.get(..63).unwrap_or_default()), sum(bytes.get(64..95).unwrap_or_default())];
    for (at, value) in [(63, base), (95, extended)] {
        if let Some(place) = bytes.get_mut(at) {
            *place = value;
        }
    }
    bytes
}
