//! Ranked lookup orders: of the combinations that an adapter may look up, above the base.

use nicfw::tables::{LookupOrder, MatchFields, Target};

/// What an entry above the base may name beside its local side: protocol, remote address, remote port, local port.
pub fn tails() -> Vec<MatchFields> {
    use MatchFields as F;
    let nothing = F::empty();
    let mut out = Vec::new();
    for proto in [nothing, F::IP_PROTO] {
        for remote in [nothing, F::REMOTE_IP, F::REMOTE_SUBNET_ID] {
            for remote_port in [nothing, F::REMOTE_PORT, F::REMOTE_PORTRANGE_ID] {
                for local_port in [nothing, F::LOCAL_PORT, F::LOCAL_PORTRANGE_ID] {
                    out.push(proto | remote | remote_port | local_port);
                }
            }
        }
    }
    out
}

/// The local sides that documents have: with and without MAC, VLAN and physical port.
pub fn locals() -> Vec<MatchFields> {
    use MatchFields as F;
    let address = F::LOCAL_IP | F::ETHER_TYPE;
    let optional = [F::LOCAL_MAC, F::OUTER_VLAN, F::PHYSICAL_PORT];
    let chosen = |bits: usize| (0..3).filter(move |bit| bits >> bit & 1 == 1).map(|bit| optional[bit]);
    (0..8).map(|bits| chosen(bits).fold(address, |all, one| all | one)).collect()
}

/// An order: the tails as they stand, then what no policy makes, then the base.
pub fn ranked(tails: &[MatchFields], locals: &[MatchFields]) -> LookupOrder {
    use MatchFields as F;
    let mut order: Vec<F> = tails.iter().flat_map(|tail| locals.iter().map(|local| *tail | *local)).collect();
    // ARP, and the solicited-node groups.
    order.extend([F::LOCAL_MAC | F::ETHER_TYPE, F::LOCAL_IP | F::ETHER_TYPE | F::IP_PROTO]);
    order.extend([F::LOCAL_IP, F::LOCAL_MAC, F::PHYSICAL_PORT]);
    LookupOrder::Ranked(order)
}

/// Those that name more come first; `seed` orders those that name as many.
pub fn specific_first(seed: u64) -> Vec<MatchFields> {
    let mut out = shuffled(seed);
    out.sort_by_key(|fields| std::cmp::Reverse(fields.bits().count_ones()));
    out
}

pub fn shuffled(seed: u64) -> Vec<MatchFields> {
    let mut out = tails();
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    for at in (1..out.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
    }
    out
}

/// An adapter with this order, and room for all its combinations.
pub fn target(order: LookupOrder) -> Target {
    let mut target = Target::profile0();
    target.profile.order = order;
    target.profile.combinations = 1000;
    target
}
