//! Flows as people write them, for `explain` and for tests.
//!
//! ```text
//! tcp 10.20.3.4:51000 > 10.30.1.17:443
//! udp [2001:db8::4]:40000 > [2001:db8::17]:53 in vlan=100
//! icmp 10.30.1.17 > 10.20.3.4
//! tcp 10.20.3.4 > 10.30.1.17 fragment
//! arp 02:00:0a:1e:01:11 > ff:ff:ff:ff:ff:ff out
//! ```
//!
//! First what it is: `tcp`, `udp`, `sctp` (with ports), `icmp`, `icmpv6`, a protocol number or `unknown`; or, between two
//! MACs instead of two addresses, `arp` or an ether type as `0x88cc`. Then source `>` destination, then options in any order:
//!
//! | option | means | without it |
//! |---|---|---|
//! | `in`, `out` | judged where it is received, or where it is sent | where an end is bound; where both are, out and then in |
//! | `src-mac=`, `dst-mac=` | the MACs of the frame | those of the bindings and of the management's hosts, or a documentation MAC (RFC 7042) |
//! | `vlan=`*id*, `vlan=none` | the first tag | that of the binding |
//! | `inner-vlan=`*id* | the second tag; needs `vlan=` | none |
//! | `physical-port=`*n* | the port that it crosses | the first of the binding, or 0 |
//! | `fragment` | a fragment that is not the first, which shows no ports | a whole packet |

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::Arc;

use super::words;
use crate::policy::document::problems::{Diagnostic, did_you_mean};
use crate::policy::document::{Binding, Document, Proto};
use crate::terms::{AddrSet, Direction, Flow, IpHeader, MacAddr, Packet};
use crate::text::quoted;

/// Longest flow text, in bytes.
const LONGEST: usize = 500;

/// A MAC for stations that the text does not name (RFC 7042, 2.1.2: set aside for documentation).
const SOME_STATION: MacAddr = MacAddr([0x00, 0x00, 0x5e, 0x00, 0x53, 0x01]);

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;

const OPTIONS: [&str; 8] = ["in", "out", "fragment", "src-mac=", "dst-mac=", "vlan=", "inner-vlan=", "physical-port="];

/// A flow as written; what was left open is filled in from a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowText {
    direction: Option<Direction>,
    ether_type: u16,
    ip: Option<IpHeader>,
    src_mac: Option<MacAddr>,
    dst_mac: Option<MacAddr>,
    vlan: Tag,
    inner_vlan: Option<u16>,
    physical_port: Option<u32>,
}

/// The first tag of a flow's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    AsBound,
    Untagged,
    Id(u16),
}

/// What is wrong with the text of a flow, as `flow:5: what; expected ...; way out`; 5 is the column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("flow:{column}: {text}")]
pub struct FlowTextError {
    column: usize,
    text: String,
}

impl FlowText {
    /// The frame that the text means, with what it leaves open taken from the document.
    #[must_use]
    pub fn packet(&self, document: &Document) -> Packet {
        let (src, dst) = self.ends(document);
        let tagged = self.near(src, dst);
        let host_src = self.ip.and_then(|ip| document.host_mac(ip.src));
        let host_dst = self.ip.and_then(|ip| document.host_mac(ip.dst));
        Packet {
            src_mac: self.src_mac.or(src.map(|b| b.mac)).or(host_src).unwrap_or(SOME_STATION),
            dst_mac: self.dst_mac.or(dst.map(|b| b.mac)).or(host_dst).unwrap_or_else(|| self.destination_mac()),
            outer_vlan: match self.vlan {
                Tag::AsBound => tagged.and_then(|b| b.vlan),
                Tag::Untagged => None,
                Tag::Id(id) => Some(id),
            },
            inner_vlan: self.inner_vlan,
            ether_type: self.ether_type,
            ip: self.ip,
        }
    }

