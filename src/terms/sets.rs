//! Exact sets of addresses and ports, as sorted disjoint intervals.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Net, Ipv6Subnets};
use smallvec::{SmallVec, smallvec};

/// A point type whose whole domain is `MIN..=MAX`.
pub trait Point: Copy + Ord {
    /// Smallest point.
    const MIN: Self;
    /// Largest point.
    const MAX: Self;
    /// The next point, or `None` at the end.
    fn next(self) -> Option<Self>;
    /// The point before, or `None` at the start.
    fn prev(self) -> Option<Self>;
}

macro_rules! point {
    ($($int:ty),*) => {$(
        impl Point for $int {
            const MIN: Self = <$int>::MIN;
            const MAX: Self = <$int>::MAX;
            fn next(self) -> Option<Self> { self.checked_add(1) }
            fn prev(self) -> Option<Self> { self.checked_sub(1) }
        }
    )*};
}
point!(u16, u32, u128);

/// The points from `first` to `last`, both included; `first <= last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval<T> {
    /// Smallest point.
    pub first: T,
    /// Largest point.
    pub last: T,
}

/// Most sets are one prefix or one range: these take no memory of their own.
type Intervals<T> = SmallVec<[Interval<T>; 2]>;

/// A set of points: sorted intervals that neither overlap nor touch, so equal sets are equal values.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntervalSet<T>(Intervals<T>);

impl<T: Copy> Clone for IntervalSet<T> {
    fn clone(&self) -> Self {
        // Intervals are copied as they lie in memory, which a clone one by one is not.
        Self(SmallVec::from_slice(&self.0))
    }
}

/// A set of ports.
pub type PortSet = IntervalSet<u16>;

impl<T: Point> Default for IntervalSet<T> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T: Point> IntervalSet<T> {
    /// The empty set.
    #[must_use]
    pub const fn empty() -> Self {
        Self(SmallVec::new_const())
    }

    /// The whole domain.
    #[must_use]
    pub fn full() -> Self {
        Self(smallvec![Interval { first: T::MIN, last: T::MAX }])
    }

    /// The set of one point.
    #[must_use]
    pub fn point(at: T) -> Self {
        Self(smallvec![Interval { first: at, last: at }])
    }

    /// The union of any intervals, in any order. An interval whose ends are the wrong way round is empty.
    #[must_use]
    pub fn from_intervals(intervals: impl IntoIterator<Item = Interval<T>>) -> Self {
        let mut sorted: Intervals<T> = intervals.into_iter().filter(|i| i.first <= i.last).collect();
        if sorted.len() < 2 {
            return Self(sorted);
        }
        sorted.sort_unstable();
        // `dedup_by` keeps the interval before and drops the one that it takes in.
        sorted.dedup_by(|next, before| {
            let meet = before.last.next().is_none_or(|after| next.first <= after);
            if meet {
                before.last = before.last.max(next.last);
            }
            meet
        });
        Self(sorted)
    }

    /// The intervals, in rising order.
    #[must_use]
    pub fn intervals(&self) -> &[Interval<T>] {
        &self.0
    }

