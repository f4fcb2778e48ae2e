//! Captures, as `nicfw replay` reads them and as a port of the model plays them.

use nicfw_cli::capture;
use nicfw_model::packet::FRAME_MAX;
use nicfw_model::ports::{PcapPort, Port};

/// Frames of one capture that are looked at further.
const FRAMES: usize = 64;

/// The input is a capture; its frames are frames.
pub fn run(data: &[u8]) {
    if let Err(failure) = capture::read_from(data, &"input", &mut |_| ()) {
        assert!(!failure.text.is_empty());
    }
    let mut frames = 0;
    // What is refused was refused above.
    let _ = capture::bytes(data, |frame| {
        frames += 1;
        if frames <= FRAMES {
            super::frame::run(frame);
        }
    });
    let Ok(mut port) = PcapPort::new(Some(data), Some(Vec::new())) else { return };
    let mut frame = vec![0; FRAME_MAX];
    while let Ok(Some(len)) = port.receive(&mut frame) {
        port.send(&frame[..len]).expect("written to memory");
    }
}
