//! The commands that the driver uses, each a function over a [`Channel`](super::Channel) with typed arguments and result.
