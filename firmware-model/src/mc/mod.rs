//! The management controller: takes requests as bytes, checks privilege and length, answers as bytes.
//!
//! Codes, lengths, privileges and errors: ef10.md 4 to 7. Where no document says which error a misuse gets
//! (ef10.md 7.8, point 8), the choice made here is written at its place. A command that is not in the table is unknown:
//! ENOSYS.
#![doc = include_str!("commands.md")]

mod board;
mod evb;
mod faulty;
mod function;
mod health;
mod message;
mod port;
mod queues;
mod rules;
mod vadaptor;
pub(crate) mod words;

use std::fmt;

use nicfw::mcdi::wire::{Cmd, Header, HeaderForm, MAX_PAYLOAD, MAX_PAYLOAD_V1, McErrno, Privileges, Status, XFlags};
use nicfw::terms::MacAddr;

use self::faulty::Completions;
use crate::engines::rules::Engine;
use crate::fault::Faults;
use crate::mac::{Counters, Port};
use crate::steer::Steering;
use crate::vnic::{Vnic, command_done, rebooted as reboot_event};

pub(crate) use board::Offline;
use evb::Bridge;
pub use function::{FirmwareVariant, Switching};
use port::Periodic;
pub(crate) use queues::MAX_VIS;
use vadaptor::Vadaptor;

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

/// The MAC of function `number` of an adapter as it comes from the factory: one of Solarflare's (00:0f:53), as drivers
/// refuse a default MAC that is locally administered.
#[must_use]
pub fn factory_mac(number: u16) -> MacAddr {
    let [high, low] = number.to_be_bytes();
    MacAddr([0x00, 0x0f, 0x53, 0, high, low])
}

impl FunctionConfig {
    /// A physical function with every privilege.
    #[must_use]
    pub fn admin(port: u16, mac: MacAddr) -> Self {
        Self { pf: port, vf: None, port: port.into(), mac, privileges: Privileges::all() }
    }

    /// A virtual function that a host shares among containers by MACVLAN: as [`FunctionConfig::container`], and it may
    /// send and receive with other MACs than its own.
    #[must_use]
    pub fn shared(port: u16, vf: u16, mac: MacAddr) -> Self {
        let mut function = Self::container(port, vf, mac);
        function.privileges |= Privileges::MAC_SPOOFING_TX | Privileges::INSECURE_FILTERS | Privileges::ALL_MULTICAST;
        function
    }

    /// A virtual function of a container: it may send and receive, and nothing more.
    #[must_use]
    pub fn container(port: u16, vf: u16, mac: MacAddr) -> Self {
        let privileges = Privileges::UNICAST | Privileges::MULTICAST | Privileges::BROADCAST;
        Self { pf: port, vf: Some(vf), port: port.into(), mac, privileges }
    }
}

/// What a function holds of the adapter, its rules and counters apart. A driver that leaves in good order leaves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Virtual interfaces.
    pub vis: u32,
    /// Event queues.
    pub event_queues: usize,
    /// Receive queues.
    pub receive_queues: usize,
    /// Transmit queues.
    pub transmit_queues: usize,
    /// Receive filters.
    pub filters: usize,
    /// RSS contexts.
    pub rss_contexts: usize,
    /// Vadaptors, at most one.
    pub vadaptors: usize,
}

impl fmt::Display for Held {
    /// As in `vis 0, event queues 0, ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vis, event_queues, receive_queues, transmit_queues, filters, rss_contexts, vadaptors } = self;
        write!(f, "vis {vis}, event queues {event_queues}, receive queues {receive_queues}, transmit queues ")?;
        write!(f, "{transmit_queues}, filters {filters}, RSS contexts {rss_contexts}, vadaptors {vadaptors}")
    }
}

/// What the MC keeps of a function.
#[derive(Debug)]
pub(crate) struct Function {
    pub config: FunctionConfig,
    attached: u32,
    /// False until a request with NEWEPOCH came, since the start or since a reboot of the MC.
    epoch: bool,
    /// Off the bus: see [`crate::fault::FaultKind::Gone`].
    pub gone: bool,
    /// The queues of its driver.
    pub vnic: Vnic,
    /// There when a driver wants frames by its filters; without one, frames are steered by the function's MAC.
    pub vadaptor: Option<Vadaptor>,
    bridge: Bridge,
    pub steering: Steering,
    /// What its queues have sent and received.
    pub counters: Counters,
    completions: Completions,
    /// Event queue for the MC's events.
    events_to: u32,
    periodic: Option<Periodic>,
}

impl Function {
    pub fn new(config: FunctionConfig) -> Self {
        Self {
            config,
            attached: 0,
            epoch: false,
            gone: false,
            vnic: Vnic::default(),
            vadaptor: None,
            bridge: Bridge::default(),
            steering: Steering::default(),
            counters: Counters::default(),
            completions: Completions::default(),
            events_to: 0,
            periodic: None,
        }
    }

    /// What the function holds of the adapter.
    pub fn held(&self) -> Held {
        let [event_queues, receive_queues, transmit_queues] = self.vnic.queues();
        let [filters, rss_contexts] = self.steering.held();
        let vadaptors = usize::from(self.vadaptor.is_some());
        let vis = self.vnic.vis;
        Held { vis, event_queues, receive_queues, transmit_queues, filters, rss_contexts, vadaptors }
    }

