//! The numbers and structures of the header.
//!
//! A structure that may grow begins with `size`, which the caller sets; see `memory.rs` for how it is read and written.

use std::ffi::{c_char, c_int};

/// What a call returns: `NICFW_OK`, or why it failed. Numbers are never reused.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum nicfw_code {
    /// Done.
    NICFW_OK = 0,
    /// An argument is NULL, not UTF-8, malformed or out of range.
    NICFW_E_ARGUMENT = -1,
    /// A handle is closed, of another kind, NULL, or was never given out.
    NICFW_E_HANDLE = -2,
    /// A structure is larger than this version of the library knows, and says something where it does not know it.
    NICFW_E_UNSUPPORTED = -3,
    /// An error of the library itself. The adapter handle that was passed, if any, may only be closed.
    NICFW_E_INTERNAL = -4,
    /// The library was called from one of its own callbacks.
    NICFW_E_CALLBACK = -5,
    /// Too many handles are open.
    NICFW_E_LIMIT = -6,
    /// The buffer is too small. The size that is needed was written all the same.
    NICFW_E_BUFFER = -7,
    /// There is no such function, item, field or container.
    NICFW_E_NOT_FOUND = -8,
    /// A file or the machine cannot be read.
    NICFW_E_IO = -9,
    /// A policy is wrong: its text, its file, or what was built.
    NICFW_E_POLICY = -10,
    /// The text of a flow is wrong.
    NICFW_E_FLOW = -11,
    /// The adapter's tables are too small for the policy or the change. Nothing was sent.
    NICFW_E_FIT = -12,
    /// The adapter's tables cannot say what the policy says. Nothing was sent.
    NICFW_E_EXPRESS = -13,
    /// A function cannot be opened.
    NICFW_E_OPEN = -14,
    /// nicfw does not work with the adapter.
    NICFW_E_ATTACH = -15,
    /// The adapter refused or lost a command.
    NICFW_E_ADAPTER = -16,
    /// The call comes too early or too late: nothing is adopted yet, or taking over has failed.
    NICFW_E_ORDER = -17,
    /// The plan was made for other tables than the adapter has by now, or for another adapter.
    NICFW_E_STALE = -18,
    /// Somebody else has changed the adapter's tables.
    NICFW_E_FOREIGN = -19,
    /// An earlier call left the adapter in an unknown state, or it could not be brought out of one.
    NICFW_E_RECOVER = -20,
    /// Another container holds the address.
    NICFW_E_HELD = -21,
    /// The process was forked from one that used the library.
    NICFW_E_FORK = -22,
}

/// What an adapter holds after an error. Never "partly".
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum nicfw_state {
    /// What it held before the call; also where the call concerned no adapter.
    NICFW_STATE_UNCHANGED = 0,
    /// The containers that the message names have lost all their allows; everything else is as before.
    NICFW_STATE_CLOSED = 1,
    /// Unknown: `nicfw_adapter_recover` comes first.
    NICFW_STATE_UNKNOWN = 2,
    /// It drops all traffic until somebody adopts it with success.
    NICFW_STATE_BLOCKED = 3,
}

/// Whether frames pass.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum nicfw_verdict {
    /// They pass.
    NICFW_ALLOW = 1,
    /// They are dropped.
    NICFW_DENY = 2,
}

/// Which way frames go, seen from the host.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum nicfw_direction {
    /// Received.
    NICFW_IN = 1,
    /// Transmitted.
    NICFW_OUT = 2,
}

/// Protocol of a rule: any, or `NICFW_PROTO_NUMBER` plus an IP protocol number (0 to 255).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum nicfw_proto {
    /// Any protocol; with ports: TCP, UDP and SCTP.
    NICFW_PROTO_ANY = 0,
    /// Add the IP protocol number.
    NICFW_PROTO_NUMBER = 0x100,
    /// ICMP, all types.
    NICFW_PROTO_ICMP = 0x101,
    /// TCP.
    NICFW_PROTO_TCP = 0x106,
    /// UDP.
    NICFW_PROTO_UDP = 0x111,
    /// ICMPv6, all types.
    NICFW_PROTO_ICMPV6 = 0x13a,
    /// SCTP.
    NICFW_PROTO_SCTP = 0x184,
}

/// Whether an allow admits replies.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum nicfw_replies {
    /// As a policy file that does not say: yes.
    NICFW_REPLIES_DEFAULT = 0,
    /// Yes.
    NICFW_REPLIES_YES = 1,
    /// No.
    NICFW_REPLIES_NO = 2,
}

