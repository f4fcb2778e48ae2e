//! Runs one line and measures it.
#![expect(unsafe_code, reason = "wait4 tells the memory of the child that it waits for")]

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::adapter::Adapter;
use crate::fixtures::Fixtures;
use crate::table::Row;

/// What came of a line.
pub struct Came {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub hung: bool,
    pub time: Duration,
    /// The most that it had resident, in bytes.
    pub memory: u64,
    stdout: String,
    stderr: String,
}

impl Came {
    pub fn first(&self) -> &str {
        self.stderr.lines().next().unwrap_or_default().trim()
    }

    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

#[expect(clippy::zombie_processes, reason = "`wait` waits for it, by its id")]
pub fn run(row: &Row, fixtures: &Fixtures) -> Came {
    let adapter = row.command.contains("$NIC").then(Adapter::new);
    let mut command = Command::new("bash");
    command.arg("-c").arg(format!("exec {}", row.command)).current_dir(fixtures.dir()).envs(fixtures.environment());
    command.env_remove("RUST_LOG").env_remove("NICFW_JOURNAL").env_remove("NICFW_JOURNAL_KEY");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(adapter) = &adapter {
        command.env("NIC", adapter.device()).env("JOURNAL", adapter.journal());
        if row.command.contains("$NIC_SLOW") {
            command.env("NIC_SLOW", adapter.slow());
        }
    }
    let started = Instant::now();
    let mut child = command.spawn().expect("bash starts");
    let pid = i32::try_from(child.id()).expect("a process id");
    let out = child.stdout.take().map(reader);
    let err = child.stderr.take().map(reader);
    let (tell, ended) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let ended = wait(pid);
        // Nobody listens any more if it hung.
        let _ = tell.send(());
        ended
    });
    let hung = ended.recv_timeout(row.time).is_err();
    if hung {
        // Not reaped before the waiter has seen it, so the id is still the child's.
        kill(pid);
    }
    let (status, memory) = waiter.join().expect("the waiter ends");
    let text = |reader: Option<std::thread::JoinHandle<String>>| reader.map_or(String::new(), |r| r.join().unwrap());
    let (mut stdout, mut stderr) = (text(out), text(err));
    for text in [&mut stdout, &mut stderr] {
        if let Some(adapter) = &adapter {
            *text = text.replace(&adapter.device(), "vfio-user:NIC");
            *text = text.replace(&adapter.device().replace("nic.sock", "slow.sock"), "vfio-user:SLOW");
            *text = text.replace(&adapter.journal().display().to_string(), "JOURNAL");
        }
        *text = text.replace(&fixtures.dir().display().to_string(), "DIR");
    }
    let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
    Came { code, hung, time: started.elapsed(), memory, stdout, stderr }
}

fn kill(pid: i32) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
}

/// What a child prints, cut where no command prints more.
fn reader(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    const MOST: u64 = 8 << 20;
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.by_ref().take(MOST).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits for a child: its status, and the most memory that it had.
fn wait(pid: i32) -> (i32, u64) {
    let mut status = 0;
    // SAFETY: a structure of numbers, of which zero is one.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both places are there as long as the call takes; the child is this process's, and nobody else waits for it.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if waited == pid {
            return (status, u64::try_from(usage.ru_maxrss).unwrap_or(0) << 10);
        }
    }
}
