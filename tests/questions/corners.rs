//! Flows at the places where documents change their minds, made from the documents themselves.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nicfw::policy::{Document, Proto, Rule};
use nicfw::terms::{AddrSet, Direction, Flow, IpFlow, MacAddr, PortSet, Ports};
use nicfw_test_kit::dice::Dice;

/// The values that flows are made of.
pub struct Corners {
    locals: Vec<IpAddr>,
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    ports: Vec<u16>,
    protocols: Vec<Option<u8>>,
    macs: Vec<MacAddr>,
    vlans: Vec<Option<u16>>,
    /// The link of each bound address, so that most flows reach the rules.
    links: Vec<(IpAddr, MacAddr, Option<u16>, u32)>,
}

fn rules(documents: &[&Document]) -> Vec<Rule> {
    let of = |document: &&Document| {
        let management = document.management.iter().map(|m| m.rule.clone());
        let policies = document.policies.iter().flat_map(|policy| policy.rules.clone());
        management.chain(policies).collect::<Vec<_>>()
    };
    documents.iter().flat_map(of).collect()
}

/// The ends of a set, and what is just beyond them.
fn addr_ends(set: &AddrSet, out: &mut BTreeSet<IpAddr>) {
    for i in set.v4.intervals() {
        let ends = [i.first.saturating_sub(1), i.first, i.last, i.last.saturating_add(1)];
        out.extend(ends.map(|at| IpAddr::V4(Ipv4Addr::from_bits(at))));
    }
    for i in set.v6.intervals() {
        let ends = [i.first.saturating_sub(1), i.first, i.last, i.last.saturating_add(1)];
        out.extend(ends.map(|at| IpAddr::V6(Ipv6Addr::from_bits(at))));
    }
}

fn port_ends(set: &PortSet, out: &mut BTreeSet<u16>) {
    for i in set.intervals() {
        out.extend([i.first.saturating_sub(1), i.first, i.last, i.last.saturating_add(1)]);
    }
}

impl Corners {
    pub fn of(documents: &[&Document]) -> Self {
        let (mut remotes, mut locals) = (BTreeSet::new(), BTreeSet::new());
        let mut ports = BTreeSet::from([0, 65535]);
        let mut protocols =
            BTreeSet::from([None, Some(6), Some(17), Some(132), Some(1), Some(58), Some(47), Some(255)]);
        let mut macs = BTreeSet::from([MacAddr([6, 1, 1, 1, 1, 1]), MacAddr::BROADCAST]);
        let mut vlans = BTreeSet::from([None, Some(4000)]);
        let mut links = Vec::new();
        addr_ends(&AddrSet::groups(), &mut remotes);
        for rule in rules(documents) {
            addr_ends(&rule.remote.set, &mut remotes);
            if let Some(local) = &rule.local {
                addr_ends(local, &mut locals);
            }
            if let Some(pair) = &rule.ports {
                port_ends(&pair.remote, &mut ports);
                port_ends(&pair.local, &mut ports);
            }
            if let Proto::Is(number) = rule.proto {
                protocols.insert(Some(number));
            }
        }
        for document in documents {
            port_ends(&document.ephemeral, &mut ports);
            macs.extend(document.management.iter().filter_map(|m| m.mac));
            for binding in &document.bindings {
                macs.insert(binding.mac);
                vlans.insert(binding.vlan);
                locals.extend(&binding.ips);
                let port = binding.physical_ports.first().copied().unwrap_or(1);
                links.extend(binding.ips.iter().map(|ip| (*ip, binding.mac, binding.vlan, port)));
            }
        }
        // The solicited-node groups of 2001:db8::1, ::2 and ::3, and addresses that nobody names.
        locals.extend((1..4).map(|last| IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, last))));
        locals.extend(["172.16.0.1", "fd00::1"].map(|ip| ip.parse::<IpAddr>().unwrap()));
        let (v4, v6) = remotes.into_iter().partition(IpAddr::is_ipv4);
        Self {
            locals: locals.into_iter().collect(),
            v4,
            v6,
            ports: ports.into_iter().collect(),
            protocols: protocols.into_iter().collect(),
            macs: macs.into_iter().collect(),
            vlans: vlans.into_iter().collect(),
            links,
        }
    }

    /// So many flows of them. Three of four come by the link of a binding.
    pub fn flows(&self, random: &mut Dice, count: usize) -> Vec<Flow> {
        (0..count).map(|_| self.flow(random)).collect()
    }

    fn flow(&self, random: &mut Dice) -> Flow {
        let direction = random.pick(&[Direction::Rx, Direction::Tx]);
        let any = (random.pick(&self.locals), random.pick(&self.macs), random.pick(&self.vlans), random.pick(&[0, 1]));
        let right = !self.links.is_empty() && random.below(4) > 0;
        let (local, local_mac, outer_vlan, physical_port) = if right { random.pick(&self.links) } else { any };
        let remote = random.pick(if local.is_ipv4() { &self.v4 } else { &self.v6 });
        let proto = random.pick(&self.protocols);
        let shows_ports = proto.is_some_and(Proto::has_ports) && random.below(10) > 0;
        let ports = shows_ports.then(|| Ports { local: random.pick(&self.ports), remote: random.pick(&self.ports) });
        let ip = (random.below(20) > 0).then_some(IpFlow { local, remote, proto, ports });
        let ether_type = match ip {
            Some(ip) if ip.local.is_ipv4() => 0x0800,
            Some(_) => 0x86dd,
            None => random.pick(&[0x0806, 0x88cc]),
        };
        let remote_mac = MacAddr([2, 0, 0, 0, 0, 250]);
        Flow { direction, physical_port, local_mac, remote_mac, outer_vlan, inner_vlan: None, ether_type, ip }
    }
}
