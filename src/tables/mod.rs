//! What the adapter's rule tables hold, and how a document becomes their content: pure, with no adapter.
//!
//! The way of the data: [`crate::policy::Document`] -> [`Compiled`] for a [`Target`], with the content of all tables
//! ([`Image`]) -> [`plan::Plan`], the commands ([`TableOp`]) that lead from one content to another -> whoever sends them.
//! Beside the way stand what people ask about it: [`Usage`], [`Explanation`], [`Rewriting`].

mod arrange;
mod base;
mod classes;
mod compile;
mod entry;
mod explain;
mod held;
mod how_many_more;
mod image;
mod judge;
mod key;
mod named;
mod naming;
mod op;
mod pages;
mod parallel;
pub mod plan;
mod port_map;
mod profile;
mod refuse;
mod rewrite;
mod rules;
mod sizes;
mod subnet_map;
mod takes;
mod units;
mod usage;

pub use classes::MapError;
pub use compile::{Compiled, CounterSlot, Progress};
pub use entry::{Entry, ImageEntry, OriginId, Side};
pub use explain::{ExplainedEntry, Explanation};
pub(crate) use held::Tables;
pub use how_many_more::HowManyMore;
pub use image::Image;
pub use judge::Judgement;
pub use key::{Action, CounterId, CounterValue, FieldValue, KeyField, MatchFields, RuleKey};
pub use named::ChangePhase;
pub use op::TableOp;
pub use port_map::{PortMap, PortRangeId, PortTreeEntry};
pub use profile::{Assumption, EngineProfile, LookupOrder, Target};
pub use refuse::{CompileError, Denied, DeniedBy, GroupsTaken, LargestUser};
pub use rewrite::{Edit, Rewriting};
pub use rules::Rules;
pub use sizes::{BadSize, Sizes};
pub use subnet_map::{SubnetId, SubnetMap, SubnetNode};
pub use takes::FieldError;
pub use units::origins::OriginSource;
pub use usage::{Table, Usage};
