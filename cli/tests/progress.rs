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
    let (code, seen) = at_a_terminal(&line);
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("reading ") && seen.contains("20000 of 25000 frames"), "{seen:?}");
}

/// What somebody sees who runs nicfw at a terminal, and its exit code.
fn at_a_terminal(line: &[&str]) -> (i32, String) {
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{} {}", env!("CARGO_BIN_EXE_nicfw"), line.join(" ")), "/dev/null"]);
    let ran =
        script.current_dir(root()).stdin(Stdio::null()).env("TERM", "xterm").output().expect("script of bsdutils");
    (ran.status.code().expect("it was not killed"), String::from_utf8_lossy(&ran.stdout).into_owned())
}

/// 300 containers of one policy: with the base deny of each address and of each MAC for IPv4, and three entries for the rules.
#[test]
fn a_terminal_sees_how_far_the_compiler_is_and_a_pipe_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("many.yaml");
    let mut text = "nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web:\n".to_owned();
    for port in [80, 443, 8080] {
        text += &format!("    - {{allow: in, proto: tcp, local_ports: {port}, replies: no, reason: r}}\n");
    }
    text += "bindings:\n";
    for n in 0..300 {
        let (high, low) = (n / 200, n % 200 + 1);
        text += &format!(
            "  - {{container: c{n}, ip: 10.30.{high}.{low}, mac: \"02:00:0a:1e:{high:02x}:{low:02x}\", attach: sriov, policy: web}}\n"
        );
    }
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let compiling = ["policies: 1, bindings: 300", "filling the tables", "proving "];
    let same = ["diff", path, path];
    for (line, also) in [(&["check", path][..], "listing what"), (&["plan", path], "planning "), (&same, "comparing ")]
    {
        let (code, seen) = at_a_terminal(line);
        assert_eq!(code, 0, "{line:?}: {seen}");
        for what in compiling.iter().chain([&also]) {
            assert!(seen.contains(what), "{line:?}: no {what:?} in {seen:?}");
        }
        let piped = nicfw(line);
        assert_eq!((piped.code, piped.stderr.as_str()), (0, ""), "{line:?}");
        assert!(!compiling.iter().any(|what| piped.stdout.contains(what)), "{}", piped.stdout);
    }
    // The three rules could be one.
    let (code, seen) = at_a_terminal(&["lint", path]);
    assert_eq!(code, 2, "{seen:?}");
    assert!(seen.contains("looking at ") && seen.contains("(policies: 1, bindings: 300)"), "{seen:?}");
}