    /// The judgements of the frame: one, or two (out, then in) if it goes from one bound end to another.
    ///
    /// # Errors
    /// If the text says neither `in` nor `out` and neither end is known to be local.
    pub fn judgements(&self, document: &Document) -> Result<Vec<Flow>, FlowTextError> {
        let packet = self.packet(document);
        let (src, dst) = self.ends(document);
        let local = |ip: IpAddr| document.host_mac(ip).is_some();
        let sent = src.is_some() || self.ip.is_some_and(|ip| local(ip.src));
        let received = dst.is_some() || self.ip.is_some_and(|ip| local(ip.dst));
        let mut flows = Vec::new();
        for (direction, here, binding) in [(Direction::Tx, sent, src), (Direction::Rx, received, dst)] {
            if self.direction.map_or(here, |said| said == direction) {
                let port = binding.and_then(|b| b.physical_ports.first().copied());
                flows.push(packet.judged(direction, self.physical_port.or(port).unwrap_or(0)));
            }
        }
        if flows.is_empty() {
            let wrong = Diagnostic::new("neither end is bound", "in or out", "say where the frame is judged");
            return Err(at(self.to_string().chars().count() + 1, &wrong));
        }
        Ok(flows)
    }

    /// The bindings of source and destination.
    fn ends<'a>(&self, document: &'a Document) -> (Option<&'a Binding>, Option<&'a Binding>) {
        let holder = |ip: IpAddr| document.binding_of(ip).map(|(_, binding)| binding);
        let owner = |mac: Option<MacAddr>| document.bindings.iter().map(Arc::as_ref).find(|b| Some(b.mac) == mac);
        match self.ip {
            Some(ip) => (holder(ip.src), holder(ip.dst)),
            None => (owner(self.src_mac), owner(self.dst_mac)),
        }
    }

    /// The binding on whose side the frame is looked at first.
    fn near<'a>(&self, src: Option<&'a Binding>, dst: Option<&'a Binding>) -> Option<&'a Binding> {
        if self.direction == Some(Direction::Rx) { dst.or(src) } else { src.or(dst) }
    }

    /// The MAC for a destination that nobody bound: the one that groups and broadcast go to (RFC 1112, RFC 2464).
    fn destination_mac(&self) -> MacAddr {
        match self.ip.map(|ip| ip.dst) {
            Some(IpAddr::V4(Ipv4Addr::BROADCAST)) => MacAddr::BROADCAST,
            Some(IpAddr::V4(group)) if group.is_multicast() => {
                let [_, b, c, d] = group.octets();
                MacAddr([0x01, 0x00, 0x5e, b & 0x7f, c, d])
            }
            Some(IpAddr::V6(group)) if AddrSet::groups().contains(group.into()) => {
                let [.., a, b, c, d] = group.octets();
                MacAddr([0x33, 0x33, a, b, c, d])
            }
            _ => SOME_STATION,
        }
    }
}

impl From<&Packet> for FlowText {
    /// A text that leaves nothing open but the direction and the physical port.
    fn from(packet: &Packet) -> Self {
        Self {
            direction: None,
            ether_type: packet.ether_type,
            ip: packet.ip,
            src_mac: Some(packet.src_mac),
            dst_mac: Some(packet.dst_mac),
            vlan: packet.outer_vlan.map_or(Tag::Untagged, Tag::Id),
            inner_vlan: packet.inner_vlan,
            physical_port: None,
        }
    }
}

impl fmt::Display for FlowText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(ip) => write_ip(f, &ip)?,
            None => {
                if self.ether_type == ARP { f.write_str("arp") } else { write!(f, "{:#06x}", self.ether_type) }?;
                let mac = |mac: Option<MacAddr>| mac.unwrap_or(SOME_STATION);
                write!(f, " {} > {}", mac(self.src_mac), mac(self.dst_mac))?;
            }
        }
        match self.direction {
            Some(Direction::Rx) => f.write_str(" in")?,
            Some(Direction::Tx) => f.write_str(" out")?,
            None => {}
        }
        if self.ip.is_some() {
            option(f, "src-mac", self.src_mac)?;
            option(f, "dst-mac", self.dst_mac)?;
        }
        match self.vlan {
            Tag::AsBound => {}
            Tag::Untagged => f.write_str(" vlan=none")?,
            Tag::Id(id) => write!(f, " vlan={id}")?,
        }
        option(f, "inner-vlan", self.inner_vlan)?;
        option(f, "physical-port", self.physical_port)
    }
}

