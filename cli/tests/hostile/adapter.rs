//! An adapter of its own for one line: the model behind a socket.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nicfw::device::vfio_user::server::Listener;
use nicfw::tables::MacAddr;
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
