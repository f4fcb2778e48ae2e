//! What the demo tries, and what is to come of it, written by hand from the policy's text (`cli/demo/shop.yaml`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nicfw::terms::{MacAddr, Verdict};

use super::cast::{NAME_SERVER, Party};
use super::exchange::{Probe, RawUdp};

/// The policy's text.
pub const POLICY: &str = include_str!("../../demo/shop.yaml");
/// Its name in origins.
pub const POLICY_NAME: &str = "shop.yaml";
/// Text of the rule that the live change takes out, as it stands in the policy's reason.
pub const CHANGED_RULE: &str = "shop front";

/// One line of the demo's table.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// What it is.
    pub title: &'static str,
    /// What is tried.
    pub probe: Probe,
    /// What is to come of it: every frame passes, or at least one does not.
    pub expect: Verdict,
}

const ALLOW: Verdict = Verdict::Allow;
const DENY: Verdict = Verdict::Deny;

/// An address that nobody bound and nobody has.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 30, 9, 9);
/// A MAC that nobody has.
const FOREIGN_MAC: MacAddr = MacAddr([0x02, 0xde, 0xad, 0xbe, 0xef, 0x01]);
/// A group that nobody of the policy names.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
/// Payload that takes three frames at an MTU of 1500.
const LARGE: usize = 4000;
const SMALL: usize = 64;

/// All flows, in the order of the table.
pub fn flows() -> Vec<Flow> {
    let mut all = tcp();
    all.extend(udp());
    all.extend(icmp());
    all.extend(between_containers());
    all.extend(forged());
    all.extend(other_frames());
    all
}

fn tcp() -> Vec<Flow> {
    use Party::{Host, Office, Shop, Stranger};
    vec![
        flow("tcp in: office to shop:443", connect(v4(Office, 40001), v4(Shop, 443)), ALLOW),
        flow("tcp in: stranger to shop:443", connect(v4(Stranger, 40002), v4(Shop, 443)), DENY),
        flow("tcp in: office to shop:22", connect(v4(Office, 40003), v4(Shop, 22)), DENY),
        flow("tcp in: office:443 to shop:22", connect(v4(Office, 443), v4(Shop, 22)), DENY),
        flow("tcp out: shop to office:443", connect(v4(Shop, 40005), v4(Office, 443)), ALLOW),
        flow("tcp out: shop to stranger:443", connect(v4(Shop, 40006), v4(Stranger, 443)), DENY),
        flow("tcp out: shop to office:25", connect(v4(Shop, 40007), v4(Office, 25)), DENY),
        flow("tcp in: office to unbound host:22", connect(v4(Office, 40008), v4(Host, 22)), ALLOW),
        flow("tcp IPv6: office to shop:443", connect(v6(Office, 40009), v6(Shop, 443)), ALLOW),
        flow("tcp IPv6: stranger to shop:443", connect(v6(Stranger, 40010), v6(Shop, 443)), DENY),
    ]
}

fn udp() -> Vec<Flow> {
    use Party::{Db, Office, Shop, Stranger};
    let name_server = |port| SocketAddr::new(NAME_SERVER.into(), port);
    vec![
        flow("udp out: shop to name srv:53", datagram(v4(Shop, 40011), name_server(53), SMALL), ALLOW),
        flow("udp out: shop to stranger:53", datagram(v4(Shop, 40012), v4(Stranger, 53), SMALL), DENY),
        flow("udp in: name srv:53 to shop:40013", datagram(name_server(53), v4(Shop, 40013), SMALL), ALLOW),
        flow("udp in: name srv:53 to shop:161", datagram(name_server(53), v4(Shop, 161), SMALL), DENY),
        flow("udp in: office to shop:161", datagram(v4(Office, 40014), v4(Shop, 161), SMALL), DENY),
        flow("fragments: rule with ports", datagram(v4(Shop, 40015), name_server(53), LARGE), DENY),
        flow("fragments: rule without ports", datagram(v4(Office, 40016), v4(Db, 514), LARGE), ALLOW),
    ]
}

fn icmp() -> Vec<Flow> {
    use Party::{Office, Shop, Stranger};
    vec![
        flow("icmp: ping from office", ping(Office.v4(), Shop.v4(), SMALL), ALLOW),
        flow("icmp: large ping from office", ping(Office.v4(), Shop.v4(), LARGE), ALLOW),
        flow("icmp: ping from stranger", ping(Stranger.v4(), Shop.v4(), SMALL), DENY),
        flow("icmpv6: ping from stranger", ping(Stranger.v6(), Shop.v6(), SMALL), ALLOW),
    ]
}

fn between_containers() -> Vec<Flow> {
    use Party::{Db, Shop};
    vec![
        flow("tcp: shop to db:5432, both allow", connect(v4(Shop, 40017), v4(Db, 5432)), ALLOW),
        flow("tcp: shop to db:443, one allows", connect(v4(Shop, 40018), v4(Db, 443)), DENY),
        flow("tcp: db to shop:443, none allows", connect(v4(Db, 40019), v4(Shop, 443)), DENY),
    ]
}

fn forged() -> Vec<Flow> {
    use Party::{Db, Shop, Stranger};
    let from_shop = |src_mac, ip: Ipv4Addr, to: Party, port| {
        let src = SocketAddr::new(ip.into(), 40020);
        Probe::Raw { from: Shop, to, frame: RawUdp { src_mac, vlan: None, src, dst: v4(to, port) } }
    };
    vec![
        flow("bypass: shop past its kernel", from_shop(Shop.mac(), Shop.v4(), Stranger, 4444), DENY),
        flow("bypass: shop with db's IP", from_shop(Shop.mac(), Db.v4(), Stranger, 4444), DENY),
        flow("bypass: shop with an unbound IP", from_shop(Shop.mac(), NOBODY, Stranger, 4444), DENY),
        flow("bypass: shop with a foreign MAC", from_shop(FOREIGN_MAC, Shop.v4(), Party::Office, 53), DENY),
    ]
}

fn other_frames() -> Vec<Flow> {
    use Party::{Db, Office, Shop};
    let tagged = |to: Party, port| {
        let frame = RawUdp { src_mac: Office.mac(), vlan: Some(100), src: v4(Office, 40021), dst: v4(to, port) };
        Probe::Raw { from: Office, to, frame }
    };
    let group = Probe::Group { from: v4(Shop, 40022), listener: Office, group: SocketAddr::new(GROUP.into(), 5000) };
    vec![
        flow("VLAN 100: office to shop:161", tagged(Shop, 161), DENY),
        flow("VLAN 100: office to db:514", tagged(Db, 514), ALLOW),
        flow("multicast: shop to 239.1.2.3", group, DENY),
        flow("arp: office asks for shop's MAC", Probe::Arp { from: Office, to: Shop }, ALLOW),
    ]
}

fn flow(title: &'static str, probe: Probe, expect: Verdict) -> Flow {
    Flow { title, probe, expect }
}

fn v4(party: Party, port: u16) -> SocketAddr {
    SocketAddr::new(party.v4().into(), port)
}

fn v6(party: Party, port: u16) -> SocketAddr {
    SocketAddr::new(party.v6().into(), port)
}

fn connect(from: SocketAddr, to: SocketAddr) -> Probe {
    Probe::Tcp { from, to }
}

fn datagram(from: SocketAddr, to: SocketAddr, len: usize) -> Probe {
    Probe::Udp { from, to, len }
}

fn ping(from: impl Into<IpAddr>, to: impl Into<IpAddr>, len: usize) -> Probe {
    Probe::Ping { from: from.into(), to: to.into(), len }
}
