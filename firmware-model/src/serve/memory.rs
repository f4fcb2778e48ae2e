//! The client's memory, as the served function's DMA sees it.
//!
//! A client shares windows of its memory. With a descriptor that is sealed against shrinking (a memory file of QEMU, or
//! of our own client) the file is mapped once, however many windows it has; any other file is read and written by system
//! call, so that a client which cuts it short costs an error and not the process. A window without a descriptor is
//! reached by message, through the [`Courier`].

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use nicfw::device::vfio_user::wire::{DMA_READABLE, DMA_UNMAP_ALL, DMA_WRITEABLE, DmaMap, DmaUnmap, Errno};
use nicfw::dma::{DmaFault, DmaSpace, Iova, MapError, MappedMem};

/// Most windows at one time (`max_dma_maps`). A vIOMMU makes one for each page that a driver has mapped.
pub const MAX_WINDOWS: usize = 65_535;

/// Most files at one time. A client's memory is one file, or a few; each costs a mapping or a descriptor here.
pub const MAX_FILES: usize = 64;

/// Reaches windows that the client shared without a descriptor.
pub(super) trait Courier: Send + Sync + fmt::Debug {
    /// Reads `into.len()` bytes at `address`, by message.
    fn fetch(&self, address: u64, into: &mut [u8]) -> Result<(), DmaFault>;
    /// Writes `from` at `address`, by message.
    fn deliver(&self, address: u64, from: &[u8]) -> Result<(), DmaFault>;
}

/// The memory that one client shares with one function.
#[derive(Debug)]
pub struct ClientMemory {
    windows: RwLock<Windows>,
    courier: Arc<dyn Courier>,
}

#[derive(Debug, Default)]
struct Windows {
    /// First IOVA -> window. Disjoint.
    by_iova: BTreeMap<u64, Window>,
    /// Windows that the function may write and only messages reach.
    by_message: usize,
    /// Files by device and inode number: each is mapped once.
    files: HashMap<(u64, u64), Weak<Backing>>,
}

#[derive(Debug, Clone)]
struct Window {
    last: u64,
    /// Where the window begins in its file.
    offset: u64,
    readable: bool,
    writable: bool,
    backing: Option<Arc<Backing>>,
}

impl Window {
    fn by_message(&self) -> bool {
        self.writable && self.backing.is_none()
    }
}

/// How a window's file is reached.
#[derive(Debug)]
enum Backing {
    Mapped(MappedMem),
    File(File),
}

/// A piece of an access that lies in one window.
struct Piece {
    backing: Option<Arc<Backing>>,
    /// Where the piece lies in the window's file.
    offset: u64,
    address: u64,
    /// Where the piece lies in the caller's buffer.
    range: Range<usize>,
}

impl Piece {
    fn fault(&self) -> DmaFault {
        DmaFault { iova: Iova(self.address), len: self.range.len() }
    }
}

impl ClientMemory {
    pub(super) fn new(courier: Arc<dyn Courier>) -> Self {
        Self { windows: RwLock::default(), courier }
    }

