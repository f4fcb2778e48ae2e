//! Which container an entry belongs to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::policy::Document;
use crate::tables::plan::Local;
use crate::terms::MacAddr;

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
            names.add(&binding.container, &binding.ips, mac.as_slice());
        }
        names
    }

    /// Whoever came first keeps the name: what is bound before what is reserved.
    pub fn add(&mut self, container: &str, ips: &[IpAddr], macs: &[MacAddr]) {
        for ip in ips {
            self.ips.entry(*ip).or_insert_with(|| container.to_owned());
        }
        for mac in macs {
            self.macs.entry(*mac).or_insert_with(|| container.to_owned());
        }
    }

    /// The container whose flows an entry with these local fields matches; `None` for what nobody bound.
    pub fn container(&self, local: &Local) -> Option<&str> {
        let by_ip = local.ip.and_then(|ip| self.ips.get(&ip));
        by_ip.or_else(|| self.macs.get(&local.mac?)).map(String::as_str)
    }
}
