//! What can be told about an adapter without touching it: sysfs and /dev are read, nothing is opened, bound or sent.
//!
//! [`Machine`] names the place to look, so that the walk is tested on a made-up tree. A [`Suitability`] says for one
//! function who holds it, what stands in nicfw's way, and with which commands each obstacle goes away. What the firmware
//! can do is not written in sysfs: without an obstacle the verdict is [`Usability::UnknownUntilAttach`] until somebody
//! attached and calls [`Suitability::with_firmware`].
//!
//! ```no_run
//! use nicfw::device::{Machine, Usability};
//! for function in Machine::this().probe(None)? {
//!     println!("{} {}: {:?}", function.address, function.model.name, function.verdict());
//!     for obstacle in &function.obstacles {
//!         println!("  {obstacle}");
//!         obstacle.commands(function.address).iter().for_each(|command| println!("    {command}"));
//!     }
//! }
//! # Ok::<(), nicfw::device::ProbeError>(())
//! ```

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::{Model, PciAddress, PciId, Support};

/// Memory that the driver keeps in the device's reach at most, in bytes. The kernel counts it against RLIMIT_MEMLOCK.
pub const PINNED: u64 = 4 << 20;

/// Longest sysfs attribute that is read.
const MAX_ATTRIBUTE: u64 = 4096;

/// PCI class of bridges; the kernel tolerates them in a group whatever drives them.
const CLASS_BRIDGE: u32 = 0x06;

/// Drivers that leave a group viable: VFIO's own, and the one that does nothing.
const HARMLESS: [&str; 2] = ["vfio-pci", "pci-stub"];

/// Where to look.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What `/` is.
    root: PathBuf,
    /// Bytes that this process may pin; `None` for no limit.
    memlock: Option<u64>,
}

/// The machine could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// There is no sysfs, or it cannot be read.
    #[error("{} cannot be read", path.display())]
    Sysfs {
        /// What could not be read.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// No function has that address.
    #[error("there is no PCI function {address}: list what is there with `nicfw doctor`")]
    NoFunction {
        /// The address asked for.
        address: PciAddress,
    },
    /// The function is no adapter that is known here.
    #[error("{address} is {id}, no adapter that nicfw knows")]
    NotAnAdapter {
        /// The address asked for.
        address: PciAddress,
        /// What is there.
        id: PciId,
    },
}

/// What is known of one function of an adapter.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Suitability {
    /// Where it is.
    pub address: PciAddress,
    /// What it is.
    pub model: Model,
    /// The kernel driver that holds it.
    pub driver: Option<String>,
    /// Its network interfaces, as long as a network driver holds it.
    pub interfaces: Vec<String>,
    /// Of a virtual function: the physical function that it belongs to.
    pub physical: Option<PciAddress>,
    /// Its IOMMU group, where there is an IOMMU.
    pub group: Option<Group>,
    /// What stands in the way, in the order in which to clear it.
    pub obstacles: Vec<Obstacle>,
    /// What the firmware can do.
    pub firmware: Firmware,
}

/// Functions that the IOMMU cannot tell apart: one process owns them all, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// The group's number; `/dev/vfio/NUMBER` is its file.
    pub number: u32,
    /// Its members, the function itself included.
    pub members: Vec<Member>,
}

/// A member of an IOMMU group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its address.
    pub address: PciAddress,
    /// The kernel driver that holds it.
    pub driver: Option<String>,
    /// Whether it is a bridge.
    pub bridge: bool,
}

impl Group {
    /// Members that must be let go of before anybody gets the group.
    pub fn in_the_way(&self) -> impl Iterator<Item = &Member> {
        let harmless = |driver: &String| HARMLESS.contains(&driver.as_str());
        self.members.iter().filter(move |member| !member.bridge && member.driver.as_ref().is_some_and(|d| !harmless(d)))
    }
}

