//! A frame that shows a bound address gets past that binding's deny by no damage elsewhere, be it a length that lies, options
//! that lead nowhere, a fragment, or an end in the middle of a header.
//!
//! The binding shares the host's MAC, so its deny names the IP alone and nothing but the parser stands behind it. Its one
//! rule is about the other direction: whatever the rest of the frame says, it is denied.

use nicfw::terms::{Direction, Verdict};
use nicfw_model::engines::rules::{By, EngineConfig};
use proptest::prelude::*;

use crate::bench::{attach, compile, load, model};

const SHOP: [u8; 4] = [10, 30, 1, 17];

/// A binding that may do anything in the other direction, and nothing in this one.
fn closed(direction: Direction) -> String {
    let other = match direction {
        Direction::Tx => "in",
        Direction::Rx => "out",
    };
    format!(
        "nicfw: 1\nunbound: allow\nmulticast: allow\npolicies:\n  web:\n    - {{allow: {other}, proto: any, remote: any, \
         replies: no}}\nbindings:\n  - {{container: shop-1, ip: 10.30.1.17, mac: \"02:00:0a:1e:01:01\", attach: ipvlan, \
         policy: web}}\n"
    )
}

/// Random bytes but for tags, ether type, version and the local address; cut anywhere behind that address.
fn damaged(direction: Direction) -> impl Strategy<Value = Vec<u8>> {
    let at = match direction {
        Direction::Tx => 12,
        Direction::Rx => 16,
    };
    let tags = prop::sample::subsequence(vec![[0x88, 0xa8], [0x81, 0x00]], 0..=2);
    (tags, prop::collection::vec(any::<u8>(), 14 + 8 + 60), any::<prop::sample::Index>()).prop_map(
        move |(tags, mut frame, cut)| {
            // A group address is judged by other entries.
            frame[0] = 2;
            frame[6] = 2;
            for (i, tag) in tags.iter().enumerate() {
                frame[12 + 4 * i..14 + 4 * i].copy_from_slice(tag);
            }
            let header = 14 + 4 * tags.len();
            frame[header - 2..header].copy_from_slice(&[0x08, 0x00]);
            frame[header] = 0x40 | frame[header] & 0xf;
            frame[header + at..header + at + 4].copy_from_slice(&SHOP);
            let shortest = header + at + 4;
            frame.truncate(shortest + cut.index(frame.len() - shortest));
            frame
        },
    )
}

fn denied_by_an_entry(direction: Direction) {
    let model = model(EngineConfig::profile0());
    let _rules_stay = load(&model, &compile(&closed(direction), attach(&model).target()));
    proptest!(|(frame in damaged(direction))| {
        let judgement = model.judge(&frame, direction, 0).unwrap();
        prop_assert_eq!(judgement.verdict, Verdict::Deny, "{:02x?}", frame);
        prop_assert!(matches!(judgement.by, By::Entry(key) if key.is_base()), "{:?}", judgement);
    });
}

#[test]
fn no_damage_lets_a_frame_out() {
    denied_by_an_entry(Direction::Tx);
}

#[test]
fn no_damage_lets_a_frame_in() {
    denied_by_an_entry(Direction::Rx);
}
