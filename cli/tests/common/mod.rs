//! Runs the program as a user would, from the root of the repository, and compares what it prints with `golden/`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Rewrites the golden files instead of comparing with them.
const BLESS: &str = "NICFW_BLESS";

/// What a run of the program left.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicfw"));
    command.args(arguments).current_dir(root()).stdin(Stdio::null()).env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

pub fn nicfw(arguments: &[&str]) -> Ran {
    Ran::from(program(arguments).output().expect("the program starts"))
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
        Self {
            code: output.status.code().expect("ends by itself"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// Compares with `golden/NAME.txt`.
#[track_caller]
pub fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&path, text).expect("the golden file can be written");
        return;
    }
    let expected =
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}; run with {BLESS}=1", path.display()));
    assert_eq!(text, expected, "{} differs; if that is right, run with {BLESS}=1", path.display());
}
