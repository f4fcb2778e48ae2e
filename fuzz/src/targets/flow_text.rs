//! Flows in words.

use std::sync::LazyLock;

use nicfw::policy::{Document, FlowText};
use nicfw::tables::{Compiled, Target};

static COMPILED: LazyLock<Compiled> = LazyLock::new(|| {
    let document = Document::parse(include_str!("../../../cli/demo/shop.yaml"), "shop.yaml").expect("a sound file");
    Compiled::new(&document, &Target::profile0(), None).expect("a policy that fits")
});

/// Reads a flow, writes it and reads it again, and asks what becomes of it.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let flow: FlowText = match text.parse() {
        Ok(flow) => flow,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(flow.to_string().parse().as_ref(), Ok(&flow), "{flow}");
    for flow in flow.judgements(COMPILED.document()).unwrap_or_default() {
        assert_eq!(COMPILED.explain(&flow).verdict(), COMPILED.document().decide(&flow).verdict, "{flow:?}");
    }
}