    /// Windows at present.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.windows.read().unwrap_or_else(PoisonError::into_inner).by_iova.len()
    }

    /// Whether the client shares its memory by message only. A client that shares files has windows without one too
    /// (QEMU: ROM, other devices' BARs), but its memory is not there.
    pub(super) fn needs_messages(&self) -> bool {
        let windows = self.windows.read().unwrap_or_else(PoisonError::into_inner);
        windows.by_message > 0 && windows.files.values().all(|file| file.strong_count() == 0)
    }

    /// Carries out `VFIO_USER_DMA_MAP`.
    pub(super) fn map(&self, map: &DmaMap, fd: Option<OwnedFd>) -> Result<(), Errno> {
        let (first, size, flags) = (map.address.get(), map.size.get(), map.flags.get());
        let last = size.checked_sub(1).and_then(|rest| first.checked_add(rest)).ok_or(Errno::EINVAL)?;
        if flags & !(DMA_READABLE | DMA_WRITEABLE) != 0 {
            return Err(Errno::EINVAL);
        }
        let mut windows = self.windows.write().unwrap_or_else(PoisonError::into_inner);
        if windows.by_iova.range(..=last).next_back().is_some_and(|(_, window)| window.last >= first) {
            return Err(Errno::EEXIST);
        }
        if windows.by_iova.len() >= MAX_WINDOWS {
            return Err(Errno::ENOSPC);
        }
        let backing = fd.map(|fd| windows.backing(fd)).transpose()?;
        let end = map.offset.get().checked_add(size).ok_or(Errno::EINVAL)?;
        if backing.as_ref().is_some_and(|backing| backing.len().is_none_or(|len| end > len)) {
            return Err(Errno::EINVAL);
        }
        let (readable, writable) = (flags & DMA_READABLE != 0, flags & DMA_WRITEABLE != 0);
        let window = Window { last, offset: map.offset.get(), readable, writable, backing };
        windows.by_message += usize::from(window.by_message());
        windows.by_iova.insert(first, window);
        Ok(())
    }

    /// Carries out `VFIO_USER_DMA_UNMAP`: every window inside the range goes. A range without windows is fine (QEMU
    /// unmaps what it never mapped); one that cuts a window is not.
    ///
    /// Waits for accesses that are under way.
    pub(super) fn unmap(&self, unmap: &DmaUnmap) -> Result<(), Errno> {
        let mut windows = self.windows.write().unwrap_or_else(PoisonError::into_inner);
        let (first, size) = (unmap.address.get(), unmap.size.get());
        match unmap.flags.get() {
            DMA_UNMAP_ALL => *windows = Windows::default(),
            0 => {
                let last = size.checked_sub(1).and_then(|rest| first.checked_add(rest)).ok_or(Errno::EINVAL)?;
                let touched = windows.by_iova.range(..=last).rev().take_while(|(_, window)| window.last >= first);
                let touched: Vec<_> = touched.map(|(at, window)| (*at, *at >= first && window.last <= last)).collect();
                if touched.iter().any(|(_, inside)| !inside) {
                    return Err(Errno::EINVAL);
                }
                for (at, _) in touched {
                    let by_message = windows.by_iova.remove(&at).is_some_and(|window| window.by_message());
                    windows.by_message -= usize::from(by_message);
                }
            }
            _ => return Err(Errno::EINVAL),
        }
        windows.files.retain(|_, file| file.strong_count() > 0);
        Ok(())
    }

    /// Forgets every window: the client is gone.
    pub(super) fn clear(&self) {
        *self.windows.write().unwrap_or_else(PoisonError::into_inner) = Windows::default();
    }
}

impl Windows {
    fn backing(&mut self, fd: OwnedFd) -> Result<Arc<Backing>, Errno> {
        let stat = rustix::fs::fstat(&fd).map_err(|_| Errno::EINVAL)?;
        let key = (stat.st_dev, stat.st_ino);
        if let Some(known) = self.files.get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        self.files.retain(|_, file| file.strong_count() > 0);
        if self.files.len() >= MAX_FILES {
            return Err(Errno::ENOSPC);
        }
        let backing = Arc::new(match MappedMem::map(fd.as_fd()) {
            Ok(map) => Backing::Mapped(map),
            Err(MapError::Shrinkable) => Backing::File(File::from(fd)),
            Err(_) => return Err(Errno::EINVAL),
        });
        self.files.insert(key, Arc::downgrade(&backing));
        Ok(backing)
    }

    /// Cuts an access into the windows that it crosses, or refuses it whole.
    fn pieces(&self, iova: Iova, len: usize, allowed: fn(&Window) -> bool) -> Result<Vec<Piece>, DmaFault> {
        let fault = |address| DmaFault { iova: Iova(address), len };
        let mut pieces = Vec::new();
        let mut done = 0;
        while done < len {
            let address = u64::try_from(done).ok().and_then(|done| iova.0.checked_add(done)).ok_or(fault(iova.0))?;
            let (first, window) = self.by_iova.range(..=address).next_back().ok_or(fault(address))?;
            if window.last < address || !allowed(window) {
                return Err(fault(address));
            }
            // One byte less than the window holds from here on: the difference of two addresses cannot overflow.
            let room = usize::try_from(window.last - address).unwrap_or(usize::MAX).saturating_add(1);
            let end = len.min(done.saturating_add(room));
            // `map` checked that the window's end in the file does not overflow.
            let offset = window.offset + (address - first);
            pieces.push(Piece { backing: window.backing.clone(), offset, address, range: done..end });
            done = end;
        }
        Ok(pieces)
    }
}

