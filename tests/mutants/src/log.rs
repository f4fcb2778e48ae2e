//! What becomes of each mutant, written down as soon as it is known: a run that is cut off has told what it saw, and the next one
//! tries only what has survived.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use crate::find::Mutant;
use crate::run::Fate;

/// The log of a run: a line a mutant, `FATE<TAB>MUTANT<TAB>TESTS`.
pub struct Log {
    file: Mutex<File>,
    /// What an earlier run has found, and by what.
    found: BTreeMap<String, String>,
}

impl Log {
    /// Begins a log. `known`: the text of an earlier one, or nothing.
    ///
    /// # Errors
    /// A sentence when the file cannot be made, or a line of the earlier log is none.
    pub fn create(path: &Path, known: &str, seed: u64) -> Result<Self, String> {
        let mut found = BTreeMap::new();
        for (index, line) in known.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            match line.splitn(3, '\t').collect::<Vec<_>>()[..] {
                ["found" | "hung", mutant, by] => drop(found.insert(mutant.to_owned(), by.to_owned())),
                ["survived", _, _] => {}
                _ => return Err(format!("line {} of the earlier log is not FATE, MUTANT, TESTS", index + 1)),
            }
        }
        let fault = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut file = File::create(path).map_err(fault)?;
        writeln!(file, "# seed {seed}").map_err(fault)?;
        Ok(Self { file: Mutex::new(file), found })
    }

    /// What an earlier run has found of a mutant.
    pub fn found_before(&self, mutant: &Mutant) -> Option<Fate> {
        self.found.get(&mutant.to_string()).map(|by| Fate::Found { by: by.clone() })
    }

    /// # Errors
    /// A sentence when the line cannot be written.
    pub fn note(&self, mutant: &Mutant, fate: &Fate) -> Result<(), String> {
        let line = match fate {
            Fate::Found { by } => format!("found\t{mutant}\t{by}\n"),
            Fate::Hung { by } => format!("hung\t{mutant}\t{by}\n"),
            Fate::Survived { tests } => format!("survived\t{mutant}\t{tests}\n"),
        };
        let mut file = self.file.lock().map_err(|_| "a thread that wrote the log has panicked".to_owned())?;
        file.write_all(line.as_bytes()).map_err(|error| format!("the log of the run: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::find;

    #[test]
    fn what_was_found_is_not_tried_again_and_what_survived_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fates.txt");
        let mutants =
            find(Path::new("src/a.rs"), "fn f(a: X) -> Y { a | b } fn g(a: X) -> Y { a | b }").unwrap().mutants;
        let [first, last] = [&mutants[0], &mutants[mutants.len() - 1]];
        let log = Log::create(&path, "", 7).unwrap();
        log.note(first, &Fate::Found { by: "nicfw a::b".into() }).unwrap();
        log.note(last, &Fate::Survived { tests: 3 }).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let next = Log::create(&path, &text, 7).unwrap();
        assert_eq!(next.found_before(first), Some(Fate::Found { by: "nicfw a::b".into() }));
        assert_eq!(next.found_before(last), None);
        assert!(Log::create(&path, "nonsense", 7).is_err());
    }
}
