//! The `nicfw` program.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    nicfw_cli::main()
}
