//! What an import is asked for.

use std::net::IpAddr;

use crate::policy::document::Attach;
use crate::terms::{MacAddr, Verdict};

/// Largest file that [`import`](super::import) reads, in bytes.
pub const LARGEST_FILE: usize = 16 << 20;

/// A form of rules that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// ClassBench filter set.
    Classbench,
    /// Output of `iptables-save` or `ip6tables-save`.
    Iptables,
    /// Output of `nft -j list ruleset`.
    Nft,
    /// DPDK-style access list in JSON.
    DpdkAcl,
}

/// Where the rules of an `iptables` or `nft` file stood as seen from the bound addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// On the host that had the addresses: INPUT is in, OUTPUT is out.
    Host,
    /// On a router before it: FORWARD is both.
    Router,
}

/// What the file does not say.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Container that is bound.
    pub container: String,
    /// Its addresses.
    pub ips: Vec<IpAddr>,
    /// Its MAC.
    pub mac: MacAddr,
    /// How it is attached.
    pub attach: Attach,
    /// Says `nd: open-icmpv6`, which IPv6 addresses need.
    pub open_nd: bool,
    /// Verdict for IPs that nobody bound.
    pub unbound: Verdict,
    /// Whether the container may send to groups.
    pub multicast: Verdict,
    /// Which hooks are imported.
    pub view: View,
    /// Interfaces through which the container's traffic came and went in the old firewall. If any is named, rules for others
    /// never match.
    pub uplinks: Vec<String>,
    /// Interfaces of a router's side towards the container: its bridge, its veth. If any is named, rules for others never match
    /// there.
    pub inside: Vec<String>,
    /// VLAN of the container's frames; 0 vouches that they carry no tag. Others than 0 are bound.
    pub vlan: Option<u16>,
    /// Value of the `domain` field of DPDK rules that stands for the container's traffic.
    pub domain: Option<u16>,
    /// Denies of connection states that no table can tell, and of what exceeds a rate, may be left out.
    pub accept_stateless: bool,
}

impl Settings {
    /// One container, seen from its host, attached in a way that assumes nothing; everything else closed.
    #[must_use]
    pub fn new(container: &str, ips: Vec<IpAddr>, mac: MacAddr) -> Self {
        Self {
            container: container.to_owned(),
            ips,
            mac,
            attach: Attach::None,
            open_nd: false,
            unbound: Verdict::Deny,
            multicast: Verdict::Deny,
            view: View::Host,
            uplinks: Vec::new(),
            inside: Vec::new(),
            vlan: None,
            domain: None,
            accept_stateless: false,
        }
    }

    /// True, false or unknown: does the container's traffic pass this interface on the way to and from its peers?
    pub(super) fn is_uplink(&self, interface: &str) -> Option<bool> {
        if self.uplinks.is_empty() {
            return self.inside.iter().any(|name| fits(interface, name)).then_some(false);
        }
        Some(self.uplinks.iter().any(|name| fits(interface, name)))
    }

    /// The same on a router's side towards the container.
    pub(super) fn is_inside(&self, interface: &str) -> Option<bool> {
        if self.inside.is_empty() {
            return self.uplinks.iter().any(|name| fits(interface, name)).then_some(false);
        }
        Some(self.inside.iter().any(|name| fits(interface, name)))
    }
}

/// Whether a condition's interface means one that the settings name. `eth+` and `eth*` are prefixes in a condition.
pub(super) fn fits(interface: &str, named: &str) -> bool {
    match interface.strip_suffix(['+', '*']) {
        Some(prefix) => named.starts_with(prefix),
        None => interface == named,
    }
}
