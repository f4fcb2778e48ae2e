//! Cases of `iptables-save`, by hand.

use nicfw::policy::import::{Effect, Format, Import, ImportError, View};
use nicfw::{Direction, Verdict};

use crate::common::{Probe, decide, listed, read, rules, settings};

const LOCAL: u32 = 0x0a1e_0111;

/// A filter table with these policies of INPUT and OUTPUT and these lines.
fn saved(input: &str, output: &str, lines: &str) -> String {
    format!("*filter\n:INPUT {input} [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT {output} [0:0]\n{lines}COMMIT\n")
}

#[track_caller]
fn imported(text: &str) -> Import {
    read(Format::Iptables, text, &settings(&["10.30.1.17"])).unwrap()
}

#[track_caller]
fn says(import: &Import, expected: &[&str], not_carried: &[&str]) {
    assert_eq!(
        (rules(import), listed(import)),
        (expected.to_vec(), not_carried.iter().map(ToString::to_string).collect())
    );
}

#[test]
fn policies_become_explicit() {
    says(
        &imported(&saved("ACCEPT", "DROP", "")),
        &["allow: in, proto: any, replies: no", "deny: out, proto: any"],
        &[],
    );
}

#[test]
fn conditions_that_can_be_said() {
    let lines = "-A INPUT ! -s 10.0.0.0/8 -p tcp -m tcp --sport 1024:65535 --dport 22 -j DROP\n\
                 -A INPUT -p tcp -m multiport --dports 80,443,8000:8099 -m comment --comment \"a \\\"b\\\" -j X\" -j ACCEPT\n\
                 -A INPUT -p udp -m multiport --ports 53 -j ACCEPT\n\
                 -A INPUT -m iprange --src-range 10.0.0.5-10.0.0.8 -j REJECT --reject-with icmp-port-unreachable\n\
                 -A INPUT -s 10.9.0.0/255.255.0.0 -p tcp ! --dport 25 -j ACCEPT\n\
                 -A INPUT -d 10.30.1.18/32 -j ACCEPT\n\
                 -A INPUT -p sctp -m sctp --dport 0:65535 -j ACCEPT\n\
                 [5:300] -A INPUT -p gre -j ACCEPT\n";
    says(
        &imported(&saved("DROP", "DROP", lines)),
        &[
            "deny: in, proto: tcp, remote: {of: 0.0.0.0/0, except: 10.0.0.0/8}, remote_ports: 1024-65535, local_ports: 22",
            "allow: in, proto: tcp, local_ports: [80, 443, 8000-8099], replies: no",
            "allow: in, proto: udp, remote_ports: 53, replies: no",
            "allow: in, proto: udp, local_ports: 53, replies: no",
            "deny: in, proto: any, remote: [10.0.0.5, 10.0.0.6/31, 10.0.0.8]",
            "allow: in, proto: tcp, remote: 10.9.0.0/16, local_ports: [0-24, 26-65535], replies: no",
            // Of a later fragment nobody sees a port, so that it does not match.
            "allow: in, proto: sctp, local_ports: 0-65535, replies: no",
            "allow: in, proto: 47, replies: no",
            "deny: in, proto: any",
            "deny: out, proto: any",
        ],
        &[],
    );
}

#[test]
fn allows_that_cannot_be_said_are_left_out_and_denies_lose_the_condition() {
    let lines = "-A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT\n\
                 -A INPUT -i eth0 -p tcp -m tcp --dport 22 -j ACCEPT\n\
                 -A INPUT -p tcp -m tcp --tcp-flags SYN,ACK SYN -j DROP\n\
                 -A INPUT -m set --match-set bad src -p udp -j DROP\n\
                 -A INPUT -m mark --mark 0x1 -j ACCEPT\n\
                 -A INPUT -p 50 -m recent --update --name x -j RETURN\n\
                 -A INPUT -p udp -j LOG --log-prefix \"-j ACCEPT\"\n\
                 -A INPUT -p sctp -j NFQUEUE --queue-num 0\n\
                 -A INPUT -i lo -j ACCEPT\n\
                 -A FORWARD -j ACCEPT\n";
    says(
        &imported(&saved("DROP", "DROP", lines)),
        &[
            "deny: in, proto: tcp",
            "deny: in, proto: udp",
            "deny: in, proto: sctp",
            "deny: in, proto: any",
            "deny: out, proto: any",
        ],
        &[
            "5: left out: the adapter sees no ICMP types",
            "6: left out: the adapter does not see the interface eth0; name the uplink",
            "7: denies more: the adapter sees no TCP flags and options",
            "8: denies more: the match set cannot be said",
            "9: left out: the match mark cannot be said",
            "10: not carried: the match recent cannot be said",
            "11: not carried: the adapter does not log",
            "12: denies more: a program decides, which the adapter does not ask",
            "13: not carried: traffic of other interfaces does not reach the adapter",
            "14: not carried: no imported hook reaches chain FORWARD of table filter",
        ],
    );
}

