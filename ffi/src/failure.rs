//! What went wrong, on its way to the caller's [`nicfw_error`]: from every error of the library to one code, the state of the
//! adapter, the place, and a text.

use std::borrow::Cow;
use std::error::Error;
use std::ffi::{c_char, c_int};
use std::sync::Arc;

use nicfw::adapter::{AdapterError, AttachError, McdiError};
use nicfw::device::{OpenError, ProbeError};
use nicfw::error::AdapterState;
use nicfw::firewall::{AdoptError, ApplyCause, ApplyError, AuditError, LeaveError, ReserveError, SessionError};
use nicfw::policy::{DateError, FlowTextError, Origin, ParseErrors};
use nicfw::tables::CompileError;
use nicfw::tables::plan::PlanError;
use nicfw::text::{TextError, escaped};

use crate::nicfw_code::{self, *};
use crate::nicfw_state::{self, *};
use crate::types::nicfw_error;

pub type Result<T> = std::result::Result<T, Failure>;

/// Why a call fails.
#[derive(Debug, Clone)]
pub struct Failure {
    pub code: nicfw_code,
    pub state: nicfw_state,
    pub message: Cow<'static, str>,
    place: String,
    line: u32,
    column: u32,
    command: u32,
    firmware_error: u32,
}

impl Failure {
    pub fn new(code: nicfw_code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            state: NICFW_STATE_UNCHANGED,
            message: message.into(),
            place: String::new(),
            line: 0,
            column: 0,
            command: 0,
            firmware_error: 0,
        }
    }

    /// With an error of the library, its causes, and the firmware's numbers where it has any.
    fn of(code: nicfw_code, error: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::new(code, error.to_string());
        let mut cause = Some(error);
        while let Some(error) = cause {
            let mcdi = match error.downcast_ref() {
                Some(AdapterError::Command(mcdi)) => Some(mcdi),
                _ => match error.downcast_ref() {
                    Some(AttachError::Command(mcdi)) => Some(mcdi),
                    _ => error.downcast_ref(),
                },
            };
            if let Some(mcdi) = mcdi {
                failure.command = command(mcdi);
                failure.firmware_error = mcdi.errno().map_or(0, |errno| errno.0);
            }
            cause = error.source();
            if let Some(cause) = cause {
                failure.message.to_mut().push_str(&format!(": {cause}"));
            }
        }
        failure
    }

    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = place.into();
        self
    }

    /// At a place, if none was told yet.
    pub fn at_unless(self, place: &str) -> Self {
        if self.place.is_empty() { self.at(place) } else { self }
    }

    fn state(mut self, state: &AdapterState) -> Self {
        self.state = match state {
            AdapterState::Unchanged => NICFW_STATE_UNCHANGED,
            AdapterState::Closed(_) => NICFW_STATE_CLOSED,
            AdapterState::Unknown => NICFW_STATE_UNKNOWN,
        };
        self
    }

    /// The adapter drops all traffic, or else holds what the command left that failed.
    fn blocked(self, blocked: bool, otherwise: &AdapterState) -> Self {
        if blocked { Self { state: NICFW_STATE_BLOCKED, ..self } } else { self.state(otherwise) }
    }

    fn origin(mut self, origin: Option<&Arc<Origin>>) -> Self {
        if let Some(origin) = origin {
            (self.place, self.line) = (origin.file.to_string(), origin.line);
        }
        self
    }

    /// A text for people that is not let in: see `nicfw::text`.
    pub fn text(what: &str, error: TextError) -> Self {
        Self::new(NICFW_E_ARGUMENT, format!("{what}: {error}")).at(what)
    }

    /// What cannot be, and is.
    pub fn internal() -> Self {
        Self::new(NICFW_E_INTERNAL, "the library has come into a state that it rules out; please report it")
    }

    /// As the caller sees it. A text of one line that needs no escapes is written without any memory but the stack's, so a
    /// forked child, where another thread may have held the allocator's locks, is told what it did.
    pub fn to_c(&self) -> nicfw_error {
        nicfw_error {
            size: 0,
            code: self.code as c_int,
            state: self.state as c_int,
            line: self.line,
            column: self.column,
            command: self.command,
            firmware_error: self.firmware_error,
            place: fixed(&escaped(&self.place)),
            message: fixed(&escaped_lines(&self.message)),
        }
    }
}

