//! The management controller: takes requests as bytes, checks privilege and length, answers as bytes.
//!
//! Codes, lengths, privileges and errors: ef10.md 4 to 7 and mcdi.json. Where no document says which error a misuse gets
//! (ef10.md 7.8, point 8), the choice made here is written at its place. A command that is not in the table is unknown:
//! ENOSYS.

mod function;
mod rules;

use nicfw::mcdi::wire::{Cmd, Header, HeaderForm, MAX_PAYLOAD, MAX_PAYLOAD_V1, McErrno, Privileges, Status, XFlags};
use nicfw::tables::MacAddr;

use crate::engine::Engine;
use crate::fault::{FaultKind, Faults};

pub use function::{FirmwareVariant, Switching};

/// One function of the adapter.
#[derive(Debug, Clone)]
pub struct FunctionConfig {
    /// Number of the physical function.
    pub pf: u16,
    /// Number of the virtual function; `None` for the physical function itself.
    pub vf: Option<u16>,
    /// Physical port behind it.
    pub port: u32,
    /// Its MAC.
    pub mac: MacAddr,
    /// What it may do.
    pub privileges: Privileges,
}

impl FunctionConfig {
    /// A physical function with every privilege.
    #[must_use]
    pub fn admin(port: u16, mac: MacAddr) -> Self {
        Self { pf: port, vf: None, port: port.into(), mac, privileges: Privileges::all() }
    }

    /// A virtual function of a container: it may send and receive, and nothing more.
    #[must_use]
    pub fn container(port: u16, vf: u16, mac: MacAddr) -> Self {
        let privileges = Privileges::UNICAST | Privileges::MULTICAST | Privileges::BROADCAST;
        Self { pf: port, vf: Some(vf), port: port.into(), mac, privileges }
    }
}

/// What the MC keeps of a function.
#[derive(Debug)]
pub(crate) struct Function {
    pub config: FunctionConfig,
    attached: u32,
    /// False until a request with NEWEPOCH came, since the start or since a reboot of the MC.
    epoch: bool,
    /// Off the bus: see [`FaultKind::Gone`].
    pub gone: bool,
}

impl Function {
    pub fn new(config: FunctionConfig) -> Self {
        Self { config, attached: 0, epoch: false, gone: false }
    }
}

/// The controller and what it controls.
#[derive(Debug)]
pub(crate) struct Mc {
    pub engine: Engine,
    pub functions: Vec<Function>,
    pub faults: Faults,
    pub variant: FirmwareVariant,
    pub switching: Switching,
    /// Bound to a controller: ADMIN_TSA_UNBOUND is refused.
    pub bound: bool,
    pub boot_count: u16,
    pub physical_ports: u32,
    /// RULES_VERSION to report.
    pub rules_version: u32,
    /// Commands that were executed, by all functions.
    pub executed: u64,
}

type Reply = Result<Vec<u8>, McErrno>;

/// Row of the command table.
struct Command {
    cmd: Cmd,
    privilege: Privileges,
    /// Shortest and longest request in bytes.
    request: (usize, usize),
    run: fn(&mut Mc, usize, &[u8]) -> Reply,
}

const GENERAL: Privileges = Privileges::empty();

