//! One life of an adapter with its journal: which states it goes through, and what each failure leaves.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use nicfw::adapter::{AdapterError, AttachOptions, McdiError};
use nicfw::clock::VirtualClock;
use nicfw::error::AdapterState;
use nicfw::firewall::{
    AdoptError, ApplyCause, AttachError, Call, Found, Leave, LeaveError, Observed, Observer, Session, SessionError,
    SessionState, Settings,
};
use nicfw::journal::{self, FileStore, Journal, Left, MemoryStore};
use nicfw::mcdi::wire::McErrno;
use nicfw::policy::Document;
use nicfw::tables::{Compiled, Target};
use nicfw::{Adapter, MacAddr};
use nicfw_model::fault::{Fault, FaultKind};
use nicfw_model::{FunctionConfig, Model, ModelConfig, Place};

const SHOP: &str = r#"
nicfw: 1
unbound: allow
multicast: deny
policies:
  web: [{allow: in, proto: tcp, local_ports: 443}]
bindings:
  - {container: shop-1, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: sriov, policy: web}
"#;
const EMPTY: &str = "{nicfw: 1, unbound: allow, multicast: deny}";

struct Host {
    model: Model,
    store: MemoryStore,
    clock: Arc<VirtualClock>,
}

impl Host {
    fn new() -> Self {
        let functions = [1, 2].map(|last| FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, last])));
        let model = Model::new(ModelConfig::new(functions.to_vec()));
        Self { model, store: MemoryStore::new(), clock: Arc::new(VirtualClock::new()) }
    }

    fn adapter(&self) -> Adapter {
        Adapter::from_device(Box::new(self.model.function(0)), self.clock.clone(), AttachOptions::default()).unwrap()
    }

    fn open(&self) -> Session<Adapter> {
        let adapter = self.adapter();
        let journal = Journal::open(Box::new(self.store.clone()), &adapter.info().identity(), None).unwrap();
        Session::new(adapter, journal, self.clock.clone(), Settings::default())
    }

    fn refuse(&self, after: u32) {
        self.model.inject(Fault { cmd: None, after, kind: FaultKind::Error(McErrno::EIO) });
    }

    /// Whether TCP to the shop's port 80, which nothing allows, reaches it.
    fn is_open(&self) -> bool {
        let frame = [
            &[2, 0, 0, 0, 0, 1][..],
            &[2, 9, 9, 9, 9, 9, 8, 0],
            &[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 20, 0, 1, 10, 30, 1, 17],
            &[0x9c, 0x40, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0],
        ]
        .concat();
        !self.model.carry(Place::Wire(0), &frame).unwrap().delivered.is_empty()
    }
}

fn compiled(text: &str, session: &Session<Adapter>) -> Compiled {
    Compiled::new(&Document::parse(text, "test.yaml").unwrap(), session.target().unwrap(), None).unwrap()
}

#[test]
fn a_life_from_opening_to_leaving_and_the_next_one() {
    let host = Host::new();
    let mut session = host.open();
    assert_eq!(session.state(), SessionState::Opened);
    assert_eq!(session.firewall().unwrap_err(), SessionError::NotRunning);
    assert!(matches!(session.resume(), Err(AttachError::New)), "no record says what the adapter holds");
    assert_eq!((session.state(), session.recovery()), (SessionState::Opened, None));
    session.adopt(&compiled(SHOP, &session), "first rules").unwrap();
    assert_eq!(session.state(), SessionState::Running);
    assert!(!host.is_open());
    session.firewall_mut().unwrap().reserve("shop-2", &["10.30.1.18".parse().unwrap()], None, "it comes").unwrap();
    session.leave(Leave::Rules, "the program ends").unwrap().detach().unwrap();
    assert_eq!(session.state(), SessionState::Closed);
    assert_eq!(session.firewall_mut().unwrap_err(), SessionError::Closed);
    assert!(matches!(session.resume(), Err(AttachError::Session(SessionError::Closed))));
    assert!(session.close().is_none());

    let mut next = host.open();
    assert_eq!(next.resume().unwrap().found, Found::Same);
    assert_eq!(next.recovery().unwrap().found, Found::Same);
    let reserved: Vec<_> = next.firewall().unwrap().reserved().map(|(who, _)| who.to_owned()).collect();
    assert_eq!(reserved, ["shop-2"]);
    assert!(next.firewall_mut().unwrap().audit().unwrap().is_sound());
}

