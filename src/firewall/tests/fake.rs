//! An engine for unit tests: tables as values, and faults by command.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::adapter::{AdapterError, Cmd, McErrno, McdiError, Override, Recovered, RulesetVersion};
use crate::tables::{Action, CounterId, CounterValue, Entry, RuleKey, TableOp, Tables, Target};

use super::super::Engine;

/// What becomes of one table command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Refused with ENOSPC.
    Full,
    /// Not carried out and not answered.
    LostBefore,
    /// Carried out and not answered.
    LostAfter,
    /// The management controller reboots and comes back with rules of its own.
    Reboot,
}

#[derive(Debug)]
pub struct FakeEngine {
    pub target: Target,
    pub tables: Tables,
    /// Table commands so far, those that failed too.
    pub sent: usize,
    pub faults: BTreeMap<usize, Fault>,
    /// The last commands but those of tables.
    pub log: Vec<String>,
    pub counters: Vec<CounterValue>,
    /// What is answered when the hash is asked for next, before true answers: another hash, or nothing, for a refusal.
    pub hashes: VecDeque<Option<RulesetVersion>>,
    poisoned: bool,
    rebooted: bool,
    /// Reboots so far.
    boots: u16,
}

impl FakeEngine {
    /// The management controller reboots and comes back with what `load` makes of the tables.
    pub fn reboot(&mut self, load: impl Fn(&mut Tables)) {
        load(&mut self.tables);
        self.boots += 1;
        self.counters.clear();
    }

    /// Another process attaches.
    pub fn revive(&mut self) {
        (self.poisoned, self.rebooted) = (false, false);
    }

    pub fn new() -> Self {
        let mut tables = Tables::default();
        let foreign = RuleKey { ip_proto: Some(99), ..RuleKey::default() };
        tables.rules.insert(foreign, Entry { rx: Action::Allow { sample: false }, ..Entry::default() });
        Self {
            target: Target::profile0(),
            tables,
            sent: 0,
            faults: BTreeMap::new(),
            log: Vec::new(),
            counters: Vec::new(),
            hashes: VecDeque::new(),
            boots: 0,
            poisoned: false,
            rebooted: false,
        }
    }

    /// The `n`th table command from here on, from 0, meets a fault.
    pub fn fault(&mut self, n: usize, fault: Fault) {
        self.faults.insert(self.sent + n, fault);
    }

    fn lost(&mut self, error: McdiError) -> AdapterError {
        self.poisoned = true;
        error.into()
    }

    fn alive(&self) -> Result<(), AdapterError> {
        if self.poisoned { Err(McdiError::Poisoned { cmd: Cmd::SET_SECURITY_RULE }.into()) } else { Ok(()) }
    }
}

impl Engine for FakeEngine {
    type RecoverError = McdiError;

    fn target(&self) -> &Target {
        &self.target
    }

    fn boot_count(&self) -> Option<u16> {
        Some(self.boots)
    }

    fn execute(&mut self, op: &TableOp) -> Result<(), AdapterError> {
        let cmd = Cmd::SET_SECURITY_RULE;
        self.alive()?;
        self.sent += 1;
        match self.faults.get(&(self.sent - 1)) {
            None => self.tables.apply(op),
            Some(Fault::Full) => return Err(McdiError::Refused { cmd, errno: McErrno::ENOSPC, arg: None }.into()),
            Some(fault) => {
                if *fault == Fault::LostAfter {
                    self.tables.apply(op);
                }
                if *fault == Fault::Reboot {
                    self.tables = Self::new().tables;
                    self.rebooted = true;
                    self.boots += 1;
                    return Err(self.lost(McdiError::Rebooted { cmd }));
                }
                return Err(self.lost(McdiError::Timeout { cmd, after: crate::error::MCDI_TIMEOUT }));
            }
        }
        Ok(())
    }

    fn set_override(&mut self, state: Override) -> Result<(), AdapterError> {
        self.log.push(format!("override {state:?} with {} entries", self.tables.rules.len()));
        self.alive()
    }

    fn reset_rules(&mut self) -> Result<(), AdapterError> {
        self.alive()?;
        self.log.push("reset".to_owned());
        self.tables = Tables::default();
        Ok(())
    }

    fn ruleset_version(&mut self) -> Result<RulesetVersion, AdapterError> {
        self.alive()?;
        match self.hashes.pop_front() {
            Some(Some(version)) => return Ok(version),
            Some(None) => {
                let cmd = Cmd::GET_SECURITY_RULESET_VERSION;
                return Err(McdiError::Refused { cmd, errno: McErrno::EIO, arg: None }.into());
            }
            None => {}
        }
        let Tables { rules, nodes, trees } = &self.tables;
        let mut hasher = DefaultHasher::new();
        format!("{rules:?}{nodes:?}{trees:?}").hash(&mut hasher);
        Ok(RulesetVersion::from_bytes(&hasher.finish().to_le_bytes()))
    }

    fn commit_cache(&mut self) -> Result<(), AdapterError> {
        self.alive()?;
        self.log.push("commit".to_owned());
        Ok(())
    }

    fn alloc_counters(&mut self, count: usize) -> Result<Vec<CounterId>, AdapterError> {
        self.alive()?;
        let first = self.counters.len();
        self.counters.resize(first + count, CounterValue { rx: 1000, tx: 1000 });
        // Pairs have numbers that no image uses.
        Ok((first..first + count).map(|i| CounterId(500 + u32::try_from(i).unwrap())).collect())
    }

    fn reclaim_counters(&mut self) -> Result<(), AdapterError> {
        self.alive()?;
        self.counters.clear();
        Ok(())
    }

    fn read_counters(&mut self, ids: &[CounterId]) -> Result<Vec<CounterValue>, AdapterError> {
        self.alive()?;
        Ok(ids.iter().map(|id| self.counters[id.0 as usize - 500]).collect())
    }

    fn recover(&mut self) -> Result<Recovered, McdiError> {
        self.poisoned = false;
        Ok(Recovered { rebooted: std::mem::take(&mut self.rebooted), target_changed: false })
    }
}
