//! The interrupt vectors of a served function: where to signal each of them.

use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::warn;
use rustix::fs::OFlags;
use zerocopy::FromBytes;

use nicfw::device::vfio_user::wire::{self, Errno, IrqSet, irq};

/// Every vector of one function. Shared with the function, which raises them from any thread.
#[derive(Debug)]
pub struct Irqs(Mutex<[Kind; irq::COUNT as usize]>);

/// The vectors of one type.
#[derive(Debug, Default)]
struct Kind {
    maskable: bool,
    vectors: Vec<Vector>,
}

#[derive(Debug, Default)]
struct Vector {
    event: Option<OwnedFd>,
    masked: bool,
    /// Raised while it was masked.
    pending: bool,
}

impl Irqs {
    /// Vectors by type (index of [`irq`]); only INTx can be masked by message, as with the kernel's VFIO.
    pub(super) fn new(counts: [u32; irq::COUNT as usize]) -> Self {
        let mut index = 0;
        Self(Mutex::new(counts.map(|count| {
            let maskable = index == irq::INTX;
            index += 1;
            Kind { maskable, vectors: (0..count).map(|_| Vector::default()).collect() }
        })))
    }

    /// Raises vector `vector` of type `index`. `false` when nobody listens, or there is no such vector: the function
    /// keeps the interrupt pending, as a masked MSI-X vector does.
    #[must_use]
    pub fn raise(&self, index: u32, vector: u32) -> bool {
        let mut kinds = self.lock();
        let Some(vector) = kind(&mut *kinds, index).and_then(|kind| kind.vectors.get_mut(as_index(vector))) else {
            return false;
        };
        vector.raise()
    }

    /// Vectors of type `index`, and whether they can be masked by message; `None` for a type that does not exist.
    pub(super) fn describe(&self, index: u32) -> Option<(u32, bool)> {
        let mut kinds = self.lock();
        let kind = kind(&mut *kinds, index)?;
        Some((u32::try_from(kind.vectors.len()).unwrap_or(u32::MAX), kind.maskable))
    }

