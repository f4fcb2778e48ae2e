//! Fields that an nft rule compares, as `nft -j` prints them, with the rules and the rows that must come of each comparison.

use crate::nft_words::{all_said, drops, payload};

fn compared(table: &[(&str, &str, &str, &str)]) {
    let field = |left: &str| if left.starts_with(['{', '"', '[']) { left.to_owned() } else { payload(left) };
    let table: Vec<_> = table.iter().map(|(l, op, r, expected)| (drops(&field(l), op, r), *expected)).collect();
    all_said(&table.iter().map(|(statements, expected)| (statements.as_str(), *expected)).collect::<Vec<_>>());
}

const SEES_PORTS: &str = "denies more: the adapter sees the ports of tcp, udp and sctp alone";
const NONE: &str = "not carried: no packet of the container matches";

#[test]
fn addresses_and_ports() {
    let ported = |proto: u8| format!("deny: in, proto: {proto} | {SEES_PORTS}");
    let unread = "deny: in, proto: any | denies more: a value cannot be read";
    compared(&[
        ("ip saddr", "==", r#""10.0.0.9""#, "deny: in, proto: any, remote: 10.0.0.9"),
        ("ip saddr", "!=", r#""10.0.0.9""#, "deny: in, proto: any, remote: {of: 0.0.0.0/0, except: 10.0.0.9}"),
        ("ip daddr", "==", r#""10.30.1.17""#, "deny: in, proto: any"),
        ("ip daddr", "!=", r#""10.30.1.17""#, ""),
        (
            "ip saddr",
            "==",
            r#"{"prefix": {"addr": "10.0.0.0", "len": 30}}"#,
            "deny: in, proto: any, remote: 10.0.0.0/30",
        ),
        ("ip saddr", "in", r#"{"range": ["10.0.0.4", "10.0.0.7"]}"#, "deny: in, proto: any, remote: 10.0.0.4/30"),
        ("ip saddr", "==", r#""@s""#, "deny: in, proto: any, remote: [10.0.0.4, 10.0.0.6/31]"),
        (
            "ip saddr",
            "!=",
            r#"{"set": ["10.0.0.4", {"range": ["10.0.0.6", "10.0.0.7"]}]}"#,
            "deny: in, proto: any, remote: {of: 0.0.0.0/0, except: [10.0.0.4, 10.0.0.6/31]}",
        ),
        ("ip saddr", "==", r#"{"set": "10.0.0.4"}"#, "deny: in, proto: any, remote: 10.0.0.4"),
        (
            "ip saddr",
            "==",
            r#"{"elem": {"val": "10.0.0.4", "comment": "x"}}"#,
            "deny: in, proto: any, remote: 10.0.0.4",
        ),
        ("ip saddr", "==", r#"{"set": ["10.0.0.4", "*"]}"#, "deny: in, proto: any"),
        ("ip saddr", "!=", r#"{"set": ["10.0.0.4", "*"]}"#, NONE),
        ("ip saddr", "==", r#""router""#, unread),
        ("ip saddr", "==", "7", unread),
        ("ip saddr", "==", r#"{"prefix": {"addr": "10.0.0.0", "len": 33}}"#, unread),
        ("ip saddr", "==", r#"{"prefix": {"addr": "10.0.0.0"}}"#, unread),
        ("ip saddr", "==", r#"{"range": ["10.0.0.4"]}"#, unread),
        ("ip saddr", "==", r#"{"range": ["10.0.0.4", "10.0.0.5", "10.0.0.6"]}"#, unread),
        ("ip saddr", "==", r#"{"range": ["10.0.0.5", "10.0.0.4"]}"#, unread),
        ("ip saddr", "==", r#"{"prefix": {"addr": "10.0.0.0", "len": 30}, "x": 1}"#, unread),
        ("ip saddr", "==", r#"{"odd": 1}"#, unread),
        ("ip saddr", "<", r#""0.0.1.0""#, "deny: in, proto: any, remote: 0.0.0.0/24"),
        ("ip saddr", "<=", r#""0.0.0.255""#, "deny: in, proto: any, remote: 0.0.0.0/24"),
        ("ip saddr", ">", r#""255.255.254.255""#, "deny: in, proto: any, remote: 255.255.255.0/24"),
        ("ip saddr", ">=", r#""255.255.255.0""#, "deny: in, proto: any, remote: 255.255.255.0/24"),
        ("ip saddr", "<", r#""0.0.0.0""#, "deny: in, proto: any | denies more: the comparison < cannot be said"),
        (
            "ip saddr",
            ">",
            r#""255.255.255.255""#,
            "deny: in, proto: any | denies more: the comparison > cannot be said",
        ),
        ("ip saddr", "<", r#""2001:db8::""#, "deny: in, proto: any | denies more: the comparison < cannot be said"),
        ("ip6 saddr", "<", r#""10.0.0.1""#, "deny: in, proto: any | denies more: the comparison < cannot be said"),
        (
            "ip saddr",
            "<",
            r#"{"set": ["10.0.0.1", "10.0.0.2"]}"#,
            "deny: in, proto: any | denies more: the comparison < cannot be said",
        ),
        ("ip saddr", "&", r#""10.0.0.1""#, "deny: in, proto: any | denies more: the comparison & cannot be said"),
        ("tcp dport", "==", "22", "deny: in, proto: tcp, local_ports: 22"),
        ("udp sport", "!=", "22", "deny: in, proto: udp, remote_ports: [0-21, 23-65535]"),
        ("sctp dport", "==", r#"{"set": [1, {"range": [3, 5]}]}"#, "deny: in, proto: sctp, local_ports: [1, 3-5]"),
        ("tcp dport", "!=", r#"{"range": [3, 5]}"#, "deny: in, proto: tcp, local_ports: [0-2, 6-65535]"),
        ("tcp dport", "==", r#"{"range": [4, 4]}"#, "deny: in, proto: tcp, local_ports: 4"),
        ("tcp dport", "==", r#"{"set": ["*", 4]}"#, "deny: in, proto: tcp"),
        ("udplite dport", "==", "22", &ported(136)),
        ("dccp sport", "==", "22", &ported(33)),
        ("tcp dport", "==", r#""ssh""#, "deny: in, proto: tcp | denies more: a value cannot be read"),
        ("tcp dport", "==", "65536", "deny: in, proto: tcp | denies more: a value cannot be read"),
        ("tcp dport", "==", r#"{"range": [5, 3]}"#, "deny: in, proto: tcp | denies more: a value cannot be read"),
        ("tcp dport", "==", r#"{"range": [3, 5, 7]}"#, "deny: in, proto: tcp | denies more: a value cannot be read"),
        ("tcp dport", "==", r#"{"odd": [3, 5]}"#, "deny: in, proto: tcp | denies more: a value cannot be read"),
        ("th dport", "==", r#""ssh""#, unread),
        ("tcp dport", "<", "1", "deny: in, proto: tcp, local_ports: 0"),
        ("tcp dport", "<", "0", NONE),
        ("tcp dport", "<=", "1", "deny: in, proto: tcp, local_ports: 0-1"),
        ("tcp sport", ">", "65534", "deny: in, proto: tcp, remote_ports: 65535"),
        ("tcp sport", ">", "65535", NONE),
        ("tcp sport", ">=", "65535", "deny: in, proto: tcp, remote_ports: 65535"),
        ("tcp sport", ">", "65536", "deny: in, proto: any | denies more: the comparison > cannot be said"),
        ("udplite sport", ">=", "9", &ported(136)),
    ]);
}

#[test]
fn protocols_versions_states_and_interfaces() {
    let l4proto = r#"{"meta": {"key": "l4proto"}}"#;
    let family = r#"{"meta": {"key": "nfproto"}}"#;
    let ether = r#"{"meta": {"key": "protocol"}}"#;
    let state = r#"{"ct": {"key": "state"}}"#;
    let name = |key: &str| format!(r#"{{"meta": {{"key": "{key}"}}}}"#);
    let (iif, iifname, oif, oifname) = (name("iif"), name("iifname"), name("oif"), name("oifname"));
    let unread = "deny: in, proto: any | denies more: a value cannot be read";
    compared(&[
        (l4proto, "==", r#""udp""#, "deny: in, proto: udp"),
        (l4proto, "==", "47", "deny: in, proto: 47"),
        (l4proto, "==", r#"{"set": ["tcp", 47]}"#, "deny: in, proto: tcp | deny: in, proto: 47"),
        (l4proto, "!=", r#""udp""#, "allow: in, proto: udp, replies: no | deny: in, proto: any"),
        (l4proto, "==", r#""nosuch""#, unread),
        (l4proto, "==", "256", unread),
        (l4proto, "==", "true", unread),
        (l4proto, "<", "6", "deny: in, proto: any | denies more: the comparison < cannot be said"),
        ("ip protocol", "==", r#""udp""#, "deny: in, proto: udp"),
        ("ip6 nexthdr", "==", r#""udp""#, "deny: in, proto: any | denies more: ip6 nexthdr cannot be said"),
        (family, "==", r#""ipv4""#, "deny: in, proto: any"),
        (family, "==", r#""ipv6""#, ""),
        (family, "!=", r#""ipv6""#, "deny: in, proto: any"),
        (family, "==", r#"{"set": ["ipv4", "ipv6"]}"#, "deny: in, proto: any"),
        (family, "==", "2", unread),
        (ether, "==", r#""ip""#, "deny: in, proto: any"),
        (ether, "==", r#""ip6""#, ""),
        (ether, "==", r#""arp""#, NONE),
        (ether, "!=", r#""arp""#, "deny: in, proto: any"),
        (
            state,
            "in",
            r#"["established", "new"]"#,
            "deny: in, proto: any | denies more: a deny of new connections also denies packets that are related, invalid or \
             not tracked",
        ),
        (
            state,
            "==",
            r#""established""#,
            "deny: in, proto: any | denies more: a deny of established connections also denies new ones",
        ),
        (
            state,
            "!=",
            r#""new""#,
            "deny: in, proto: any | denies more: a deny of established connections also denies new ones",
        ),
        (state, "in", r#"["established", "snat"]"#, unread),
        (state, "==", "4", unread),
        (state, "==", r#"{"set": []}"#, unread),
        (&iif, "==", r#""eth0""#, "deny: in, proto: any"),
        (&iifname, "==", r#""eth0""#, "deny: in, proto: any"),
        (&iifname, "==", r#""eth*""#, "deny: in, proto: any"),
        (&iifname, "==", r#""eth1""#, NONE),
        (&iifname, "!=", r#""eth1""#, "deny: in, proto: any"),
        (&iifname, "==", r#"{"set": ["eth1", "eth0"]}"#, "deny: in, proto: any"),
        (&iifname, "!=", r#"{"set": ["eth1", "eth0"]}"#, ""),
        // A name that begins with anything, and not the element for the rest.
        (&iifname, "==", r#""*""#, "deny: in, proto: any"),
        (&iifname, "!=", r#""*""#, ""),
        (&iifname, "==", "3", unread),
        (&oif, "==", r#""eth0""#, ""),
        (&oifname, "==", r#""eth0""#, ""),
        // More than a key is another expression.
        (
            r#"{"meta": {"key": "l4proto", "x": 1}}"#,
            "==",
            r#""udp""#,
            "deny: in, proto: any | denies more: meta l4proto cannot be said",
        ),
        (
            r#"{"ct": {"key": "state", "dir": "original"}}"#,
            "==",
            r#""new""#,
            "deny: in, proto: any | denies more: ct state cannot be said",
        ),
        (r#"{"ct": {"key": "mark"}}"#, "==", "1", "deny: in, proto: any | denies more: ct mark cannot be said"),
        (r#"{"meta": {"key": "mark"}}"#, "==", "1", "deny: in, proto: any | denies more: meta mark cannot be said"),
        (r#"{"rt": {"key": "mtu"}}"#, "==", "1", "deny: in, proto: any | denies more: rt mtu cannot be said"),
        (r#""odd""#, "==", "1", "deny: in, proto: any | denies more: \"odd\" cannot be said"),
    ]);
}

#[test]
fn types_of_addresses_in_nft() {
    let fib = |result: &str, flags: &str| format!(r#"{{"fib": {{"result": "{result}", "flags": {flags}}}}}"#);
    let (to, to_list, from) = (fib("type", r#""daddr""#), fib("type", r#"["daddr"]"#), fib("type", r#"["saddr"]"#));
    let beyond = fib("type", r#"["saddr", "iif"]"#);
    let out = fib("oif", r#"["saddr"]"#);
    compared(&[
        (&to, "==", r#""local""#, "deny: in, proto: any"),
        (&to_list, "==", r#""local""#, "deny: in, proto: any"),
        (&to, "!=", r#""local""#, ""),
        (&to, "==", r#"{"set": ["broadcast", "multicast"]}"#, ""),
        (&from, "==", r#""multicast""#, "deny: in, proto: any, remote: 224.0.0.0/4"),
        (&to, "==", "2", "deny: in, proto: any | denies more: a value cannot be read"),
        (&beyond, "==", r#""local""#, "deny: in, proto: any | denies more: fib type of an interface cannot be said"),
        (&out, "==", "1", "deny: in, proto: any | denies more: fib cannot be said"),
        (
            r#"{"fib": {"result": "type", "flags": "daddr", "x": 1}}"#,
            "==",
            r#""local""#,
            "deny: in, proto: any | denies more: fib cannot be said",
        ),
        (
            r#"{"fib": {"result": "type"}}"#,
            "==",
            r#""local""#,
            "deny: in, proto: any | denies more: fib type of an interface cannot be said",
        ),
    ]);
}

/// The protocol of a field stays a condition, also under a mask.
#[test]
fn fields_that_are_not_seen() {
    for (field, proto) in [
        ("tcp flags", "tcp"),
        ("udp length", "udp"),
        ("sctp vtag", "sctp"),
        ("udplite checksum", "136"),
        ("dccp type", "33"),
        ("icmp type", "icmp"),
        ("icmpv6 type", "icmpv6"),
        ("ip ttl", "any"),
        ("ip6 hoplimit", "any"),
        ("th flags", "any"),
        ("ether saddr", "any"),
        ("arp saddr", "any"),
        ("ip sport", "any"),
        ("tcp saddr", "tcp"),
        ("icmp dport", "icmp"),
    ] {
        let unsaid = format!("deny: in, proto: {proto} | denies more: {field} cannot be said");
        compared(&[(field, "==", "1", &unsaid), (field, "!=", "1", &unsaid)]);
        for op in ["&", "|", "^", "<<", ">>"] {
            let masked = format!(r#"{{"{op}": [{}, 3]}}"#, payload(field));
            compared(&[(&masked, "==", "1", &unsaid)]);
        }
    }
    let of_port = format!(r#"{{"&": [{}, 3]}}"#, payload("tcp dport"));
    let of_addr = format!(r#"{{"&": [{}, 3]}}"#, payload("ip saddr"));
    let within = r#"{"payload": {"tunnel": "vxlan", "protocol": "tcp", "field": "dport"}}"#;
    let raw = r#"{"payload": {"base": "th", "offset": 0, "len": 16}}"#;
    compared(&[
        (&of_port, "==", "1", "deny: in, proto: tcp | denies more: a port under a mask cannot be said"),
        (&of_addr, "==", "1", "deny: in, proto: any | denies more: a value under a mask cannot be said"),
        (r#"{"&": []}"#, "==", "1", "deny: in, proto: any | denies more: a value under a mask cannot be said"),
        (
            within,
            "==",
            "1",
            "deny: in, proto: any | denies more: a field by its place or of an inner packet cannot be said",
        ),
        (
            raw,
            "==",
            "1",
            "deny: in, proto: any | denies more: a field by its place or of an inner packet cannot be said",
        ),
    ]);
}

#[test]
fn concatenations() {
    let of = |fields: &[&str]| {
        let fields: Vec<_> = fields.iter().map(|field| payload(field)).collect();
        format!(r#"{{"concat": [{}]}}"#, fields.join(","))
    };
    let (pair, flags, two) =
        (of(&["ip saddr", "tcp dport"]), of(&["tcp dport", "udp length"]), of(&["ip saddr", "tcp flags"]));
    let fib_pair = format!(r#"{{"concat": [{}, {{"meta": {{"key": "mark"}}}}]}}"#, payload("tcp flags"));
    let element = "an element of the set cannot be read";
    compared(&[
        (&pair, "==", r#"{"concat": ["10.0.0.9", 22]}"#, "deny: in, proto: tcp, remote: 10.0.0.9, local_ports: 22"),
        (
            &pair,
            "==",
            r#"{"set": [{"concat": ["10.0.0.9", 22]}, {"concat": ["10.0.0.8", 22]}, {"concat": ["10.0.0.9", {"range": [80, 81]}]}]}"#,
            "deny: in, proto: tcp, remote: 10.0.0.8/31, local_ports: 22 | deny: in, proto: tcp, remote: 10.0.0.9, local_ports: 80-81",
        ),
        (
            &pair,
            "==",
            r#"{"concat": [{"prefix": {"addr": "10.0.0.8", "len": 31}}, "*"]}"#,
            "deny: in, proto: tcp, remote: 10.0.0.8/31",
        ),
        (
            &pair,
            "!=",
            r#"{"concat": ["10.0.0.9", 22]}"#,
            "deny: in, proto: tcp | denies more: a negated concatenation cannot be said",
        ),
        (&pair, "==", r#"{"concat": ["10.0.0.9"]}"#, &format!("deny: in, proto: any | denies more: {element}")),
        (&pair, "==", r#"{"concat": ["10.0.0.9", 22, 23]}"#, &format!("deny: in, proto: any | denies more: {element}")),
        (&pair, "==", r#""10.0.0.9""#, &format!("deny: in, proto: any | denies more: {element}")),
        (
            &two,
            "==",
            r#"{"concat": ["10.0.0.9", 2]}"#,
            "deny: in, proto: tcp, remote: 10.0.0.9 | denies more: tcp flags cannot be said",
        ),
        (
            &fib_pair,
            "==",
            r#"{"concat": [1, 2]}"#,
            "deny: in, proto: tcp | denies more: tcp flags cannot be said; meta mark cannot be said",
        ),
        // No packet is of two protocols.
        (&flags, "==", r#"{"concat": [22, 9]}"#, NONE),
        (&flags, "!=", r#"{"concat": [22, 9]}"#, NONE),
        (
            &pair,
            "<",
            r#"{"concat": ["10.0.0.9", 22]}"#,
            "deny: in, proto: any | denies more: the comparison < cannot be said",
        ),
    ]);
}
