//! The example of the policy's text form.

use nicfw::policy::{Document, IpHeader, Packet, RulePlace, Why};
use nicfw::tables::{Direction, MacAddr, Verdict};

const WEB: &str = r#"nicfw: 1
unbound: allow
multicast: deny
owner: platform-team                     # default origin of what follows
groups:
  office: [10.20.0.0/16, 10.21.0.0/16]
policies:
  web:
    - {allow: in, proto: tcp, local_ports: [80, 443], remote: office, reason: shop front, ticket: CHG-1042}
    - {allow: out, proto: udp, remote: 10.0.0.53, remote_ports: 53, reason: DNS}
bindings:
  - {container: shop-1, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: {macvlan: vepa}, policy: web}
"#;

#[test]
fn a_rule_decides_and_names_its_origin() {
    let document = Document::parse(WEB, "web.yaml").unwrap_or_else(|e| panic!("{e}"));
    let packet = Packet {
        src_mac: "02:00:00:00:00:01".parse().unwrap(),
        dst_mac: MacAddr([0x02, 0, 0x0a, 0x1e, 1, 0x11]),
        outer_vlan: None,
        inner_vlan: None,
        ether_type: 0x0800,
        ip: Some(IpHeader {
            src: "10.20.3.4".parse().unwrap(),
            dst: "10.30.1.17".parse().unwrap(),
            proto: Some(6),
            ports: Some((51000, 443)),
        }),
    };
    let decision = document.decide(&packet.judged(Direction::Rx, 0));
    assert_eq!(decision.verdict, Verdict::Allow);
    assert_eq!(decision.why, Why::Rule { binding: Some(0), place: RulePlace::Policy(0, 0), reply: false });
    assert_eq!(document.describe(&decision), "allow: policy web, rule 1 (web.yaml:9)");
    let origin = document.origin(&decision.why).unwrap();
    assert_eq!((origin.owner.as_deref(), origin.ticket.as_deref()), (Some("platform-team"), Some("CHG-1042")));
}
