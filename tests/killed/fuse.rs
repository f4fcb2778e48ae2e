//! A process that ends itself with SIGKILL at a call that was chosen before: of its journal's file, or of its adapter.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::{fmt, io};

use nicfw::adapter::McdiError;
use nicfw::firewall::Observer;
use nicfw::journal::{FileStore, Head, Store};
use rustix::process::{Signal, getpid, kill_process};

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Append,
    Sync,
    /// The adapter: a command, with all its doorbells.
    Engine,
}

/// Where in the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Before,
    /// With half of the bytes in the file.
    Within,
    After,
}

/// What the process does meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Attaching,
    Changing,
}

/// When the process ends itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    pub task: Task,
    pub call: Call,
    /// Among the calls of this kind during the task, from 0.
    pub number: u64,
    pub place: Place,
}

const CALLS: [Call; 3] = [Call::Append, Call::Sync, Call::Engine];
const PLACES: [Place; 3] = [Place::Before, Place::Within, Place::After];
const TASKS: [Task; 2] = [Task::Attaching, Task::Changing];

/// Every place of every kind of call. Only the writing of bytes has an inside that is seen from outside.
pub fn places() -> impl Iterator<Item = (Call, Place)> {
    let all = CALLS.into_iter().flat_map(|call| PLACES.map(|place| (call, place)));
    all.filter(|(call, place)| *place != Place::Within || *call == Call::Append)
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} {} {:?}", self.task, self.call, self.number, self.place)
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        fn named<T: fmt::Debug + Copy>(all: &[T], name: &str) -> Option<T> {
            all.iter().find(|one| format!("{one:?}") == name).copied()
        }
        let words: Vec<&str> = text.split(' ').collect();
        let [task, call, number, place] = words[..] else { return Err(text.to_owned()) };
        let (task, call, place) = (named(&TASKS, task), named(&CALLS, call), named(&PLACES, place));
        let (Some(task), Some(call), Some(place), Ok(number)) = (task, call, place, number.parse()) else {
            return Err(text.to_owned());
        };
        Ok(Self { task, call, number, place })
    }
}

/// Counts the calls. Clones share the count.
#[derive(Debug, Clone)]
pub struct Fuse(Option<Arc<Armed>>);

#[derive(Debug)]
struct Armed {
    when: When,
    on: AtomicBool,
    seen: AtomicU64,
}

impl Fuse {
    pub fn new(when: Option<When>) -> Self {
        Self(when.map(|when| Arc::new(Armed { when, on: AtomicBool::new(false), seen: AtomicU64::new(0) })))
    }

    /// The task begins or ends.
    pub fn arm(&self, task: Task, on: bool) {
        if let Some(armed) = self.0.as_ref().filter(|armed| armed.when.task == task) {
            armed.on.store(on, Ordering::Relaxed);
        }
    }

    fn burn<T>(&self, call: Call, within: impl FnOnce(&When), work: impl FnOnce() -> T) -> T {
        let armed = self.0.as_ref().filter(|armed| armed.when.call == call && armed.on.load(Ordering::Relaxed));
        let Some(armed) = armed else { return work() };
        if armed.seen.fetch_add(1, Ordering::Relaxed) != armed.when.number {
            return work();
        }
        if armed.when.place == Place::Before {
            die();
        }
        within(&armed.when);
        let out = work();
        die();
        // Not reached.
        out
    }
}

/// Ends this process as `kill -9` does.
fn die() {
    kill_process(getpid(), Signal::KILL).expect("a process may end itself");
    loop {
        std::thread::park();
    }
}

/// A journal's file.
pub struct FusedStore(pub FileStore, pub Fuse);

impl Store for FusedStore {
    fn len(&mut self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_at(at, into)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Self(file, fuse) = self;
        let file = std::cell::RefCell::new(file);
        let within = |when: &When| {
            if when.place == Place::Within {
                file.borrow_mut().append(&bytes[..bytes.len() / 2]).expect("the file takes them");
                die();
            }
        };
        fuse.burn(Call::Append, within, || file.borrow_mut().append(bytes))
    }

    fn sync(&mut self) -> io::Result<()> {
        let Self(file, fuse) = self;
        fuse.burn(Call::Sync, |_| {}, || file.sync())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }

    fn remember(&mut self, head: &Head) -> io::Result<()> {
        self.0.remember(head)
    }

    fn remembered(&mut self) -> io::Result<Option<Head>> {
        self.0.remembered()
    }
}

impl Observer for Fuse {
    fn around<T, X: From<McdiError>>(
        &mut self,
        _: nicfw::firewall::Call<'_>,
        work: impl FnOnce() -> Result<T, X>,
    ) -> Result<T, X> {
        self.burn(Call::Engine, |_| {}, work)
    }
}
