//! Images that are broken on purpose.

use std::sync::Arc;

use super::named::Named;
use super::near::Meaning;
use super::*;
use crate::policy::Rules;
use crate::tables::{Action, Target};

const DOCUMENT: &str = r#"
nicfw: 1
unbound: allow
multicast: deny
groups:
  office: [10.20.0.0/16, 10.21.0.0/16]
policies:
  web:
    - {allow: in, proto: tcp, local_ports: [80, 443, 8000-8099], remote: office}
    - {allow: out, proto: udp, remote: 10.0.0.53, remote_ports: 53}
    - {allow: in, proto: icmp, remote: office}
    - {allow: out, proto: udp, remote: 0.0.0.0/0, remote_ports: 123, replies: no}
    - {deny: in, proto: tcp, remote: 10.30.1.0/24, local_ports: 8080}
    - {allow: in, proto: tcp, remote: 10.30.0.0/16, local_ports: 8000-8099, replies: no}
bindings:
  - {container: a, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: sriov, policy: web}
  - {container: b, ip: 10.30.1.18, mac: "02:00:0a:1e:01:12", attach: sriov, policy: web}
  - {container: c, ip: 10.30.1.19, mac: "02:00:0a:1e:01:13", attach: sriov, vlan: 7, physical_ports: [1], policy: web}
  - {container: d, ip: 10.30.1.20, mac: "02:00:0a:1e:01:14", attach: ipvlan, policy: web}
"#;

fn compiled() -> Compiled {
    let document = Document::parse(DOCUMENT, "broken.yaml").unwrap();
    Compiled::new(&document, &Target::profile0(), None).unwrap()
}

fn proved(compiled: &Compiled, image: &Image) -> Result<(), CompileError> {
    let mut state = compiled.state.clone();
    state.meaning = Meaning::of(image, &state.meaning);
    state.named = Named::of(image, None);
    Proof { document: compiled.document(), target: compiled.target(), image, state: &state }.all()
}

#[track_caller]
fn is_found(compiled: &Compiled, image: &Image, what: &str) {
    assert!(matches!(proved(compiled, image), Err(CompileError::Disagrees { .. })), "not found: {what}");
}

/// The keys of the first container and of no container: of the second one's flows only a sample is run.
fn keys(image: &Image) -> Vec<RuleKey> {
    let second = IpAddr::V4(Ipv4Addr::new(10, 30, 1, 18));
    image.rules.keys().filter(|key| key.local_ip != Some(second)).copied().collect()
}

#[test]
fn an_entry_that_is_missing_is_found() {
    let compiled = compiled();
    proved(&compiled, compiled.image()).unwrap();
    for key in keys(compiled.image()) {
        let mut image = compiled.image().clone();
        image.rules.remove(&key);
        is_found(&compiled, &image, &format!("{key:?} is missing"));
    }
}

#[test]
fn a_verdict_that_is_another_is_found() {
    let compiled = compiled();
    for key in keys(compiled.image()) {
        for rx in [true, false] {
            let mut image = compiled.image().clone();
            let entry = image.rules.get_mut(&key).unwrap();
            let side = if rx { &mut entry.rx } else { &mut entry.tx };
            side.action = match side.action {
                Action::None => continue,
                Action::Allow { .. } => Action::Deny { sample: false },
                Action::Deny { .. } => Action::Allow { sample: false },
            };
            is_found(&compiled, &image, &format!("{key:?}, rx: {rx}"));
        }
    }
}

#[test]
fn an_entry_that_matches_more_is_found() {
    let compiled = compiled();
    let wider: [fn(&mut RuleKey); 7] = [
        |key| key.ip_proto = None,
        |key| (key.remote_ip, key.remote_subnet) = (None, None),
        |key| (key.remote_port, key.remote_portrange) = (None, None),
        |key| (key.local_port, key.local_portrange) = (None, None),
        |key| key.local_mac = None,
        |key| key.outer_vlan = None,
        |key| key.physical_port = None,
    ];
    let above = |key: &RuleKey| !key.is_base() && key.ip_proto.is_some();
    for key in keys(compiled.image()).into_iter().filter(above) {
        for (at, wide) in wider.iter().enumerate() {
            let mut other = key;
            wide(&mut other);
            let mut image = compiled.image().clone();
            let entry = image.rules.remove(&key).unwrap();
            if other != key && image.rules.insert(other, entry).is_none() {
                is_found(&compiled, &image, &format!("{key:?}, wider in {at}"));
            }
        }
    }
}