fn write_ip(f: &mut fmt::Formatter<'_>, ip: &IpHeader) -> fmt::Result {
    match ip.proto {
        Some(number) => write!(f, "{} ", Proto::Is(number))?,
        None => f.write_str("unknown ")?,
    }
    let side = |f: &mut fmt::Formatter<'_>, addr: IpAddr, port: Option<u16>| match (addr, port) {
        (_, None) => write!(f, "{addr}"),
        (IpAddr::V4(addr), Some(port)) => write!(f, "{addr}:{port}"),
        (IpAddr::V6(addr), Some(port)) => write!(f, "[{addr}]:{port}"),
    };
    side(f, ip.src, ip.ports.map(|(src, _)| src))?;
    f.write_str(" > ")?;
    side(f, ip.dst, ip.ports.map(|(_, dst)| dst))?;
    let fragment = ip.ports.is_none() && ip.proto.is_some_and(Proto::has_ports);
    if fragment { f.write_str(" fragment") } else { Ok(()) }
}

fn option<T: fmt::Display>(f: &mut fmt::Formatter<'_>, name: &str, value: Option<T>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, " {name}={value}"))
}

impl FromStr for FlowText {
    type Err = FlowTextError;

    fn from_str(text: &str) -> Result<Self, FlowTextError> {
        if text.len() > LONGEST {
            let what = format!("the text has {} bytes", text.len());
            return Err(at(1, &Diagnostic::new(what, format!("at most {LONGEST}"), "write one flow")));
        }
        let mut words = Words::new(text);
        let kind = words
            .next("a protocol: tcp, udp, sctp, icmp, icmpv6, a number, unknown, arp or an ether type as 0x88cc")?;
        let src = words.next("the source, as 10.20.3.4:51000")?;
        let arrow = words.next("> between source and destination")?;
        if arrow.text != ">" {
            let what = format!("{} after the source", quoted(arrow.text));
            return Err(arrow.wrong(Diagnostic::new(
                what,
                "> between source and destination",
                "write it with blanks around it",
            )));
        }
        let dst = words.next("the destination, as 10.30.1.17:443")?;
        let options = Options::read(words)?;
        match ether_type(&kind)? {
            Some(ether_type) => options.frame(ether_type, &src, &dst),
            None => options.ip(&kind, &src, &dst),
        }
    }
}

/// The ether type, if the flow is none of IP.
fn ether_type(kind: &Word<'_>) -> Result<Option<u16>, FlowTextError> {
    if kind.text == "arp" {
        return Ok(Some(ARP));
    }
    let Some(digits) = kind.text.strip_prefix("0x") else { return Ok(None) };
    let strict = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    match u16::from_str_radix(digits, 16).ok().filter(|number| strict && *number >= 0x0600) {
        Some(IPV4 | IPV6) => Err(kind.wrong(Diagnostic::new(
            format!("{} is the ether type of IP", kind.text),
            "a protocol and two addresses",
            "write it as in tcp 10.20.3.4:51000 > 10.30.1.17:443",
        ))),
        Some(number) => Ok(Some(number)),
        None => Err(kind.wrong(Diagnostic::new(
            format!("{} is not an ether type", quoted(kind.text)),
            "four hexadecimal digits from 0x0600 on",
            "write it as in 0x88cc",
        ))),
    }
}