impl Backing {
    /// Length of the file in bytes, at present.
    fn len(&self) -> Option<u64> {
        match self {
            Self::Mapped(map) => u64::try_from(map.len()).ok(),
            Self::File(file) => file.metadata().ok().map(|file| file.len()),
        }
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Option<()> {
        match self {
            Self::Mapped(map) => map.read(usize::try_from(offset).ok()?, into),
            Self::File(file) => file.read_exact_at(into, offset).ok(),
        }
    }

    fn write(&self, offset: u64, from: &[u8]) -> Option<()> {
        match self {
            Self::Mapped(map) => map.write(usize::try_from(offset).ok()?, from),
            Self::File(file) => file.write_all_at(from, offset).ok(),
        }
    }
}

impl DmaSpace for ClientMemory {
    fn read(&self, iova: Iova, into: &mut [u8]) -> Result<(), DmaFault> {
        let windows = self.windows.read().unwrap_or_else(PoisonError::into_inner);
        let pieces = windows.pieces(iova, into.len(), |window| window.readable)?;
        let (shared, by_message): (Vec<_>, Vec<_>) = pieces.into_iter().partition(|piece| piece.backing.is_some());
        for piece in &shared {
            let bytes = into.get_mut(piece.range.clone());
            let read = piece.backing.as_ref().zip(bytes).and_then(|(backing, bytes)| backing.read(piece.offset, bytes));
            read.ok_or_else(|| piece.fault())?;
        }
        // Released before a message is sent: the client may unmap before it answers.
        drop(windows);
        for piece in by_message {
            let bytes = into.get_mut(piece.range.clone()).ok_or_else(|| piece.fault())?;
            self.courier.fetch(piece.address, bytes)?;
        }
        Ok(())
    }

