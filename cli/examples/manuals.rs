//! Writes what a package ships beside the programs, below the directory that it is told: manual pages, and completions for
//! bash, zsh and fish. What is about the programs comes from their own command lines, so it cannot say anything else than
//! they do. Documents that are named behind the directory, such as docs/policy.md, become pages of section 5.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap_complete::Shell;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Shell, and where a distribution keeps completions for it.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "usr/share/bash-completion/completions"),
    (Shell::Zsh, "usr/share/zsh/vendor-completions"),
    (Shell::Fish, "usr/share/fish/vendor_completions.d"),
];

fn folder(root: &Path, name: &str) -> io::Result<PathBuf> {
    let folder = root.join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let Some(root) = arguments.next() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: manuals DIRECTORY [DOCUMENT...]"));
    };
    let root = Path::new(&root);
    for mut program in nicfw_cli::programs() {
        let name = program.get_name().to_owned();
        for (shell, place) in COMPLETIONS {
            let file = clap_complete::generate_to(shell, &mut program, &name, folder(root, place)?)?;
            // bash-completion looks for a file that is called as the program is.
            if shell == Shell::Bash {
                fs::rename(&file, file.with_file_name(&name))?;
            }
        }
        clap_mangen::generate_to(program, folder(root, "usr/share/man/man1")?)?;
    }
    for document in arguments {
        let document = Path::new(&document);
        let name = format!("nicfw-{}", document.file_stem().unwrap_or_default().display());
        let page = page(&fs::read_to_string(document)?, &name);
        fs::write(folder(root, "usr/share/man/man5")?.join(format!("{name}.5")), page)?;
    }
    Ok(())
}

/// The manual page of a document: its title names it, a heading is a section, a row of a table is an item.
fn page(markdown: &str, name: &str) -> String {
    let mut page = Page::default();
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        page.add(event, name);
    }
    page.roff
}

#[derive(Default)]
struct Page {
    roff: String,
    /// What the open heading, cell or link says.
    words: Option<String>,
    link: Option<String>,
    /// Cells of the row, and those of the table's head.
    row: Vec<String>,
    head: Vec<String>,
    /// Numbers of the open lists; `None` = bullets.
    lists: Vec<Option<u64>>,
    is_code: bool,
    /// An item's first paragraph stands beside its mark.
    begins_item: bool,
}