/// The protocol of an IP flow; `None` = unknown to the adapter.
fn protocol(kind: &Word<'_>) -> Result<Option<u8>, FlowTextError> {
    if kind.text == "unknown" {
        return Ok(None);
    }
    match words::proto(kind.text).map_err(|wrong| kind.wrong(wrong))? {
        Proto::Is(number) => Ok(Some(number)),
        Proto::Any => Err(kind.wrong(Diagnostic::new(
            "any is not a protocol of a packet",
            "tcp, udp, sctp, icmp, icmpv6, a number or unknown",
            "choose one",
        ))),
    }
}

/// One end of an IP flow.
fn end(word: &Word<'_>) -> Result<(IpAddr, Option<u16>), FlowTextError> {
    let (addr, port) = match word.text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        Some((addr, port)) if addr.contains(':') => (addr, Some(port)),
        _ if word.text.matches(':').count() == 1 => {
            word.text.split_once(':').map_or((word.text, None), |(a, p)| (a, Some(p)))
        }
        _ => (word.text, None),
    };
    let addr = words::addr(addr).map_err(|wrong| word.wrong(wrong))?;
    let port =
        port.map(|port| words::number(port, "port", 0, u16::MAX)).transpose().map_err(|wrong| word.wrong(wrong))?;
    Ok((addr, port))
}

/// The options of a flow text.
#[derive(Default)]
struct Options {
    direction: Option<Direction>,
    fragment: Option<usize>,
    src_mac: Option<MacAddr>,
    dst_mac: Option<MacAddr>,
    mac_column: usize,
    vlan: Option<Tag>,
    inner_vlan: Option<u16>,
    inner_vlan_column: usize,
    physical_port: Option<u32>,
}

impl Options {
    fn read(words: Words<'_>) -> Result<Self, FlowTextError> {
        let mut options = Self::default();
        for word in words {
            if !options.set(&word)? {
                let what = format!("{} is said twice", quoted(word.text));
                return Err(word.wrong(Diagnostic::new(what, "each option once, and in or out", "remove one")));
            }
        }
        if options.inner_vlan.is_some() && !matches!(options.vlan, Some(Tag::Id(_))) {
            let wrong = Diagnostic::new("inner-vlan= without vlan=", "both tags", "add the first tag as in vlan=100");
            return Err(at(options.inner_vlan_column, &wrong));
        }
        Ok(options)
    }

    /// Takes one option in; false if it was there already.
    fn set(&mut self, word: &Word<'_>) -> Result<bool, FlowTextError> {
        let (name, value) = word.text.split_once('=').unwrap_or((word.text, ""));
        let wrong = |wrong| word.wrong(wrong);
        let vlan = |value| words::number::<u16>(value, "VLAN id", 0, 4095).map_err(wrong);
        Ok(match (name, value) {
            ("in" | "out", "") => self.direction.replace(words::direction(name).map_err(wrong)?).is_none(),
            ("fragment", "") => self.fragment.replace(word.column).is_none(),
            ("src-mac", _) => {
                self.mac_column = word.column;
                self.src_mac.replace(words::mac(value).map_err(wrong)?).is_none()
            }
            ("dst-mac", _) => {
                self.mac_column = word.column;
                self.dst_mac.replace(words::mac(value).map_err(wrong)?).is_none()
            }
            ("vlan", "none") => self.vlan.replace(Tag::Untagged).is_none(),
            ("vlan", _) => self.vlan.replace(Tag::Id(vlan(value)?)).is_none(),
            ("inner-vlan", _) => {
                self.inner_vlan_column = word.column;
                self.inner_vlan.replace(vlan(value)?).is_none()
            }
            ("physical-port", _) => {
                let port = words::number::<u32>(value, "physical port", 0, u32::MAX - 1).map_err(wrong)?;
                self.physical_port.replace(port).is_none()
            }
            _ => {
                let way_out = did_you_mean(name, OPTIONS.map(|option| option.trim_end_matches('=')), "remove it");
                let what = format!("unknown option {}", quoted(word.text));
                return Err(wrong(Diagnostic::new(what, format!("one of {}", OPTIONS.join(", ")), way_out)));
            }
        })
    }

