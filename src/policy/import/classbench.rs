//! ClassBench filter sets: `@SRC/LEN DST/LEN LOW : HIGH LOW : HIGH PROTO/MASK FLAGS/MASK`, one filter a line.
//!
//! Read as an ordered policy: line `i`, from 0, allows if `i` is even and denies if it is odd; nothing matches = deny.
//! The flags are not read, as the sets are used for five fields. Ports from 0 to 65535 are no condition.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::program::{Base, Program};
use super::report::Report;
use super::rules::{Action, Chain, ChainRule, Match, Protos, every, v4};
use super::text::{lines, nowhere, place, syntax};
use super::{ImportError, Read};
use crate::policy::text::words;
use crate::terms::{AddrSet, Interval, PortSet, Verdict};

/// Filters that are read.
const MOST_FILTERS: usize = 100_000;

const FILTER: &str = "@SRC/LEN DST/LEN LOW : HIGH LOW : HIGH PROTO/MASK";

/// Reads a set.
pub(super) fn read(text: &str, report: &mut Report) -> Result<Read, ImportError> {
    let mut rules = Vec::new();
    let mut flags = 0usize;
    for line in lines(text) {
        let (number, line) = line?;
        if line.is_empty() {
            continue;
        }
        if rules.len() == MOST_FILTERS {
            return Err(ImportError::TooMany { line: number, what: "filters", max: MOST_FILTERS });
        }
        let (when, has_flags) = filter(line).ok_or_else(|| syntax(number, line, "this is not a filter", FILTER))?;
        flags += usize::from(has_flags);
        let action = if rules.len().is_multiple_of(2) { Action::Accept } else { Action::Drop };
        rules.push(ChainRule { place: place(number, line), when: vec![when], doubt: None, action, beside: None });
    }
    if rules.is_empty() {
        return Err(syntax(1, "", "there is no filter", FILTER));
    }
    if !text.ends_with('\n') {
        let last = rules.last().map_or(1, |rule| rule.place.line);
        return Err(syntax(
            last,
            text.lines().last().unwrap_or(""),
            "the last line has no end: the file is cut",
            FILTER,
        ));
    }
    report.note(format!("the column of flags is not read; {flags} filters have flags"));
    let program = Program { chains: vec![Chain { name: "filters".to_owned(), rules }] };
    let base = || Base {
        chain: 0,
        judges: vec![every(v4())],
        policy: Verdict::Deny,
        place: nowhere("no filter matches"),
        main: true,
        untracked: false,
    };
    Ok(Read { program, rx: vec![base()], tx: vec![base()], family: v4(), stateful: false })
}

/// One filter, and whether it has flags.
fn filter(line: &str) -> Option<(Match, bool)> {
    let mut words = line.strip_prefix('@')?.split_ascii_whitespace();
    let mut net = || Some(AddrSet::from(words::net(words.next()?).ok().filter(|net| matches!(net, IpNet::V4(_)))?));
    let (src, dst) = (net()?, net()?);
    let mut ports = || {
        let end = |word: &str| words::number::<u16>(word, "port", 0, u16::MAX).ok();
        let first = end(words.next()?)?;
        let last = words.next().filter(|colon| *colon == ":").and_then(|_| end(words.next()?))?;
        (first <= last).then(|| PortSet::from_intervals([Interval { first, last }]))
    };
    let (sport, dport) = (ports()?, ports()?);
    let (proto, mask) = pair(words.next()?)?;
    let flags = words.next().map(pair);
    if words.next().is_some() || flags == Some(None) {
        return None;
    }
    let has_flags = flags.flatten().is_some_and(|(_, mask)| mask != 0);
    let (proto, mask) = (u8::try_from(proto).ok()?, u8::try_from(mask).ok()?);
    let ports = (!sport.is_full() || !dport.is_full()).then_some((sport, dport));
    Some((Match { src, dst, protos: protos(proto, mask)?, ports, ..Match::any() }, has_flags))
}

/// `0xVALUE/0xMASK`.
fn pair(word: &str) -> Option<(u16, u16)> {
    let number = |word: &str| {
        let digits = word.strip_prefix("0x").filter(|digits| !digits.starts_with('+'))?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (value, mask) = word.split_once('/')?;
    Some((number(value)?, number(mask)?))
}

/// The protocols that a value under a mask stands for; `None` if there is none.
pub(super) fn protos(value: u8, mask: u8) -> Option<Protos> {
    if mask == 0 {
        return Some(Protos::Any);
    }
    let numbers: BTreeSet<u8> = (0..=u8::MAX).filter(|number| number & mask == value & mask).collect();
    Some(Protos::Of(numbers))
}
