//! MCDI bytes: the header in its two forms, command codes, error codes, and one struct per message in use.
//!
//! Structs only, no behaviour beside encoding. All scalars are little-endian but where a field's type says network
//! order; every struct has alignment 1 and no padding, so a struct is its bytes. Offsets and codes: ef10.md 4 to 7;
//! struct names are those of the messages, `SetSecurityRuleIn` for `MC_CMD_SET_SECURITY_RULE_IN`.
//!
//! Driver and firmware model share these structs. What catches a mistake in them are the golden byte vectors in the
//! tests, which are typed from the documents.

/// A number of the protocol whose values have names. Open: one that nobody has named is kept and printed.
macro_rules! open_numbers {
    ($type:ident: else $unnamed:literal; $($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        impl $type {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// The name as the protocol's headers spell it, without their prefix; `None` for a number without one.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, concat!($unnamed, " {:#x}"), self.0),
                }
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}

mod code;
mod counters;
mod errno;
mod function;
mod header;
mod maps;
mod queues;
mod rules;

pub use code::Cmd;
pub use counters::*;
pub use errno::McErrno;
pub use function::*;
pub use header::{BUFFER_ALIGN, BUFFER_LEN, Header, HeaderForm, MAX_PAYLOAD, MAX_PAYLOAD_V1, Status, XFlags};
pub use maps::*;
pub use queues::*;
pub use rules::*;

use zerocopy::{FromBytes, IntoBytes};

/// The reply as a `T`, whose fields beyond the end of `bytes` read as zero: older firmware sends shorter replies.
#[must_use]
pub fn zero_extended<T: FromBytes + IntoBytes>(bytes: &[u8]) -> T {
    let mut value = T::new_zeroed();
    value.as_mut_bytes().iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    value
}
