//! Any policy, any packet, any lookup order, default and tiny tables.

use nicfw::policy::Document;
use nicfw::tables::{CompileError, Compiled, EngineProfile, RuleKey, Sizes, Target};
use nicfw::terms::Direction;
use nicfw_model::engines::rules::{By, EngineConfig};
use nicfw_test_kit::packets::{packet, shape};
use nicfw_test_kit::texts::document;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::bench::{judge, load, model};

/// The smallest tables that the design asks for: 8 nodes, 6 ids, trees of 15, 20 rules.
fn tiny() -> (Sizes, EngineProfile) {
    let sizes = Sizes {
        subnet_nodes: 8,
        subnet_id_max: 56_005,
        port_tree_entries: 15,
        portrange_id_max: 6,
        ..Sizes::profile0()
    };
    (sizes, EngineProfile { rules: 20, counters: 4, ..EngineProfile::profile0() })
}

/// True if the document fits and was compared; false if it was refused for what tables cannot hold.
fn agree(
    text: &str,
    packets: &[(nicfw::terms::Packet, nicfw_test_kit::frames::Shape)],
    (sizes, profile): (Sizes, EngineProfile),
    seed: u64,
) -> Result<bool, TestCaseError> {
    let document =
        Document::parse(text, "test.yaml").map_err(|errors| TestCaseError::fail(format!("{errors}\n{text}")))?;
    let target = Target { sizes, profile: profile.clone(), physical_ports: 2 };
    let compiled = match Compiled::new(&document, &target, None) {
        Ok(compiled) => compiled,
        Err(CompileError::Disagrees { .. } | CompileError::MapDisagrees { .. }) => {
            return Err(TestCaseError::fail(format!("image and document:\n{text}")));
        }
        Err(_) => return Ok(false),
    };
    // The adapter does not tell how many rules it holds: the model's table is as large as the target says.
    let mut engine = EngineConfig { sizes, seed, ..EngineConfig::profile0() };
    engine.profile.rules = profile.rules;
    let adapter = model(engine);
    let wide = Target { profile: EngineProfile::profile0(), ..target };
    let compiled = if wide == *compiled.target() { compiled } else { fitted(&document, &compiled, &wide)? };
    let firewall = load(&adapter, &compiled);
    for (packet, shape) in packets {
        for direction in [Direction::Rx, Direction::Tx] {
            for port in 0..2 {
                let flow = packet.judged(direction, port);
                let decision = document.decide(&flow);
                let explained = compiled.explain(&flow);
                let judgement = judge(&adapter, packet, *shape, direction, port);
                let context = || format!("{flow:?} {shape:?}\n{}\n{text}", document.describe(&decision));
                prop_assert_eq!(judgement.verdict, decision.verdict, "model and evaluator: {}", context());
                // Base entries overlap, and their order among themselves is open.
                let above_base = |key: &RuleKey| !key.is_base();
                let entry = match judgement.by {
                    By::Entry(key) => Some(key).filter(above_base),
                    _ => None,
                };
                let named = explained.entry.map(|entry| entry.key).filter(above_base);
                prop_assert_eq!(entry, named, "model and explain: {}", context());
            }
        }
    }
    drop(firewall);
    Ok(true)
}

/// The same document for the adapter as it reports itself. It has room for no less, so it compiles; and it needs no more
/// rules than the small table has, because the choice between layouts is by what they need.
fn fitted(document: &Document, small: &Compiled, target: &Target) -> Result<Compiled, TestCaseError> {
    let compiled = Compiled::new(document, target, None).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert!(compiled.image().rules.len() <= small.image().rules.len());
    Ok(compiled)
}

proptest! {
    #![proptest_config(Config { cases: 96, max_shrink_iters: 200, ..Config::default() })]

    #[test]
    fn evaluator_image_and_model_agree(
        text in document(),
        packets in prop::collection::vec((packet(), shape()), 150),
        seed in any::<u64>(),
    ) {
        agree(&text, &packets, (Sizes::profile0(), EngineProfile::profile0()), seed)?;
    }

    #[test]
    fn they_agree_on_tiny_tables_too(
        text in document(),
        packets in prop::collection::vec((packet(), shape()), 100),
        seed in any::<u64>(),
    ) {
        agree(&text, &packets, tiny(), seed)?;
    }
}

/// The tests above compare nothing where a document is refused.
#[test]
fn most_random_documents_fit() {
    let mut runner = TestRunner::deterministic();
    let count = |limits: fn() -> (Sizes, EngineProfile), runner: &mut TestRunner| {
        let texts = (0..200).map(|_| document().new_tree(runner).unwrap().current());
        texts.filter(|text| agree(text, &[], limits(), 0).unwrap()).count()
    };
    let wide = count(|| (Sizes::profile0(), EngineProfile::profile0()), &mut runner);
    let narrow = count(tiny, &mut runner);
    assert!(wide > 100, "{wide} of 200 fit the default tables");
    assert!(narrow > 20, "{narrow} of 200 fit the tiny tables");
}
