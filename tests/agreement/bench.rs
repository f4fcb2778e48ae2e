//! A document in the tables of a model.

use std::sync::Arc;

use nicfw::Adapter;
use nicfw::adapter::AttachOptions;
use nicfw::clock::VirtualClock;
use nicfw::firewall::{Adopt, Firewall, Settings};
use nicfw::policy::Document;
use nicfw::tables::{Compiled, Target};
use nicfw::terms::{Direction, MacAddr, Packet, Verdict};
use nicfw_model::engines::rules::{EngineConfig, Judgement};
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use nicfw_test_kit::backend;
use nicfw_test_kit::frames::{Shape, frame};

/// An adapter with two ports and one privileged function at each.
pub fn model(engine: EngineConfig) -> Model {
    let function = |port| FunctionConfig::admin(port, MacAddr([2, 0xff, 0, 0, 0, u8::try_from(port).unwrap()]));
    Model::new(ModelConfig { engine, ..ModelConfig::new(vec![function(0), function(1)]) })
}

/// Attaches to the first function.
pub fn attach(model: &Model) -> Adapter {
    let clock = Arc::new(VirtualClock::new());
    Adapter::from_device(backend::function(model, 0), clock, AttachOptions::default()).unwrap()
}

/// Loads a compiled document, by commands.
pub fn load(model: &Model, compiled: &Compiled) -> Firewall<Adapter> {
    let clock = Arc::new(VirtualClock::new());
    Firewall::adopt(attach(model), Adopt::of(compiled), clock, Settings::default()).unwrap()
}

/// What the model says of a packet.
pub fn judge(model: &Model, packet: &Packet, shape: Shape, direction: Direction, port: u32) -> Judgement {
    model.judge(&frame(packet, shape), direction, port).unwrap()
}

/// A document, compiled for the model's target as long as all assumptions hold.
pub fn compile(text: &str, target: &Target) -> Compiled {
    Compiled::new(&Document::parse(text, "test.yaml").unwrap(), target, None).unwrap()
}

/// Whether a packet passes.
pub fn passes(model: &Model, packet: &Packet, direction: Direction) -> bool {
    judge(model, packet, Shape::default(), direction, 0).verdict == Verdict::Allow
}
