//! What an adapter is, for people.

use std::fmt;

use crate::device::PciId;
use crate::mcdi::cmd::function::{FirmwareVersion, FunctionId};
use crate::mcdi::wire::{DPCPU_FW_RULES_ENGINE, Privileges};
use crate::terms::MacAddr;

/// What is known about an attached adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdapterInfo {
    /// PCI vendor and device id of the function.
    pub pci_id: PciId,
    /// Version and build time of the firmware.
    pub firmware: FirmwareVersion,
    /// The variant that runs.
    pub variant: FirmwareVariant,
    /// The function that nicfw drives.
    pub function: FunctionId,
    /// What the function may do.
    pub privileges: Privileges,
    /// Physical port of the function, if it has one.
    pub port: Option<u32>,
    /// First Ethernet address of the function.
    pub mac: MacAddr,
    /// RULES_VERSION that the adapter reports.
    pub rules_version: u32,
    /// Counter pairs of the adapter.
    pub counters: u32,
    /// Width of a counter in bits.
    pub counter_width: u32,
}

impl AdapterInfo {
    /// The name by which a journal knows the adapter: PCI ids and Ethernet address, as in `1924:0a03 02:00:00:00:00:01`.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{} {}", self.pci_id, self.mac)
    }
}

/// Firmware of the two datapaths (RX_DPCPU_FW_ID and TX_DPCPU_FW_ID, ef10.md 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FirmwareVariant {
    /// Receive datapath.
    pub rx: u16,
    /// Transmit datapath.
    pub tx: u16,
}

impl FirmwareVariant {
    /// True if both datapaths run the rules engine.
    #[must_use]
    pub fn is_rules_engine(self) -> bool {
        self.rx == DPCPU_FW_RULES_ENGINE && self.tx == DPCPU_FW_RULES_ENGINE
    }
}

impl fmt::Display for FirmwareVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |id| match id {
            0 => "full-featured",
            1 => "low-latency",
            2 => "packed-stream",
            3 => "high-tx-rate",
            5 => "rules-engine",
            6 => "dpdk",
            _ => "unknown",
        };
        if self.rx == self.tx {
            write!(f, "{} ({:#x})", name(self.rx), self.rx)
        } else {
            write!(f, "rx {} ({:#x}), tx {} ({:#x})", name(self.rx), self.rx, name(self.tx), self.tx)
        }
    }
}

impl fmt::Display for AdapterInfo {
    /// As in `1924:0a03 PF 0, firmware 6.2.7.1001 rules-engine (0x5)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.firmware.version;
        write!(f, "{} {}, firmware {a}.{b}.{c}.{d} {}", self.pci_id, self.function, self.variant)
    }
}
