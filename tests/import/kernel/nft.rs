//! Random rulesets for `nft -f`.

use std::fmt::Write as _;

use nicfw::policy::import::View;
use nicfw_test_kit::dice::Dice;

use crate::judge::{Source, Tool, is_rated, locals};

const ADDRESSES_V4: &[&str] = &[
    "10.0.0.0/24",
    "10.0.0.0/23",
    "10.0.1.0/24",
    "10.0.2.128/25",
    "10.0.0.9",
    "192.0.2.0/24",
    "198.51.100.7",
    "203.0.113.0/25",
    "10.0.0.0/8",
    "10.0.0.5-10.0.0.200",
    "10.0.0.9-10.0.1.5",
    "10.30.1.17",
    "10.30.1.0/24",
];
/// No two meet.
const ELEMENTS_V4: &[&str] = &[
    "10.0.0.0/24",
    "10.0.1.0-10.0.1.9",
    "10.0.2.128/25",
    "192.0.2.0/24",
    "198.51.100.7",
    "203.0.113.0/25",
    "10.30.1.17",
];
const SINGLES_V4: &[&str] = &["10.0.0.9", "10.0.1.0", "198.51.100.7", "192.0.2.55", "10.30.1.17", "10.30.1.18"];
const ADDRESSES_V6: &[&str] = &[
    "2001:db8:1::/64",
    "2001:db8:1::9",
    "2001:db8:1:0:8000::/65",
    "2001:db8::/32",
    "fd00::/8",
    "2001:db8:1::5-2001:db8:1::f",
    "2001:db8:30::17",
];
const ELEMENTS_V6: &[&str] = &["2001:db8:1::/64", "2001:db8:2::1-2001:db8:2::f", "fd00::/8", "2001:db8:30::17"];
const PORTS: &[&str] = &["22", "53", "80", "443", "1000-2000", "8000-8080", "65535", "0-79"];
const PORT_ELEMENTS: &[&str] = &["22", "53", "79-81", "443", "1000-2000", "65535"];
const PROTOS: &[&str] = &["tcp", "udp", "sctp", "icmp", "icmpv6", "47", "esp", "89"];

struct Writer<'a> {
    dice: &'a mut Dice,
    /// ip, ip6 or inet.
    family: &'static str,
    view: View,
    supported: bool,
    stateful: bool,
    tracked: bool,
    uplink: bool,
    state_denied: bool,
    later: String,
    table: String,
    /// Sets and maps of the table in hand.
    named: String,
    names: usize,
}

/// A random ruleset.
pub fn source(dice: &mut Dice, supported: bool) -> Source {
    let view = if dice.chance(35) { View::Router } else { View::Host };
    let (v4, v6) = dice.pick(&[(true, false), (true, false), (true, true), (false, true)]);
    let mut writer = Writer {
        family: "inet",
        view,
        supported,
        stateful: dice.chance(40),
        tracked: false,
        uplink: dice.chance(50),
        state_denied: false,
        later: String::new(),
        table: String::new(),
        named: String::new(),
        names: 0,
        dice,
    };
    let text = writer.file(v4, v6);
    Source {
        tool: Tool::Nft,
        view,
        ips: locals(v4, v6),
        names_uplink: writer.uplink,
        tracked: writer.tracked,
        supported,
        accept_stateless: writer.state_denied && !is_rated(&text),
        text,
        before: String::new(),
        given: None,
        later: writer.later.clone(),
    }
}

