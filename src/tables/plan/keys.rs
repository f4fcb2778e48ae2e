//! What two keys both match, and what two images both allow.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::maps::{Kind, Map};
use super::step::{Local, Rules};
use crate::tables::{Action, CounterId, Entry, RuleKey};
use crate::terms::{Direction, Verdict};

const ETHER_TYPE_IPV4: u16 = 0x0800;
const ETHER_TYPE_IPV6: u16 = 0x86dd;

fn ether_type_of(ip: &IpAddr) -> u16 {
    if ip.is_ipv4() { ETHER_TYPE_IPV4 } else { ETHER_TYPE_IPV6 }
}

/// The key of what both keys match; `None` if that is nothing. `map` gives the map by which ids are read.
pub(super) fn meet<'a>(a: &RuleKey, b: &RuleKey, map: impl Fn(Kind) -> Option<&'a Map>) -> Option<RuleKey> {
    let mut key = a.and(b)?;
    // Only an IP header shows addresses, and it is one of one family (A8).
    let named = [key.local_ip, key.remote_ip].into_iter().flatten().map(|ip| ether_type_of(&ip));
    let mut headers = named.chain(key.remote_subnet.map(|_| ETHER_TYPE_IPV4)).chain(key.ether_type);
    if let Some(first) = headers.next()
        && headers.any(|other| other != first)
    {
        return None;
    }
    for kind in Kind::ALL {
        let Some(id) = kind.id(&key) else { continue };
        match kind.exact_has(&key, map(kind), id) {
            // One address or port has one id: naming both would only cost another combination.
            Some(true) => key = kind.with_id(&key, None),
            Some(false) => return None,
            None => {}
        }
    }
    Some(key)
}

/// True if the keys have no field in which they differ: ids and exact values are not compared.
pub(super) fn may_meet(a: &RuleKey, b: &RuleKey) -> bool {
    meet(a, b, |_| None).is_some()
}

/// True if every frame that `inner` matches matches `outer`, as far as equal fields show.
pub(super) fn covers(outer: &RuleKey, inner: &RuleKey) -> bool {
    // What `outer` names, `inner` names too, with the same value.
    meet(outer, inner, |_| None).is_some_and(|both| both == *inner)
}

/// Keys by local IP address; those that name none are under `None`.
pub(super) type ByIp<'a> = BTreeMap<Option<IpAddr>, Vec<&'a RuleKey>>;

pub(super) fn by_ip<'a>(keys: impl IntoIterator<Item = &'a RuleKey>) -> ByIp<'a> {
    let mut out = ByIp::new();
    for key in keys {
        out.entry(key.local_ip).or_default().push(key);
    }
    out
}

/// Those of `keys` whose local address does not differ from that of `key`.
pub(super) fn near<'a>(keys: &'a ByIp<'a>, key: &RuleKey) -> Vec<&'a RuleKey> {
    match key.local_ip {
        None => keys.values().flatten().copied().collect(),
        ip => [ip, None].iter().filter_map(|ip| keys.get(ip)).flatten().copied().collect(),
    }
}

fn with_verdict(rules: &Rules, direction: Direction, verdict: Verdict) -> impl Iterator<Item = &RuleKey> {
    let is = move |entry: &Entry| entry.action(direction).verdict() == Some(verdict);
    rules.iter().filter(move |(_, entry)| is(entry)).map(|(key, _)| key)
}

/// What both images allow in one direction.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// The entries, with what a new one does and its counter.
    pub allows: BTreeMap<RuleKey, (Action, Option<CounterId>)>,
    /// Whose flows both images may allow without an entry among `allows`.
    pub closes: BTreeSet<Local>,
    /// There are more entries than any table holds: the rest was left out.
    pub overflow: bool,
}

/// The two sides of a change. Ids mean the same in both, but for those in entries that `must_close` names.
pub(super) struct OldAndNew<'a, MustClose> {
    pub old: &'a Rules,
    pub new: &'a Rules,
    /// A flow that no entry decides is allowed.
    pub open: bool,
    /// Entries beyond this number are of no use.
    pub limit: usize,
    /// Entries that get no common entry: their flows close.
    pub must_close: MustClose,
}