/// How a container reaches the adapter.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum nicfw_attach {
    /// Not by any of the others; nothing is assumed.
    NICFW_ATTACH_NONE = 0,
    /// MACVLAN in mode vepa.
    NICFW_ATTACH_MACVLAN_VEPA = 1,
    /// MACVLAN in mode private.
    NICFW_ATTACH_MACVLAN_PRIVATE = 2,
    /// MACVLAN in mode bridge: containers reach each other inside the kernel.
    NICFW_ATTACH_MACVLAN_BRIDGE = 3,
    /// IPVLAN: shares the host's MAC.
    NICFW_ATTACH_IPVLAN = 4,
    /// A Linux bridge.
    NICFW_ATTACH_BRIDGE = 5,
    /// A virtual function of its own.
    NICFW_ATTACH_SRIOV = 6,
}

/// What `nicfw_adapter_close` leaves behind.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum nicfw_leave {
    /// The rules, which go on deciding.
    NICFW_LEAVE_RULES = 0,
    /// The rules, and all traffic blocked until somebody adopts the adapter or its management controller reboots.
    NICFW_LEAVE_BLOCKED = 1,
    /// No rules: everything passes.
    NICFW_LEAVE_EMPTY = 2,
}

/// How much is said to the log callback; each level includes those before it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum nicfw_log_level {
    /// Nothing.
    NICFW_LOG_OFF = 0,
    /// An operator must act.
    NICFW_LOG_ERROR = 1,
    /// Odd, but handled.
    NICFW_LOG_WARN = 2,
    /// Attached, reset, changed.
    NICFW_LOG_INFO = 3,
    /// One line per command.
    NICFW_LOG_DEBUG = 4,
    /// The bytes of commands.
    NICFW_LOG_TRACE = 5,
}

/// What can be asked of an item of a list. Which fields an item has stands with the function that makes the list.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum nicfw_field {
    /// Text: the whole item in words.
    NICFW_FIELD_TEXT = 1,
    /// Text: the name of a policy file or of a built policy.
    NICFW_FIELD_FILE = 2,
    /// Number: the line in it, from 1; 0 if it was built.
    NICFW_FIELD_LINE = 3,
    /// Number: the column, from 1.
    NICFW_FIELD_COLUMN = 4,
    /// Text: who asked for it.
    NICFW_FIELD_OWNER = 5,
    /// Text: why.
    NICFW_FIELD_REASON = 6,
    /// Text: the ticket.
    NICFW_FIELD_TICKET = 7,
    /// Text: since when, as written.
    NICFW_FIELD_WHEN = 8,
    /// Text: until when, as written.
    NICFW_FIELD_UNTIL = 9,
    /// Number: a `nicfw_verdict`.
    NICFW_FIELD_VERDICT = 10,
    /// Number: a `nicfw_direction`.
    NICFW_FIELD_DIRECTION = 11,
    /// Text: what the deciding entry matches; of a counter, the entries that count with it, one a line.
    NICFW_FIELD_ENTRY = 12,
    /// Number: a counter, from 0, as `nicfw_adapter_read_counters` names it.
    NICFW_FIELD_COUNTER = 13,
    /// Number: frames received since the counter came into use.
    NICFW_FIELD_RX_FRAMES = 14,
    /// Number: frames transmitted since the counter came into use.
    NICFW_FIELD_TX_FRAMES = 15,
    /// Number: frames received since the reading before.
    NICFW_FIELD_RX_NEW = 16,
    /// Number: frames transmitted since the reading before.
    NICFW_FIELD_TX_NEW = 17,
    /// Text: a container.
    NICFW_FIELD_CONTAINER = 18,
    /// Text: its policy.
    NICFW_FIELD_POLICY = 19,
    /// Text: its addresses, one a line.
    NICFW_FIELD_ADDRESSES = 20,
    /// Text: its MAC.
    NICFW_FIELD_MAC = 21,
    /// Number: 1 if the policy in force binds the container, 0 if its addresses are kept closed.
    NICFW_FIELD_BOUND = 22,
    /// Text: a table of the adapter, such as "rules". Which there are depends on the family of the adapter's tables.
    NICFW_FIELD_TABLE = 23,
    /// Number: how much of the table is used.
    NICFW_FIELD_USED = 24,
    /// Number: how much there is.
    NICFW_FIELD_AVAILABLE = 25,
    /// Number: how much is missing.
    NICFW_FIELD_MISSING = 26,
    /// Text: policies and what they use, the largest first, one a line.
    NICFW_FIELD_BY_POLICY = 27,
    /// Text: containers and what they use, the largest first, one a line.
    NICFW_FIELD_BY_CONTAINER = 28,
    /// Number: a `nicfw_phase`.
    NICFW_FIELD_PHASE = 29,
    /// Number: 1 if the grace time passes before the command.
    NICFW_FIELD_PAUSE = 30,
    /// Text: the command that takes it back.
    NICFW_FIELD_UNDO = 31,
    /// Text: PCI address of a function.
    NICFW_FIELD_PCI_ADDRESS = 32,
    /// Number: PCI vendor id.
    NICFW_FIELD_VENDOR = 33,
    /// Number: PCI device id.
    NICFW_FIELD_DEVICE = 34,
    /// Text: the chip.
    NICFW_FIELD_CHIP = 35,
    /// Text: the kernel driver that holds the function.
    NICFW_FIELD_DRIVER = 36,
    /// Number: a `nicfw_suitability`.
    NICFW_FIELD_SUITABILITY = 37,
    /// Text: what stands in the way, one a line: of nicfw, or of a flow.
    NICFW_FIELD_OBSTACLES = 38,
    /// Text: the commands that clear it, for a root shell, one a line.
    NICFW_FIELD_COMMANDS = 39,
    /// Text: the kind of a finding, such as "never-matches".
    NICFW_FIELD_LINT = 40,
    /// Number: how many more.
    NICFW_FIELD_MORE = 41,
    /// Text: what an entry matches, one field with its value a line, such as "local_ip=10.30.1.17". Which fields there are
    /// depends on the family of the adapter's tables.
    NICFW_FIELD_MATCHES = 42,
}

