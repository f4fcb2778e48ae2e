//! The model, served in this process, and the program as its client.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nicfw::terms::{Direction, MacAddr, Verdict};
use nicfw_model::serve::Listener;
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use serde_json::Value;

use crate::common::{Ran, program};

pub const SHOP: &str = "cli/demo/shop.yaml";

/// An adapter behind a socket. It stops being served on drop.
pub struct Served {
    pub model: Model,
    socket: PathBuf,
    stop: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl Served {
    pub fn new() -> Self {
        Self::of(|_| {})
    }

    pub fn of(change: fn(&mut ModelConfig)) -> Self {
        let mut config = ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]);
        change(&mut config);
        let model = Model::new(config);
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("nic.sock");
        let listener = Listener::bind(&socket).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (served, stopped) = (model.clone(), Arc::clone(&stop));
        let server = thread::spawn(move || nicfw_model::serve::serve(&served, 0, &listener, &stopped).unwrap());
        Self { model, socket, stop, server: Some(server), _dir: dir }
    }

    pub fn device(&self) -> String {
        format!("vfio-user:{}", self.socket.display())
    }

    /// Runs a command on it, and puts a fixed name in the place of the socket's.
    pub fn nicfw(&self, arguments: &[&str]) -> Ran {
        let mut ran = Ran::from(self.program(arguments).output().unwrap());
        for text in [&mut ran.stdout, &mut ran.stderr] {
            *text = text.replace(&self.device(), "vfio-user:/run/nic.sock");
            *text = text.replace(&self.journal().display().to_string(), "/var/lib/nicfw/nic.journal");
        }
        ran
    }

    /// The program with its arguments, the adapter's journal and its function.
    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut command = program(&[arguments, &["--device", &self.device()]].concat());
        command.env("NICFW_JOURNAL", self.journal());
        command
    }

    pub fn journal(&self) -> PathBuf {
        self.socket.with_file_name("nic.journal")
    }

    #[track_caller]
    pub fn done(&self, arguments: &[&str]) -> String {
        let ran = self.nicfw(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
        ran.stdout
    }

    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[arguments, &["--json"]].concat())).unwrap()
    }

    pub fn apply(&self) -> Ran {
        self.nicfw(&["apply", SHOP, "--adopt", "--reason", "CHG-1042"])
    }

    /// Of a TCP segment from the office to a port of shop-1.
    pub fn verdict(&self, port: u16) -> Verdict {
        let mut frame = vec![2, 0, 0x0a, 0x1e, 1, 0x11, 2, 0, 0, 0, 0, 9, 0x08, 0x00];
        frame.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 20, 3, 4, 10, 30, 1, 17]);
        frame.extend([0xc7, 0x38]);
        frame.extend(port.to_be_bytes());
        frame.resize(60, 0);
        self.model.judge(&frame, Direction::Rx, 0).unwrap().verdict
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(server) = self.server.take() {
            let ended = server.join();
            assert!(ended.is_ok() || thread::panicking(), "the server panicked");
        }
    }
}

/// A text with `VERSION` in the place of each hash.
pub fn without_versions(text: &str) -> String {
    let hash = |word: &str| word.len() >= 16 && word.chars().all(|c| c.is_ascii_hexdigit());
    let pieces = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let piece = |piece: &str| {
        let word = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if hash(word) { piece.replace(word, "VERSION") } else { piece.to_owned() }
    };
    pieces.map(piece).collect()
}