    /// Frees everything that the function holds of the adapter.
    fn free(&mut self) {
        self.vnic.reset();
        self.vadaptor = None;
        self.bridge = Bridge::default();
        self.steering = Steering::default();
        self.events_to = 0;
        self.periodic = None;
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
    /// The capability TX_MAC_SECURITY_FILTERING.
    pub tx_mac_filtering: bool,
    pub boot_count: u16,
    /// The physical ports, by their numbers.
    pub ports: Vec<Port>,
    /// RULES_VERSION to report.
    pub rules_version: u32,
    /// Commands that were executed, by all functions.
    pub executed: u64,
    /// Handle of the next filter, over all functions.
    pub next_filter: u64,
    /// Number of the next RSS context, over all functions.
    pub next_context: u32,
    /// How often statistics were taken.
    pub generation: u32,
    /// Whether self-tests keep traffic from passing.
    pub offline: Offline,
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

/// Commands that every firmware variant has.
const COMMANDS: [&[Command]; 7] = [
    board::COMMANDS,
    evb::COMMANDS,
    function::COMMANDS,
    health::COMMANDS,
    port::COMMANDS,
    queues::COMMANDS,
    vadaptor::COMMANDS,
];

fn find(tables: &[&'static [Command]], cmd: Cmd) -> Option<&'static Command> {
    tables.iter().flat_map(|table| table.iter()).find(|command| command.cmd == cmd)
}

/// What goes back into the request's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        let Some(first) = dword(request, 0) else { return Answer::Silence };
        let header = Header::decode([first, dword(request, 4).unwrap_or(0)]);
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
        let answer = self.execute(function, &header, payload, fault);
        self.completed(function, answer)
    }

    fn run(&mut self, function: usize, cmd: Cmd, payload: &[u8]) -> Reply {
        let rules = find(&[rules::COMMANDS], cmd);
        let command = rules.or_else(|| find(&COMMANDS, cmd)).ok_or(McErrno::ENOSYS)?;
        let own = self.functions.get(function).ok_or(McErrno::ENOENT)?;
        let unbound = Privileges::ADMIN_TSA_UNBOUND;
        if !own.config.privileges.contains(command.privilege) || (self.bound && command.privilege == unbound) {
            return Err(McErrno::EPERM);
        }
        // The rule commands belong to one firmware variant; another one does not know them (an inference).
        if rules.is_some() && self.variant != FirmwareVariant::RulesEngine {
            return Err(McErrno::ENOSYS);
        }
        let (shortest, longest) = command.request;
        if !(shortest..=longest).contains(&payload.len()) {
            return Err(McErrno::EINVAL);
        }
        self.executed += 1;
        (command.run)(self, function, payload)
    }

    /// Runs a command, with a line in the log for whoever wants to see what a driver does.
    fn run_logged(&mut self, function: usize, cmd: Cmd, payload: &[u8]) -> Reply {
        let reply = self.run(function, cmd, payload);
        match &reply {
            Ok(answer) => log::debug!("function {function}: {cmd}, {} bytes: {} bytes", payload.len(), answer.len()),
            Err(code) => log::debug!("function {function}: {cmd}, {} bytes: {code}", payload.len()),
        }
        reply
    }

    /// Reboots the MC: see ef10.md 4.7 and assumptions A12, A14. Drivers are told before their queues are gone.
    pub fn reboot(&mut self) {
        self.boot_count = self.boot_count.wrapping_add(1);
        self.engine.reboot();
        self.offline = Offline::No;
        for function in 0..self.functions.len() {
            self.tell(function, reboot_event(self.boot_count));
        }
        for function in &mut self.functions {
            function.epoch = false;
            function.attached = 0;
            function.free();
        }
    }

    /// Resets a function (FLR): what it holds is freed, its rules stay (assumption A12).
    pub fn reset_function(&mut self, function: usize) {
        if let Some(own) = self.functions.get_mut(function) {
            own.epoch = false;
            own.attached = 0;
            own.completions = Completions::default();
            own.free();
        }
        self.engine.function_reset(function);
    }

    /// The answer to `request` lies in memory: the events that follow it.
    pub fn answered(&mut self, function: usize, request: &[u8], answer: &[u8]) {
        let header = |bytes: &[u8]| Header::decode([0, 4].map(|at| dword(bytes, at).unwrap_or(0)));
        let (asked, told) = (header(request), header(answer));
        if asked.xflags.contains(XFlags::EVREQ) {
            let errno =
                if told.status == Status::Failed { dword(answer, told.form.header_len()).unwrap_or(0) } else { 0 };
            self.tell(function, command_done(asked.seq, told.len, errno));
        }
        if let Some(own) = self.functions.get_mut(function) {
            own.vnic.answered();
        }
    }

    /// Sends an event to the queue that a function's driver has chosen for the MC's events.
    fn tell(&mut self, function: usize, event: u64) {
        if let Some(own) = self.functions.get_mut(function) {
            own.vnic.notify(own.events_to, event);
        }
    }

    /// The port behind a function.
    fn port_of(&mut self, function: usize) -> Result<&mut Port, McErrno> {
        let port = self.functions.get(function).map(|own| own.config.port).ok_or(McErrno::ENOENT)?;
        usize::try_from(port).ok().and_then(|port| self.ports.get_mut(port)).ok_or(McErrno::ENODEV)
    }

    /// Whether a physical port has this number.
    pub fn has_port(&self, port: u32) -> bool {
        usize::try_from(port).is_ok_and(|port| port < self.ports.len())
    }
}

fn dword(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
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
mod board_tests;
#[cfg(test)]
mod host_tests;
#[cfg(test)]
mod tests;
