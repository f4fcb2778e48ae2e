//! Commands about the virtual Ethernet bridge of a function: its vswitch, the vports on that, and their MACs (ef10.md 5.6 and
//! 5.10).
//!
//! The wire of a port and its functions form a switch whether a vswitch was made or not (see the pipeline). So a vswitch
//! changes no frame's way: it is there for drivers that put vports on it and their vadaptor on one of these. A vport's MACs
//! are its function's own, as far as filters need a privilege for foreign ones.

use std::collections::BTreeMap;

use nicfw::mcdi::wire::{Cmd, McErrno};
use nicfw::terms::MacAddr;

use crate::mc::command::{Command, GENERAL, Reply};
use crate::mc::controller::Mc;
use crate::mc::message::In;
use crate::mc::words::{self as w, port::ASSIGNED, vport_type::NORMAL, vswitch_type::VEB};

/// EVB_PORT_ID of the first vport, and how many a vswitch has at most. The model's own choice.
const FIRST_VPORT: u32 = 0x0300_0000;
const MAX_VPORTS: usize = 64;
/// MACs of a vport at most: as many as VPORT_GET_MAC_ADDRESSES can tell.
const MAX_MACS: usize = 41;
/// VLAN tags that a vswitch can take off.
const MAX_TAGS: u32 = 2;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    Command { cmd: Cmd::VSWITCH_QUERY, privilege: GENERAL, request: (4, 1020), run: Mc::vswitch_query },
    Command { cmd: Cmd::VSWITCH_ALLOC, privilege: GENERAL, request: (16, 1020), run: Mc::vswitch_alloc },
    Command { cmd: Cmd::VSWITCH_FREE, privilege: GENERAL, request: (4, 1020), run: Mc::vswitch_free },
    Command { cmd: Cmd::VPORT_ALLOC, privilege: GENERAL, request: (20, 1020), run: Mc::vport_alloc },
    Command { cmd: Cmd::VPORT_FREE, privilege: GENERAL, request: (4, 1020), run: Mc::vport_free },
    Command { cmd: Cmd::VPORT_ADD_MAC_ADDRESS, privilege: GENERAL, request: (10, 1020), run: Mc::vport_add_mac_address },
    Command { cmd: Cmd::VPORT_DEL_MAC_ADDRESS, privilege: GENERAL, request: (10, 1020), run: Mc::vport_del_mac_address },
    Command { cmd: Cmd::VPORT_GET_MAC_ADDRESSES, privilege: GENERAL, request: (4, 1020), run: Mc::vport_get_mac_addresses },
];

/// A vswitch is made on the function's own port and nowhere else.
fn check_assigned(port: u32) -> Result<(), McErrno> {
    if port == ASSIGNED { Ok(()) } else { Err(McErrno::NO_EVB_PORT) }
}

impl Mc {
    fn vswitch_query(&mut self, function: usize, payload: &[u8]) -> Reply {
        check_assigned(In(payload).u32(w::vswitch_query_in::UPSTREAM_PORT_ID))?;
        self.own(function)?.bridge.vports().map(|_| Vec::new())
    }

    /// A VEB. A second one gets EEXIST, one under a vadaptor EBUSY: no document tells the codes.
    fn vswitch_alloc(&mut self, function: usize, payload: &[u8]) -> Reply {
        let ask = In(payload);
        check_assigned(ask.u32(w::vswitch_alloc_in::UPSTREAM_PORT_ID))?;
        let own = self.own(function)?;
        match (ask.u32(w::vswitch_alloc_in::TYPE), ask.u32(w::vswitch_alloc_in::NUM_VLAN_TAGS)) {
            (VEB, tags) if tags <= MAX_TAGS => {}
            (VEB, _) => return Err(McErrno::VLAN_LIMIT),
            _ => return Err(McErrno::BAD_VSWITCH_TYPE),
        }
        if own.bridge.vports.is_some() {
            return Err(McErrno::EEXIST);
        }
        if own.vadaptor.is_some() {
            return Err(McErrno::EBUSY);
        }
        own.bridge.vports = Some(BTreeMap::new());
        Ok(Vec::new())
    }

