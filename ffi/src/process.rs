//! Which process the library belongs to: the one that called it first.
//!
//! A child of `fork` has the parent's handles, and behind them its connection to the adapter: what it sends there the parent
//! never hears of, and the locks that other threads of the parent held are never opened in it. So it is told apart by a page
//! that the kernel empties in every child, whichever call makes it and whatever number it has in its own PID namespace.
#![expect(unsafe_code, reason = "asks the kernel to empty a page in children, and reads it")]

use std::sync::OnceLock;

use memmap2::MmapMut;

use crate::failure::{Failure, Result};
use crate::nicfw_code::NICFW_E_FORK;

/// What tells the process from its children.
enum Mark {
    /// Its first byte is 1, in children 0.
    Page(MmapMut),
    /// The process's number, where the kernel empties no pages (before Linux 4.14).
    Number(u32),
}

impl Mark {
    fn new() -> Self {
        Self::page().map_or_else(|| Self::Number(std::process::id()), Self::Page)
    }

    fn page() -> Option<MmapMut> {
        let mut page = MmapMut::map_anon(1).ok()?;
        *page.first_mut()? = 1;
        let (start, len) = (page.as_mut_ptr().cast(), page.len());
        // SAFETY: the pages of the mapping, which is private and anonymous; until there is a child nothing changes.
        let asked = unsafe { libc::madvise(start, len, libc::MADV_WIPEONFORK) };
        (asked == 0).then_some(page)
    }

    fn is_here(&self) -> bool {
        match self {
            Self::Page(page) => {
                // SAFETY: the mapping has a first byte; volatile, because only the kernel changes it.
                let first = unsafe { page.as_ptr().read_volatile() };
                first == 1
            }
            Self::Number(number) => *number == std::process::id(),
        }
    }
}

/// Nothing in the process that called the library first.
///
/// # Errors
/// `NICFW_E_FORK` in its children.
pub fn check() -> Result<()> {
    static MARK: OnceLock<Mark> = OnceLock::new();
    if MARK.get_or_init(Mark::new).is_here() {
        return Ok(());
    }
    let text =
        "this process was forked from one that used the library, which alone may go on: the child must exec first";
    Err(Failure::new(NICFW_E_FORK, text))
}
