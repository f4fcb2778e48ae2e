//! What C says in numbers and structures, as the library's own types.

use std::ffi::c_int;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::IpNet;
use nicfw::policy::{AddrExpr, AddrTerm, Attach, BindingBuilder, MacvlanMode, Proto, RuleBuilder};
use nicfw::terms::{IpHeader, Packet};
use nicfw::{Direction, MacAddr, Verdict};

use crate::failure::{Failure, Result};
use crate::memory::Memory;
use crate::nicfw_attach::*;
use crate::nicfw_code::{NICFW_E_ARGUMENT, NICFW_E_UNSUPPORTED};
use crate::nicfw_direction::{NICFW_IN, NICFW_OUT};
use crate::nicfw_proto::{NICFW_PROTO_ANY, NICFW_PROTO_NUMBER};
use crate::nicfw_replies::{NICFW_REPLIES_DEFAULT, NICFW_REPLIES_NO, NICFW_REPLIES_YES};
use crate::nicfw_verdict::{NICFW_ALLOW, NICFW_DENY};
use crate::types::{nicfw_addr, nicfw_binding, nicfw_packet, nicfw_ports, nicfw_rule, nicfw_term};

/// Bytes that a later version may give a meaning: until then they are zero.
fn zero(reserved: impl IntoIterator<Item = impl Into<u64>>, what: &str) -> Result<()> {
    if reserved.into_iter().all(|byte| byte.into() == 0) {
        return Ok(());
    }
    Err(Failure::new(NICFW_E_UNSUPPORTED, format!("{what} says something in its reserved field")).at(what))
}

fn bad(what: &str, text: &str) -> Failure {
    Failure::new(NICFW_E_ARGUMENT, format!("{what} {text}")).at(what)
}

/// The value that a number of C stands for.
pub fn choice<T, const N: usize>(number: c_int, all: [(c_int, T); N], what: &str) -> Result<T> {
    let found = all.into_iter().find(|(known, _)| *known == number).map(|(_, value)| value);
    found
        .ok_or_else(|| Failure::new(NICFW_E_ARGUMENT, format!("{what} is {number}, which stands for nothing")).at(what))
}

/// A number of C that says yes (1) or no (0).
pub fn flag(number: u32, what: &str) -> Result<bool> {
    choice(c_int::from(number > 1) * 2 + c_int::from(number == 1), [(0, false), (1, true)], what)
}

/// A verdict; it has no default.
pub fn verdict_of_c(verdict: c_int, what: &str) -> Result<Verdict> {
    choice(verdict, [(NICFW_ALLOW as c_int, Verdict::Allow), (NICFW_DENY as c_int, Verdict::Deny)], what)
}

/// A prefix.
fn net(from: &nicfw_addr, what: &str) -> Result<IpNet> {
    let bytes = from.bytes;
    let [a, b, c, d, ..] = bytes;
    let address = match from.len {
        4 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        16 => IpAddr::V6(Ipv6Addr::from(bytes)),
        _ => return Err(bad(what, &format!("has an address of {} bytes, expected 4 or 16", from.len))),
    };
    IpNet::new(address, from.prefix).map_err(|_| bad(what, &format!("has a prefix of {} bits", from.prefix)))
}

/// One address.
pub fn address(from: &nicfw_addr, what: &str) -> Result<IpAddr> {
    let net = net(from, what)?;
    let single = net.prefix_len() == net.max_prefix_len();
    if single { Ok(net.addr()) } else { Err(bad(what, "is a prefix, one address is expected (32 or 128 bits)")) }
}

/// Addresses of a rule or a group.
pub fn addresses(memory: Memory<'_>, terms: *const nicfw_term, count: usize, what: &str) -> Result<AddrExpr> {
    let (mut of, mut except) = (Vec::new(), Vec::new());
    for term in memory.array(terms, count, what)? {
        zero(term.reserved, what)?;
        let into = if flag(term.except.into(), what)? { &mut except } else { &mut of };
        into.push(match memory.maybe_text(term.group, what)? {
            Some(group) => AddrTerm::Group(group.to_owned()),
            None => AddrTerm::Net(net(&term.net, what)?),
        });
    }
    // Nothing but exceptions: from everything.
    if of.is_empty() && !except.is_empty() {
        of.push(AddrTerm::Any);
    }
    Ok(AddrExpr::of(of).except(except))
}

