//! One rule of an nftables ruleset: statements to conditions and a verdict.

use std::collections::BTreeMap;

use super::ImportError;
use super::Settings;
use super::iptables_rule::{NOT_TRACKED, TRANSLATED};
use super::json::Json;
use super::nft_value::{Field, Said, field, said};
use super::rules::{Action, ChainRule, Match, Place};
use super::text::{place, shown, syntax};

/// Alternatives that one rule may have.
const MOST_ALTERNATIVES: usize = 4096;

/// Statements that change packets, marks or lists, and not where packets go.
const BESIDE: &str = "mangle flow dup snat masquerade last secmark";
/// Statements that may end a rule before its verdict. Any other that is not known may hold a verdict.
const CONDITIONS: &[&str] = &["limit", "quota", "meter", "ct count", "set", "map"];

const RULE: &str = "a rule with the list expr";

/// Named sets and maps, by family, table and name.
pub(super) type Sets<'a> = BTreeMap<(String, String, String), Json<'a>>;

/// Reads rules.
pub(super) struct Reader<'a> {
    pub settings: &'a Settings,
    pub sets: &'a Sets<'a>,
    pub chains: &'a BTreeMap<(String, String, String), usize>,
}

/// A rule while its statements are read.
struct Growing {
    place: Place,
    when: Vec<Match>,
    doubts: Vec<String>,
    beside: Vec<String>,
    /// Done, with the rules of a verdict map before it.
    action: Option<Action>,
    mapped: Vec<ChainRule>,
    /// Has a statement that may hold a verdict.
    unknown: bool,
}

