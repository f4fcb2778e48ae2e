//! Ranked lookup orders: what is compiled for one decides as the evaluator does, or it is refused.

use nicfw::policy::{Compiled, Document, Flow, Why};
use nicfw::tables::Target;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::documents::{document, flow};
use crate::orders::{locals, ranked, shuffled, specific_first, target};
use crate::{agree, is_sound};

/// The entry that decides above the base carries the rule that decides.
fn names_the_rule(compiled: &Compiled, flow: &Flow) -> Result<(), TestCaseError> {
    let explained = compiled.explain(flow);
    let Some(entry) = explained.entry.filter(|entry| !entry.key.is_base()) else { return Ok(()) };
    let Why::Rule { place, .. } = explained.decision.why else { return Ok(()) };
    let rules = entry.origins.iter().filter_map(|id| compiled.origin(*id)?.rule).collect::<Vec<_>>();
    prop_assert!(rules.contains(&place), "{:?}: {} is for {:?}, not for {:?}", flow, entry.key, rules, place);
    Ok(())
}

fn check(document: &Document, target: &Target, flows: &[Flow]) -> Result<bool, TestCaseError> {
    match Compiled::new(document, target, None) {
        Ok(compiled) => {
            agree(document, &compiled, flows, 0)?;
            flows.iter().try_for_each(|flow| names_the_rule(&compiled, flow))?;
            Ok(true)
        }
        Err(error) => {
            prop_assert!(is_sound(&error), "{error:?}");
            Ok(false)
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 200, ..Config::default() })]

    #[test]
    fn any_order_agrees_or_refuses(
        document in document(4),
        flows in prop::collection::vec(flow(), 200),
        seed in any::<u64>(),
        specific in any::<bool>(),
    ) {
        let tails = if specific { specific_first(seed) } else { shuffled(seed) };
        check(&document, &target(ranked(&tails, &locals())), &flows)?;
    }
}

#[test]
fn with_the_more_specific_first_hardly_anything_is_refused() {
    let mut runner = TestRunner::deterministic();
    let strategy = document(4);
    let (mut unordered, mut specific) = (0, 0);
    let (plain, target) = (Target::profile0(), target(ranked(&specific_first(1), &locals())));
    for _ in 0..200 {
        let document = strategy.new_tree(&mut runner).unwrap().current();
        unordered += u32::from(Compiled::new(&document, &plain, None).is_ok());
        match Compiled::new(&document, &target, None) {
            Ok(_) => specific += 1,
            Err(error) => {
                println!("{error}");
                assert!(is_sound(&error));
            }
        }
    }
    assert!(specific > 190 && unordered < 140, "{unordered} and {specific} of 200");
}
