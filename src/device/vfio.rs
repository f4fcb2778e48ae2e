//! PCI functions through the kernel's VFIO: the driver in user space, the IOMMU between it and the machine.
//!
//! A function is reached by one of two ways, both of `vfio-ioctls`: its own character device and an iommufd where the
//! kernel has them, otherwise its IOMMU group and a container. [`Vfio::open`] looks first
//! ([`Machine::probe`]) and names what stands in the way before anything is opened.
//!
//! What of `vfio-ioctls` is not used, and why: its region calls lose errors, its list of regions shifts when the kernel
//! refuses one, its reset says nothing, and its drop panics when the device has gone. Configuration space and registers
//! are reached here with checked system calls, reset and region information with their own ioctls, and the drop is
//! fenced.

#![expect(unsafe_code, reason = "ioctls, and memory that the IOMMU puts into a device's reach")]

mod error;
mod iova_ranges;

use std::fs::File;
use std::mem::ManuallyDrop;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use log::{error, info, warn};
use rustix::ioctl::{NoArg, Opcode, Updater, ioctl, opcode};
use vfio_ioctls::{VfioContainer, VfioDevice, VfioIommufd, VfioOps};
use vmm_sys_util::eventfd::EventFd;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

pub use error::{DmaMapError, VfioError};

use super::pool::{Cause, DmaPool, Mapper};
use super::registers::{self, Registers};
use super::vfio_user::wire::{self, DeviceInfo, IrqInfo, RegionInfo, irq, region};
use super::{Device, Interrupt, Machine, Model, Obstacle, PciAddress, PciId, config};
use crate::bar::{MappedBar, Mmio, Region};
use crate::dma::{DEFAULT_WINDOW, DmaBuf, Iova, IovaSpace, MappedMem};
use crate::error::Error;

/// VFIO's ioctls: their opcodes carry no size, whatever their argument.
const fn vfio(number: u8) -> Opcode {
    opcode::none(b';', 100 + number)
}

/// Room for an answer with capabilities. The kernel tells how much it would need; regions and IOMMUs need far less.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Answer([u8; ANSWER_LEN]);

const ANSWER_LEN: usize = 4096;

/// A PCI function that this process drives through VFIO.
pub struct Vfio {
    pool: Arc<DmaPool<Arc<Handle>>>,
    handle: Arc<Handle>,
    id: PciId,
    bar: Arc<dyn Mmio>,
    vectors: u32,
}

/// The open function. Registers and DMA buffers keep it open, as the kernel lets go of the group only after them.
struct Handle {
    device: ManuallyDrop<VfioDevice>,
    /// A descriptor of our own for checked accesses. `None` only while it is dropped.
    file: Option<File>,
    ops: Arc<dyn VfioOps>,
    /// Where configuration space begins in the descriptor.
    config: u64,
    /// Whether it is reached through an iommufd.
    iommufd: bool,
}

impl Vfio {
    /// Opens the function at `address` and makes it a bus master.
    ///
    /// # Errors
    /// [`VfioError`] with what stands in the way, and the commands that clear it. The function is as before.
    pub fn open(address: PciAddress) -> Result<Self, VfioError> {
        let machine = Machine::this();
        let functions = machine.probe(Some(address))?;
        if let Some(obstacle) =
            functions.into_iter().flat_map(|function| function.obstacles).find(Obstacle::prevents_opening)
        {
            return Err(VfioError::Obstacle { address, obstacle });
        }
        let sysfs = machine.sysfs(address);
        if sysfs.join("vfio-dev").is_dir() && Path::new("/dev/iommu").exists() {
            let cdev = VfioDevice::open_cdev(&sysfs).map_err(|e| opening(e, &sysfs))?;
            return Self::from_fds(cdev.into(), None);
        }
        info!("{address}: the kernel has no device file of its own for it; its IOMMU group is taken");
        let container = Arc::new(VfioContainer::new(None).map_err(|e| opening(e, &sysfs))?);
        let ranges = iova_ranges(&container);
        let ops: Arc<dyn VfioOps> = Arc::clone(&container) as _;
        let device = VfioDevice::new(&sysfs, Arc::clone(&ops), false).map_err(|e| opening(e, &sysfs))?;
        // Asked again: the container knows its IOMMU's ranges only with a group in it.
        let ranges = iova_ranges(&container).or(ranges);
        Self::start(device, ops, ranges)
    }

