//! Somebody else, who reaches the adapter through its second function.

use std::borrow::Borrow;
use std::sync::Arc;

use nicfw::adapter::{Adapter, AttachOptions};
use nicfw::clock::Clock;
use nicfw::firewall::{Adopt, Firewall, Settings};
use nicfw::tables::{Action, Compiled, TableOp, Target};
use nicfw_model::Model;

use crate::sequences::step::{Foreign, Said};

/// Does it behind everybody's back. Nothing where no rule is there to be touched.
pub fn meddle<C: Borrow<Compiled>>(
    model: &Model,
    what: Foreign,
    clock: Arc<dyn Clock>,
    compiled: impl FnOnce(usize, &Target) -> C,
) -> Said {
    let function = Box::new(model.function(1));
    let mut other = Adapter::from_device(function, clock.clone(), AttachOptions::default()).expect("it attaches");
    let keys: Vec<_> = model.snapshot().rules.keys().copied().collect();
    let allow = Action::Allow { sample: false };
    let op = match what {
        Foreign::TakeOver(policy) => {
            let compiled = compiled(policy, other.target());
            Firewall::adopt(other, Adopt::of(compiled.borrow()), clock, Settings::default()).expect("nothing is wrong");
            return Said::done();
        }
        _ if keys.is_empty() => return Said::Nothing,
        Foreign::Remove(at) => {
            TableOp::SetRule { key: keys[at % keys.len()], rx: Action::None, tx: Action::None, counter: None }
        }
        Foreign::Open(at) => TableOp::SetRule { key: keys[at % keys.len()], rx: allow, tx: allow, counter: None },
    };
    other.execute(&op).expect("nothing is wrong");
    Said::done()
}
