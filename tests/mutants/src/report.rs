//! What became of the mutants, and which survivors are explained.

use std::collections::BTreeMap;

use crate::find::Mutant;
use crate::run::Fate;

/// Survivors that a person has looked at: `FILE | FUNCTION | CHANGE | WHY`, a line each; `#` begins a remark.
#[derive(Debug, Default)]
pub struct Explained(BTreeMap<(String, String, String), String>);

impl Explained {
    /// # Errors
    /// The number of a line that is not such a row, or that says a row again.
    pub fn parse(text: &str) -> Result<Explained, String> {
        let mut rows = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
            let [file, function, change, why] = parts[..] else {
                return Err(format!("line {}: a row is FILE | FUNCTION | CHANGE | WHY", index + 1));
            };
            let key = (file.to_owned(), function.to_owned(), change.to_owned());
            if why.is_empty() || rows.insert(key, why.to_owned()).is_some() {
                return Err(format!("line {}: no reason, or a row that stands above", index + 1));
            }
        }
        Ok(Explained(rows))
    }

    /// Why this one may survive.
    pub fn why(&self, mutant: &Mutant) -> Option<&str> {
        let key = (mutant.file.display().to_string(), mutant.function.clone(), change_of(mutant));
        self.0.get(&key).map(String::as_str)
    }
}

/// The change as a row tells it: no separator of rows in it.
fn change_of(mutant: &Mutant) -> String {
    mutant.change.replace(" | ", " ¦ ")
}

/// Counts of one room.
#[derive(Debug, Default, Clone, Copy)]
pub struct Count {
    pub tried: usize,
    pub found: usize,
    pub explained: usize,
}

impl Count {
    pub fn add(&mut self, fate: &Fate, explained: bool) {
        self.tried += 1;
        match fate {
            Fate::Found { .. } | Fate::Hung { .. } => self.found += 1,
            Fate::Survived { .. } if explained => self.explained += 1,
            Fate::Survived { .. } => {}
        }
    }

    pub fn unexplained(self) -> usize {
        self.tried - self.found - self.explained
    }

    /// Hundredths that are found, rounded down.
    pub fn share(self) -> usize {
        self.found * 100 / self.tried.max(1)
    }
}

/// A row for a survivor, to be completed by its reason.
pub fn row(mutant: &Mutant) -> String {
    format!("{} | {} | {} |", mutant.file.display(), mutant.function, change_of(mutant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::find;

    #[test]
    fn rows_explain_the_mutants_that_they_name() {
        let mutant = find(std::path::Path::new("src/a.rs"), "fn f(a: X) -> Y { a | b }").unwrap().mutants.remove(0);
        let text = format!("# remark\n\n{} both are bits of one word\n", row(&mutant));
        let explained = Explained::parse(&text).unwrap();
        assert_eq!(explained.why(&mutant), Some("both are bits of one word"));
        assert!(Explained::parse(&row(&mutant)).is_err(), "a row without a reason explains nothing");
        assert!(Explained::parse(&format!("{text}{text}")).is_err());
        assert_eq!(Explained::default().why(&mutant), None);
    }

    #[test]
    fn nine_of_ten_is_ninety() {
        let mut count = Count::default();
        for _ in 0..9 {
            count.add(&Fate::Found { by: String::new() }, false);
        }
        count.add(&Fate::Survived { tests: 3 }, true);
        assert_eq!((count.share(), count.unexplained()), (90, 0));
        count.add(&Fate::Survived { tests: 0 }, false);
        assert_eq!((count.share(), count.unexplained()), (81, 1));
    }
}
