//! An adapter of its own for one line: the model behind a socket.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nicfw::terms::MacAddr;
use nicfw_model::serve::Listener;
use nicfw_model::{FunctionConfig, Model, ModelConfig};

/// It stops being served on drop.
pub struct Adapter {
    dir: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Adapter {
    pub fn new() -> Self {
        let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
        let dir = tempfile::tempdir().unwrap();
        let listener = Listener::bind(&dir.path().join("nic.sock")).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let server = thread::spawn(move || nicfw_model::serve::serve(&model, 0, &listener, &stopped).unwrap());
        Self { dir, stop, server: Some(server) }
    }

    pub fn device(&self) -> String {
        format!("vfio-user:{}", self.dir.path().join("nic.sock").display())
    }

    /// The same behind somebody who keeps each message for a while.
    pub fn slow(&self) -> String {
        let path = self.dir.path().join("slow.sock");
        let (listener, nic) = (UnixListener::bind(&path).unwrap(), self.dir.path().join("nic.sock"));
        thread::spawn(move || {
            let (Ok((driver, _)), Ok(server)) = (listener.accept(), UnixStream::connect(nic)) else { return };
            let (mut to_driver, mut from_server) = (driver.try_clone().unwrap(), server.try_clone().unwrap());
            // Until one end is gone.
            thread::spawn(move || drop(io::copy(&mut from_server, &mut to_driver)));
            let (mut from, mut to, mut bytes) = (driver, server, [0; 4096]);
            while let Ok(read) = from.read(&mut bytes) {
                thread::sleep(Duration::from_secs(8));
                if read == 0 || to.write_all(&bytes[..read]).is_err() {
                    let _ = to.shutdown(std::net::Shutdown::Both);
                    return;
                }
            }
        });
        format!("vfio-user:{}", path.display())
    }

    pub fn journal(&self) -> PathBuf {
        self.dir.path().join("nic.journal")
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(server) = self.server.take() {
            assert!(server.join().is_ok() || thread::panicking(), "the server panicked");
        }
    }
}
