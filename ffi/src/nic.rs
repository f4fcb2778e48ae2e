//! What stands behind an adapter handle: a session with the adapter, with a journal that ends with the handle.

use std::result::Result;
use std::sync::{Arc, Mutex};

use nicfw::adapter::{AdapterInfo, AttachOptions, McdiError};
use nicfw::clock::{Clock, SystemClock};
use nicfw::device::Device;
use nicfw::firewall::{
    Call, Change, Firewall, Leave, LeaveError, Observed, Observer, Report, Session, SessionError, Settings,
};
use nicfw::journal::Journal;
use nicfw::policy::Document;
use nicfw::tables::Compiled;
use nicfw::{Adapter, Target};

use crate::failure::Failure;
use crate::handle::Handle;
use crate::items::{self, Item};
use crate::nicfw_code::NICFW_E_NOT_FOUND;
use crate::progress::Progress;
use crate::{nicfw_adapter, nicfw_leave, nicfw_plan};

/// An adapter behind a handle.
pub struct Nic {
    session: Session<Watched>,
    /// What was adopted or applied last.
    compiled: Option<Arc<Compiled>>,
}

impl Handle for nicfw_adapter {
    type Shared = Arc<Mutex<Nic>>;
}

/// A plan, and what it was made of.
pub struct HeldPlan {
    pub change: Change,
    compiled: Arc<Compiled>,
}

impl Handle for nicfw_plan {
    type Shared = Arc<HeldPlan>;
}

impl Nic {
    pub fn attach(device: Box<dyn Device>, options: AttachOptions, settings: Settings) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let adapter = Adapter::from_device(device, clock.clone(), options)?;
        let watched = Observed::new(adapter, Watch::default());
        Ok(Self { session: Session::new(watched, Journal::in_memory(), clock, settings), compiled: None })
    }

    pub fn adapter(&mut self) -> Result<&mut Adapter, Failure> {
        Ok(&mut self.session.engine()?.engine)
    }

    pub fn info(&mut self) -> Result<AdapterInfo, Failure> {
        self.adapter().map(|adapter| adapter.info().clone())
    }

    pub fn target(&self) -> Result<Target, Failure> {
        Ok(self.session.target()?.clone())
    }

    /// Entries that the rule table holds by this handle; `None` before a policy is adopted.
    pub fn entries(&self) -> Option<usize> {
        self.session.firewall().ok().map(|firewall| firewall.image().rules.len())
    }

    pub fn firewall(&mut self) -> Result<&mut Firewall<Watched>, Failure> {
        Ok(self.session.firewall_mut()?)
    }

    /// Takes over the adapter, or takes it over again.
    pub fn adopt(&mut self, compiled: Arc<Compiled>) -> Result<(), Failure> {
        self.session.adopt(&compiled, "nicfw_adapter_adopt")?;
        self.compiled = Some(compiled);
        Ok(())
    }

    pub fn plan(&self, compiled: Arc<Compiled>, reason: &str) -> Result<HeldPlan, Failure> {
        let change = self.session.firewall()?.plan(&compiled, reason)?;
        Ok(HeldPlan { change, compiled })
    }

    pub fn apply(&mut self, plan: &HeldPlan, progress: Option<Progress>) -> Result<Report, Failure> {
        let firewall = self.firewall()?;
        firewall.engine().observer.progress = progress;
        let result = firewall.apply(plan.change.clone());
        firewall.engine().observer.progress = None;
        let report = result?;
        self.compiled = Some(plan.compiled.clone());
        Ok(report)
    }

    pub fn release(&mut self, container: &str) -> Result<(), Failure> {
        if self.firewall()?.release(container, "nicfw_adapter_release")?.is_some() {
            return Ok(());
        }
        let text =
            format!("no addresses are kept closed for {container}: the policy binds it, or nobody reserved them");
        Err(Failure::new(NICFW_E_NOT_FOUND, text).at(container))
    }

    pub fn counters(&mut self) -> Result<Vec<Item>, Failure> {
        let firewall = self.firewall()?;
        let counts = firewall.counters()?;
        Ok(counts.iter().map(|count| items::count(count, firewall)).collect())
    }

    pub fn containers(&self) -> Result<Vec<Item>, Failure> {
        let firewall = self.session.firewall()?;
        let document = firewall.document();
        let bound = document.bindings.iter().map(|binding| items::binding(document, binding));
        Ok(bound.chain(firewall.reserved().map(items::reserved)).collect())
    }

    pub fn document(&self) -> Result<Document, Failure> {
        Ok(self.session.firewall()?.document().clone())
    }

    /// What was adopted or applied last.
    pub fn compiled(&self) -> Result<Arc<Compiled>, Failure> {
        self.session.firewall()?;
        self.compiled.clone().ok_or_else(|| SessionError::NotRunning.into())
    }

    /// Lets go of the adapter, whatever is returned.
    pub fn close(&mut self, leave: nicfw_leave) -> Result<(), Failure> {
        let how = match leave {
            nicfw_leave::NICFW_LEAVE_RULES => Leave::Rules,
            nicfw_leave::NICFW_LEAVE_BLOCKED => Leave::Blocked,
            nicfw_leave::NICFW_LEAVE_EMPTY => Leave::Empty,
        };
        match self.session.leave(how, "nicfw_adapter_close") {
            Ok(watched) => Ok(watched.engine.detach()?),
            // There is nothing to let go of.
            Err(LeaveError::Session(_)) => Ok(()),
            Err(error) => {
                drop(self.session.close());
                Err(error.into())
            }
        }
    }
}

/// An adapter that tells of each command of a change.
pub type Watched = Observed<Adapter, Watch>;

/// Tells of the commands of a change, as long as there is one.
#[derive(Default)]
pub struct Watch {
    progress: Option<Progress>,
}

impl Observer for Watch {
    fn around<T, X: From<McdiError>>(&mut self, call: Call<'_>, work: impl FnOnce() -> Result<T, X>) -> Result<T, X> {
        let outcome = work();
        if matches!(call, Call::Execute(_)) {
            match &mut self.progress {
                Some(progress) if outcome.is_ok() => progress.step(),
                // What follows takes steps back.
                _ => self.progress = None,
            }
        }
        outcome
    }
}
