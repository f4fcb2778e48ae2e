//! One rule of an nftables ruleset: statements to conditions and a verdict.

use std::collections::{BTreeMap, BTreeSet};

use super::super::document::Proto;
use super::ImportError;
use super::Settings;
use super::iptables_rule::{CHANGED, NOT_TRACKED, TRANSLATED, Target, ZONED, is_source, known_target};
use super::json::Json;
use super::nft_value::{Field, carriers, compared, field, said};
use super::pieces::{Parts, Piece, neither_port};
use super::rules::{About, Action, ChainRule, Doubt, Match, Place, v4, v6};
use super::text::{place, shown, syntax};
use crate::terms::AddrSet;

/// Alternatives that one rule may have.
const MOST_ALTERNATIVES: usize = 4096;

/// Statements that change packets, marks or lists, and not where packets go.
const BESIDE: &str = "flow dup snat masquerade last secmark";
/// Fields that may be set without a change of what supported conditions say.
const BESIDE_FIELDS: &[(&str, &str)] = &[
    ("ip", "dscp ecn ttl id checksum"),
    ("ip6", "dscp ecn hoplimit flowlabel"),
    ("tcp", "window urgptr checksum"),
    ("udp", "checksum"),
];
/// Statements that may end a rule before its verdict, by how many or how fast.
const RATES: &[&str] = &["limit", "quota", "ct count"];

const RULE: &str = "a rule with the list expr";
/// The kernel leaves a rule at such a statement, if the packet is not one for it.
const ENDS_EARLY: &str = "a statement before the verdict ends the rule for some packets, and nft does not list which";
const TRANSLATED_SOURCE: &str =
    "sources are not translated by the adapter, and a chain behind judges the translated ones";

/// Family, table and name.
pub(super) type Name = (String, String, String);

/// Named sets and maps.
pub(super) type Sets<'a> = BTreeMap<Name, &'a Json<'a>>;

/// Reads rules.
pub(super) struct Reader<'a> {
    pub settings: &'a Settings,
    pub sets: &'a Sets<'a>,
    pub chains: &'a BTreeMap<Name, usize>,
    /// Sets and maps that rules add to or take from.
    pub changing: &'a BTreeSet<Name>,
    /// A chain that filters stands behind the translation of sources.
    pub sees_translated: bool,
}

/// Notes the sets and maps that a rule changes.
pub(super) fn adds_to(rule: &Json<'_>, changing: &mut BTreeSet<Name>) {
    let text = |of: &Json<'_>, key: &str| of.get(key).and_then(Json::str).map(ToOwned::to_owned);
    let Some((family, table)) = text(rule, "family").zip(text(rule, "table")) else { return };
    for statement in rule.get("expr").and_then(Json::list).unwrap_or_default() {
        let Some((kind, body)) = statement.only() else { continue };
        for named in [text(body, kind), text(body, "set"), text(body, "map")].into_iter().flatten() {
            if let Some(name) = named.strip_prefix('@').filter(|_| ["set", "map", "meter"].contains(&kind)) {
                changing.insert((family.clone(), table.clone(), name.to_owned()));
            }
        }
    }
}

/// A rule while its statements are read.
struct Growing {
    place: Place,
    parts: Parts,
    beside: Vec<String>,
    /// Done, with the rules of a verdict map before it.
    action: Option<Action>,
    mapped: Vec<ChainRule>,
    /// Has a statement that may hold a verdict.
    unknown: bool,
    /// All that comes here is denied because of a statement that cannot be said, whatever follows.
    shut: bool,
}

/// The values that a condition compares with, and what is not certain about them.
struct Values<'b> {
    given: Vec<&'b Json<'b>>,
    doubt: Option<String>,
}

