//! What the executor costs: changes of a thousand commands and more against a bare loop that sends the same commands to the
//! same model, at several times that the firmware takes for a command.
//!
//! ```text
//! cargo bench --bench apply
//! ```
//!
//! Both sides send through the same adapter, and both wait the same time before each command of any kind, by spinning: what
//! the executor sends beside the tables' commands (the version before and after, counters) costs it as much. The counters
//! are left out of the bare loop's commands. The journal is in memory; its time is that of appending the change's two
//! records again, to another journal that holds the same, and is printed apart. The grace time is none.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nicfw::adapter::{AttachOptions, McdiError};
use nicfw::clock::VirtualClock;
use nicfw::firewall::{Adopt, Call, Engine as _, Firewall, Observed, Observer, Settings};
use nicfw::journal::{Journal, Record};
use nicfw::policy::Document;
use nicfw::tables::Compiled;
use nicfw::{Adapter, MacAddr, TableOp};
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use nicfw_test_kit::bench::measure::time;
use nicfw_test_kit::bench::spread::Spread;

/// How often each side of a comparison runs.
const RUNS: usize = 15;

fn main() {
    let old =
        document(&["tcp, remote: 10.0.0.0/16, local_ports: [80, 443]", "udp, remote: 10.1.0.0/16, local_ports: 53"]);
    let more = document(&[
        "tcp, remote: 10.0.0.0/16, local_ports: [80, 443]",
        "udp, remote: 10.1.0.0/16, local_ports: 53",
        "udp, remote: 10.2.0.0/16, local_ports: [5353, 5355, 5357, 5359, 5361, 5363]",
    ]);
    let other =
        document(&["tcp, remote: 10.3.0.0/16, local_ports: [8080, 8443]", "udp, remote: 10.4.0.0/16, local_ports: 54"]);
    let probe = adapter();
    let compile = |document: &Document, before| Compiled::new(document, probe.target(), before).expect("it fits");
    let old = compile(&old, None);
    for (what, after) in [("six ports more for 250 containers", &more), ("another policy for 250 containers", &other)] {
        let new = compile(after, Some(&old));
        for micros in [0, 10, 50, 500] {
            measure(what, &old, &new, Duration::from_micros(micros));
        }
    }
}

fn measure(what: &str, old: &Compiled, new: &Compiled, latency: Duration) {
    let (mut whole, mut apart, mut share) = (Vec::new(), Vec::new(), Vec::new());
    let mut commands = 0;
    for _ in 0..RUNS {
        let mut firewall = loaded(old, latency);
        let change = firewall.plan(new, "bench").expect("it fits");
        let operations: Vec<TableOp> = change.plan.steps.iter().map(|step| without_counter(&step.op)).collect();
        commands = operations.len();
        let apply = time(|| drop(firewall.apply(change).expect("it applies")));
        let journal = journalled(&mut firewall);
        let (mut slow, _) = loaded(old, latency).detach();
        let bare = time(|| operations.iter().for_each(|operation| slow.execute(operation).expect("it is taken")));
        whole.push(apply / bare);
        apart.push((apply - journal) / bare);
        share.push(journal / apply * 100.0);
    }
    let [whole, apart, share] = [whole, apart, share].map(Spread::of);
    println!(
        "{what}, {commands} commands of {} us: {apart} x without the journal, {whole} x with it; journal {share} %",
        latency.as_micros()
    );
}

/// Seconds that the journal takes for the last change: what it did is done again, beside.
fn journalled(firewall: &mut Firewall<Slow>) -> f64 {
    let records: Vec<Record> = firewall.journal_mut().records().collect::<Result<_, _>>().expect("it reads");
    let (before, last) = records.split_at(records.len() - 2);
    let mut journal = Journal::in_memory();
    for record in before {
        journal.append(record.at, record.event.clone()).expect("memory");
    }
    let last: Vec<_> = last.iter().map(|record| (record.at, record.event.clone())).collect();
    time(|| {
        for (at, event) in last {
            journal.append(at, event).expect("memory");
        }
    })
}

/// 250 containers under one policy.
fn document(rules: &[&str]) -> Document {
    let mut text = String::from("nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web:\n");
    for rule in rules {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    - {{allow: in, proto: {rule}}}");
    }
    text += "bindings:\n";
    for binding in 1..=250 {
        let _ = writeln!(
            text,
            "  - {{container: c{binding}, ip: 172.16.0.{binding}, mac: \"02:00:ac:10:00:{binding:02x}\", attach: sriov, policy: web}}"
        );
    }
    Document::parse(&text, "bench.yaml").expect("the generated policy is sound")
}

fn adapter() -> Adapter {
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let clock = Arc::new(VirtualClock::new());
    Adapter::from_device(Box::new(model.function(0)), clock, AttachOptions::default())
        .expect("an adapter that nicfw drives")
}

/// An adapter that holds `compiled`.
fn loaded(compiled: &Compiled, latency: Duration) -> Firewall<Slow> {
    let clock = Arc::new(VirtualClock::new());
    let settings = Settings::new(Duration::ZERO, Settings::default().commit_every);
    let slow = Observed::new(adapter(), Latency(Duration::ZERO));
    let mut firewall = Firewall::adopt(slow, Adopt::of(compiled), clock, settings).expect("it loads");
    firewall.engine().observer.0 = latency;
    firewall
}

fn without_counter(operation: &TableOp) -> TableOp {
    match operation {
        TableOp::SetRule { key, rx, tx, .. } => TableOp::SetRule { key: *key, rx: *rx, tx: *tx, counter: None },
        other => other.clone(),
    }
}

/// An adapter whose firmware takes its time.
type Slow = Observed<Adapter, Latency>;

struct Latency(Duration);

impl Observer for Latency {
    fn around<T, X: From<McdiError>>(&mut self, _: Call<'_>, work: impl FnOnce() -> Result<T, X>) -> Result<T, X> {
        let begun = Instant::now();
        while begun.elapsed() < self.0 {
            std::hint::spin_loop();
        }
        work()
    }
}
