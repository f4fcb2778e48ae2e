//! The `nicfw` program.
#![forbid(unsafe_code)]

mod demo;

use demo::cast::{Party, Place};
use demo::exchange::{Lab, Nonce, Probe, RawUdp, Switch};
use std::sync::{Arc, Mutex};

struct L2;
impl Switch for L2 {
    fn carry(&mut self, from: Place, frame: &[u8]) -> Vec<(Place, Vec<u8>)> {
        let dst: [u8; 6] = frame[..6].try_into().unwrap();
        let all = [Place::Function(0), Place::Function(1), Place::Function(2), Place::Wire];
        all.into_iter()
            .filter(|p| *p != from)
            .filter(|p| dst[0] & 1 == 1 || Party::ALL.iter().any(|x| x.place() == *p && x.mac().0 == dst))
            .map(|p| (p, frame.to_vec()))
            .collect()
    }
}

fn main() {
    let sw = Arc::new(Mutex::new(L2));
    let mut lab: Box<dyn Lab> = if std::env::args().count() > 1 {
        Box::new(demo::memory::Memory::new(sw))
    } else {
        match demo::net::Network::start(sw) {
            Ok(n) => Box::new(n),
            Err(e) => {
                println!("{e}");
                return;
            }
        }
    };
    let s = |t: &str| t.parse().unwrap();
    let probes = [
        Probe::Arp { from: Party::Office, to: Party::Shop },
        Probe::Tcp { from: s("10.20.0.5:40001"), to: s("10.30.1.17:443") },
        Probe::Tcp { from: s("10.30.1.17:40002"), to: s("10.30.1.18:5432") },
        Probe::Tcp { from: s("[2001:db8:30::2005]:40001"), to: s("[2001:db8:30::17]:443") },
        Probe::Udp { from: s("10.30.1.17:40003"), to: s("10.0.0.53:53"), len: 40 },
        Probe::Udp { from: s("10.30.1.17:40004"), to: s("10.0.0.53:53"), len: 4000 },
        Probe::Ping { from: Party::Office.v4().into(), to: Party::Shop.v4().into(), len: 40 },
        Probe::Ping { from: Party::Office.v6().into(), to: Party::Shop.v6().into(), len: 40 },
        Probe::Group { from: s("10.30.1.17:40005"), listener: Party::Office, group: s("239.1.2.3:5000") },
        Probe::Raw {
            from: Party::Shop,
            to: Party::Stranger,
            frame: RawUdp { src_mac: Party::Db.mac(), vlan: Some(5), src: s("10.30.1.17:1"), dst: s("10.99.0.66:7") },
        },
    ];
    for (i, p) in probes.iter().enumerate() {
        let t = std::time::Instant::now();
        match lab.run(p, Nonce(i as u64 + 1)) {
            Ok(o) => println!("{} {} {:?} {:?}", o.delivered, o.crossings.len(), t.elapsed(), p),
            Err(e) => println!("ERR {e} {p:?}"),
        }
    }
}