    /// Opens the function whose folder in sysfs is `path`.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`VfioError::Path`].
    pub fn open_sysfs(path: &Path) -> Result<Self, VfioError> {
        let whole = path.canonicalize().map_err(|_| VfioError::Path { path: path.to_owned() })?;
        let address = whole.file_name().and_then(|name| name.to_str()?.parse().ok());
        Self::open(address.ok_or_else(|| VfioError::Path { path: path.to_owned() })?)
    }

    /// Takes over a function's character device that somebody else opened (`/dev/vfio/devices/vfioN`), with an iommufd
    /// (`/dev/iommu`) or one that is opened here. Only the kernel's newer interface has such a device.
    ///
    /// # Errors
    /// [`VfioError`]. The function is as before.
    pub fn from_fds(device: OwnedFd, iommu: Option<OwnedFd>) -> Result<Self, VfioError> {
        let iommu = match iommu {
            Some(fd) => File::from(fd),
            None => File::options()
                .read(true)
                .write(true)
                .open("/dev/iommu")
                .map_err(|e| VfioError::open("/dev/iommu".into(), e))?,
        };
        let iommu = Arc::new(iommufd_ioctls::IommuFd::new_from_fd(iommu));
        let iommufd = VfioIommufd::new(iommu, None, None).map_err(|e| VfioError::kernel("make an address space", e))?;
        let iommufd = Arc::new(iommufd);
        let path = PathBuf::from("/dev/vfio/devices");
        let device =
            VfioDevice::new_from_fd(File::from(device), Arc::clone(&iommufd), true).map_err(|e| opening(e, &path))?;
        Self::start(device, iommufd, None)
    }

    /// As [`from_fds`](Self::from_fds), for descriptors that this process has inherited, by their numbers. They stay open.
    ///
    /// # Errors
    /// As [`from_fds`](Self::from_fds), and [`VfioError::Descriptor`].
    pub fn from_inherited(device: RawFd, iommu: Option<RawFd>) -> Result<Self, VfioError> {
        let iommu = iommu.map(inherited).transpose()?;
        Self::from_fds(inherited(device)?, iommu)
    }

    fn start(
        device: VfioDevice,
        ops: Arc<dyn VfioOps>,
        ranges: Option<Vec<RangeInclusive<u64>>>,
    ) -> Result<Self, VfioError> {
        // SAFETY: the device owns its descriptor and is alive; the borrow ends with this statement.
        let borrowed = unsafe { BorrowedFd::borrow_raw(device.as_raw_fd()) };
        let file = borrowed.try_clone_to_owned().map_err(|e| VfioError::kernel("give another descriptor", e))?;
        let (device, file) = (ManuallyDrop::new(device), Some(File::from(file)));
        let iommufd = ops.as_any().is::<VfioIommufd>();
        let mut handle = Handle { device, file, ops, config: 0, iommufd };
        let (config, _) =
            handle.region_info(region::CONFIG).map_err(|e| VfioError::kernel("describe configuration space", e))?;
        handle.config = config.offset.get();
        let mut ids = [0; 4];
        handle
            .read_config(config::VENDOR_ID, &mut ids)
            .map_err(|e| VfioError::kernel("read configuration space", e))?;
        let [v0, v1, d0, d1] = ids;
        let id = PciId { vendor: u16::from_le_bytes([v0, v1]), device: u16::from_le_bytes([d0, d1]) };
        let model = Model::of(id).ok_or(VfioError::Unknown { id })?;
        handle.become_bus_master().map_err(|e| VfioError::kernel("make the function a bus master", e))?;
        let handle = Arc::new(handle);
        let bar = registers(&handle, id, model.register_bar)?;
        let vectors = handle.vectors().map_err(|e| VfioError::kernel("describe its interrupts", e))?;
        let window = ranges.map_or(vec![DEFAULT_WINDOW], |ranges| iova_ranges::within(&DEFAULT_WINDOW, &ranges));
        let pool = Arc::new(DmaPool::new(Arc::clone(&handle), IovaSpace::new(window)));
        Ok(Self { pool, handle, id, bar, vectors })
    }
}

/// A copy of a descriptor of this process.
fn inherited(number: RawFd) -> Result<OwnedFd, VfioError> {
    let none = |source| VfioError::Descriptor { number, source };
    if number < 0 {
        return Err(none(io::Error::from_raw_os_error(rustix::io::Errno::BADF.raw_os_error())));
    }
    // SAFETY: not negative, as checked. The borrow ends with this function, and all that is done with it is to copy it: of a
    // number that stands for no open file the kernel says so.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    borrowed.try_clone_to_owned().map_err(none)
}

