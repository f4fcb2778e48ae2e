//! JSON with the place of every value, bounded in depth and count.
//!
//! serde_json reads, level by level; here is kept where each value stands, so that the line and the words of a rule can be shown
//! as they are in the file. A key that comes twice in an object is refused, as readers differ in what they make of it. The
//! reader of policies (`policy::text::parse`) has places too, but takes YAML, and so much that is not JSON.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::ImportError;
use super::text::{bounded, shown};

/// Arrays and objects in each other.
const DEEPEST: usize = 64;
/// Members of one object: each key is compared with all others.
const MOST_MEMBERS: usize = 256;
/// Values in a file.
const MOST_VALUES: usize = 1 << 21;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Json<'a> {
    pub kind: Kind<'a>,
    /// The value's own text.
    pub text: &'a str,
    /// Line, from 1.
    pub line: u32,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Kind<'a> {
    Null,
    Bool,
    /// As written.
    Number(&'a str),
    Text(String),
    List(Vec<Json<'a>>),
    Object(Vec<(String, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// A member of an object.
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.members().iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The members of an object; none of anything else.
    pub fn members(&self) -> &[(String, Json<'a>)] {
        if let Kind::Object(members) = &self.kind { members } else { &[] }
    }

    /// The one member of an object that has just one.
    pub fn only(&self) -> Option<(&str, &Json<'a>)> {
        if let [(name, value)] = self.members() { Some((name, value)) } else { None }
    }

    pub fn list(&self) -> Option<&[Json<'a>]> {
        if let Kind::List(items) = &self.kind { Some(items) } else { None }
    }

    pub fn str(&self) -> Option<&str> {
        if let Kind::Text(text) = &self.kind { Some(text) } else { None }
    }

    /// A whole number that is not negative.
    pub fn number(&self) -> Option<u64> {
        if let Kind::Number(digits) = self.kind { digits.parse().ok() } else { None }
    }

    /// A whole number.
    pub fn integer(&self) -> Option<i64> {
        if let Kind::Number(digits) = self.kind { digits.parse().ok() } else { None }
    }
}

/// The value that a text is.
pub(super) fn read(text: &str) -> Result<Json<'_>, ImportError> {
    let mut reader = Reader { text, line: 1, counted: 0, values: 0 };
    let whole: &RawValue = reader.parse(text)?;
    reader.value(whole.get(), 0)
}

struct Reader<'a> {
    text: &'a str,
    /// Line of the byte at `counted`.
    line: usize,
    counted: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    /// Where a part of the text begins.
    fn at(&self, part: &str) -> usize {
        part.as_ptr().addr() - self.text.as_ptr().addr()
    }

    /// Line of a byte that is not before the last one asked for.
    fn line(&mut self, at: usize) -> u32 {
        let between = self.text.as_bytes().get(self.counted..at).unwrap_or_default();
        self.line += between.iter().filter(|byte| **byte == b'\n').count();
        self.counted = at;
        bounded(self.line)
    }

    /// A part of the text, read as a value of a kind.
    fn parse<T: Deserialize<'a>>(&mut self, part: &'a str) -> Result<T, ImportError> {
        serde_json::from_str(part).map_err(|error| {
            let before: usize = part.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
            let at = match error.is_eof() {
                true => self.text.len(),
                false => self.at(part) + before + error.column().saturating_sub(1),
            };
            let rest = self.text.get(at..).unwrap_or_default();
            let what = match error.to_string() {
                _ if error.is_eof() => "the file ends too early".to_owned(),
                said => format!("this is not JSON: {}", said.split(" at line ").next().unwrap_or_default()),
            };
            let near: String = rest.chars().take(40).collect();
            let line = self.line(at.min(self.text.len()));
            ImportError::Syntax { line, what, expected: "one JSON value (RFC 8259)", text: shown(&near) }
        })
    }

    fn value(&mut self, text: &'a str, depth: usize) -> Result<Json<'a>, ImportError> {
        let line = self.line(self.at(text));
        self.values += 1;
        if depth > DEEPEST {
            return Err(ImportError::TooMany { line, what: "lists and objects in each other", max: DEEPEST });
        }
        if self.values > MOST_VALUES {
            return Err(ImportError::TooMany { line, what: "JSON values", max: MOST_VALUES });
        }
        let kind = match text.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = self.parse(text)?;
                if members.len() > MOST_MEMBERS {
                    return Err(ImportError::TooMany { line, what: "keys in an object", max: MOST_MEMBERS });
                }
                let member = |(key, value): (String, &'a RawValue)| Ok((key, self.value(value.get(), depth + 1)?));
                Kind::Object(members.into_iter().map(member).collect::<Result<_, ImportError>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = self.parse(text)?;
                let items = items.into_iter().map(|item| self.value(item.get(), depth + 1));
                Kind::List(items.collect::<Result<_, _>>()?)
            }
            Some(b'"') => Kind::Text(self.parse(text)?),
            Some(b'n') => Kind::Null,
            Some(b't' | b'f') => Kind::Bool,
            _ => Kind::Number(text),
        };
        Ok(Json { kind, text, line })
    }
}

/// The members of an object in their order, each key once.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, &RawValue)> = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    // One more than are taken is enough to say so.
                    if members.len() <= MOST_MEMBERS && members.iter().any(|(name, _)| *name == key) {
                        return Err(serde::de::Error::custom("a key comes twice"));
                    }
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests;