impl Reader<'_> {
    /// The rules that one rule becomes: more than one with a verdict map or several doubts.
    pub fn rules(&self, rule: &Json<'_>, family: &str, table: &str) -> Result<Vec<ChainRule>, ImportError> {
        let wrong = |what: &str| syntax(rule.line, rule.text, what, RULE);
        let statements = rule.get("expr").and_then(Json::list).ok_or_else(|| wrong("a rule without statements"))?;
        let handle = rule.get("handle").and_then(Json::number);
        let body = rule.get("expr").map_or("", |expr| expr.text);
        let comment = rule.get("comment").and_then(Json::str).map(shown);
        let called = match (handle, &comment) {
            (Some(handle), Some(comment)) => format!("handle {handle} \"{comment}\": "),
            (Some(handle), None) => format!("handle {handle}: "),
            (None, Some(comment)) => format!("\"{comment}\": "),
            (None, None) => String::new(),
        };
        let mut growing = Growing {
            place: Place { handle, comment: comment.map(Into::into), ..place(rule.line, &format!("{called}{body}")) },
            parts: Parts::all(),
            beside: Vec::new(),
            action: None,
            mapped: Vec::new(),
            unknown: false,
            shut: false,
        };
        let mut read = false;
        for (i, statement) in statements.iter().enumerate() {
            if std::mem::take(&mut read) {
                continue;
            }
            let (name, body) = match (statement.only(), statement.str()) {
                (Some(found), _) => found,
                (None, Some(word)) => (word, statement),
                _ => return Err(wrong("a statement that is not an object")),
            };
            if growing.shut {
                break;
            }
            if growing.action.is_some() {
                return Err(wrong("a statement behind a verdict"));
            }
            let ports = statements.get(i..i + 2).and_then(|pair| two_negated_ports(pair, family, table));
            if let Some((source, destination)) = ports {
                growing.narrow(&carriers(&body.get("left").map(fields).unwrap_or_default()));
                growing.narrow(&neither_port(source, destination));
                read = true;
                continue;
            }
            self.statement(&mut growing, name, body, family, table).ok_or_else(|| wrong("a statement that is cut"))?;
            if growing.parts.len() > MOST_ALTERNATIVES || growing.mapped.len() > MOST_ALTERNATIVES {
                let what = "alternatives in a rule";
                return Err(ImportError::TooMany { line: rule.line, what, max: MOST_ALTERNATIVES });
            }
        }
        Ok(growing.finish())
    }

    fn statement(&self, to: &mut Growing, name: &str, body: &Json<'_>, family: &str, table: &str) -> Option<()> {
        match name {
            "match" => self.condition(to, body, family, table)?,
            "vmap" => self.map(to, body, family, table)?,
            "counter" if body.get("map").is_some() => to.doubt(ENDS_EARLY),
            "counter" | "comment" => {}
            "log" => to.beside.push("the adapter does not log".to_owned()),
            "queue" => to.deny("a program decides, which the adapter does not ask"),
            "notrack" => to.deny(NOT_TRACKED),
            "dnat" | "redirect" | "tproxy" => to.deny(TRANSLATED),
            "snat" | "masquerade" if self.sees_translated => to.deny(TRANSLATED_SOURCE),
            "fwd" | "synproxy" => to.deny("the adapter does not send packets elsewhere"),
            "set" | "map" => {
                let named = [body.get("set"), body.get("map")].into_iter().flatten().find_map(Json::str).unwrap_or("");
                let what = format!("{} of the set {} cannot be said", shown(op(body)), shown(named));
                to.parts.doubt(&Doubt { about: stateful(body), ..Doubt::new(&what) });
            }
            "xt" => self.foreign(to, body),
            "mangle" => match changes_what_is_judged(body) {
                Some(why) => to.deny(why),
                None => {
                    to.beside.push("the adapter does not do mangle".to_owned());
                    to.changed(body);
                }
            },
            "reject" => {
                to.answer(body);
                to.action = Some(Action::Drop);
            }
            "meter" => to.parts.doubt(&Doubt { about: stateful(body), ..Doubt::new("meter cannot be said") }),
            _ if RATES.contains(&name) => {
                let what = format!("{name} cannot be said");
                to.parts.doubt(&Doubt { about: rate(body), ..Doubt::new(&what) });
            }
            _ if BESIDE.split_ascii_whitespace().any(|known| known == name) || name.starts_with("ct ") => {
                to.beside.push(format!("the adapter does not do {}", shown(name)));
                if ["flow", "ct expectation"].contains(&name) || body.get("map").is_some() {
                    to.doubt(ENDS_EARLY);
                }
            }
            _ => match self.verdict(name, body, family, table)? {
                Some(action) => to.action = Some(action),
                None => {
                    to.doubt(&format!("{} cannot be said", shown(name)));
                    to.unknown = true;
                }
            },
        }
        Some(())
    }

    /// A match or target of iptables, of which nft prints the name alone.
    fn foreign(&self, to: &mut Growing, body: &Json<'_>) {
        let text = |key| body.get(key).and_then(Json::str).unwrap_or("");
        match (text("type"), text("name")) {
            ("match", "comment") => {}
            ("match", name) => to.doubt(&format!("the match {} of iptables cannot be said", shown(name))),
            ("target", name) => match known_target(name, &[]) {
                // CT may be "untracked", and nft does not say.
                Some((Target::Beside(_), _)) if self.sees_translated && is_source(name) => to.deny(TRANSLATED_SOURCE),
                Some((Target::Beside(what), _)) if name != "CT" => to.beside.push(what),
                Some((Target::Action(action), None)) => to.action = Some(action),
                _ => to.deny("xt cannot be said"),
            },
            _ => {
                to.doubt("xt cannot be said");
                to.unknown = true;
            }
        }
    }

    /// A verdict; `Some(None)` if it is none.
    fn verdict(&self, name: &str, body: &Json<'_>, family: &str, table: &str) -> Option<Option<Action>> {
        let target = || {
            let target = body.get("target")?.str()?;
            self.chains.get(&(family.to_owned(), table.to_owned(), target.to_owned())).copied()
        };
        Some(Some(match name {
            "accept" => Action::Accept,
            "drop" => Action::Drop,
            "return" => Action::Return,
            "continue" => Action::Continue,
            "jump" => Action::Jump(target()?),
            "goto" => Action::Goto(target()?),
            _ => return Some(None),
        }))
    }

    fn condition(&self, to: &mut Growing, body: &Json<'_>, family: &str, table: &str) -> Option<()> {
        let (left, right) = (body.get("left")?, body.get("right")?);
        let fields = fields(left);
        let values = self.values(right, family, table)?;
        let pieces = match body.get("op")?.str()? {
            "==" | "in" => said(&fields, &values.given, false, self.settings),
            "!=" => said(&fields, &values.given, true, self.settings),
            op @ ("<" | ">" | "<=" | ">=")
                if fields.len() == 1 && values.given.len() == 1 && values.doubt.is_none() =>
            {
                let value = values.given.first()?;
                let found = fields.first().and_then(|field| compared(field, op, value));
                found.map_or_else(|| vec![uncompared(op)], |when| vec![Piece::sure(when)])
            }
            op => vec![uncompared(op)],
        };
        match values.doubt {
            // Whatever the elements are, the packets have the fields.
            Some(doubt) => {
                to.narrow(&carriers(&fields));
                to.doubt(&doubt);
            }
            None => to.narrow(&pieces),
        }
        Some(())
    }

    /// A verdict map becomes one rule for each of its elements.
    fn map(&self, to: &mut Growing, body: &Json<'_>, family: &str, table: &str) -> Option<()> {
        let fields = fields(body.get("key")?);
        let values = self.values(body.get("data")?, family, table)?;
        if let Some(doubt) = values.doubt {
            to.deny(&doubt);
            return Some(());
        }
        // What no element is for stands last.
        let (rest, elements): (Vec<_>, Vec<_>) = values.given.into_iter().partition(|element| {
            element.list().and_then(|pair| unwrapped(pair.first()?)).is_some_and(|key| key.str() == Some("*"))
        });
        if !to.beside.is_empty() {
            let beside = std::mem::take(&mut to.beside);
            to.mapped.extend(Growing { beside, ..to.branch(Action::Continue) }.finish());
        }
        // Keys that end nothing. What they match is behind the map still, or comes back behind the rule, and is not the rest.
        let mut open = Vec::new();
        let mut behind = Parts::none();
        for element in elements.into_iter().chain(rest) {
            let [key, verdict] = element.list()? else { return None };
            let key = unwrapped(key)?;
            let (name, body) = match (verdict.only(), verdict.str()) {
                (Some(found), _) => found,
                (None, Some(word)) => (word, verdict),
                _ => return None,
            };
            let action = self.verdict(name, body, family, table)??;
            let mut rule = to.branch(action.clone());
            rule.narrow(&said(&fields, &[key], false, self.settings));
            if key.str() == Some("*") && !open.is_empty() {
                rule.narrow(&said(&fields, &open, true, self.settings));
            }
            if matches!(action, Action::Continue | Action::Jump(_)) {
                open.push(key);
            }
            if action == Action::Continue {
                behind.add(rule.parts);
            } else {
                to.mapped.extend(rule.finish());
            }
            if to.mapped.len().max(behind.len()) > MOST_ALTERNATIVES {
                break;
            }
        }
        // The kernel leaves a rule whose map has no element for a packet.
        to.parts = behind;
        Some(())
    }

    /// The elements of a value: of a set, of a named set, or the one value.
    fn values<'b>(&'b self, value: &'b Json<'b>, family: &str, table: &str) -> Option<Values<'b>> {
        let doubtful = |doubt: String| Some(Values { given: Vec::new(), doubt: Some(doubt) });
        if let Some(name) = value.str().and_then(|word| word.strip_prefix('@')) {
            let key = (family.to_owned(), table.to_owned(), name.to_owned());
            let Some(set) = self.sets.get(&key) else {
                return doubtful(format!("the set @{} is not in the file", shown(name)));
            };
            if self.changing.contains(&key) || changes(set) {
                return doubtful(format!("the set @{} changes in time", shown(name)));
            }
            let elements = set.get("elem").and_then(Json::list).unwrap_or_default();
            if elements.is_empty() {
                return doubtful(format!("the elements of the set @{} are not in the file", shown(name)));
            }
            let given: Option<Vec<_>> = elements.iter().map(unwrapped).collect();
            return match given {
                Some(given) => Some(Values { given, doubt: None }),
                None => doubtful(format!("elements of the set @{} change in time", shown(name))),
            };
        }
        let items = value.get("set").or(Some(value).filter(|value| value.list().is_some()));
        let given: Option<Vec<_>> = match items.map(|items| items.list().ok_or(items)) {
            Some(Ok(items)) => items.iter().map(unwrapped).collect(),
            Some(Err(one)) => Some(vec![unwrapped(one)?]),
            None => Some(vec![unwrapped(value)?]),
        };
        match given {
            Some(given) => Some(Values { given, doubt: None }),
            None => doubtful("elements of a set change in time".to_owned()),
        }
    }
}

