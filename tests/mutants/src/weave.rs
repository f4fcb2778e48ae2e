//! Mutants written into a file so that one of them can be switched on while it runs.
//!
//! `a < b` becomes `(if S(7) { a <= b } else { a < b })`, where `S` asks whether mutant 7 is the chosen one. Only the branch of
//! the code as it was holds further mutants: no two are ever on together.

use std::ops::Range;

use crate::find::{Edit, Mutant};

/// A file with mutants in it.
#[derive(Debug, Default)]
pub struct Woven {
    pub text: String,
    /// Where each mutant now stands, by number.
    pub places: Vec<(Range<usize>, usize)>,
}

impl Woven {
    /// Mutants around a place that the compiler complains about, the innermost alone; where there is none, the nearest before.
    pub fn blamed(&self, place: Range<usize>) -> Option<usize> {
        let around = self.places.iter().filter(|(range, _)| range.start <= place.start && place.start <= range.end);
        let innermost = around.min_by_key(|(range, _)| range.len());
        let before = || self.places.iter().filter(|(range, _)| range.start <= place.start).max_by_key(|(r, _)| r.start);
        innermost.or_else(before).map(|(_, number)| *number)
    }
}

/// Writes mutants of one file, in the order of their places, into its text; each comes with its number.
pub fn weave(text: &str, mutants: &[(usize, &Mutant)], switch: &str) -> Woven {
    let mut woven = Woven::default();
    let mut loom = Loom { text, switch, woven: &mut woven };
    loom.stretch(0..text.len(), mutants);
    woven
}

struct Loom<'a> {
    text: &'a str,
    switch: &'a str,
    woven: &'a mut Woven,
}

impl Loom<'_> {
    /// Writes a stretch of the text, and the mutants in it.
    fn stretch(&mut self, stretch: Range<usize>, mutants: &[(usize, &Mutant)]) {
        let mut at = stretch.start;
        let mut rest = mutants;
        while let Some((&(number, mutant), later)) = rest.split_first() {
            self.woven.text.push_str(&self.text[at..mutant.place.start]);
            let inside =
                later.iter().take_while(|(_, other)| other.place.end <= mutant.place.end && is_inside(other, mutant));
            let (inside, behind) = later.split_at(inside.count());
            let start = self.woven.text.len();
            self.place(number, mutant, inside);
            self.woven.places.push((start..self.woven.text.len(), number));
            at = mutant.place.end;
            rest = behind;
        }
        self.woven.text.push_str(&self.text[at..stretch.end]);
    }

    fn place(&mut self, number: usize, mutant: &Mutant, inside: &[(usize, &Mutant)]) {
        let switch = format!("{}({number})", self.switch);
        match &mutant.edit {
            Edit::Expression(new) => {
                self.woven.text.push_str(&format!("(if {switch} {{ {new} }} else {{ "));
                self.stretch(mutant.place.clone(), inside);
                self.woven.text.push_str(" })");
            }
            Edit::Statement => {
                self.woven.text.push_str(&format!("if !{switch} {{ "));
                self.stretch(mutant.place.clone(), inside);
                self.woven.text.push_str(" }");
            }
            Edit::Entry(value) => self.woven.text.push_str(&format!(" if {switch} {{ return {value}; }} ")),
            Edit::Arm => self.woven.text.push_str(&format!(" if !{switch}")),
        }
    }
}

/// True if a later mutant of the order stands inside an earlier one.
fn is_inside(other: &Mutant, mutant: &Mutant) -> bool {
    !mutant.place.is_empty() && mutant.place.start <= other.place.start
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::find::find;

    fn woven(text: &str) -> Woven {
        let found = find(Path::new("a.rs"), text).unwrap();
        let numbered: Vec<_> = found.mutants.iter().enumerate().collect();
        weave(text, &numbered, "on")
    }

    #[test]
    fn a_mutant_stands_beside_the_code_as_it_was() {
        assert_eq!(
            woven("fn f(a: X) -> Y { a + 1 }").text,
            "fn f(a: X) -> Y { (if on(0) { (a) - (1) } else { a + 1 }) }"
        );
        assert_eq!(woven("fn f() { g(); }").text, "fn f() { if on(0) { return ; }  if !on(1) { g(); } }");
        assert_eq!(
            woven("fn f(a: X) -> Y { match a { 1 => b, _ => c } }").text,
            "fn f(a: X) -> Y { match a { 1 if !on(0) => b, _ => c } }"
        );
    }

    #[test]
    fn mutants_of_one_place_and_within_each_other_go_together() {
        assert_eq!(
            woven("fn f(a: X) -> Y { a < -b }").text,
            "fn f(a: X) -> Y { (if on(0) { (a) <= (-b) } else { (if on(1) { (a) >= (-b) } else { a < (if on(2) { b } else { -b }) }) }) }"
        );
    }

    #[test]
    fn every_file_that_is_broken_can_still_be_parsed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for name in ["src/lib.rs", "firmware-model/src/lib.rs"] {
            for file in crate::modules::files_of(&root.join(name)).unwrap() {
                let text = std::fs::read_to_string(&file).unwrap();
                let found = find(&file, &text).unwrap();
                let numbered: Vec<_> = found.mutants.iter().enumerate().collect();
                let woven = weave(&text, &numbered, "on");
                syn::parse_file(&woven.text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                assert_eq!(woven.places.len(), found.mutants.len());
            }
        }
    }

    #[test]
    fn what_the_compiler_complains_about_has_its_mutant() {
        let woven = woven("fn f(a: X) -> Y { g(a + 1) - 2 }");
        let inner = woven.text.find("(a) - (1)").unwrap();
        assert_eq!(woven.blamed(inner..inner + 1), Some(1));
        let outer = woven.text.find("+ (2)").unwrap();
        assert_eq!(woven.blamed(outer..outer + 1), Some(0));
        assert_eq!(woven.blamed(0..1), None);
    }
}
