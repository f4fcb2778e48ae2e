//! Changes of a running adapter from the command line, one process after the other, with a journal between them.

mod common;
#[path = "common/served.rs"]
mod served;

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Ran, golden};
use nicfw::mcdi::wire::Cmd;
use nicfw::tables::{TableOp, Verdict};
use nicfw_model::engine::Override;
use nicfw_model::fault::{Fault, FaultKind};
use serde_json::Value;
use served::{SHOP, Served, without_versions};

/// The shop's policy with another open port.
const SHOP_8443: &str = "cli/tests/policies/shop-8443.yaml";

fn adopted() -> Served {
    let adapter = Served::new();
    assert_eq!(adapter.apply().code, 0);
    adapter
}

#[track_caller]
fn change(adapter: &Served, arguments: &[&str]) -> Value {
    adapter.json(&[arguments, &["--reason", "CHG-1043"]].concat())
}

#[test]
fn a_change_needs_no_outage_and_knows_what_was_there() {
    let adapter = adopted();
    adapter.model.watch_overrides();
    let report = change(&adapter, &["apply", SHOP_8443]);
    assert_eq!((&report["adopted"], &report["found"]), (&Value::from(false), &Value::Null));
    let commands = report["commands"].as_u64().unwrap();
    assert!(commands > 0 && commands < 12, "{commands}");
    assert_eq!((adapter.verdict(8443), adapter.verdict(443)), (Verdict::Allow, Verdict::Allow));
    let again = change(&adapter, &["apply", SHOP_8443]);
    assert_eq!(again["commands"], 0);
    let back = change(&adapter, &["rollback", "--to", "1"]);
    assert_eq!(back["commands"].as_u64(), Some(commands));
    assert_eq!(adapter.verdict(8443), Verdict::Deny);
    let said = adapter.done(&["audit"]);
    golden("change-audit", &without_versions(&said));
}
