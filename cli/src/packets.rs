//! Frames as the adapter's parser sees them.

use nicfw::terms::Packet;
use nicfw_model::packet::parse;

/// The headers of a frame as the adapter's parser sees them; `None` for one too short to be a frame.
pub fn packet(frame: &[u8]) -> Option<Packet> {
    parse(frame).ok().map(|headers| headers.packet)
}