#[test]
fn an_entry_that_matches_less_is_found() {
    let compiled = compiled();
    // The one whose entries leave its link open.
    let [.., open] = &compiled.document().bindings[..] else { unreachable!() };
    let of = |key: &RuleKey| key.local_ip == Some(open.ips[0]) && key.ip_proto.is_some();
    let narrower: [fn(&mut RuleKey, MacAddr); 3] =
        [|key, mac| key.local_mac = Some(mac), |key, _| key.outer_vlan = Some(1), |key, _| key.physical_port = Some(0)];
    let keys: Vec<RuleKey> = keys(compiled.image()).into_iter().filter(of).collect();
    assert!(keys.len() > 4, "{keys:?}");
    for (at, narrow) in narrower.iter().enumerate() {
        for key in &keys {
            let mut other = *key;
            narrow(&mut other, open.mac);
            let mut image = compiled.image().clone();
            let entry = image.rules.remove(key).unwrap();
            assert!(image.rules.insert(other, entry).is_none());
            is_found(&compiled, &image, &format!("{key:?}, narrower in {at}"));
        }
    }
}

#[test]
fn ids_that_mean_something_else_are_found() {
    let compiled = compiled();
    let map = compiled.image().subnets.as_ref().unwrap();
    for at in 1..map.classes.len() {
        let mut map = (**map).clone();
        map.classes[at].1 = map.classes[at - 1].1;
        let image = Image { subnets: Some(Arc::new(map)), ..compiled.image().clone() };
        is_found(&compiled, &image, &format!("subnet {at}"));
    }
    let map = compiled.image().local_ports.as_ref().unwrap();
    for at in 1..map.classes.len() {
        let mut map = (**map).clone();
        map.classes[at].1 = map.classes[at - 1].1;
        let image = Image { local_ports: Some(Arc::new(map)), ..compiled.image().clone() };
        is_found(&compiled, &image, &format!("local ports {at}"));
    }
}

#[test]
fn the_link_step_sees_of_a_remote_whether_it_is_a_group() {
    let document = Document::parse(DOCUMENT, "broken.yaml").unwrap();
    let others = ["0.0.0.0", "10.20.0.1", "10.30.1.18", "127.0.0.1", "223.255.255.255", "240.0.0.0", "255.255.255.254"];
    let groups = ["224.0.0.0", "224.0.0.1", "239.255.255.255", "255.255.255.255"];
    let others_v6 = ["::", "2001:db8::1", "fe80::1", "feff:ffff::1"];
    let groups_v6 = ["ff00::", "ff02::1:ff00:1", "ffff:ffff::1"];
    let mut seen = Vec::new();
    for (at, binding) in document.bindings.iter().enumerate() {
        for (direction, proto) in
            DIRECTIONS.into_iter().flat_map(|direction| [1, 6, 58].map(|proto| (direction, proto)))
        {
            let by_link = |remote: &str| {
                let remote: IpAddr = remote.parse().unwrap();
                let local = if remote.is_ipv4() { binding.ips[0] } else { "2001:db8::17".parse().unwrap() };
                let flow = flow(local, remote, Some(proto));
                let flow =
                    Flow { direction, local_mac: binding.mac, outer_vlan: binding.vlan, physical_port: 1, ..flow };
                document.decide_link(&flow, &flow.ip.unwrap(), (at, binding))
            };
            for same in [&others[..], &groups[..], &others_v6[..], &groups_v6[..]] {
                assert!(same.iter().all(|remote| by_link(remote) == by_link(same[0])), "{direction:?} {proto}");
                seen.push(by_link(same[0]).is_some());
            }
        }
    }
    assert!(seen.contains(&true) && seen.contains(&false), "groups are denied on TX alone");
}

#[test]
fn the_error_is_that_of_the_first_local_side() {
    let compiled = compiled();
    let rules = compiled.image().rules.iter().filter(|(key, _)| key.is_base());
    let rules: Rules = rules.map(|(key, entry)| (*key, entry.clone())).collect();
    let image = Image { rules, ..compiled.image().clone() };
    let Err(CompileError::Disagrees { at, .. }) = proved(&compiled, &image) else { panic!("not found") };
    assert_eq!(at, compiled.document().bindings[0].origin);
}
