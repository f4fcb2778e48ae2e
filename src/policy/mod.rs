//! Policies: what containers may do, from text to table content. Pure: no device, no clock, no I/O.

#![forbid(unsafe_code)]

mod check;
mod compile;
mod document;
mod draft;
mod evaluate;
mod flow;
mod flow_text;
mod image;
mod judge;
mod parse;
pub mod plan;
mod problems;
mod sets;
mod words;

pub use compile::{
    CompileError, Compiled, CounterSlot, Denied, DeniedBy, GroupsTaken, LargestUser, OriginSource, Table, Usage,
};
pub use document::{
    Attach, Binding, Document, MacvlanMode, Management, Origin, Policy, PortPair, Proto, Remote, Rule, RulePlace,
};
pub use evaluate::{Decision, Why};
pub use flow::{Flow, IpFlow, IpHeader, Packet, Ports};
pub use flow_text::{FlowText, FlowTextError};
pub use image::{Image, ImageEntry, OriginId, Side};
pub use judge::Judgement;
pub use problems::{ParseError, ParseErrors};
pub use sets::{AddrSet, Interval, IntervalSet, Point, PortSet};
