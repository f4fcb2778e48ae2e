//! Policy sets of `gen_rules.py`: disjoint rules, each for one container; as filters for others and as a document for us.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use nicfw::MacAddr;
use nicfw::policy::Document;

/// A set: how many rules over how many containers, which choose from so many services.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub rules: usize,
    pub containers: usize,
    pub services: usize,
}

/// A ClassBench filter: from a remote prefix to one local address.
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    pub remote: (Ipv4Addr, u8),
    pub local: Ipv4Addr,
    pub local_ports: (u16, u16),
    pub proto: u8,
}

/// The container's own MAC.
pub fn mac(local: Ipv4Addr) -> MacAddr {
    let [a, b, c, d] = local.octets();
    MacAddr([2, 0, a, b, c, d])
}

/// Where a benchmark puts its files.
pub fn directory() -> PathBuf {
    // target/PROFILE/deps/PROGRAM
    let program = std::env::current_exe().expect("a program knows where it lies");
    let target = program.ancestors().nth(3).expect("cargo puts it three folders deep");
    let path = target.join("tmp/bench");
    std::fs::create_dir_all(&path).expect("the target directory can be written");
    path
}

impl Shape {
    /// Runs the generator; the files begin with the path that is returned.
    pub fn generate(&self) -> PathBuf {
        let prefix = directory().join(format!("policy_{}", self.rules));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/gen_rules.py");
        let numbers = [("--n", self.rules), ("--containers", self.containers), ("--services", self.services)];
        let mut command = Command::new("python3");
        command.arg(script).args(["--style", "policy", "--trace", "1", "--out"]).arg(&prefix);
        for (option, number) in numbers {
            command.arg(option).arg(number.to_string());
        }
        let output = command.output().expect("python3 starts: apt-get install python3");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        prefix
    }
}

/// The filters of a set.
pub fn filters(prefix: &Path) -> Vec<Filter> {
    let text = std::fs::read_to_string(prefix.with_extension("rules")).expect("the generator has written it");
    text.lines().map(|line| filter(line).unwrap_or_else(|| panic!("no filter of a policy set: {line}"))).collect()
}

/// `@SRC/LEN DST/32 0 : 65535 LOW : HIGH PROTO/0xFF`
fn filter(line: &str) -> Option<Filter> {
    let mut words = line.strip_prefix('@')?.split(|c: char| c.is_whitespace() || c == '/').filter(|word| *word != ":");
    let remote = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (local, "32") = (words.next()?.parse().ok()?, words.next()?) else { return None };
    let ("0", "65535") = (words.next()?, words.next()?) else { return None };
    let local_ports = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let proto = u8::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    Some(Filter { remote, local, local_ports, proto })
}

/// The set as a document: a policy for each container, and what no rule allows is denied, as the other side does.
pub fn document(filters: &[Filter]) -> Document {
    let mut policies: BTreeMap<Ipv4Addr, Vec<&Filter>> = BTreeMap::new();
    for filter in filters {
        policies.entry(filter.local).or_default().push(filter);
    }
    let (mut rules, mut bindings) = (String::new(), String::new());
    for (number, (local, filters)) in policies.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(rules, "  p{number}:");
        for Filter { remote: (net, len), local_ports: (low, high), proto, .. } in filters {
            let _ = writeln!(
                rules,
                "    - {{allow: in, proto: {proto}, remote: {net}/{len}, local_ports: {low}-{high}, replies: no}}"
            );
        }
        let _ = writeln!(
            bindings,
            "  - {{container: c{number}, ip: {local}, mac: \"{}\", attach: sriov, policy: p{number}}}",
            mac(*local)
        );
    }
    let text = format!("nicfw: 1\nunbound: deny\nmulticast: deny\npolicies:\n{rules}bindings:\n{bindings}");
    Document::parse(&text, "set.yaml").expect("the generated policy is sound")
}