/// The ports of two statements which iptables may have loaded as one comparison.
fn two_negated_ports(pair: &[Json<'_>], family: &str, table: &str) -> Option<(u16, u16)> {
    let [first, second] = pair else { return None };
    let tables = ["raw", "mangle", "nat", "filter", "security"];
    if !["ip", "ip6"].contains(&family) || !tables.contains(&table) {
        return None;
    }
    let port = |statement: &Json<'_>, side: &str| {
        let ("match", body) = statement.only()? else { return None };
        let payload = body.get("left")?.get("payload")?;
        let is = |key: &str, known: &[&str]| payload.get(key).and_then(Json::str).is_some_and(|of| known.contains(&of));
        let negated = body.get("op")?.str()? == "!=" && is("protocol", &["tcp", "udp"]) && is("field", &[side]);
        negated.then(|| u16::try_from(body.get("right")?.number()?).ok())?
    };
    Some((port(first, "sport")?, port(second, "dport")?))
}

/// Why rules behind a statement that sets a field judge other packets than the adapter sees; `None` if they do not.
fn changes_what_is_judged(body: &Json<'_>) -> Option<&'static str> {
    let Some((kind, field)) = body.get("key").and_then(Json::only) else { return Some(CHANGED) };
    let text = |key| field.get(key).and_then(Json::str).unwrap_or("");
    let beside = |(protocol, fields): &(&str, &str)| {
        *protocol == text("protocol") && fields.split_ascii_whitespace().any(|known| known == text("field"))
    };
    match kind {
        "ct" if text("key") == "zone" => Some(ZONED),
        "meta" | "ct" | "tcp option" => None,
        "payload" if BESIDE_FIELDS.iter().any(beside) => None,
        _ => Some(CHANGED),
    }
}

/// Whether every packet has this value: a constant, a mark, or what is computed of those.
fn is_certain(value: &Json<'_>) -> bool {
    match value.only() {
        Some(("meta", meta)) => meta.get("key").and_then(Json::str) == Some("mark"),
        Some(("&" | "|" | "^" | "<<" | ">>", of)) => of.list().is_some_and(|parts| parts.iter().all(is_certain)),
        _ => value.members().is_empty() && value.list().unwrap_or_default().iter().all(is_certain),
    }
}

/// Whether a condition on how many or how fast holds for what exceeds it.
fn rate(body: &Json<'_>) -> About {
    match body.get("inv").map(|inv| inv.text) {
        _ if body.members().is_empty() => About::Other,
        Some("true") => About::Above,
        _ => About::Below,
    }
}

/// The same of a set whose elements have such a condition of their own.
fn stateful(body: &Json<'_>) -> About {
    let statements = body.get("stmt").map(|stmt| stmt.list().unwrap_or(std::slice::from_ref(stmt))).unwrap_or_default();
    let about =
        statements.iter().filter_map(Json::only).filter(|(name, _)| RATES.contains(name)).map(|(_, body)| rate(body));
    about.reduce(|a, b| if a == b { a } else { About::Other }).unwrap_or(About::Other)
}

fn op<'b>(body: &'b Json<'_>) -> &'b str {
    body.get("op").and_then(Json::str).unwrap_or("change")
}

/// The packets of some IP versions.
fn only(family: AddrSet) -> Piece {
    Piece::sure(Match { src: family.clone(), dst: family, ..Match::any() })
}

fn uncompared(op: &str) -> Piece {
    Piece::unsure(Match::any(), format!("the comparison {} cannot be said", shown(op)))
}

/// Whether the kernel or its rules change a set by themselves.
fn changes(set: &Json<'_>) -> bool {
    let flags = set.get("flags").map(|flags| flags.list().unwrap_or(std::slice::from_ref(flags))).unwrap_or_default();
    let known = |flag: &Json<'_>| matches!(flag.str(), Some("interval" | "constant"));
    set.get("timeout").is_some() || set.get("stmt").is_some() || !flags.iter().all(known)
}

/// An element without its comment and counter; `None` if it comes and goes, or has a condition of its own.
fn unwrapped<'b, 'a>(element: &'b Json<'a>) -> Option<&'b Json<'a>> {
    // In a map the key stands in front of the verdict.
    let Some(inner) = element.get("elem") else { return Some(element) };
    let known = |(key, _): &(String, Json<'a>)| ["val", "comment", "counter"].contains(&key.as_str());
    inner.members().iter().all(known).then(|| inner.get("val"))?
}

/// The fields of one value, or of a concatenation.
fn fields(left: &Json<'_>) -> Vec<Field> {
    match left.get("concat").and_then(Json::list) {
        Some(parts) => parts.iter().map(field).collect(),
        None => vec![field(left)],
    }
}

impl Growing {
    fn doubt(&mut self, doubt: &str) {
        self.parts.doubt(&Doubt::new(doubt));
    }

    fn deny(&mut self, doubt: &str) {
        self.doubt(doubt);
        self.action = Some(Action::Drop);
        self.shut = true;
    }

    /// What a reject answers with: nft does not list the condition that it implies.
    fn answer(&mut self, body: &Json<'_>) {
        match body.get("type").and_then(Json::str) {
            Some("icmp") => self.narrow(&[only(v4())]),
            Some("icmpv6") => self.narrow(&[only(v6())]),
            // Of the kernel's rules without that condition it lists the same.
            Some("tcp reset") if !self.parts.are_of(Proto::TCP) => {
                self.doubt("nft does not say whether tcp alone is rejected with tcp reset");
            }
            _ => {}
        }
    }

    /// What stands behind a statement that sets a field sees the packets that have it, and a value for it.
    fn changed(&mut self, body: &Json<'_>) {
        let (kind, field) =
            body.get("key").and_then(Json::only).map_or(("", None), |(kind, field)| (kind, Some(field)));
        let protocol = field.and_then(|field| field.get("protocol")).and_then(Json::str);
        match (kind, protocol) {
            ("meta" | "ct", _) => {}
            ("payload", Some("ip")) => self.narrow(&[only(v4())]),
            ("payload", Some("ip6")) => self.narrow(&[only(v6())]),
            _ => self.doubt(ENDS_EARLY),
        }
        if !body.get("value").is_some_and(is_certain) {
            self.doubt(ENDS_EARLY);
        }
    }

    fn narrow(&mut self, pieces: &[Piece]) {
        // One more than may be, so that the reader sees that it is too much.
        self.parts.narrow(pieces, MOST_ALTERNATIVES + 1);
    }

    /// The same conditions with a verdict.
    fn branch(&self, action: Action) -> Self {
        Self {
            place: self.place.clone(),
            parts: self.parts.clone(),
            beside: Vec::new(),
            action: Some(action),
            mapped: Vec::new(),
            unknown: false,
            shut: false,
        }
    }

    fn finish(self) -> Vec<ChainRule> {
        // A verdict that cannot be read is taken for a deny.
        let action = self.action.unwrap_or(if self.unknown { Action::Drop } else { Action::Continue });
        let mut rules = self.mapped;
        let mut own = self.parts.rules(&self.place, &action);
        if own.is_empty() && rules.is_empty() {
            let beside = Some("no packet of the container matches".to_owned());
            own.push(ChainRule { place: self.place, when: Vec::new(), doubt: None, action, beside });
            return own;
        }
        for rule in &mut own {
            let doubt = rule.doubt.as_ref().filter(|_| action == Action::Continue).map(|doubt| doubt.what.to_string());
            rule.beside = (!self.beside.is_empty()).then(|| self.beside.join("; ")).or(doubt);
            if action == Action::Continue {
                rule.doubt = None;
            }
        }
        rules.extend(own);
        rules
    }
}
