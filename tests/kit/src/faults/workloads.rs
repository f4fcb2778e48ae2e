//! The changes that meet faults: what the adapter holds before them, what they do, and what it should hold after them.

/// What all documents begin with.
const HEAD: &str = "nicfw: 1
unbound: allow
multicast: deny
owner: matrix
groups:
  office: [10.20.0.0/16, 10.21.0.0/16]
";

/// What the others change.
const BASE: &str = r#"policies:
  web:
    - {allow: in, proto: tcp, local_ports: [80, 443], remote: office, replies: no}
    - {deny: out, proto: udp, remote: 10.0.0.64/26, remote_ports: 53}
    - {allow: out, proto: udp, remote: 10.0.0.0/24, remote_ports: 53, replies: no}
  db:
    - {allow: in, proto: tcp, local_ports: 5432, remote: 10.30.1.1, replies: no}
bindings:
  - {container: shop-1, ip: 10.30.1.1, mac: "02:00:0a:1e:01:01", attach: {macvlan: vepa}, policy: web}
  - {container: shop-2, ip: 10.30.1.2, mac: "02:00:0a:1e:01:02", attach: {macvlan: vepa}, policy: db}
"#;

const SHOP_3: &str =
    "  - {container: shop-3, ip: 10.30.1.3, mac: \"02:00:0a:1e:01:03\", attach: {macvlan: vepa}, policy: web}\n";

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The next process goes on with the journal.
    Attach,
    /// The adapter is taken over.
    Adopt,
    /// The new document is applied.
    Apply,
    /// Container 9 is closed before it starts.
    Reserve,
    /// Container 9 is given back.
    Release,
    /// A command of the change has got no answer: recovery.
    Recover,
    /// The adapter is left with its rules.
    Detach,
}

/// A change, by its documents.
pub struct Workload {
    pub name: &'static str,
    pub act: Act,
    pub old: String,
    pub new: String,
    /// Containers that have base denies and nothing else, before and after.
    pub closed: [&'static [u8]; 2],
}

pub fn workloads() -> Vec<Workload> {
    let base = || format!("{HEAD}{BASE}");
    let of = |name, act, new: String, closed| Workload { name, act, old: base(), new, closed };
    let apply = |name, change: &dyn Fn(String) -> String| of(name, Act::Apply, change(base()), [&[], &[]]);
    let rule = "    - {deny: out, proto: udp, remote: 10.0.0.64/26, remote_ports: 53}\n";
    let allow = "    - {allow: out, proto: udp, remote: 10.0.0.0/24, remote_ports: 53, replies: no}\n";
    vec![
        of("attach", Act::Attach, base(), [&[], &[]]),
        of("first apply", Act::Adopt, base().replace("443", "8443"), [&[], &[]]),
        apply("add rule", &|text| text.replace("  db:\n", "    - {allow: in, proto: icmp, remote: office}\n  db:\n")),
        apply("change rule", &|text| text.replace("[80, 443]", "[80, 400-500]")),
        apply("delete rule", &|text| text.replace(allow, "")),
        apply("move rule", &|text| text.replace(&format!("{rule}{allow}"), &format!("{allow}{rule}"))),
        apply("group change", &|text| text.replace("10.21.0.0/16]", "10.22.4.0/24]")),
        apply("full swap", &|text| {
            text.replace("policy: web", "policy: x")
                .replace("policy: db", "policy: web")
                .replace("policy: x", "policy: db")
        }),
        of("reserve", Act::Reserve, base(), [&[], &[9]]),
        apply("bind", &|text| text + SHOP_3),
        Workload { old: base() + SHOP_3, closed: [&[], &[3]], ..of("unbind", Act::Apply, base(), [&[], &[]]) },
        of("release", Act::Release, base(), [&[9], &[]]),
        of("recover", Act::Recover, base().replace("[80, 443]", "[80, 400-500]"), [&[], &[]]),
        of("detach", Act::Detach, base(), [&[], &[]]),
    ]
}
