//! What code and documents cite of the pages about hardware is there.

use std::collections::BTreeSet;
use std::path::Path;

use crate::pages::{files, pages, read};

/// The numbers of a page's headings, such as `4` and `4.3`.
fn sections(page: &str) -> BTreeSet<String> {
    let headings = read(page).lines().filter_map(|line| line.strip_prefix("##")).map(str::to_owned).collect::<Vec<_>>();
    let number = |heading: &String| {
        let number = heading.trim_start_matches('#').split_whitespace().next()?.trim_end_matches('.').to_owned();
        number.starts_with(|c: char| c.is_ascii_digit()).then_some(number)
    };
    headings.iter().filter_map(number).collect()
}

/// Text as it reads: without the marks that begin lines of comments, and in one line.
fn prose(text: &str) -> String {
    text.lines()
        .map(|line| line.trim().trim_start_matches(['/', '!', '*', '#', '|']).trim())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The section numbers that follow a name: `4`, `4.1 and 4.3`, `5.1 to 5.5, 7.1`.
fn cited(rest: &str) -> Vec<String> {
    let mut cited = Vec::new();
    for word in rest.split_whitespace() {
        let number = word.trim_end_matches([',', '.', ';', ':', ')', '`']);
        let is_number = number.starts_with(|c: char| c.is_ascii_digit())
            && number.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        if is_number {
            cited.push(number.to_owned());
            if word.ends_with(['.', ';', ':', ')']) {
                break;
            }
        } else if !["and", "to"].contains(&word) {
            break;
        }
    }
    cited
}

fn citations(text: &str, page: &str) -> Vec<String> {
    let prose = prose(text);
    prose.split(page).skip(1).flat_map(|rest| cited(rest.trim_start_matches('`'))).collect()
}

#[test]
fn what_is_cited_of_the_hardware_s_pages_is_there() {
    for (page, name, least) in
        [("docs/hardware/ef10.md", "ef10.md", 140), ("docs/hardware/linux-sfc.md", "linux-sfc.md", 0)]
    {
        let sections = sections(page);
        assert!(sections.len() > 9, "{page}: {sections:?}");
        let (mut seen, mut wrong) = (0, Vec::new());
        for file in files() {
            let kind = file.extension().and_then(|ext| ext.to_str()).unwrap_or("");
            if !["rs", "c", "h", "md", "py", "sh", "toml", "yaml"].contains(&kind) || file.starts_with("tests/docs") {
                continue;
            }
            let Ok(text) = std::fs::read_to_string(crate::pages::root().join(&file)) else { continue };
            for section in citations(&text, name) {
                seen += 1;
                if !sections.contains(&section) {
                    wrong.push(format!("{}: {name} {section}", file.display()));
                }
            }
        }
        assert!(seen >= least, "{name} is cited {seen} times");
        assert!(wrong.is_empty(), "sections that are not there:\n{}", wrong.join("\n"));
    }
}

/// The last column of the model's table of commands: sections of ef10.md, and `probe N` of linux-sfc.md.
#[test]
fn the_model_s_table_of_commands_cites_sections_that_are_there() {
    let table = files().into_iter().find(|file| file.ends_with("commands.md") && !file.starts_with("docs")).unwrap();
    let (ef10, probe) = (sections("docs/hardware/ef10.md"), sections("docs/hardware/linux-sfc.md"));
    let mut seen = 0;
    for row in read(&table).lines().filter(|line| line.starts_with("| 0x")) {
        let sources = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for source in sources.split(',').map(str::trim) {
            let is_there = match source.strip_prefix("probe ") {
                Some(section) => probe.contains(section),
                None => ["header", "own", "sfc"].contains(&source) || ef10.contains(source),
            };
            assert!(is_there, "{}: {source:?} in {row}", table.display());
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} sources");
}

/// A document that is named anywhere in the code is in the repository.
#[test]
fn documents_that_are_named_are_there() {
    let there: Vec<_> = pages();
    let mut missing = Vec::new();
    for file in files() {
        let kind = file.extension().and_then(|ext| ext.to_str()).unwrap_or("");
        if !["rs", "c", "h", "md", "toml"].contains(&kind) || file.starts_with("tests/docs") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(crate::pages::root().join(&file)) else { continue };
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && !"_-./".contains(c)) {
            let named = word.trim_start_matches(['.', '/']).trim_end_matches('.');
            let named = named.rsplit("../").next().unwrap_or(named);
            let is_page = named.strip_suffix(".md").is_some_and(|stem| !stem.is_empty());
            if is_page && !word.contains("github.com") && !there.iter().any(|page| page.ends_with(named)) {
                missing.push(format!("{}: {named}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "documents that are not there:\n{}", missing.join("\n"));
    assert!(there.iter().any(|page| page == Path::new("docs/changes.md")));
}

#[test]
fn citations_are_read_as_they_are_written() {
    let all = |text: &str| citations(text, "ef10.md");
    assert_eq!(all("//! By ef10.md 4.9, 5.1 to 5.5\n//! and 7.1; 3 more"), ["4.9", "5.1", "5.5", "7.1"]);
    assert_eq!(all("(ef10.md 4.4: 10 s in Linux)"), ["4.4"]);
    assert_eq!(all("ef10.md 7.8, point 8, and `ef10.md` 6."), ["7.8", "6"]);
    assert!(all("[ef10.md](ef10.md)").is_empty());
}