/// What is known about the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Firmware {
    /// Nobody has asked it.
    UnknownUntilAttach,
    /// The running variant has the rules engine, and the function may use it.
    RulesEngine,
    /// The running variant has none, or the function may not use it.
    NoRulesEngine,
}

/// Whether nicfw can use a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usability {
    /// It can.
    Yes,
    /// It cannot; the obstacles say why.
    No,
    /// Nothing stands in the way that can be seen from outside; the firmware answers the rest.
    UnknownUntilAttach,
}

impl fmt::Display for Usability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::UnknownUntilAttach => "unknown until attach",
        })
    }
}

/// What stands between nicfw and a function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// The chip is none that nicfw drives.
    #[error("nicfw does not drive this chip: it has no rules engine that is known")]
    Chip,
    /// The flash was never initialised.
    #[error("the adapter's flash is uninitialised: there is no firmware to talk to")]
    NoFirmware,
    /// The firmware that runs has no rules engine, or not for this function.
    #[error("the running firmware has no rules engine that this function may use")]
    NoRulesEngine,
    /// A virtual function has no say over the adapter's rules.
    #[error("a virtual function has no say over the adapter's rules{}", physical.map(|pf| format!(": use {pf}")).unwrap_or_default())]
    Virtual {
        /// The physical function that has.
        physical: Option<PciAddress>,
    },
    /// No IOMMU guards the machine against the device.
    #[error("the machine has no IOMMU in use: a device driven from user space could write to any memory")]
    NoIommu {
        /// The kernel parameter that switches it on; firmware set-up has to allow it too.
        parameter: &'static str,
    },
    /// The kernel has no VFIO driver loaded.
    #[error("the kernel module vfio-pci is not loaded")]
    NoVfio,
    /// Another driver holds the function.
    #[error("driver {driver} holds the function{}", lost(interfaces))]
    HeldBy {
        /// The driver.
        driver: String,
        /// Network interfaces that go away with it.
        interfaces: Vec<String>,
    },
    /// No driver holds the function.
    #[error("the function is not bound to vfio-pci")]
    NotBound,
    /// Other members of the IOMMU group are in use by the kernel.
    #[error("the IOMMU group {group} is not viable: {} of its other members in use by the kernel", members.len())]
    GroupInUse {
        /// The group.
        group: u32,
        /// The members and their drivers.
        members: Vec<(PciAddress, String)>,
    },
    /// The group's file may not be opened.
    #[error("{} may not be opened by this user", path.display())]
    NoPermission {
        /// The file.
        path: PathBuf,
    },
    /// Too little memory may be pinned.
    #[error("this process may pin {limit} bytes of memory (RLIMIT_MEMLOCK); {PINNED} are needed")]
    Memlock {
        /// The limit.
        limit: u64,
    },
}

fn lost(interfaces: &[String]) -> String {
    if interfaces.is_empty() { String::new() } else { format!("; {} would go away", interfaces.join(", ")) }
}

impl Obstacle {
    /// Whether it keeps a driver from opening the function. Any other one is met when attaching.
    #[must_use]
    pub fn prevents_opening(&self) -> bool {
        !matches!(self, Self::Virtual { .. })
    }