    /// True if no point is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if every point is in the set.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.0[..], [Interval { first, last }] if first == T::MIN && last == T::MAX)
    }

    /// The only point, if there is just one.
    #[must_use]
    pub fn as_point(&self) -> Option<T> {
        match self.0[..] {
            [Interval { first, last }] if first == last => Some(first),
            _ => None,
        }
    }

    /// True if `at` is in the set.
    #[must_use]
    pub fn contains(&self, at: T) -> bool {
        let i = self.0.partition_point(|interval| interval.last < at);
        self.0.get(i).is_some_and(|interval| interval.first <= at)
    }

    /// Points in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::from_intervals(self.0.iter().chain(&other.0).copied())
    }

    /// Points in both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut out = Intervals::new();
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            let (first, last) = (x.first.max(y.first), x.last.min(y.last));
            if first <= last {
                out.push(Interval { first, last });
            }
            if x.last < y.last {
                a.next()
            } else {
                b.next()
            };
        }
        Self(out)
    }

    /// Points not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut out = Intervals::with_capacity(self.0.len() + 1);
        let mut from = Some(T::MIN);
        for interval in &self.0 {
            if let (Some(first), Some(last)) = (from, interval.first.prev())
                && first <= last
            {
                out.push(Interval { first, last });
            }
            from = interval.last.next();
        }
        out.extend(from.map(|first| Interval { first, last: T::MAX }));
        Self(out)
    }

    /// Points of this set that are not in `other`.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        self.intersect(&other.complement())
    }

    /// True if every point of this set is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.intersect(other) == *self
    }

    /// True if no point is in both sets.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.intersect(other).is_empty()
    }
}

impl<T: Point + fmt::Display> fmt::Display for IntervalSet<T> {
    /// As in `80,443,1000-2000`; the empty set is `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (i, interval) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            if interval.first == interval.last {
                write!(f, "{comma}{}", interval.first)?;
            } else {
                write!(f, "{comma}{}-{}", interval.first, interval.last)?;
            }
        }
        Ok(())
    }
}

/// A set of IP addresses of both families. IPv4-mapped IPv6 addresses are IPv6 addresses, as they are to the adapter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AddrSet {
    /// IPv4 addresses, as host-order numbers.
    pub v4: IntervalSet<u32>,
    /// IPv6 addresses, as host-order numbers.
    pub v6: IntervalSet<u128>,
}

impl AddrSet {
    /// No address.
    #[must_use]
    pub const fn empty() -> Self {
        Self { v4: IntervalSet::empty(), v6: IntervalSet::empty() }
    }

    /// Every address of both families.
    #[must_use]
    pub fn full() -> Self {
        Self { v4: IntervalSet::full(), v6: IntervalSet::full() }
    }

    /// True for multicast and broadcast destinations: 224.0.0.0/4, 255.255.255.255 and ff00::/8.
    #[must_use]
    pub fn groups() -> Self {
        let v4 = [Interval { first: 0xe000_0000, last: 0xefff_ffff }, Interval { first: u32::MAX, last: u32::MAX }];
        let v6 = Interval { first: 0xff << 120, last: u128::MAX };
        Self { v4: IntervalSet::from_intervals(v4), v6: IntervalSet::from_intervals([v6]) }
    }

    /// True if the address is in the set.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        match addr {
            IpAddr::V4(v4) => self.v4.contains(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.contains(v6.to_bits()),
        }
    }

    /// True if no address is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Addresses in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self { v4: self.v4.union(&other.v4), v6: self.v6.union(&other.v6) }
    }

    /// Addresses of this set that are not in `other`.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        Self { v4: self.v4.subtract(&other.v4), v6: self.v6.subtract(&other.v6) }
    }

    /// Points in any of these sets.
    pub(crate) fn union_of<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for set in sets {
            v4.extend_from_slice(set.v4.intervals());
            v6.extend_from_slice(set.v6.intervals());
        }
        Self { v4: IntervalSet::from_intervals(v4), v6: IntervalSet::from_intervals(v6) }
    }

    /// Every address of the families that the set has addresses of.
    pub(crate) fn families(&self) -> Self {
        let v4 = if self.v4.is_empty() { IntervalSet::empty() } else { IntervalSet::full() };
        let v6 = if self.v6.is_empty() { IntervalSet::empty() } else { IntervalSet::full() };
        Self { v4, v6 }
    }

    /// The set as the fewest prefixes, IPv4 first.
    #[must_use]
    pub fn prefixes(&self) -> Vec<IpNet> {
        let v4 = self.v4.intervals().iter().flat_map(|i| {
            Ipv4Subnets::new(Ipv4Addr::from_bits(i.first), Ipv4Addr::from_bits(i.last), 0).map(IpNet::V4)
        });
        let v6 = self.v6.intervals().iter().flat_map(|i| {
            Ipv6Subnets::new(Ipv6Addr::from_bits(i.first), Ipv6Addr::from_bits(i.last), 0).map(IpNet::V6)
        });
        v4.chain(v6).collect()
    }
}

