//! The bytes of the vfio-user protocol, version 0.0 (QEMU, `docs/interop/vfio-user.rst`).
//!
//! A message is a [`Header`] and a body, both in the byte order of the host that client and server share. The structures
//! keep the specification's names; those that repeat one of `<linux/vfio.h>` say so. Commands are an open newtype: a
//! number that nobody here knows still has a length, is skipped, and is answered with [`Errno::ENOSYS`].

use std::fmt;

use zerocopy::native_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Length of a [`Header`] in bytes.
pub const HEADER_LEN: usize = size_of::<Header>();

/// Most bytes of data in one read or write message, in both directions (`max_data_xfer_size`; the protocol's default).
pub const MAX_DATA: usize = 1 << 20;

/// Longest body this side accepts: a write of [`MAX_DATA`] bytes with its fixed part.
pub const MAX_BODY: usize = MAX_DATA + 64;

/// Most file descriptors this side accepts in one message (`max_msg_fds`).
pub const MAX_FDS: usize = 16;

/// The protocol's major version.
pub const MAJOR: u16 = 0;
/// The newest minor version spoken here.
pub const MINOR: u16 = 0;

/// Precedes every message.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// Message ID: chosen by the sender, echoed in the reply.
    pub id: U16,
    /// Command, see [`Command`].
    pub command: U16,
    /// Message size: header and body, in bytes.
    pub size: U32,
    /// Flags: type, No_reply, Error.
    pub flags: U32,
    /// Error: a Unix errno in a failed reply; may be 0 even then.
    pub error: U32,
}

/// Flags, bits 0-3: the message's type.
pub const TYPE_MASK: u32 = 0xf;
/// Type: a command.
pub const TYPE_COMMAND: u32 = 0;
/// Type: the reply to a command.
pub const TYPE_REPLY: u32 = 1;
/// Flags, bit 4: the sender wants no reply.
pub const NO_REPLY: u32 = 1 << 4;
/// Flags, bit 5: the command failed; the reply has no body.
pub const ERROR: u32 = 1 << 5;

impl Header {
    /// The command's number.
    #[must_use]
    pub fn command(&self) -> Command {
        Command(self.command.get())
    }

    /// Whether this is a reply. A message of unknown type is neither reply nor command.
    #[must_use]
    pub fn is_reply(&self) -> bool {
        self.flags.get() & TYPE_MASK == TYPE_REPLY
    }

    /// Whether this is a command.
    #[must_use]
    pub fn is_command(&self) -> bool {
        self.flags.get() & TYPE_MASK == TYPE_COMMAND
    }
}

/// The `argsz` of a message that is a `T` and expects no more than a `T` in reply.
#[must_use]
pub fn argsz<T>() -> U32 {
    u32::try_from(size_of::<T>()).unwrap_or(u32::MAX).into()
}

/// A command number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Command(pub u16);

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        #[expect(missing_docs, reason = "the names of the specification's table `Commands`")]
        impl Command {
            $($(#[$doc])* pub const $name: Self = Self($code);)*
        }

        impl fmt::Display for Command {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $($code => f.write_str(stringify!($name)),)*
                    other => write!(f, "command {other}"),
                }
            }
        }
    };
}

commands! {
    VERSION = 1;
    DMA_MAP = 2;
    DMA_UNMAP = 3;
    DEVICE_GET_INFO = 4;
    DEVICE_GET_REGION_INFO = 5;
    DEVICE_GET_REGION_IO_FDS = 6;
    DEVICE_GET_IRQ_INFO = 7;
    DEVICE_SET_IRQS = 8;
    REGION_READ = 9;
    REGION_WRITE = 10;
    DMA_READ = 11;
    DMA_WRITE = 12;
    DEVICE_RESET = 13;
    REGION_WRITE_MULTI = 15;
    DEVICE_FEATURE = 16;
    MIG_DATA_READ = 17;
    MIG_DATA_WRITE = 18;
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A Unix error number, as it travels in [`Header::error`]. 0 means that the sender named none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub u32);

