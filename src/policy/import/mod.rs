//! Rules of other firewalls, read as a document for one set of bound addresses.
//!
//! ```
//! use nicfw::policy::import::{Format, Settings, import};
//! use nicfw::policy::{Attach, BindingBuilder};
//!
//! let saved = "*filter
//! :INPUT DROP [0:0]
//! :FORWARD DROP [0:0]
//! :OUTPUT DROP [0:0]
//! -A INPUT -s 10.20.0.0/16 -p tcp -m tcp --dport 443 -j ACCEPT
//! -A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT
//! COMMIT
//! ";
//! let settings = Settings::new("shop-1", vec!["10.30.1.17".parse()?], "02:00:0a:1e:01:11".parse()?);
//! let import = import(Format::Iptables, saved.as_bytes(), "rules.v4", &settings)?;
//! assert!(import.yaml.contains("- {allow: in, proto: tcp, remote: 10.20.0.0/16, local_ports: 443, replies: no, reason: "));
//! let line = "6: left out: the adapter sees no ICMP types: -A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT";
//! assert_eq!(import.not_carried[0].to_string(), line);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The way of a rule
//! A reader per format makes chains of rules over source, destination, protocol, ports and connection state (`rules`).
//! They are expanded from the hooks to a flat first-match list for each direction, where chains, returns and several
//! tables on a hook become plain order (`expand`). Connection states become `replies` (`state`), each rule is said in
//! the document's words (`lower`) and written as YAML (`write`), which is then parsed like any other document.
//!
//! # What cannot be said
//! A line is read wholly or not at all, and nothing is rounded towards open: [`Import::not_carried`] lists what is lost, rule
//! by rule. What is carried, listed and refused of each format is in `docs/import.md`.
//!
//! - An allow with a condition that cannot be said is left out. A deny with such a condition loses the condition, so it
//!   denies more. Where nobody can say which packets a jump, goto or return concerns, both ways must allow: the allows on the
//!   doubtful way are left out, its denies stay.
//! - What may change in time (sets that rules or timers change, marks, rates) is never taken as it happens to stand.
//! - Translated destinations (DNAT, REDIRECT) are denied: the rules behind judge other addresses than the adapter sees.
//! - ESTABLISHED becomes replies of the other direction's allows whose mirrored flows it accepts; where denies of the two
//!   directions cannot both keep their place, replies are given up. RELATED is left out.
//! - A deny for states that no table can tell (INVALID, UNTRACKED, RELATED) can be neither kept nor widened: it would close
//!   everything. The import is refused, unless [`Settings::accept_stateless`] says that it may be left out; so may then a deny
//!   of what exceeds a rate.
//! - What is not a whole ruleset is refused. Rules that no imported hook reaches are listed. Rules about other addresses than
//!   the bound ones are counted.
//!
//! # Readings
//! - **ClassBench**: line `i`, from 0, allows if `i` is even and denies if it is odd. The column of flags is not read.
//! - **DPDK**: two categories, in each the highest priority wins; a packet passes if the category `allow` has a match and the
//!   category `deny` has none. VLAN and domain are what [`Settings`] vouches for.
//! - **iptables, nft**: what no chain decides is accepted, as the kernel does; it becomes an explicit allow.
//! - In the two sets of lines, and wherever no rule accepts ESTABLISHED alone, replies are off.

mod address_type;
mod classbench;
mod cover;
mod dpdk;
mod error;
mod expand;
mod interface;
mod iptables;
mod iptables_line;
mod iptables_options;
mod iptables_rule;
mod json;
mod lower;
mod nft;
mod nft_rule;
mod nft_value;
mod pieces;
mod program;
mod protocols;
mod reach;
mod read;
mod report;
mod rules;
mod settings;
mod state;
mod text;
mod write;

use self::expand::{Seen, expand};
use self::read::Read;
use self::report::Report;
use self::rules::{Flat, Match, Sides, both};
use super::document::Document;
use crate::policy::document::problems::ParseErrors;
use crate::terms::{AddrSet, Direction};

pub use self::error::ImportError;
pub use self::report::{Effect, NotCarried};
pub use self::settings::{Format, LARGEST_FILE, Settings, View};

