//! Why a function cannot be had through VFIO, in the words of who has to do something about it.

use std::io;
use std::path::PathBuf;

use crate::device::{Obstacle, PciAddress, PciId, ProbeError};

/// Why a function cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VfioError {
    /// There is no such function, or it is no adapter.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The path is none of a PCI function.
    #[error("{} is not a PCI function in sysfs: expected a path that ends like 0000:65:00.0", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// Something that can be seen from outside stands in the way.
    #[error("{address}: {obstacle}{}", way_out(obstacle, *address))]
    Obstacle {
        /// The function.
        address: PciAddress,
        /// What stands in the way.
        obstacle: Obstacle,
    },
    /// The process has no such descriptor.
    #[error("descriptor {number} was not passed to this process")]
    Descriptor {
        /// Its number.
        number: i32,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{} is in use: find who has it with `fuser -v {}`", path.display(), path.display())]
    Busy {
        /// The group's or the device's file.
        path: PathBuf,
    },
    /// The file may not be opened.
    #[error("{} may not be opened by this user: `chown USER {}`, or run as root", path.display(), path.display())]
    NoPermission {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened for another reason.
    #[error("{} cannot be opened", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The IOMMU group has other members that are in use.
    #[error("the IOMMU group is not viable: other members are in use by the kernel; see `nicfw doctor`")]
    NotViable,
    /// The IOMMU does not guard interrupts.
    #[error(
        "the IOMMU does not remap interrupts, so a device could send any: where that is acceptable, \
         `modprobe vfio_iommu_type1 allow_unsafe_interrupts=1`"
    )]
    UnsafeInterrupts,
    /// The function is none that nicfw drives.
    #[error("{id} is not an adapter that nicfw knows")]
    Unknown {
        /// The function's id.
        id: PciId,
    },
    /// The function has no registers.
    #[error("the function {id} has no registers: its BAR {bar} is empty")]
    NoRegisters {
        /// The function's id.
        id: PciId,
        /// The BAR that should hold them.
        bar: u32,
    },
    /// The kernel refused something else.
    #[error("the kernel refused to {op}")]
    Kernel {
        /// What was asked of it.
        op: &'static str,
        /// Its reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl VfioError {
    pub(super) fn kernel(op: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Kernel { op, source: source.into() }
    }

    /// What opening a file of VFIO ran into.
    pub(super) fn open(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NoPermission { path },
            io::ErrorKind::ResourceBusy => Self::Busy { path },
            _ => Self::File { path, source },
        }
    }
}

/// The commands that remove an obstacle, on one line.
fn way_out(obstacle: &Obstacle, address: PciAddress) -> String {
    let commands = obstacle.commands(address);
    if commands.is_empty() { String::new() } else { format!(": `{}`", commands.join(" && ")) }
}

/// Memory was not put into the device's reach.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DmaMapError {
    /// Too much memory is pinned already.
    #[error("the memory limit is reached (RLIMIT_MEMLOCK): raise it with `ulimit -l`")]
    Memlock,
    /// The IOMMU refused.
    #[error("the IOMMU refused {len} bytes at {iova:#x}")]
    Refused {
        /// First address.
        iova: u64,
        /// Length in bytes.
        len: usize,
        /// The kernel's reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_the_way_out() {
        let address = "65:00.0".parse().unwrap();
        let held = Obstacle::HeldBy { driver: "sfc".to_owned(), interfaces: vec!["eth2".to_owned()] };
        let cases = [
            (
                VfioError::Obstacle { address, obstacle: held },
                "0000:65:00.0: driver sfc holds the function; eth2 would go away: \
                 `echo vfio-pci > /sys/bus/pci/devices/0000:65:00.0/driver_override && \
                 echo 0000:65:00.0 > /sys/bus/pci/devices/0000:65:00.0/driver/unbind && \
                 echo 0000:65:00.0 > /sys/bus/pci/drivers_probe`",
            ),
            (
                VfioError::open("/dev/vfio/12".into(), io::Error::from_raw_os_error(16)),
                "/dev/vfio/12 is in use: find who has it with `fuser -v /dev/vfio/12`",
            ),
            (
                VfioError::open("/dev/vfio/12".into(), io::Error::from_raw_os_error(13)),
                "/dev/vfio/12 may not be opened by this user: `chown USER /dev/vfio/12`, or run as root",
            ),
            (VfioError::open("/dev/vfio/12".into(), io::Error::from_raw_os_error(5)), "/dev/vfio/12 cannot be opened"),
        ];
        for (error, text) in cases {
            assert_eq!(error.to_string(), text);
        }
    }
}
