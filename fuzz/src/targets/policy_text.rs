//! Policy files, read and written.

use nicfw::clock::Timestamp;
use nicfw::policy::{Document, FlowText};
use nicfw::tables::{CompileError, Compiled, Target};

/// Larger documents are parsed only: how long compiling takes is another question.
const SMALL: usize = 12;

/// Reads the input as a policy file; a small one is written, read again and compiled.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let document = match Document::parse(text, "input.yaml") {
        Ok(document) => document,
        Err(errors) => return assert!(!errors.to_string().is_empty()),
    };
    let rules: usize = document.policies.iter().map(|policy| policy.rules.len()).sum();
    let small = rules <= SMALL && document.bindings.len() <= SMALL && document.management.len() <= SMALL;
    if !small {
        return;
    }
    write(&document);
    match Compiled::new(&document, &Target::profile0(), None) {
        Ok(compiled) => decide(&document, &compiled),
        Err(error @ (CompileError::Disagrees { .. } | CompileError::MapDisagrees { .. } | CompileError::Map(_))) => {
            panic!("{error}")
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What is written is read as the same document; so is what is left of it when all dates have passed.
fn write(document: &Document) {
    for document in [document, &document.without_expired(Timestamp::LAST)] {
        let text = document.to_text();
        let restored = Document::restore(&text, &document.name, &document.origin_lines());
        assert_eq!(restored.as_ref(), Ok(document), "{text}");
    }
}

/// The tables decide about each binding's own addresses as the text does.
fn decide(document: &Document, compiled: &Compiled) {
    for ip in document.bindings.iter().flat_map(|binding| &binding.ips).filter(|ip| ip.is_ipv4()) {
        for words in [format!("tcp 198.51.100.7:40000 > {ip}:443"), format!("udp {ip}:40000 > 198.51.100.7:53")] {
            let Ok(flow) = words.parse::<FlowText>() else { continue };
            for flow in flow.judgements(document).unwrap_or_default() {
                assert_eq!(compiled.explain(&flow).verdict(), document.decide(&flow).verdict, "{words}");
            }
        }
    }
    let _ = (compiled.document().openings(), compiled.warnings());
}
