//! Table commands, as the model decodes them.

use nicfw::adapter::rules::codec;
use nicfw::adapter::rules::decode::decode;
use nicfw::mcdi::wire::{Cmd, MAX_PAYLOAD};
use nicfw::tables::Target;

const COMMANDS: [Cmd; 4] = [
    Cmd::SET_SECURITY_RULE,
    Cmd::SUBNET_MAP_SET_NODE,
    Cmd::REMOTE_PORTRANGE_MAP_SET_TREE,
    Cmd::LOCAL_PORTRANGE_MAP_SET_TREE,
];

/// The first byte chooses a command, the rest is its payload. What can be encoded is decoded to what it was.
pub fn run(data: &[u8]) {
    let Some((choice, payload)) = data.split_first() else { return };
    let Some(cmd) = COMMANDS.get(usize::from(*choice) % COMMANDS.len()) else { return };
    let Ok(op) = decode(*cmd, payload) else { return };
    let mut again = [0; MAX_PAYLOAD];
    if let Ok(encoded) = codec::encode(&op, &Target::profile0(), &mut again) {
        let bytes = again.get(..encoded.len).expect("encoded into the buffer");
        assert_eq!(decode(encoded.cmd, bytes), Ok(op));
    }
}
