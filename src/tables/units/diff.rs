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
