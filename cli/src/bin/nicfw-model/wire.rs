//! The wire of the emulated adapter: a TAP device, whose other end is a network interface of this machine.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nicfw_model::{Model, Place};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// Longest frame that is taken from the device.
const FRAME_MAX: usize = 16 * 1024;
/// How often the reader looks whether it shall stop.
const LOOK_MS: u8 = 100;

/// A TAP device in the place of a cable.
pub struct Cable(Arc<SyncDevice>);

impl Cable {
    /// Makes the TAP device `name`, or takes one that is there, and sets its interface up.
    ///
    /// # Errors
    /// What the kernel refuses: `/dev/net/tun` must be there, and the process may configure the network.
    pub fn open(name: &str) -> io::Result<Self> {
        let device = DeviceBuilder::new().name(name).layer(Layer::L2).build_sync()?;
        device.set_nonblocking(true)?;
        Ok(Self(Arc::new(device)))
    }

    /// Plugs it into physical port `port`: what leaves there is written to the device. A frame that the device does not
    /// take is lost, as on a wire.
    pub fn plug_into(&self, model: &Model, port: u32) {
        let device = Arc::clone(&self.0);
        model.plug(
            port,
            Box::new(move |frame| {
                if let Err(e) = device.send(frame) {
                    log::debug!("a frame is lost: {e}");
                }
            }),
        );
    }

    /// Carries what comes from the device to physical port `port`, until `stop` is set.
    ///
    /// # Errors
    /// The device cannot be read any more.
    pub fn carry(&self, model: &Model, port: u32, stop: &AtomicBool) -> io::Result<()> {
        let mut frame = vec![0; FRAME_MAX];
        while !stop.load(Ordering::Relaxed) {
            poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], PollTimeout::from(LOOK_MS))?;
            loop {
                match self.0.recv(&mut frame) {
                    Ok(len) => {
                        // A runt is dropped before anything looks at it.
                        let _ = model.carry(Place::Wire(port), frame.get(..len).unwrap_or_default());
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(())
    }
}
