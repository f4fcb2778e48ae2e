//! Hostile input: every line of `inputs.txt` is a command line with what has to come of it. Nothing may panic, hang, read
//! without a bound or print what a terminal obeys.
//!
//! ```text
//! $ nicfw check utf16le.yaml
//! 1 60s 128M | utf16le.yaml:1: not UTF-8; expected a policy in UTF-8; save the file as UTF-8
//! ```
//!
//! The first line goes to bash, in a folder with the files of `fixtures`, as `exec LINE`. The second has the exit code, bounds
//! on time and memory, and the first line of stderr, in which `*` stands for anything. `nicfw` is the program; `c` calls the C
//! library (`calls`) with exit code `-NICFW_E_...`. Lines with `$NIC` get an adapter of their own, and those with `$NIC_SLOW`
//! one whose answers take long. `NICFW_BLESS=1` writes what comes into the table.
//!
//! Disks that are full or read-only are made in namespaces by `unshare`, and rights are taken away by `setpriv` (util-linux).
//! Where namespaces are forbidden these lines fail and say so.

mod adapter;
mod calls;
mod fixtures;
mod run;
mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use fixtures::Fixtures;
use run::{Came, run};
use table::Row;

/// Rows at a time: most of their time they wait.
const AT_ONCE: usize = 6;

/// Rows that the table has at least.
const LEAST: usize = 300;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments.next().is_some_and(|name| Path::new(&name).file_name().is_some_and(|name| name == "c")) {
        return calls::call();
    }
    if arguments.any(|argument| argument == "--list") {
        println!("hostile_input: test");
        return ExitCode::SUCCESS;
    }
    let started = Instant::now();
    let bless = std::env::var_os("NICFW_BLESS").is_some();
    let rows = table::read();
    let fixtures = Fixtures::new();
    let next = AtomicUsize::new(0);
    let came: Mutex<BTreeMap<usize, Came>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((number, row)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, rows.get(n)?)))
                {
                    let outcome = run(row, &fixtures);
                    came.lock().unwrap().insert(number, outcome);
                }
            });
        }
    });
    let came = came.into_inner().unwrap();
    let wrong: Vec<String> = rows.iter().zip(came.values()).filter_map(|(row, came)| amiss(row, came, bless)).collect();
    if bless {
        table::write(&rows, came.values());
    }
    let (slowest, largest) = (came.values().map(|came| came.time).max(), came.values().map(|came| came.memory).max());
    println!(
        "{} inputs tried in {:.0?}, {} not as they should be; the slowest took {:.0?}, the largest {} MB",
        rows.len(),
        started.elapsed(),
        wrong.len(),
        slowest.unwrap_or_default(),
        largest.unwrap_or_default() >> 20
    );
    for wrong in &wrong {
        println!("\n{wrong}");
    }
    if rows.len() < LEAST {
        println!("\nthe table has fewer than {LEAST} inputs");
    }
    if wrong.is_empty() && rows.len() >= LEAST { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is wrong with what came of a row; when the table is written anew, only what no table may say.
fn amiss(row: &Row, came: &Came, bless: bool) -> Option<String> {
    let mut wrong = Vec::new();
    if came.hung {
        wrong.push(format!("it did not end within {:?}", row.time));
    }
    if came.memory > row.memory {
        wrong.push(format!("it took {} MB, more than {}", came.memory >> 20, row.memory >> 20));
    }
    if came.text().contains("panicked at") || matches!(came.code, None | Some(101 | 134)) {
        wrong.push("it panicked, or was killed".to_owned());
    }
    if let Some(bad) = came.text().chars().find(|c| nicfw::text::disturbs(*c) && *c != '\n') {
        wrong.push(format!("it prints U+{:04X}", u32::from(bad)));
    }
    if !bless && came.code != Some(row.code) {
        wrong.push(format!("exit code {:?}, not {}", came.code, row.code));
    }
    if !bless && !table::fits(&row.first, came.first()) {
        wrong.push(format!("the first line is\n    {}\nnot\n    {}", came.first(), row.first));
    }
    (!wrong.is_empty()).then(|| format!("$ {}\n{}", row.command, wrong.join("\n")))
}