#[rustfmt::skip]
const COMMANDS: [Command; 20] = [
    Command { cmd: Cmd::GET_VERSION, privilege: GENERAL, request: (0, 4), run: Mc::get_version },
    Command { cmd: Cmd::DRV_ATTACH, privilege: GENERAL, request: (12, 32), run: Mc::drv_attach },
    Command { cmd: Cmd::ENTITY_RESET, privilege: GENERAL, request: (0, 4), run: Mc::entity_reset },
    Command { cmd: Cmd::GET_MAC_ADDRESSES, privilege: GENERAL, request: (0, 0), run: Mc::get_mac_addresses },
    Command { cmd: Cmd::PRIVILEGE_MASK, privilege: GENERAL, request: (8, 8), run: Mc::privilege_mask },
    Command { cmd: Cmd::GET_PORT_ASSIGNMENT, privilege: GENERAL, request: (0, 0), run: Mc::get_port_assignment },
    Command { cmd: Cmd::GET_CAPABILITIES, privilege: GENERAL, request: (0, 0), run: Mc::get_capabilities },
    Command { cmd: Cmd::GET_PARSER_DISP_INFO, privilege: GENERAL, request: (4, 4), run: Mc::get_parser_disp_info },
    Command { cmd: Cmd::GET_FUNCTION_INFO, privilege: GENERAL, request: (0, 0), run: Mc::get_function_info },
    Command { cmd: Cmd::SET_SECURITY_RULE, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (92, 92), run: Mc::set_security_rule },
    Command { cmd: Cmd::RESET_SECURITY_RULES, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 4), run: Mc::reset_security_rules },
    Command { cmd: Cmd::GET_SECURITY_RULESET_VERSION, privilege: Privileges::ADMIN, request: (0, 0), run: Mc::get_security_ruleset_version },
    Command { cmd: Cmd::SECURITY_RULE_COUNTER_ALLOC, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 4), run: Mc::counter_alloc },
    Command { cmd: Cmd::SECURITY_RULE_COUNTER_FREE, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 1020), run: Mc::counter_free },
    Command { cmd: Cmd::SUBNET_MAP_SET_NODE, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (6, 1020), run: Mc::subnet_map_set_node },
    Command { cmd: Cmd::REMOTE_PORTRANGE_MAP_SET_TREE, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 1020), run: Mc::remote_portrange_map_set_tree },
    Command { cmd: Cmd::LOCAL_PORTRANGE_MAP_SET_TREE, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 1020), run: Mc::local_portrange_map_set_tree },
    Command { cmd: Cmd::MANAGE_SECURITY_RULESET_CACHE, privilege: Privileges::ADMIN, request: (4, 4), run: Mc::manage_ruleset_cache },
    Command { cmd: Cmd::TSA_RULESET_OVERRIDE, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 4), run: Mc::ruleset_override },
    Command { cmd: Cmd::TSA_STATISTICS, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 1020), run: Mc::tsa_statistics },
];

/// What goes back into the request's memory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Header (4 or 8 bytes) and payload.
    Bytes(Vec<u8>),
    /// Nothing, ever.
    Silence,
}

impl Mc {
    /// Length of the request behind a first dword (and the second one, for v2), header included.
    pub fn request_len(dwords: [u32; 2]) -> usize {
        let header = Header::decode(dwords);
        header.form.header_len() + header.len.min(MAX_PAYLOAD)
    }

    /// Takes one request of a function, header included, and gives the answer.
    pub fn take(&mut self, function: usize, request: &[u8]) -> Answer {
        let dword = |at: usize| request.get(at..).and_then(|rest| rest.first_chunk()).map(|b| u32::from_le_bytes(*b));
        let Some(first) = dword(0) else { return Answer::Silence };
        let header = Header::decode([first, dword(4).unwrap_or(0)]);
        let limit = match header.form {
            HeaderForm::V1 => MAX_PAYLOAD_V1,
            HeaderForm::V2 => MAX_PAYLOAD,
        };
        let start = header.form.header_len();
        let payload = request.get(start..).and_then(|rest| rest.get(..header.len)).filter(|_| header.len <= limit);
        // A message that is no request, or longer than its form allows, is not taken.
        let (Some(payload), Status::Request) = (payload, header.status) else { return Answer::Silence };
        let Some(own) = self.functions.get_mut(function) else { return Answer::Silence };
        own.epoch |= header.new_epoch;
        if !own.epoch {
            return rebooted(&header);
        }
        let fault = self.faults.on(header.cmd);
        self.execute(function, &header, payload, fault)
    }

