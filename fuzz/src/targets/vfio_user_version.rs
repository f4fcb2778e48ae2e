//! The JSON text of vfio-user's version message.

use nicfw::device::vfio_user::capabilities::Capabilities;

/// Reads the input. What is read is read again as it is written.
pub fn run(data: &[u8]) {
    if let Ok(capabilities) = Capabilities::parse(data) {
        assert_eq!(Capabilities::parse(&capabilities.to_bytes()), Ok(capabilities));
    }
}
