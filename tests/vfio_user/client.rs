//! The driver's side against the server's.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use nicfw::device::vfio_user::VfioUser;
use nicfw::device::{Device, PciId};
use nicfw::dma::{DmaBuf, MappedMem};
use nicfw::error::Error;
use nicfw_model::serve::Session;

use crate::toy::Toy;

/// Offset of the command register in configuration space.
const COMMAND: u64 = 4;

/// Serves `toy` on a thread until the client leaves, then gives it back.
fn serve(mut toy: Toy) -> (UnixStream, JoinHandle<Toy>) {
    let (client, server) = UnixStream::pair().unwrap();
    let thread = std::thread::spawn(move || {
        let session = Session::start(server, &mut toy).unwrap();
        session.serve(&mut toy).unwrap();
        toy
    });
    (client, thread)
}

#[test]
fn a_driver_finds_registers_memory_and_interrupts() {
    let (stream, thread) = serve(Toy::new());
    let device = VfioUser::over(stream).unwrap();
    assert_eq!(device.pci_id(), PciId { vendor: 0x1924, device: 0x0a03 });
    let mut command = [0; 2];
    device.read_config(COMMAND, &mut command).unwrap();
    assert_eq!(command, [6, 0], "memory space and bus master");
    let bar = device.bar();
    assert_eq!(bar.len(), 0x1000);
    bar.write32(0x10, 0x1234_5678);
    assert_eq!(bar.read32(0x10), 0x1234_5678);

    let buf = device.dma_alloc(5000, 8192).unwrap();
    assert!(buf.len() >= 5000 && buf.iova().0.is_multiple_of(8192));
    let vectors = device.interrupts(8).unwrap();
    assert_eq!(vectors.len(), 3, "as many as the function has");
    buf.write32(0x1000, 41);
    bar.write64(0x200, buf.iova().0 + 0x1000);
    assert_eq!(buf.read32(0x1000), 42, "the device reached the memory before the doorbell's reply");
    assert_eq!(vectors.iter().map(|vector| vector.take().unwrap()).collect::<Vec<_>>(), [1, 0, 0]);

    device.reset().unwrap();
    device.read_config(COMMAND, &mut command).unwrap();
    assert_eq!(command, [6, 0], "bus master again after the reset");
    let iova = buf.iova().0;
    drop(buf);
    bar.write64(0x200, iova);
    drop((device, bar));
    let toy = thread.join().unwrap();
    assert!(toy.calls.iter().any(|call| call == "rung true"));
    assert_eq!(toy.calls.iter().rev().nth(1).unwrap(), "rung false", "a dropped buffer is out of reach");
}

#[test]
fn registers_that_may_be_mapped_are_unless_their_file_may_shrink() {
    let (memory, sealed) = MappedMem::create(0x2000).unwrap();
    let (stream, thread) = serve(Toy { registers: Some(sealed), ..Toy::new() });
    let device = VfioUser::over(stream).unwrap();
    let bar = device.bar();
    bar.write32(0x1008, 7);
    bar.write32(0x0008, 9);
    assert_eq!((memory.read32(0x1008), memory.read32(8)), (Some(7), Some(0)), "only the area is mapped");
    drop((device, bar));
    let calls = thread.join().unwrap().calls;
    assert!(calls.contains(&"write 2 0x8 [09, 00, 00, 00]".to_owned()));
    assert!(!calls.iter().any(|call| call.starts_with("write 2 0x1008")));

    let unsealed = rustix::fs::memfd_create("registers", rustix::fs::MemfdFlags::empty()).unwrap();
    rustix::fs::ftruncate(&unsealed, 0x2000).unwrap();
    let regs = vec![0; 0x2000];
    let (stream, thread) = serve(Toy { registers: Some(unsealed), regs, ..Toy::new() });
    let device = VfioUser::over(stream).unwrap();
    device.bar().write32(0x1008, 7);
    assert_eq!(device.bar().read32(0x1008), 7);
    drop(device);
    let calls = thread.join().unwrap().calls;
    assert!(calls.contains(&"write 2 0x1008 [07, 00, 00, 00]".to_owned()), "by message");
}

#[test]
fn dma_memory_is_accounted_for() {
    let (stream, thread) = serve(Toy::new());
    let device = VfioUser::over(stream).unwrap();
    let alloc = || (1..40).map(|i| device.dma_alloc(i * 1000, 1 << (i % 20)).unwrap()).collect::<Vec<_>>();
    let places = |kept: &[Arc<dyn DmaBuf>]| {
        let mut taken: Vec<_> = kept.iter().map(|buf| (buf.iova().0, buf.iova().0 + buf.len() as u64)).collect();
        taken.sort_unstable();
        taken
    };
    let kept = alloc();
    let taken = places(&kept);
    assert!(taken.windows(2).all(|pair| pair[0].1 <= pair[1].0), "no two buffers overlap");
    assert!(matches!(device.dma_alloc(1 << 40, 4096), Err(Error::Dma { .. })), "more than the address space holds");
    assert!(matches!(device.dma_alloc(usize::MAX, 4096), Err(Error::Dma { .. })));
    drop(kept);
    let again = alloc();
    assert_eq!(places(&again), taken, "the whole address space was free again");
    drop(again);
    device.reset().unwrap();
    drop(device);
    let toy = thread.join().unwrap();
    assert!(toy.calls.contains(&"reset".to_owned()));
    assert_eq!(toy.windows, 0, "each window was taken back");
}

#[test]
fn a_server_that_goes_away_reads_as_all_ones() {
    let (stream, thread) = serve(Toy::new());
    let stop = stream.try_clone().unwrap();
    let device = VfioUser::over(stream).unwrap();
    let buf = device.dma_alloc(4096, 4096).unwrap();
    stop.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(device.bar().read32(0), u32::MAX);
    device.bar().write32(0, 1);
    assert!(matches!(device.reset(), Err(Error::Reset)));
    let refused = device.dma_alloc(4096, 4096).err().unwrap();
    assert_eq!(refused.to_string(), "no DMA memory: 4096 bytes could not be shared with the adapter");
    buf.write32(0, 7);
    assert_eq!(buf.read32(0), 7, "memory stays memory");
    drop(thread);
}
