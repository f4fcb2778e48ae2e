//! What becomes of a frame on its way through the adapter.

use nicfw::terms::{Direction, Packet};

use crate::engines::rules::Judgement;

/// Where a frame enters or leaves the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The wire of a physical port, from 0.
    Wire(u32),
    /// The host's side of a function, by its number.
    Host(usize),
}

/// One judgement of a frame on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// TX for the sender, RX for the receiver.
    pub direction: Direction,
    /// Physical port.
    pub physical_port: u32,
    /// What the engine said.
    pub judgement: Judgement,
}

/// What became of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// What the parser saw.
    pub packet: Packet,
    /// The judgements, in their order; none if nobody on the host is meant.
    pub judgements: Vec<Judged>,
    /// Where the frame comes out.
    pub delivered: Vec<Place>,
}