/// What an error of `vfio-ioctls` means for who wants to open a function.
fn opening(error: vfio_ioctls::VfioError, sysfs: &Path) -> VfioError {
    use vfio_ioctls::VfioError as E;
    let group = || sysfs.join("iommu_group").read_link().ok().and_then(|link| Some(link.file_name()?.to_owned()));
    let group_file = || Path::new("/dev/vfio").join(group().unwrap_or_default());
    match error {
        E::OpenContainer(source) => VfioError::open("/dev/vfio/vfio".into(), source),
        E::OpenGroup(source, group) => VfioError::open(Path::new("/dev/vfio").join(group), source),
        E::OpenDeviceCdev(source) => VfioError::open("/dev/vfio/devices".into(), source),
        E::GroupViable => VfioError::NotViable,
        E::ContainerSetIOMMU(errno) if errno.errno() == rustix::io::Errno::PERM.raw_os_error() => {
            VfioError::UnsafeInterrupts
        }
        E::GroupSetContainer => VfioError::Busy { path: group_file() },
        E::GroupGetDeviceFD(errno) | E::VfioDeviceBindIommufd(errno)
            if errno.errno() == rustix::io::Errno::BUSY.raw_os_error() =>
        {
            VfioError::Busy { path: group_file() }
        }
        other => VfioError::kernel("open the function", other),
    }
}

/// The addresses that the container's IOMMU translates, where the kernel tells.
fn iova_ranges(container: &VfioContainer) -> Option<Vec<RangeInclusive<u64>>> {
    let mut answer = Answer::new_zeroed();
    argsz(&mut answer);
    // SAFETY: the container owns its descriptor and is alive; the borrow ends with this function.
    let fd = unsafe { BorrowedFd::borrow_raw(container.as_raw_fd()) };
    // SAFETY: VFIO_IOMMU_GET_INFO writes at most `argsz` bytes, the length of an `Answer`, which may hold any bytes.
    let call = unsafe { Updater::<{ vfio(12) }, Answer>::new(&mut answer) };
    // SAFETY: the opcode belongs to a VFIO container, which `fd` is.
    unsafe { ioctl(fd, call) }.ok()?;
    iova_ranges::parse(&answer.0)
}

/// Writes the room that an answer has into its first dword, as every structure of VFIO wants it.
fn argsz(answer: &mut Answer) {
    if let Some(argsz) = answer.0.first_chunk_mut::<4>() {
        *argsz = u32::try_from(ANSWER_LEN).unwrap_or(0).to_ne_bytes();
    }
}

fn registers(handle: &Arc<Handle>, id: PciId, bar: u32) -> Result<Arc<dyn Mmio>, VfioError> {
    let (info, answer) = handle.region_info(bar).map_err(|e| VfioError::kernel("describe the registers", e))?;
    let len = usize::try_from(info.size.get()).ok().filter(|len| *len > 0);
    let len = len.ok_or(VfioError::NoRegisters { id, bar })?;
    let region = Window { handle: Arc::clone(handle), offset: info.offset.get(), len };
    let map = |start, len| {
        let start = info.offset.get().checked_add(start)?;
        let bar = MappedBar::map(handle.file()?.as_fd(), start, len);
        bar.inspect_err(|e| warn!("registers are reached by system call, as the BAR cannot be mapped: {e}")).ok()
    };
    Ok(Arc::new(Registers::new(region, &crate::device::vfio::registers::areas(&info, &answer), map)))
}