/// What a command of a plan is for, in the order in which they come.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum nicfw_phase {
    /// Makes room for what comes. No verdict changes.
    NICFW_PHASE_PREPARE = 1,
    /// Takes away what the new policy denies.
    NICFW_PHASE_TIGHTEN = 2,
    /// Gives what only the new policy allows.
    NICFW_PHASE_LOOSEN = 3,
    /// Removes what nothing reaches any more. No verdict changes.
    NICFW_PHASE_TIDY = 4,
}

/// Whether nicfw can use a function, as far as can be told without opening it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum nicfw_suitability {
    /// It cannot; the obstacles say why.
    NICFW_UNSUITABLE = 0,
    /// It can.
    NICFW_SUITABLE = 1,
    /// Nothing stands in the way that can be seen from outside; the firmware answers the rest when it is opened.
    NICFW_UNKNOWN_UNTIL_OPEN = 2,
}

/// An error, in the caller's own memory: nothing to free, and as many as there are threads.
///
/// Begin with `NICFW_INIT(nicfw_error)`. It is written only when a call fails. Texts end with NUL; one that is too long is
/// cut and ends with "...".
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nicfw_error {
    /// Set it to `sizeof(nicfw_error)`.
    pub size: usize,
    /// The `nicfw_code` that the call returned.
    pub code: c_int,
    /// A `nicfw_state`: what the adapter holds now.
    pub state: c_int,
    /// Line of the policy file that is at fault or asked for what failed, from 1; 0 = none.
    pub line: u32,
    /// Column in it, from 1; 0 = none.
    pub column: u32,
    /// MCDI command that failed; 0 = none.
    pub command: u32,
    /// Error with which the firmware refused it; 0 = none.
    pub firmware_error: u32,
    /// Where: the policy file, function, container or argument.
    pub place: [c_char; 256],
    /// What is wrong, and the way out.
    pub message: [c_char; 1024],
}

/// How to open an adapter. Zero means default everywhere.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nicfw_open_opts {
    /// Set it to `sizeof(nicfw_open_opts)`.
    pub size: usize,
    /// How long the adapter may take for one command, in milliseconds; 0 = 10 seconds.
    pub command_timeout_ms: u32,
    /// 1 = change the firmware variant to the rules engine if another runs. That disturbs every function of the adapter.
    pub switch_firmware: u32,
    /// How long a frame can be in flight between two tables, in microseconds; 0 = 10 milliseconds.
    pub grace_us: u32,
    /// What a reboot of the adapter would load is brought up to date no more often than this, in milliseconds; 0 = once a
    /// minute.
    pub commit_every_ms: u32,
}