    fn execute(&mut self, function: usize, header: &Header, payload: &[u8], fault: Option<FaultKind>) -> Answer {
        match fault {
            None => done(header, self.run(function, header.cmd, payload)),
            Some(FaultKind::Error(code)) => done(header, Err(code)),
            Some(FaultKind::ErrorAfterEffect(code)) => {
                let _ = self.run(function, header.cmd, payload);
                done(header, Err(code))
            }
            Some(FaultKind::Hang { effect }) => {
                if effect {
                    let _ = self.run(function, header.cmd, payload);
                }
                Answer::Silence
            }
            Some(FaultKind::Garbage(bytes)) => {
                let _ = self.run(function, header.cmd, payload);
                Answer::Bytes(bytes)
            }
            Some(FaultKind::WrongSequence) => {
                let reply = self.run(function, header.cmd, payload);
                done(&Header { seq: (header.seq + 1) & 0xf, ..*header }, reply)
            }
            Some(FaultKind::WrongCommand) => {
                let reply = self.run(function, header.cmd, payload);
                done(&Header { cmd: Cmd(header.cmd.0 ^ 1), ..*header }, reply)
            }
            Some(FaultKind::Length(len)) => {
                let mut payload = self.run(function, header.cmd, payload).unwrap_or_default();
                payload.resize(len.min(MAX_PAYLOAD), 0);
                respond(header, Status::Done, len, &payload)
            }
            Some(FaultKind::RebootBefore) => {
                self.reboot();
                rebooted(header)
            }
            Some(FaultKind::RebootAfter) => {
                let _ = self.run(function, header.cmd, payload);
                self.reboot();
                rebooted(header)
            }
            Some(FaultKind::Gone) => {
                if let Some(own) = self.functions.get_mut(function) {
                    own.gone = true;
                }
                Answer::Silence
            }
        }
    }

    fn run(&mut self, function: usize, cmd: Cmd, payload: &[u8]) -> Reply {
        let command = COMMANDS.iter().find(|command| command.cmd == cmd).ok_or(McErrno::ENOSYS)?;
        let own = self.functions.get(function).ok_or(McErrno::ENOENT)?;
        let unbound = Privileges::ADMIN_TSA_UNBOUND;
        if !own.config.privileges.contains(command.privilege) || (self.bound && command.privilege == unbound) {
            return Err(McErrno::EPERM);
        }
        // The rule commands belong to one firmware variant; another one does not know them (an inference).
        if command.privilege != GENERAL && self.variant != FirmwareVariant::RulesEngine {
            return Err(McErrno::ENOSYS);
        }
        let (shortest, longest) = command.request;
        if !(shortest..=longest).contains(&payload.len()) {
            return Err(McErrno::EINVAL);
        }
        self.executed += 1;
        (command.run)(self, function, payload)
    }

    /// Reboots the MC: see ef10.md 4.7 and assumptions A12, A14.
    pub fn reboot(&mut self) {
        self.boot_count = self.boot_count.wrapping_add(1);
        self.engine.reboot();
        for function in &mut self.functions {
            function.epoch = false;
            function.attached = 0;
        }
    }

    /// Resets a function (FLR): what it holds is freed, its rules stay (assumption A12).
    pub fn reset_function(&mut self, function: usize) {
        if let Some(own) = self.functions.get_mut(function) {
            own.epoch = false;
            own.attached = 0;
        }
        self.engine.function_reset(function);
    }
}

fn done(request: &Header, reply: Reply) -> Answer {
    let payload = match reply {
        Ok(payload) => payload,
        Err(code) => return respond(request, Status::Failed, 4, &code.0.to_le_bytes()),
    };
    // GET_CAPABILITIES sends as much as fits (ef10.md 5.4); every other reply in use fits its form.
    let longest = match request.form {
        HeaderForm::V1 => MAX_PAYLOAD_V1,
        HeaderForm::V2 => MAX_PAYLOAD,
    };
    let payload = payload.get(..longest).unwrap_or(&payload);
    respond(request, Status::Done, payload.len(), payload)
}

fn rebooted(request: &Header) -> Answer {
    respond(request, Status::Failed, 0, &[])
}

fn respond(request: &Header, status: Status, len: usize, payload: &[u8]) -> Answer {
    let header = Header { status, len, xflags: XFlags::empty(), ..*request };
    let [first, second] = header.encode();
    let mut bytes = first.to_le_bytes().to_vec();
    if header.form == HeaderForm::V2 {
        bytes.extend(second.to_le_bytes());
    }
    bytes.extend(payload);
    Answer::Bytes(bytes)
}

#[cfg(test)]
mod tests;
