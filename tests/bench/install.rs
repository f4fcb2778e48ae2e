//! Installing the largest generated set that fits the default tables: by MCDI commands into the model, against `nft -f` of the
//! same set into the kernel, in a network namespace of its own.
//!
//! ```text
//! apt-get install nftables python3 util-linux
//! cargo bench --bench install        # as root: it makes a network namespace
//! ```
//!
//! Our side blocks the adapter, resets it, sends one command an entry, node and tree, and releases it; compiling and proving the
//! policy are told apart. The other side is a concatenated set of intervals, which nft also has to read and to check.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use nicfw::adapter::AttachOptions;
use nicfw::clock::VirtualClock;
use nicfw::firewall::{Adopt, Firewall, Settings};
use nicfw::policy::Document;
use nicfw::tables::Compiled;
use nicfw::{Adapter, MacAddr};
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use nicfw_test_kit::bench::generated;
use nicfw_test_kit::bench::generated::Shape;
use nicfw_test_kit::bench::spread::Spread;

const RUNS: usize = 11;

/// 25 rules a container, as in the other benchmarks.
fn shape(containers: usize) -> Shape {
    Shape { rules: containers * 25, containers, services: 80 }
}

fn adapter() -> (Model, Adapter) {
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let clock = Arc::new(VirtualClock::new());
    let adapter = Adapter::from_device(Box::new(model.function(0)), clock, AttachOptions::default());
    (model, adapter.expect("the model is an adapter that nicfw drives"))
}

fn document(shape: Shape) -> Document {
    generated::document(&generated::filters(&shape.generate()))
}

fn main() {
    let (_, probe) = adapter();
    let fits = |containers: usize| Compiled::new(&document(shape(containers)), probe.target(), None).ok();
    let (mut most, mut too_many) = (1, 400);
    while too_many - most > 1 {
        let containers = usize::midpoint(most, too_many);
        if fits(containers).is_some() { most = containers } else { too_many = containers }
    }
    let shape = shape(most);
    let prefix = shape.generate();
    let document = generated::document(&generated::filters(&prefix));
    let compiled = fits(most).expect("it was tried");
    let image = compiled.image();
    let nodes = image.subnets.as_ref().map_or(0, |map| map.nodes.len());
    println!("{shape:?}: {} entries, {nodes} subnet nodes: one container more does not fit", image.rules.len());

    let set = prefix.with_extension("set.nft");
    let compile = || seconds(|| drop(Compiled::new(&document, probe.target(), None).expect("it was tried")));
    let runs: Vec<(f64, f64, f64)> = (0..RUNS).map(|_| (install(&compiled), compile(), nft(&set))).collect();
    let milliseconds = |of: fn(&(f64, f64, f64)) -> f64| Spread::of(runs.iter().map(|run| 1e3 * of(run)));
    println!("milliseconds: install {}", milliseconds(|run| run.0));
    println!("milliseconds: compile and prove {}", milliseconds(|run| run.1));
    println!("milliseconds: nft -f {}", milliseconds(|run| run.2));
    println!("nft -f / install: {}", Spread::of(runs.iter().map(|run| run.2 / run.0)));
    println!("nft -f / (compile, prove and install): {}", Spread::of(runs.iter().map(|run| run.2 / (run.0 + run.1))));
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn install(compiled: &Compiled) -> f64 {
    let (model, adapter) = adapter();
    let clock = Arc::new(VirtualClock::new());
    let seconds = seconds(|| {
        drop(Firewall::adopt(adapter, Adopt::of(compiled), clock, Settings::default()).expect("it loads"));
    });
    assert_eq!(model.snapshot().rules.len(), compiled.image().rules.len());
    seconds
}

/// Loads into an empty kernel; the namespace goes with its process. What starting `unshare` and nft takes is in it, as it is
/// in every load.
fn nft(set: &Path) -> f64 {
    let mut command = Command::new("unshare");
    command.args(["-n", "--", "nft", "-f"]).arg(set);
    let mut output = None;
    let seconds = seconds(|| output = Some(command.output()));
    let output = output.expect("it ran").unwrap_or_else(|error| panic!("unshare: {error}: apt-get install util-linux"));
    let needs = "apt-get install nftables, and run this as root";
    assert!(output.status.success(), "{}: {needs}", String::from_utf8_lossy(&output.stderr));
    seconds
}
