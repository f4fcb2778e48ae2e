//! Which addresses are of one kind, and which of them need no flow of their own.

use super::super::ids::ImageIds;
use super::super::tests::{broken, compiled};
use super::*;
use crate::tables::Image;
use crate::tables::compile::Compiled;

fn proved<T>(compiled: &Compiled, image: &Image, of: impl FnOnce(&Sides<'_>) -> T) -> T {
    let (units, ids) = (&compiled.state.units, ImageIds::of(image, None));
    let proof = Proof { document: compiled.document(), target: compiled.target(), image, units, ids: &ids };
    let mut sides = Sides::new(&proof);
    (0..compiled.document().bindings.len()).for_each(|at| sides.binding(at));
    of(&sides)
}

/// Which addresses are like the first of their kind.
fn alike(compiled: &Compiled, image: &Image) -> Vec<bool> {
    proved(compiled, image, |sides| {
        sides.all.iter().map(|task| task.is_like(&sides.all[task.first], sides.proof)).collect()
    })
}

#[test]
fn addresses_are_of_one_kind_where_the_evaluator_cannot_tell_them_apart() {
    let compiled = compiled();
    let firsts = proved(&compiled, compiled.image(), |sides| -> Vec<usize> {
        sides.all.iter().map(|task| task.first).collect()
    });
    // Four of the first policy differ: one is named by a rule, one has a VLAN, one a physical port; and so have two
    // more, on shared MACs. The second policy has both families, and of the third two MACs are shared.
    let web = [0, 1, 2, 3, 0, 0, 6, 7];
    let six = [8, 8, 8, 11, 8, 11, 8];
    let db = [15, 15, 15, 15, 15, 20, 20];
    assert_eq!(firsts, [&web[..], &six, &db].concat());
}

#[test]
fn those_of_one_kind_are_alike_entry_by_entry_unless_one_of_them_is_broken() {
    let compiled = compiled();
    let image = compiled.image();
    let count = alike(&compiled, image).len();
    assert_eq!(alike(&compiled, image), vec![true; count], "no flow of theirs has to be run");
    let firsts = proved(&compiled, image, |sides| -> Vec<(usize, IpAddr, MacAddr)> {
        sides.all.iter().map(|task| (task.first, task.ip, task.macs[0])).collect()
    });
    for key in image.rules.keys().filter(|key| key.local_ip.is_some() || key.local_mac.is_some()) {
        let family = |ip: &IpAddr| key.ether_type.is_none_or(|of| of == ether_type_of(*ip));
        let is_of = |(_, ip, mac): &(usize, IpAddr, MacAddr)| match key.local_ip {
            Some(local) => local == *ip,
            None => key.local_mac == Some(*mac) && family(ip),
        };
        // One that lost an entry is like those alone that lost the same.
        let expected: Vec<bool> =
            firsts.iter().map(|of| is_of(of) == is_of(&firsts[of.0]) || firsts[of.0] == *of).collect();
        let without = broken(image, |rules| drop(rules.remove(key)));
        assert_eq!(alike(&compiled, &without), expected, "{key:?}");
        // And so is one with another action.
        let other = broken(image, |rules| {
            let entry = rules.get_mut(key).unwrap();
            entry.rx.action =
                if entry.rx.action == Action::None { Action::Allow { sample: false } } else { Action::None };
        });
        assert_eq!(alike(&compiled, &other), expected, "{key:?}");
    }
}

#[test]
fn those_on_other_vlans_are_alike_but_for_the_vlan() {
    let made = compiled();
    let mut document = made.document().clone();
    std::sync::Arc::make_mut(&mut document.bindings[4]).vlan = Some(9);
    let moved = Compiled::new(&document, made.target(), None).unwrap_or_else(|error| panic!("{error}"));
    let firsts =
        proved(&moved, moved.image(), |sides| -> Vec<usize> { sides.all.iter().map(|task| task.first).collect() });
    assert_eq!((firsts[2], firsts[4]), (2, 2), "both have a VLAN and a MAC of their own");
    assert_eq!(alike(&moved, moved.image()), vec![true; firsts.len()]);
}
