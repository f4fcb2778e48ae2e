//! The repository's files, and the parts of a Markdown page.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the repository, by its path from the root; without what git and cargo keep.
pub fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !["target", ".git"].contains(&name) {
                    open.push(path);
                }
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The Markdown pages of the repository.
pub fn pages() -> Vec<PathBuf> {
    files().into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "md")).collect()
}

pub fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A block of code.
#[derive(Debug)]
pub struct Snippet {
    /// What stands behind the opening fence.
    pub info: String,
    pub text: String,
    /// Line of the fence, from 1.
    pub line: usize,
}

/// What is looked at of a page.
#[derive(Debug, Default)]
pub struct Page {
    /// Anchors of the headings, as GitHub makes them.
    pub anchors: Vec<String>,
    /// Destinations of links and images, with their lines.
    pub links: Vec<(String, usize)>,
    pub snippets: Vec<Snippet>,
    /// Code within lines, with its line.
    pub code: Vec<(String, usize)>,
}

impl Page {
    pub fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let (mut heading, mut snippet) = (None::<String>, None::<Snippet>);
        let mut repeated = BTreeMap::<String, usize>::new();
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = text[..range.start].matches('\n').count() + 1;
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap());
                    let seen = repeated.entry(anchor.clone()).or_default();
                    page.anchors.push(if *seen == 0 { anchor } else { format!("{anchor}-{seen}") });
                    *seen += 1;
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((dest_url.into_string(), line));
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    snippet = Some(Snippet { info: info.into_string(), text: String::new(), line });
                }
                Event::End(TagEnd::CodeBlock) => page.snippets.extend(snippet.take()),
                Event::Text(_) | Event::Code(_) => {
                    if let Event::Code(code) = &event {
                        page.code.push((code.to_string(), line));
                    }
                    let (Event::Text(words) | Event::Code(words)) = event else { continue };
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                    if let Some(snippet) = &mut snippet {
                        snippet.text.push_str(&words);
                    }
                }
                _ => {}
            }
        }
        page
    }
}

/// The anchor of a heading: lower case, words joined by dashes, without punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn a_page_is_read_as_it_is_shown() {
    let page = Page::parse(
        "# The `rules` engine: 1\n\n[a](b.md#c) ![d](e.svg)\n\n```yaml rules\n- x\n```\n\n## Same\n## Same\n",
    );
    assert_eq!(page.anchors, ["the-rules-engine-1", "same", "same-1"]);
    assert_eq!(page.links, [("b.md#c".to_owned(), 3), ("e.svg".to_owned(), 3)]);
    assert_eq!((page.snippets[0].info.as_str(), page.snippets[0].text.as_str()), ("yaml rules", "- x\n"));
}