    fn frame(self, ether_type: u16, src: &Word<'_>, dst: &Word<'_>) -> Result<FlowText, FlowTextError> {
        if let Some(column) = self.fragment {
            return Err(at(column, &Diagnostic::new("fragment without IP", "fragment of an IP packet", "remove it")));
        }
        if self.src_mac.is_some() || self.dst_mac.is_some() {
            let wrong =
                Diagnostic::new("the MACs stand before the options", "each MAC once", "remove src-mac= and dst-mac=");
            return Err(at(self.mac_column, &wrong));
        }
        let src_mac = Some(words::mac(src.text).map_err(|wrong| src.wrong(wrong))?);
        let dst_mac = Some(words::mac(dst.text).map_err(|wrong| dst.wrong(wrong))?);
        Ok(FlowText { src_mac, dst_mac, ..self.flow(ether_type, None) })
    }

    fn ip(self, kind: &Word<'_>, src: &Word<'_>, dst: &Word<'_>) -> Result<FlowText, FlowTextError> {
        let proto = protocol(kind)?;
        let ((src_addr, src_port), (dst_addr, dst_port)) = (end(src)?, end(dst)?);
        if src_addr.is_ipv4() != dst_addr.is_ipv4() {
            let wrong =
                Diagnostic::new("IPv4 and IPv6 in one packet", "two addresses of one family", "change one of them");
            return Err(dst.wrong(wrong));
        }
        let has_ports = proto.is_some_and(Proto::has_ports);
        let ports = match (has_ports && self.fragment.is_none(), src_port, dst_port) {
            (true, Some(src), Some(dst)) => Some((src, dst)),
            (true, None, _) => return Err(src.lacks_port()),
            (true, _, None) => return Err(dst.lacks_port()),
            (false, None, None) => None,
            (false, has_src, _) => {
                let word = if has_src.is_some() { src } else { dst };
                let what = if has_ports { "a later fragment shows no ports" } else { "this protocol has no ports" };
                return Err(word.wrong(Diagnostic::new(what, "an address alone", "remove the port")));
            }
        };
        if let Some(column) = self.fragment.filter(|_| !has_ports) {
            let wrong =
                Diagnostic::new("fragment beside a protocol without ports", "tcp, udp or sctp", "remove fragment");
            return Err(at(column, &wrong));
        }
        let ether_type = if src_addr.is_ipv4() { IPV4 } else { IPV6 };
        Ok(self.flow(ether_type, Some(IpHeader { src: src_addr, dst: dst_addr, proto, ports })))
    }

    fn flow(self, ether_type: u16, ip: Option<IpHeader>) -> FlowText {
        FlowText {
            direction: self.direction,
            ether_type,
            ip,
            src_mac: self.src_mac,
            dst_mac: self.dst_mac,
            vlan: self.vlan.unwrap_or(Tag::AsBound),
            inner_vlan: self.inner_vlan,
            physical_port: self.physical_port,
        }
    }
}

/// A word and its column in characters, from 1.
struct Word<'a> {
    column: usize,
    text: &'a str,
}

impl Word<'_> {
    fn wrong(&self, wrong: Diagnostic) -> FlowTextError {
        at(self.column, &wrong)
    }

    fn lacks_port(&self) -> FlowTextError {
        self.wrong(Diagnostic::new(
            format!("{} has no port", quoted(self.text)),
            "a port after the address, as in 10.20.3.4:51000 or [2001:db8::4]:51000",
            "add it, or say fragment",
        ))
    }
}

/// The words of a flow text.
struct Words<'a> {
    text: &'a str,
    /// In bytes.
    next: usize,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, next: 0 }
    }

    fn next(&mut self, expected: &str) -> Result<Word<'a>, FlowTextError> {
        let end = self.text.trim_end().chars().count() + 1;
        let missing = || {
            at(end, &Diagnostic::new("the text ends", expected, "write it as in tcp 10.20.3.4:51000 > 10.30.1.17:443"))
        };
        Iterator::next(self).ok_or_else(missing)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        let rest = self.text.get(self.next..)?;
        let word = rest.split_whitespace().next()?;
        let start = self.next + (rest.len() - rest.trim_start().len());
        self.next = start + word.len();
        Some(Word { column: self.text.get(..start)?.chars().count() + 1, text: word })
    }
}

