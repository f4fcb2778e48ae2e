//! What two documents have in common. What is one value in memory is equal without a look inside.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::policy::{Binding, Document};
use crate::tables::units::unit::names_unbound;

/// What the item of the new list was in the old one, by its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Equal(usize),
    /// It has the same name.
    Changed(usize),
    New,
}

/// By the places of the new list. Its beginning is that of the old one, and so is its end.
#[derive(Debug)]
pub(crate) struct Compared {
    /// How many items the old list has.
    old: usize,
    first: usize,
    middle: Vec<Kept>,
    last: usize,
}

impl Compared {
    pub fn iter(&self) -> impl Iterator<Item = Kept> + '_ {
        let front = (0..self.first).map(Kept::Equal);
        front.chain(self.middle.iter().copied()).chain((self.old - self.last..self.old).map(Kept::Equal))
    }

    /// The items between the beginning and the end, with their places in the new list.
    pub fn middle(&self) -> impl Iterator<Item = (usize, Kept)> + '_ {
        (self.first..).zip(self.middle.iter().copied())
    }

    /// True if nothing moved, came or went.
    pub fn same_places(&self) -> bool {
        let same = |(at, kept)| matches!(kept, Kept::Equal(old) | Kept::Changed(old) if old == at);
        self.first + self.middle.len() + self.last == self.old && self.middle().all(same)
    }

    pub fn all_equal(&self) -> bool {
        self.middle.iter().all(|kept| matches!(kept, Kept::Equal(_)))
    }
}

/// Compares the beginnings, then the ends, and what is between by name.
pub(crate) fn compare<T, N: std::hash::Hash + Eq>(
    old: &[Arc<T>],
    new: &[Arc<T>],
    equal: impl Fn(&Arc<T>, &Arc<T>) -> bool,
    name: impl Fn(&Arc<T>) -> N,
) -> Compared {
    if std::ptr::eq(old, new) {
        return Compared { old: old.len(), first: old.len(), middle: Vec::new(), last: 0 };
    }
    let equal = |a: &Arc<T>, b: &Arc<T>| Arc::ptr_eq(a, b) || equal(a, b);
    let first = old.iter().zip(new).take_while(|(a, b)| equal(a, b)).count();
    let last = old[first..].iter().rev().zip(new[first..].iter().rev()).take_while(|(a, b)| equal(a, b)).count();
    let between = first..old.len() - last;
    let mut by_name: HashMap<N, usize> = between.map(|at| (name(&old[at]), at)).collect();
    let find = |item: &Arc<T>| match by_name.remove(&name(item)) {
        Some(at) if equal(&old[at], item) => Kept::Equal(at),
        Some(at) => Kept::Changed(at),
        None => Kept::New,
    };
    let middle = new[first..new.len() - last].iter().map(find).collect();
    Compared { old: old.len(), first, middle, last }
}

/// True if two bindings differ in nothing but the place of their policy.
pub(crate) fn same_binding(a: &Binding, b: &Binding) -> bool {
    let Binding {
        container,
        ips,
        mac,
        owns_mac,
        vlan,
        physical_ports,
        policy: _,
        attach,
        open_nd,
        unprotected_accepted,
        origin,
    } = a;
    (container, ips, mac, owns_mac) == (&b.container, &b.ips, &b.mac, &b.owns_mac)
        && (vlan, physical_ports, attach) == (&b.vlan, &b.physical_ports, &b.attach)
        && (open_nd, unprotected_accepted, origin) == (&b.open_nd, &b.unprotected_accepted, &b.origin)
}

/// True if a change of bindings and policies alone can start from what was compiled before.
pub(crate) fn is_same_frame(before: &Document, document: &Document) -> bool {
    let frame = |document: &Document| (document.unbound, document.multicast, document.ephemeral.clone());
    frame(before) == frame(document)
        && before.management == document.management
        // Which addresses of the host have entries depends on what is bound.
        && (!document.management.iter().any(names_unbound) || same_addresses(before, document))
}