#[test]
fn chains_returns_and_gotos_become_plain_order() {
    let lines = ":WEB - [0:0]\n:REST - [0:0]\n\
                 -A INPUT -p tcp -j WEB\n\
                 -A INPUT -p udp -g REST\n\
                 -A INPUT -s 10.2.0.0/16 -j ACCEPT\n\
                 -A WEB -s 10.1.0.0/16 -j RETURN\n\
                 -A WEB -p tcp -m tcp --dport 80 -j ACCEPT\n\
                 -A REST -s 10.3.0.0/16 -j RETURN\n\
                 -A REST -p udp -m udp --dport 53 -j DROP\n";
    let import = imported(&saved("ACCEPT", "DROP", lines));
    says(
        &import,
        &[
            // WEB returns for 10.1/16: what follows in INPUT for TCP from there.
            "allow: in, proto: tcp, remote: 10.1.0.0/16, replies: no",
            "allow: in, proto: tcp, local_ports: 80, replies: no",
            // REST returns to the end of INPUT, and so does its own end.
            "allow: in, proto: udp, remote: 10.3.0.0/16, replies: no",
            "deny: in, proto: udp, local_ports: 53",
            "allow: in, proto: udp, replies: no",
            "allow: in, proto: any, remote: 10.2.0.0/16, replies: no",
            "allow: in, proto: any, replies: no",
            "deny: out, proto: any",
        ],
        &[],
    );
}

#[test]
fn a_jump_with_a_condition_that_cannot_be_said_taints_its_chain() {
    let lines = ":A - [0:0]\n-A INPUT -m mark --mark 1 -j A\n-A A -p tcp -j ACCEPT\n-A A -p udp -j DROP\n";
    says(
        &imported(&saved("ACCEPT", "ACCEPT", lines)),
        &["deny: in, proto: udp", "allow: in, proto: any, replies: no", "allow: out, proto: any, replies: no"],
        &[
            "7: left out: reached through line 6: the match mark cannot be said",
            "8: denies more: reached through line 6: the match mark cannot be said",
        ],
    );
}

#[test]
fn all_tables_take_part_and_translated_destinations_are_denied() {
    let text = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -s 10.66.0.0/16 -j DROP\nCOMMIT\n\
                *nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n\
                -A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\n\
                -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE\n-A POSTROUTING -p tcp -j MASQUERADE\nCOMMIT\n"
        .to_owned()
        + &saved("ACCEPT", "ACCEPT", "");
    says(
        &imported(&text),
        &[
            "deny: in, proto: any, remote: 10.66.0.0/16",
            "deny: in, proto: tcp, local_ports: 8080",
            "allow: in, proto: any, replies: no",
            "allow: out, proto: any, replies: no",
        ],
        &[
            "11: denies more: destinations are not translated by the adapter, and the rules behind judge the translated ones",
            "13: not carried: sources are not translated by the adapter",
        ],
    );
}

#[test]
fn uplinks_decide_conditions_on_interfaces() {
    let lines = "-A INPUT -i eth0 -p tcp -j ACCEPT\n-A INPUT -i eth1 -p udp -j ACCEPT\n-A OUTPUT ! -o eth0 -j ACCEPT\n";
    let mut settings = settings(&["10.30.1.17"]);
    settings.uplinks = vec!["eth0".to_owned()];
    let import = read(Format::Iptables, &saved("DROP", "DROP", lines), &settings).unwrap();
    says(
        &import,
        &["allow: in, proto: tcp, replies: no", "deny: in, proto: any", "deny: out, proto: any"],
        &["6: not carried: traffic of other interfaces does not reach the adapter"],
    );
}

#[test]
fn a_router_s_forward_is_both_directions() {
    let lines = "-A FORWARD -s 10.30.1.0/24 -p tcp -m tcp --dport 443 -j ACCEPT\n\
                 -A FORWARD -d 10.30.1.17/32 -p udp -m udp --sport 53 -j ACCEPT\n";
    let mut settings = settings(&["10.30.1.17"]);
    settings.view = View::Router;
    let import = read(Format::Iptables, &saved("DROP", "DROP", lines), &settings).unwrap();
    says(
        &import,
        &[
            "allow: in, proto: tcp, remote: 10.30.1.0/24, local_ports: 443, replies: no",
            "allow: in, proto: udp, remote_ports: 53, replies: no",
            "deny: in, proto: any",
            "allow: out, proto: tcp, remote_ports: 443, replies: no",
            "allow: out, proto: udp, remote: 10.30.1.17, local_ports: 53, replies: no",
            "deny: out, proto: any",
        ],
        &[],
    );
}

const STATEFUL: &str = "-A INPUT -s 10.66.0.0/16 -j DROP\n\
    -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n\
    -A INPUT -p tcp -m conntrack --ctstate NEW -m tcp --dport 443 -j ACCEPT\n\
    -A INPUT -j REJECT --reject-with icmp-host-prohibited\n\
    -A OUTPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n\
    -A OUTPUT -d 10.0.0.53/32 -p udp -m udp --dport 53 -j ACCEPT\n";

