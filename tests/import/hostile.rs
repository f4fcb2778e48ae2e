//! Files that are cut, binary, oversized, cyclic or of another format: a line, a reason, no output.

use nicfw::policy::import::{Format, ImportError, import};
use proptest::prelude::*;

use crate::common::{read, settings};

const FORMATS: [Format; 4] = [Format::Classbench, Format::Iptables, Format::Nft, Format::DpdkAcl];

const SAVED: &str = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n";

#[track_caller]
fn refused(format: Format, text: &str, start: &str) {
    let error = read(format, text, &settings(&["10.30.1.17"])).map(|import| import.yaml).unwrap_err().to_string();
    assert!(error.starts_with(start), "{error}");
}

#[test]
fn cut_files_are_refused() {
    for (text, start) in [
        (format!("{SAVED}-A INPUT -j ACC"), "5: table filter of line 1 has no COMMIT: the file is cut"),
        (SAVED.to_owned(), "4: table filter of line 1 has no COMMIT"),
        ("# nothing\n".to_owned(), "1: there is no table filter"),
        ("*filter\n:INPUT DROP [0:0]\nCOMMIT\n".to_owned(), "3: table filter has no chain OUTPUT with a policy"),
        (format!("{SAVED}-A INPUT -s 10.0.0.0/\nCOMMIT\n"), "5: this is not a rule of iptables-save"),
        (format!("{SAVED}-A INPUT -m comment --comment \"x -j ACCEPT\nCOMMIT\n"), "5: a quote without its end"),
        (format!("{SAVED}-A GONE -j ACCEPT\nCOMMIT\n"), "5: a rule of a chain that is not declared"),
        (format!("{SAVED}COMMIT\n-A INPUT -j ACCEPT\n"), "6: a line outside of a table"),
        (format!("{SAVED}COMMIT\n*filter\nCOMMIT\n"), "6: a table inside or after its like"),
    ] {
        refused(Format::Iptables, &text, start);
    }
    let line = "@10.0.0.0/8 10.0.0.0/8 0 : 65535 0 : 65535 0x06/0xFF 0x0/0x0";
    refused(Format::Classbench, line, "1: the last line has no end: the file is cut");
    refused(Format::Classbench, &format!("{line}\n@10.0.0.0/8\t10.0.\n"), "2: this is not a filter");
    refused(
        Format::Classbench,
        &format!("{line}\n\n@10.0.0.0/8 10.0.0.0/8 9 : 8 0 : 1 0x06/0xFF\n"),
        "3: this is not a filter",
    );
    refused(Format::Nft, "{\"nftables\": [\n{\"chain\":", "2: the file ends too early");
    refused(Format::Nft, "{}", "1: there is no list nftables");
    refused(Format::DpdkAcl, "{\"rules\": [\n{\"id\": 1}]}", "2: this is not a rule");
}

#[test]
fn binary_and_oversized_files_are_refused() {
    for format in FORMATS {
        let import = |bytes: &[u8]| import(format, bytes, "old", &settings(&["10.30.1.17"])).map(|import| import.yaml);
        assert!(matches!(import(b"*filter\n\xff\xfe"), Err(ImportError::Binary { line: 2 })));
        assert!(matches!(import(b"*filter\n\n\0"), Err(ImportError::Binary { line: 3 })));
        assert!(matches!(import(&vec![b'#'; (16 << 20) + 1]), Err(ImportError::TooLarge { .. })));
        assert!(import(b"").is_err());
    }
    refused(Format::Iptables, &format!("*filter\n#{}\n", "x".repeat(9000)), "2: the line is too long");
    refused(Format::Nft, &"[".repeat(1 << 20), "1: the file ends too early");
    let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
    refused(Format::Nft, &deep, "1: more than 64 lists and objects in each other");
}

#[test]
fn cycles_are_refused_at_the_line_that_closes_them() {
    let text = format!("{SAVED}:A - [0:0]\n:B - [0:0]\n-A A -p tcp -j B\n-A B -g A\nCOMMIT\n");
    refused(Format::Iptables, &text, "8: chain A of table filter is reached from itself; remove the jump: -A B -g A");
    let nft = r#"{"nftables": [{"table": {"family": "ip", "name": "t"}}, {"chain": {"family": "ip", "table": "t", "name": "c",
        "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
        {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 4, "expr": [{"jump": {"target": "c"}}]}}]}"#;
    refused(Format::Nft, nft, "3: chain ip t c is reached from itself");
}

/// Each chain calls the next twice: 2^40 rules if nobody counted.
#[test]
fn expansion_is_bounded() {
    let mut text = SAVED.to_owned();
    for i in 0..40 {
        text.push_str(&format!(":C{i} - [0:0]\n"));
    }
    for i in 0..39 {
        text.push_str(&format!(
            "-A C{i} -p tcp --dport {i} -j C{}\n-A C{i} -p udp -j C{}\n-A C{i} -j C{}\n",
            i + 1,
            i + 1,
            i + 1
        ));
    }
    text.push_str("-A C39 -s 10.0.0.0/8 -j ACCEPT\n-A INPUT -j C0\nCOMMIT\n");
    let error = read(Format::Iptables, &text, &settings(&["10.30.1.17"])).map(|import| import.yaml).unwrap_err();
    assert!(matches!(error, ImportError::TooMany { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is cut out of a sound file, reading ends without a panic.
    #[test]
    fn mutilated_files_end_in_a_document_or_an_error(
        which in 0usize..4,
        cut in any::<prop::sample::Index>(),
        len in 0usize..40,
        put in "[ -~\n]{0,6}",
    ) {
        let (format, text) = [
            (Format::Classbench, "@10.0.0.0/8 10.30.1.17/32 0 : 65535 80 : 80 0x06/0xFF 0x0/0x0\n".to_owned()),
            (Format::Iptables, format!("{SAVED}:A - [0:0]\n-A INPUT ! -s 10.0.0.0/8 -p tcp -m multiport --ports 1,2:3 -j A\n-A A -m state --state NEW,ESTABLISHED -j RETURN\n-A A -j LOG\nCOMMIT\n")),
            (Format::Nft, NFT.to_owned()),
            (Format::DpdkAcl, std::fs::read_to_string("tests/data/dpdk-acl/acl_test.json").unwrap().chars().take(3000).collect()),
        ][which].clone();
        let at = cut.index(text.len());
        let end = (at + len).min(text.len());
        let text = format!("{}{put}{}", &text[..at], &text[end..]);
        if let Ok(import) = read(format, &text, &settings(&["10.30.1.17"])) {
            prop_assert!(import.yaml.starts_with("nicfw: 1\n"));
        }
    }
}

const NFT: &str = r#"{"nftables": [
{"table": {"family": "inet", "name": "t", "handle": 1}},
{"chain": {"family": "inet", "table": "t", "name": "in", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
{"set": {"family": "inet", "name": "s", "table": "t", "type": "ipv4_addr", "elem": ["10.0.0.1", {"prefix": {"addr": "10.1.0.0", "len": 16}}]}},
{"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 2, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@s"}}, {"vmap": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": {"set": [[22, {"accept": null}], [{"range": [80, 90]}, {"drop": null}]]}}}]}}
]}"#;