/// What became of a file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Import {
    /// The document as YAML.
    pub yaml: String,
    /// The same, parsed.
    pub document: Document,
    /// What the document does not say, or says more closed than the file, by line.
    pub not_carried: Vec<NotCarried>,
    /// What is true of the whole file.
    pub notes: Vec<String>,
}

/// Reads rules of another firewall. `name` stands in reasons and messages, usually the file's.
///
/// # Errors
/// The file is too large, binary, truncated, of another format, has cycles, expands to too much, or denies by connection
/// state; or the settings make no document. There is no output then.
pub fn import(format: Format, bytes: &[u8], name: &str, settings: &Settings) -> Result<Import, ImportError> {
    if bytes.len() > LARGEST_FILE {
        return Err(ImportError::TooLarge { bytes: bytes.len(), max: LARGEST_FILE });
    }
    let text = text::decode(bytes)?;
    let mut report = Report::default();
    let read = match format {
        Format::Classbench => classbench::read(text, &mut report),
        Format::Iptables => iptables::read(text, settings, &mut report),
        Format::Nft => nft::read(text, settings, &mut report),
        Format::DpdkAcl => dpdk::read(text, settings, &mut report),
    }?;
    let (rx, tx) = flatten(&read, settings, &mut report)?;
    let bound: AddrSet = settings.ips.iter().copied().collect();
    let placed = if read.stateful { state::place(&rx, &tx, settings, &mut report)? } else { state::stateless(rx, tx) };
    let rules = lower::say(&placed, &bound, &mut report);
    let yaml = write::document(settings, name, &rules)?;
    let document = Document::parse(&yaml, name).map_err(|errors| unfit(&errors, &rules))?;
    lower::limits(&rules, settings, &document.ephemeral, &mut report);
    let (not_carried, notes) = report.finish();
    Ok(Import { yaml, document, not_carried, notes })
}

/// Why a document is refused, in terms of the file that it was made from.
fn unfit(errors: &ParseErrors, rules: &[lower::Said]) -> ImportError {
    let rule = |line: u32| rules.get(usize::try_from(line).ok()?.checked_sub(write::FIRST_RULE)?);
    let found = errors.errors().iter().find_map(|error| Some((error, rule(error.line())?)));
    if let Some((error, rule)) = found {
        let (line, text) = (rule.place.line, rule.place.text.to_string());
        return ImportError::Rule { line, what: error.text().to_owned(), text };
    }
    let texts: Vec<_> = errors.errors().iter().map(|error| error.text()).collect();
    let nd = if texts.iter().any(|text| text.contains("nd: open-icmpv6")) { " (--open-nd)" } else { "" };
    ImportError::Settings { what: texts.join("\n") + nd }
}

/// The first-match lists of both directions, for the bound addresses alone.
fn flatten(read: &Read, settings: &Settings, report: &mut Report) -> Result<(Vec<Flat>, Vec<Flat>), ImportError> {
    let bound = both(&settings.ips.iter().copied().collect(), &read.family);
    if bound.is_empty() {
        report.note("the rules are for the other IP version than the bound addresses: everything is denied");
    } else {
        let all: AddrSet = settings.ips.iter().copied().collect();
        for (version, left) in
            [("IPv4", bound.v4.is_empty() && !all.v4.is_empty()), ("IPv6", bound.v6.is_empty() && !all.v6.is_empty())]
        {
            if left {
                report.note(format!("the file says nothing of {version}: all {version} of the container is denied"));
            }
        }
    }
    let mut seen = Seen::new(&read.program);
    let spare = settings.accept_stateless;
    let mut list = |bases, start: &Match| expand(&read.program, bases, start, spare, &mut seen, report);
    let (rx, tx) = (list(&read.rx, &start(&bound, Direction::Rx))?, list(&read.tx, &start(&bound, Direction::Tx))?);
    seen.tell(&read.program, &[&read.rx, &read.tx], report);
    Ok((rx, tx))
}

/// Every packet of the bound addresses in one direction.
fn start(bound: &AddrSet, direction: Direction) -> Match {
    let remote = bound.families();
    let (src, dst) = if direction == Direction::Rx { (remote, bound.clone()) } else { (bound.clone(), remote) };
    Match { src, dst, sides: Sides::of(direction), ..Match::any() }
}