fn at(column: usize, wrong: &Diagnostic) -> FlowTextError {
    FlowTextError { column, text: wrong.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flow(text: &str) -> FlowText {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn texts_print_as_they_were_written() {
        for text in [
            "tcp 10.20.3.4:51000 > 10.30.1.17:443",
            "udp [2001:db8::4]:40000 > [2001:db8::17]:53 in vlan=100 inner-vlan=7 physical-port=1",
            "sctp 10.20.3.4 > 10.30.1.17 fragment out",
            "icmp 10.30.1.17 > 10.20.3.4 src-mac=02:00:00:00:00:01 dst-mac=02:00:00:00:00:02 vlan=none",
            "icmpv6 fe80::1 > ff02::1:ff00:17",
            "47 10.30.1.17 > 10.20.3.4",
            "unknown 2001:db8::4 > 2001:db8::17",
            "arp 02:00:0a:1e:01:11 > ff:ff:ff:ff:ff:ff out",
            "0x88cc 02:00:0a:1e:01:11 > 01:80:c2:00:00:0e vlan=4095",
        ] {
            assert_eq!(flow(text).to_string(), text);
        }
    }

    #[test]
    fn blanks_and_the_order_of_options_do_not_matter() {
        let text = "  tcp\t10.20.3.4:1   > 10.30.1.17:2  vlan=1 in ";
        assert_eq!(flow(text).to_string(), "tcp 10.20.3.4:1 > 10.30.1.17:2 in vlan=1");
        assert_eq!(flow("6 10.20.3.4:1 > 10.30.1.17:2"), flow("tcp 10.20.3.4:1 > 10.30.1.17:2"));
    }

    fn packets() -> impl Strategy<Value = Packet> {
        let mac = || any::<[u8; 6]>().prop_map(MacAddr);
        let v4 = any::<([u8; 4], [u8; 4])>().prop_map(|(src, dst)| (IpAddr::from(src), IpAddr::from(dst)));
        let v6 = any::<([u8; 16], [u8; 16])>().prop_map(|(src, dst)| (IpAddr::from(src), IpAddr::from(dst)));
        let ip = (prop_oneof![v4, v6], any::<Option<u8>>(), any::<Option<(u16, u16)>>()).prop_map(
            |((src, dst), proto, ports)| IpHeader {
                src,
                dst,
                proto,
                ports: ports.filter(|_| proto.is_some_and(Proto::has_ports)),
            },
        );
        let tags = prop::option::of((0u16..4096, prop::option::of(0u16..4096)));
        (mac(), mac(), tags, prop::option::of(ip), 0x0801u16..0x86dd).prop_map(|(src_mac, dst_mac, tags, ip, other)| {
            Packet {
                src_mac,
                dst_mac,
                outer_vlan: tags.map(|(outer, _)| outer),
                inner_vlan: tags.and_then(|(_, inner)| inner),
                ether_type: ip.map_or(other, |ip| if ip.src.is_ipv4() { IPV4 } else { IPV6 }),
                ip,
            }
        })
    }

    proptest! {
        #[test]
        fn every_packet_has_a_text_that_means_it(packet in packets()) {
            let document = Document::parse("{nicfw: 1, unbound: allow, multicast: deny}", "empty").unwrap();
            let text = FlowText::from(&packet).to_string();
            let read: FlowText = text.parse().map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
            prop_assert_eq!(read.packet(&document), packet);
            prop_assert_eq!(read.to_string(), text);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[tcp0-9x.:/> \\[\\]=a-z\u{301}-]{0,60}") {
            if let Ok(flow) = text.parse::<FlowText>() {
                prop_assert_eq!(flow.to_string().parse(), Ok(flow));
            }
        }
    }
}
