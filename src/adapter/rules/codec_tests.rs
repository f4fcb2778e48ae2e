//! Golden bytes typed from ef10.md 7.2 and 7.3, bounds, and the way there and back.

use proptest::prelude::*;

use super::codec::{CodecError, encode};
use super::decode::decode;
use crate::mcdi::fake::hex;
use crate::mcdi::wire::{Cmd, MAX_PAYLOAD};
use crate::tables::*;
use crate::terms::MacAddr;

fn bytes(op: &TableOp, target: &Target) -> Result<(Cmd, Vec<u8>), CodecError> {
    let mut buffer = [0xa5; MAX_PAYLOAD];
    let encoded = encode(op, target, &mut buffer)?;
    assert!(buffer[encoded.len..].iter().all(|byte| *byte == 0xa5), "nothing behind the payload is written");
    Ok((encoded.cmd, buffer[..encoded.len].to_vec()))
}

fn golden(op: &TableOp, cmd: Cmd, text: &str) {
    let (got, payload) = bytes(op, &Target::profile0()).unwrap();
    assert_eq!((got, payload), (cmd, hex(text)));
    assert_eq!(decode(cmd, &hex(text)).unwrap(), *op);
}

fn error(op: &TableOp) -> CodecError {
    bytes(op, &Target::profile0()).unwrap_err()
}

fn rule(key: RuleKey) -> TableOp {
    TableOp::SetRule { key, rx: Action::None, tx: Action::None, counter: None }
}

/// MATCH_FIELDS LOCAL_IP (bit 1); LOCAL_IP 10.30.1.17; TX_ACTION and RX_ACTION BLACKLIST; COUNTER_ID 9.
#[test]
fn base_deny() {
    let key = RuleKey { local_ip: Some("10.30.1.17".parse().unwrap()), ..RuleKey::default() };
    let deny = Action::Deny { sample: false };
    let op = TableOp::SetRule { key, rx: deny, tx: deny, counter: Some(CounterId(9)) };
    let text = "02 00 00 00  00 00 00 00 00 00  00 00  00 00 00 00 00 00  00 00  00 00  00 00  00 00  00 00 \
                00 00 00 00  00 00 00 00 \
                00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  0a 1e 01 11 00 00 00 00 00 00 00 00 00 00 00 00 \
                00 00 00 00  00 00 00 00  00 00 00 00  02 00 00 00  02 00 00 00  09 00 00 00";
    golden(&op, Cmd::SET_SECURITY_RULE, text);
}

/// Every field at once: MATCH_FIELDS 0x77ff (all but RESERVED). Numbers in network order but for PHYSICAL_PORT and the ids.
#[test]
fn rule_with_every_field() {
    let key = RuleKey {
        local_ip: Some("2001:db8::11".parse().unwrap()),
        local_mac: Some(MacAddr([0x02, 0x00, 0x0a, 0x1e, 0x01, 0x11])),
        physical_port: Some(1),
        outer_vlan: Some(0x123),
        inner_vlan: Some(0x456),
        ether_type: Some(0x86dd),
        ip_proto: Some(6),
        remote_ip: Some("10.0.0.53".parse().unwrap()),
        remote_mac: Some(MacAddr([0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f])),
        remote_subnet: Some(SubnetId(56_001)),
        remote_port: Some(443),
        remote_portrange: Some(PortRangeId(7)),
        local_port: Some(8080),
        local_portrange: Some(PortRangeId(254)),
    };
    let rx = Action::Allow { sample: true };
    let op = TableOp::SetRule { key, rx, tx: Action::None, counter: None };
    let text = "ff 77 00 00  0a 0b 0c 0d 0e 0f  01 bb  02 00 0a 1e 01 11  1f 90  86 dd  04 56  01 23  06 00 \
                01 00 00 00  00 00 00 00 \
                0a 00 00 35 00 00 00 00 00 00 00 00 00 00 00 00  20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 11 \
                c1 da 00 00  07 00 00 00  fe 00 00 00  00 00 00 00  05 00 00 00  00 00 00 00";
    golden(&op, Cmd::SET_SECURITY_RULE, text);
}

#[test]
fn actions_have_the_documented_codes() {
    let code = |rx| {
        let op = TableOp::SetRule { key: RuleKey::default(), rx, tx: Action::None, counter: None };
        bytes(&op, &Target::profile0()).unwrap().1[84]
    };
    let actions = [false, true].map(|sample| [code(Action::Allow { sample }), code(Action::Deny { sample })]);
    assert_eq!((code(Action::None), actions), (0, [[1, 2], [5, 6]]));
}

