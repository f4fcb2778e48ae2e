//! Clocks of the programs that are started: the machine's, and more.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nicfw::clock::{Clock, SystemClock, Timestamp};
use nicfw_test_kit::sequences::oracle::Time;

/// The library that the programs load.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sequences/shifted.c");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shifted.so");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
        assert!(built.expect("cc, which links Rust too, is there").success());
        library
    })
}

/// Clocks that are set.
pub struct Shifted {
    file: PathBuf,
    /// Seconds that are added to the date, and to the other clock.
    added: [i64; 2],
    start: Instant,
}

impl Shifted {
    pub fn new(file: PathBuf) -> Self {
        let out = Self { file, added: [0, 0], start: Instant::now() };
        out.write();
        out
    }

    fn write(&self) {
        let bytes = self.added.map(i64::to_le_bytes).concat();
        let beside = self.file.with_extension("next");
        std::fs::write(&beside, bytes).expect("it can be written");
        std::fs::rename(&beside, &self.file).expect("it can be put in its place");
    }

    /// So many seconds go by.
    pub fn pass(&mut self, seconds: i64) {
        self.added = self.added.map(|added| added + seconds);
        self.write();
    }

    /// Somebody sets the date, by so many seconds.
    pub fn set(&mut self, seconds: i64) {
        self.added[0] += seconds;
        self.write();
    }

    /// What a program sees.
    pub fn time(&self) -> Time {
        let wall = Timestamp(SystemClock::new().wall().0.saturating_add_signed(self.added[0] * 1000));
        let passed = Duration::from_secs(u64::try_from(self.added[1]).unwrap_or_default());
        Time { wall, now: self.start.elapsed() + passed }
    }

    /// A program that sees them.
    pub fn shown(&self, command: &mut Command) {
        command.env("LD_PRELOAD", library()).env("NICFW_TEST_CLOCK", &self.file);
    }
}