/// What an adapter is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nicfw_adapter_info {
    /// Set it to `sizeof(nicfw_adapter_info)`.
    pub size: usize,
    /// PCI vendor id.
    pub vendor: u16,
    /// PCI device id.
    pub device: u16,
    /// Version of the firmware, most significant number first.
    pub firmware: [u16; 4],
    /// Firmware of the receive datapath; 5 = rules engine.
    pub rx_variant: u16,
    /// Firmware of the transmit datapath.
    pub tx_variant: u16,
    /// Build time of the firmware, in seconds since 1970 UTC.
    pub firmware_build: u32,
    /// Version of the family of its tables, as the adapter reports it (rules: RULES_VERSION).
    pub family_version: u32,
    /// Number of the physical function.
    pub physical_function: u32,
    /// Its physical port, from 0; -1 = none.
    pub port: i32,
    /// What the function may do (MCDI privilege mask).
    pub privileges: u32,
    /// Physical ports of the adapter.
    pub physical_ports: u32,
    /// Counter pairs of the adapter.
    pub counters: u32,
    /// Width of a counter in bits.
    pub counter_width: u32,
    /// Ethernet address of the function.
    pub mac: [u8; 6],
    /// 0.
    pub reserved: [u8; 2],
    /// 1 once a policy was adopted.
    pub adopted: u32,
    /// 1 if nothing but `nicfw_adapter_recover` and `nicfw_adapter_close` is accepted.
    pub needs_recovery: u32,
    /// Entries in its tables, as far as they come from this handle.
    pub entries: u64,
    /// Family of its tables, such as "rules".
    pub family: [c_char; 16],
}

/// One size of an adapter's tables.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nicfw_size {
    /// Its name, which ends with NUL.
    pub name: [c_char; 32],
    /// How much there is; 0 = the default.
    pub value: u64,
}

/// What a policy is compiled for: the family of an adapter's tables, and how large they are. Zero means the default of the
/// first supported adapters, except in `family_version`, where it is a version like others.
///
/// Sizes of the family "rules", the rules engine: rules (entries of the rule table), counters (pairs), combinations (of match
/// fields that may be in use), subnet_nodes and entries_per_node (2, 4, 16 or 256) of the subnet map, subnet_id_min and
/// subnet_id_max (its ids), port_tree_entries of a port-range map, portrange_id_min and portrange_id_max (its ids).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nicfw_target {
    /// Set it to `sizeof(nicfw_target)`.
    pub size: usize,
    /// Family of the tables, which ends with NUL: "rules", or "" for the same.
    pub family: [c_char; 16],
    /// Version of the family (rules: RULES_VERSION). 0 is the only one that is known.
    pub family_version: u32,
    /// Physical ports.
    pub physical_ports: u32,
    /// How many of `sizes` say something.
    pub sizes_count: u32,
    /// 0.
    pub reserved: u32,
    /// Sizes, each named once, in any order.
    pub sizes: [nicfw_size; 24],
}

/// An IP address or a prefix.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nicfw_addr {
    /// The address in network order: the first 4 bytes of an IPv4 address, 16 of an IPv6 address.
    pub bytes: [u8; 16],
    /// 4 for IPv4, 16 for IPv6.
    pub len: u8,
    /// Length of the prefix in bits; 32 or 128 = one address.
    pub prefix: u8,
}

/// Addresses of a rule or a group: prefixes and names of groups, some of them taken away.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nicfw_term {
    /// Name of a group; NULL = the prefix counts.
    pub group: *const c_char,
    /// The prefix.
    pub net: nicfw_addr,
    /// 1 = these are taken away from the others.
    pub except: u8,
    /// 0.
    pub reserved: [u8; 5],
}

/// Ports, both ends included.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nicfw_ports {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// A rule. Arrays and texts are copied. Zero and NULL mean what a policy file means that does not say.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nicfw_rule {
    /// Set it to `sizeof(nicfw_rule)`.
    pub size: usize,
    /// A `nicfw_direction`; must be said.
    pub direction: c_int,
    /// A `nicfw_verdict`; must be said.
    pub action: c_int,
    /// A `nicfw_proto`.
    pub proto: c_int,
    /// A `nicfw_replies`.
    pub replies: c_int,
    /// 1 = also send samples.
    pub sample: u32,
    /// 0.
    pub reserved: u32,
    /// Remote addresses; NULL = any.
    pub remote: *const nicfw_term,
    /// How many.
    pub remote_count: usize,
    /// Bound addresses that the rule applies to; NULL = all that use the policy.
    pub local: *const nicfw_term,
    /// How many.
    pub local_count: usize,
    /// Remote ports; NULL = any, and frames without ports.
    pub remote_ports: *const nicfw_ports,
    /// How many.
    pub remote_ports_count: usize,
    /// Local ports; NULL = any, and frames without ports.
    pub local_ports: *const nicfw_ports,
    /// How many.
    pub local_ports_count: usize,
    /// Who asks for it; NULL = the policy's owner.
    pub owner: *const c_char,
    /// Why; NULL = not said.
    pub reason: *const c_char,
    /// Ticket; NULL = not said.
    pub ticket: *const c_char,
    /// Since when, as 2026-11-23 or 2026-11-23T08:30:00Z; NULL = not said.
    pub when: *const c_char,
    /// Until when, in the same form; NULL = not said. Nobody enforces it.
    pub until: *const c_char,
}

