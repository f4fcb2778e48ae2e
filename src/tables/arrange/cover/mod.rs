//! Pieces for a ranked lookup order: wide ones below, exceptions in earlier lookups above them, denies too.
//!
//! A lookup names some of protocol, remote address, remote port and local port. It covers what the lookups
//! behind it decide, down to the base deny. Three kinds of frames are covered one after the other, because a lookup that names a
//! field misses the frames without it:
//!
//! 1. all protocols that no rule names: by lookups without a protocol,
//! 2. each protocol's frames without ports: by lookups with the protocol, over 1,
//! 3. its frames with ports ([`grid`]): by lookups with a port, over 1 and 2.
//!
//! For 1 and 2 each outcome of the whole is tried with exceptions by remote address; of all combinations the one with the
//! fewest entries is taken. Ports are never named without a protocol: which protocols the adapter takes ports from is not
//! published.

mod grid;
mod input;
mod one_direction;
#[cfg(test)]
mod tests;

pub(crate) use self::input::Input;
