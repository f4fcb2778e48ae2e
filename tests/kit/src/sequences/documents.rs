//! The policies that people apply: few containers, few rules, addresses that move between containers.

use std::fmt::Write as _;
use std::sync::OnceLock;

use nicfw::clock::Timestamp;
use nicfw::policy::Document;

use crate::sequences::probes::{Mask, of_ip, says};

/// A container, and the last bytes of its addresses. Its MAC has its number.
type Bound = (u8, &'static [u8]);

/// Who has which addresses.
const BINDINGS: [&[Bound]; 8] = [
    &[],
    &[(1, &[1]), (2, &[2])],
    &[(1, &[1]), (2, &[2]), (3, &[3])],
    // Two have changed places.
    &[(1, &[2]), (2, &[1])],
    // An address has gone to somebody else, who was there or not.
    &[(2, &[1])],
    &[(3, &[1]), (2, &[2])],
    // One more, and another one.
    &[(1, &[1, 4]), (2, &[2])],
    &[(1, &[4]), (2, &[2])],
];

/// What all of them may.
const RULES: [&str; 4] = [
    " []",
    "
    - {allow: in, proto: tcp, local_ports: 80, remote: 10.20.0.0/16, replies: no}
    - {allow: out, proto: udp, remote: 10.0.0.53, remote_ports: 53, replies: no}",
    "
    - {allow: in, proto: tcp, local_ports: [80, 443], remote: 10.20.0.0/15, replies: no}",
    "
    - {allow: in, proto: tcp, local_ports: 80, remote: 10.20.0.0/16, replies: no}
    - {allow: in, proto: tcp, local_ports: 443, remote: 10.20.0.0/15, replies: no, until: 2026-11-23}",
];

/// The rule that ends.
const UNTIL: &str = "
    - {allow: in, proto: tcp, local_ports: 443, remote: 10.20.0.0/15, replies: no, until: 2026-11-23}";

/// When it ends: with the day.
const ENDS: &str = "2026-11-24T00:00:00Z";

/// A policy of the pool.
pub struct Policy {
    /// As people write it.
    pub text: String,
    /// What it says.
    pub document: Document,
    /// Its containers, by number, with the last bytes of their addresses.
    pub binds: Vec<(u8, Vec<u8>)>,
    /// What it lets through.
    pub says: Mask,
    /// The probes of addresses that it binds.
    pub bound: Mask,
    /// When a part of it ends, and what is left then.
    pub ends: Option<(Timestamp, Box<Policy>)>,
}

fn text(bindings: &[Bound], rules: &str, unbound: &str, withdraw: bool) -> String {
    let mut text = format!("nicfw: 1\nunbound: {unbound}\nmulticast: deny\n");
    if withdraw {
        text += "expired: withdraw\n";
    }
    let _ = write!(text, "policies:\n  web:{rules}\nbindings:{}\n", if bindings.is_empty() { " []" } else { "" });
    for (container, addresses) in bindings {
        let ips: Vec<String> = addresses.iter().map(|last| format!("10.30.1.{last}")).collect();
        let _ = writeln!(
            text,
            "  - {{container: shop-{container}, ip: [{}], mac: \"02:00:0a:1e:01:{container:02x}\", attach: {{macvlan: vepa}}, policy: web}}",
            ips.join(", ")
        );
    }
    text
}

impl Policy {
    fn new(bindings: &[Bound], rules: &str, unbound: &str, ends: bool) -> Self {
        let text = text(bindings, rules, unbound, ends);
        let document = Document::parse(&text, "pool.yaml").unwrap_or_else(|e| panic!("{e}\n{text}"));
        let binds: Vec<(u8, Vec<u8>)> = bindings.iter().map(|(who, ips)| (*who, ips.to_vec())).collect();
        let bound = binds.iter().flat_map(|(_, ips)| ips).fold(0, |mask, ip| mask | of_ip(*ip));
        let after = || {
            (ENDS.parse().expect("a date"), Box::new(Self::new(bindings, &rules.replace(UNTIL, ""), unbound, false)))
        };
        let ends = ends.then(after);
        Self { says: says(&document), bound, binds, text, document, ends }
    }

    pub fn addresses(&self, container: u8) -> Option<&[u8]> {
        self.binds.iter().find(|(who, _)| *who == container).map(|(_, ips)| &ips[..])
    }
}

/// All of them.
pub fn pool() -> &'static [Policy] {
    static POOL: OnceLock<Vec<Policy>> = OnceLock::new();
    POOL.get_or_init(|| {
        let mut pool = Vec::new();
        for bindings in BINDINGS {
            for (at, rules) in RULES.iter().enumerate() {
                pool.push(Policy::new(bindings, rules, "allow", at == 3));
            }
        }
        pool.push(Policy::new(BINDINGS[2], RULES[1], "deny", false));
        pool.push(Policy::new(BINDINGS[0], RULES[0], "deny", false));
        pool
    })
}

/// How many there are.
pub fn count() -> usize {
    pool().len()
}
