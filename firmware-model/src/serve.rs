//! The model's functions behind vfio-user sockets: for `nicfw` without QEMU, and for QEMU itself.
//!
//! One socket is one function; a driver that leaves and comes back finds the function as it was. Each socket is served by
//! a thread of its own, so that a client that misbehaves holds up nobody else.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use log::{info, warn};
use nicfw::device::vfio_user::server::{Function, Listener, Session};
use nicfw::device::vfio_user::socket::SocketError;
use nicfw::device::vfio_user::{VfioUser, VfioUserError};

use crate::Model;

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
            Ok(()) => info!("function {index}: the client has left"),
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
