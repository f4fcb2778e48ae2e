//! Links between the repository's pages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::pages::{Page, pages, read, root};

/// The file that a relative link means, from the root; `None` if it leaves the repository.
fn target(page: &Path, link: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in page.parent().unwrap().join(link).components() {
        match part {
            Component::ParentDir => path.pop().then_some(())?,
            Component::Normal(part) => path.push(part),
            _ => {}
        }
    }
    Some(path)
}

/// What is wrong with the links of a page.
fn dead(page: &Path, content: &Page, anchors: &BTreeMap<PathBuf, Vec<String>>) -> Vec<String> {
    let mut dead = Vec::new();
    for (link, line) in &content.links {
        if ["https://", "http://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
            continue;
        }
        let (file, anchor) = link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
        let to = if file.is_empty() { Some(page.to_owned()) } else { target(page, file) };
        let is_there = to.as_ref().is_some_and(|to| root().join(to).exists());
        let has_anchor = anchor.is_none_or(|anchor| {
            to.and_then(|to| anchors.get(&to)).is_some_and(|anchors| anchors.iter().any(|one| one == anchor))
        });
        if !is_there || !has_anchor {
            dead.push(format!("{}:{line}: {link} leads nowhere", page.display()));
        }
    }
    dead
}

#[test]
fn links_lead_to_files_and_headings() {
    let all: BTreeMap<PathBuf, Page> =
        pages().into_iter().map(|path| (path.clone(), Page::parse(&read(path)))).collect();
    let anchors = all.iter().map(|(path, page)| (path.clone(), page.anchors.clone())).collect();
    let dead: Vec<_> = all.iter().flat_map(|(path, page)| dead(path, page, &anchors)).collect();
    assert!(dead.is_empty(), "{}", dead.join("\n"));
    assert!(all.values().map(|page| page.links.len()).sum::<usize>() > 50, "links are found");
}

#[test]
fn dead_links_are_found() {
    let anchors = BTreeMap::from([(PathBuf::from("docs/import.md"), vec!["b".to_owned()])]);
    let text = "[1](../README.md) [2](import.md#b) [3](#b) [4](import.md#c) [5](none.md) [6](../../x) [7](https://a.b)";
    let dead_of = |page: &str| dead(Path::new(page), &Page::parse(text), &anchors);
    let dead = dead_of("docs/import.md");
    assert_eq!(dead.len(), 3, "{dead:?}");
    for link in ["import.md#c", "none.md", "../../x"] {
        assert!(dead.iter().any(|line| line == &format!("docs/import.md:1: {link} leads nowhere")), "{dead:?}");
    }
    assert_eq!(dead_of("docs/limits.md").len(), 4, "#b of another page");
}

#[test]
fn every_document_is_reached_from_the_index() {
    let index = Page::parse(&read("docs/README.md"));
    let linked: BTreeSet<_> =
        index.links.iter().filter_map(|(link, _)| target(Path::new("docs/README.md"), link)).collect();
    let lost: Vec<_> = pages().into_iter().filter(|page| page.starts_with("docs") && !linked.contains(page)).collect();
    assert!(lost.iter().all(|page| page == Path::new("docs/README.md")), "not in docs/README.md: {lost:?}");
}

#[test]
fn the_front_page_fits_a_few_screens() {
    let front = read("README.md");
    assert!(front.len() <= 10_000, "{} bytes: move something to docs/", front.len());
    let version = read("Cargo.toml");
    let version = version.split("\nrust-version = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(front.contains(&format!("Rust {version} or later")), "the README asks for another Rust than Cargo.toml");
}

#[test]
fn the_program_in_the_page_about_embedding_is_the_example() {
    let page = Page::parse(&read("docs/embedding.md"));
    let shown: Vec<_> = page.snippets.iter().filter(|snippet| snippet.info == "rust").collect();
    assert_eq!(shown.len(), 1, "the Rust program");
    assert_eq!(
        shown[0].text,
        read("examples/embed.rs"),
        "docs/embedding.md shows another program than examples/embed.rs"
    );
}