#[expect(missing_docs, reason = "the names of `errno.h` on Linux")]
impl Errno {
    pub const EIO: Self = Self(5);
    pub const E2BIG: Self = Self(7);
    pub const EFAULT: Self = Self(14);
    pub const EEXIST: Self = Self(17);
    pub const EINVAL: Self = Self(22);
    pub const ENOSPC: Self = Self(28);
    pub const ENOSYS: Self = Self(38);
    pub const EOPNOTSUPP: Self = Self(95);
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match i32::try_from(self.0) {
            Ok(0) | Err(_) => write!(f, "error {}", self.0),
            Ok(code) => fmt::Display::fmt(&std::io::Error::from_raw_os_error(code), f),
        }
    }
}

/// `VFIO_USER_VERSION`, request and reply: followed by the capabilities as JSON with a final NUL, or by nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[expect(missing_docs, reason = "field names of the specification")]
pub struct Version {
    pub major: U16,
    pub minor: U16,
}

/// `VFIO_USER_DMA_MAP`: a window of the client's memory; with a file descriptor if the server may map it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DmaMap {
    /// Length of this structure.
    pub argsz: U32,
    /// [`DMA_READABLE`], [`DMA_WRITEABLE`].
    pub flags: U32,
    /// Where the window begins in the file.
    pub offset: U64,
    /// First IOVA of the window.
    pub address: U64,
    /// Length of the window in bytes.
    pub size: U64,
}

/// [`DmaMap::flags`]: the device may read.
pub const DMA_READABLE: u32 = 1;
/// [`DmaMap::flags`]: the device may write.
pub const DMA_WRITEABLE: u32 = 2;

/// `VFIO_USER_DMA_UNMAP`, request and reply.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DmaUnmap {
    /// Room for the reply.
    pub argsz: U32,
    /// [`DMA_UNMAP_ALL`] or 0.
    pub flags: U32,
    /// First IOVA.
    pub address: U64,
    /// Length in bytes.
    pub size: U64,
}

/// [`DmaUnmap::flags`]: every window. Not in the specification; QEMU sends the bit of `VFIO_DMA_UNMAP_FLAG_ALL`.
pub const DMA_UNMAP_ALL: u32 = 2;

/// `VFIO_USER_DEVICE_GET_INFO`, request and reply (`struct vfio_device_info`).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DeviceInfo {
    /// Room for the reply; in the reply, what it needs.
    pub argsz: U32,
    /// [`DEVICE_RESETS`], [`DEVICE_IS_PCI`].
    pub flags: U32,
    /// Regions, by [`region`] index.
    pub num_regions: U32,
    /// Interrupt types, by [`irq`] index.
    pub num_irqs: U32,
}

/// [`DeviceInfo::flags`]: the device can be reset.
pub const DEVICE_RESETS: u32 = 1;
/// [`DeviceInfo::flags`]: the device is a PCI function.
pub const DEVICE_IS_PCI: u32 = 2;

/// `VFIO_USER_DEVICE_GET_REGION_INFO`, request and reply (`struct vfio_region_info`).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RegionInfo {
    /// Room for the reply; in the reply, what it needs with all capabilities.
    pub argsz: U32,
    /// [`REGION_READ`], [`REGION_WRITE`], [`REGION_MMAP`], [`REGION_CAPS`].
    pub flags: U32,
    /// Index of the region, see [`region`].
    pub index: U32,
    /// Where the first capability begins, counted from this structure's first byte; 0 for none.
    pub cap_offset: U32,
    /// Length of the region in bytes; 0 for a region that the device does not have.
    pub size: U64,
    /// Offset of the region in the file that the reply carries.
    pub offset: U64,
}

/// [`RegionInfo::flags`]: may be read.
pub const REGION_READ: u32 = 1;
/// [`RegionInfo::flags`]: may be written.
pub const REGION_WRITE: u32 = 2;
/// [`RegionInfo::flags`]: may be mapped; the reply carries the file.
pub const REGION_MMAP: u32 = 4;
/// [`RegionInfo::flags`]: capabilities follow.
pub const REGION_CAPS: u32 = 8;

/// Head of a region capability (`struct vfio_info_cap_header`).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CapHeader {
    /// What capability, for example [`CAP_SPARSE_MMAP`].
    pub id: U16,
    /// Version of the capability.
    pub version: U16,
    /// Where the next one begins, counted from the [`RegionInfo`]; 0 for none.
    pub next: U32,
}

