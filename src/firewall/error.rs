//! Why the firewall could not do something, and what the adapter holds then.

use std::net::IpAddr;
use std::sync::Arc;

use crate::error::AdapterState;
use crate::nic::{AdapterError, RulesetVersion};
use crate::policy::Origin;
use crate::policy::plan::PlanError;
use crate::tables::MapError;

/// A change that did not take place as planned.
#[derive(Debug, thiserror::Error)]
#[error("{}", said(.cause, .state))]
pub struct ApplyError {
    /// Why.
    #[source]
    pub cause: ApplyCause,
    /// What the adapter holds.
    pub state: AdapterState,
    /// Who asked for the entry that could not be set, why and where.
    pub rule: Option<Arc<Origin>>,
}

fn said(cause: &ApplyCause, state: &AdapterState) -> String {
    let what = match cause {
        ApplyCause::Command { step, steps, .. } => format!("command {step} of {steps} failed"),
        _ => "the change was not made".to_owned(),
    };
    match state {
        AdapterState::Unchanged => format!("{what}; the adapter is unchanged"),
        AdapterState::Closed(who) => format!("{what}; closed until the next change: {}", who.join(", ")),
        AdapterState::Unknown => format!("{what}; what the adapter holds is unknown, recover before anything else"),
    }
}

impl ApplyError {
    pub(super) fn unsent(cause: ApplyCause) -> Self {
        Self { cause, state: AdapterState::Unchanged, rule: None }
    }
}

/// Why a change did not take place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyCause {
    /// The plan was made before another change.
    #[error("the plan is for generation {planned} of the tables, they are at {current}: plan again")]
    Stale {
        /// Generation that the plan was made for.
        planned: u64,
        /// Generation of the tables.
        current: u64,
    },
    /// An earlier change ended in an unknown state.
    #[error("an earlier change left the adapter in an unknown state: recover first")]
    Unrecovered,
    /// Somebody else has changed the tables.
    #[error("the tables were changed by somebody else: version {found}, expected {expected}; attach again with adopt")]
    Foreign {
        /// Version after the last change of this firewall.
        expected: RulesetVersion,
        /// Version that the adapter tells.
        found: RulesetVersion,
    },
    /// A command of the change failed.
    #[error("the adapter refused or lost a command")]
    Command {
        /// Which one, from 1.
        step: usize,
        /// Of how many.
        steps: usize,
        /// How.
        #[source]
        source: AdapterError,
    },
    /// A command beside those of the change failed.
    #[error("the adapter refused or lost a command")]
    Adapter(#[from] AdapterError),
    /// The adapter could not be made usable again.
    #[error("the adapter could not be made usable again")]
    Recover(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// After a reboot the adapter works in another way, or its tables have other sizes.
    #[error("the adapter came back with another firmware or other tables: compile again and attach with adopt")]
    TargetChanged,
    /// An image does not fit the adapter.
    #[error(transparent)]
    Map(#[from] MapError),
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Why the firewall could not take over an adapter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// The document was compiled for another adapter. Nothing was sent.
    #[error("the policy was compiled for an adapter with other tables or firmware: compile it for this one")]
    Target,
    /// The image does not fit. Nothing was sent.
    #[error("the policy does not fit the adapter")]
    Map(#[from] MapError),
    /// A command failed. If `blocked`, the adapter drops all traffic until somebody attaches with success.
    #[error("taking over the adapter failed; {}", outlook(*.blocked, .source))]
    Command {
        /// The override is BLOCK.
        blocked: bool,
        /// How.
        #[source]
        source: AdapterError,
    },
}

fn outlook(blocked: bool, source: &AdapterError) -> &'static str {
    match (blocked, source.state()) {
        (true, _) => "it drops all traffic",
        (false, AdapterState::Unknown) => "whether it drops all traffic or none is unknown",
        (false, _) => "it is unchanged",
    }
}

/// Why the addresses of a container could not be reserved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// The address belongs to somebody else.
    #[error("{ip} is bound to {holder}")]
    Held {
        /// The address.
        ip: IpAddr,
        /// Container that holds it.
        holder: String,
    },
    /// The base denies are not in place. The container must not be started.
    #[error("{container} is unprotected: its base denies are not in the adapter; do not start it")]
    Unprotected {
        /// The container.
        container: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