/// SUBNET_MAP_SET_NODE_IN: NODE_ID 0x102; words: subnet ids 56000, 56001, pointer to node 3 (48), and 56000 again.
#[test]
fn subnet_node() {
    let mut entries = vec![56_000; 16];
    (entries[1], entries[2]) = (56_001, 48);
    let text =
        "02 01 00 00  c0 da c1 da 30 00 c0 da c0 da c0 da c0 da c0 da c0 da c0 da c0 da c0 da c0 da c0 da c0 da c0 da";
    golden(&TableOp::SetSubnetNode(SubnetNode { id: 0x102, entries }), Cmd::SUBNET_MAP_SET_NODE, text);
}

/// Three PORTRANGE_TREE_ENTRY: BRANCH_KEY 1023, then two leaves (0xffff) with the ids 1 and 2.
#[test]
fn port_trees() {
    let entry = |branch_key, leaf_id| PortTreeEntry { branch_key, leaf_id };
    let tree = vec![entry(1023, 0), entry(0xffff, 1), entry(0xffff, 2)];
    let text = "ff 03 00 00  ff ff 01 00  ff ff 02 00";
    golden(&TableOp::SetRemotePortTree(tree.clone()), Cmd::REMOTE_PORTRANGE_MAP_SET_TREE, text);
    golden(&TableOp::SetLocalPortTree(tree), Cmd::LOCAL_PORTRANGE_MAP_SET_TREE, text);
}

#[test]
fn rule_fields_have_bounds() {
    let out = |key, name| {
        let error = error(&rule(key));
        let expected = matches!(error, CodecError::Field(FieldError::OutOfRange { field, .. }) if field == name);
        assert!(expected, "{error}");
    };
    let key = RuleKey::default();
    out(RuleKey { outer_vlan: Some(4096), ..key }, "outer VLAN");
    out(RuleKey { inner_vlan: Some(4096), ..key }, "inner VLAN");
    out(RuleKey { physical_port: Some(2), ..key }, "physical port");
    out(RuleKey { remote_subnet: Some(SubnetId(55_999)), ..key }, "remote subnet id");
    out(RuleKey { remote_subnet: Some(SubnetId(65_535)), ..key }, "remote subnet id");
    out(RuleKey { remote_portrange: Some(PortRangeId(0)), ..key }, "remote port-range id");
    out(RuleKey { local_portrange: Some(PortRangeId(255)), ..key }, "local port-range id");
    let text = error(&rule(RuleKey { physical_port: Some(2), ..key })).to_string();
    assert_eq!(text, "physical port 2 is outside 0 to 1, which is what the adapter takes");
}

#[test]
fn an_address_that_reads_as_another_is_refused() {
    for addr in ["2001:db8::", "::"] {
        let key = RuleKey { remote_ip: Some(addr.parse().unwrap()), ..RuleKey::default() };
        assert!(matches!(error(&rule(key)), CodecError::Field(FieldError::AmbiguousAddress { .. })), "{addr}");
    }
}

#[test]
fn reserved_counter_ids_are_refused() {
    for id in [0, 0xeeee_eeee, 0xffff_ffff] {
        let op = TableOp::SetRule {
            key: RuleKey::default(),
            rx: Action::None,
            tx: Action::None,
            counter: Some(CounterId(id)),
        };
        assert_eq!(error(&op), CodecError::ReservedCounter { id });
    }
}

#[test]
fn subnet_nodes_have_bounds() {
    let node = |id, entries| error(&TableOp::SetSubnetNode(SubnetNode { id, entries }));
    let field =
        |error, name| assert!(matches!(error, CodecError::OutOfRange { field, .. } if field == name), "{error}");
    field(node(3500, vec![56_000; 16]), "subnet node");
    field(node(0, vec![56_000; 15]), "words of a subnet node");
    field(node(0, vec![56_000; 17]), "words of a subnet node");
    // The root, half a node, the first node past the last, the gap below the ids, and past the ids.
    for word in [0, 24, 55_999, 65_535] {
        let mut entries = vec![56_000; 16];
        entries[5] = word;
        assert_eq!(node(1, entries), CodecError::BadSubnetWord { index: 5, word });
    }
    let tiny = Target { sizes: Sizes { subnet_nodes: 8, ..Sizes::profile0() }, ..Target::profile0() };
    let mut entries = vec![56_000; 16];
    entries[0] = 8 * 16;
    let op = TableOp::SetSubnetNode(SubnetNode { id: 1, entries });
    assert_eq!(bytes(&op, &tiny), Err(CodecError::BadSubnetWord { index: 0, word: 128 }));
}

