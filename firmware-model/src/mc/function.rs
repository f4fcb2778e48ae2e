//! What the MC keeps of a function.

use nicfw::mcdi::wire::{McErrno, Privileges};
use nicfw::terms::MacAddr;

use super::bridge::Bridge;
use super::completions::Completions;
use super::config::FunctionConfig;
use super::holdings::Holdings;
use super::words::port::ASSIGNED;
use crate::mac::TrafficCounters;
use crate::steer::{Match, Spec, Steering};
use crate::vnic::Vnic;

/// VIs of a function at most: as many as its BAR has windows.
pub(crate) const MAX_VIS: u32 = 128;
/// MSI-X vectors of a function. The model's own choice.
pub(crate) const VECTORS: u16 = 32;

/// The link of a function to its port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vadaptor {
    pub mac: MacAddr,
    /// EVB_PORT_ID that it is on.
    pub port: u32,
    /// PERMIT_SET_MAC_WHEN_FILTERS_INSTALLED.
    pub permit_set_mac: bool,
}

/// Statistics that are written to memory again and again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Periodic {
    pub address: u64,
    pub period_ms: u32,
    /// Time since the last one.
    pub waited_ms: u32,
    pub event: bool,
}

/// What the MC keeps of a function.
#[derive(Debug)]
pub(crate) struct FunctionState {
    pub config: FunctionConfig,
    pub attached: u32,
    /// False until a request with NEWEPOCH came, since the start or since a reboot of the MC.
    pub epoch: bool,
    /// Off the bus: see [`crate::fault::FaultKind::Gone`].
    pub gone: bool,
    /// The queues of its driver.
    pub vnic: Vnic,
    /// There when a driver wants frames by its filters; without one, frames are steered by the function's MAC.
    pub vadaptor: Option<Vadaptor>,
    pub bridge: Bridge,
    pub steering: Steering,
    /// What its queues have sent and received.
    pub counters: TrafficCounters,
    pub completions: Completions,
    /// Event queue for the MC's events.
    pub events_to: u32,
    pub periodic: Option<Periodic>,
}

impl FunctionState {
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
            counters: TrafficCounters::default(),
            completions: Completions::default(),
            events_to: 0,
            periodic: None,
        }
    }

    /// What the function holds of the adapter.
    pub fn held(&self) -> Holdings {
        let [event_queues, receive_queues, transmit_queues] = self.vnic.queues();
        let [filters, rss_contexts] = self.steering.held();
        let vadaptors = usize::from(self.vadaptor.is_some());
        let vis = self.vnic.vis;
        Holdings { vis, event_queues, receive_queues, transmit_queues, filters, rss_contexts, vadaptors }
    }

    /// Frees everything that the function holds of the adapter.
    pub fn free(&mut self) {
        self.vnic.reset();
        self.vadaptor = None;
        self.bridge = Bridge::default();
        self.steering = Steering::default();
        self.events_to = 0;
        self.periodic = None;
    }

    /// The vadaptor, or the error that tells that there is none.
    pub fn vadaptor(&self, port: u32) -> Result<Vadaptor, McErrno> {
        self.bridge.check_port(port)?;
        self.vadaptor.filter(|vadaptor| vadaptor.port == port).ok_or(McErrno::NO_VADAPTOR)
    }

    /// The vadaptor that a queue or a filter needs: the function's own port gets one by its first use where no driver asked
    /// for any. An inference: iPXE never asks, and receives.
    pub fn vadaptor_to_use(&self, port: u32) -> Result<Vadaptor, McErrno> {
        if port == ASSIGNED && self.vadaptor.is_none() {
            return Ok(Vadaptor { mac: self.config.mac, port, permit_set_mac: false });
        }
        self.vadaptor(port)
    }

    /// Whether the adapter takes frames of this MAC from the function where it filters by MAC (ef10.md 4.9).
    pub fn may_send_as(&self, mac: MacAddr) -> bool {
        let own = self.vadaptor.map_or(self.config.mac, |vadaptor| vadaptor.mac);
        let foreign = Privileges::MAC_SPOOFING_TX | Privileges::MAC_SPOOFING;
        mac == own || self.bridge.has_mac(mac) || self.config.privileges.intersects(foreign)
    }

    /// What a function lacks the privilege for gets EPERM (ef10.md 6.4).
    fn allow(&self, any: Privileges) -> Result<(), McErrno> {
        if self.config.privileges.intersects(any) { Ok(()) } else { Err(McErrno::EPERM) }
    }

    /// Whether a filter asks for traffic that the function may see.
    pub fn check_spec(&self, spec: &Spec, own: MacAddr) -> Result<(), McErrno> {
        let dst = MacAddr(spec.dst_mac);
        if spec.fields.contains(Match::UNKNOWN_UCAST_DST) {
            self.allow(Privileges::PROMISCUOUS)
        } else if spec.fields.contains(Match::UNKNOWN_MCAST_DST) {
            self.allow(Privileges::ALL_MULTICAST)
        } else if !spec.fields.contains(Match::DST_MAC) {
            Ok(())
        } else if dst.0 == [0xff; 6] {
            self.allow(Privileges::BROADCAST)
        } else if dst.is_group() {
            self.allow(Privileges::MULTICAST)
        } else if dst == own || self.bridge.has_mac(dst) {
            self.allow(Privileges::UNICAST)
        } else {
            self.allow(Privileges::INSECURE_FILTERS)
        }
    }

    /// Whether its vadaptor is on this port.
    pub fn uses(&self, port: u32) -> bool {
        self.vadaptor.is_some_and(|vadaptor| vadaptor.port == port)
    }

    /// A MAC that the function may take in place of its own.
    pub fn mac_to_take(&self, mac: MacAddr) -> Result<MacAddr, McErrno> {
        if mac.is_group() || mac.0 == [0; 6] {
            return Err(McErrno::EINVAL);
        }
        if mac != self.config.mac {
            self.allow(Privileges::CHANGE_MAC | Privileges::MAC_SPOOFING)?;
        }
        Ok(mac)
    }
}