/// A journal in memory would otherwise hide it: what was bound opens by nothing but its release.
#[test]
fn an_adapter_that_is_taken_over_again_opens_nothing_that_was_closed() {
    let host = Host::new();
    let mut session = host.open();
    session.adopt(&compiled(SHOP, &session), "first rules").unwrap();
    session.adopt(&compiled(EMPTY, &session), "others").unwrap();
    assert!(!host.is_open(), "shop-1 was bound, and may still run");
    session.firewall_mut().unwrap().release("shop-1", "it is gone").unwrap().unwrap();
    assert!(host.is_open());
}

#[test]
fn a_plan_is_good_for_the_firewall_that_made_it() {
    let (host, other) = (Host::new(), Host::new());
    let (mut session, mut beside) = (host.open(), other.open());
    let (empty, shop) = (compiled(EMPTY, &session), compiled(SHOP, &session));
    session.adopt(&empty, "first").unwrap();
    beside.adopt(&empty, "first").unwrap();
    let plan = session.firewall().unwrap().plan(&shop, "shop").unwrap();
    let commands = other.model.commands_executed();
    let error = beside.firewall_mut().unwrap().apply(plan.clone()).unwrap_err();
    assert!(matches!(error.cause, ApplyCause::Elsewhere), "{error:?}");
    assert_eq!((error.state, other.model.commands_executed()), (AdapterState::Unchanged, commands));
    session.adopt(&empty, "again").unwrap();
    let error = session.firewall_mut().unwrap().apply(plan).unwrap_err();
    assert!(matches!(error.cause, ApplyCause::Elsewhere), "{error:?}");
}

#[test]
fn an_adoption_that_fails_can_be_tried_again() {
    let host = Host::new();
    let mut session = host.open();
    let shop = compiled(SHOP, &session);
    session.adopt(&shop, "first rules").unwrap();
    let foreign = Compiled::new(shop.document(), &small(), None).unwrap();
    assert!(matches!(session.adopt(&foreign, "no"), Err(AdoptError::Target)));
    assert_eq!(session.state(), SessionState::Running, "nothing was done");
    host.refuse(4);
    let error = session.adopt(&shop, "again").unwrap_err();
    assert!(matches!(error, AdoptError::Command { blocked: true, .. }), "{error:?}");
    assert_eq!(session.state(), SessionState::Opened);
    assert_eq!(session.firewall().unwrap_err(), SessionError::NotRunning);
    let recovery = session.resume().unwrap();
    assert!(matches!(recovery.found, Found::HalfAdopted { .. }), "{recovery:?}");
    assert!(session.firewall_mut().unwrap().audit().unwrap().is_sound());
}

/// An engine that breaks at its first command.
struct Breaks;

impl Observer for Breaks {
    fn around<T, X: From<McdiError>>(&mut self, _: Call<'_>, _: impl FnOnce() -> Result<T, X>) -> Result<T, X> {
        panic!("it breaks")
    }
}

#[test]
fn a_panic_in_the_middle_of_a_change_of_hands_loses_the_adapter_and_is_told() {
    let host = Host::new();
    let shop = compiled(SHOP, &host.open());
    let engine = Observed::new(host.adapter(), Breaks);
    let mut session = Session::new(engine, Journal::in_memory(), host.clock.clone(), Settings::default());
    assert!(catch_unwind(AssertUnwindSafe(|| session.adopt(&shop, "first rules"))).is_err());
    assert_eq!(session.state(), SessionState::Lost);
    assert!(matches!(session.adopt(&shop, "again"), Err(AdoptError::Session(SessionError::Lost))));
    assert_eq!(session.firewall().unwrap_err(), SessionError::Lost);
    assert!(session.close().is_none());
    assert_eq!(session.state(), SessionState::Closed);
}

fn small() -> Target {
    let mut target = Target::profile0();
    target.sizes.subnet_nodes = 8;
    target
}

