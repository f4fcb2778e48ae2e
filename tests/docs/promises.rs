//! What nicfw protects against, and what not, stands where whoever chooses it reads first.

use nicfw::policy::Document;

use crate::pages::read;

/// What a row is about, by words of it, and how its answer begins.
const ROWS: [(&[&str], &str); 7] = [
    (&["reaching what its policy denies", "being reached"], "yes"),
    (&["using an IP or MAC that is not its own"], "yes, for attachments with their own MAC"),
    (&["containers of one host among themselves"], "only where the traffic reaches the adapter"),
    (&["root on the host"], "no"),
    (&["connection state"], "no"),
    (&["foreign addresses", "ARP", "neighbour advertisements", "others claiming its"], "no: what they say is not seen"),
    (&["router advertisements", "redirects"], "no, with `nd: open-icmpv6`"),
];

/// Rows of the first table behind a heading.
fn table<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let behind = page.lines().skip_while(|line| *line != heading).skip(1);
    let rows = behind.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn the_readme_says_what_nobody_is_protected_against() {
    let page = read("README.md");
    let rows = table(&page, "## What it protects against, and what not");
    for (words, answer) in ROWS {
        let about: Vec<_> = rows.iter().filter(|row| words.iter().all(|word| row[0].contains(word))).collect();
        let [row] = about[..] else { panic!("{} rows are about {words:?}", about.len()) };
        assert!(row[1].starts_with(answer), "{words:?}: {}", row[1]);
    }
    // Two lines make the table's head.
    assert_eq!(rows.len(), ROWS.len() + 2, "a row that is not looked at here");
}

/// The same in the openings of every policy that binds an address of each family.
#[test]
fn what_the_readme_says_of_arp_and_neighbours_the_openings_say_too() {
    let policy = r#"nicfw: 1
unbound: deny
multicast: deny
policies:
  web: [{allow: in, proto: tcp, local_ports: 443}]
bindings:
  - {container: a, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: sriov, policy: web}
  - {container: b, ip: "2001:db8::17", nd: open-icmpv6, mac: "02:00:0a:1e:01:12", attach: sriov, policy: web}
"#;
    let document = Document::parse(policy, "both.yaml").unwrap();
    let said: Vec<_> = document.openings().iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|opening| opening.contains("ARP")), "{said:#?}");
    assert!(said.iter().any(|opening| opening.to_lowercase().contains("neighbour")), "{said:#?}");
}
