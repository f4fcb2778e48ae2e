//! Words with one meaning everywhere: directions and verdicts, addresses and ports, sets of them, and what a frame shows of
//! itself. No rule and no adapter.

#![forbid(unsafe_code)]

mod flow;
mod group;
mod mac;
mod sets;
mod verdict;

pub use flow::{Flow, IpFlow, IpHeader, Packet, Ports};
pub(crate) use group::solicited_node;
pub use mac::{MacAddr, MacAddrError};
pub use sets::{AddrSet, Interval, IntervalSet, Point, PortSet};
pub use verdict::{Direction, Verdict};