impl Reader<'_> {
    /// The rules that one rule becomes: more than one with a verdict map.
    pub fn rules(&self, rule: &Json<'_>, family: &str, table: &str) -> Result<Vec<ChainRule>, ImportError> {
        let wrong = |what: &str| syntax(rule.line, rule.text, what, RULE);
        let statements = rule.get("expr").and_then(Json::list).ok_or_else(|| wrong("a rule without statements"))?;
        let handle = rule.get("handle").and_then(Json::number).map_or(String::new(), |n| format!("handle {n}: "));
        let body = rule.get("expr").map_or("", |expr| expr.text);
        let mut growing = Growing {
            place: place(rule.line, &format!("{handle}{body}")),
            when: vec![Match::any()],
            doubts: Vec::new(),
            beside: Vec::new(),
            action: None,
            mapped: Vec::new(),
            unknown: false,
        };
        for statement in statements {
            let (name, body) = match (statement.only(), statement.str()) {
                (Some(found), _) => found,
                (None, Some(word)) => (word, statement),
                _ => return Err(wrong("a statement that is no object")),
            };
            if growing.action.is_some() {
                break;
            }
            self.statement(&mut growing, name, body, family, table).ok_or_else(|| wrong("a statement that is cut"))?;
            if growing.when.len() > MOST_ALTERNATIVES || growing.mapped.len() > MOST_ALTERNATIVES {
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
            "counter" | "comment" => {}
            "log" => to.beside.push("the adapter does not log".to_owned()),
            "queue" => to.deny("a program decides, which the adapter does not ask"),
            "notrack" => to.deny(NOT_TRACKED),
            "dnat" | "redirect" | "tproxy" => to.deny(TRANSLATED),
            "fwd" | "synproxy" => to.deny("the adapter does not send packets elsewhere"),
            _ if CONDITIONS.contains(&name) => to.doubt(&format!("{name} cannot be said")),
            _ if BESIDE.split_ascii_whitespace().any(|known| known == name) || name.starts_with("ct ") => {
                to.beside.push(format!("the adapter does not do {}", shown(name)));
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

    /// A verdict; `Some(None)` if it is none.
    fn verdict(&self, name: &str, body: &Json<'_>, family: &str, table: &str) -> Option<Option<Action>> {
        let target = || {
            let target = body.get("target")?.str()?;
            self.chains.get(&(family.to_owned(), table.to_owned(), target.to_owned())).copied()
        };
        Some(Some(match name {
            "accept" => Action::Accept,
            "drop" | "reject" => Action::Drop,
            "return" => Action::Return,
            "continue" => Action::Continue,
            "jump" => Action::Jump(target()?),
            "goto" => Action::Goto(target()?),
            _ => return Some(None),
        }))
    }

    fn condition(&self, to: &mut Growing, body: &Json<'_>, family: &str, table: &str) -> Option<()> {
        let (left, right) = (body.get("left")?, body.get("right")?);
        let negated = match body.get("op")?.str()? {
            "==" | "in" => false,
            "!=" => true,
            op => {
                to.doubt(&format!("the comparison {} cannot be said", shown(op)));
                return Some(());
            }
        };
        let fields = fields(left);
        match self.values(right, family, table) {
            Some(values) => to.narrow(said(&fields, &values, negated, self.settings)),
            None => to.doubt("the set is not in the file"),
        }
        Some(())
    }

    /// A verdict map becomes one rule for each of its elements.
    fn map(&self, to: &mut Growing, body: &Json<'_>, family: &str, table: &str) -> Option<()> {
        let fields = fields(body.get("key")?);
        let Some(elements) = self.values(body.get("data")?, family, table) else {
            to.deny("the map is not in the file");
            return Some(());
        };
        for element in elements {
            let [key, verdict] = element.list()? else { return None };
            let (name, body) = match (verdict.only(), verdict.str()) {
                (Some(found), _) => found,
                (None, Some(word)) => (word, verdict),
                _ => return None,
            };
            let action = self.verdict(name, body, family, table)??;
            let mut rule = to.branch(action);
            rule.narrow(said(&fields, &[key], false, self.settings));
            to.mapped.extend(rule.finish());
        }
        Some(())
    }

    /// The elements of a value: of a set, of a named set, or the one value.
    fn values<'b>(&'b self, value: &'b Json<'b>, family: &str, table: &str) -> Option<Vec<&'b Json<'b>>> {
        if let Some(name) = value.str().and_then(|word| word.strip_prefix('@')) {
            let set = self.sets.get(&(family.to_owned(), table.to_owned(), name.to_owned()))?;
            return match set.get("elem") {
                Some(elements) => Some(elements.list()?.iter().map(unwrapped).collect()),
                None => Some(Vec::new()),
            };
        }
        let items = value.get("set").or(Some(value).filter(|value| value.list().is_some()));
        match items.map(|items| items.list().ok_or(items)) {
            Some(Ok(items)) => Some(items.iter().map(unwrapped).collect()),
            Some(Err(one)) => Some(vec![unwrapped(one)]),
            None => Some(vec![unwrapped(value)]),
        }
    }
}

/// An element without its comment, timeout and counter.
fn unwrapped<'b, 'a>(element: &'b Json<'a>) -> &'b Json<'a> {
    element.get("elem").and_then(|elem| elem.get("val")).unwrap_or(element)
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
        if self.doubts.iter().all(|said| said != doubt) {
            self.doubts.push(doubt.to_owned());
        }
    }

    fn deny(&mut self, doubt: &str) {
        self.doubt(doubt);
        self.action = Some(Action::Drop);
    }

    fn narrow(&mut self, said: Said) {
        for doubt in said.doubts {
            self.doubt(&doubt);
        }
        let old = std::mem::take(&mut self.when);
        for when in &old {
            // One more than may be, so that the reader sees that it is too much.
            let room = MOST_ALTERNATIVES + 1 - self.when.len();
            self.when.extend(said.when.iter().filter_map(|also| when.intersect(also)).take(room));
        }
    }

    /// The same conditions with a verdict.
    fn branch(&self, action: Action) -> Self {
        Self {
            place: self.place.clone(),
            when: self.when.clone(),
            doubts: self.doubts.clone(),
            beside: Vec::new(),
            action: Some(action),
            mapped: Vec::new(),
            unknown: false,
        }
    }

    fn finish(self) -> Vec<ChainRule> {
        // A verdict that cannot be read is taken for a deny.
        let action = self.action.unwrap_or(if self.unknown { Action::Drop } else { Action::Continue });
        let mut rules = self.mapped;
        rules.push(ChainRule {
            place: self.place,
            when: self.when,
            doubt: (!self.doubts.is_empty()).then(|| self.doubts.join("; ")),
            action,
            beside: (!self.beside.is_empty()).then(|| self.beside.join("; ")),
        });
        rules
    }
}
