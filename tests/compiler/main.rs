//! The compiler from outside: what it makes decides as the reference evaluator does, or it refuses.

mod dpdk_cases;
mod incremental;
mod optimum;
mod policy_sets;
mod ranked;
mod rewriting;
mod rule_sets;
mod scale;
mod universe;
mod words;

use std::collections::BTreeSet;

use nicfw::policy::Document;
use nicfw::tables::{CompileError, Compiled, LookupOrder, MatchFields, RuleKey, Sizes, Target};
use nicfw::terms::Flow;
use nicfw_test_kit::documents::{document, flow};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

/// A refusal that says what the tables cannot hold; not one that shows an error of the compiler.
fn is_sound(error: &CompileError) -> bool {
    !matches!(error, CompileError::Disagrees { .. } | CompileError::MapDisagrees { .. } | CompileError::Map(_))
}

fn agree(document: &Document, compiled: &Compiled, flows: &[Flow], seed: u64) -> Result<(), TestCaseError> {
    let judgements = compiled.image().judge_all(flows, &compiled.target().profile, seed);
    for (flow, judged) in flows.iter().zip(judgements) {
        let expected = document.decide(flow);
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
    fn any_number_of_physical_ports_will_do(
        document in document(3),
        flows in prop::collection::vec(flow(), 100),
        ports in 1u32..5,
    ) {
        let target = Target { physical_ports: ports, ..Target::profile0() };
        match Compiled::new(&document, &target, None) {
            Ok(compiled) => {
                let seen: Vec<Flow> = flows.into_iter().map(|flow| Flow { physical_port: flow.physical_port % ports, ..flow }).collect();
                agree(&document, &compiled, &seen, 3)?;
            }
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
    fn any_ranking_above_the_base_will_do(
        document in document(3),
        flows in prop::collection::vec(flow(), 50),
        order in Just(()).prop_perturb(|(), mut rng| rng.random::<u64>()),
    ) {
        let Ok(compiled) = Compiled::new(&document, &Target::profile0(), None) else { return Ok(()) };
        let used: BTreeSet<_> = compiled.image().rules.keys().map(RuleKey::fields).collect();
        let (base, mut above): (Vec<_>, Vec<_>) = used.into_iter().partition(|fields| MatchFields::BASE.contains(*fields));
        above.sort_by_key(|fields| u64::from(fields.bits()).wrapping_mul(order | 1));
        let mut target = Target::profile0();
        target.profile.order = LookupOrder::Ranked(above.iter().chain(&base).copied().collect());
        let ranked = Compiled::new(&document, &target, None).unwrap();
        agree(&document, &ranked, &flows, 0)?;
        if let (Some(lowest), Some(first)) = (base.first(), above.first()) {
            target.profile.order = LookupOrder::Ranked([lowest].into_iter().chain(&above).chain(&base[1..]).copied().collect());
            let refused = matches!(
                Compiled::new(&document, &target, None),
                Err(CompileError::NotLookedUp { fields, .. }) if above.contains(&fields)
            );
            prop_assert!(refused, "a base that ranks above {first:?} is refused");
        }
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