#[test]
fn established_becomes_replies() {
    let import = imported(&saved("ACCEPT", "DROP", STATEFUL));
    says(
        &import,
        &[
            "deny: in, proto: any, remote: 10.66.0.0/16",
            "allow: in, proto: tcp, local_ports: 443",
            "allow: out, proto: udp, remote: 10.0.0.53, remote_ports: 53",
        ],
        &[
            "9: left out: related packets (errors by ICMP, data connections) cannot be told from others; established ones \
             are carried as replies",
        ],
    );
    let verdict = |probe: Probe, direction| decide(&import.document, &probe, direction).0;
    let answer = Probe::v4(0x0a00_0035, LOCAL, 17, 53, 40000);
    assert_eq!(verdict(answer, Direction::Rx), Verdict::Allow);
    assert_eq!(verdict(answer.mirrored(), Direction::Tx), Verdict::Allow);
    let question = Probe::v4(0x0a14_0001, LOCAL, 6, 5000, 443);
    assert_eq!(verdict(question, Direction::Rx), Verdict::Allow);
    assert_eq!(verdict(question.mirrored(), Direction::Tx), Verdict::Allow);
    let banned = Probe::v4(0x0a42_0001, LOCAL, 6, 5000, 443);
    assert_eq!(verdict(banned, Direction::Rx), Verdict::Deny);
}

/// A stateless accept of everything needs no replies, and gets none: they would open more.
#[test]
fn an_open_output_gives_its_peers_no_replies() {
    let import = imported(&saved("DROP", "ACCEPT", "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n"));
    says(
        &import,
        &[
            "allow: in, proto: tcp, local_ports: 22, replies: no",
            "deny: in, proto: any",
            "allow: out, proto: any, replies: no",
        ],
        &[],
    );
}

#[test]
fn established_for_some_flows_is_carried_for_these() {
    let lines =
        "-A INPUT -p tcp -m state --state ESTABLISHED -j ACCEPT\n-A INPUT -m state --state NEW -p udp -j ACCEPT\n";
    says(
        &imported(&saved("DROP", "ACCEPT", lines)),
        &["allow: out, proto: tcp", "allow: out, proto: any, replies: no"],
        &["6: left out: new connections are accepted, but not what follows in them"],
    );
}

#[test]
fn a_deny_by_state_refuses_the_import_unless_it_is_accepted() {
    let text = saved("DROP", "ACCEPT", "-A INPUT -m conntrack --ctstate INVALID -j DROP\n-A INPUT -p tcp -j ACCEPT\n");
    let mut settings = settings(&["10.30.1.17"]);
    let error = read(Format::Iptables, &text, &settings).map(|import| import.yaml).unwrap_err();
    assert!(matches!(error, ImportError::State { line: 5, .. }), "{error}");
    settings.accept_stateless = true;
    let import = read(Format::Iptables, &text, &settings).unwrap();
    assert_eq!((import.not_carried[0].line, import.not_carried[0].effect), (5, Effect::StateNotSeen));
}

#[test]
fn a_file_of_one_ip_version_says_nothing_of_the_other() {
    let v6 = format!(
        "# Generated by ip6tables-save v1.8.9\n{}",
        saved("ACCEPT", "DROP", "-A INPUT -s 2001:db8::/32 -p tcp -j DROP\n")
    );
    let mut settings = settings(&["10.30.1.17", "2001:db8::17"]);
    settings.open_nd = true;
    let import = read(Format::Iptables, &v6, &settings).unwrap();
    says(
        &import,
        &[
            "deny: in, proto: tcp, remote: \"2001:db8::/32\", local: \"2001:db8::17\"",
            "allow: in, proto: any, remote: \"::/0\", local: \"2001:db8::17\", replies: no",
            "deny: out, proto: any, remote: \"::/0\", local: \"2001:db8::17\"",
        ],
        &[],
    );
    let to_v4 = Probe::v4(0x0a00_0035, LOCAL, 17, 53, 40000);
    assert_eq!(decide(&import.document, &to_v4, Direction::Rx).0, Verdict::Deny);
}

/// Both lists have an allow and a deny before ESTABLISHED: each deny would have to come before the other's replies.
#[test]
fn replies_that_cannot_keep_their_place_are_given_up() {
    let lines = "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -s 10.66.0.0/16 -j DROP\n\
                 -A INPUT -m state --state ESTABLISHED -j ACCEPT\n\
                 -A OUTPUT -p udp -j ACCEPT\n-A OUTPUT -d 10.77.0.0/16 -j DROP\n\
                 -A OUTPUT -m state --state ESTABLISHED -j ACCEPT\n";
    let import = imported(&saved("DROP", "DROP", lines));
    says(
        &import,
        &[
            "allow: in, proto: tcp, local_ports: 22, replies: no",
            "deny: in, proto: any, remote: 10.66.0.0/16",
            "allow: out, proto: udp",
            "deny: out, proto: any, remote: 10.77.0.0/16",
        ],
        &["5: replies denied: denies of the other direction stand before the replies, and one order cannot say both"],
    );
    let answer = Probe::v4(LOCAL, 0x0a4d_0001, 6, 22, 5000);
    assert_eq!(decide(&import.document, &answer, Direction::Tx).0, Verdict::Deny);
}