impl Writer<'_> {
    fn file(&mut self, v4: bool, v6: bool) -> String {
        let mut text = String::new();
        let one: &[&'static str] = match (v4, v6) {
            (true, true) => &["inet"],
            (true, false) => &["inet", "ip"],
            _ => &["inet", "ip6"],
        };
        // Whatever accepts replies in one table may be denied in the next, which one order cannot say.
        let plain = self.supported && self.stateful;
        let tables = 1 + self.dice.below(if plain { 1 } else { 3 });
        if !self.supported && self.dice.chance(10) {
            text += "flush ruleset\n";
        }
        for i in 0..tables {
            self.family =
                if i == 0 || self.supported { self.dice.pick(one) } else { self.dice.pick(&["inet", "ip", "ip6"]) };
            self.table(i, &mut text);
        }
        if !self.supported && self.dice.chance(10) {
            self.netdev(&mut text);
        }
        text
    }

    fn netdev(&mut self, text: &mut String) {
        self.family = "netdev";
        self.table = "n".to_owned();
        let device = self.dice.pick(&["eth0", "lo"]);
        let hook = self.dice.pick(&["ingress", "egress"]);
        let policy = self.dice.pick(&["accept", "accept", "drop"]);
        let mut chain = String::new();
        for _ in 0..self.dice.below(3) {
            let rule = self.rule(&[], hook);
            writeln!(chain, "  {rule}").unwrap();
        }
        write!(text, "table netdev n {{\n chain c {{\n  type filter hook {hook} device {device} priority 0; policy {policy};\n{chain} }}\n}}\n").unwrap();
    }

    fn table(&mut self, number: usize, text: &mut String) {
        self.table = format!("t{number}");
        self.named.clear();
        let users = self.dice.below(4);
        let users: Vec<_> = (0..users).map(|i| format!("u{i}")).collect();
        let mut chains = String::new();
        for (i, user) in users.iter().enumerate().rev() {
            let mut rules = String::new();
            for _ in 0..self.dice.below(4) {
                let rule = self.rule(&users[i + 1..], "input");
                writeln!(rules, "  {rule}").unwrap();
            }
            write!(chains, " chain {user} {{\n{rules} }}\n").unwrap();
        }
        let mut hooks: Vec<&str> = match self.view {
            View::Host => vec!["input", "output"],
            View::Router => vec!["forward"],
        };
        if !self.supported || (!self.stateful && self.dice.chance(20)) {
            let more: &[&str] = match self.view {
                View::Host => &["prerouting", "postrouting", "input", "output", "forward"],
                View::Router => &["prerouting", "postrouting", "forward", "input"],
            };
            if self.dice.chance(30) {
                hooks.push(self.dice.pick(more));
            }
        }
        if number > 0 && self.dice.chance(40) {
            hooks.remove(0);
        }
        for (i, hook) in hooks.into_iter().enumerate() {
            let base = self.base(&format!("b{i}"), hook, &users);
            chains += &base;
        }
        let dormant = !self.supported && self.dice.chance(4);
        let flags = if dormant { " flags dormant\n" } else { "" };
        write!(text, "table {} {} {{\n{flags}{}{chains}}}\n", self.family, self.table, self.named).unwrap();
    }

    fn base(&mut self, name: &str, hook: &str, users: &[String]) -> String {
        let priority = self.dice.pick(&["0", "filter", "10", "-10", "filter + 5", "-5"]);
        let raw = self.dice.pick(&["-300", "raw", "mangle"]);
        let early = !self.supported && matches!(hook, "prerouting" | "output") && self.dice.chance(20);
        let late = !self.supported && matches!(hook, "postrouting" | "input") && self.dice.chance(15);
        let priority = if early { raw } else { priority };
        // Behind the translation of sources.
        let priority = if late { "200" } else { priority };
        let mut policy = self.dice.pick(&["policy accept;", "policy drop;", "policy drop;", ""]);
        let mut rules = String::new();
        if self.stateful && !early && (self.supported || self.dice.chance(80)) {
            self.tracked = true;
            let all = [
                "ct state established accept",
                "ct state vmap { established : accept }",
                "ct state established,related accept",
                "ct state { established, related } accept",
                "ct state vmap { established : accept, related : accept }",
            ];
            let rule = self.dice.pick(if self.supported { &all[..2] } else { &all });
            writeln!(rules, "  {rule}").unwrap();
        }
        for _ in 0..self.dice.below(6) {
            let rule = self.rule(users, hook);
            writeln!(rules, "  {rule}").unwrap();
        }
        let mut kind = "filter";
        let mut priority = priority;
        let translates = matches!(hook, "prerouting" | "postrouting" | "input" | "output") && self.family != "netdev";
        if !self.supported && translates && !early && self.dice.chance(15) {
            (kind, priority, policy) = ("nat", "-100", "policy accept;");
            self.tracked = true;
            rules.clear();
            let ip = if self.family == "ip6" { "ip6" } else { "ip" };
            let to = if ip == "ip6" { "2001:db8:9::1" } else { "10.9.9.9" };
            let to = if self.family == "inet" { format!("dnat {ip} to {to}") } else { format!("dnat to {to}") };
            let rule = match hook {
                "prerouting" | "output" if self.dice.chance(50) => to,
                "prerouting" | "output" => "tcp dport 80 redirect to :81".to_owned(),
                "postrouting" => "masquerade".to_owned(),
                _ => "counter".to_owned(),
            };
            writeln!(rules, "  {rule}").unwrap();
        }
        format!(" chain {name} {{\n  type {kind} hook {hook} priority {priority}; {policy}\n{rules} }}\n")
    }

    fn list(&mut self, from: &[&str]) -> String {
        let mut items = from.to_vec();
        self.dice.shuffle(&mut items);
        items.truncate(1 + self.dice.below(items.len().min(4)));
        items.join(", ")
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("s{}", self.names)
    }

    /// A set of values, named or not.
    fn set(&mut self, kind: &str, elements: &str) -> String {
        if self.dice.chance(60) {
            return format!("{{ {elements} }}");
        }
        let name = self.name();
        writeln!(self.named, " set {name} {{\n  type {kind}\n  flags interval\n  elements = {{ {elements} }}\n }}")
            .unwrap();
        format!("@{name}")
    }

    /// A set whose elements come and go.
    fn passing(&mut self) -> String {
        let name = self.name();
        let (kind, one) = match self.family {
            "ip6" => ("ipv6_addr", "2001:db8:1::9"),
            _ => ("ipv4_addr", "10.0.0.9"),
        };
        let flags =
            self.dice.pick(&["flags timeout\n  timeout 1h", "flags dynamic,timeout\n  timeout 1h", "flags timeout"]);
        writeln!(self.named, " set {name} {{\n  type {kind}\n  {flags}\n  elements = {{ {one} timeout 30m }}\n }}")
            .unwrap();
        let (family, table) = (self.family, self.table.clone());
        writeln!(self.later, "flush set {family} {table} {name}").unwrap();
        format!("@{name}")
    }

    fn equal(&mut self) -> &'static str {
        self.dice.pick(&["", "", "", "", "== ", "!= "])
    }

    fn address(&mut self) -> String {
        let side = self.dice.pick(&["saddr", "saddr", "daddr"]);
        let v6 = match self.family {
            "ip6" => true,
            "ip" => false,
            _ => self.dice.chance(35),
        };
        let (field, kind, list, elements) = match v6 {
            true => ("ip6", "ipv6_addr", ADDRESSES_V6, ELEMENTS_V6),
            false => ("ip", "ipv4_addr", ADDRESSES_V4, ELEMENTS_V4),
        };
        let equal = self.equal();
        if !self.supported && self.dice.chance(12) {
            let set = self.passing();
            if (self.family == "ip6") == v6 {
                return format!("{field} {side} {equal}{set}");
            }
        }
        if !self.supported && !v6 && self.dice.chance(8) {
            let mask = self.dice.pick(&[
                "& 255.0.255.0 == 10.0.1.0",
                "< 10.0.1.0",
                ">= 10.0.1.0",
                "& 255.255.255.0 == 10.0.0.0",
            ]);
            return format!("ip {side} {mask}");
        }
        if self.dice.chance(40) {
            let elements = self.list(elements);
            let set = self.set(kind, &elements);
            return format!("{field} {side} {equal}{set}");
        }
        format!("{field} {side} {equal}{}", self.dice.pick(list))
    }

    fn ports(&mut self) -> String {
        let proto = self.dice.pick(&["tcp", "tcp", "udp", "sctp", "th"]);
        let side = self.dice.pick(&["dport", "dport", "dport", "sport"]);
        let equal = self.equal();
        // Without its protocols `th` is about every protocol, of which the adapter sees no ports.
        let both =
            if proto == "th" && (self.supported || self.dice.chance(80)) { "meta l4proto { tcp, udp } " } else { "" };
        if !self.supported && self.dice.chance(10) {
            let than = self.dice.pick(&["< 1000", "> 80", ">= 1024", "<= 443", "& 1 == 1"]);
            return format!("{both}{proto} {side} {than}");
        }
        if self.dice.chance(40) {
            let elements = self.list(PORT_ELEMENTS);
            let set = self.set("inet_service", &elements);
            return format!("{both}{proto} {side} {equal}{set}");
        }
        format!("{both}{proto} {side} {equal}{}", self.dice.pick(PORTS))
    }

    fn protocol(&mut self) -> String {
        let equal = self.equal();
        let list = self.list(PROTOS);
        let one = self.dice.pick(PROTOS);
        let value = if self.dice.chance(40) { format!("{{ {list} }}") } else { one.to_owned() };
        match (self.family, self.dice.below(6)) {
            ("ip", 0) => format!("ip protocol {equal}{value}"),
            ("inet", 1) => format!("meta nfproto {equal}{}", self.dice.pick(&["ipv4", "ipv6"])),
            ("ip6", 2) if !self.supported => format!("ip6 nexthdr {equal}{value}"),
            ("inet", 3) if !self.supported => format!("meta protocol {equal}{}", self.dice.pick(&["ip", "ip6"])),
            _ => format!("meta l4proto {equal}{value}"),
        }
    }

    fn concatenation(&mut self) -> String {
        let (field, addresses, kind) = match self.family {
            "ip6" => ("ip6", ELEMENTS_V6, "ipv6_addr"),
            _ => ("ip", ELEMENTS_V4, "ipv4_addr"),
        };
        let singles: Vec<_> = if kind == "ipv4_addr" { SINGLES_V4.to_vec() } else { vec!["2001:db8:1::9", "fd00::1"] };
        let proto = self.dice.pick(&["tcp", "udp"]);
        let not = if self.supported || self.dice.chance(80) { "" } else { "!= " };
        if self.dice.chance(40) {
            let name = self.name();
            let (a, b) = (self.dice.pick(addresses), self.dice.pick(PORT_ELEMENTS));
            let (c, d) = (self.dice.pick(addresses), self.dice.pick(PORT_ELEMENTS));
            let more = if a == c { String::new() } else { format!(", {c} . {d}") };
            writeln!(self.named, " set {name} {{\n  type {kind} . inet_service\n  flags interval\n  elements = {{ {a} . {b}{more} }}\n }}").unwrap();
            return format!("{field} saddr . {proto} dport {not}@{name}");
        }
        let (a, b) = (self.dice.pick(&singles), self.dice.pick(&["22", "80"]));
        let (c, d) = (self.dice.pick(&singles), self.dice.pick(&["53", "443"]));
        format!("{field} saddr . {proto} dport {not}{{ {a} . {b}, {c} . {d} }}")
    }

    fn map(&mut self, users: &[String]) -> String {
        let mut verdicts = vec!["accept".to_owned(), "drop".to_owned(), "return".to_owned(), "continue".to_owned()];
        for user in users {
            verdicts.push(format!("jump {user}"));
            verdicts.push(format!("goto {user}"));
        }
        let (field, kind, from): (&str, &str, &[&str]) = match self.dice.below(5) {
            0 => ("tcp dport", "inet_service", PORT_ELEMENTS),
            1 => ("meta l4proto", "inet_proto", &["tcp", "udp", "icmp", "47"]),
            2 if !self.supported => {
                self.tracked = true;
                self.state_denied = true;
                ("ct state", "ct_state", &["new", "established", "invalid"])
            }
            _ if self.family == "ip6" => ("ip6 saddr", "ipv6_addr", ELEMENTS_V6),
            _ => ("ip saddr", "ipv4_addr", ELEMENTS_V4),
        };
        let mut keys = from.to_vec();
        self.dice.shuffle(&mut keys);
        keys.truncate(1 + self.dice.below(3));
        let mut elements = Vec::new();
        for key in keys {
            let verdict = &verdicts[self.dice.below(verdicts.len())];
            elements.push(format!("{key} : {verdict}"));
        }
        let elements = elements.join(", ");
        // Named maps cannot be about chains that come later in the file.
        if self.dice.chance(40) && !elements.contains("jump") && !elements.contains("goto") {
            let name = self.name();
            writeln!(
                self.named,
                " map {name} {{\n  type {kind} : verdict\n  flags interval\n  elements = {{ {elements} }}\n }}"
            )
            .unwrap();
            return format!("{field} vmap @{name}");
        }
        format!("{field} vmap {{ {elements} }}")
    }

    fn interface(&mut self, hook: &str) -> Option<String> {
        let incoming = match hook {
            "input" | "prerouting" => true,
            "output" | "postrouting" => false,
            "forward" => self.dice.chance(50),
            _ => return None,
        };
        let names: &[&str] = match self.view {
            View::Host if self.uplink => &["\"eth0\"", "\"lo\"", "\"eth1\"", "\"eth*\"", "{ \"eth0\", \"wlan0\" }"],
            View::Router if self.supported => return None,
            View::Router if self.uplink => &["\"eth0\"", "\"cont0\"", "\"cont*\"", "\"lo\""],
            _ if self.supported => &["\"lo\""],
            _ => &["\"lo\"", "\"eth0\"", "\"cont*\""],
        };
        let key = if incoming { "iifname" } else { "oifname" };
        Some(format!("{key} {}{}", self.dice.pick(&["", "", "!= "]), self.dice.pick(names)))
    }

    fn wild(&mut self) -> String {
        let mut all = vec![
            "meta mark 1",
            "meta mark != 1",
            "limit rate 1/hour burst 1 packets",
            "limit rate over 1/hour burst 1 packets",
            "numgen inc mod 2 0",
            "meta pkttype host",
            "ct mark 1",
            "fib daddr type local",
            "fib saddr type local",
            "fib daddr type unicast",
            "fib daddr type != local",
            "fib daddr type { local, broadcast }",
            "ct state new",
            "ct state invalid",
            "ct state untracked",
            "ct state != established",
            "ct state & (new | established) != 0",
            "ct state related,new",
            "ct direction original",
            "ct status seen-reply",
            "tcp flags syn",
            "tcp flags & (syn | ack) == syn",
            "meta length < 41",
            "quota 100 bytes",
            "@th,16,16 80",
            "@nh,0,4 4",
            "meta priority 0",
            "meta cpu 0",
            "ct count 1",
            "icmp type echo-request",
            "icmpv6 type echo-request",
            "icmp type { echo-request, echo-reply }",
            "icmp code 0",
            "tcp sequence 9",
            "udp length 12",
            "meta secmark 0",
            "rt classid 0",
            "meta hour 0-1",
            "ct l3proto ipv4",
            "ct original proto-dst 80",
            "socket transparent 1",
            "meta iiftype ether",
            "fib saddr . iif oif missing",
        ];
        if self.family != "ip6" {
            all.extend([
                "ip ttl > 64",
                "ip dscp 0",
                "ip length < 41",
                "ip frag-off & 0x1fff != 0",
                "ip hdrlength 5",
                "ip version 4",
            ]);
        }
        if self.family != "ip" {
            all.extend(["ip6 hoplimit > 64", "exthdr frag exists", "ip6 flowlabel > 3", "ip6 dscp 0"]);
        }
        let unit = self.dice.pick(&all);
        self.tracked |= unit.starts_with("ct ") || unit.starts_with("socket");
        self.state_denied |= unit.contains("ct state");
        unit.to_owned()
    }

    fn verdict(&mut self, users: &[String], hook: &str) -> String {
        if !users.is_empty() && self.dice.chance(30) {
            let user = &users[self.dice.below(users.len())];
            return format!("{} {user}", self.dice.pick(&["jump", "jump", "goto"]));
        }
        if !self.supported && self.dice.chance(12) {
            let mut all = vec![
                "queue",
                "queue flags bypass to 3",
                "meta mark set 1",
                "meta mark set 1 accept",
                "limit rate 1/hour burst 1 packets drop",
                "log group 3",
                "ct mark set 1",
                "meta nftrace set 1",
                "notrack",
                "notrack accept",
                "ct zone set 7",
                "tcp dport set 81",
                "tcp dport set 81 accept",
                "reject with tcp reset",
                "reject with icmpx type admin-prohibited",
            ];
            if self.family == "ip" {
                all.push("ip dscp set 1");
            }
            let verdict = self.dice.pick(&all);
            self.tracked |= verdict.contains("ct ") || verdict.starts_with("notrack");
            return verdict.to_owned();
        }
        let all: &[&str] = match hook {
            "input" | "output" | "forward" => {
                &["accept", "accept", "accept", "drop", "drop", "return", "reject", "continue", ""]
            }
            _ => &["accept", "accept", "drop", "drop", "return", "continue", ""],
        };
        self.dice.pick(all).to_owned()
    }

    fn rule(&mut self, users: &[String], hook: &str) -> String {
        let mut parts = Vec::new();
        if self.dice.chance(10) {
            if self.dice.chance(40) {
                parts.push(self.concatenation());
            } else {
                parts.push(self.map(users));
                return parts.join(" ");
            }
        }
        if self.dice.chance(50) {
            parts.push(self.address());
        }
        if self.dice.chance(15) {
            parts.push(self.address());
        }
        match self.dice.below(10) {
            0..5 => parts.push(self.ports()),
            5..7 => parts.push(self.protocol()),
            _ => {}
        }
        let new = self.stateful && hook != "ingress" && self.dice.chance(25);
        if new {
            self.tracked = true;
            parts.push("ct state new".to_owned());
        }
        if self.dice.chance(10) {
            parts.extend(self.interface(hook));
        }
        if !self.supported && self.dice.chance(25) {
            parts.push(self.wild());
        }
        if !self.supported {
            self.dice.shuffle(&mut parts);
        }
        if self.dice.chance(20) {
            parts.push(self.dice.pick(&["counter", "log", "log prefix \"accept \"", "counter log"]).to_owned());
        }
        // A deny of new connections alone is no thing that can be said.
        let verdict = if new && self.supported { "accept".to_owned() } else { self.verdict(users, hook) };
        parts.push(verdict);
        if self.dice.chance(10) {
            parts.push("comment \"ticket 7: accept\"".to_owned());
        }
        let rule = parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" ");
        if rule.is_empty() || rule.starts_with("comment") { "counter".to_owned() } else { rule }
    }
}