/// The MCDI command that an error is about; 0 for none.
fn command(error: &McdiError) -> u32 {
    match error {
        McdiError::Refused { cmd, .. }
        | McdiError::Timeout { cmd, .. }
        | McdiError::Rebooted { cmd }
        | McdiError::Gone { cmd, .. }
        | McdiError::AllOnes { cmd }
        | McdiError::WrongSequence { cmd, .. }
        | McdiError::WrongCommand { cmd, .. }
        | McdiError::LongReply { cmd, .. }
        | McdiError::ShortReply { cmd, .. }
        | McdiError::BadReply { cmd, .. }
        | McdiError::RequestTooLong { cmd, .. }
        | McdiError::Poisoned { cmd } => cmd.0.into(),
        _ => 0,
    }
}

/// A text with escapes in each of its lines.
fn escaped_lines(text: &str) -> Cow<'_, str> {
    if text.contains('\n') { text.lines().map(escaped).collect::<Vec<_>>().join("\n").into() } else { escaped(text) }
}

/// A text with NUL in `N` bytes, cut between characters where it is too long.
pub fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    const CUT: &str = "...";
    let (text, end) = if text.len() < N {
        (text, "")
    } else {
        let most = (0..N.saturating_sub(CUT.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        (text.split_at(most).0, CUT)
    };
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(text.bytes().chain(end.bytes())) {
        // A NUL would hide what comes after it.
        *to = c_char::from_ne_bytes([if from == 0 { b'?' } else { from }]);
    }
    out
}

impl From<ParseErrors> for Failure {
    fn from(errors: ParseErrors) -> Self {
        let mut failure = Self::new(NICFW_E_POLICY, errors.to_string());
        if let Some(first) = errors.errors().first() {
            (failure.line, failure.column) = (first.line(), first.column());
        }
        failure
    }
}

impl From<FlowTextError> for Failure {
    fn from(error: FlowTextError) -> Self {
        Self::of(NICFW_E_FLOW, &error)
    }
}

impl From<DateError> for Failure {
    fn from(error: DateError) -> Self {
        Self::of(NICFW_E_ARGUMENT, &error).at("today")
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        let code = match &error {
            ProbeError::NoFunction { .. } | ProbeError::NotAnAdapter { .. } => NICFW_E_NOT_FOUND,
            _ => NICFW_E_IO,
        };
        Self::of(code, &error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::of(NICFW_E_OPEN, &error)
    }
}

impl From<nicfw::device::vfio::VfioError> for Failure {
    fn from(error: nicfw::device::vfio::VfioError) -> Self {
        OpenError::from(error).into()
    }
}

impl From<nicfw::device::vfio_user::VfioUserError> for Failure {
    fn from(error: nicfw::device::vfio_user::VfioUserError) -> Self {
        OpenError::from(error).into()
    }
}

impl From<AttachError> for Failure {
    fn from(error: AttachError) -> Self {
        Self::of(NICFW_E_ATTACH, &error)
    }
}

impl From<AdapterError> for Failure {
    fn from(error: AdapterError) -> Self {
        Self::of(NICFW_E_ADAPTER, &error).state(&error.state())
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NotRunning => {
                Self::new(NICFW_E_ORDER, "no policy was adopted yet: nicfw_adapter_adopt comes first")
            }
            SessionError::Closed => Self::new(NICFW_E_HANDLE, "the handle of the adapter was closed meanwhile"),
            error => Self::of(NICFW_E_ORDER, &error),
        }
    }
}

impl From<LeaveError> for Failure {
    fn from(error: LeaveError) -> Self {
        let failure = Self::of(NICFW_E_ADAPTER, &error);
        match error {
            LeaveError::Session(error) => error.into(),
            LeaveError::Command { blocked, source } => failure.blocked(blocked, &source.state()),
            _ => failure,
        }
    }
}

impl From<AdoptError> for Failure {
    fn from(error: AdoptError) -> Self {
        let code = match &error {
            AdoptError::Session(error) => return (*error).into(),
            AdoptError::Command { .. } | AdoptError::Journal { .. } => NICFW_E_ADAPTER,
            _ => NICFW_E_FIT,
        };
        let failure = Self::of(code, &error);
        match &error {
            AdoptError::Command { blocked, source } => failure.blocked(*blocked, &source.state()),
            _ => failure,
        }
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Session(error) => error.into(),
            AuditError::Adapter(error) => error.into(),
            error => Self::of(NICFW_E_ADAPTER, &error),
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let code = match error {
            PlanError::DenyAboveBase(_) | PlanError::DenyWithoutBase(_) => NICFW_E_EXPRESS,
            _ => NICFW_E_FIT,
        };
        Self::of(code, &error)
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let code = match &error.cause {
            ApplyCause::Stale { .. } | ApplyCause::Elsewhere => NICFW_E_STALE,
            ApplyCause::Foreign { .. } => NICFW_E_FOREIGN,
            ApplyCause::Unrecovered | ApplyCause::Recover(_) => NICFW_E_RECOVER,
            ApplyCause::TargetChanged | ApplyCause::Map(_) | ApplyCause::Plan(_) => NICFW_E_FIT,
            _ => NICFW_E_ADAPTER,
        };
        Self::of(code, &error).state(&error.state).origin(error.rule.as_ref())
    }
}

impl From<ReserveError> for Failure {
    fn from(error: ReserveError) -> Self {
        match &error {
            ReserveError::Held { address, .. } => Self::of(NICFW_E_HELD, &error).at(address.clone()),
            ReserveError::Unfit { .. } => Self::of(NICFW_E_ARGUMENT, &error),
            ReserveError::Unprotected { container, source } => {
                let cause = source.downcast_ref::<ApplyError>();
                let full = cause
                    .is_none_or(|apply| matches!(&apply.cause, ApplyCause::Command { source, .. } if source.is_full()));
                let state = cause.map_or(AdapterState::Unchanged, |apply| apply.state.clone());
                let code = if full { NICFW_E_FIT } else { NICFW_E_ADAPTER };
                Self::of(code, &error).state(&state).at(container.as_str())
            }
            _ => Self::of(NICFW_E_ADAPTER, &error),
        }
    }
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Self {
        use CompileError::{
            AnyProtocol, Disagrees, DoesNotFit, Fragments, Ipv6Remote, Map, MapDisagrees, NotLookedUp, NotTaken,
            PhysicalPort, SampledDeny, TooComplex, UnboundAllow,
        };
        let code = match &error {
            DoesNotFit { .. } | Map(_) | TooComplex { .. } | PhysicalPort { .. } => NICFW_E_FIT,
            Disagrees { .. } | MapDisagrees { .. } => NICFW_E_INTERNAL,
            _ => NICFW_E_EXPRESS,
        };
        let origin = match &error {
            DoesNotFit { at, .. }
            | Fragments { allow: at, .. }
            | AnyProtocol { allow: at, .. }
            | Ipv6Remote { at, .. }
            | SampledDeny { at }
            | PhysicalPort { at, .. }
            | NotLookedUp { at, .. }
            | UnboundAllow { at }
            | TooComplex { at, .. }
            | NotTaken { at, .. }
            | MapDisagrees { at, .. }
            | Disagrees { at, .. } => Some(at),
            _ => None,
        };
        Self::of(code, &error).origin(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = |text: &str| fixed::<8>(text).map(|c| c.to_ne_bytes()[0]);
        assert_eq!(&text("seven67"), b"seven67\0");
        assert_eq!(&text("eight678"), b"eigh...\0");
        assert_eq!(&text("abc\u{e9}\u{e9}\u{e9}\u{e9}"), b"abc...\0\0");
        assert_eq!(&text("a\0b"), b"a?b\0\0\0\0\0");
    }
}
