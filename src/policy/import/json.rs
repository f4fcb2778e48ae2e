//! A JSON reader that keeps the place of every value and is bounded in depth and count.
//!
//! Values lend from the text, so that the line and the words of a rule can be shown as they stand in the file. Strings with
//! escapes are decoded; a key that comes twice in an object is refused, as readers differ in what they make of it.

use super::ImportError;
use super::text::{bounded, shown};

/// Arrays and objects in each other.
const DEEPEST: usize = 64;
/// Members of one object: each key is compared with all before it.
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
    let mut reader = Reader { text, at: 0, line: 1, counted: 0, values: 0 };
    let value = reader.value(0)?;
    reader.blanks();
    if reader.at == text.len() { Ok(value) } else { Err(reader.wrong("there is more behind the value")) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Line of the byte at `counted`.
    line: usize,
    counted: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn line(&mut self) -> u32 {
        let between = self.text.as_bytes().get(self.counted..self.at).unwrap_or_default();
        self.line += between.iter().filter(|byte| **byte == b'\n').count();
        self.counted = self.at;
        bounded(self.line)
    }

    fn wrong(&mut self, what: &str) -> ImportError {
        let line = self.line();
        let what = if self.at >= self.text.len() { "the file ends too early" } else { what };
        let near = self.rest().chars().take(40).collect::<String>();
        ImportError::Syntax { line, what: what.to_owned(), expected: "one JSON value (RFC 8259)", text: shown(&near) }
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, ImportError> {
        self.blanks();
        let line = self.line();
        self.values += 1;
        if depth > DEEPEST {
            return Err(ImportError::TooMany { line, what: "lists and objects in each other", max: DEEPEST });
        }
        if self.values > MOST_VALUES {
            return Err(ImportError::TooMany { line, what: "JSON values", max: MOST_VALUES });
        }
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Kind::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.digits()?,
            _ => self.word()?,
        };
        Ok(Json { kind, text: self.text.get(start..self.at).unwrap_or(""), line })
    }

    fn object(&mut self, depth: usize) -> Result<Kind<'a>, ImportError> {
        let mut members: Vec<(String, Json<'a>)> = Vec::new();
        self.at += 1;
        if self.closes(b'}') {
            return Ok(Kind::Object(members));
        }
        loop {
            self.blanks();
            if members.len() == MOST_MEMBERS {
                return Err(ImportError::TooMany { line: self.line(), what: "keys in an object", max: MOST_MEMBERS });
            }
            let key = self.string()?;
            if members.iter().any(|(name, _)| *name == key) {
                return Err(self.wrong("a key comes twice"));
            }
            self.blanks();
            self.expect(b':')?;
            members.push((key, self.value(depth + 1)?));
            if self.closes(b'}') {
                return Ok(Kind::Object(members));
            }
            self.expect(b',')?;
        }
    }

    fn array(&mut self, depth: usize) -> Result<Kind<'a>, ImportError> {
        let mut items = Vec::new();
        self.at += 1;
        if self.closes(b']') {
            return Ok(Kind::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.closes(b']') {
                return Ok(Kind::List(items));
            }
            self.expect(b',')?;
        }
    }

    fn closes(&mut self, bracket: u8) -> bool {
        self.blanks();
        let closes = self.peek() == Some(bracket);
        self.at += usize::from(closes);
        closes
    }

    fn expect(&mut self, byte: u8) -> Result<(), ImportError> {
        if self.peek() != Some(byte) {
            return Err(self.wrong("a comma, colon or bracket is missing"));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self) -> Result<Kind<'a>, ImportError> {
        for (word, kind) in [("null", Kind::Null), ("true", Kind::Bool), ("false", Kind::Bool)] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(kind);
            }
        }
        Err(self.wrong("this is not JSON"))
    }

    fn digits(&mut self) -> Result<Kind<'a>, ImportError> {
        let rest = self.rest();
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let digits = rest.get(..end).unwrap_or("");
        let whole = digits.trim_start_matches('-');
        let led = whole.len() > 1 && whole.starts_with('0') && !whole.starts_with("0.");
        if digits.parse::<f64>().is_err() || led {
            return Err(self.wrong("this is not a number"));
        }
        self.at += end;
        Ok(Kind::Number(digits))
    }

    fn string(&mut self) -> Result<String, ImportError> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("a text in double quotes is missing"));
        }
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let Some(end) = rest.find(['"', '\\', '\n']) else {
                self.at = self.text.len();
                return Err(self.wrong("a text has no end"));
            };
            out.push_str(rest.get(..end).unwrap_or(""));
            self.at += end;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(self.wrong("a text has no end in its line")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ImportError> {
        let letter = self.text.as_bytes().get(self.at + 1).copied();
        let c = match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_point(),
            _ => return Err(self.wrong("an escape that is not known")),
        };
        self.at += 2;
        Ok(c)
    }

    fn code_point(&mut self) -> Result<char, ImportError> {
        let unit = |at: usize| {
            let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
            digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
        };
        let first = unit(self.at);
        let second = first.filter(|unit| (0xd800..0xdc00).contains(unit)).and_then(|_| unit(self.at + 6));
        let units: Vec<u16> = first.into_iter().chain(second).collect();
        let mut decoded = char::decode_utf16(units.iter().copied());
        match (decoded.next(), decoded.next()) {
            (Some(Ok(c)), None) => {
                self.at += 6 * units.len();
                Ok(c)
            }
            _ => Err(self.wrong("an escape that is not a character")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_text_and_line() {
        let json = read("{\"a\": [1, -2,\n {\"b\\u00e9\\ud83d\\ude00\": \"x\\\"y\"}], \"c\": null}\n").unwrap();
        let list = json.get("a").and_then(Json::list).unwrap();
        assert_eq!((list[0].number(), list[1].number(), list[1].integer()), (Some(1), None, Some(-2)));
        assert_eq!((list[2].line, list[2].text), (2, "{\"b\\u00e9\\ud83d\\ude00\": \"x\\\"y\"}"));
        assert_eq!(list[2].only().map(|(key, value)| (key, value.str())), Some(("bé😀", Some("x\"y"))));
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_line() {
        for (text, line) in [
            ("", 1),
            ("\n{\"a\":", 2),
            ("[1,]", 1),
            ("[1\n2]", 2),
            ("{\"a\":1,\"a\":2}", 1),
            ("[01]", 1),
            ("[\"\\ud800\"]", 1),
            ("[\"\\x\"]", 1),
            ("{\"a\" 1}", 1),
            ("[tru]", 1),
            ("[\"a\nb\"]", 1),
            ("[] []", 1),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{line}: ")), "{text:?}: {error}");
        }
        let deep = "[".repeat(1 << 20);
        assert!(matches!(read(&deep), Err(ImportError::TooMany { .. })));
    }
}
