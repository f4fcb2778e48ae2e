//! What a user writes to name a function: a PCI address, its folder in sysfs, descriptors, or a vfio-user socket.

use std::convert::Infallible;
use std::fmt;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;

use super::vfio::{Vfio, VfioError};
use super::vfio_user::{VfioUser, VfioUserError};
use super::{Device, PciAddress};

/// Where a function is.
///
/// ```
/// use nicfw::device::Locator;
/// let Ok(socket) = "vfio-user:/run/nic.sock".parse::<Locator>();
/// assert_eq!(socket, Locator::VfioUser("/run/nic.sock".into()));
/// let Ok(function) = "65:00.0".parse::<Locator>();
/// assert_eq!(function.to_string(), "0000:65:00.0");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locator {
    /// A function of this machine, by VFIO.
    Pci(PciAddress),
    /// The same, by its folder in sysfs.
    Sysfs(PathBuf),
    /// Descriptors that this process has inherited: the function's character device, and an iommufd if one is there.
    Descriptors {
        /// `/dev/vfio/devices/vfioN`.
        device: RawFd,
        /// `/dev/iommu`; without it, it is opened.
        iommu: Option<RawFd>,
    },
    /// A function in another process.
    VfioUser(PathBuf),
}

/// Why the function cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// By VFIO.
    #[error(transparent)]
    Vfio(#[from] VfioError),
    /// By a vfio-user socket.
    #[error(transparent)]
    VfioUser(#[from] VfioUserError),
}

impl Locator {
    /// Opens the function and makes it a bus master.
    ///
    /// # Errors
    /// [`OpenError`], with what to do about it. The function is as before.
    pub fn open(&self) -> Result<Box<dyn Device>, OpenError> {
        Ok(match self {
            Self::Pci(address) => Box::new(Vfio::open(*address)?),
            Self::Sysfs(path) => Box::new(Vfio::open_sysfs(path)?),
            Self::Descriptors { device, iommu } => Box::new(Vfio::from_inherited(*device, *iommu)?),
            Self::VfioUser(path) => Box::new(VfioUser::open(path)?),
        })
    }
}

/// `N`, or `N,M`.
fn descriptors(text: &str) -> Option<Locator> {
    let number = |text: &str| text.parse().ok().filter(|number: &RawFd| *number >= 0);
    match text.split_once(',') {
        Some((device, iommu)) => Some(Locator::Descriptors { device: number(device)?, iommu: Some(number(iommu)?) }),
        None => Some(Locator::Descriptors { device: number(text)?, iommu: None }),
    }
}

impl FromStr for Locator {
    type Err = Infallible;

    /// `vfio-user:PATH` is a socket, `fd:N` and `fd:N,M` are descriptors, a PCI address is one, and anything else is taken for
    /// a path in sysfs.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        if let Some(path) = text.strip_prefix("vfio-user:") {
            return Ok(Self::VfioUser(path.into()));
        }
        if let Some(descriptors) = text.strip_prefix("fd:").and_then(descriptors) {
            return Ok(descriptors);
        }
        Ok(text.parse().map_or_else(|_| Self::Sysfs(text.into()), Self::Pci))
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pci(address) => address.fmt(f),
            Self::Sysfs(path) => path.display().fmt(f),
            Self::Descriptors { device, iommu: None } => write!(f, "fd:{device}"),
            Self::Descriptors { device, iommu: Some(iommu) } => write!(f, "fd:{device},{iommu}"),
            Self::VfioUser(path) => write!(f, "vfio-user:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_says_what_is_wrong_with_it() {
        let error = |text: &str| {
            let Ok(locator) = text.parse::<Locator>();
            locator.open().err().unwrap().to_string()
        };
        assert!(error("vfio-user:/nonexistent/s").starts_with("no vfio-user server at /nonexistent/s"));
        assert!(error("ffff:ff:1f.7").contains("ffff:ff:1f.7"));
        let neither = "eth0 is not a PCI function in sysfs: expected a path that ends like 0000:65:00.0";
        assert_eq!(error("eth0"), neither);
        assert_eq!(error("fd:99999"), "descriptor 99999 was not passed to this process");
        assert_eq!(error("fd:99999,99998"), "descriptor 99998 was not passed to this process");
        assert!(error("fd:-1").starts_with("fd:-1 is not a PCI function"));
    }

    #[test]
    fn what_is_printed_is_read_again() {
        for text in ["0000:65:00.0", "/sys/bus/pci/devices/0000:65:00.0", "fd:3", "fd:3,4", "vfio-user:/run/nic.sock"] {
            let Ok(locator) = text.parse::<Locator>();
            assert_eq!(locator.to_string(), text);
        }
    }
}
