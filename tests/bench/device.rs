//! What reaching an adapter costs: the firmware model in process against the same model over a vfio-user socket. Ratios from
//! interleaved runs in one sitting; the rates beside them are this machine's. Nothing here fails on a slow machine.
//!
//! ```text
//! cargo bench --bench device
//! ```

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;

use nicfw::adapter::AttachOptions;
use nicfw::bar::Mmio;
use nicfw::clock::SystemClock;
use nicfw::device::Device;
use nicfw::regs::ef10;
use nicfw::{Action, Adapter, MacAddr, RuleKey, TableOp};
use nicfw_model::serve::over_socket;
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use nicfw_test_kit::bench::measure::time;
use nicfw_test_kit::bench::ratio::ratio;
use nicfw_test_kit::bench::spread::Spread;

/// How often each side of a comparison runs.
const RUNS: usize = 15;
/// Accesses of one run.
const ACCESSES: u32 = 2_000;
/// Commands of one run.
const COMMANDS: u32 = 500;

fn main() {
    registers();
    commands();
}

fn model() -> Model {
    Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]))
}

/// In process, and over a socket.
fn devices() -> [Box<dyn Device>; 2] {
    let model = model();
    [Box::new(model.function(0)), Box::new(over_socket(&self::model(), 0).expect("a socket in this process"))]
}

fn registers() {
    let [near, far] = devices().map(|device| (device.bar(), device));
    let read = |bar: &dyn Mmio| {
        time(|| {
            for _ in 0..ACCESSES {
                black_box(bar.read32(ef10::HW_REV_ID.offset()));
            }
        })
    };
    // The high half of a doorbell, without a low half behind it: nothing is set off.
    let write = |bar: &dyn Mmio| time(|| (0..ACCESSES).for_each(|i| bar.write32(ef10::MC_DB_LWRD.offset(), i)));
    compare("register read", ACCESSES, || read(&*near.0), || read(&*far.0));
    compare("register write", ACCESSES, || write(&*near.0), || write(&*far.0));
}

fn commands() {
    let [near, far] = devices().map(|device| {
        let adapter = Adapter::from_device(device, Arc::new(SystemClock::new()), AttachOptions::default());
        RefCell::new(adapter.expect("the model attaches"))
    });
    let version = |adapter: &RefCell<Adapter>| {
        let mut adapter = adapter.borrow_mut();
        time(|| (0..COMMANDS).for_each(|_| drop(black_box(adapter.ruleset_version().expect("it tells")))))
    };
    let rule = |adapter: &RefCell<Adapter>| {
        let mut adapter = adapter.borrow_mut();
        let set = |action| TableOp::SetRule {
            key: RuleKey { local_ip: Some([10, 30, 1, 17].into()), ..RuleKey::default() },
            rx: action,
            tx: action,
            counter: None,
        };
        let both = [set(Action::Deny { sample: false }), set(Action::None)];
        time(|| both.iter().cycle().take(COMMANDS as usize).for_each(|op| adapter.execute(op).expect("it is taken")))
    };
    compare("GET_SECURITY_RULESET_VERSION", COMMANDS, || version(&near), || version(&far));
    compare("SET_SECURITY_RULE", COMMANDS, || rule(&near), || rule(&far));
}

/// Prints the ratio of the two sides, and how often a second each does it in the median.
fn compare(what: &str, count: u32, near: impl Fn() -> f64, far: impl Fn() -> f64) {
    // Neither side pays for what is done once.
    let _ = (near(), far());
    let (mut nears, mut fars) = (Vec::new(), Vec::new());
    let ratio = ratio(
        RUNS,
        || {
            fars.push(far());
            fars[fars.len() - 1]
        },
        || {
            nears.push(near());
            nears[nears.len() - 1]
        },
    );
    let [near, far] = [nears, fars].map(|times| f64::from(count) / Spread::of(times).median);
    println!("{what}, over vfio-user against in process: {ratio} x; {far:.0} against {near:.0} a second");
}
