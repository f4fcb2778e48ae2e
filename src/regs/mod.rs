//! Register maps as types: which register lies where, and which directions are legal.
//!
//! A map is a `#[repr(C)]` struct of [`RO`], [`WO`] and [`RW`] cells from `volatile-register`. It is never laid over a
//! mapping, because a reference to device memory is one that the compiler may read on its own, and because an overlay
//! cannot be answered by a model. A [`Reg`] takes offset and direction from the map, and a [`Block`] performs the access
//! through [`Mmio`].
//!
#![cfg_attr(feature = "raw", doc = "```")]
#![cfg_attr(not(feature = "raw"), doc = "```ignore")]
//! # use std::sync::Arc;
//! # use nicfw::regs::{Block, ef10};
//! # fn reset(bar: Arc<dyn nicfw::bar::Mmio>) -> Option<()> {
//! let regs = Block::<ef10::FunctionRegs>::new(bar, 0)?;
//! let status = regs.read(&ef10::MC_SFT_STATUS);
//! regs.write(&ef10::MC_DB_HWRD, ef10::MC_DB_CANCEL);
//! # Some(())
//! # }
//! ```
//!
//! A write-only register cannot be read:
//!
#![cfg_attr(feature = "raw", doc = "```compile_fail,E0277")]
#![cfg_attr(not(feature = "raw"), doc = "```ignore")]
//! # use nicfw::regs::{Block, ef10};
//! # fn wrong(regs: Block<ef10::FunctionRegs>) {
//! regs.read(&ef10::MC_DB_HWRD);
//! # }
//! ```

pub mod ef10;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use volatile_register::{RO, RW, WO};

use crate::bar::Mmio;

/// Names one 32-bit register of the map `B`: an offset and a cell type, no memory.
pub struct Reg<B, C> {
    off: usize,
    cell: PhantomData<fn(&B) -> &C>,
}

impl<B, C> Reg<B, C> {
    /// The register at byte offset `off`; the function is never called, it only tells the cell's type.
    #[must_use]
    pub const fn of(off: usize, _cell: fn(&B) -> &C) -> Self {
        assert!(off.is_multiple_of(4) && size_of::<C>() == 4);
        Self { off, cell: PhantomData }
    }

    /// Byte offset from the start of the map.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.off
    }
}

/// A [`Reg`] for a field of a register map.
macro_rules! reg {
    ($map:ty, $field:ident) => {
        $crate::regs::Reg::of(core::mem::offset_of!($map, $field), |map: &$map| &map.$field)
    };
}
pub(crate) use reg;

/// A cell whose register may be read.
pub trait Readable {}
impl Readable for RO<u32> {}
impl Readable for RW<u32> {}

/// A cell whose register may be written.
pub trait Writable {}
impl Writable for WO<u32> {}
impl Writable for RW<u32> {}

/// The registers of map `B` at a fixed place of a BAR.
pub struct Block<B> {
    bar: Arc<dyn Mmio>,
    base: usize,
    map: PhantomData<fn() -> B>,
}

impl<B> Block<B> {
    /// The map at byte offset `base` of `bar`; `None` if it does not fit or `base` is not a multiple of 8.
    #[must_use]
    pub fn new(bar: Arc<dyn Mmio>, base: usize) -> Option<Self> {
        let end = base.checked_add(size_of::<B>())?;
        (base.is_multiple_of(8) && end <= bar.len()).then_some(Self { bar, base, map: PhantomData })
    }

    /// Reads a register in one access.
    #[must_use]
    pub fn read<C: Readable>(&self, reg: &Reg<B, C>) -> u32 {
        self.bar.read32(self.base + reg.off)
    }

    /// Writes a register in one access.
    pub fn write<C: Writable>(&self, reg: &Reg<B, C>, value: u32) {
        self.bar.write32(self.base + reg.off, value);
    }
}

impl<B> fmt::Debug for Block<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({:#x}..{:#x})", self.base, self.base + size_of::<B>())
    }
}

/// A field of a 32-bit word: lowest bit number and width in bits, as hardware documents print them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    lbn: u32,
    width: u32,
}

impl Field {
    /// The field of `width` bits from bit `lbn`.
    ///
    /// # Panics
    /// If the field is empty or does not lie in 32 bits; at compile time where the result is a constant.
    #[must_use]
    pub const fn new(lbn: u32, width: u32) -> Self {
        assert!(width >= 1 && lbn < 32 && width <= 32 - lbn);
        Self { lbn, width }
    }

    /// Largest value that the field holds.
    #[must_use]
    pub const fn max(self) -> u32 {
        u32::MAX >> (32 - self.width)
    }

    /// The field's value in `word`.
    #[must_use]
    pub const fn get(self, word: u32) -> u32 {
        (word >> self.lbn) & self.max()
    }

    /// `word` with the field set to `value`, whose excess high bits are cut.
    #[must_use]
    pub const fn set(self, word: u32, value: u32) -> u32 {
        (word & !(self.max() << self.lbn)) | ((value & self.max()) << self.lbn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_touch_only_their_bits() {
        let seq = Field::new(16, 4);
        assert_eq!(seq.max(), 15);
        assert_eq!(seq.get(0xfffa_ffff), 0xa);
        assert_eq!(seq.set(0xffff_ffff, 0), 0xfff0_ffff);
        assert_eq!(seq.set(0, 0x1f), 0x000f_0000, "excess bits are cut");
        assert_eq!(Field::new(0, 32).set(1, u32::MAX), u32::MAX);
    }

    struct Nothing(usize);

    impl Mmio for Nothing {
        fn len(&self) -> usize {
            self.0
        }
        fn read32(&self, _: usize) -> u32 {
            u32::MAX
        }
        fn write32(&self, _: usize, _: u32) {}
        fn write64(&self, _: usize, _: u64) {}
    }

    #[test]
    fn a_block_must_lie_in_the_bar() {
        let fits = |len, base| Block::<ef10::FunctionRegs>::new(Arc::new(Nothing(len)), base).is_some();
        assert!(fits(0x208, 0));
        assert!(!fits(0x207, 0));
        assert!(!fits(0x208, 8));
        assert!(!fits(0x300, 4), "unaligned");
        assert!(!fits(0x300, usize::MAX - 7), "overflow");
    }
}
