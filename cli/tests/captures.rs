//! Captures in every form that tools write them, and what of them cannot be judged. Verdicts and flows are from tcpdump's
//! reading of the same files and from the policies, by hand.

#[expect(dead_code, reason = "nothing here is golden")]
mod common;

use std::path::{Path, PathBuf};

use common::{Ran, nicfw, root};
use serde_json::Value;

const CAPTURES: &str = "cli/tests/policies/captures.yaml";
const MADE: &str = "tests/pcap/made";

#[track_caller]
fn replay(policy: &str, pcap: &str) -> Vec<Value> {
    let ran = nicfw(&["replay", "--json", "--policy", policy, "--pcap", pcap]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Flow and verdict of each frame.
fn seen(frames: &[Value]) -> Vec<(&str, &str)> {
    frames.iter().map(|frame| (frame["flow"].as_str().unwrap_or("-"), frame["verdict"].as_str().unwrap())).collect()
}

fn counters(pcap: &str) -> Value {
    let ran = nicfw(&["counters", "--json", "--policy", CAPTURES, "--pcap", pcap]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    serde_json::from_str(&ran.stdout).unwrap()
}

struct Temporary(tempfile::TempDir);

impl Temporary {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn bytes(pcap: &str) -> Vec<u8> {
    std::fs::read(root().join(pcap)).unwrap()
}

#[test]
fn every_form_of_a_capture_is_read_as_the_plain_one() {
    let plain = replay(CAPTURES, "tests/pcap/dns_udp.pcap");
    assert_eq!(plain.len(), 2);
    for form in ["dns_udp.pcapng", "dns_udp.pcap.gz"] {
        assert_eq!(replay(CAPTURES, &format!("{MADE}/{form}")), plain, "{form}");
    }
}

#[test]
fn captures_without_ethernet_headers_are_read() {
    // tcpdump -nn: IP 127.0.0.1.35041 > 127.0.0.1.5353
    let (cooked, cooked2) =
        (replay(CAPTURES, &format!("{MADE}/cooked.pcap")), replay(CAPTURES, &format!("{MADE}/cooked2.pcap")));
    assert_eq!(cooked, cooked2, "one packet, captured twice");
    assert!(seen(&cooked)[0].0.contains("udp 127.0.0.1:35041 > 127.0.0.1:5353"), "{cooked:?}");
    // tcpdump -nn: IP 209.87.249.18.53 > 192.168.1.11.40000, which is a reply to the rule dns 1.
    for form in ["loopback.pcap", "openbsd-loopback.pcap"] {
        let frames = replay(CAPTURES, &format!("{MADE}/{form}"));
        let [(flow, verdict)] = seen(&frames)[..] else { panic!("{frames:?}") };
        assert!(flow.contains("udp 209.87.249.18:53 > 192.168.1.11:40000"), "{form}: {flow}");
        assert_eq!(verdict, "allow", "{form}");
    }
}

/// What leaves the card is the same flow with lengths in it.
#[test]
fn a_segment_of_total_length_zero_has_ports() {
    let dir = Temporary::new();
    let policy = dir.put(
        "web.yaml",
        b"nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web:\n    - {allow: in, proto: tcp, local_ports: 443, \
          remote: 10.20.0.0/16}\nbindings:\n  - {container: c1, ip: 10.30.1.17, mac: \"02:00:0a:1e:01:11\", attach: sriov, \
          policy: web}\n",
    );
    let frames = replay(&policy, &format!("{MADE}/tso.pcap"));
    let [(flow, verdict)] = seen(&frames)[..] else { panic!("{frames:?}") };
    assert!(flow.contains("tcp 10.20.3.4:51000 > 10.30.1.17:443"), "{flow}");
    assert_eq!((verdict, frames[0]["judgements"][0]["why"].as_str()), ("allow", Some("web rule 1, web.yaml:6")));
}

/// tcpdump reads both frames as `[|udp]`: what it would need is not there.
#[test]
fn a_frame_that_was_cut_before_its_ports_is_not_judged() {
    let pcap = format!("{MADE}/dns_udp-36.pcap");
    let frames = replay(CAPTURES, &pcap);
    assert_eq!(seen(&frames), [("-", "unknown"), ("-", "unknown")]);
    for (frame, len) in frames.iter().zip([98, 266]) {
        assert_eq!(frame["judgements"], serde_json::json!([]));
        let why = format!("the capture has 36 of its {len} bytes, and the adapter looks further");
        assert_eq!(frame["unjudged"], why);
    }
    let screen = nicfw(&["replay", "--policy", CAPTURES, "--pcap", &pcap]);
    let last = "2 frames: 0 allowed, 0 denied, 2 cannot be judged, because the capture does not hold enough of them; \
                capture whole frames, with tcpdump -s 0";
    assert_eq!(screen.stdout.lines().last(), Some(last));
    let counted = counters(&pcap);
    assert_eq!((&counted["frames"], &counted["unjudged"]), (&Value::from(2), &Value::from(2)));
    let zero = |counter: &Value| counter["rx"] == 0 && counter["tx"] == 0;
    assert!(counted["counters"].as_array().unwrap().iter().all(zero), "nothing was judged: {counted}");
    let whole = counters("tests/pcap/dns_udp.pcap");
    assert_eq!((&whole["frames"], &whole["unjudged"]), (&Value::from(2), &Value::from(0)));
}

/// The address is denied whatever the ports are, but for a frame without ports nothing has to be there.
#[test]
fn a_frame_that_was_cut_behind_what_decides_is_judged() {
    let dir = Temporary::new();
    let whole = bytes("tests/pcap/dns_udp.pcap");
    // The first record with 38 of its 98 bytes: the ports are the last that is there.
    let cut = [&whole[..24], &whole[24..32], &38u32.to_le_bytes(), &98u32.to_le_bytes(), &whole[40..78]].concat();
    let frames = replay(CAPTURES, &dir.put("cut.pcap", &cut));
    assert_eq!(frames[0]["cut"], true);
    assert!(seen(&frames)[0].0.contains("udp 192.168.1.11:43966 > 209.87.249.18:53"));
    assert_eq!(seen(&frames)[0].1, "allow");
}

#[test]
fn the_whole_records_of_a_torn_capture_are_judged_and_the_torn_one_is_named() {
    let dir = Temporary::new();
    let (plain, ng, packed) = (
        bytes("tests/pcap/dns_udp.pcap"),
        bytes(&format!("{MADE}/dns_udp.pcapng")),
        bytes(&format!("{MADE}/dns_udp.pcap.gz")),
    );
    let whole = replay(CAPTURES, "tests/pcap/dns_udp.pcap");
    for (name, torn) in [
        ("one byte", &plain[..plain.len() - 1]),
        ("within its head", &plain[..24 + 16 + 98 + 5]),
        ("pcapng", &ng[..ng.len() - 150]),
        ("gzip", &packed[..packed.len() - 20]),
    ] {
        let frames = replay(CAPTURES, &dir.put("torn", torn));
        assert_eq!(frames.len(), 2, "{name}: {frames:?}");
        assert_eq!(frames[0], whole[0], "{name}");
        assert_eq!(seen(&frames)[1], ("-", "unknown"), "{name}");
        assert_eq!((&frames[1]["frame"], &frames[1]["cut"]), (&Value::from(2), &Value::from(true)), "{name}");
        assert_eq!(frames[1]["unjudged"], "the file ends within this record", "{name}");
    }
    let screen: Ran = nicfw(&["replay", "--policy", CAPTURES, "--pcap", &dir.put("torn", &plain[..plain.len() - 1])]);
    let last = "2 frames: 1 allowed, 0 denied, 1 cannot be judged, because the capture does not hold enough of them";
    assert_eq!(screen.stdout.lines().last(), Some(last));
}

#[test]
fn a_loopback_record_of_another_family_is_not_judged() {
    let dir = Temporary::new();
    let head = [&bytes("tests/pcap/dns_udp.pcap")[..20], &[0, 0, 0, 0]].concat();
    // AF_APPLETALK of BSD.
    let record = [&[0; 8][..], &8u32.to_le_bytes(), &8u32.to_le_bytes(), &[16, 0, 0, 0, 1, 2, 3, 4]].concat();
    let frames = replay(CAPTURES, &dir.put("appletalk.pcap", &[head, record].concat()));
    assert_eq!(seen(&frames), [("-", "unknown")]);
    assert_eq!(frames[0]["unjudged"], "its address family 16 is not IP");
}

/// Of a million frames no more is kept than their headers.
#[test]
fn the_length_of_frames_takes_no_memory() {
    let dir = Temporary::new();
    let head = &bytes("tests/pcap/dns_udp.pcap")[..24];
    let record = |len: u32| [&[0; 8][..], &len.to_le_bytes(), &len.to_le_bytes(), &vec![0; len as usize]].concat();
    let pcap: PathBuf = Path::new(&dir.put("long.pcap", &[head, &record(262_144), &record(14)].concat())).into();
    let frames = replay(CAPTURES, pcap.to_str().unwrap());
    assert_eq!(frames.len(), 2);
    let longer = [head, &[0; 8][..], &262_145u32.to_le_bytes(), &262_145u32.to_le_bytes(), &[0; 100]].concat();
    let ran = nicfw(&["replay", "--policy", CAPTURES, "--pcap", &dir.put("longer.pcap", &longer)]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("record 1: a record of 262145 bytes; at most 262144 are read"), "{}", ran.stderr);
}