impl Page {
    fn add(&mut self, event: Event<'_>, name: &str) {
        match event {
            Event::Start(Tag::Heading { .. } | Tag::TableCell) => self.words = Some(String::new()),
            Event::End(TagEnd::Heading(level)) => {
                let words = self.words.take().unwrap_or_default();
                match level {
                    HeadingLevel::H1 => {
                        let version = env!("CARGO_PKG_VERSION");
                        self.line(&format!(".TH \"{}\" \"5\" \"\" \"nicfw {version}\"", escape(name)));
                        let what = words.strip_prefix("The ").unwrap_or(&words);
                        self.line(&format!(".SH NAME\n{} \\- {what} of nicfw\n.SH DESCRIPTION", escape(name)));
                    }
                    HeadingLevel::H2 => self.line(&format!(".SH \"{}\"", words.to_uppercase())),
                    _ => self.line(&format!(".SS \"{words}\"")),
                }
            }
            Event::Start(Tag::Paragraph) if !std::mem::take(&mut self.begins_item) => self.line(".PP"),
            Event::End(TagEnd::Paragraph) => self.line(""),
            Event::Start(Tag::CodeBlock(_)) => {
                self.is_code = true;
                self.line(".PP\n.RS 4\n.nf");
            }
            Event::End(TagEnd::CodeBlock) => {
                self.is_code = false;
                self.line(".fi\n.RE");
            }
            Event::Start(Tag::List(first)) => self.lists.push(first),
            Event::End(TagEnd::List(_)) => _ = self.lists.pop(),
            Event::Start(Tag::Item) => {
                self.begins_item = true;
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!(".IP {}. 4", *number - 1)
                    }
                    _ => ".IP \\(bu 2".to_owned(),
                };
                self.line(&mark);
            }
            Event::End(TagEnd::Item) => self.line(""),
            Event::End(TagEnd::TableCell) => self.row.extend(self.words.take()),
            Event::End(TagEnd::TableHead) => self.head = std::mem::take(&mut self.row),
            Event::End(TagEnd::TableRow) => {
                let cells = std::mem::take(&mut self.row);
                let told = cells.iter().zip(&self.head).skip(1).enumerate().filter(|(_, (cell, _))| !cell.is_empty());
                // The column beside the first needs no name.
                let told: Vec<_> = told
                    .map(|(i, (cell, head))| if i == 0 { cell.clone() } else { format!("{head}: {cell}") })
                    .collect();
                let first = cells.first().map_or("", String::as_str);
                self.line(&format!(".TP\n{first}\n{}", told.join(".\n")));
            }
            Event::Start(Tag::Strong) => self.push("\\fB"),
            Event::Start(Tag::Emphasis) => self.push("\\fI"),
            Event::End(TagEnd::Strong | TagEnd::Emphasis) => self.push("\\fR"),
            Event::Start(Tag::Link { dest_url, .. }) => self.link = Some(dest_url.into_string()),
            Event::End(TagEnd::Link) => {
                if let Some(link) = self.link.take().filter(|link| link.starts_with("https://")) {
                    self.push(&format!(" (<{}>)", escape(&link)));
                }
            }
            Event::Code(words) => self.push(&format!("\\fB{}\\fR", escape(&words))),
            Event::Text(words) if self.is_code => {
                for line in words.lines() {
                    self.line(&safe(&escape(line)));
                }
            }
            Event::Text(words) => self.push(&escape(&words)),
            Event::SoftBreak | Event::HardBreak => self.push(if self.words.is_some() { " " } else { "\n" }),
            _ => {}
        }
    }

    /// Words of whatever is open.
    fn push(&mut self, words: &str) {
        match &mut self.words {
            Some(open) => open.push_str(words),
            None => {
                let begins_line = self.roff.is_empty() || self.roff.ends_with('\n');
                self.roff.push_str(&if begins_line { safe(words) } else { words.to_owned() });
            }
        }
    }

    /// A line of its own; nothing for an empty one but the end of the line before.
    fn line(&mut self, line: &str) {
        if !self.roff.is_empty() && !self.roff.ends_with('\n') {
            self.roff.push('\n');
        }
        if !line.is_empty() {
            self.roff.push_str(line);
            self.roff.push('\n');
        }
    }
}

/// Text in which nothing is a request of roff's but what begins a line.
fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga")
}

/// The same at the beginning of a line.
fn safe(line: &str) -> String {
    if line.starts_with('.') { format!("\\&{line}") } else { line.to_owned() }
}

#[test]
fn a_document_becomes_a_page() {
    let markdown = "# The language\n\nOne `key` a-b,\nand **more**.\n\n## Keys\n\n| key | value | without it |\n|---|---|---|\n| `a` | x | y |\n\n\
                    ```yaml\n.a: 'b'\n```\n\n1. [one](#x)\n2. [two](https://a.b)\n\n### Less\n\n- c\n";
    let expected = format!(
        ".TH \"nicfw\\-x\" \"5\" \"\" \"nicfw {}\"\n.SH NAME\nnicfw\\-x \\- language of nicfw\n.SH DESCRIPTION\n.PP\n\
         One \\fBkey\\fR a\\-b,\nand \\fBmore\\fR.\n.SH \"KEYS\"\n.TP\n\\fBa\\fR\nx.\nwithout it: y\n\
         .PP\n.RS 4\n.nf\n\\&.a: \\(aqb\\(aq\n.fi\n.RE\n.IP 1. 4\none\n.IP 2. 4\ntwo (<https://a.b>)\n.SS \"Less\"\n.IP \\(bu 2\nc\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(page(markdown, "nicfw-x"), expected);
}
