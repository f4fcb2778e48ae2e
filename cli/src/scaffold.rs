//! TEMPORARY: stands in for the model.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use nicfw::firewall::Engine;
use nicfw::nic::{AdapterError, Override, Recovered, RulesetVersion};
use nicfw::policy::{Image, IpHeader, Packet};
use nicfw::tables::{CounterId, CounterValue, Direction, EngineProfile, MacAddr, TableOp, Target, Verdict};

use crate::demo::cast::{Party, Place};
use crate::demo::exchange::Switch;

pub struct Parts {
    pub image: Option<Image>,
    pub counts: BTreeMap<CounterId, (u64, u64)>,
    pub seed: u64,
}
pub struct TableEngine {
    parts: Arc<Mutex<Parts>>,
    target: Target,
    next: u32,
    map: Vec<CounterId>,
}
impl TableEngine {
    pub fn new(parts: Arc<Mutex<Parts>>) -> Self {
        Self { parts, target: Target::profile0(), next: 0, map: vec![] }
    }
}
impl Engine for TableEngine {
    type RecoverError = AdapterError;
    fn target(&self) -> &Target {
        &self.target
    }
    fn execute(&mut self, _: &TableOp) -> Result<(), AdapterError> {
        Ok(())
    }
    fn set_override(&mut self, _: Override) -> Result<(), AdapterError> {
        Ok(())
    }
    fn reset_rules(&mut self) -> Result<(), AdapterError> {
        Ok(())
    }
    fn ruleset_version(&mut self) -> Result<RulesetVersion, AdapterError> {
        Ok(RulesetVersion::from_bytes(&[0]))
    }
    fn commit_cache(&mut self) -> Result<(), AdapterError> {
        Ok(())
    }
    fn alloc_counters(&mut self, n: usize) -> Result<Vec<CounterId>, AdapterError> {
        let v = (0..n)
            .map(|_| {
                self.next += 1;
                CounterId(self.next - 1)
            })
            .collect::<Vec<_>>();
        self.map.extend(v.clone());
        Ok(v)
    }
    fn read_counters(&mut self, ids: &[CounterId]) -> Result<Vec<CounterValue>, AdapterError> {
        let p = self.parts.lock().unwrap();
        Ok(ids
            .iter()
            .map(|i| {
                let (rx, tx) = p.counts.get(i).copied().unwrap_or_default();
                CounterValue { rx, tx }
            })
            .collect())
    }
    fn recover(&mut self) -> Result<Recovered, AdapterError> {
        unreachable!()
    }
}
pub fn sides_at(from: Place, p: &Packet) -> Vec<Direction> {
    let mut dirs = vec![];
    if from != Place::Wire {
        dirs.push(Direction::Tx)
    }
    if p.dst_mac.is_group() && from == Place::Wire
        || Party::ALL.iter().any(|x| x.place() != Place::Wire && x.mac() == p.dst_mac)
    {
        dirs.push(Direction::Rx)
    }
    dirs
}
pub fn parse(frame: &[u8]) -> Packet {
    let Ok(l) = etherparse::LaxPacketHeaders::from_ethernet(frame) else {
        return Packet {
            src_mac: MacAddr([0; 6]),
            dst_mac: MacAddr([0; 6]),
            outer_vlan: None,
            inner_vlan: None,
            ether_type: 0,
            ip: None,
        };
    };
    let eth = l.link.clone().unwrap().ethernet2().unwrap();
    let vlan = l.vlan_ids().first().map(|v| v.value());
    use etherparse::{NetHeaders, TransportHeader};
    let (ip, et) = match &l.net {
        Some(NetHeaders::Ipv4(h, _)) => (
            Some(IpHeader {
                src: std::net::Ipv4Addr::from(h.source).into(),
                dst: std::net::Ipv4Addr::from(h.destination).into(),
                proto: Some(h.protocol.0),
                ports: None,
            }),
            0x0800,
        ),
        Some(NetHeaders::Ipv6(h, _)) => (
            Some(IpHeader {
                src: std::net::Ipv6Addr::from(h.source).into(),
                dst: std::net::Ipv6Addr::from(h.destination).into(),
                proto: Some(h.next_header.0),
                ports: None,
            }),
            0x86dd,
        ),
        _ => (None, eth.ether_type.0),
    };
    let ports = match &l.transport {
        Some(TransportHeader::Tcp(t)) => Some((t.source_port, t.destination_port)),
        Some(TransportHeader::Udp(t)) => Some((t.source_port, t.destination_port)),
        _ => None,
    };
    Packet {
        src_mac: MacAddr(eth.source),
        dst_mac: MacAddr(eth.destination),
        outer_vlan: vlan,
        inner_vlan: None,
        ether_type: et,
        ip: ip.map(|i| IpHeader { ports, ..i }),
    }
}
impl Switch for Parts {
    fn carry(&mut self, from: Place, frame: &[u8]) -> Vec<(Place, Vec<u8>)> {
        let p = parse(frame);
        if let Some(image) = &self.image {
            for d in sides_at(from, &p) {
                let j = image.judge(&p.judged(d, 0), &EngineProfile::profile0(), self.seed);
                if let Some(c) = j.entry.and_then(|k| image.rules[&k].counter) {
                    let e = self.counts.entry(c).or_default();
                    if d == Direction::Rx { e.0 += 1 } else { e.1 += 1 }
                }
                if j.verdict == Verdict::Deny {
                    return vec![];
                }
            }
        }
        let dst = p.dst_mac.0;
        [Place::Function(0), Place::Function(1), Place::Function(2), Place::Wire]
            .into_iter()
            .filter(|p| *p != from)
            .filter(|p| dst[0] & 1 == 1 || Party::ALL.iter().any(|x| x.place() == *p && x.mac().0 == dst))
            .map(|p| (p, frame.to_vec()))
            .collect()
    }
}
