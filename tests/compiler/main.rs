//! The compiler from outside: what it makes decides as the reference evaluator does, or it refuses.

mod documents;

use documents::{document, flow};
use nicfw::policy::{CompileError, Compiled, Document, Flow};
use nicfw::tables::{Sizes, Target};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

/// A refusal that says what the tables cannot hold; not one that shows an error of the compiler.
fn is_sound(error: &CompileError) -> bool {
    !matches!(error, CompileError::Disagrees { .. } | CompileError::Map(_))
}

fn agree(document: &Document, compiled: &Compiled, flows: &[Flow], seed: u64) -> Result<(), TestCaseError> {
    for flow in flows {
        let expected = document.decide(flow);
        let judged = compiled.image().judge(flow, &compiled.target().profile, seed);
        prop_assert_eq!(judged.verdict, expected.verdict, "{:?} {}", flow, document.describe(&expected));
    }
    Ok(())
}

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

proptest! {
    #![proptest_config(Config { cases: 300, ..Config::default() })]

    #[test]
    fn image_and_evaluator_agree(
        document in document(4),
        flows in prop::collection::vec(flow(), 300),
        seed in any::<u64>(),
    ) {
        match Compiled::new(&document, &Target::profile0(), None) {
            Ok(compiled) => agree(&document, &compiled, &flows, seed)?,
            Err(error) => prop_assert!(is_sound(&error), "{error:?}"),
        }
    }

    #[test]
    fn tiny_tables_agree_or_refuse(
        document in document(3),
        flows in prop::collection::vec(flow(), 100),
        seed in any::<u64>(),
    ) {
        match Compiled::new(&document, &tiny(), None) {
            Ok(compiled) => {
                prop_assert!(compiled.image().rules.len() <= 20);
                prop_assert!(compiled.image().subnets.as_ref().is_none_or(|map| map.nodes.len() <= 8));
                agree(&document, &compiled, &flows, seed)?;
            }
            Err(error) => prop_assert!(is_sound(&error), "{error:?}"),
        }
    }

    #[test]
    fn differences_are_all_and_only_the_flows_that_change(
        old in document(2),
        new in document(2),
        flows in prop::collection::vec(flow(), 200),
    ) {
        let compile = |document| Compiled::new(document, &Target::profile0(), None);
        let (Ok(a), Ok(b)) = (compile(&old), compile(&new)) else { return Ok(()) };
        let differences = a.diff(&b);
        for difference in &differences {
            let witness = &difference.witness;
            prop_assert_eq!(new.decide(witness).verdict, difference.verdict, "{} {:?}", difference, witness);
            prop_assert_ne!(old.decide(witness).verdict, difference.verdict, "{} {:?}", difference, witness);
        }
        for flow in &flows {
            if old.decide(flow).verdict != new.decide(flow).verdict {
                let covers = |d: &nicfw::policy::Difference| {
                    d.direction == flow.direction && d.verdict == new.decide(flow).verdict
                };
                prop_assert!(differences.iter().any(covers), "{flow:?}");
            }
        }
        prop_assert!(a.diff(&a).is_empty());
    }

    #[test]
    fn the_previous_result_changes_names_only(
        old in document(3),
        new in document(3),
        flows in prop::collection::vec(flow(), 100),
    ) {
        let Ok(before) = Compiled::new(&old, &Target::profile0(), None) else { return Ok(()) };
        let again = Compiled::new(&old, &Target::profile0(), Some(&before)).unwrap();
        prop_assert_eq!(again.image(), before.image());
        let (alone, after) = (Compiled::new(&new, &Target::profile0(), None), Compiled::new(&new, &Target::profile0(), Some(&before)));
        match (alone, after) {
            (Ok(alone), Ok(after)) => {
                prop_assert_eq!(alone.image().rules.len(), after.image().rules.len());
                agree(&new, &after, &flows, 1)?;
            }
            (alone, after) => prop_assert_eq!(alone.err(), after.err()),
        }
    }
}

#[test]
fn random_documents_mostly_compile() {
    let mut runner = TestRunner::deterministic();
    let strategy = document(3);
    let mut refused = std::collections::BTreeMap::new();
    for _ in 0..200 {
        let document = strategy.new_tree(&mut runner).unwrap().current();
        if let Err(error) = Compiled::new(&document, &Target::profile0(), None) {
            let kind = format!("{error:?}").split([' ', '(']).next().unwrap_or_default().to_owned();
            *refused.entry(kind).or_insert(0) += 1;
        }
    }
    let all: i32 = refused.values().sum();
    assert!(all < 140, "of 200 documents were refused: {refused:?}");
}