/// [`CapHeader::id`]: only parts of the region may be mapped. [`SparseMmap`] and its areas follow.
pub const CAP_SPARSE_MMAP: u16 = 1;

/// `struct vfio_region_info_cap_sparse_mmap` behind its header; `nr_areas` [`MmapArea`]s follow.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[expect(missing_docs, reason = "field names of the specification")]
pub struct SparseMmap {
    pub nr_areas: U32,
    pub reserved: U32,
}

/// A part of a region that may be mapped (`struct vfio_region_sparse_mmap_area`).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MmapArea {
    /// Offset in the region.
    pub offset: U64,
    /// Length in bytes.
    pub size: U64,
}

/// `VFIO_USER_DEVICE_GET_IRQ_INFO`, request and reply (`struct vfio_irq_info`).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IrqInfo {
    /// Room for the reply; in the reply, what it needs.
    pub argsz: U32,
    /// [`IRQ_EVENTFD`], [`IRQ_MASKABLE`].
    pub flags: U32,
    /// Index of the interrupt type, see [`irq`].
    pub index: U32,
    /// Vectors of this type.
    pub count: U32,
}

/// [`IrqInfo::flags`]: signalled through an eventfd.
pub const IRQ_EVENTFD: u32 = 1;
/// [`IrqInfo::flags`]: can be masked and unmasked by message.
pub const IRQ_MASKABLE: u32 = 2;

/// `VFIO_USER_DEVICE_SET_IRQS` (`struct vfio_irq_set`): followed by `count` bytes with [`IRQ_DATA_BOOL`]; accompanied by
/// descriptors with [`IRQ_DATA_EVENTFD`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IrqSet {
    /// Length of this structure and what follows it.
    pub argsz: U32,
    /// One `IRQ_DATA_*` and one `IRQ_ACTION_*`.
    pub flags: U32,
    /// Index of the interrupt type, see [`irq`].
    pub index: U32,
    /// First vector.
    pub start: U32,
    /// Number of vectors; 0 with [`IRQ_DATA_NONE`] means that the whole type is switched off.
    pub count: U32,
}

/// [`IrqSet::flags`]: no data; the action is for every vector named.
pub const IRQ_DATA_NONE: u32 = 1;
/// [`IrqSet::flags`]: one byte a vector says whether the action is for it.
pub const IRQ_DATA_BOOL: u32 = 2;
/// [`IrqSet::flags`]: one eventfd a vector; none at all takes the eventfds away.
pub const IRQ_DATA_EVENTFD: u32 = 4;
/// [`IrqSet::flags`]: mask.
pub const IRQ_ACTION_MASK: u32 = 8;
/// [`IrqSet::flags`]: unmask.
pub const IRQ_ACTION_UNMASK: u32 = 16;
/// [`IrqSet::flags`]: trigger, or (with eventfds) where to signal when the device triggers.
pub const IRQ_ACTION_TRIGGER: u32 = 32;

/// `VFIO_USER_REGION_READ` and `VFIO_USER_REGION_WRITE`, request and reply: data follow a write and the reply to a read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RegionAccess {
    /// Offset in the region.
    pub offset: U64,
    /// Index of the region, see [`region`].
    pub region: U32,
    /// Bytes of data.
    pub count: U32,
}

/// `VFIO_USER_DMA_READ` and `VFIO_USER_DMA_WRITE`, sent by the server: data follow a write and the reply to a read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DmaAccess {
    /// IOVA.
    pub address: U64,
    /// Bytes of data.
    pub count: U64,
}

/// Indexes of a PCI function's regions (`VFIO_PCI_*_REGION_INDEX`). BAR n is region n.
#[expect(missing_docs, reason = "the names of `<linux/vfio.h>`")]
pub mod region {
    pub const ROM: u32 = 6;
    pub const CONFIG: u32 = 7;
    pub const COUNT: u32 = 9;
}

/// Indexes of a PCI function's interrupt types (`VFIO_PCI_*_IRQ_INDEX`).
#[expect(missing_docs, reason = "the names of `<linux/vfio.h>`")]
pub mod irq {
    pub const INTX: u32 = 0;
    pub const MSI: u32 = 1;
    pub const MSIX: u32 = 2;
    pub const ERR: u32 = 3;
    pub const REQ: u32 = 4;
    pub const COUNT: u32 = 5;
}
