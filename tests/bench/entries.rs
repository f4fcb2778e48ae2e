//! Entries per bound address: the naive expansion, ours, and what no table can do with less ([`bound`]).
//!
//! ```text
//! apt-get install python3
//! cargo bench --bench entries            # a line a set: means over its addresses, and the worst ratio
//! cargo bench --bench entries -- each    # a line an address, too
//! ```
//!
//! `distinct` bounds every table; `apart` those without an order, and under a ranked one those of which each entry is for one
//! rule. The ratio is to the larger of the two.
//!
//! Policy sets are of `gen_rules.py`, in sizes that fit the default tables: their rules are pairwise disjoint, and ours
//! must stay within 1.15 times the bound, for every address. ClassBench sets are of `tests/data`, the sixteen addresses
//! that most probes are about, one at a time, in tables with room for any number of entries.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use nicfw::policy::Document;
use nicfw::policy::import::{Format, Settings, import};
use nicfw::tables::Compiled;
use nicfw::{Target, Verdict};
use nicfw_test_kit::bench::bound::{Cells, Naive};
use nicfw_test_kit::bench::generated;
use nicfw_test_kit::bench::generated::Shape;
use nicfw_test_kit::orders::{locals, ranked, specific_first};

const SETS: [Shape; 4] = [
    Shape { rules: 200, containers: 8, services: 400 },
    Shape { rules: 1000, containers: 40, services: 100 },
    Shape { rules: 5000, containers: 200, services: 100 },
    Shape { rules: 7000, containers: 280, services: 80 },
];

fn main() {
    let each = std::env::args().any(|arg| arg == "each");
    println!("{HEAD}");
    for shape in SETS {
        let document = generated::document(&generated::filters(&shape.generate()));
        let naive = Naive::of(&document);
        for (order, mut target) in targets() {
            target.profile.combinations = 1 << 10;
            let mut table = Table::new(format!("policy_{}", shape.rules), order);
            match Compiled::new(&document, &target, None) {
                Ok(compiled) => document.bindings.iter().for_each(|of| table.add(&compiled, &naive, of.ips[0], each)),
                Err(refusal) => println!("{} {order}: {refusal}", table.set),
            }
            println!("{table}");
            for (ip, of) in &table.of {
                assert!(of.ours * 100 <= of.bound() * 115, "{ip}: {} entries for {}", of.ours, of.bound());
            }
        }
    }
    for name in ["acl1_1k", "fw1_1k", "ipc1_1k"] {
        let text = file(&format!("{name}.rules"));
        for (order, mut target) in targets() {
            target.profile.rules = u32::MAX;
            let mut table = Table::new(name.to_owned(), order);
            for ip in busiest(&file(&format!("{name}.probe.tsv")), 16) {
                let document = classbench(&text, ip);
                match Compiled::new(&document, &target, None) {
                    Ok(compiled) => table.add(&compiled, &Naive::of(&document), ip.into(), each),
                    Err(_) => table.refused += 1,
                }
            }
            println!("{table}");
        }
    }
}

fn targets() -> [(&'static str, Target); 2] {
    let mut specific = Target::profile0();
    specific.profile.order = ranked(&specific_first(1), &locals());
    [("unordered", Target::profile0()), ("ranked", specific)]
}

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/classbench").join(name);
    std::fs::read_to_string(path).expect("it is in the repository")
}

/// Addresses that most probes are about, of those that a container can have.
fn busiest(probes: &str, count: usize) -> Vec<Ipv4Addr> {
    let mut by: BTreeMap<Ipv4Addr, usize> = BTreeMap::new();
    for line in probes.lines().filter(|line| !line.starts_with('#') && !line.ends_with("-1")) {
        let ips = line.split('\t').take(2).filter_map(|word| Some(Ipv4Addr::from_bits(word.parse().ok()?)));
        ips.for_each(|ip| *by.entry(ip).or_default() += 1);
    }
    let mut by: Vec<(Ipv4Addr, usize)> =
        by.into_iter().filter(|(ip, _)| ip.octets()[0] < 224 && !ip.is_loopback() && ip.octets()[0] != 0).collect();
    by.sort_by_key(|(ip, probes)| (std::cmp::Reverse(*probes), *ip));
    by.into_iter().take(count).map(|(ip, _)| ip).collect()
}

fn classbench(text: &str, ip: Ipv4Addr) -> Document {
    let mut settings = Settings::new("c", vec![ip.into()], generated::mac(ip));
    (settings.unbound, settings.multicast) = (Verdict::Allow, Verdict::Allow);
    import(Format::Classbench, text.as_bytes(), "old", &settings).expect("the set can be read").document
}

/// Entries above the base of one address.
struct Entries {
    naive: usize,
    ours: usize,
    /// No table takes fewer.
    distinct: usize,
    /// No unordered table does; under a ranked order, none of which each entry is for one rule.
    apart: usize,
}

impl Entries {
    fn bound(&self) -> usize {
        self.distinct.max(self.apart)
    }
}

struct Table {
    set: String,
    order: &'static str,
    of: Vec<(IpAddr, Entries)>,
    refused: usize,
}

const HEAD: &str =
    "set          order      addresses  refused     naive     ours  distinct    apart  ours/bound  worst";

impl Table {
    fn new(set: String, order: &'static str) -> Self {
        Self { set, order, of: Vec::new(), refused: 0 }
    }

    fn add(&mut self, compiled: &Compiled, naive: &Naive, ip: IpAddr, print: bool) {
        let document = compiled.document();
        let cells = Cells::of(document, ip);
        let policy = document.binding_of(ip).map(|(_, binding)| &document.policies[binding.policy]);
        let entries = compiled.image().rules.keys().filter(|key| key.local_ip == Some(ip) && !key.is_base());
        let of = Entries {
            naive: policy.map_or(0, |policy| naive.entries(policy)),
            ours: entries.count(),
            distinct: cells.distinct(),
            apart: cells.apart(),
        };
        assert!(of.ours >= of.distinct, "{ip}: {} entries are less than the bound {}", of.ours, of.distinct);
        if print {
            println!("  {ip}: naive {}, ours {}, distinct {}, apart {}", of.naive, of.ours, of.distinct, of.apart);
        }
        self.of.push((ip, of));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<12} {:<10} {:>9} {:>8}", self.set, self.order, self.of.len(), self.refused)?;
        if self.of.is_empty() {
            return Ok(());
        }
        let mean = |of: fn(&Entries) -> f64| {
            self.of.iter().map(|(_, entries)| of(entries)).sum::<f64>() / self.of.len() as f64
        };
        let ratio = |of: &Entries| of.ours as f64 / of.bound().max(1) as f64;
        let worst = self.of.iter().map(|(_, of)| ratio(of)).fold(0.0, f64::max);
        let (ours, bound) = (mean(|of| of.ours as f64), mean(|of| of.bound() as f64));
        write!(
            f,
            "{:>10.1} {ours:>8.1} {:>9.1} {:>8.1} {:>11.2} {worst:>6.2}",
            mean(|of| of.naive as f64),
            mean(|of| of.distinct as f64),
            mean(|of| of.apart as f64),
            ours / bound.max(1.0),
        )
    }
}
