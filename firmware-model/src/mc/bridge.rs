//! The vswitch of a function and the vports on it.

use std::collections::BTreeMap;

use nicfw::mcdi::wire::McErrno;
use nicfw::terms::MacAddr;

use super::words::port::ASSIGNED;

/// The vswitch of a function, if there is one, with its vports by their ids.
#[derive(Debug, Default)]
pub(crate) struct Bridge {
    /// `None` without a vswitch.
    pub vports: Option<BTreeMap<u32, Vec<MacAddr>>>,
}

impl Bridge {
    /// Whether this is the function's own port or one of its vports.
    pub fn check_port(&self, port: u32) -> Result<(), McErrno> {
        let is_vport = self.vports.as_ref().is_some_and(|vports| vports.contains_key(&port));
        if port == ASSIGNED || is_vport { Ok(()) } else { Err(McErrno::NO_EVB_PORT) }
    }

    /// The first MAC of a vport.
    pub fn mac_of(&self, port: u32) -> Option<MacAddr> {
        self.vports.as_ref()?.get(&port)?.first().copied()
    }

    /// Whether a vport has the MAC.
    pub fn has_mac(&self, mac: MacAddr) -> bool {
        self.vports.iter().flat_map(BTreeMap::values).flatten().any(|held| *held == mac)
    }

    pub fn vports(&mut self) -> Result<&mut BTreeMap<u32, Vec<MacAddr>>, McErrno> {
        self.vports.as_mut().ok_or(McErrno::NO_VSWITCH)
    }

    pub fn macs(&mut self, port: u32) -> Result<&mut Vec<MacAddr>, McErrno> {
        self.vports.as_mut().and_then(|vports| vports.get_mut(&port)).ok_or(McErrno::NO_EVB_PORT)
    }
}
