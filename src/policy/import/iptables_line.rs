//! One line of a table: words and options as iptables reads them.
//!
//! Options come in any order, also behind the target, long or short, with their value in the same word or the next one,
//! long ones cut as far as they are unambiguous. An option of a match or target is known once it has been named, or, of the
//! protocol's match, once the protocol has.

use super::iptables_options::{CORE, MATCHES, Opt, TARGETS, Takes};
use super::protocols;

/// An option of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub of: Owner,
    /// First name of the option; as written if it is not known.
    pub name: String,
    /// The first of its values; empty if it has none, or is not known.
    pub value: String,
    pub negated: bool,
}

/// What an option belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// Every rule.
    Core,
    /// A match, and which of those that the line names.
    Match(&'static str, usize),
    Target,
    /// Not known, nor what its arguments are.
    Unknown,
}

/// A match or target that the line has named.
struct Loaded {
    of: Owner,
    options: &'static [Opt],
}

struct Reader<'a> {
    words: std::iter::Peekable<std::slice::Iter<'a, String>>,
    given: Vec<Given>,
    loaded: Vec<Loaded>,
    /// Of `-p`, if it is not negated.
    protocol: Option<u8>,
    is_v6: bool,
    negated: bool,
}

/// The options of a line; the error says what no iptables would read.
pub(super) fn options(words: &[String], is_v6: bool) -> Result<Vec<Given>, String> {
    let mut reader = Reader {
        words: words.iter().peekable(),
        given: Vec::new(),
        loaded: Vec::new(),
        protocol: None,
        is_v6,
        negated: false,
    };
    while let Some(word) = reader.words.next() {
        reader.word(word)?;
    }
    if reader.negated { Err("a ! without a condition".to_owned()) } else { Ok(reader.given) }
}