    /// The commands that remove the obstacle for the function at `address`, for a root shell; none where nothing helps.
    #[must_use]
    pub fn commands(&self, address: PciAddress) -> Vec<String> {
        let device = format!("/sys/bus/pci/devices/{address}");
        match self {
            Self::Chip | Self::NoFirmware | Self::NoRulesEngine => Vec::new(),
            Self::Virtual { physical } => physical.iter().map(|pf| format!("nicfw doctor {pf}")).collect(),
            Self::NoIommu { parameter } => vec![
                format!(
                    "echo 'GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {parameter}\"' > /etc/default/grub.d/iommu.cfg"
                ),
                "update-grub".to_owned(),
                "reboot".to_owned(),
            ],
            Self::NoVfio => vec!["modprobe vfio-pci".to_owned()],
            Self::HeldBy { .. } => vec![
                format!("echo vfio-pci > {device}/driver_override"),
                format!("echo {address} > {device}/driver/unbind"),
                format!("echo {address} > /sys/bus/pci/drivers_probe"),
            ],
            Self::NotBound => vec![
                format!("echo vfio-pci > {device}/driver_override"),
                format!("echo {address} > /sys/bus/pci/drivers_probe"),
            ],
            Self::GroupInUse { members, .. } => members
                .iter()
                .map(|(member, _)| format!("echo {member} > /sys/bus/pci/devices/{member}/driver/unbind"))
                .collect(),
            Self::NoPermission { path } => vec![format!("chown \"$SUDO_USER\" {}", path.display())],
            Self::Memlock { .. } => vec![format!("ulimit -l {}", PINNED / 1024)],
        }
    }
}

impl Suitability {
    /// Whether nicfw can use the function.
    #[must_use]
    pub fn verdict(&self) -> Usability {
        match self.firmware {
            _ if !self.obstacles.is_empty() => Usability::No,
            Firmware::UnknownUntilAttach => Usability::UnknownUntilAttach,
            Firmware::RulesEngine => Usability::Yes,
            Firmware::NoRulesEngine => Usability::No,
        }
    }

    /// With what the firmware said to somebody who attached.
    #[must_use]
    pub fn with_firmware(mut self, firmware: Firmware) -> Self {
        self.firmware = firmware;
        if firmware == Firmware::NoRulesEngine {
            self.obstacles.push(Obstacle::NoRulesEngine);
        }
        self
    }
}

impl Machine {
    /// The machine that this process runs on.
    #[must_use]
    pub fn this() -> Self {
        let memlock = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
        // Root may pin what it likes, whatever the limit says.
        let memlock = memlock.filter(|_| !rustix::process::geteuid().is_root());
        Self { root: PathBuf::from("/"), memlock }
    }

    /// A tree that stands for a machine, and the bytes that the process may pin (`None` for no limit).
    #[must_use]
    pub fn at(root: &Path, memlock: Option<u64>) -> Self {
        Self { root: root.to_owned(), memlock }
    }

    /// Every function of every known adapter, by address; or the one at `address`.
    ///
    /// # Errors
    /// [`ProbeError`] when there is no sysfs, or at `address` no adapter.
    pub fn probe(&self, address: Option<PciAddress>) -> Result<Vec<Suitability>, ProbeError> {
        if let Some(address) = address {
            let id = self.id(address).ok_or(ProbeError::NoFunction { address })?;
            let model = Model::of(id).ok_or(ProbeError::NotAnAdapter { address, id })?;
            return Ok(vec![self.function(address, *model)]);
        }
        let devices = self.root.join("sys/bus/pci/devices");
        let mut found: Vec<_> = list(&devices)
            .map_err(|source| ProbeError::Sysfs { path: devices.clone(), source })?
            .iter()
            .filter_map(|name| name.parse().ok())
            .filter_map(|address| Some((address, *Model::of(self.id(address)?)?)))
            .map(|(address, model)| self.function(address, model))
            .collect();
        found.sort_by_key(|function| function.address);
        Ok(found)
    }

    /// The sysfs folder of a function.
    #[must_use]
    pub fn sysfs(&self, address: PciAddress) -> PathBuf {
        self.root.join("sys/bus/pci/devices").join(address.to_string())
    }

    fn id(&self, address: PciAddress) -> Option<PciId> {
        let device = self.sysfs(address);
        let number = |name| u16::try_from(attribute(&device.join(name))?).ok();
        Some(PciId { vendor: number("vendor")?, device: number("device")? })
    }

