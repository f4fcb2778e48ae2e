//! The process that is killed: it attaches by the journal, changes the firewall as it is told, and says each step before and
//! after it is made. Its standard input is one end of a socket, and both ways of the talk go there.
//!
//! It hears: where the adapter and the journal are and when to end itself, three lines; then `change N` and `fatal N`, each a
//! change to document N, the latter with the fuse on. It says `attaching`, `attached N`, `begin N`, `done N`.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use nicfw::Adapter;
use nicfw::adapter::AttachOptions;
use nicfw::clock::SystemClock;
use nicfw::device::Locator;
use nicfw::firewall::{Firewall, Observed, Settings};
use nicfw::journal::{FileStore, Journal};
use nicfw::policy::Document;
use nicfw::tables::Compiled;

use crate::documents;
use crate::fuse::{Fuse, FusedStore, Task};

pub const ADAPTER: &str = "1924:0a03 02:00:00:00:00:01";

/// The machine's own clock, so the grace time really passes; it is short.
pub const SETTINGS: Settings = Settings::new(Duration::from_millis(1), Duration::from_secs(60));

/// The adapter at a vfio-user socket.
pub fn adapter(socket: &str) -> Adapter {
    let device = Locator::VfioUser(socket.into()).open().expect("the adapter is there");
    Adapter::from_device(device, Arc::new(SystemClock::new()), AttachOptions::default()).expect("it is one of ours")
}

fn number_of(document: &Document, documents: &[Document]) -> usize {
    documents.iter().position(|one| one == document).expect("the journal knows documents of this test")
}

pub fn run() {
    let end = std::io::stdin().as_fd().try_clone_to_owned().expect("a socket");
    let mut mouth = File::from(end.try_clone().expect("a socket"));
    let mut ears = BufReader::new(File::from(end)).lines();
    let mut hear = || ears.next().map(|line| line.expect("text"));
    let mut say = |text: String| mouth.write_all(format!("{text}\n").as_bytes()).expect("somebody listens");

    let [socket, journal, fuse] = [(); 3].map(|()| hear().expect("this is started by the other tests"));
    let fuse = Fuse::new((!fuse.is_empty()).then(|| fuse.parse().expect("when to end")));
    let documents = documents();
    let engine = Observed::new(adapter(&socket), fuse.clone());

    say("attaching".to_owned());
    fuse.arm(Task::Attaching, true);
    let store = FusedStore(FileStore::open(&journal).expect("the journal is there"), fuse.clone());
    let journal = Journal::open(Box::new(store), ADAPTER, None).expect("the journal is sound");
    let attached = Firewall::attach(engine, journal, Arc::new(SystemClock::new()), SETTINGS);
    let (mut firewall, _) = attached.unwrap_or_else(|refused| panic!("{}", refused.error));
    fuse.arm(Task::Attaching, false);
    say(format!("attached {}", number_of(firewall.document(), &documents)));

    let mut held = firewall.compiled().expect("it fits").expect("the same compiler");
    while let Some(order) = hear() {
        let (what, number) = order.split_once(' ').expect("an order and a number");
        let number: usize = number.parse().expect("a number");
        let next = Compiled::new(&documents[number], firewall.target(), Some(&held)).expect("it fits");
        let change = firewall.plan(&next, "the next").expect("it fits");
        assert!(change.closed_meanwhile.is_empty(), "there is room enough");
        say(format!("begin {number}"));
        fuse.arm(Task::Changing, what == "fatal");
        firewall.apply(change).unwrap_or_else(|error| panic!("{error}"));
        fuse.arm(Task::Changing, false);
        say(format!("done {number}"));
        held = next;
    }
}
