//! nftables in a network namespace of its own, as the other side of a ratio.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A shell in a network namespace of its own.
pub struct Nft {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Nft {
    /// Fails with the prerequisite that is missing.
    pub fn open() -> Result<Self, String> {
        let mut child = Command::new("unshare")
            .args(["-n", "sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("unshare cannot be run ({error}): it is part of util-linux"))?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the shell has no pipes".to_owned());
        };
        let mut nft = Self { child, orders, answers: BufReader::new(answers) };
        nft.run("true").map_err(|_| "unshare -n is not permitted: run as root".to_owned())?;
        nft.flush().map_err(|_| "nft cannot be run: it is in Debian's nftables".to_owned())?;
        Ok(nft)
    }

    /// Empties the tables.
    pub fn flush(&mut self) -> Result<(), String> {
        self.run("nft flush ruleset")
    }

    /// Loads a file; the seconds that `nft -f` takes, its start included.
    pub fn load(&mut self, file: &Path) -> Result<f64, String> {
        let start = std::time::Instant::now();
        self.run(&format!("nft -f '{}'", file.display()))?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Seconds of CPU time that its programs took so far, in the kernel too.
    pub fn cpu(&mut self) -> Result<f64, String> {
        // The first line is about the shell itself, the second about what it ran.
        let failed = || "times failed".to_owned();
        writeln!(self.orders, "times").map_err(|_| failed())?;
        let mut lines = [String::new(), String::new()];
        for line in &mut lines {
            self.answers.read_line(line).map_err(|_| failed())?;
        }
        let seconds = |word: &str| {
            let (minutes, seconds) = word.strip_suffix('s')?.split_once('m')?;
            Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
        };
        lines[1].split_whitespace().map(seconds).sum::<Option<f64>>().ok_or_else(failed)
    }

    fn run(&mut self, command: &str) -> Result<(), String> {
        let failed = || format!("{command} failed");
        writeln!(self.orders, "{command} >/dev/null; echo $?").map_err(|_| failed())?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(|_| failed())?;
        if answer.trim() == "0" { Ok(()) } else { Err(failed()) }
    }
}

impl Drop for Nft {
    fn drop(&mut self) {
        // The shell ends with its namespace.
        let _ = writeln!(self.orders, "exit");
        let _ = self.child.wait();
    }
}
