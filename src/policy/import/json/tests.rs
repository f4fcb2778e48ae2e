//! The tree and its places against serde_json's own values, for all that few tokens make; and what is refused, with its line and reason.

use serde_json::Value;

use super::*;

/// The same as serde_json holds it. Every value's own text must be that value, and its line the one where it begins.
fn checked(json: &Json<'_>, whole: &str) -> Value {
    let at = json.text.as_ptr().addr() - whole.as_ptr().addr();
    assert_eq!(json.line as usize, 1 + whole[..at].matches('\n').count(), "{whole:?}: {:?}", json.text);
    let value: Value = serde_json::from_str(json.text).unwrap_or_else(|error| panic!("{whole:?}: {error}"));
    let same = match &json.kind {
        Kind::Null => value.is_null(),
        Kind::Bool => value.is_boolean(),
        Kind::Number(digits) => {
            // A zero with a sign is a fraction there.
            if *digits != "-0" {
                assert_eq!((json.number(), json.integer()), (value.as_u64(), value.as_i64()), "{digits}");
            }
            *digits == json.text && value.is_number()
        }
        Kind::Text(text) => json.str() == Some(text) && value.as_str() == Some(text),
        Kind::List(items) => {
            let items: Vec<_> = items.iter().map(|item| checked(item, whole)).collect();
            json.list().is_some() && value.as_array() == Some(&items)
        }
        Kind::Object(members) => {
            let members = members.iter().map(|(key, value)| (key.clone(), checked(value, whole)));
            value.as_object() == Some(&members.collect())
        }
    };
    assert!(same, "{whole:?}: {json:?} {value}");
    value
}

fn compare(text: &str) {
    let theirs = serde_json::from_str::<Value>(text);
    match read(text) {
        Ok(json) => {
            let ours = checked(&json, text);
            assert_eq!(Some(&ours), theirs.as_ref().ok(), "{text:?}");
        }
        Err(error) => assert!(theirs.is_err(), "{text:?}: {error}"),
    }
}

/// All texts of so many of these tokens.
fn all_texts(tokens: &[&str], most: usize, judge: impl Fn(&str)) {
    let mut texts = vec![String::new()];
    for _ in 0..most {
        texts = texts.iter().flat_map(|text| tokens.iter().map(move |token| format!("{text}{token}"))).collect();
        texts.iter().for_each(|text| judge(text));
    }
}

#[test]
fn whatever_few_tokens_make_is_there_with_its_place() {
    all_texts(&["{", "}", "[", "]", ",", ":", "\"a\"", "1", "\n"], 5, compare);
    all_texts(&["{\"a\":", "}", "[", "]", ",", "1", "null", "nul", "true", "false", "\"", " ", "\t\r\n"], 4, compare);
    all_texts(&["0", "1", "-", "+", ".", "e", "E"], 5, compare);
    let pieces = ["a", "\\", "\"", "n", "u", "00e9", "d83d", "\\ude00", "/", "b", "f", "r", "t", "x", "é"];
    all_texts(&pieces, 4, |text| compare(&format!("\"{text}\"")));
    for pair in
        ["\\ud83d\\ude00", "\\ud83d", "\\ud83dx", "\\ude00\\ud83d", "\\u+123", "\\u 123", "\\u12", "\\uD83D\\uDE00z"]
    {
        compare(&format!("[\"{pair}\"]"));
    }
}

#[test]
fn members_and_items_are_found_by_name_and_place() {
    let json = read(
        "{\"a\": [1, -2,\n {\"b\\u00e9\\ud83d\\ude00\": \"x\\\"y\"}], \"c\": null, \"d\": {\"e\": 1, \"f\": 2}}\n",
    )
    .unwrap();
    let list = json.get("a").and_then(Json::list).unwrap();
    assert_eq!((list[0].number(), list[1].number(), list[1].integer()), (Some(1), None, Some(-2)));
    assert_eq!((list[2].line, list[2].text), (2, "{\"b\\u00e9\\ud83d\\ude00\": \"x\\\"y\"}"));
    assert_eq!(list[2].only().map(|(key, value)| (key, value.str())), Some(("bé😀", Some("x\"y"))));
    assert!(json.get("b").is_none() && json.only().is_none() && list[0].only().is_none());
    assert_eq!(json.get("d").and_then(|d| d.get("f")).and_then(Json::number), Some(2));
    assert!(list[0].get("a").is_none() && list[0].list().is_none() && list[0].str().is_none());
}

#[test]
fn what_is_not_json_is_refused_with_its_line_and_reason() {
    let early = "the file ends too early";
    for (text, line, what, near) in [
        ("", 1, early, ""),
        ("\n{\"a\":", 2, early, ""),
        ("[\n\"abc", 2, early, ""),
        ("[1", 1, early, ""),
        ("[1,]", 1, "this is not JSON: expected value", "]"),
        ("[tru]", 1, "this is not JSON: expected ident", "]"),
        ("[1\n2]", 2, "this is not JSON: expected `,` or `]`", "2]"),
        ("{\"a\" 1}", 1, "this is not JSON: expected `:`", "1}"),
        ("{a: 1}", 1, "this is not JSON: key must be a string", "a: 1}"),
        ("{\"a\":1,\n\"a\":2}", 2, "this is not JSON: a key comes twice", "\":2}"),
        ("[01]", 1, "this is not JSON: invalid number", "1]"),
        ("[\n\"\\ud800\"]", 2, "this is not JSON: unexpected end of hex escape", "\"]"),
        ("[\"\\x\"]", 1, "this is not JSON: invalid escape", "x\"]"),
        (
            "[\"a\tb\"]",
            1,
            "this is not JSON: control character (\\u0000-\\u001F) found while parsing a string",
            "a b\"]",
        ),
        ("[]\n []", 2, "this is not JSON: trailing characters", "[]"),
        (
            "[?0123456789012345678901234567890123456789",
            1,
            "this is not JSON: expected value",
            "?012345678901234567890123456789012345678",
        ),
    ] {
        let error = read(text).unwrap_err();
        let ImportError::Syntax { line: at, what: said, expected, text: shown } = error else {
            panic!("{text:?}: {error}")
        };
        assert_eq!((at, said.as_str(), shown.as_str()), (line, what, near), "{text:?}");
        assert_eq!(expected, "one JSON value (RFC 8259)");
    }
}

/// Each bound, and one more.
#[test]
fn depth_members_and_values_are_bounded() {
    let lists = |depth: usize| format!("{}7{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("\n{}7{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let members =
        |count: usize| format!("{{{}}}", (0..count).map(|i| format!("\"{i}\":\n0")).collect::<Vec<_>>().join(","));
    assert!(read(&lists(64)).is_ok() && read(&objects(64)).is_ok() && read(&members(256)).is_ok());
    for (text, at, counted, bound) in [
        (lists(65), 1, "lists and objects in each other", 64),
        (objects(65), 2, "lists and objects in each other", 64),
        (lists(1 << 20), 1, "lists and objects in each other", 64),
        (format!("\n{}", members(257)), 2, "keys in an object", 256),
    ] {
        let error = read(&text).unwrap_err();
        let ImportError::TooMany { line, what, max } = error else { panic!("{error}") };
        assert_eq!((line, what, max), (at, counted, bound));
    }
    // The list counts too.
    let values = |count: usize| format!("[{}0]", "0,".repeat(count - 2));
    assert!(read(&values(2_097_152)).is_ok());
    let error = read(&values(2_097_153)).unwrap_err();
    assert!(matches!(error, ImportError::TooMany { line: 1, what: "JSON values", max: 2_097_152 }), "{error}");
}
