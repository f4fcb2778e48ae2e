//! A map of 32-bit registers in a BAR, and their fields.

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
