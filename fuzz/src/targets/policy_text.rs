//! Policy files.

use nicfw::policy::{CompileError, Compiled, Document, FlowText};
use nicfw::tables::Target;

/// Larger documents are parsed only: how long compiling takes is another question.
const SMALL: usize = 12;

/// Reads the input as a policy file; a small one is compiled.
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
    match Compiled::new(&document, &Target::profile0(), None) {
        Ok(compiled) => decide(&document, &compiled),
        Err(error @ (CompileError::Disagrees { .. } | CompileError::Map(_))) => panic!("{error}"),
        Err(error) => assert!(!error.to_string().is_empty()),
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
    let _ = (compiled.openings(), compiled.warnings());
}
