//! TEMPORARY scaffold: judged by the evaluator until the model is there.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use nicfw::policy::{Document, Image, IpHeader, Origin, Packet};
use nicfw::tables::{CounterId, Direction, MacAddr, RuleKey, Verdict};

use crate::demo::cast::{Party, Place};
use crate::demo::exchange::Switch;
use crate::failure::Failure;

#[derive(Debug, Clone)]
pub struct Judgement {
    pub direction: Direction,
    pub verdict: Verdict,
    pub words: String,
    pub origin: Option<Arc<Origin>>,
    pub candidates: Vec<(RuleKey, Option<CounterId>)>,
    pub agrees: bool,
}
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sides {
    pub rx: u64,
    pub tx: u64,
}
impl Sides {
    pub fn of(&self, d: Direction) -> u64 {
        if d == Direction::Rx { self.rx } else { self.tx }
    }
}
pub type Counts = BTreeMap<CounterId, Sides>;
pub struct Loaded {
    pub commands: usize,
}
pub struct Emulated {
    shared: Arc<Mutex<L2>>,
    image: Image,
}
pub struct L2 {
    doc: Option<Document>,
}

pub fn parse(frame: &[u8]) -> Packet {
    let p = etherparse::SlicedPacket::from_ethernet(frame).unwrap();
    let l = etherparse::LaxPacketHeaders::from_ethernet(frame).unwrap();
    let _ = p;
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
fn judgements(doc: Option<&Document>, from: Place, frame: &[u8]) -> (Packet, Vec<Judgement>) {
    let p = parse(frame);
    let mut out = Vec::new();
    let Some(doc) = doc else { return (p, out) };
    let mut dirs = vec![];
    if from != Place::Wire {
        dirs.push(Direction::Tx)
    }
    if p.dst_mac.is_group() && from == Place::Wire
        || Party::ALL.iter().any(|x| x.place() != Place::Wire && x.mac() == p.dst_mac)
    {
        dirs.push(Direction::Rx)
    }
    for d in dirs {
        let dec = doc.decide(&p.judged(d, 0));
        let words = crate::words::short(doc, &dec);
        out.push(Judgement {
            direction: d,
            verdict: dec.verdict,
            words,
            origin: doc.origin(&dec.why).cloned(),
            candidates: vec![],
            agrees: true,
        });
        if dec.verdict == Verdict::Deny {
            break;
        }
    }
    (p, out)
}
impl Switch for L2 {
    fn carry(&mut self, from: Place, frame: &[u8]) -> Vec<(Place, Vec<u8>)> {
        let (_, j) = judgements(self.doc.as_ref(), from, frame);
        if j.iter().any(|j| j.verdict == Verdict::Deny) {
            return vec![];
        }
        let dst: [u8; 6] = frame[..6].try_into().unwrap();
        let all = [Place::Function(0), Place::Function(1), Place::Function(2), Place::Wire];
        all.into_iter()
            .filter(|p| *p != from)
            .filter(|p| dst[0] & 1 == 1 || Party::ALL.iter().any(|x| x.place() == *p && x.mac().0 == dst))
            .map(|p| (p, frame.to_vec()))
            .collect()
    }
}
impl Emulated {
    pub fn fresh() -> Result<Self, Failure> {
        Ok(Self { shared: Arc::new(Mutex::new(L2 { doc: None })), image: Image::default() })
    }
    pub fn switch(&self) -> Arc<Mutex<dyn Switch>> {
        self.shared.clone()
    }
    pub fn load(&mut self, document: Document) -> Result<Loaded, Failure> {
        self.shared.lock().unwrap().doc = Some(document);
        Ok(Loaded { commands: 0 })
    }
    pub fn judge(&self, from: Place, frame: &[u8]) -> Result<(Packet, Vec<Judgement>), Failure> {
        Ok(judgements(self.shared.lock().unwrap().doc.as_ref(), from, frame))
    }
    pub fn counts(&mut self) -> Result<Counts, Failure> {
        Ok(Counts::new())
    }
    pub fn tables(&self) -> Result<Image, Failure> {
        Ok(Image::default())
    }
    pub fn shuffled(_: u64) -> Result<Self, Failure> {
        Self::fresh()
    }
    pub fn name(&self) -> String {
        String::new()
    }
    pub fn openings(&self) -> Vec<String> {
        vec![]
    }
    pub fn usage(&self) -> Vec<crate::demo::report::UsageReport> {
        vec![]
    }
    pub fn image(&self) -> &Image {
        &self.image
    }
}
