//! Which container an entry belongs to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::policy::Document;
use crate::policy::plan::Local;
use crate::tables::MacAddr;

/// Containers by their addresses.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    ips: BTreeMap<IpAddr, String>,
    macs: BTreeMap<MacAddr, String>,
}

impl Names {
    pub fn of(document: &Document) -> Self {
        let mut names = Self::default();
        for binding in &document.bindings {
            let mac = binding.owns_mac.then_some(binding.mac);
            names.add(&binding.container, &binding.ips, mac);
        }
        names
    }

    pub fn add(&mut self, container: &str, ips: &[IpAddr], mac: Option<MacAddr>) {
        self.ips.extend(ips.iter().map(|ip| (*ip, container.to_owned())));
        self.macs.extend(mac.map(|mac| (mac, container.to_owned())));
    }

    pub fn holder(&self, ip: IpAddr) -> Option<&str> {
        self.ips.get(&ip).map(String::as_str)
    }

    /// The container whose flows an entry with these local fields matches; `None` for what nobody bound.
    pub fn container(&self, local: &Local) -> Option<&str> {
        let by_ip = local.ip.and_then(|ip| self.ips.get(&ip));
        by_ip.or_else(|| self.macs.get(&local.mac?)).map(String::as_str)
    }
}