impl Handle {
    fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    fn open_file(&self) -> io::Result<&File> {
        self.file().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// What the kernel says about a region, and the bytes that its capabilities lie in.
    fn region_info(&self, index: u32) -> io::Result<(RegionInfo, Vec<u8>)> {
        let mut answer = Answer::new_zeroed();
        let asked = RegionInfo {
            argsz: u32::try_from(ANSWER_LEN).unwrap_or(0).into(),
            index: index.into(),
            ..Default::default()
        };
        asked.write_to_prefix(&mut answer.0).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: VFIO_DEVICE_GET_REGION_INFO writes at most `argsz` bytes, the length of an `Answer`.
        let call = unsafe { Updater::<{ vfio(8) }, Answer>::new(&mut answer) };
        // SAFETY: the opcode belongs to a VFIO device, which the file is.
        unsafe { ioctl(self.open_file()?, call) }?;
        let (info, _) = RegionInfo::read_from_prefix(&answer.0).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok((info, answer.0.to_vec()))
    }

    /// Vectors of MSI-X.
    fn vectors(&self) -> io::Result<u32> {
        let mut info = IrqInfo { argsz: wire::argsz::<IrqInfo>(), index: irq::MSIX.into(), ..Default::default() };
        // SAFETY: VFIO_DEVICE_GET_IRQ_INFO writes at most `argsz` bytes, the length of the structure.
        let call = unsafe { Updater::<{ vfio(9) }, IrqInfo>::new(&mut info) };
        // SAFETY: the opcode belongs to a VFIO device, which the file is.
        unsafe { ioctl(self.open_file()?, call) }?;
        Ok(if info.flags.get() & wire::IRQ_EVENTFD == 0 { 0 } else { info.count.get() })
    }

    fn reset(&self) -> io::Result<()> {
        let mut info = DeviceInfo { argsz: wire::argsz::<DeviceInfo>(), ..Default::default() };
        // SAFETY: VFIO_DEVICE_GET_INFO writes at most `argsz` bytes, the length of the structure.
        let call = unsafe { Updater::<{ vfio(7) }, DeviceInfo>::new(&mut info) };
        // SAFETY: the opcode belongs to a VFIO device, which the file is.
        unsafe { ioctl(self.open_file()?, call) }?;
        if info.flags.get() & wire::DEVICE_RESETS == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // SAFETY: VFIO_DEVICE_RESET takes no argument.
        let call = unsafe { NoArg::<{ vfio(11) }>::new() };
        // SAFETY: the opcode belongs to a VFIO device, which the file is.
        unsafe { ioctl(self.open_file()?, call) }?;
        Ok(())
    }

    fn read_config(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.open_file()?.read_exact_at(into, self.config + offset)
    }

    /// VFIO leaves a function without bus mastering, and a reset takes it away.
    fn become_bus_master(&self) -> io::Result<()> {
        let mut command = [0; 2];
        self.read_config(config::COMMAND, &mut command)?;
        let wanted = u16::from_le_bytes(command) | config::MEMORY_SPACE | config::BUS_MASTER;
        self.open_file()?.write_all_at(&wanted.to_le_bytes(), self.config + config::COMMAND)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // The kernel lets go of the group only when the last descriptor of the device is closed.
        self.file = None;
        if std::thread::panicking() {
            error!("a panic is under way: the function stays open until the process ends");
            return;
        }
        let raw = self.device.as_raw_fd();
        // SAFETY: `device` is taken once, here; nothing uses it afterwards.
        let device = unsafe { ManuallyDrop::take(&mut self.device) };
        // vfio-ioctls panics when the function has gone meanwhile: it cannot find the group, or detach from the iommufd.
        if catch_unwind(AssertUnwindSafe(|| drop(device))).is_ok() {
            return;
        }
        warn!("the function had gone when it was closed");
        if self.iommufd {
            // SAFETY: vfio-ioctls 0.10.0 detaches before it closes the descriptor, and the detaching is what panicked: the
            // descriptor is still open and has no owner.
            drop(unsafe { OwnedFd::from_raw_fd(raw) });
        }
    }
}

impl Mapper for Arc<Handle> {
    fn map(&self, iova: Iova, memory: &Arc<MappedMem>, _: BorrowedFd<'_>) -> Result<(), Cause> {
        // SAFETY: the memory is reached by volatile accesses through raw pointers only (`MappedMem`), and the pool
        // unmaps it before the mapping goes, or keeps it for good.
        let mapped = unsafe { self.ops.vfio_dma_map(iova.0, memory.len(), memory.as_mut_ptr()) };
        mapped.map_err(|e| match e {
            vfio_ioctls::VfioError::IommuDmaMap(errno) if errno.errno() == rustix::io::Errno::NOMEM.raw_os_error() => {
                DmaMapError::Memlock.into()
            }
            other => DmaMapError::Refused { iova: iova.0, len: memory.len(), source: other.into() }.into(),
        })
    }

    fn unmap(&self, iova: Iova, len: usize) -> Result<(), Cause> {
        Ok(self.ops.vfio_dma_unmap(iova.0, len)?)
    }
}

impl Device for Vfio {
    fn pci_id(&self) -> PciId {
        self.id
    }

    fn bar(&self) -> Arc<dyn Mmio> {
        Arc::clone(&self.bar)
    }

    fn dma_alloc(&self, len: usize, align: usize) -> Result<Arc<dyn DmaBuf>, Error> {
        self.pool.alloc(len, align)
    }