/// Ranges of ports.
pub fn ranges(ports: &[nicfw_ports], what: &str) -> Result<Vec<RangeInclusive<u16>>> {
    let range = |ports: &nicfw_ports| {
        let sound = ports.first <= ports.last;
        sound.then_some(ports.first..=ports.last).ok_or_else(|| bad(what, "has a range that ends before it begins"))
    };
    ports.iter().map(range).collect()
}

/// The same of a rule; `None` for NULL.
fn maybe_ranges(
    memory: Memory<'_>,
    ports: *const nicfw_ports,
    count: usize,
    what: &str,
) -> Result<Option<Vec<RangeInclusive<u16>>>> {
    if ports.is_null() && count == 0 {
        return Ok(None);
    }
    ranges(&memory.array(ports, count, what)?, what).map(Some)
}

/// `make` applied to a value that was said.
fn with<B, T>(builder: B, said: Option<T>, make: impl FnOnce(B, T) -> B) -> B {
    match said {
        Some(said) => make(builder, said),
        None => builder,
    }
}

/// Who asks for a rule or a binding, why, and when.
macro_rules! with_origin {
    ($memory:ident, $builder:ident, $from:ident, $type:ty) => {{
        let builder = with($builder, $memory.maybe_text($from.owner, "owner")?, <$type>::owner);
        let builder = with(builder, $memory.maybe_text($from.reason, "reason")?, <$type>::reason);
        let builder = with(builder, $memory.maybe_text($from.ticket, "ticket")?, <$type>::ticket);
        let builder = with(builder, $memory.maybe_text($from.when, "when")?, <$type>::when);
        with(builder, $memory.maybe_text($from.until, "until")?, <$type>::until)
    }};
}

/// A rule.
pub fn rule_of_c(memory: Memory<'_>, from: &nicfw_rule) -> Result<RuleBuilder> {
    zero([from.reserved], "rule")?;
    let directions = [(NICFW_IN as c_int, Direction::Rx), (NICFW_OUT as c_int, Direction::Tx)];
    let direction = choice(from.direction, directions, "rule.direction")?;
    let rule = match verdict_of_c(from.action, "rule.action")? {
        Verdict::Allow => RuleBuilder::allow(direction),
        Verdict::Deny => RuleBuilder::deny(direction),
    };
    let replies = [
        (NICFW_REPLIES_DEFAULT as c_int, None),
        (NICFW_REPLIES_YES as c_int, Some(true)),
        (NICFW_REPLIES_NO as c_int, Some(false)),
    ];
    let rule = rule.proto(proto(from.proto)?);
    let rule = with(rule, choice(from.replies, replies, "rule.replies")?, RuleBuilder::replies);
    let rule = if flag(from.sample, "rule.sample")? { rule.sample() } else { rule };
    let said = |terms: *const nicfw_term, count, what| {
        let named = !terms.is_null() || count > 0;
        named.then(|| addresses(memory, terms, count, what)).transpose()
    };
    let rule = with(rule, said(from.remote, from.remote_count, "rule.remote")?, RuleBuilder::remote);
    let rule = with(rule, said(from.local, from.local_count, "rule.local")?, RuleBuilder::local);
    let remote = maybe_ranges(memory, from.remote_ports, from.remote_ports_count, "rule.remote_ports")?;
    let local = maybe_ranges(memory, from.local_ports, from.local_ports_count, "rule.local_ports")?;
    let rule = with(rule, remote, RuleBuilder::remote_ports);
    let rule = with(rule, local, RuleBuilder::local_ports);
    Ok(with_origin!(memory, rule, from, RuleBuilder))
}