    /// Carries out `VFIO_USER_DEVICE_SET_IRQS`.
    pub(super) fn set(&self, body: &[u8], fds: Vec<OwnedFd>) -> Result<(), Errno> {
        let (set, data) = IrqSet::read_from_prefix(body).map_err(|_| Errno::EINVAL)?;
        let (start, count) = (as_index(set.start.get()), as_index(set.count.get()));
        let mut kinds = self.lock();
        let kind = kind(&mut *kinds, set.index.get()).ok_or(Errno::EINVAL)?;
        let all = start.checked_add(count).and_then(|end| kind.vectors.get_mut(start..end)).ok_or(Errno::EINVAL)?;
        const TRIGGER_NONE: u32 = wire::IRQ_DATA_NONE | wire::IRQ_ACTION_TRIGGER;
        const TRIGGER_BOOL: u32 = wire::IRQ_DATA_BOOL | wire::IRQ_ACTION_TRIGGER;
        const TRIGGER_EVENTFD: u32 = wire::IRQ_DATA_EVENTFD | wire::IRQ_ACTION_TRIGGER;
        const MASK_NONE: u32 = wire::IRQ_DATA_NONE | wire::IRQ_ACTION_MASK;
        const MASK_BOOL: u32 = wire::IRQ_DATA_BOOL | wire::IRQ_ACTION_MASK;
        const UNMASK_NONE: u32 = wire::IRQ_DATA_NONE | wire::IRQ_ACTION_UNMASK;
        const UNMASK_BOOL: u32 = wire::IRQ_DATA_BOOL | wire::IRQ_ACTION_UNMASK;
        let chosen = |of: usize| data.get(of).is_some_and(|byte| *byte != 0);
        let whole = |flags| matches!(flags, TRIGGER_NONE | MASK_NONE | UNMASK_NONE);
        match set.flags.get() {
            TRIGGER_NONE if count == 0 && start == 0 => kind.vectors.iter_mut().for_each(|v| v.event = None),
            TRIGGER_EVENTFD => assign(all, fds)?,
            flags @ (TRIGGER_NONE | TRIGGER_BOOL) => {
                for (i, vector) in all.iter_mut().enumerate().filter(|(i, _)| whole(flags) || chosen(*i)) {
                    if !vector.raise() {
                        warn!("the client raised vector {} that nobody listens to", start + i);
                    }
                }
            }
            flags @ (MASK_NONE | MASK_BOOL) if kind.maskable => {
                let mask = all.iter_mut().enumerate().filter(|(i, _)| whole(flags) || chosen(*i));
                mask.for_each(|(_, vector)| vector.masked = true);
            }
            flags @ (UNMASK_NONE | UNMASK_BOOL) if kind.maskable => {
                let unmask = all.iter_mut().enumerate().filter(|(i, _)| whole(flags) || chosen(*i));
                unmask.for_each(|(_, vector)| vector.unmask());
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// Forgets every eventfd: the client is gone.
    pub(super) fn clear(&self) {
        let mut kinds = self.lock();
        for vector in kinds.iter_mut().flat_map(|kind| &mut kind.vectors) {
            *vector = Vector::default();
        }
    }

    fn lock(&self) -> MutexGuard<'_, [Kind; irq::COUNT as usize]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kind(kinds: &mut [Kind], index: u32) -> Option<&mut Kind> {
    kinds.get_mut(as_index(index))
}

/// A wire number as an index; one that no vector has where it does not fit.
fn as_index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Gives each vector its eventfd, or takes them away when none came.
fn assign(vectors: &mut [Vector], fds: Vec<OwnedFd>) -> Result<(), Errno> {
    if fds.is_empty() {
        vectors.iter_mut().for_each(|vector| vector.event = None);
        return Ok(());
    }
    if fds.len() != vectors.len() || !fds.iter().all(is_eventfd) {
        return Err(Errno::EINVAL);
    }
    for fd in &fds {
        // A full counter must not stop the function that raises the interrupt.
        let flags = rustix::fs::fcntl_getfl(fd).map_err(|_| Errno::EINVAL)?;
        rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(|_| Errno::EINVAL)?;
    }
    for (vector, fd) in vectors.iter_mut().zip(fds) {
        vector.event = Some(fd);
    }
    Ok(())
}

/// Whether a descriptor from the peer is an eventfd: writing to anything else could wait, or reach a file.
fn is_eventfd(fd: &OwnedFd) -> bool {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    link.is_ok_and(|target| target.as_os_str() == "anon_inode:[eventfd]")
}

impl Vector {
    fn raise(&mut self) -> bool {
        if self.masked {
            self.pending = true;
            return true;
        }
        let Some(event) = &self.event else { return false };
        match rustix::io::write(event, &1u64.to_ne_bytes()) {
            // A full counter is signalled already.
            Ok(_) | Err(rustix::io::Errno::AGAIN) => true,
            Err(e) => {
                warn!("an interrupt could not be signalled: {e}");
                false
            }
        }
    }

    fn unmask(&mut self) {
        self.masked = false;
        if std::mem::take(&mut self.pending) && !self.raise() {
            self.pending = true;
        }
    }
}

impl fmt::Display for Irqs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.lock();
        let listening = kinds.iter().flat_map(|kind| &kind.vectors).filter(|vector| vector.event.is_some()).count();
        write!(f, "{listening} vectors connected")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nicfw::device::Interrupt;
    use std::os::fd::AsFd;
    use zerocopy::IntoBytes;

    fn irqs() -> Irqs {
        Irqs::new([1, 0, 4, 0, 0])
    }

    fn set(index: u32, flags: u32, start: u32, count: u32, data: &[u8]) -> Vec<u8> {
        let argsz = u32::try_from(20 + data.len()).unwrap();
        let set = IrqSet {
            argsz: argsz.into(),
            flags: flags.into(),
            index: index.into(),
            start: start.into(),
            count: count.into(),
        };
        [set.as_bytes(), data].concat()
    }

    fn shared(vector: &Interrupt) -> OwnedFd {
        vector.as_fd().try_clone_to_owned().unwrap()
    }

    const EVENTFD: u32 = wire::IRQ_DATA_EVENTFD | wire::IRQ_ACTION_TRIGGER;

    #[test]
    fn each_vector_signals_its_own_eventfd() {
        let irqs = irqs();
        let (a, b) = (Interrupt::new().unwrap(), Interrupt::new().unwrap());
        irqs.set(&set(irq::MSIX, EVENTFD, 1, 2, &[]), vec![shared(&a), shared(&b)]).unwrap();
        assert!(!irqs.raise(irq::MSIX, 0), "nobody listens to vector 0");
        assert!(irqs.raise(irq::MSIX, 2));
        assert_eq!((a.take().unwrap(), b.take().unwrap()), (0, 1));
        irqs.set(&set(irq::MSIX, EVENTFD, 2, 1, &[]), vec![]).unwrap();
        assert!(irqs.raise(irq::MSIX, 1) && !irqs.raise(irq::MSIX, 2), "no descriptor takes the eventfd away");
        irqs.set(&set(irq::MSIX, wire::IRQ_DATA_NONE | wire::IRQ_ACTION_TRIGGER, 0, 0, &[]), vec![]).unwrap();
        assert!(!irqs.raise(irq::MSIX, 1), "count 0 switches the type off");
        assert!(!irqs.raise(irq::MSIX, 4) && !irqs.raise(irq::MSI, 0) && !irqs.raise(99, 0), "there is no such vector");
    }

    #[test]
    fn a_masked_line_is_raised_when_it_is_unmasked() {
        let irqs = irqs();
        let line = Interrupt::new().unwrap();
        irqs.set(&set(irq::INTX, EVENTFD, 0, 1, &[]), vec![shared(&line)]).unwrap();
        irqs.set(&set(irq::INTX, wire::IRQ_DATA_BOOL | wire::IRQ_ACTION_MASK, 0, 1, &[1]), vec![]).unwrap();
        assert!(irqs.raise(irq::INTX, 0));
        assert_eq!(line.take().unwrap(), 0);
        irqs.set(&set(irq::INTX, wire::IRQ_DATA_NONE | wire::IRQ_ACTION_UNMASK, 0, 1, &[]), vec![]).unwrap();
        assert_eq!(line.take().unwrap(), 1);
    }

    #[test]
    fn the_client_can_raise_a_vector_itself() {
        let irqs = irqs();
        let events: Vec<_> = (0..3).map(|_| Interrupt::new().unwrap()).collect();
        irqs.set(&set(irq::MSIX, EVENTFD, 0, 3, &[]), events.iter().map(shared).collect()).unwrap();
        irqs.set(&set(irq::MSIX, wire::IRQ_DATA_BOOL | wire::IRQ_ACTION_TRIGGER, 0, 3, &[1, 0, 1]), vec![]).unwrap();
        assert_eq!(events.iter().map(|event| event.take().unwrap()).collect::<Vec<_>>(), [1, 0, 1]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_changes_nothing() {
        let irqs = irqs();
        let vector = Interrupt::new().unwrap();
        let (_, pipe) = std::io::pipe().unwrap();
        assert_eq!(irqs.set(&[0; 19], vec![]), Err(Errno::EINVAL), "short");
        let cases = [
            (set(5, EVENTFD, 0, 1, &[]), vec![shared(&vector)]),
            (set(irq::MSIX, EVENTFD, 3, 2, &[]), vec![shared(&vector), shared(&vector)]),
            (set(irq::MSIX, EVENTFD, u32::MAX, 2, &[]), vec![]),
            (set(irq::MSIX, EVENTFD, 0, 2, &[]), vec![shared(&vector)]),
            (set(irq::MSIX, EVENTFD, 0, 1, &[]), vec![pipe.into()]),
            (set(irq::MSIX, wire::IRQ_DATA_NONE | wire::IRQ_ACTION_MASK, 0, 1, &[]), vec![]),
            (set(irq::MSIX, 0, 0, 1, &[]), vec![]),
            (set(irq::MSIX, u32::MAX, 0, 1, &[]), vec![]),
        ];
        for (i, (body, fds)) in cases.into_iter().enumerate() {
            assert_eq!(irqs.set(&body, fds), Err(Errno::EINVAL), "case {i}");
        }
        assert_eq!(irqs.to_string(), "0 vectors connected");
    }
}
