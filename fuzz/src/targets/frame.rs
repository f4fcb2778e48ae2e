//! Frames: the model's parser, its tables against the policy, and the way through the adapter.

use std::cell::RefCell;
use std::sync::Arc;

use nicfw::Adapter;
use nicfw::adapter::AttachOptions;
use nicfw::clock::VirtualClock;
use nicfw::firewall::{Adopt, Firewall, Settings};
use nicfw::policy::Document;
use nicfw::tables::Compiled;
use nicfw::terms::{Direction, MacAddr};
use nicfw_model::packet::{Headers, parse, parse_captured};
use nicfw_model::{FunctionConfig, Model, ModelConfig, Place};

/// An adapter that holds the demo's policy.
struct Bench {
    model: Model,
    document: Document,
}

impl Bench {
    fn new() -> Self {
        let text = include_str!("../../../cli/demo/shop.yaml");
        let document = Document::parse(text, "shop.yaml").expect("a sound file");
        let shop = MacAddr([2, 0, 0x0a, 0x1e, 1, 0x11]);
        let functions =
            vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1])), FunctionConfig::container(0, 1, shop)];
        let model = Model::new(ModelConfig::new(functions));
        let clock = Arc::new(VirtualClock::new());
        let device = Box::new(model.function(0));
        let adapter =
            Adapter::from_device(device, clock.clone(), AttachOptions::default()).expect("the model attaches");
        let compiled = Compiled::new(&document, adapter.target(), None).expect("a policy that fits");
        Firewall::adopt(adapter, Adopt::of(&compiled), clock, Settings::default()).expect("the model loads a policy");
        Self { model, document }
    }

    fn check(&self, frame: &[u8]) {
        let captured = frame.first().map_or(0, |first| usize::from(*first) % (frame.len() + 1));
        if let Ok(headers) = parse_captured(&frame[..captured], frame.len()) {
            assert_eq!(Ok(headers), parse(frame), "of {captured} captured bytes");
        }
        let Ok(Headers { packet, .. }) = parse(frame) else { return };
        for direction in [Direction::Rx, Direction::Tx] {
            let judged = self.model.judge(frame, direction, 0).map(|judgement| judgement.verdict);
            assert_eq!(
                judged,
                Ok(self.document.decide(&packet.judged(direction, 0)).verdict),
                "{direction:?} {packet:?}"
            );
        }
        for from in [Place::Wire(0), Place::Host(0), Place::Host(1)] {
            self.model.carry(from, frame).expect("a frame that parses is carried");
        }
    }
}

thread_local! {
    /// Judging and carrying change nothing but counters.
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

/// The input is a frame. The tables decide it as the policy does.
pub fn run(data: &[u8]) {
    BENCH.with_borrow_mut(|bench| bench.get_or_insert_with(Bench::new).check(data));
}