    /// EBUSY while there are vports: no document tells the code.
    fn vswitch_free(&mut self, function: usize, payload: &[u8]) -> Reply {
        check_assigned(In(payload).u32(w::vswitch_free_in::UPSTREAM_PORT_ID))?;
        let bridge = &mut self.own(function)?.bridge;
        if !bridge.vports()?.is_empty() {
            return Err(McErrno::EBUSY);
        }
        bridge.vports = None;
        Ok(Vec::new())
    }

    /// A NORMAL vport that sees every tag as it is: tags of its own are not possible (VLAN_LIMIT).
    fn vport_alloc(&mut self, function: usize, payload: &[u8]) -> Reply {
        let ask = In(payload);
        check_assigned(ask.u32(w::vport_alloc_in::UPSTREAM_PORT_ID))?;
        let vports = self.own(function)?.bridge.vports()?;
        match (ask.u32(w::vport_alloc_in::TYPE), ask.u32(w::vport_alloc_in::NUM_VLAN_TAGS)) {
            (NORMAL, 0) => {}
            (NORMAL, _) => return Err(McErrno::VLAN_LIMIT),
            _ => return Err(McErrno::BAD_VPORT_TYPE),
        }
        if vports.len() >= MAX_VPORTS {
            return Err(McErrno::ENOSPC);
        }
        let id = vports.last_key_value().map_or(FIRST_VPORT, |(last, _)| last.saturating_add(1));
        vports.insert(id, Vec::new());
        Ok(id.to_le_bytes().to_vec())
    }

    fn vport_free(&mut self, function: usize, payload: &[u8]) -> Reply {
        let port = In(payload).u32(w::vport_free_in::VPORT_ID);
        let own = self.own(function)?;
        own.bridge.macs(port)?;
        if own.uses(port) {
            return Err(McErrno::EBUSY);
        }
        own.bridge.vports()?.remove(&port);
        Ok(Vec::new())
    }

    /// Another MAC than the function's own needs the privilege to take one.
    fn vport_add_mac_address(&mut self, function: usize, payload: &[u8]) -> Reply {
        let (port, mac) = (
            In(payload).u32(w::vport_add_mac_address_in::VPORT_ID),
            MacAddr(In(payload).bytes(w::vport_add_mac_address_in::MACADDR)),
        );
        let own = self.own(function)?;
        own.bridge.macs(port)?;
        let mac = own.mac_to_take(mac)?;
        let macs = own.bridge.macs(port)?;
        if macs.contains(&mac) {
            return Err(McErrno::EEXIST);
        }
        if macs.len() >= MAX_MACS {
            return Err(McErrno::ENOSPC);
        }
        macs.push(mac);
        Ok(Vec::new())
    }

    fn vport_del_mac_address(&mut self, function: usize, payload: &[u8]) -> Reply {
        let mac = MacAddr(In(payload).bytes(w::vport_del_mac_address_in::MACADDR));
        let macs = self.own(function)?.bridge.macs(In(payload).u32(w::vport_del_mac_address_in::VPORT_ID))?;
        let at = macs.iter().position(|held| *held == mac).ok_or(McErrno::ENOENT)?;
        macs.remove(at);
        Ok(Vec::new())
    }

    /// Of the function's own port: its MAC.
    fn vport_get_mac_addresses(&mut self, function: usize, payload: &[u8]) -> Reply {
        let port = In(payload).u32(w::vport_get_mac_addresses_in::VPORT_ID);
        let own = self.own(function)?;
        let macs = if port == ASSIGNED { vec![own.config.mac] } else { own.bridge.macs(port)?.clone() };
        let count = u32::try_from(macs.len()).unwrap_or(0);
        Ok([&count.to_le_bytes()[..], &macs.iter().flat_map(|mac| mac.0).collect::<Vec<_>>()].concat())
    }
}
