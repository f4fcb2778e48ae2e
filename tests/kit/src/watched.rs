//! An adapter at which something is looked after each command that changes the tables.

use nicfw::adapter::{Adapter, McdiError};
use nicfw::firewall::{Call, Observed, Observer};
use nicfw::tables::Target;

pub struct Looks<T> {
    look: Box<dyn FnMut() -> T>,
    /// What was seen, command by command.
    pub seen: Vec<T>,
}

impl<T> Observer for Looks<T> {
    fn around<U, X: From<McdiError>>(&mut self, call: Call<'_>, work: impl FnOnce() -> Result<U, X>) -> Result<U, X> {
        let outcome = work();
        if matches!(call, Call::Execute(_)) {
            self.seen.push((self.look)());
        }
        outcome
    }
}

pub type Watched<T> = Observed<Adapter, Looks<T>>;

/// Of the adapter it is assumed what `target` says.
pub fn watched<T>(adapter: Adapter, target: Target, look: impl FnMut() -> T + 'static) -> Watched<T> {
    Observed::new(adapter, Looks { look: Box::new(look), seen: Vec::new() }).with_target(target)
}
