//! What stands behind an adapter handle: the adapter alone until a policy is adopted, its firewall from then on.

use std::result::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nicfw::adapter::{AdapterInfo, AttachOptions, McdiError, Override};
use nicfw::clock::{Clock, SystemClock};
use nicfw::device::Device;
use nicfw::firewall::{Adopt, Call, Change, Firewall, Observed, Observer, Report, Settings};
use nicfw::policy::Document;
use nicfw::tables::Compiled;
use nicfw::{Adapter, Target};

use crate::change::Progress;
use crate::failure::Failure;
use crate::items::{self, Item};
use crate::nicfw_code::{NICFW_E_HANDLE, NICFW_E_NOT_FOUND, NICFW_E_ORDER, NICFW_E_STALE};
use crate::nicfw_leave;

/// An adapter behind a handle.
pub struct Nic {
    state: State,
    clock: Arc<dyn Clock>,
    settings: Settings,
    /// Tells plans for this handle from plans for others.
    id: u64,
    /// What was adopted or applied last.
    compiled: Option<Arc<Compiled>>,
}

enum State {
    Attached(Box<Watched>),
    Running(Box<Firewall<Watched>>),
    /// Taking over has failed and took the adapter with it.
    Lost,
    /// The handle was closed while somebody waited for the adapter.
    Closed,
}

/// A plan, and whose it is.
pub struct HeldPlan {
    pub change: Change,
    compiled: Arc<Compiled>,
    nic: u64,
}

fn not_adopted() -> Failure {
    Failure::new(NICFW_E_ORDER, "no policy was adopted yet: nicfw_adapter_adopt comes first")
}

fn closed() -> Failure {
    Failure::new(NICFW_E_HANDLE, "the handle of the adapter was closed meanwhile")
}

fn lost() -> Failure {
    Failure::new(
        NICFW_E_ORDER,
        "taking over the adapter has failed: close the handle, open the adapter and adopt again",
    )
}

impl Nic {
    pub fn attach(device: Box<dyn Device>, options: AttachOptions, settings: Settings) -> Result<Self, Failure> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let adapter = Adapter::from_device(device, clock.clone(), options)?;
        let state = State::Attached(Box::new(Observed::new(adapter, Watch::default())));
        Ok(Self { state, clock, settings, id: NEXT.fetch_add(1, Ordering::Relaxed), compiled: None })
    }

    fn watched(&mut self) -> Result<&mut Watched, Failure> {
        match &mut self.state {
            State::Attached(watched) => Ok(watched),
            State::Running(firewall) => Ok(firewall.engine()),
            State::Lost => Err(lost()),
            State::Closed => Err(closed()),
        }
    }

    pub fn adapter(&mut self) -> Result<&mut Adapter, Failure> {
        self.watched().map(|watched| &mut watched.engine)
    }

    pub fn info(&mut self) -> Result<AdapterInfo, Failure> {
        self.adapter().map(|adapter| adapter.info().clone())
    }

    pub fn target(&mut self) -> Result<Target, Failure> {
        self.adapter().map(|adapter| adapter.target().clone())
    }

    /// Entries that the rule table holds by this handle; `None` before a policy is adopted.
    pub fn entries(&self) -> Option<usize> {
        if let State::Running(firewall) = &self.state { Some(firewall.image().rules.len()) } else { None }
    }

    pub fn firewall(&mut self) -> Result<&mut Firewall<Watched>, Failure> {
        match &mut self.state {
            State::Running(firewall) => Ok(firewall),
            State::Attached(_) => Err(not_adopted()),
            State::Lost => Err(lost()),
            State::Closed => Err(closed()),
        }
    }

    /// Takes over the adapter, or takes it over again.
    pub fn adopt(&mut self, compiled: Arc<Compiled>) -> Result<(), Failure> {
        if self.target()? != *compiled.target() {
            return Err(nicfw::firewall::AdoptError::Target.into());
        }
        let watched = match std::mem::replace(&mut self.state, State::Lost) {
            State::Attached(watched) => *watched,
            State::Running(firewall) => firewall.detach().0,
            State::Lost => return Err(lost()),
            State::Closed => return Err(closed()),
        };
        match Firewall::adopt(watched, Adopt::of(&compiled), self.clock.clone(), self.settings) {
            Ok(firewall) => self.state = State::Running(Box::new(firewall)),
            Err(refused) => {
                self.state = State::Attached(Box::new(refused.engine));
                return Err(refused.error.into());
            }
        }
        self.compiled = Some(compiled);
        Ok(())
    }

    pub fn plan(&mut self, compiled: Arc<Compiled>, reason: &str) -> Result<HeldPlan, Failure> {
        let change = self.firewall()?.plan(&compiled, reason)?;
        Ok(HeldPlan { change, compiled, nic: self.id })
    }

    pub fn apply(&mut self, plan: &HeldPlan, progress: Option<Progress>) -> Result<Report, Failure> {
        if plan.nic != self.id {
            return Err(Failure::new(NICFW_E_STALE, "the plan was made for another adapter handle: plan again"));
        }
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

    pub fn containers(&mut self) -> Result<Vec<Item>, Failure> {
        let firewall = self.firewall()?;
        let document = firewall.document();
        let bound = document.bindings.iter().map(|binding| items::binding(document, binding));
        Ok(bound.chain(firewall.reserved().map(items::reserved)).collect())
    }

    pub fn document(&mut self) -> Result<Document, Failure> {
        self.firewall().map(|firewall| firewall.document().clone())
    }

    /// What was adopted or applied last.
    pub fn compiled(&mut self) -> Result<Arc<Compiled>, Failure> {
        self.firewall()?;
        self.compiled.clone().ok_or_else(not_adopted)
    }

    /// Lets go of the adapter.
    pub fn close(&mut self, leave: nicfw_leave) -> Result<(), Failure> {
        let mut adapter = match std::mem::replace(&mut self.state, State::Closed) {
            State::Attached(watched) => watched.engine,
            State::Running(firewall) => firewall.detach().0.engine,
            State::Lost | State::Closed => return Ok(()),
        };
        match leave {
            nicfw_leave::NICFW_LEAVE_RULES => {}
            nicfw_leave::NICFW_LEAVE_BLOCKED => adapter.set_override(Override::Block)?,
            // It opens last, so that what fails in between leaves the adapter closed.
            nicfw_leave::NICFW_LEAVE_EMPTY => {
                adapter.set_override(Override::Block)?;
                adapter.reset_rules()?;
                adapter.commit_cache()?;
                adapter.set_override(Override::None)?;
            }
        }
        Ok(adapter.detach()?)
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