    fn write(&self, iova: Iova, from: &[u8]) -> Result<(), DmaFault> {
        let windows = self.windows.read().unwrap_or_else(PoisonError::into_inner);
        let pieces = windows.pieces(iova, from.len(), |window| window.writable)?;
        let (shared, by_message): (Vec<_>, Vec<_>) = pieces.into_iter().partition(|piece| piece.backing.is_some());
        for piece in &shared {
            let bytes = from.get(piece.range.clone());
            let wrote =
                piece.backing.as_ref().zip(bytes).and_then(|(backing, bytes)| backing.write(piece.offset, bytes));
            wrote.ok_or_else(|| piece.fault())?;
        }
        drop(windows);
        for piece in by_message {
            let bytes = from.get(piece.range.clone()).ok_or_else(|| piece.fault())?;
            self.courier.deliver(piece.address, bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Mutex;

    /// Memory that only messages reach: one byte a key.
    #[derive(Debug, Default)]
    struct Mailbox(Mutex<HashMap<u64, u8>>);

    impl Courier for Mailbox {
        fn fetch(&self, address: u64, into: &mut [u8]) -> Result<(), DmaFault> {
            let mail = self.0.lock().unwrap();
            (address..).zip(into).for_each(|(at, byte)| *byte = mail.get(&at).copied().unwrap_or(0));
            Ok(())
        }
        fn deliver(&self, address: u64, from: &[u8]) -> Result<(), DmaFault> {
            self.0.lock().unwrap().extend((address..).zip(from.iter().copied()));
            Ok(())
        }
    }

    fn memory() -> ClientMemory {
        ClientMemory::new(Arc::new(Mailbox::default()))
    }

    fn window(address: u64, size: u64, offset: u64, flags: u32) -> DmaMap {
        DmaMap {
            argsz: 32.into(),
            flags: flags.into(),
            offset: offset.into(),
            address: address.into(),
            size: size.into(),
        }
    }

    fn range(address: u64, size: u64, flags: u32) -> DmaUnmap {
        DmaUnmap { argsz: 24.into(), flags: flags.into(), address: address.into(), size: size.into() }
    }

    const BOTH: u32 = DMA_READABLE | DMA_WRITEABLE;

    #[test]
    fn an_access_crosses_windows_that_lie_apart_in_the_file() {
        let memory = memory();
        let (mem, file) = MappedMem::create(0x4000).unwrap();
        memory.map(&window(0x1000, 0x1000, 0x3000, BOTH), Some(file.try_clone().unwrap())).unwrap();
        memory.map(&window(0x2000, 0x1000, 0x0000, BOTH), Some(file)).unwrap();
        memory.map(&window(0x3000, 0x1000, 0, BOTH), None).unwrap();
        assert_eq!(memory.windows.read().unwrap().files.len(), 1, "one file is mapped once");
        let bytes: Vec<u8> = (0..=255).cycle().take(0x1010).collect();
        memory.write(Iova(0x1ff8), &bytes).unwrap();
        let mut seen = vec![0; 8];
        mem.read(0x3ff8, &mut seen).unwrap();
        assert_eq!(seen, bytes[..8]);
        mem.read(0, &mut seen).unwrap();
        assert_eq!(seen, bytes[8..16]);
        let mut back = vec![0; bytes.len()];
        memory.read(Iova(0x1ff8), &mut back).unwrap();
        assert_eq!(back, bytes, "the last 8 bytes went by message");
    }

    #[test]
    fn what_is_not_shared_faults_and_nothing_is_written() {
        let memory = memory();
        let (mem, file) = MappedMem::create(0x2000).unwrap();
        memory.map(&window(0x1000, 0x1000, 0, BOTH), Some(file.try_clone().unwrap())).unwrap();
        memory.map(&window(0x2000, 0x1000, 0x1000, DMA_READABLE), Some(file)).unwrap();
        let fault = memory.write(Iova(0x1ffc), &[1; 8]).unwrap_err();
        assert_eq!(fault, DmaFault { iova: Iova(0x2000), len: 8 });
        assert_eq!(mem.read32(0xffc), Some(0), "a write that is not allowed whole is not made in part");
        memory.read(Iova(0x2ffc), &mut [0; 4]).unwrap();
        assert!(memory.read(Iova(0x2ffc), &mut [0; 5]).is_err());
        assert!(memory.read(Iova(0xfff), &mut [0; 2]).is_err());
        assert!(memory.read(Iova(u64::MAX), &mut [0; 2]).is_err());
    }

    #[test]
    fn a_file_that_is_cut_short_costs_a_fault_not_the_process() {
        let memory = memory();
        let file = rustix::fs::memfd_create("unsealed", rustix::fs::MemfdFlags::empty()).unwrap();
        rustix::fs::ftruncate(&file, 0x1000).unwrap();
        memory.map(&window(0, 0x1000, 0, BOTH), Some(file.try_clone().unwrap())).unwrap();
        memory.write(Iova(0x800), &[1, 2, 3]).unwrap();
        rustix::fs::ftruncate(&file, 0x10).unwrap();
        assert!(memory.read(Iova(0x800), &mut [0; 3]).is_err());
    }

    #[test]
    fn maps_that_make_no_sense_are_refused() {
        let memory = memory();
        let (_, file) = MappedMem::create(0x2000).unwrap();
        let file = || Some(file.try_clone().unwrap());
        memory.map(&window(0x1000, 0x1000, 0, BOTH), file()).unwrap();
        for (map, expected) in [
            (window(0x1fff, 1, 0, BOTH), Errno::EEXIST),
            (window(0, 0x1001, 0, BOTH), Errno::EEXIST),
            (window(0x1100, 0x10, 0, BOTH), Errno::EEXIST),
            (window(0x8000, 0, 0, BOTH), Errno::EINVAL),
            (window(u64::MAX, 2, 0, BOTH), Errno::EINVAL),
            (window(0x8000, 0x1001, 0x1000, BOTH), Errno::EINVAL),
            (window(0x8000, 0x1000, u64::MAX, BOTH), Errno::EINVAL),
            (window(0x8000, 0x1000, 0, 4), Errno::EINVAL),
        ] {
            assert_eq!(memory.map(&map, file()), Err(expected), "{map:?}");
        }
        let (pipe, _) = std::io::pipe().unwrap();
        assert_eq!(memory.map(&window(0x8000, 0x1000, 0, BOTH), Some(pipe.into())), Err(Errno::EINVAL));
        assert_eq!(memory.windows(), 1);
    }

    #[test]
    fn files_are_counted() {
        let memory = memory();
        for i in 0..MAX_FILES as u64 {
            let (_, file) = MappedMem::create(0x1000).unwrap();
            memory.map(&window(i * 0x1000, 0x1000, 0, BOTH), Some(file)).unwrap();
        }
        let (_, file) = MappedMem::create(0x1000).unwrap();
        let more = window(0x100_0000, 0x1000, 0, BOTH);
        assert_eq!(memory.map(&more, Some(file.try_clone().unwrap())), Err(Errno::ENOSPC));
        memory.unmap(&range(0, 0x1000, 0)).unwrap();
        memory.map(&more, Some(file)).expect("a file that no window uses is let go");
    }

    #[test]
    fn unmap_takes_whole_windows_and_tolerates_ranges_without_any() {
        let memory = memory();
        for address in [0x1000, 0x2000, 0x8000] {
            memory.map(&window(address, 0x1000, 0, BOTH), None).unwrap();
        }
        assert!(memory.needs_messages());
        let (_, file) = MappedMem::create(0x1000).unwrap();
        memory.map(&window(0x10_0000, 0x1000, 0, BOTH), Some(file)).unwrap();
        assert!(!memory.needs_messages(), "its memory comes by descriptor");
        memory.unmap(&range(0x10_0000, 0x1000, 0)).unwrap();
        assert_eq!(memory.unmap(&range(0x1800, 0x1000, 0)), Err(Errno::EINVAL), "a window is not cut");
        assert_eq!(memory.unmap(&range(0x1000, 0x800, 0)), Err(Errno::EINVAL));
        memory.unmap(&range(0x1000, 0x2000, 0)).unwrap();
        assert_eq!(memory.windows(), 1);
        memory.unmap(&range(0, 0x1000, 0)).unwrap();
        assert_eq!(memory.unmap(&range(0, 0, 0)), Err(Errno::EINVAL));
        assert_eq!(memory.unmap(&range(0, 1 << 48, 1)), Err(Errno::EINVAL), "dirty pages are not kept");
        memory.unmap(&range(0, 0, DMA_UNMAP_ALL)).unwrap();
        assert_eq!(memory.windows(), 0);
        assert!(!memory.needs_messages());
    }

    proptest! {
        #[test]
        fn windows_never_overlap_and_reads_follow_writes(
            steps in prop::collection::vec((any::<bool>(), 0u64..64, 1u64..16), 1..60),
            at in 0u64..64, len in 1usize..20,
        ) {
            let memory = memory();
            let mut mapped = [false; 80];
            for (map, first, size) in steps {
                let cells = usize::try_from(first).unwrap()..usize::try_from(first + size).unwrap();
                if map {
                    let free = mapped[cells.clone()].iter().all(|cell| !cell);
                    prop_assert_eq!(memory.map(&window(first, size, 0, BOTH), None).is_ok(), free);
                    if free { mapped[cells].fill(true); }
                } else if memory.unmap(&range(first, size, 0)).is_ok() {
                    mapped[cells].fill(false);
                }
            }
            let reachable = (at..).take(len).all(|cell| mapped.get(usize::try_from(cell).unwrap()) == Some(&true));
            let bytes: Vec<u8> = (1..).take(len).collect();
            prop_assert_eq!(memory.write(Iova(at), &bytes).is_ok(), reachable);
            let mut back = vec![0; len];
            if memory.read(Iova(at), &mut back).is_ok() { prop_assert_eq!(back, bytes); }
        }
    }
}