/// A container with its addresses and its policy. Arrays and texts are copied. Zero and NULL mean what a policy file means
/// that does not say.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nicfw_binding {
    /// Set it to `sizeof(nicfw_binding)`.
    pub size: usize,
    /// Id of the container; must be said.
    pub container: *const c_char,
    /// Name of its policy; must be said.
    pub policy: *const c_char,
    /// Its addresses, each with the full prefix.
    pub ips: *const nicfw_addr,
    /// How many.
    pub ips_count: usize,
    /// The MAC of its frames.
    pub mac: [u8; 6],
    /// VLAN id of the first tag; 0 = tags are not looked at.
    pub vlan: u16,
    /// A `nicfw_attach`.
    pub attach: c_int,
    /// 1 = opens ICMPv6 for neighbour discovery, which IPv6 addresses need.
    pub open_nd: u32,
    /// 1 = accepts that other containers reach this one inside the host.
    pub accept_unprotected: u32,
    /// 0.
    pub reserved: u32,
    /// Physical ports, from 0; NULL = all.
    pub physical_ports: *const u32,
    /// How many.
    pub physical_ports_count: usize,
    /// Who asks for it; NULL = the policy's owner.
    pub owner: *const c_char,
    /// Why; NULL = not said.
    pub reason: *const c_char,
    /// Ticket; NULL = not said.
    pub ticket: *const c_char,
    /// Since when; NULL = not said.
    pub when: *const c_char,
    /// Until when; NULL = not said. Nobody enforces it.
    pub until: *const c_char,
}

/// The headers of a frame.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nicfw_packet {
    /// Set it to `sizeof(nicfw_packet)`.
    pub size: usize,
    /// Source MAC.
    pub src_mac: [u8; 6],
    /// Destination MAC.
    pub dst_mac: [u8; 6],
    /// Ether type behind the tags.
    pub ether_type: u16,
    /// VLAN id of the first tag plus 1; 0 = no tag.
    pub outer_vlan: u16,
    /// VLAN id of the second tag plus 1; 0 = no second tag.
    pub inner_vlan: u16,
    /// `NICFW_PROTO_NUMBER` plus the protocol behind IPv6 extension headers; 0 = unknown.
    pub proto: u16,
    /// 1 = the frame shows ports: TCP, UDP or SCTP, and not a later fragment.
    pub has_ports: u16,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// 0.
    pub reserved: u16,
    /// Physical port that it crosses, from 0.
    pub physical_port: u32,
    /// Source address; `len` 0 = no IP header.
    pub src: nicfw_addr,
    /// Destination address.
    pub dst: nicfw_addr,
}

/// What a plan will do.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nicfw_plan_info {
    /// Set it to `sizeof(nicfw_plan_info)`.
    pub size: usize,
    /// Commands.
    pub commands: u64,
    /// How often the grace time passes.
    pub pauses: u64,
    /// Containers whose flows may be denied meanwhile although old and new policy allow them.
    pub closed_meanwhile: u64,
}

/// What a change did.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nicfw_report {
    /// Set it to `sizeof(nicfw_report)`.
    pub size: usize,
    /// Commands that changed the tables.
    pub commands: u64,
    /// How often the grace time passed.
    pub pauses: u64,
    /// Containers whose flows may have been denied meanwhile although old and new policy allow them.
    pub closed_meanwhile: u64,
    /// Generation of the tables; each change of them makes the next one.
    pub generation: u64,
    /// 1 if a reboot of the adapter would load older tables.
    pub cache_behind: u32,
    /// Bytes of `fingerprint`; 0 = there is none: it could not be read, is longer, or such tables tell none.
    pub fingerprint_len: u32,
    /// The adapter's own hash over its tables.
    pub fingerprint: [u8; 64],
    /// Family of the tables, such as "rules".
    pub family: [c_char; 16],
}
