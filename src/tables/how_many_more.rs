//! How many more bindings fit that are like one of a document's.
//!
//! Like means: the same policy, rules, link and attachment; addresses and, where the container owns it, a MAC of its own.
//! Two compilations show what one binding costs, from which follows a guess; the answer is what is confirmed by compiling
//! the document with so many more, and with one more than that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::policy::{Binding, Document, Rule};
use crate::tables::{CompileError, Compiled, Table};
use crate::terms::{AddrSet, MacAddr};

/// More than this is not looked for.
const MOST: u32 = 1 << 16;

/// How many more bindings fit, and what ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HowManyMore {
    /// The document compiles with so many more bindings.
    pub more: u32,
    /// Why it does not with one more; `None` if that was not reached within 65,536.
    pub ends: Option<CompileError>,
}

impl HowManyMore {
    /// The table that ends it.
    #[must_use]
    pub fn table(&self) -> Option<Table> {
        match self.ends {
            Some(CompileError::DoesNotFit { table, .. }) => Some(table),
            _ => None,
        }
    }
}

impl Compiled {
    /// How many more bindings like that of `container` fit; `None` if no binding has that name.
    ///
    /// It is the tables that are asked: a change in a full adapter may close flows meanwhile.
    #[must_use]
    pub fn how_many_more(&self, container: &str) -> Option<HowManyMore> {
        let like = self.document().bindings.iter().find(|binding| binding.container == container)?;
        let compile = |more| Self::new(&with_more(self.document(), like, more), self.target(), None);
        let one = match compile(1) {
            Ok(one) => one,
            Err(ends) => return Some(HowManyMore { more: 0, ends: Some(ends) }),
        };
        let (mut fits, mut ends, mut step) = (1, None, 1);
        let mut next = self.guess(&one).max(2);
        loop {
            match compile(next) {
                Ok(_) => fits = next,
                Err(error) => ends = Some((next, error)),
            }
            // A good guess is confirmed by its neighbour; from another one the steps double, until they can halve.
            next = match &ends {
                None if fits >= MOST => return Some(HowManyMore { more: fits, ends: None }),
                None => fits.saturating_add(step).min(MOST),
                Some((at, error)) if *at == fits + 1 => {
                    return Some(HowManyMore { more: fits, ends: Some(error.clone()) });
                }
                Some((at, _)) => at.saturating_sub(step).max(fits + (at - fits) / 2),
            };
            step = step.saturating_mul(2);
        }
    }

    /// How many more fit if each costs what the first one does.
    fn guess(&self, one: &Self) -> u32 {
        let room = self.usage().iter().zip(one.usage()).filter(|(usage, _)| usage.table != Table::Counters);
        let room = room.filter_map(|(now, then)| {
            let each = then.needed.checked_sub(now.needed).filter(|each| *each > 0)?;
            Some(now.available.saturating_sub(now.needed) / each)
        });
        room.min().map_or(MOST, |most| u32::try_from(most).unwrap_or(MOST).min(MOST))
    }
}

/// The document with so many more bindings like one of it. Rules that name its addresses as local name the new ones too.
fn with_more(document: &Document, like: &Binding, more: u32) -> Document {
    let mut out = document.clone();
    let mut fresh = Fresh::beside(document);
    let mut added: Vec<Vec<IpAddr>> = vec![Vec::new(); like.ips.len()];
    for number in 1..=more {
        let ips: Vec<IpAddr> = like.ips.iter().map(|ip| fresh.ip(ip.is_ipv6())).collect();
        added.iter_mut().zip(&ips).for_each(|(added, ip)| added.push(*ip));
        out.bindings.push(Arc::new(Binding {
            container: format!("{} (+{number})", like.container),
            ips,
            mac: if like.owns_mac { fresh.mac() } else { like.mac },
            ..like.clone()
        }));
    }
    let added: Vec<AddrSet> = added.into_iter().map(|ips| ips.into_iter().collect()).collect();
    let management = out.management.iter_mut().map(|management| &mut management.rule);
    let policies = out.policies.iter_mut().flat_map(|policy| &mut Arc::make_mut(policy).rules);
    for Rule { local, .. } in management.chain(policies) {
        let Some(local) = local else { continue };
        let named = like.ips.iter().zip(&added).filter(|(ip, _)| local.contains(**ip));
        *local = named.fold(local.clone(), |all, (_, added)| all.union(added));
    }
    out
}

/// Addresses that a document says nothing about.
struct Fresh {
    taken: AddrSet,
    macs: Vec<MacAddr>,
    v4: u32,
    v6: u128,
    mac: u32,
}

