//! What takes long shows progress to whoever sits at a terminal, and to nobody else.

#[expect(dead_code, reason = "nothing here is golden")]
mod common;

use std::process::{Command, Stdio};

use common::{nicfw, root};

#[test]
fn a_terminal_sees_how_far_it_is_and_a_pipe_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("many.pcap");
    let capture = std::fs::read(root().join("tests/pcap/dns_udp.pcap")).unwrap();
    // The first record, of 98 bytes, again and again.
    let records = capture[24..24 + 16 + 98].repeat(25_000);
    std::fs::write(&path, [&capture[..24], &records].concat()).unwrap();
    let path = path.to_str().unwrap();
    let line = ["counters", "--policy", "cli/tests/policies/captures.yaml", "--pcap", path];
    let piped = nicfw(&line);
    assert_eq!((piped.code, piped.stderr.as_str()), (0, ""));
    assert!(!piped.stdout.contains("judging"), "{}", piped.stdout);
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{} {}", env!("CARGO_BIN_EXE_nicfw"), line.join(" ")), "/dev/null"]);
    let ran =
        script.current_dir(root()).stdin(Stdio::null()).env("TERM", "xterm").output().expect("script of bsdutils");
    let seen = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{seen}");
    assert!(seen.contains("reading ") && seen.contains("20000 of 25000 frames"), "{seen:?}");
}