impl From<IpAddr> for AddrSet {
    fn from(addr: IpAddr) -> Self {
        IpNet::from(addr).into()
    }
}

impl FromIterator<IpAddr> for AddrSet {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addrs: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for addr in addrs {
            match addr {
                IpAddr::V4(addr) => v4.push(Interval { first: addr.to_bits(), last: addr.to_bits() }),
                IpAddr::V6(addr) => v6.push(Interval { first: addr.to_bits(), last: addr.to_bits() }),
            }
        }
        Self { v4: IntervalSet::from_intervals(v4), v6: IntervalSet::from_intervals(v6) }
    }
}

impl From<IpNet> for AddrSet {
    fn from(net: IpNet) -> Self {
        match net {
            IpNet::V4(net) => Self { v4: IntervalSet::from_intervals([v4_interval(net)]), ..Self::empty() },
            IpNet::V6(net) => Self { v6: IntervalSet::from_intervals([v6_interval(net)]), ..Self::empty() },
        }
    }
}

fn v4_interval(net: Ipv4Net) -> Interval<u32> {
    Interval { first: net.network().to_bits(), last: net.broadcast().to_bits() }
}

fn v6_interval(net: Ipv6Net) -> Interval<u128> {
    Interval { first: net.network().to_bits(), last: net.broadcast().to_bits() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(intervals: &[(u16, u16)]) -> PortSet {
        PortSet::from_intervals(intervals.iter().map(|&(first, last)| Interval { first, last }))
    }

    #[test]
    fn touching_intervals_become_one() {
        assert_eq!(set(&[(5, 9), (1, 4), (10, 10)]), set(&[(1, 10)]));
        assert_eq!(set(&[(0, 65535), (65535, 65535)]), PortSet::full());
        assert_eq!(set(&[(9, 5)]), PortSet::empty());
    }

    #[test]
    fn prefixes_are_minimal() {
        let net = |text: &str| AddrSet::from(text.parse::<IpNet>().unwrap());
        let all_but = net("10.0.0.0/8").subtract(&net("10.128.0.0/9")).union(&net("2001:db8::1/128"));
        assert_eq!(all_but.prefixes(), ["10.0.0.0/9".parse().unwrap(), "2001:db8::1/128".parse::<IpNet>().unwrap()]);
        assert!(AddrSet::groups().contains("224.0.0.1".parse().unwrap()));
        assert!(!AddrSet::groups().contains("223.255.255.255".parse().unwrap()));
        assert!(AddrSet::groups().contains("ff02::1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn algebra_agrees_with_membership(
            a in prop::collection::vec((0u16..40, 0u16..40), 0..6),
            b in prop::collection::vec((0u16..40, 0u16..40), 0..6),
            high in any::<bool>(),
        ) {
            let lift = |v: &[(u16, u16)]| {
                let up = if high { 65535 - 39 } else { 0 };
                set(&v.iter().map(|&(x, y)| (x + up, y + up)).collect::<Vec<_>>())
            };
            let (a, b) = (lift(&a), lift(&b));
            for at in (0..=50).chain(65535 - 50..=65535) {
                let (x, y) = (a.contains(at), b.contains(at));
                prop_assert_eq!(a.union(&b).contains(at), x || y);
                prop_assert_eq!(a.intersect(&b).contains(at), x && y);
                prop_assert_eq!(a.subtract(&b).contains(at), x && !y);
                prop_assert_eq!(a.complement().contains(at), !x);
            }
            prop_assert_eq!(a.complement().complement(), a);
        }
    }
}
