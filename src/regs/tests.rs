use std::sync::Arc;

use super::{Block, Field, ef10};
use crate::bar::Mmio;

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
