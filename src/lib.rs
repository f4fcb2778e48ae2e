//! Container firewalls in Solarflare EF10 adapters.
//!
//! A container's enterprise IP is bound to rules that the adapter itself judges, frame by frame and in both directions,
//! so that kernel-bypass applications are judged too. A whole program:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use nicfw::Adapter;
//! use nicfw::adapter::AttachOptions;
//! use nicfw::clock::SystemClock;
//! use nicfw::device::Locator;
//! use nicfw::firewall::{AttachError, Leave, Session, SessionState, Settings};
//! use nicfw::journal::{Journal, MemoryStore};
//! use nicfw::policy::Document;
//! use nicfw::tables::Compiled;
//!
//! let device = "0000:65:00.0".parse::<Locator>()?.open()?;
//! let clock = Arc::new(SystemClock::new());
//! let adapter = Adapter::from_device(device, clock.clone(), AttachOptions::default())?;
//! // A program whose successor is to go on from here takes a FileStore.
//! let journal = Journal::open(Box::new(MemoryStore::new()), &adapter.info().identity(), None)?;
//! let mut session = Session::new(adapter, journal, clock, Settings::default());
//!
//! let document = Document::parse("{nicfw: 1, unbound: allow, multicast: deny}", "empty.yaml")?;
//! let compiled = Compiled::new(&document, session.target()?, None)?;
//! match session.resume() {
//!     Ok(recovery) => println!("found: {:?}", recovery.found),
//!     // Whoever is responsible for the adapter decides this: its rules are dropped, all traffic blocked meanwhile.
//!     Err(AttachError::New) => session.adopt(&compiled, "first rules")?,
//!     Err(error) => return Err(error.into()),
//! }
//! session.firewall_mut()?.reserve("shop-1", &["10.30.1.17".parse()?], None, "it comes")?;
//! assert!(session.firewall_mut()?.audit()?.is_sound());
//!
//! let _adapter = session.leave(Leave::Rules, "the program ends")?;
//! assert_eq!(session.state(), SessionState::Closed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where to go next:
//!
//! - [`language`]: what a policy says, key by key. [`policy::Document`] is one that was read, with its questions: `decide`, `lint`,
//!   `openings`, `diff`; [`policy::import`] reads other firewalls' rules.
//! - [`tables::Compiled`]: what an adapter has to hold for it, proved, and what room is left.
//! - [`firewall::Session`]: one life of an adapter with its journal; [`firewall::Firewall`]: plans, changes, reservations,
//!   audits, counters.
//! - [`journal`]: who asked for what and when, and in which file it lies. [`device::Locator`]: which functions can be opened.
//! - `examples/check.rs`, `apply.rs`, `watch.rs`, `embed.rs`: programs to begin with.
//!
//! # The rooms, and the one way that imports run
//!
//! ```text
//! terms -> policy -> tables ---------------------------.
//! error, clock -> bar, dma -> device -> regs -> mcdi -> adapter -> journal -> firewall -> command line, C
//! ```
//!
//! The first way is pure: [`policy`] is the language, [`tables`] compile a document to what an adapter holds, and neither
//! knows a device. The second leads from mapped registers to commands. They meet in [`adapter`]. Without the feature `device`,
//! which is on by default, the first way is left alone.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod clock;
pub mod policy;
pub mod tables;
pub mod terms;
pub mod text;

#[cfg(feature = "device")]
pub mod adapter;
#[cfg(feature = "device")]
pub mod bar;
#[cfg(feature = "device")]
pub mod device;
#[cfg(feature = "device")]
pub mod dma;
#[cfg(feature = "device")]
pub mod error;
#[cfg(feature = "device")]
pub mod file;
#[cfg(feature = "device")]
pub mod firewall;
#[cfg(feature = "device")]
pub mod journal;
// Each twice, as no attribute makes a module public: what is below the face is no promise to those who do not ask for it.
#[cfg(feature = "raw")]
pub mod mcdi;
#[cfg(all(feature = "device", not(feature = "raw")))]
#[expect(dead_code, reason = "messages and fields that only the model and diagnostics read")]
mod mcdi;
#[cfg(feature = "raw")]
pub mod regs;
#[cfg(all(feature = "device", not(feature = "raw")))]
#[expect(dead_code, reason = "registers that only the model and diagnostics reach")]
mod regs;

#[cfg(doc)]
#[doc = include_str!("../docs/policy.md")]
pub mod language {}

#[cfg(feature = "device")]
pub use crate::adapter::Adapter;
#[cfg(feature = "device")]
pub use crate::error::Error;
pub use crate::terms::{Direction, MacAddr, MacAddrError, Verdict};
pub use tables::{
    Action, Assumption, CounterId, CounterValue, EngineProfile, LookupOrder, MapError, MatchFields, PortMap,
    PortRangeId, PortTreeEntry, RuleKey, Sizes, SubnetId, SubnetMap, SubnetNode, TableOp, Target,
};

/// The README's example is compiled and run with the documentation tests. It needs the model, and so `raw`.
#[cfg(all(doctest, feature = "raw"))]
#[doc = include_str!("../README.md")]
struct Readme;
