//! The `nicfw` program.
#![forbid(unsafe_code)]

fn main() {}
