//! The compiler against the reference evaluator: what it makes decides as the text does, or it refuses.

use arbitrary::Unstructured;
use nicfw::policy::Document;
use nicfw::tables::{CompileError, Compiled, Sizes, Target};
use nicfw::terms::Flow;

use crate::documents::{document, flow};

/// Flows of one input.
const FLOWS: usize = 48;

/// The input becomes flows, then two documents, the second compiled after the first.
pub fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let Ok((seed, small)) = u.arbitrary::<(u8, bool)>() else { return };
    let target = if small { tiny() } else { Target::profile0() };
    let (Ok(first), Ok(second)) = (document(&mut u), document(&mut u)) else { return };
    let flows: Vec<Flow> = std::iter::from_fn(|| flow(&mut u).ok()).take(FLOWS).collect();
    let before = compile(&first, &target, None);
    if let Some(before) = &before {
        agree(&first, before, &flows, seed);
        assert_eq!(before.diff(before), []);
    }
    let Some(after) = compile(&second, &target, before.as_ref()) else { return };
    agree(&second, &after, &flows, seed);
    for difference in before.iter().flat_map(|before| before.diff(&after)) {
        let witness = &difference.witness;
        assert_eq!(second.decide(witness).verdict, difference.verdict, "{difference}");
        assert_ne!(first.decide(witness).verdict, difference.verdict, "{difference}");
    }
}

fn compile(document: &Document, target: &Target, previous: Option<&Compiled>) -> Option<Compiled> {
    match Compiled::new(document, target, previous) {
        Ok(compiled) => Some(compiled),
        Err(error @ (CompileError::Disagrees { .. } | CompileError::MapDisagrees { .. } | CompileError::Map(_))) => {
            panic!("{error}: {document:?}")
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

fn agree(document: &Document, compiled: &Compiled, flows: &[Flow], seed: u8) {
    let judgements = compiled.image().judge_all(flows, &compiled.target().profile, seed.into());
    for (flow, judged) in flows.iter().zip(judgements) {
        let expected = document.decide(flow);
        assert_eq!(judged.verdict, expected.verdict, "{flow:?} {}", document.describe(&expected));
        assert_eq!(compiled.explain(flow).verdict(), expected.verdict, "{flow:?}");
    }
    let _ = (compiled.document().openings(), compiled.warnings());
}

/// Tables that are soon full.
fn tiny() -> Target {
    let mut target = Target::profile0();
    target.sizes = Sizes {
        subnet_nodes: 8,
        subnet_id_max: target.sizes.subnet_id_min + 5,
        port_tree_entries: 15,
        portrange_id_max: 6,
        ..target.sizes
    };
    target.profile.rules = 20;
    target.profile.counters = 4;
    target
}