    fn reset(&self) -> Result<(), Error> {
        self.handle.reset().and_then(|()| self.handle.become_bus_master()).map_err(|e| {
            error!("the function was not reset: {e}");
            Error::Reset
        })
    }

    fn interrupts(&self, count: usize) -> Result<Vec<Interrupt>, Error> {
        let count = count.min(usize::try_from(self.vectors).unwrap_or(usize::MAX));
        let failed = |source: Cause| Error::Interrupt { vector: 0, source };
        let made: io::Result<Vec<Interrupt>> = (0..count).map(|_| Interrupt::new()).collect();
        let made = made.map_err(|e| failed(e.into()))?;
        let events: io::Result<Vec<EventFd>> = made.iter().map(event_fd).collect();
        let events = events.map_err(|e| failed(e.into()))?;
        // Switched off first, so that a smaller number takes the place of a larger one. Off already is fine.
        let _ = self.handle.device.disable_msix();
        if count > 0 {
            self.handle.device.enable_msix(events.iter().collect()).map_err(|e| failed(e.into()))?;
        }
        Ok(made)
    }
}

/// The interrupt's eventfd in the type that `vfio-ioctls` wants. The kernel keeps the eventfd, not the descriptor.
fn event_fd(interrupt: &Interrupt) -> io::Result<EventFd> {
    let fd = interrupt.as_fd().try_clone_to_owned()?;
    // SAFETY: the descriptor is owned, is an eventfd, and is given away here.
    Ok(unsafe { EventFd::from_raw_fd(fd.into_raw_fd()) })
}

impl fmt::Debug for Vfio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vfio").field("id", &self.id).finish_non_exhaustive()
    }
}

/// One region, by system call. Keeps the function open for as long as registers are reached.
#[derive(Debug)]
struct Window {
    handle: Arc<Handle>,
    offset: u64,
    len: usize,
}

impl Region for Window {
    fn len(&self) -> usize {
        self.len
    }

    fn read(&self, off: usize, into: &mut [u8]) -> io::Result<()> {
        self.handle.open_file()?.read_exact_at(into, self.offset + off as u64)
    }

    fn write(&self, off: usize, from: &[u8]) -> io::Result<()> {
        self.handle.open_file()?.write_all_at(from, self.offset + off as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmm_sys_util::errno::Error as SysError;

    #[test]
    fn what_the_kernel_says_becomes_what_to_do() {
        use vfio_ioctls::VfioError as E;
        let sysfs = Path::new("/sys/bus/pci/devices/0000:65:00.0");
        let os = io::Error::from_raw_os_error;
        let text = |error| opening(error, sysfs).to_string();
        let container = text(E::OpenContainer(os(13)));
        assert_eq!(
            container,
            "/dev/vfio/vfio may not be opened by this user: `chown USER /dev/vfio/vfio`, or run as root"
        );
        let group = text(E::OpenGroup(os(16), "12".to_owned()));
        assert_eq!(group, "/dev/vfio/12 is in use: find who has it with `fuser -v /dev/vfio/12`");
        assert!(text(E::GroupViable).contains("not viable"));
        assert!(text(E::ContainerSetIOMMU(SysError::new(1))).contains("allow_unsafe_interrupts=1"));
        assert!(matches!(opening(E::ContainerSetIOMMU(SysError::new(12)), sysfs), VfioError::Kernel { .. }));
        assert!(matches!(opening(E::VfioDeviceBindIommufd(SysError::new(16)), sysfs), VfioError::Busy { .. }));
    }

    #[test]
    fn what_is_no_function_is_refused_before_anything_is_opened() {
        let nowhere = Vfio::open("ffff:ff:1f.7".parse().unwrap()).unwrap_err();
        assert!(matches!(nowhere, VfioError::Probe(_)), "{nowhere}");
        let no_path = Vfio::open_sysfs(Path::new("/tmp")).unwrap_err().to_string();
        assert_eq!(no_path, "/tmp is not a PCI function in sysfs: expected a path that ends like 0000:65:00.0");
    }

    #[test]
    fn descriptors_that_are_none_of_vfio_are_refused() {
        let (_, memory) = MappedMem::create(4096).unwrap();
        let other = memory.try_clone().unwrap();
        let refused = Vfio::from_fds(memory, Some(other)).unwrap_err();
        assert!(matches!(refused, VfioError::Kernel { op: "make an address space", .. }), "{refused}");
    }
}
