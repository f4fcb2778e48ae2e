//! What an adapter is made of: its functions and its firmware.

use nicfw::mcdi::wire::{DPCPU_FW_RULES_ENGINE, FW_FULL_FEATURED, FW_LOW_LATENCY, FW_RULES_ENGINE, Privileges};
use nicfw::terms::MacAddr;

/// One function of the adapter.
#[derive(Debug, Clone)]
pub struct FunctionConfig {
    /// Number of the physical function.
    pub pf: u16,
    /// Number of the virtual function; `None` for the physical function itself.
    pub vf: Option<u16>,
    /// Physical port behind it.
    pub port: u32,
    /// Its MAC.
    pub mac: MacAddr,
    /// What it may do.
    pub privileges: Privileges,
}

/// The MAC of function `number` of an adapter as it comes from the factory: one of Solarflare's (00:0f:53), as drivers
/// refuse a default MAC that is locally administered.
#[must_use]
pub fn factory_mac(number: u16) -> MacAddr {
    let [high, low] = number.to_be_bytes();
    MacAddr([0x00, 0x0f, 0x53, 0, high, low])
}

impl FunctionConfig {
    /// A physical function with every privilege.
    #[must_use]
    pub fn admin(port: u16, mac: MacAddr) -> Self {
        Self { pf: port, vf: None, port: port.into(), mac, privileges: Privileges::all() }
    }

    /// A virtual function that a host shares among containers by MACVLAN: as [`FunctionConfig::container`], and it may
    /// send and receive with other MACs than its own.
    #[must_use]
    pub fn shared(port: u16, vf: u16, mac: MacAddr) -> Self {
        let mut function = Self::container(port, vf, mac);
        function.privileges |= Privileges::MAC_SPOOFING_TX | Privileges::INSECURE_FILTERS | Privileges::ALL_MULTICAST;
        function
    }

    /// A virtual function of a container: it may send and receive, and nothing more.
    #[must_use]
    pub fn container(port: u16, vf: u16, mac: MacAddr) -> Self {
        let privileges = Privileges::UNICAST | Privileges::MULTICAST | Privileges::BROADCAST;
        Self { pf: port, vf: Some(vf), port: port.into(), mac, privileges }
    }
}

/// Which firmware variant runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FirmwareVariant {
    /// The rules engine.
    #[default]
    RulesEngine,
    /// Low latency: has no rule commands.
    LowLatency,
    /// Full featured: has no rule commands.
    FullFeatured,
}

/// Whether DRV_ATTACH may switch the variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Switching {
    /// A persistent setting wins over what drivers ask for.
    #[default]
    Fixed,
    /// The first function to attach decides.
    FirstAttach,
}

impl FirmwareVariant {
    /// By FIRMWARE_ID of DRV_ATTACH.
    pub(super) fn of(firmware_id: u32) -> Option<Self> {
        match firmware_id {
            FW_RULES_ENGINE => Some(Self::RulesEngine),
            FW_LOW_LATENCY => Some(Self::LowLatency),
            FW_FULL_FEATURED => Some(Self::FullFeatured),
            _ => None,
        }
    }

    pub(super) fn dpcpu_id(self) -> u16 {
        match self {
            Self::RulesEngine => DPCPU_FW_RULES_ENGINE,
            Self::LowLatency => 1,
            Self::FullFeatured => 0,
        }
    }
}