#[test]
fn port_trees_have_bounds_and_children() {
    let leaf = |leaf_id| PortTreeEntry { branch_key: 0xffff, leaf_id };
    let branch = PortTreeEntry { branch_key: 80, leaf_id: 0 };
    let tree = |entries| error(&TableOp::SetLocalPortTree(entries));
    for len in [0, 256] {
        assert!(matches!(tree(vec![leaf(1); len]), CodecError::OutOfRange { max: 255, .. }));
    }
    assert!(matches!(tree(vec![leaf(0)]), CodecError::OutOfRange { field: "leaf id", value: 0, .. }));
    assert!(matches!(tree(vec![branch, leaf(1), leaf(255)]), CodecError::OutOfRange { field: "leaf id", .. }));
    assert_eq!(tree(vec![branch, leaf(1)]), CodecError::NoChild { index: 0 });
    assert_eq!(tree(vec![branch, leaf(1), branch, leaf(1), leaf(1)]), CodecError::NoChild { index: 2 });
    let unreachable = vec![branch, leaf(1), leaf(2), leaf(0), branch];
    bytes(&TableOp::SetLocalPortTree(unreachable), &Target::profile0()).unwrap();
}

#[test]
fn bytes_that_are_no_operation_are_refused() {
    assert_eq!(decode(Cmd::GET_VERSION, &[]), Err(CodecError::NotATableCommand { cmd: Cmd::GET_VERSION }));
    for len in [0, 91, 93] {
        assert!(matches!(decode(Cmd::SET_SECURITY_RULE, &vec![0; len]), Err(CodecError::BadLength { .. })));
    }
    assert!(matches!(decode(Cmd::SUBNET_MAP_SET_NODE, &[0; 5]), Err(CodecError::BadLength { .. })));
    assert!(matches!(decode(Cmd::LOCAL_PORTRANGE_MAP_SET_TREE, &[]), Err(CodecError::BadLength { .. })));
    // RESERVED and unknown match bits; UNCHANGED and SAMPLE alone as actions; SW_AUTO as counter.
    for (at, value) in [(0, 1 << 11), (0, 1 << 15), (80, u32::MAX), (84, 4), (88, 0xeeee_eeee)] {
        let mut payload = [0; 92];
        payload[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        decode(Cmd::SET_SECURITY_RULE, &payload).unwrap_err();
    }
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::None),
        any::<bool>().prop_map(|sample| Action::Allow { sample }),
        any::<bool>().prop_map(|sample| Action::Deny { sample }),
    ]
}

fn any_key() -> impl Strategy<Value = RuleKey> {
    use prop::option::of;
    let mac = || of(any::<[u8; 6]>().prop_map(MacAddr));
    let portrange = || of((1u16..=254).prop_map(PortRangeId));
    let addresses = (of(any::<std::net::IpAddr>()), mac(), of(any::<std::net::IpAddr>()), mac());
    let frame = (of(0u32..2), of(0u16..4096), of(0u16..4096), of(any::<u16>()), of(any::<u8>()));
    let classes = (of((56_000u16..=65_534).prop_map(SubnetId)), portrange(), portrange());
    (addresses, frame, classes, of(any::<u16>()), of(any::<u16>())).prop_map(
        |(addresses, frame, classes, remote_port, local_port)| RuleKey {
            local_ip: addresses.0,
            local_mac: addresses.1,
            remote_ip: addresses.2,
            remote_mac: addresses.3,
            physical_port: frame.0,
            outer_vlan: frame.1,
            inner_vlan: frame.2,
            ether_type: frame.3,
            ip_proto: frame.4,
            remote_subnet: classes.0,
            remote_portrange: classes.1,
            local_portrange: classes.2,
            remote_port,
            local_port,
        },
    )
}

proptest! {
    #[test]
    fn rules_come_back(
        key in any_key(),
        rx in any_action(),
        tx in any_action(),
        counter in prop::option::of((1u32..0xeeee_eeee).prop_map(CounterId)),
    ) {
        let op = TableOp::SetRule { key, rx, tx, counter };
        if let Ok((cmd, payload)) = bytes(&op, &Target::profile0()) {
            prop_assert_eq!(decode(cmd, &payload).unwrap(), op);
        }
    }

    #[test]
    fn no_bytes_make_decode_panic(payload in prop::collection::vec(any::<u8>(), 0..200), code in 0x10fu16..0x118) {
        let _ = decode(Cmd(code), &payload);
        let _ = decode(Cmd::SET_SECURITY_RULE, &[&payload[..], &[0; 92]].concat()[..92]);
    }
}