fn proto(number: c_int) -> Result<Proto> {
    if number == NICFW_PROTO_ANY as c_int {
        return Ok(Proto::Any);
    }
    let number = number.checked_sub(NICFW_PROTO_NUMBER as c_int).and_then(|number| u8::try_from(number).ok());
    number.map(Proto::Is).ok_or_else(|| bad("rule.proto", "is neither 0 nor NICFW_PROTO_NUMBER plus a protocol"))
}

/// A container with its addresses.
pub fn binding_of_c(memory: Memory<'_>, from: &nicfw_binding) -> Result<BindingBuilder> {
    zero([from.reserved], "binding")?;
    let attach = [
        (NICFW_ATTACH_NONE as c_int, Attach::None),
        (NICFW_ATTACH_MACVLAN_VEPA as c_int, Attach::Macvlan(MacvlanMode::Vepa)),
        (NICFW_ATTACH_MACVLAN_PRIVATE as c_int, Attach::Macvlan(MacvlanMode::Private)),
        (NICFW_ATTACH_MACVLAN_BRIDGE as c_int, Attach::Macvlan(MacvlanMode::Bridge)),
        (NICFW_ATTACH_IPVLAN as c_int, Attach::Ipvlan),
        (NICFW_ATTACH_BRIDGE as c_int, Attach::Bridge),
        (NICFW_ATTACH_SRIOV as c_int, Attach::Sriov),
    ];
    let attach = choice(from.attach, attach, "binding.attach")?;
    let container = memory.text(from.container, "binding.container")?;
    let policy = memory.text(from.policy, "binding.policy")?;
    let mut binding = BindingBuilder::new(container, MacAddr(from.mac), attach, policy);
    for ip in memory.array(from.ips, from.ips_count, "binding.ips")? {
        binding = binding.ip(address(&ip, "binding.ips")?);
    }
    let ports = memory.array(from.physical_ports, from.physical_ports_count, "binding.physical_ports")?;
    let binding = binding.physical_ports(ports);
    let binding = with(binding, (from.vlan != 0).then_some(from.vlan), BindingBuilder::vlan);
    let binding = if flag(from.open_nd, "binding.open_nd")? { binding.open_nd() } else { binding };
    let accepted = flag(from.accept_unprotected, "binding.accept_unprotected")?;
    let binding = if accepted { binding.accept_unprotected() } else { binding };
    Ok(with_origin!(memory, binding, from, BindingBuilder))
}

/// The headers of a frame.
pub fn packet_of_c(from: &nicfw_packet) -> Result<Packet> {
    zero([from.reserved], "packet")?;
    let tag = |tag: u16| tag.checked_sub(1);
    let ip = if from.src.len == 0 && from.dst.len == 0 {
        None
    } else {
        let (src, dst) = (address(&from.src, "packet.src")?, address(&from.dst, "packet.dst")?);
        let number = u32::from(from.proto).checked_sub(NICFW_PROTO_NUMBER as u32);
        let proto = number.map(u8::try_from).transpose().ok().filter(|_| from.proto == 0 || number.is_some());
        let bad = |what: &str, text: &str| Failure::new(NICFW_E_ARGUMENT, format!("{what} {text}")).at(what);
        let proto = proto.ok_or_else(|| bad("packet.proto", "is neither 0 nor NICFW_PROTO_NUMBER plus a protocol"))?;
        if src.is_ipv4() != dst.is_ipv4() {
            return Err(bad("packet.dst", "is of another family than packet.src"));
        }
        let ports = flag(from.has_ports.into(), "packet.has_ports")?.then_some((from.src_port, from.dst_port));
        Some(IpHeader { src, dst, proto, ports })
    };
    Ok(Packet {
        src_mac: MacAddr(from.src_mac),
        dst_mac: MacAddr(from.dst_mac),
        outer_vlan: tag(from.outer_vlan),
        inner_vlan: tag(from.inner_vlan),
        ether_type: from.ether_type,
        ip,
    })
}
