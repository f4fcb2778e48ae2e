//! Commands about the state of the adapter: assertions, reboot, log, workarounds, sensors, NVRAM, licences.

use nicfw::mcdi::wire::{Cmd, McErrno, Privileges};

use crate::mc::command::{Command, GENERAL, Reply};
use crate::mc::controller::Mc;
use crate::mc::message::{In, Out};
use crate::mc::words as w;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    Command { cmd: Cmd::GET_ASSERTS, privilege: Privileges::ADMIN, request: (4, 1020), run: Mc::get_asserts },
    Command { cmd: Cmd::LOG_CTRL, privilege: GENERAL, request: (8, 1020), run: Mc::log_ctrl },
    Command { cmd: Cmd::REBOOT, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 1020), run: Mc::reboot_on_command },
    Command { cmd: Cmd::GET_WORKAROUNDS, privilege: GENERAL, request: (0, 1020), run: Mc::get_workarounds },
    Command { cmd: Cmd::WORKAROUND, privilege: Privileges::ADMIN, request: (8, 1020), run: Mc::workaround },
    Command { cmd: Cmd::SENSOR_INFO, privilege: GENERAL, request: (0, 1020), run: Mc::sensor_info },
    Command { cmd: Cmd::NVRAM_TYPES, privilege: Privileges::ADMIN, request: (0, 1020), run: Mc::nvram_types },
    Command { cmd: Cmd::NVRAM_PARTITIONS, privilege: Privileges::ADMIN, request: (0, 1020), run: Mc::nvram_partitions },
    Command { cmd: Cmd::LICENSING_V3, privilege: GENERAL, request: (4, 1020), run: Mc::licensing_v3 },
];

impl Mc {
    /// The model's firmware never asserts.
    fn get_asserts(&mut self, _: usize, _: &[u8]) -> Reply {
        const NO_FAILS: u32 = 1;
        Ok(Out::new(140).u32(w::get_asserts_out::GLOBAL_FLAGS, NO_FAILS).done())
    }

    /// Which event queue gets the MC's events.
    fn log_ctrl(&mut self, function: usize, payload: &[u8]) -> Reply {
        use w::log_dest::{EVQ, UART};
        let own = self.own(function)?;
        match In(payload).u32(w::log_ctrl_in::LOG_DEST) {
            EVQ => own.events_to = In(payload).u32(w::log_ctrl_in::LOG_DEST_EVQ),
            UART => {}
            _ => return Err(McErrno::EINVAL),
        }
        Ok(Vec::new())
    }

    /// With the flag AFTER_ASSERTION, as a driver asks that finds an assertion, nothing happens: there was none. Without it
    /// the MC reboots.
    fn reboot_on_command(&mut self, _: usize, payload: &[u8]) -> Reply {
        use w::reboot::AFTER_ASSERTION;
        if In(payload).u32(w::reboot_in::FLAGS) & AFTER_ASSERTION == 0 {
            self.reboot();
        }
        Ok(Vec::new())
    }

    /// None is implemented: 35388 is Huntington's, and the others are choices of a firmware (ef10.md 5.5).
    fn get_workarounds(&mut self, _: usize, _: &[u8]) -> Reply {
        Ok(Out::new(8).done())
    }

    /// ENOENT is what drivers know for a workaround that the firmware does not have; a number that has no meaning is EINVAL
    /// (ef10.md 5.5).
    fn workaround(&mut self, _: usize, payload: &[u8]) -> Reply {
        let known = (1..=7).contains(&In(payload).u32(w::workaround_in::TYPE));
        match (known, In(payload).u32(w::workaround_in::ENABLED)) {
            (true, 0) => Ok(Vec::new()),
            (true, _) => Err(McErrno::ENOENT),
            (false, _) => Err(McErrno::EINVAL),
        }
    }

    /// One page without sensors.
    fn sensor_info(&mut self, _: usize, _: &[u8]) -> Reply {
        Ok(Out::new(4).done())
    }

    /// No NVRAM that a driver could reach.
    fn nvram_types(&mut self, _: usize, _: &[u8]) -> Reply {
        Ok(Out::new(4).done())
    }

    fn nvram_partitions(&mut self, _: usize, _: &[u8]) -> Reply {
        Ok(Out::new(4).done())
    }

    /// No licence keys, and nothing that needs one.
    fn licensing_v3(&mut self, _: usize, payload: &[u8]) -> Reply {
        use w::license::{IN_OP_REPORT_LICENSE, OUT_SELF_TEST_PASS};
        if In(payload).u32(w::licensing_v3_in::OP) != IN_OP_REPORT_LICENSE {
            return Err(McErrno::ENOTSUP);
        }
        Ok(Out::new(88).u32(w::licensing_v3_out::LICENSING_SELF_TEST, OUT_SELF_TEST_PASS).done())
    }
}
