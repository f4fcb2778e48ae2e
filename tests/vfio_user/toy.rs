//! A small function for the tests of both sides.

use std::os::fd::OwnedFd;

use nicfw::device::vfio_user::wire::{irq, region};
use nicfw::dma::{DmaSpace, Iova};
use nicfw_model::serve::{Function, Host, RegionShape, Shape, SharedRegion};

/// A function of registers that remember, with a doorbell: writing an IOVA to BAR 2 offset 0x200 makes it add one to the
/// dword there and raise vector 0.
#[derive(Default)]
pub struct Toy {
    pub regs: Vec<u8>,
    /// Low byte of the command register.
    pub command: u8,
    pub host: Option<Host>,
    pub calls: Vec<String>,
    /// Windows of the client's memory at the last reset.
    pub windows: usize,
    /// Lets the second half of the registers be mapped from this file.
    pub registers: Option<OwnedFd>,
    pub shared: Option<OwnedFd>,
}

const BAR: u32 = 2;
const DOORBELL: u64 = 0x200;

impl Toy {
    pub fn new() -> Self {
        Self { regs: vec![0; 0x1000], ..Self::default() }
    }

    fn ring(&self, iova: Iova) -> Option<()> {
        let host = self.host.as_ref()?;
        let mut word = [0; 4];
        host.memory.read(iova, &mut word).ok()?;
        host.memory.write(iova, &(u32::from_le_bytes(word) + 1).to_le_bytes()).ok()?;
        host.irqs.raise(irq::MSIX, 0).then_some(())
    }
}

impl Function for Toy {
    fn shape(&self) -> Shape {
        let mut shape = Shape::default();
        let shared = self.shared.as_ref().map(|file| SharedRegion {
            file: file.try_clone().unwrap(),
            areas: vec![(0x1000, 0x2000), (0x8000, 0x1000)],
        });
        let registers = self
            .registers
            .as_ref()
            .map(|file| SharedRegion { file: file.try_clone().unwrap(), areas: vec![(0x1000, 0x1000)] });
        let size = if registers.is_some() { 0x2000 } else { 0x1000 };
        shape.regions[2] = Some(RegionShape { size, writable: true, shared: registers });
        shape.regions[4] = Some(RegionShape { size: 0x10_0000, writable: true, shared });
        shape.regions[6] = Some(RegionShape { size: 0x400, writable: false, shared: None });
        shape.regions[7] = Some(RegionShape { size: 256, writable: true, shared: None });
        shape.irqs[2] = 3;
        shape
    }
    fn attach(&mut self, host: Host) {
        self.host = Some(host);
    }
    fn detach(&mut self) {
        self.calls.push("detach".to_owned());
    }
    fn read(&mut self, region: u32, offset: u64, into: &mut [u8]) {
        self.calls.push(format!("read {region} {offset:#x} {}", into.len()));
        if region == region::CONFIG {
            for (at, byte) in (offset..).zip(&mut *into) {
                *byte = match at {
                    0..4 => [0x24, 0x19, 0x03, 0x0a][usize::try_from(at).unwrap()],
                    4 => self.command,
                    _ => 0,
                };
            }
        }
        if region == BAR {
            let offset = usize::try_from(offset).unwrap();
            into.copy_from_slice(&self.regs[offset..offset + into.len()]);
        }
    }
    fn write(&mut self, region: u32, offset: u64, from: &[u8]) {
        self.calls.push(format!("write {region} {offset:#x} {from:02x?}"));
        if (region, offset) == (region::CONFIG, 4) {
            self.command = from[0];
        }
        if region != BAR {
            return;
        }
        let at = usize::try_from(offset).unwrap();
        self.regs[at..at + from.len()].copy_from_slice(from);
        if let (DOORBELL, Ok(bytes)) = (offset, from.try_into()) {
            let rung = self.ring(Iova(u64::from_le_bytes(bytes)));
            self.calls.push(format!("rung {}", rung.is_some()));
        }
    }
    fn reset(&mut self) {
        self.calls.push("reset".to_owned());
        self.windows = self.host.as_ref().map_or(0, |host| host.memory.windows());
        self.command = 0;
    }
}