impl<MustClose: Fn(&RuleKey) -> bool> OldAndNew<'_, MustClose> {
    /// Entries for what both images allow, as few as that takes.
    pub fn common<'m>(&self, direction: Direction, map: impl Fn(Kind) -> Option<&'m Map>) -> Common {
        let allows = |rules| with_verdict(rules, direction, Verdict::Allow).collect::<BTreeSet<&RuleKey>>();
        let (old, new) = (allows(self.old), allows(self.new));
        let stays = |key: &RuleKey| old.contains(key) && new.contains(key) && !(self.must_close)(key);
        let ends: Vec<&RuleKey> = old.iter().copied().filter(|key| !stays(key)).collect();
        let begins: Vec<&RuleKey> = new.iter().copied().filter(|key| !stays(key)).collect();
        let kept: Vec<&RuleKey> = old.iter().copied().filter(|key| stays(key)).collect();

        let mut common = Common::default();
        common.allows.extend(kept.iter().map(|key| (**key, self.initial(key, direction))));
        self.meets(&mut common, &ends, &begins, direction, map);
        self.without_base(&mut common, &ends, self.new, direction);
        self.without_base(&mut common, &begins, self.old, direction);
        common.drop_covered(&kept);
        common
    }

    /// What an entry of either image does, with its counter.
    fn initial(&self, key: &RuleKey, direction: Direction) -> (Action, Option<CounterId>) {
        let says = |rules: &Rules| rules.get(key).filter(|is| is.action(direction) != Action::None).copied();
        let entry = says(self.old).or_else(|| says(self.new)).unwrap_or_default();
        (entry.action(direction), entry.counter)
    }

    fn meets<'m>(
        &self,
        common: &mut Common,
        ends: &[&RuleKey],
        begins: &[&RuleKey],
        direction: Direction,
        map: impl Fn(Kind) -> Option<&'m Map>,
    ) {
        let ends = by_ip(ends.iter().copied());
        for new in begins {
            let must_close = (self.must_close)(new);
            for old in near(&ends, new) {
                if must_close || (self.must_close)(old) {
                    common
                        .closes
                        .extend(meet(&without_ids(old), &without_ids(new), |_| None).map(|key| Local::of(&key)));
                } else if let Some(key) = meet(old, new, &map) {
                    common.allows.insert(key, self.initial(old, direction));
                }
            }
            if common.allows.len() > self.limit {
                common.overflow = true;
                return;
            }
        }
    }

    /// Entries of one image for flows that the other one allows because it denies nothing there.
    fn without_base(&self, common: &mut Common, keys: &[&RuleKey], other: &Rules, direction: Direction) {
        if !self.open {
            return;
        }
        let denies: Vec<&RuleKey> = with_verdict(other, direction, Verdict::Deny).collect();
        let denies = by_ip(denies);
        for key in keys {
            let met: Vec<_> = near(&denies, key).into_iter().filter(|deny| may_meet(deny, key)).collect();
            if met.iter().any(|deny| covers(deny, key)) {
                continue;
            }
            if met.is_empty() && !(self.must_close)(key) {
                common.allows.insert(**key, self.initial(key, direction));
            } else {
                common.closes.insert(Local::of(key));
            }
        }
    }
}

fn without_ids(key: &RuleKey) -> RuleKey {
    Kind::ALL.into_iter().fold(*key, |key, kind| kind.with_id(&key, None))
}

impl Common {
    /// Drops the entries that another one covers, but for those that stay anyhow.
    fn drop_covered(&mut self, kept: &[&RuleKey]) {
        let kept: BTreeSet<&RuleKey> = kept.iter().copied().collect();
        let all = by_ip(self.allows.keys());
        let is_covered = |key: &RuleKey| near(&all, key).into_iter().any(|other| other != key && covers(other, key));
        let made = self.allows.keys().filter(|key| !kept.contains(key));
        let covered: Vec<RuleKey> = made.filter(|key| is_covered(key)).copied().collect();
        for key in covered {
            self.allows.remove(&key);
        }
    }
}
