//! Sets of addresses in words.

use ipnet::IpNet;

use crate::terms::AddrSet;

/// Prefixes that an opening names one by one.
const NAMED_PREFIXES: usize = 4;

/// A set of addresses in words: what it holds, or what of its families it lacks, whichever is shorter.
pub fn prefixes(set: &AddrSet) -> String {
    if *set == AddrSet::full() {
        return "any".to_owned();
    }
    let all = set.families();
    let (has, lacks) = (set.prefixes(), all.subtract(set).prefixes());
    if has.len() <= NAMED_PREFIXES || has.len() <= lacks.len() {
        return list(&has);
    }
    let all = if all == AddrSet::full() { "any".to_owned() } else { list(&all.prefixes()) };
    format!("{all} but {}", list(&lacks))
}

fn list(prefixes: &[IpNet]) -> String {
    let named: Vec<_> = prefixes.iter().take(NAMED_PREFIXES).map(ToString::to_string).collect();
    let more = prefixes.len().saturating_sub(NAMED_PREFIXES);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", named.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_addresses_of_both_families_are_any() {
        let set =
            |nets: &[&str]| nets.iter().map(|net| AddrSet::from(net.parse::<IpNet>().unwrap())).collect::<Vec<_>>();
        let union = |nets: &[&str]| AddrSet::union_of(&set(nets));
        let but = |all: &[&str], lacks: &[&str]| prefixes(&union(all).subtract(&union(lacks)));
        assert_eq!(prefixes(&union(&["0.0.0.0/0", "::/0"])), "any");
        assert_eq!(prefixes(&union(&["0.0.0.0/0"])), "0.0.0.0/0");
        assert_eq!(prefixes(&union(&["::/0"])), "::/0");
        assert_eq!(prefixes(&union(&["0.0.0.0/0", "2001:db8::/32"])), "0.0.0.0/0,2001:db8::/32");
        assert_eq!(but(&["0.0.0.0/0"], &["10.0.0.0/8"]), "0.0.0.0/0 but 10.0.0.0/8");
        assert_eq!(but(&["::/0"], &["ff00::/8"]), "::/0 but ff00::/8");
        assert_eq!(but(&["0.0.0.0/0", "::/0"], &["10.0.0.0/8", "ff00::/8"]), "any but 10.0.0.0/8,ff00::/8");
    }
}