impl Fresh {
    fn beside(document: &Document) -> Self {
        let bound: AddrSet = document.bindings.iter().flat_map(|binding| binding.ips.iter().copied()).collect();
        let management = document.management.iter().map(|management| &management.rule);
        let rules = management.chain(document.policies.iter().flat_map(|policy| &policy.rules));
        let taken = rules.filter_map(|rule| rule.local.as_ref()).fold(bound, |all, local| all.union(local));
        let hosts = document.management.iter().filter_map(|management| management.mac);
        let macs = document.bindings.iter().map(|binding| binding.mac).chain(hosts).collect();
        // The networks for benchmarks of RFC 2544 and RFC 5180.
        let (v4, v6) = (Ipv4Addr::new(198, 18, 0, 0), Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0));
        Self { taken, macs, v4: v4.to_bits(), v6: v6.to_bits(), mac: 0 }
    }

    fn ip(&mut self, v6: bool) -> IpAddr {
        loop {
            let ip = if v6 {
                self.v6 = self.v6.wrapping_add(1);
                IpAddr::V6(Ipv6Addr::from_bits(self.v6))
            } else {
                self.v4 = self.v4.wrapping_add(1);
                IpAddr::V4(Ipv4Addr::from_bits(self.v4))
            };
            if !self.taken.contains(ip) {
                return ip;
            }
        }
    }

    fn mac(&mut self) -> MacAddr {
        loop {
            self.mac = self.mac.wrapping_add(1);
            let [a, b, c, d] = self.mac.to_be_bytes();
            let mac = MacAddr([0x06, 0x6d, a, b, c, d]);
            if !self.macs.contains(&mac) {
                return mac;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Target;

    const TWO: &str = r#"nicfw: 1
unbound: allow
multicast: deny
policies:
  web:
    - {allow: in, proto: tcp, local_ports: 443, remote: 10.20.0.0/16, replies: no, local: 10.30.1.0/24}
    - {allow: in, proto: udp, local_ports: 53, remote: 10.20.0.0/16, replies: no, local: 10.30.1.18}
bindings:
  - {container: a, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: sriov, policy: web}
  - {container: b, ip: [10.30.1.18, 10.30.1.19], mac: "02:00:0a:1e:01:12", attach: sriov, policy: web}
"#;

    fn compiled(rules: u32) -> Compiled {
        let mut target = Target::profile0();
        target.profile.rules = rules;
        Compiled::new(&Document::parse(TWO, "t.yaml").unwrap(), &target, None).unwrap()
    }

    /// By hand: `a` takes a deny for its IP, one for its MAC, an allow, and the ARP of its MAC; `b` two denies for IPs, one
    /// for its MAC, three allows, and ARP.
    #[test]
    fn each_more_costs_what_the_first_did() {
        let (a, b) = (entries_of("a"), entries_of("b"));
        assert_eq!((a, b), (4, 7));
        let full = compiled(8192).image().rules.len();
        for (container, each) in [("a", a), ("b", b)] {
            for room in [0, 1, each - 1, each, 3 * each, 5 * each + each - 1] {
                let more = compiled(u32::try_from(full + room).unwrap()).how_many_more(container).unwrap();
                assert_eq!((more.more as usize, more.table()), (room / each, Some(Table::Rules)), "{container} {room}");
            }
        }
        assert_eq!(compiled(8192).how_many_more("c"), None);
    }

    fn entries_of(container: &str) -> usize {
        let compiled = compiled(8192);
        let like = compiled.document().bindings.iter().find(|binding| binding.container == container).unwrap();
        let more = with_more(compiled.document(), like, 1);
        Compiled::new(&more, compiled.target(), None).unwrap().image().rules.len() - compiled.image().rules.len()
    }

    #[test]
    fn so_many_fit_and_one_more_does_not() {
        let compiled = compiled(600);
        let found = compiled.how_many_more("b").unwrap();
        let like = &compiled.document().bindings[1];
        let fits = |more| Compiled::new(&with_more(compiled.document(), like, more), compiled.target(), None);
        assert!(fits(found.more).is_ok());
        assert_eq!(fits(found.more + 1).err(), found.ends);
    }

    #[test]
    fn new_bindings_have_addresses_that_nobody_has_and_the_same_rules() {
        let compiled = compiled(8192);
        let document = with_more(compiled.document(), &compiled.document().bindings[1], 3);
        let ips: Vec<IpAddr> = document.bindings.iter().flat_map(|binding| binding.ips.clone()).collect();
        assert_eq!(ips.len(), ips.iter().collect::<std::collections::BTreeSet<_>>().len());
        let macs: std::collections::BTreeSet<_> = document.bindings.iter().map(|binding| binding.mac).collect();
        assert_eq!((ips.len(), macs.len()), (9, 5));
        let applies = |rule: usize, ip: &IpAddr| document.policies[0].rules[rule].local.as_ref().unwrap().contains(*ip);
        assert!(document.bindings.iter().skip(2).all(|b| applies(1, &b.ips[0]) && !applies(1, &b.ips[1])));
    }
}
