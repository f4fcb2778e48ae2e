//! YAML events to a tree with positions, bounded in depth and free of aliases, tags and repeated keys.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::policy::document::problems::{At, Diagnostic, Problems, Spanned};
use crate::text::quoted;

/// Lists and mappings that may stand in each other. The deepest document that makes sense needs 6.
const DEEPEST: usize = 12;

/// A value of the tree and where it starts.
#[derive(Debug)]
pub(super) struct Node {
    pub at: At,
    pub value: Value,
}

/// What a node holds.
#[derive(Debug)]
pub(super) enum Value {
    /// A word; the empty word if nothing was said.
    Scalar(String),
    List(Vec<Node>),
    /// In the order of the text; every key once.
    Map(Vec<(Spanned<String>, Node)>),
    /// It was refused, and that was reported.
    Refused,
}

/// The tree of a text; `None` after reporting why there is none.
pub(super) fn read(text: &str, problems: &mut Problems) -> Option<Node> {
    if let Some((at, c)) = control_character(text) {
        let wrong = Diagnostic::new(
            format!("the control character {}", c.escape_unicode()),
            "printable text",
            "remove it, or write it as an escape in double quotes",
        );
        problems.report(at, &wrong);
        return None;
    }
    let mut tree = Tree { open: Vec::new(), root: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(found) => found,
            Err(error) => {
                let what = format!("this is not YAML: {}", error.info());
                let wrong =
                    Diagnostic::new(what, "YAML 1.2", "look at the indentation, quotes and brackets before this place");
                problems.report(position(error.marker().line(), error.marker().col()), &wrong);
                return None;
            }
        };
        tree.event(event, &span, problems)?;
    }
    if tree.root.is_none() {
        let wrong = Diagnostic::new("the document is empty", "a mapping that starts with nicfw: 1", "write a document");
        problems.report(At { line: 1, column: 1 }, &wrong);
    }
    tree.root
}

fn control_character(text: &str) -> Option<(At, char)> {
    let is_bad = |c: char| c.is_control() && !"\n\r\t".contains(c);
    let (line, (column, c)) = text
        .split('\n')
        .enumerate()
        .find_map(|(line, text)| text.chars().enumerate().find(|(_, c)| is_bad(*c)).map(|found| (line, found)))?;
    Some((position(line + 1, column), c))
}

/// A place from a line that counts from 1 and a column that counts from 0.
fn position(line: usize, column: usize) -> At {
    let bounded = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    At { line: bounded(line.max(1)), column: bounded(column.saturating_add(1)) }
}

/// The tree while it grows.
struct Tree {
    open: Vec<Open>,
    root: Option<Node>,
}

/// A list or mapping whose end was not seen yet.
enum Open {
    List(At, Vec<Node>),
    Map { at: At, entries: Vec<(Spanned<String>, Node)>, lines: BTreeMap<String, u32>, key: Option<Spanned<String>> },
}

impl Tree {
    /// Takes one event in; `None` = reading on makes no sense.
    fn event(&mut self, event: Event<'_>, span: &Span, problems: &mut Problems) -> Option<()> {
        let at = position(span.start.line(), span.start.col());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some(), problems);
                let nothing = style == ScalarStyle::Plain && (text.is_empty() || text == "~" || text == "null");
                let text = if nothing { String::new() } else { text.into_owned() };
                self.close(Node { at, value: Value::Scalar(text) }, problems);
            }
            Event::Alias(_) => {
                let wrong = Diagnostic::new("an alias (*)", "the value itself", "write it out, or define a group");
                problems.report(at, &wrong);
                self.close(Node { at, value: Value::Refused }, problems);
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some(), problems);
                self.push(Open::List(at, Vec::new()), at, problems)?;
            }
            Event::MappingStart(anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some(), problems);
                let map = Open::Map { at, entries: Vec::new(), lines: BTreeMap::new(), key: None };
                self.push(map, at, problems)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let node = match self.open.pop()? {
                    Open::List(at, items) => Node { at, value: Value::List(items) },
                    Open::Map { at, entries, .. } => Node { at, value: Value::Map(entries) },
                };
                self.close(node, problems);
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                let wrong = Diagnostic::new(
                    "a second document",
                    "one document a file",
                    "remove the line --- or split the file",
                );
                problems.report(at, &wrong);
                return None;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
        Some(())
    }

    fn push(&mut self, open: Open, at: At, problems: &mut Problems) -> Option<()> {
        if self.open.len() == DEEPEST {
            let what = format!("more than {DEEPEST} lists and mappings in each other");
            problems.report(at, &Diagnostic::new(what, "a flatter document", "look for brackets that are not closed"));
            return None;
        }
        self.open.push(open);
        Some(())
    }

    /// Puts a finished node into what surrounds it.
    fn close(&mut self, node: Node, problems: &mut Problems) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map { entries, lines, key, .. }) => match key.take() {
                None => *key = Some(word_of_key(node, problems)),
                Some(key) => match lines.get(&key.value) {
                    // A key that was refused names nothing.
                    None if key.value.is_empty() => {}
                    None => {
                        lines.insert(key.value.clone(), key.at.line);
                        entries.push((key, node));
                    }
                    Some(first) => {
                        let what = format!("key {} is there already (first in line {first})", quoted(&key.value));
                        problems.report(key.at, &Diagnostic::new(what, "each key once", "rename it or remove it"));
                    }
                },
            },
        }
    }
}

/// The word of a key; a key of another kind is reported and becomes the empty word.
fn word_of_key(node: Node, problems: &mut Problems) -> Spanned<String> {
    let word = match node.value {
        Value::Scalar(word) if !word.is_empty() => word,
        Value::Refused => String::new(),
        Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
            let wrong = Diagnostic::new("a key that is not a word", "a word before the colon", "quote it if it is one");
            problems.report(node.at, &wrong);
            String::new()
        }
    };
    Spanned::new(node.at, word)
}

fn refuse_extras(at: At, anchor: usize, tag: bool, problems: &mut Problems) {
    if anchor != 0 {
        let wrong = Diagnostic::new("an anchor (&)", "a plain value", "leave it out; groups name what is used often");
        problems.report(at, &wrong);
    }
    if tag {
        let wrong = Diagnostic::new("a tag (!)", "a plain value", "leave it out; the key says what the value is");
        problems.report(at, &wrong);
    }
}