impl Reader<'_> {
    fn word(&mut self, word: &str) -> Result<(), String> {
        if word == "!" {
            if std::mem::replace(&mut self.negated, true) {
                return Err("more than one !".to_owned());
            }
            return Ok(());
        }
        match word.strip_prefix("--") {
            Some("") => Err("words behind --".to_owned()),
            Some(long) => {
                let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
                self.long(name, value)
            }
            None => match word.strip_prefix('-') {
                Some(letters) if !letters.is_empty() => self.short(letters),
                _ => Err(format!("the word {word} belongs to no option")),
            },
        }
    }

    /// Letters in one word: those without a value, then perhaps one with its value.
    fn short(&mut self, letters: &str) -> Result<(), String> {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let Some((_, option)) = CORE.iter().find(|(known, _)| *known == letter && *known != '0') else {
                return Err(format!("the option -{letter} is not known"));
            };
            let joined = Some(rest.as_str()).filter(|rest| !rest.is_empty());
            if option.takes != Takes::Nothing {
                return self.take(Owner::Core, option, joined);
            }
            self.take(Owner::Core, option, None)?;
        }
        Ok(())
    }

    fn long(&mut self, name: &str, value: Option<&str>) -> Result<(), String> {
        if let Some((of, option)) = self.found(name)? {
            return self.take(of, option, value);
        }
        // The options of the protocol's match are there once one of them is used.
        if let Some(module) = self.protocol.and_then(|number| implied(number, self.is_v6))
            && !self.loaded.iter().any(|loaded| matches!(loaded.of, Owner::Match(name, _) if name == module))
        {
            self.load_match(module);
            if let Some((of, option)) = self.found(name)? {
                return self.take(of, option, value);
            }
        }
        while self.more() {}
        let negated = std::mem::take(&mut self.negated);
        self.given.push(Given { of: Owner::Unknown, name: name.to_owned(), value: String::new(), negated });
        Ok(())
    }

    /// The option of a name: of every rule first, then of what was named last; else the one that begins so.
    fn found(&self, name: &str) -> Result<Option<(Owner, &'static Opt)>, String> {
        let core = CORE.iter().map(|(_, option)| (Owner::Core, option));
        let more = self.loaded.iter().rev();
        let more = more.flat_map(|loaded| loaded.options.iter().map(|option| (loaded.of.clone(), option)));
        let all: Vec<_> = core.chain(more).collect();
        if let Some(found) = all.iter().find(|(_, option)| option.names.contains(&name)) {
            return Ok(Some(found.clone()));
        }
        let begins = |(_, option): &&(Owner, &Opt)| option.names.iter().any(|known| known.starts_with(name));
        let mut cut = all.iter().filter(begins);
        match (cut.next(), cut.next()) {
            (Some(found), None) => Ok(Some(found.clone())),
            (Some(_), Some(_)) => Err(format!("the option --{name} may be more than one")),
            _ => Ok(None),
        }
    }

    fn take(&mut self, of: Owner, option: &'static Opt, joined: Option<&str>) -> Result<(), String> {
        let name = option.name();
        let mut value = String::new();
        if joined.is_some() && matches!(of, Owner::Core) && matches!(name, "in-interface" | "out-interface") {
            // iptables 1.8 takes the whole word, with its option, for the interface's name.
            return Err(format!("the option --{name} has its value in the same word, and iptables reads another name"));
        }
        if option.takes == Takes::Nothing {
            if joined.is_some() {
                return Err(format!("the option --{name} takes no value"));
            }
        } else {
            let without = || format!("the option --{name} has no value");
            value = match joined {
                Some(joined) => joined.to_owned(),
                None => self.words.next().ok_or_else(without)?.clone(),
            };
            // `-s ! ADDRESS`, as older ones print it. A text may begin so, a condition's value cannot.
            if value == "!" && option.negatable && joined.is_none() {
                if std::mem::replace(&mut self.negated, true) {
                    return Err("more than one !".to_owned());
                }
                value = self.words.next().ok_or_else(without)?.clone();
            }
            let second = match option.takes {
                Takes::Two => true,
                Takes::Counters => !value.contains(','),
                _ => false,
            };
            if second && !self.more() {
                return Err(format!("the option --{name} takes two values"));
            }
        }
        let negated = std::mem::take(&mut self.negated);
        if negated && !option.negatable {
            return Err(format!("the option --{name} cannot be negated"));
        }
        if !option.repeats && self.given.iter().any(|given| given.of == of && given.name == name) {
            return Err(format!("the option --{name} comes twice"));
        }
        let core = of == Owner::Core;
        self.given.push(Given { of, name: name.to_owned(), value: value.clone(), negated });
        match name {
            "match" if core => match MATCHES.get_key_value(value.as_str()) {
                Some((module, _)) => self.load_match(module),
                None => self.loaded.push(Loaded { of: Owner::Unknown, options: &[] }),
            },
            "protocol" if core && !negated => self.protocol = protocols::number(&value.to_ascii_lowercase()),
            "jump" | "goto" if core => {
                if self.given.iter().filter(|given| ["jump", "goto"].contains(&given.name.as_str())).count() > 1 {
                    return Err("more than one target".to_owned());
                }
                if let Some(options) = TARGETS.get(value.as_str()).filter(|_| name == "jump") {
                    self.loaded.push(Loaded { of: Owner::Target, options });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes a word that can be a further value of an option; false if none stands here.
    fn more(&mut self) -> bool {
        self.words.next_if(|word| *word != "!" && !word.starts_with('-')).is_some()
    }

    fn load_match(&mut self, module: &'static str) {
        let Some(options) = MATCHES.get(module) else { return };
        self.loaded.push(Loaded { of: Owner::Match(module, self.loaded.len()), options });
    }
}

/// The match of a protocol.
pub(super) fn implied(number: u8, is_v6: bool) -> Option<&'static str> {
    match number {
        1 if !is_v6 => Some("icmp"),
        6 => Some("tcp"),
        17 => Some("udp"),
        33 => Some("dccp"),
        50 => Some("esp"),
        51 => Some("ah"),
        58 if is_v6 => Some("icmp6"),
        108 => Some("ipcomp"),
        132 => Some("sctp"),
        135 if is_v6 => Some("mh"),
        _ => None,
    }
}

/// The words of a line. A quote ends a word, also where no blank follows; in quotes, a backslash keeps the next letter.
/// `None` if a quote does not end.
pub(super) fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => word.push(chars.next()?),
                        c => word.push(c),
                    }
                }
                words.push(std::mem::take(&mut word));
            }
            ' ' | '\t' if word.is_empty() => {}
            ' ' | '\t' => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    Some(words)
}
