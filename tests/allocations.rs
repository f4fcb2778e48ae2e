//! A verdict of the model allocates nothing, however many there are; and an import takes memory in line with its file.
#![expect(unsafe_code, reason = "counting allocations takes an allocator, and that trait is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::Ipv4Addr;
use std::sync::Arc;

use nicfw::adapter::AttachOptions;
use nicfw::clock::VirtualClock;
use nicfw::firewall::{self, Adopt, Firewall};
use nicfw::policy::Document;
use nicfw::policy::import::{Format, Settings, import};
use nicfw::tables::Compiled;
use nicfw::{Adapter, Direction, MacAddr, Verdict};
use nicfw_model::engines::rules::{Decided, Decision};
use nicfw_model::packet::{Headers, parse};
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use serde_json::json;

thread_local! {
    /// Allocations of this thread, and their bytes.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        BYTES.with(|bytes| bytes.set(bytes.get() + layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`, which is the same one.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, with this layout, so from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// How often an import of a set of so many addresses allocates, and how many bytes in all.
fn to_import(elements: u32) -> [usize; 2] {
    let elements: Vec<_> = (0..elements).map(|i| Ipv4Addr::from(0x0a00_0007 | i << 8).to_string()).collect();
    let base = |name: &str, hook: &str| {
        json!({"chain": {"family": "inet", "table": "t", "name": name, "handle": 1, "type": "filter", "hook": hook, "prio": 0,
            "policy": "drop"}})
    };
    let source = json!({"payload": {"protocol": "ip", "field": "saddr"}});
    let file = json!({"nftables": [
        {"table": {"family": "inet", "name": "t", "handle": 1}},
        base("i", "input"),
        base("o", "output"),
        {"set": {"family": "inet", "table": "t", "name": "s", "type": "ipv4_addr", "handle": 3, "elem": elements}},
        {"rule": {"family": "inet", "table": "t", "chain": "i", "handle": 4,
            "expr": [{"match": {"op": "==", "left": source, "right": "@s"}}, {"accept": null}]}},
    ]});
    let settings =
        Settings::new("shop-1", vec!["10.30.1.17".parse().unwrap()], MacAddr([0x02, 0, 0x0a, 0x1e, 0x01, 0x11]));
    let file = file.to_string();
    let before = [ALLOCATIONS.get(), BYTES.get()];
    let import = import(Format::Nft, file.as_bytes(), "old", &settings).unwrap();
    let after = [ALLOCATIONS.get(), BYTES.get()];
    assert_eq!(import.document.policies[0].rules[0].remote.set.prefixes().len(), elements.len());
    [after[0] - before[0], after[1] - before[1]]
}

const POLICY: &str = r#"nicfw: 1
unbound: allow
multicast: deny
policies:
  web:
    - {allow: in, proto: tcp, local_ports: [80, 8000-8099], remote: [10.20.0.0/16, 10.21.0.0/16], reason: shop}
    - {allow: out, proto: udp, remote: 10.0.0.53, remote_ports: 53, reason: DNS}
bindings:
  - {container: shop-1, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: sriov, policy: web}
  - {container: six-1, ip: "2001:db8::17", nd: open-icmpv6, mac: "02:00:0a:1e:01:14", attach: sriov, policy: web}
"#;

fn loaded() -> Model {
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let clock = Arc::new(VirtualClock::new());
    let adapter = Adapter::from_device(Box::new(model.function(0)), clock.clone(), AttachOptions::default()).unwrap();
    let document = Document::parse(POLICY, "shops.yaml").unwrap();
    let compiled = Compiled::new(&document, adapter.target(), None).unwrap();
    drop(Firewall::adopt(adapter, Adopt::of(&compiled), clock, firewall::Settings::default()).unwrap());
    model
}

/// TCP or UDP over either family, to the containers or to others.
fn frame(number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let mut frame = vec![2, 0, 10, 30, 1, [0x11, 0x14, 0x99][usize::from(number % 3)], 2, 0, 0, 0, 0, 9];
    if number.is_multiple_of(2) {
        frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, [6, 17][usize::from(high % 2)], 0, 0]);
        frame.extend([10, 20, high, low, 10, 30, 1, 17]);
    } else {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
        frame.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low]);
        frame.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x17]);
    }
    frame.extend([0xc8, 0, high & 0x1f, low]);
    frame.resize(80, 0);
    frame
}

/// Four times as many elements take about four times as much; sets that are united one by one take sixteen times as many bytes.
#[test]
fn large_sets_are_imported_in_line_with_their_size() {
    let (small, large) = (to_import(4_096), to_import(16_384));
    println!("allocations and bytes of 4,096 elements: {small:?}, of 16,384: {large:?}");
    for (what, (small, large)) in ["allocations", "bytes"].iter().zip(small.into_iter().zip(large)) {
        assert!(large > small && large <= 6 * small, "{what}: {small} for 4,096 elements, {large} for 16,384");
    }
}

#[test]
fn a_verdict_allocates_nothing() {
    let model = loaded();
    let frames: Vec<Vec<u8>> = (0..5000).map(frame).collect();
    let headers: Vec<Headers> = frames.iter().map(|frame| parse(frame).unwrap()).collect();
    let mut decisions = vec![Decision { verdict: Verdict::Deny, by: Decided::NoMatch }; headers.len()];
    // The first of each kind brings what it looks at up to what commands have written.
    let alone = allocations(|| {
        model.judge(&frames[0], Direction::Rx, 0).unwrap();
    });
    let batch = allocations(|| model.judge_all(&headers[..1], Direction::Rx, 0, &mut decisions[..1]));
    assert!(alone > 0 && batch > 0, "allocations are counted");
    for direction in [Direction::Rx, Direction::Tx] {
        let in_batches = allocations(|| model.judge_all(&headers, direction, 0, &mut decisions));
        let one_by_one = allocations(|| {
            for frame in &frames {
                model.judge(frame, direction, 0).unwrap();
            }
        });
        assert_eq!((in_batches, one_by_one), (0, 0));
    }
    let allowed = decisions.iter().filter(|decision| decision.verdict == Verdict::Allow).count();
    assert!(allowed > 0 && allowed < decisions.len(), "the frames tell something: {allowed} pass");
}