fn same_addresses(before: &Document, document: &Document) -> bool {
    let ips = |document: &Document| {
        document.bindings.iter().flat_map(|binding| binding.ips.iter().copied()).collect::<BTreeSet<_>>()
    };
    ips(before) == ips(document)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::{Attach, Management};
    use crate::terms::Verdict;

    fn document() -> Document {
        let text = "nicfw: 1\nunbound: allow\nmulticast: allow\nmanagement:\n\
                    - {allow: in, proto: tcp, local_ports: 22, remote: 10.20.0.1}\n\
                    policies:\n  web:\n  - {allow: in, proto: tcp}\nbindings:\n\
                    - {container: a, ip: 10.30.1.1, mac: \"02:00:00:00:00:01\", attach: sriov, policy: web}\n\
                    - {container: b, ip: 10.30.1.2, mac: \"02:00:00:00:00:02\", attach: sriov, policy: web}\n";
        Document::parse(text, "t.yaml").unwrap()
    }

    #[test]
    fn bindings_are_the_same_whatever_the_place_of_their_policy_and_nothing_else() {
        let binding = Binding::clone(&document().bindings[0]);
        let other = Binding { policy: 7, ..binding.clone() };
        assert!(same_binding(&binding, &binding) && same_binding(&binding, &other));
        type Change = (&'static str, fn(&mut Binding));
        let changes: [Change; 10] = [
            ("container", |of| of.container.push('x')),
            ("ips", |of| of.ips.push("10.30.1.9".parse().unwrap())),
            ("mac", |of| of.mac.0[5] = 9),
            ("owns_mac", |of| of.owns_mac = !of.owns_mac),
            ("vlan", |of| of.vlan = Some(5)),
            ("physical_ports", |of| of.physical_ports.push(1)),
            ("attach", |of| of.attach = Attach::Ipvlan),
            ("open_nd", |of| of.open_nd = !of.open_nd),
            ("unprotected_accepted", |of| of.unprotected_accepted = !of.unprotected_accepted),
            ("origin", |of| Arc::make_mut(&mut of.origin).line += 1),
        ];
        for (what, change) in changes {
            let mut other = binding.clone();
            change(&mut other);
            assert!(!same_binding(&binding, &other), "{what}");
        }
    }

    #[test]
    fn a_frame_is_all_but_policies_and_bindings() {
        let before = document();
        let changed = |change: &dyn Fn(&mut Document)| {
            let mut document = before.clone();
            change(&mut document);
            is_same_frame(&before, &document)
        };
        assert!(changed(&|_| ()));
        assert!(changed(&|document| drop(document.policies.pop())));
        assert!(changed(&|document| drop(document.bindings.pop())), "no rule is about addresses of the host");
        assert!(!changed(&|document| document.unbound = Verdict::Deny));
        assert!(!changed(&|document| document.multicast = Verdict::Deny));
        assert!(!changed(&|document| document.ephemeral = crate::terms::PortSet::point(9)));
        assert!(!changed(&|document| document.management[0].rule.proto = crate::policy::Proto::UDP));
        assert!(!changed(&|document| document.management.clear()));
    }

    /// Where a management rule names addresses of the host, those that are bound are none of them.
    #[test]
    fn bound_addresses_belong_to_the_frame_where_rules_are_about_those_of_the_host() {
        let local = Some("10.30.0.0/16".parse::<ipnet::IpNet>().unwrap().into());
        let mac = Some("02:00:00:00:00:09".parse().unwrap());
        for (local, mac) in [(None, None), (local.clone(), None), (None, mac), (local, mac)] {
            let mut before = document();
            let Management { rule, mac: of } = &mut before.management[0];
            (rule.local, *of) = (local.clone(), mac);
            let is_about_host = local.is_some() && mac.is_some();
            let (mut fewer, mut moved) = (before.clone(), before.clone());
            fewer.bindings.pop();
            assert_eq!(is_same_frame(&before, &fewer), !is_about_host, "{local:?} {mac:?}");
            Arc::make_mut(&mut moved.bindings[1]).ips[0] = "10.30.1.3".parse().unwrap();
            assert_eq!(is_same_frame(&before, &moved), !is_about_host, "{local:?} {mac:?}");
            moved.bindings.rotate_left(1);
            let mut turned = before.clone();
            turned.bindings.rotate_left(1);
            assert!(is_same_frame(&before, &turned), "the same addresses");
        }
    }

    /// A name and a content.
    type Item = (u8, u8);

    fn items() -> impl Strategy<Value = Vec<Item>> {
        let all = prop::collection::btree_map(0u8..6, 0u8..2, 0..6);
        all.prop_map(|all| all.into_iter().collect::<Vec<Item>>()).prop_shuffle()
    }

    proptest! {
        #[test]
        fn items_are_found_by_name_wherever_they_stand(
            old in items(),
            new in items(),
            kept in any::<bool>(),
            shared in any::<bool>(),
        ) {
            // Half of the changes leave most of the list as it is.
            let new = if kept && !old.is_empty() { [&new[..new.len().min(1)], &old[1..]].concat() } else { new };
            let mut names = BTreeSet::new();
            let new: Vec<Item> = new.into_iter().filter(|(name, _)| names.insert(*name)).collect();
            let old: Vec<Arc<Item>> = old.into_iter().map(Arc::new).collect();
            let same = |item: &Item| old.iter().find(|other| ***other == *item).filter(|_| shared).cloned();
            let new: Vec<Arc<Item>> = new.iter().map(|item| same(item).unwrap_or_else(|| Arc::new(*item))).collect();
            let compared = compare(&old, &new, |a, b| a == b, |item| item.0);
            let place = |item: &Item| old.iter().position(|other| other.0 == item.0);
            let expected: Vec<Kept> = new
                .iter()
                .map(|item| match place(item) {
                    Some(at) if old[at] == *item => Kept::Equal(at),
                    Some(at) => Kept::Changed(at),
                    None => Kept::New,
                })
                .collect();
            prop_assert_eq!(compared.iter().collect::<Vec<_>>(), expected.clone());
            prop_assert_eq!(compared.all_equal(), expected.iter().all(|kept| matches!(kept, Kept::Equal(_))));
            let names = |items: &[Arc<Item>]| items.iter().map(|item| item.0).collect::<Vec<_>>();
            prop_assert_eq!(compared.same_places(), names(&old) == names(&new));
            let outside = |at: usize| matches!(expected[at], Kept::Equal(_));
            let middle: BTreeSet<usize> = compared.middle().map(|(at, _)| at).collect();
            prop_assert!(compared.middle().all(|(at, kept)| kept == expected[at]));
            prop_assert!((0..new.len()).all(|at| middle.contains(&at) || outside(at)));
            let whole = compare(&old, &old, |_, _| false, |item| item.0);
            prop_assert!(whole.same_places() && whole.all_equal());
            prop_assert_eq!(whole.iter().collect::<Vec<_>>(), (0..old.len()).map(Kept::Equal).collect::<Vec<_>>());
        }
    }
}
