//! The functions of a [`Model`] behind sockets.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{io, thread};

use log::{info, warn};
use nicfw::device::vfio_user::socket::SocketError;
use nicfw::device::vfio_user::{VfioUser, VfioUserError};

use super::function::Function;
use super::listener::Listener;
use super::session::Session;
use crate::model::Model;

/// How often a server looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(100);

/// Serves the function `index` of `model` at `listener`, one client after the other, until `stop` is set.
///
/// # Errors
/// When the socket cannot be listened on any more. What a client does wrong ends its session only, with a line in the log.
pub fn serve(model: &Model, index: usize, listener: &Listener, stop: &AtomicBool) -> io::Result<()> {
    let mut endpoint = model.endpoint(index);
    while !stop.load(Ordering::Relaxed) {
        let Some(stream) = listener.accept(LOOK)? else { continue };
        info!("function {index}: a client is there");
        match attend(stream, &mut endpoint, stop, Some(listener)) {
            Ok(()) => info!("function {index}: the client has left; held: {}", model.held(index)),
            Err(e) => warn!("function {index}: the client is given up: {e}"),
        }
    }
    Ok(())
}

/// Serves one client until it leaves or `stop` is set. Whoever else comes to `listener` meanwhile is hung up on.
fn attend(
    stream: UnixStream,
    function: &mut dyn Function,
    stop: &AtomicBool,
    listener: Option<&Listener>,
) -> Result<(), SocketError> {
    let mut session = Session::start(stream, function)?;
    let ended = loop {
        match session.step(function, LOOK) {
            _ if stop.load(Ordering::Relaxed) => break Ok(()),
            Ok(true) => {}
            Ok(false) => {
                if let Some(Ok(Some(_))) = listener.map(|listener| listener.accept(Duration::ZERO)) {
                    warn!("another client is hung up on: the function has one already");
                }
            }
            Err(SocketError::Closed) => break Ok(()),
            Err(e) => break Err(e),
        }
    };
    info!("windows of memory that the client shared: {}", session.windows());
    session.finish(function);
    ended
}

/// The function `index` of `model` as a driver in another process would have it: over a socket, served by a thread that
/// ends with the device.
///
/// # Errors
/// [`VfioUserError`] when there is no socket, or the two sides do not agree.
pub fn over_socket(model: &Model, index: usize) -> Result<VfioUser, VfioUserError> {
    let (driver, server) = UnixStream::pair().map_err(SocketError::Io)?;
    let mut endpoint = model.endpoint(index);
    thread::spawn(move || {
        if let Err(e) = attend(server, &mut endpoint, &AtomicBool::new(false), None) {
            warn!("the driver is given up: {e}");
        }
    });
    VfioUser::over(driver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FunctionConfig, ModelConfig};
    use nicfw::Adapter;
    use nicfw::adapter::AttachOptions;
    use nicfw::clock::VirtualClock;
    use nicfw::device::Device;
    use nicfw::regs::ef10;
    use nicfw::terms::MacAddr;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn model() -> Model {
        let mac = |last| MacAddr([2, 0, 0, 0, 0, last]);
        Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, mac(1)), FunctionConfig::container(0, 1, mac(2))]))
    }

    #[test]
    fn each_function_is_itself_over_a_socket() {
        let model = model();
        for (index, id) in [(0, "1924:0a03"), (1, "1924:1a03")] {
            let device = over_socket(&model, index).unwrap();
            assert_eq!(device.pci_id().to_string(), id);
            assert_eq!(device.bar().read32(ef10::HW_REV_ID.offset()), ef10::HW_REV_ID_RESET);
            assert_eq!(device.bar().len(), model.function(index).bar().len());
        }
    }

    /// The BARs as the adapters up to SFN8000 have them: iPXE reads the first register, and takes BAR 2 only if that is of
    /// I/O space (bit 0).
    #[test]
    fn a_physical_function_has_an_io_bar_before_its_registers() {
        let model = model();
        for (index, first, sizes) in [(0, 1, [256, 0, 0x10_0000]), (1, 4, [0x10_0000, 0, 0x4000])] {
            let mut endpoint = model.endpoint(index);
            let mut bar = [0xa5; 4];
            endpoint.read(7, 0x10, &mut bar);
            assert_eq!(u32::from_le_bytes(bar), first, "function {index}");
            let shape = endpoint.shape();
            assert_eq!([0, 1, 2].map(|at| shape.regions[at].as_ref().map_or(0, |region| region.size)), sizes);
        }
    }

    /// A driver that leaves late, when the next one is there, takes nothing away from it.
    #[test]
    fn a_driver_that_leaves_late_leaves_the_next_one_its_memory() {
        let model = model();
        let (_late, server) = UnixStream::pair().unwrap();
        let mut endpoint = model.endpoint(0);
        let session = Session::start(server, &mut endpoint).unwrap();
        // Region 7 is configuration space, 4 the command register: memory and bus master.
        endpoint.write(7, 4, &[6, 0]);
        let adapter = Adapter::from_device(
            Box::new(over_socket(&model, 0).unwrap()),
            Arc::new(VirtualClock::new()),
            AttachOptions::default(),
        );
        let mut adapter = adapter.unwrap();
        session.finish(&mut endpoint);
        adapter.ruleset_version().unwrap();
    }

    #[test]
    fn a_doorbell_to_memory_that_is_not_there_is_survived() {
        let model = model();
        let device = over_socket(&model, 0).unwrap();
        let bar = device.bar();
        for (high, low) in [(0, 0x100_0000), (u32::MAX, 0xffff_fff8), (0, 0)] {
            bar.write32(ef10::MC_DB_LWRD.offset(), high);
            bar.write32(ef10::MC_DB_HWRD.offset(), low);
        }
        assert_eq!(bar.read32(ef10::HW_REV_ID.offset()), ef10::HW_REV_ID_RESET);
        assert_eq!(model.commands_executed(), 0);
    }

    /// One access of a client: region, offset, data to write or a length to read.
    fn access() -> impl Strategy<Value = (u32, u64, Vec<u8>)> {
        let offset = prop_oneof![
            0u64..0x100,
            Just(ef10::MC_DB_LWRD.offset() as u64),
            Just(ef10::MC_DB_HWRD.offset() as u64),
            any::<u64>()
        ];
        let width = prop_oneof![Just(1usize), Just(2), Just(4), Just(8)];
        (0u32..9, offset, width, any::<[u8; 8]>()).prop_map(|(region, offset, width, bytes)| {
            (region, offset - offset % width as u64, bytes[..width].to_vec())
        })
    }

    proptest! {
        #[test]
        fn no_access_panics(accesses in prop::collection::vec(access(), 1..60)) {
            let (_client, server) = UnixStream::pair().unwrap();
            let mut endpoint = model().endpoint(0);
            let session = Session::start(server, &mut endpoint).unwrap();
            let sizes = endpoint.shape().regions.map(|region| region.map_or(0, |region| region.size));
            for (region, offset, mut bytes) in accesses {
                // What the session lets through: inside the region.
                let size = sizes[usize::try_from(region).unwrap()];
                let offset = if size == 0 { continue } else { offset % size };
                endpoint.write(region, offset, &bytes);
                endpoint.read(region, offset, &mut bytes);
            }
            session.finish(&mut endpoint);
        }
    }
}