#[test]
fn what_an_adapter_is_left_like_is_written_down_before() {
    for (how, noted, open) in [(Leave::Blocked, Left::Blocked, false), (Leave::Empty, Left::Empty, true)] {
        let host = Host::new();
        let mut session = host.open();
        session.adopt(&compiled(SHOP, &session), "first rules").unwrap();
        session.leave(how, "INC-7").unwrap();
        assert_eq!(host.is_open(), open, "{how:?}");
        let mut next = host.open();
        let error = next.resume().unwrap_err();
        let AttachError::Left { how: said, why, .. } = &error else { panic!("{error:?}") };
        assert_eq!((*said, why.reason.as_str()), (noted, "INC-7"));
        next.repair("the incident is over").unwrap();
        assert!(!host.is_open(), "the journal's rules are back");
    }
}

/// Commands of [`Leave::Empty`]: block, drop, commit, unblock.
#[test]
fn an_adapter_that_cannot_be_left_as_told_stays_in_hand_and_says_whether_it_is_blocked() {
    for (command, blocks) in [(0, false), (1, true), (2, true), (3, true)] {
        let host = Host::new();
        let mut session = host.open();
        session.adopt(&compiled(SHOP, &session), "first rules").unwrap();
        host.refuse(command);
        let error = session.leave(Leave::Empty, "INC-7").unwrap_err();
        let LeaveError::Command { blocked, source: AdapterError::Command(_) } = &error else { panic!("{error:?}") };
        assert_eq!((*blocked, host.is_open()), (blocks, false), "command {command}");
        let outlook = if blocks { "it drops all traffic" } else { "it is unchanged" };
        assert_eq!(error.to_string(), format!("the adapter could not be left as told; {outlook}"));
        assert_eq!(session.state(), SessionState::Opened);
        session.leave(Leave::Empty, "INC-7, again").unwrap();
        assert!(host.is_open());
    }
}

#[test]
fn a_journal_that_takes_no_record_lets_nobody_leave_otherwise() {
    let host = Host::new();
    let mut session = host.open();
    session.adopt(&compiled(SHOP, &session), "first rules").unwrap();
    let commands = host.model.commands_executed();
    host.store.clone().fail(0, journal::Fault::Fails(std::io::ErrorKind::StorageFull));
    let error = session.leave(Leave::Empty, "INC-7").unwrap_err();
    assert!(matches!(error, LeaveError::Journal(_)), "{error:?}");
    assert_eq!(host.model.commands_executed(), commands, "nothing was sent");
    assert_eq!(session.resume().unwrap().found, Found::Same, "its rules decide");
}

#[test]
fn looking_writes_and_sends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (host, file) = (Host::new(), dir.path().join("nic.journal"));
    let adapter = host.adapter();
    let journal = Journal::open(Box::new(FileStore::open(&file).unwrap()), &adapter.info().identity(), None).unwrap();
    let mut session = Session::new(adapter, journal, host.clock.clone(), Settings::default());
    session.adopt(&compiled(SHOP, &session), "first rules").unwrap();
    assert!(session.look().unwrap().audit.is_sound());
    drop(session.close());
    let written = std::fs::read(&file).unwrap();
    let journal = Journal::read(Box::new(FileStore::read(&file).unwrap()), None).unwrap();
    let mut session = Session::new(host.adapter(), journal, host.clock.clone(), Settings::default());
    host.clock.advance(Duration::from_secs(1));
    let look = session.look().unwrap();
    assert!(look.audit.is_sound() && look.unfinished.is_none() && !look.late);
    assert_eq!(session.state(), SessionState::Opened);
    assert_eq!(std::fs::read(&file).unwrap(), written);
}

#[test]
fn foreign_rules_are_noted_once() {
    let host = Host::new();
    let mut session = host.open();
    session.adopt(&compiled(SHOP, &session), "first rules").unwrap();
    session.engine().unwrap().reset_rules().unwrap();
    drop(session.close());
    let mut session = host.open();
    let error = session.resume().unwrap_err();
    assert!(matches!(error, AttachError::Foreign { .. }), "{error:?}");
    assert!(session.journal().unwrap().status().drift.is_none());
    session.note_drift(&error).unwrap();
    let head = session.journal().unwrap().head();
    session.note_drift(&error).unwrap();
    assert_eq!(session.journal().unwrap().head(), head, "it is known");
    assert!(session.journal().unwrap().status().drift.is_some());
    session.repair("put right").unwrap();
    assert!(!host.is_open());
}
