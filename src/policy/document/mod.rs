//! What a policy document says: built or read, checked, and then never wrong.

mod builder;
pub(in crate::policy) mod check;
pub(in crate::policy) mod draft;
mod expiry;
pub(crate) mod model;
pub(in crate::policy) mod problems;
mod shared_list;
mod warnings;

pub use builder::{AddrExpr, BindingBuilder, DocumentBuilder, RuleBuilder};
pub use check::{host_fault, mac_fault};
pub use draft::AddrTerm;
pub use model::{
    Attach, Binding, Document, MacvlanMode, Management, OnExpiry, Origin, Policy, PortPair, Proto, Remote, Rule,
    RulePlace,
};
pub use problems::{ParseError, ParseErrors};
pub use shared_list::SharedList;
pub use warnings::Warning;
