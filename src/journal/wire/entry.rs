//! Entries of the tables, and who asked for them.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::values::WireError;
use crate::tables::{CounterId, FieldValue, ImageEntry, KeyField, OriginId, RuleKey};
use crate::terms::MacAddr;
use crate::{policy, tables};

/// What an entry matches: an object with the fields that it names.
pub(super) struct Key(pub RuleKey);

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = KeyField::ALL.iter().filter_map(|field| Some((field.name(), self.0.get(*field)?)));
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in named {
            match value {
                FieldValue::Ip(ip) => map.serialize_entry(name, &ip)?,
                FieldValue::Mac(mac) => map.serialize_entry(name, &mac.to_string())?,
                FieldValue::Number(number) => map.serialize_entry(name, &number)?,
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeyVisitor)
    }
}

/// A value of a field, as a record has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Number(u32),
    Text(String),
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with fields of an entry")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Key, A::Error> {
        let mut key = RuleKey::default();
        while let Some(name) = map.next_key::<String>()? {
            let field = KeyField::ALL.iter().copied().find(|field| field.name() == name);
            let field = field.ok_or_else(|| A::Error::custom(format_args!("an entry has no field {name:?}")))?;
            if key.get(field).is_some() {
                return Err(A::Error::custom(format_args!("the field {name} twice")));
            }
            let value = map.next_value::<Value>()?;
            let wrong = || A::Error::custom(format_args!("{name} cannot have this value"));
            key = read(key, field, &value).ok_or_else(wrong)?;
        }
        Ok(Key(key))
    }
}

/// A key with another field; `None` if the field cannot hold the value.
fn read(key: RuleKey, field: KeyField, value: &Value) -> Option<RuleKey> {
    match value {
        Value::Number(id) if matches!(field, KeyField::OuterVlan | KeyField::InnerVlan) && *id > 4095 => None,
        Value::Number(number) => key.with(field, FieldValue::Number(*number)),
        Value::Text(text) => {
            let ip = || key.with(field, FieldValue::Ip(text.parse().ok()?));
            let mac = || key.with(field, FieldValue::Mac(text.parse().ok()?));
            ip().or_else(mac)
        }
    }
}

pub(super) fn mac(text: Option<String>) -> Result<Option<MacAddr>, WireError> {
    text.map(|text| text.parse().map_err(|_| WireError::Value("a MAC address that is none"))).transpose()
}

/// One entry: what it matches, and what it does.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    key: Key,
    #[serde(default, skip_serializing_if = "Side::is_none")]
    rx: Side,
    #[serde(default, skip_serializing_if = "Side::is_none")]
    tx: Side,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counter: Option<u32>,
}

/// One direction of an entry.
#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Side {
    action: Action,
    /// Who asked for it, rising.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    origins: Vec<u32>,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "kebab-case")]
enum Action {
    #[default]
    None,
    Allow,
    Deny,
    AllowAndSample,
    DenyAndSample,
}

impl Side {
    fn is_none(&self) -> bool {
        self.action == Action::None && self.origins.is_empty()
    }
}

impl From<&crate::tables::Side> for Side {
    fn from(side: &crate::tables::Side) -> Self {
        let action = match side.action {
            tables::Action::None => Action::None,
            tables::Action::Allow { sample: false } => Action::Allow,
            tables::Action::Allow { sample: true } => Action::AllowAndSample,
            tables::Action::Deny { sample: false } => Action::Deny,
            tables::Action::Deny { sample: true } => Action::DenyAndSample,
        };
        Self { action, origins: side.origins.iter().map(|id| id.0).collect() }
    }
}

impl From<Side> for crate::tables::Side {
    fn from(side: Side) -> Self {
        let action = match side.action {
            Action::None => tables::Action::None,
            Action::Allow => tables::Action::Allow { sample: false },
            Action::AllowAndSample => tables::Action::Allow { sample: true },
            Action::Deny => tables::Action::Deny { sample: false },
            Action::DenyAndSample => tables::Action::Deny { sample: true },
        };
        Self { action, origins: side.origins.into_iter().map(OriginId).collect() }
    }
}

impl From<(&RuleKey, &ImageEntry)> for Entry {
    fn from((key, entry): (&RuleKey, &ImageEntry)) -> Self {
        let counter = entry.counter.map(|id| id.0);
        Self { key: Key(*key), rx: (&entry.rx).into(), tx: (&entry.tx).into(), counter }
    }
}

impl From<Entry> for (RuleKey, ImageEntry) {
    fn from(entry: Entry) -> Self {
        let counter = entry.counter.map(CounterId);
        (entry.key.0, ImageEntry { rx: entry.rx.into(), tx: entry.tx.into(), counter })
    }
}

/// Who asked for something, why and where.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    file: String,
    line: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

impl From<&policy::Origin> for Origin {
    fn from(origin: &policy::Origin) -> Self {
        let policy::Origin { owner, reason, ticket, file, line, when, until } = origin.clone();
        Self { owner, reason, ticket, file: file.to_string(), line, when, until }
    }
}

impl From<Origin> for policy::Origin {
    fn from(origin: Origin) -> Self {
        let Origin { owner, reason, ticket, file, line, when, until } = origin;
        Self { owner, reason, ticket, file: file.into(), line, when, until }
    }
}
