//! Policies: what containers may do, from text to table content. Pure: no device, no clock, no I/O.

#![forbid(unsafe_code)]

mod document;
mod flow;
mod image;
pub mod plan;
mod sets;

pub use document::{
    Attach, Binding, Document, MacvlanMode, Management, Origin, Policy, PortPair, Proto, Remote, Rule, RulePlace,
};
pub use flow::{Flow, IpFlow, IpHeader, Packet, Ports};
pub use image::{Image, ImageEntry, OriginId, Side};
pub use sets::{AddrSet, Interval, IntervalSet, PortSet};
