//! Tests, run with one mutant on: first which tests reach which mutants, then whether one of them fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::rooms::Suite;
use crate::tree::Program;

/// A test of a program, and what it does without a mutant.
#[derive(Debug, Clone)]
pub struct Test {
    pub program: usize,
    pub name: String,
    /// How long it takes alone.
    pub takes: Duration,
    /// Mutants that it reaches.
    pub reaches: BTreeSet<usize>,
}

/// What became of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// A test failed.
    Found { by: String },
    /// A test did not end in many times its time.
    Hung { by: String },
    /// So many tests ran through it, and all passed.
    Survived { tests: usize },
}

/// Longest that a test without a mutant may take; more is an error of the suite.
const PATIENCE: Duration = Duration::from_secs(900);
/// What a process may take beside ten times what its tests need.
const GRACE: Duration = Duration::from_secs(20);
/// Tests go into one process up to this time.
const HANDFUL: Duration = Duration::from_secs(2);
/// Address space of a test, in KiB: a mutant that allocates without end does not take the machine with it.
const MEMORY_KIB: u64 = 6 << 20;

/// The tests of a program, without ignored ones.
///
/// # Errors
/// A sentence when the program cannot be run.
pub fn names(program: &Program) -> Result<Vec<String>, String> {
    let output = Command::new(&program.path)
        .args(["--list", "--format", "terse"])
        .current_dir(&program.folder)
        .output()
        .map_err(|error| format!("{}: {error}", program.path.display()))?;
    let ignored = Command::new(&program.path)
        .args(["--list", "--format", "terse", "--ignored"])
        .current_dir(&program.folder)
        .output()
        .map_err(|error| format!("{}: {error}", program.path.display()))?;
    let list = |bytes: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(bytes);
        text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
    };
    let ignored = list(&ignored.stdout);
    Ok(list(&output.stdout).into_iter().filter(|name| !ignored.contains(name)).collect())
}

/// True if a suite holds the test.
pub fn holds(suites: &[Suite], program: &str, test: &str) -> bool {
    suites.iter().any(|suite| suite.target == program && test.starts_with(suite.tests))
}

/// Runs one test without a mutant and notes what it reaches.
///
/// # Errors
/// A sentence when it fails as it is: then it can judge nothing.
pub fn watch(program: &Program, number: usize, name: &str, scratch: &Path) -> Result<Test, String> {
    let seen = scratch.join(format!("seen-{}-{}", program.name, name.replace("::", "-")));
    let _ = fs::remove_file(&seen);
    let start = Instant::now();
    let mut command = command(program, &[name]);
    command.env("NICFW_MUTANTS_SEEN", &seen);
    if finish(&mut command, PATIENCE)? != End::Passed {
        return Err(format!("{} {name} fails without a mutant", program.name));
    }
    let text = fs::read_to_string(&seen).unwrap_or_default();
    let _ = fs::remove_file(&seen);
    let reaches = text.lines().filter_map(|line| line.parse().ok()).collect();
    Ok(Test { program: number, name: name.to_owned(), takes: start.elapsed(), reaches })
}

/// Whether any of the tests that reach a mutant notices it; the short ones are asked first.
///
/// # Errors
/// A sentence when a process cannot be run.
pub fn judge(programs: &[Program], tests: &[&Test], mutant: usize) -> Result<Fate, String> {
    let mut reaching: Vec<&&Test> = tests.iter().filter(|test| test.reaches.contains(&mutant)).collect();
    reaching.sort_by_key(|test| test.takes);
    for (program, names, takes) in handfuls(&reaching) {
        let program = &programs[program];
        let mut command = command(program, &names);
        command.env("NICFW_MUTANT", mutant.to_string());
        let by = || format!("{} {}", program.name, names.join(" "));
        match finish(&mut command, takes * 10 + GRACE)? {
            End::Passed => {}
            End::Failed => return Ok(Fate::Found { by: by() }),
            End::TimedOut => return Ok(Fate::Hung { by: by() }),
        }
    }
    Ok(Fate::Survived { tests: reaching.len() })
}

/// Tests in order, as processes: of one program each, and short together.
fn handfuls<'a>(tests: &[&&'a Test]) -> Vec<(usize, Vec<&'a str>, Duration)> {
    let mut all = Vec::new();
    let mut open: BTreeMap<usize, (Vec<&'a str>, Duration)> = BTreeMap::new();
    for test in tests {
        let (names, takes) = open.entry(test.program).or_default();
        names.push(&test.name);
        *takes += test.takes;
        if *takes >= HANDFUL {
            let (names, takes) = open.remove(&test.program).unwrap_or_default();
            all.push((test.program, names, takes));
        }
    }
    all.extend(open.into_iter().map(|(program, (names, takes))| (program, names, takes)));
    all.sort_by_key(|(_, _, takes)| *takes);
    all
}

fn command(program: &Program, names: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {MEMORY_KIB}; ulimit -c 0; exec \"$@\""), "sh"]);
    command.arg(&program.path).args(names).args(["--exact", "--test-threads", "1"]);
    command.current_dir(&program.folder).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Passed,
    Failed,
    TimedOut,
}

fn finish(command: &mut Command, patience: Duration) -> Result<End, String> {
    let mut child = command.spawn().map_err(|error| format!("sh: {error}"))?;
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => return Ok(if status.success() { End::Passed } else { End::Failed }),
            None if start.elapsed() > patience => {
                end(&mut child);
                return Ok(End::TimedOut);
            }
            None => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Ends a process and all that it started.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(program: usize, name: &str, millis: u64) -> Test {
        Test { program, name: name.to_owned(), takes: Duration::from_millis(millis), reaches: BTreeSet::new() }
    }

    #[test]
    fn short_tests_go_together_and_long_ones_come_last() {
        let tests = [test(0, "a", 10), test(1, "b", 20), test(0, "c", 30), test(0, "d", 3_000), test(0, "e", 9_000)];
        let tests: Vec<&Test> = tests.iter().collect();
        let runs = handfuls(&tests.iter().collect::<Vec<_>>());
        let names: Vec<_> = runs.iter().map(|(program, names, _)| (*program, names.clone())).collect();
        assert_eq!(names, [(1, vec!["b"]), (0, vec!["a", "c", "d"]), (0, vec!["e"])]);
    }

    #[test]
    fn a_process_passes_fails_or_does_not_end() {
        let run = |script: &str, patience| {
            finish(Command::new("sh").args(["-c", script]).process_group(0), patience).unwrap()
        };
        assert_eq!(run("exit 0", PATIENCE), End::Passed);
        assert_eq!(run("exit 101", PATIENCE), End::Failed);
        assert_eq!(run("kill -9 $$", PATIENCE), End::Failed);
        assert_eq!(run("while :; do :; done", Duration::ZERO), End::TimedOut);
    }
}
