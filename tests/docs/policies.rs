//! Every policy that a document shows is read, checked and compiled; what it shows as refused is refused in those words.

use nicfw::Target;
use nicfw::policy::Document;
use nicfw::tables::Compiled;

use crate::pages::{Page, Snippet, pages, read};

/// The whole document of a snippet. A fragment says behind its fence what it is: `yaml rules`, `yaml bindings` or
/// `yaml keys` (of a document); the rest comes from this frame, which docs/policy.md states.
fn whole(snippet: &Snippet) -> Option<String> {
    let mut words = snippet.info.split_whitespace();
    if words.next() != Some("yaml") {
        return None;
    }
    let kind = words.next().filter(|word| *word != "refused");
    let indented = |by: &str| snippet.text.lines().map(|line| format!("{by}{line}\n")).collect::<String>();
    let policy = "  web:\n    - {allow: in, proto: tcp, local_ports: 443}\n";
    let binding = "  - {container: shop-1, ip: 10.30.1.17, mac: \"02:00:0a:1e:01:11\", attach: sriov, policy: web}\n";
    let (mut head, mut policies, mut bindings) =
        ("nicfw: 1\nunbound: allow\nmulticast: deny\n".to_owned(), policy.to_owned(), binding.to_owned());
    head += match kind {
        None => return Some(snippet.text.clone()),
        Some("rules") => {
            policies = format!("  web:\n{}", indented("    "));
            "groups: {office: [10.20.0.0/16, 10.21.0.0/16]}\n"
        }
        Some("bindings") => {
            bindings = indented("  ");
            ""
        }
        Some("keys") => &snippet.text,
        Some(other) => panic!("line {}: a fragment of what? {other}", snippet.line),
    };
    for (key, value) in [("policies", &policies), ("bindings", &bindings)] {
        if !head.starts_with(&format!("{key}:")) && !head.contains(&format!("\n{key}:")) {
            head += &format!("{key}:\n{value}");
        }
    }
    Some(head)
}

#[test]
fn every_policy_in_a_document_is_sound_and_fits_or_is_refused_as_it_says() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for path in pages() {
        let page = Page::parse(&read(&path));
        for (i, snippet) in page.snippets.iter().enumerate() {
            let Some(text) = whole(snippet) else { continue };
            let place = format!("{}:{}", path.display(), snippet.line);
            seen += 1;
            let refused = match Document::parse(&text, "web.yaml") {
                Err(errors) => Some(errors.to_string()),
                Ok(document) => {
                    Compiled::new(&document, &Target::profile0(), None).err().map(|error| error.to_string())
                }
            };
            let next = page.snippets.get(i + 1).filter(|next| next.info == "text").map(|next| next.text.trim());
            match (snippet.info.ends_with(" refused"), refused, next) {
                (false, None, _) => {}
                (false, Some(refused), _) => wrong.push(format!("{place} is refused: {refused}\n{text}")),
                (true, None, _) => wrong.push(format!("{place} is not refused:\n{text}")),
                (true, Some(refused), Some(says)) if refused.contains(says) => {}
                (true, Some(refused), _) => wrong.push(format!("{place} does not say how it is refused: {refused}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 20, "{seen} policies");
}

/// The keys of a mapping, as the parser lists them when it meets an unknown one.
fn keys(text: &str) -> Vec<String> {
    let errors = Document::parse(text, "x").unwrap_err().to_string();
    let (_, keys) = errors.split_once("has no key \"zzz\"; expected one of ").unwrap_or_else(|| panic!("{errors}"));
    keys.split(';').next().unwrap().split(", ").map(str::to_owned).collect()
}

#[test]
fn every_key_of_the_language_is_described_and_shown() {
    let head = "nicfw: 1\nunbound: allow\nmulticast: deny\n";
    let page = read("docs/policy.md");
    let shown: String = Page::parse(&page)
        .snippets
        .iter()
        .filter(|snippet| snippet.info.starts_with("yaml"))
        .map(|snippet| snippet.text.as_str())
        .collect();
    let mut seen = 0;
    for text in [
        format!("{head}zzz: 1\n"),
        format!("{head}policies: {{web: [{{allow: in, zzz: 1}}]}}\n"),
        format!("{head}management: [{{allow: in, zzz: 1}}]\n"),
        format!("{head}bindings: [{{zzz: 1}}]\n"),
        format!("{head}policies: {{web: [{{allow: in, remote: {{of: any, zzz: 1}}}}]}}\n"),
    ] {
        for key in keys(&text) {
            assert!(page.contains(&format!("`{key}`")), "docs/policy.md does not describe {key}");
            let is_shown = shown.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == key);
            assert!(is_shown && shown.contains(&format!("{key}:")), "docs/policy.md has no example with {key}");
            seen += 1;
        }
    }
    assert_eq!(seen, 10 + 15 + 16 + 15 + 2, "keys of the language");
}
