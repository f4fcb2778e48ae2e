//! Wrong usage and wrong input: one line that says where, what was expected and the way out, and exit code 1.

mod common;

use std::io::Write as _;
use std::process::Stdio;

use common::{golden, nicfw, program};

/// Every line that is refused, with what it is answered.
#[test]
fn wrong_usage_is_one_line_and_exit_code_1() {
    let lines: &[&[&str]] = &[
        &[],
        &["chek", "x.yaml"],
        &["demo", "--fast"],
        &["demo", "--keep", "--in-process"],
        &["demo", "--contradict", "0"],
        &["check"],
        &["check", "no/such/file.yaml"],
        &["check", "cli/Cargo.toml"],
        &["check", "tests/pcap/dns_udp.pcap"],
        &["explain", "cli/demo/shop.yaml"],
        &["explain", "cli/demo/shop.yaml", "tcp", "10.20.0.5:1", "->", "10.30.1.17:443"],
        &["explain", "cli/demo/shop.yaml", "tcp 10.20.0.5:1 > 10.30.1.17:99999"],
        &["explain", "cli/demo/shop.yaml", "tcp 10.20.0.5:1 > 10.20.0.6:2"],
        &["diff", "cli/demo/shop.yaml"],
        &["replay", "--policy", "cli/demo/shop.yaml"],
        &["replay", "--policy", "cli/demo/shop.yaml", "--pcap", "no.pcap"],
        &["replay", "--policy", "cli/demo/shop.yaml", "--pcap", "cli/demo/shop.yaml"],
        &["info", "--jsn"],
        &["apply", "cli/demo/shop.yaml", "--device", "0000:65:00.0"],
        &["apply", "cli/demo/shop.yaml", "--device", "0000:65:00.0", "--reason", ""],
        &["apply", "cli/demo/shop.yaml", "--adopt"],
        &["apply", "cli/demo/shop.yaml", "--device", "0000:65:00.0", "--reason", "CHG-1042"],
        &["apply", "cli/demo/shop.yaml", "--device", "eth0", "--adopt", "--reason", "CHG-1042"],
        &["apply", "cli/demo/shop.yaml", "--device", "vfio-user:/no/socket", "--adopt", "--reason", "CHG-1042"],
        &["apply", "cli/demo/shop.yaml", "--device", "ffff:ff:1f.7", "--adopt", "--reason", "CHG-1042"],
        &["apply", "cli/demo/shop.yaml", "--device", "cli/Cargo.toml", "--adopt", "--reason", "CHG-1042"],
        &["apply", "cli/demo/shop.yaml", "--device", "vfio-user:cli/Cargo.toml", "--adopt", "--reason", "CHG-1042"],
        &["detach", "--device", "0000:65:00.8", "--leave", "empty", "--reason", "CHG-1042"],
        &["detach", "--device", "", "--leave", "empty", "--reason", "CHG-1042"],
        &["info", "--device", "vfio-user:"],
        &["detach", "--device", "0000:65:00.0", "--reason", "CHG-1042"],
        &["audit", "--device", "vfio-user:/no/socket", "--expect", "00"],
    ];
    let mut all = String::new();
    for line in lines {
        let ran = nicfw(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "nicfw {}: {}", line.join(" "), ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "nicfw {}: {}", line.join(" "), ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        all += &format!("$ nicfw {}\n{}\n", line.join(" "), ran.stderr);
    }
    golden("usage", &all);
}

#[test]
fn a_document_s_errors_are_listed_with_line_and_column() {
    let mut file = tempfile::Builder::new().prefix("policy").suffix(".yaml").tempfile().unwrap();
    file.write_all(b"nicfw: 1\nunbound: maybe\npolicies:\n  web:\n    - {allow: in, proto: tpc, local_ports: 80}\n")
        .unwrap();
    let path = file.path().display().to_string();
    let ran = nicfw(&["check", &path]);
    assert_eq!(ran.code, 1);
    golden("document-errors", &ran.stderr.replace(&path, "policy.yaml"));
}

#[test]
fn help_and_version_are_no_errors() {
    for line in [&["--help"][..], &["--version"], &["demo", "--help"], &["explain", "--help"]] {
        let ran = nicfw(line);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line:?}");
        assert!(ran.stdout.ends_with('\n') && !ran.stdout.is_empty(), "{line:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_told_nothing() {
    let mut child = program(&["--help"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
}
