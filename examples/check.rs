//! Reads a policy, compiles it for the usual adapter and says what it costs and what it leaves open. Needs no adapter.
//!
//! ```text
//! cargo run --example check -- cli/demo/shop.yaml
//! ```

use std::error::Error;
use std::fs;

use nicfw::Target;
use nicfw::policy::{Document, FlowText};
use nicfw::tables::Compiled;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("which policy file?")?;
    // Everything that is wrong with the text comes at once, each with line and column.
    let document = Document::parse(&fs::read_to_string(&file)?, &file)?;
    for warning in document.warnings() {
        println!("warning: {warning}");
    }
    // Pure: the same document and target give the same tables, and the proof that they do what the document says.
    let compiled = Compiled::new(&document, &Target::profile0(), None)?;
    for usage in compiled.usage() {
        println!("{}: {} of {}", usage.table, usage.needed, usage.available);
    }
    for opening in compiled.document().openings() {
        println!("open: {}", opening.text);
    }
    // What becomes of one flow, and which entry decides it.
    let flow: FlowText = "tcp 10.20.3.4:51000 > 10.30.1.17:443".parse()?;
    for flow in flow.judgements(&document)? {
        println!("{}", compiled.explain(&flow).text);
    }
    Ok(())
}