    fn function(&self, address: PciAddress, model: Model) -> Suitability {
        let device = self.sysfs(address);
        let mut function = Suitability {
            address,
            model,
            driver: link_name(&device.join("driver")),
            interfaces: list(&device.join("net")).unwrap_or_default(),
            physical: link_name(&device.join("physfn")).and_then(|name| name.parse().ok()),
            group: self.group(&device),
            obstacles: Vec::new(),
            firmware: Firmware::UnknownUntilAttach,
        };
        function.obstacles = self.obstacles(&function);
        function
    }

    fn group(&self, device: &Path) -> Option<Group> {
        let link = device.join("iommu_group");
        let number = link_name(&link)?.parse().ok()?;
        // VFIO without an IOMMU makes groups too; they protect nothing.
        if fs::read_to_string(link.join("name")).is_ok_and(|name| name.trim() == "vfio-noiommu") {
            return None;
        }
        let members = list(&link.join("devices")).unwrap_or_default();
        let members = members.iter().filter_map(|name| name.parse().ok()).map(|address| {
            let member = self.sysfs(address);
            let class = attribute(&member.join("class")).unwrap_or(0);
            Member { address, driver: link_name(&member.join("driver")), bridge: class >> 16 == CLASS_BRIDGE }
        });
        Some(Group { number, members: members.collect() })
    }

    fn obstacles(&self, function: &Suitability) -> Vec<Obstacle> {
        match function.model.support {
            Support::Drives => {}
            Support::Virtual => return vec![Obstacle::Virtual { physical: function.physical }],
            Support::Unsupported => return vec![Obstacle::Chip],
            Support::NoFirmware => return vec![Obstacle::NoFirmware],
        }
        let mut obstacles = Vec::new();
        let bound = function.driver.as_deref() == Some("vfio-pci");
        // Some IOMMUs make a function's group only when a driver is bound to it.
        let later = !bound && list(&self.root.join("sys/class/iommu")).is_ok_and(|iommus| !iommus.is_empty());
        if function.group.is_none() && !later {
            obstacles.push(Obstacle::NoIommu { parameter: self.iommu_parameter() });
        }
        if !self.root.join("sys/bus/pci/drivers/vfio-pci").exists() {
            obstacles.push(Obstacle::NoVfio);
        }
        match &function.driver {
            _ if bound => {}
            Some(driver) => {
                obstacles.push(Obstacle::HeldBy { driver: driver.clone(), interfaces: function.interfaces.clone() });
            }
            None => obstacles.push(Obstacle::NotBound),
        }
        if let Some(group) = &function.group {
            let others = group.in_the_way().filter(|member| member.address != function.address);
            let members: Vec<_> = others.filter_map(|member| Some((member.address, member.driver.clone()?))).collect();
            if !members.is_empty() {
                obstacles.push(Obstacle::GroupInUse { group: group.number, members });
            }
            let path = Path::new("dev/vfio").join(group.number.to_string());
            let file = self.root.join(&path);
            if bound && file.exists() && rustix::fs::access(&file, Access::READ_OK | Access::WRITE_OK).is_err() {
                obstacles.push(Obstacle::NoPermission { path: Path::new("/").join(path) });
            }
        }
        if let Some(limit) = self.memlock.filter(|limit| *limit < PINNED) {
            obstacles.push(Obstacle::Memlock { limit });
        }
        obstacles
    }

    /// The kernel parameter that switches this machine's IOMMU on.
    fn iommu_parameter(&self) -> &'static str {
        let cpu = read_text(&self.root.join("proc/cpuinfo")).unwrap_or_default();
        if cpu.contains("AuthenticAMD") { "amd_iommu=on" } else { "intel_iommu=on" }
    }
}

/// A number in a sysfs attribute: hexadecimal with 0x in front.
fn attribute(path: &Path) -> Option<u32> {
    let text = read_text(path)?;
    u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

/// The first bytes of a file.
fn read_text(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(MAX_ATTRIBUTE).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last part of what a link points to.
fn link_name(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.file_name()?.to_str()?.to_owned())
}

/// The names in a folder, sorted.
fn list(path: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<_> =
        fs::read_dir(path)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests;
