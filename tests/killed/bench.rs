//! An adapter that outlives the processes that change it: the model, served in this process, and one child at a time.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nicfw::clock::SystemClock;
use nicfw::firewall::{Adopt, Firewall};
use nicfw::journal::{FileStore, Journal};
use nicfw::tables::Compiled;
use nicfw::terms::MacAddr;
use nicfw_model::serve::Listener;
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::documents;
use crate::fuse::When;
use crate::load::{self, Load};
use crate::process::{ADAPTER, SETTINGS, adapter};
use crate::watch::Watch;

/// Between two looks the adapter is left alone for so long, unless the process says something.
const BREATH: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000 };
/// A process that says nothing for so long says nothing any more.
const PATIENCE: Duration = Duration::from_secs(120);

/// A function of the model behind a socket, in a folder that goes with it.
struct Served {
    dir: PathBuf,
    stop: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Served {
    fn new(model: &Model, name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("nicfw-killed-{name}-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let listener = Listener::bind(&dir.join("nic.sock")).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (model, stopped) = (model.clone(), stop.clone());
        let server = thread::spawn(move || nicfw_model::serve::serve(&model, 0, &listener, &stopped).unwrap());
        Self { dir, stop, server: Some(server) }
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.server.take().map(JoinHandle::join);
        assert!(ended.is_some_and(|ended| ended.is_ok()) || thread::panicking(), "the server panicked");
        // What cannot be removed is somebody else's temporary file.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A process, and this end of the socket that is its standard input.
struct Process {
    child: Child,
    line: UnixStream,
    /// The beginning of a line.
    rest: Vec<u8>,
    ended: bool,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, or this test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Hands over each line that the process has said so far.
    fn hear(&mut self, mut heard: impl FnMut(&str)) {
        let mut bytes = [0; 4096];
        while !self.ended {
            match self.line.read(&mut bytes) {
                Ok(0) => self.ended = true,
                Ok(len) => self.rest.extend(&bytes[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Its last order was not read.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.ended = true,
                Err(error) => panic!("{error}"),
            }
        }
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            heard(std::str::from_utf8(&line[..end]).expect("text"));
        }
    }
}

/// The adapter, the oracle, and the process of the hour.
pub struct Bench {
    process: Option<Process>,
    pub watch: Watch,
    model: Model,
    served: Served,
}

impl Bench {
    /// An adapter that was adopted with the first document.
    pub fn new(name: &str, seed: u64) -> Self {
        let mut functions = vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))];
        functions.extend(load::functions());
        let model = Model::new(ModelConfig::new(functions));
        let served = Served::new(&model, name);
        let documents = documents();
        let journal = FileStore::open(served.path("nic.journal")).unwrap();
        let journal = Journal::open(Box::new(journal), ADAPTER, None).unwrap();
        let adapter = adapter(&served.path("nic.sock"));
        let first = Compiled::new(&documents[0], adapter.target(), None).unwrap();
        let adopt = Adopt::of(&first).journal(journal).why("the beginning");
        Firewall::adopt(adapter, adopt, Arc::new(SystemClock::new()), SETTINGS).unwrap().detach();
        let mut watch = Watch::new(model.clone(), &documents, seed);
        watch.look_at_all();
        Self { process: None, watch, model, served }
    }

    /// Frames that go through the adapter from here on.
    pub fn load(&self) -> Load {
        Load::start(&self.model)
    }

    /// Starts a process, which ends itself there.
    pub fn start(&mut self, fuse: Option<When>) -> u32 {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["the_process_that_is_killed", "--exact", "--ignored", "--nocapture"]);
        let child = command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        self.watch.starts();
        self.process = Some(Process { child, line: ours, rest: Vec::new(), ended: false });
        let fuse = fuse.map(|when| when.to_string()).unwrap_or_default();
        self.tell(&format!("{}\n{}\n{fuse}", self.served.path("nic.sock"), self.served.path("nic.journal")));
        pid
    }

    /// Tells the process something.
    pub fn tell(&mut self, text: &str) {
        let process = self.process.as_mut().expect("a process");
        process.line.write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    /// Looks at the adapter again and again until that is so. False if the process has ended before.
    pub fn until(&mut self, so: impl Fn(&Watch) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let process = self.process.as_mut().expect("a process");
            self.watch.look(|watch| process.hear(|line| watch.heard(line)));
            if so(&self.watch) {
                return true;
            }
            if process.ended {
                return false;
            }
            assert!(Instant::now() < deadline, "the process is silent");
            poll(&mut [PollFd::new(&process.line, PollFlags::IN)], Some(&BREATH)).unwrap();
        }
    }

    /// Until the process has attached; what it found is there, judgement by judgement.
    pub fn attaches(&mut self) -> bool {
        let attached = self.watch.attached;
        let there = self.until(|watch| watch.attached > attached);
        if there {
            self.watch.look_at_all();
        }
        there
    }

    /// Has the process change to a document. False if it has ended before it said that it is done.
    pub fn changes(&mut self, order: &str, document: usize) -> bool {
        let done = self.watch.acknowledged;
        self.tell(&format!("{order} {document}"));
        let done = self.until(|watch| watch.acknowledged > done);
        if done {
            self.watch.look_at_all();
        }
        done
    }

    /// Waits until the process is dead, by SIGKILL, and looks at what it left.
    pub fn buries(&mut self) {
        let mut process = self.process.take().expect("a process");
        let status = process.child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{status}");
        process.hear(|line| self.watch.heard(line));
        self.watch.look_at_all();
    }

    /// The process has no more to do, and ends by itself.
    pub fn dismiss(&mut self) {
        let mut process = self.process.take().expect("a process");
        process.line.shutdown(std::net::Shutdown::Write).unwrap();
        let status = process.child.wait().unwrap();
        assert!(status.success(), "{status}");
        self.watch.look_at_all();
    }
}
