//! What is proved, and the frames that stand for others.

use std::net::IpAddr;
use std::sync::Arc;

use super::ids::ImageIds;
use crate::policy::regions::DIRECTIONS;
use crate::policy::{Document, Origin};
use crate::tables::base::{ETHER_TYPE_IPV4, ETHER_TYPE_IPV6};
use crate::tables::refuse::CompileError;
use crate::tables::units::Units;
use crate::tables::{Image, Target};
use crate::terms::{Flow, IpFlow, MacAddr, Verdict};

/// MACs that stand for any foreign one; of them one that nobody has.
pub(super) const UNUSED_MACS: [MacAddr; 3] = [
    MacAddr([0x06, 0xff, 0xff, 0xff, 0xff, 0xfe]),
    MacAddr([0x06, 0xff, 0xff, 0xff, 0xff, 0xfc]),
    MacAddr([0x06, 0xff, 0xff, 0xff, 0xff, 0xfb]),
];

pub(super) const PEER_MAC: MacAddr = MacAddr([0x06, 0xff, 0xff, 0xff, 0xff, 0xfd]);

pub(super) const ARP: u16 = 0x0806;

pub(super) const ETHER_TYPES_IP: [u16; 2] = [ETHER_TYPE_IPV4, ETHER_TYPE_IPV6];

/// What is proved.
pub(in crate::tables::compile) struct Proof<'a> {
    pub document: &'a Document,
    pub target: &'a Target,
    pub image: &'a Image,
    pub units: &'a Units,
    pub ids: &'a ImageIds,
}

/// The ether type of IP frames with an address.
pub(super) fn ether_type_of(ip: IpAddr) -> u16 {
    if ip.is_ipv4() { ETHER_TYPE_IPV4 } else { ETHER_TYPE_IPV6 }
}

pub(super) fn agree(
    expected: Verdict,
    judged: Verdict,
    flow: &Flow,
    at: impl FnOnce() -> Arc<Origin>,
) -> Result<(), CompileError> {
    if expected == judged {
        return Ok(());
    }
    Err(CompileError::Disagrees { at: at(), expected, flow: Box::new(*flow) })
}

pub(super) fn flow(local: IpAddr, remote: IpAddr, proto: Option<u8>) -> Flow {
    Flow {
        direction: DIRECTIONS[0],
        physical_port: 0,
        local_mac: UNUSED_MACS[0],
        remote_mac: PEER_MAC,
        outer_vlan: None,
        inner_vlan: None,
        ether_type: ether_type_of(local),
        ip: Some(IpFlow { local, remote, proto, ports: None }),
    }
}
