//! Settings, packets and verdicts for one container.

use std::net::{IpAddr, Ipv4Addr};

use nicfw::policy::import::{Format, Import, ImportError, Settings, import};
use nicfw::policy::{Document, Why};
use nicfw::terms::{Flow, IpFlow, Ports};
use nicfw::{Direction, MacAddr, Verdict};

pub const MAC: MacAddr = MacAddr([0x02, 0, 0x0a, 0x1e, 0x01, 0x11]);

pub fn settings(ips: &[&str]) -> Settings {
    Settings::new("shop-1", ips.iter().map(|ip| ip.parse().unwrap()).collect(), MAC)
}

pub fn read(format: Format, text: &str, settings: &Settings) -> Result<Import, ImportError> {
    import(format, text.as_bytes(), "old", settings)
}

/// A packet in the words of the old rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub proto: u8,
    /// Source and destination.
    pub ports: Option<(u16, u16)>,
}

impl Probe {
    pub fn v4(src: u32, dst: u32, proto: u8, sport: u16, dport: u16) -> Self {
        let ports = matches!(proto, 6 | 17 | 132).then_some((sport, dport));
        Self { src: Ipv4Addr::from(src).into(), dst: Ipv4Addr::from(dst).into(), proto, ports }
    }

    pub fn mirrored(self) -> Self {
        let ports = self.ports.map(|(src, dst)| (dst, src));
        Self { src: self.dst, dst: self.src, ports, ..self }
    }

    pub fn flow(&self, direction: Direction, vlan: Option<u16>) -> Flow {
        let rx = direction == Direction::Rx;
        let ports = self
            .ports
            .map(|(src, dst)| if rx { Ports { local: dst, remote: src } } else { Ports { local: src, remote: dst } });
        let (local, remote) = if rx { (self.dst, self.src) } else { (self.src, self.dst) };
        Flow {
            direction,
            physical_port: 0,
            local_mac: MAC,
            remote_mac: MacAddr([0x02, 0, 0, 0, 0, 0x99]),
            outer_vlan: vlan,
            inner_vlan: None,
            ether_type: if local.is_ipv4() { 0x0800 } else { 0x86dd },
            ip: Some(IpFlow { local, remote, proto: Some(self.proto), ports }),
        }
    }
}

/// Verdict, and the reason of the rule that decided.
pub fn decide(document: &Document, probe: &Probe, direction: Direction) -> (Verdict, Option<String>) {
    let decision = document.decide(&probe.flow(direction, None));
    let rule = matches!(decision.why, Why::Rule { .. });
    let reason = document.origin(&decision.why).filter(|_| rule).and_then(|origin| origin.reason.clone());
    (decision.verdict, reason)
}

/// Rules of the document, as written, without their reasons.
pub fn rules(import: &Import) -> Vec<&str> {
    let rules = import.yaml.lines().filter_map(|line| line.strip_prefix("    - {"));
    rules.map(|line| line.split_once(", reason: ").map_or(line, |(rule, _)| rule)).collect()
}

/// What was not carried, without the lines' texts.
pub fn listed(import: &Import) -> Vec<String> {
    import.not_carried.iter().map(|it| format!("{}: {}: {}", it.line, it.effect, it.reason)).collect()
}
