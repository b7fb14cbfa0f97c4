use super::read::MAX_DEPTH;
use super::*;
use crate::treacherous;
use proptest::prelude::*;
use proptest::{collection, sample};
use serde_json::{Number, json};

fn one(text: &str) -> Value {
    let documents = documents(text).unwrap_or_else(|error| panic!("{error:?} in\n{text}"));
    assert_eq!(documents.len(), 1, "{text}");
    documents[0].value.clone()
}

fn problem(text: &str) -> (usize, String) {
    let error = documents(text).expect_err(text);
    (error.line, error.problem)
}

#[test]
fn a_plain_word_means_what_go_takes_it_for() {
    let cases = [
        ("yes", json!(true)),
        ("On", json!(true)),
        ("y", json!(true)),
        ("OFF", json!(false)),
        ("nO", json!("nO")),
        ("~", json!(null)),
        ("Null", json!(null)),
        ("0644", json!(420)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("-0b11", json!(-3)),
        ("08", json!(8)),
        ("1_000", json!(1000)),
        ("+1", json!(1)),
        ("-0", json!(0)),
        ("1.", json!(1)),
        (".5", json!(0.5)),
        ("+.5", json!(0.5)),
        ("1e3", json!(1000)),
        ("1.50", json!(1.5)),
        ("1e400", json!("1e400")),
        ("18446744073709551615", json!(u64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("12:30", json!("12:30")),
        ("2026-01-01", json!("2026-01-01")),
        ("2026-01-01T10:00:00Z", json!("2026-01-01T10:00:00Z")),
        ("-", json!([null])),
        ("--", json!("--")),
        ("+", json!("+")),
        (".", json!(".")),
        ("1.2.3", json!("1.2.3")),
        ("100m", json!("100m")),
        ("1Gi", json!("1Gi")),
        ("0xg", json!("0xg")),
        ("=", json!("=")),
        ("'yes'", json!("yes")),
        ("\"0644\"", json!("0644")),
        ("!!str 12", json!("12")),
        ("|\n  12\n", json!("12\n")),
    ];
    for (text, expected) in cases {
        let found = documents(text)
            .unwrap()
            .pop()
            .map_or(Value::Null, |document| document.value);
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn keys_become_texts() {
    assert_eq!(
        one("on: 1\n2: b\n'3': c\n0x10: d\n"),
        json!({ "true": 1, "2": "b", "3": "c", "16": "d" })
    );
}

#[test]
fn documents_know_where_they_begin() {
    let documents =
        documents("# a comment\n---\na: 1\n--- # next\n\n\nb: 2\n---\n---\nnull\n---\n- 3\n")
            .unwrap();
    let seen: Vec<_> = documents
        .iter()
        .map(|document| (document.line, document.value.clone()))
        .collect();
    assert_eq!(
        seen,
        [
            (3, json!({ "a": 1 })),
            (7, json!({ "b": 2 })),
            (12, json!([3]))
        ]
    );
    assert!(super::documents("").unwrap().is_empty());
    assert!(super::documents("# nothing\n---\n").unwrap().is_empty());
}

#[test]
fn anchors_and_merge_keys_are_expanded() {
    let text = "base: &base {a: 1, b: 2}\nuse: *base\nmore:\n  <<: *base\n  b: 3\nboth:\n  <<: [{c: 1}, {c: 2, d: 3}]\nquoted: {'<<': 1}\n";
    assert_eq!(
        one(text),
        json!({
            "base": { "a": 1, "b": 2 }, "use": { "a": 1, "b": 2 }, "more": { "a": 1, "b": 3 },
            "both": { "c": 1, "d": 3 }, "quoted": { "<<": 1 },
        })
    );
}

#[test]
fn trouble_is_told_with_its_line() {
    let cases = [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", 4, "the key `c` occurs twice"),
        (
            "a: 1\n---\nyes: 1\n'true': 2\n",
            4,
            "the key `true` occurs twice",
        ),
        ("a: [1\n", 1, "is not YAML"),
        ("a: b: c\n", 1, "is not YAML"),
        ("a: !secret x\n", 1, "the tag `!secret` is not supported"),
        ("a: !!binary aGk=\n", 1, "is not supported"),
        ("a: !!int 1\n", 1, "is not supported"),
        ("a: .inf\n", 1, "`.inf` cannot be represented in JSON"),
        ("? [a]\n: b\n", 1, "is not a string"),
        ("null: b\n", 1, "is not a string"),
        ("1.5: b\n", 1, "is not a string"),
        ("a: 1\n...\nb: 2\n", 2, "`...`"),
        ("%YAML 1.1\n---\na: 1\n", 1, "a directive"),
        ("a: 1\n-----BEGIN\n", 2, "where Helm splits"),
        ("a: \"b\u{85}c\"\n", 1, "U+0085"),
        ("a: \"b\u{7f}c\"\n", 1, "U+007F"),
        ("\u{feff}a: 1\n", 1, "U+FEFF"),
        ("a: 1\n<<: x\n", 2, "is not a mapping"),
        ("a: *b\n", 1, "is not YAML"),
    ];
    for (text, line, expected) in cases {
        let (at, problem) = problem(text);
        assert!(problem.contains(expected), "{text}: {problem}");
        assert_eq!(at, line, "{text}: {problem}");
    }
}

#[test]
fn what_grows_without_end_is_stopped() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..10 {
        let before = level - 1;
        let aliases = vec![format!("*a{before}"); 10].join(",");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    assert!(problem(&bomb).1.contains("expands to more than"));
    let deep = "[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1);
    assert!(problem(&deep).1.contains("nested"), "{:?}", problem(&deep));
    let deep = "[".repeat(100_000);
    documents(&deep).unwrap_err();
}

#[test]
fn json_for_others_is_read_back_the_same() {
    let value = json!({ "a\u{85}": ["\u{2028}\u{2029}\u{7f}\u{9f}\u{feff}", "ä€😀\u{ffff}\u{0}\n\"", 1.5, null] });
    let text = json(&value);
    assert!(text.contains("\\u2028") && text.contains("ä€😀"), "{text}");
    assert_eq!(one(&text), value);
}

#[test]
fn a_long_text_that_is_aliased_often_is_refused() {
    let long = "x".repeat(2_000_000);
    let aliases = "- *a\n".repeat(100_000);
    for text in [
        format!("- &a {long}\n{aliases}"),
        format!("- &a {{ k: {long} }}\n{aliases}"),
        format!("- &a [[{long}]]\n{aliases}"),
    ] {
        let error = documents(&text).unwrap_err();
        assert!(error.problem.contains("bytes of text"), "{}", error.problem);
    }
}

#[test]
fn keys_are_written_in_one_order() {
    let value = json!({ "spec": { "b": 1, "a": 2 }, "metadata": { "name": "x" }, "kind": "K", "apiVersion": "v1" });
    assert_eq!(
        write(&value),
        "apiVersion: v1\nkind: K\nmetadata:\n  name: x\nspec:\n  a: 2\n  b: 1\n"
    );
}

#[test]
fn lists_and_mappings_are_written_as_blocks() {
    let value = json!({
        "none": {}, "empty": [], "nothing": null,
        "list": [1, "two", [], {}, [3, [4]], { "b": [5], "a": { "c": 6 } }],
        "map": { "deep": { "er": true } },
    });
    assert_eq!(
        write(&value),
        "empty: []\nlist:\n- 1\n- two\n- []\n- {}\n- - 3\n  - - 4\n- a:\n    c: 6\n  b:\n  - 5\nmap:\n  deep:\n    \
         er: true\nnone: {}\nnothing: null\n"
    );
    for (value, yaml) in [
        (json!({}), "{}\n"),
        (json!([]), "[]\n"),
        (json!("a"), "a\n"),
    ] {
        assert_eq!(write(&value), yaml);
    }
}

#[test]
fn a_text_is_plain_only_where_every_parser_agrees() {
    for plain in [
        "a",
        "a b",
        "a.b",
        "/a",
        "nats://nats:4222",
        "v1",
        "registry.example.com/a@sha256:07",
        "rbac.authorization.k8s.io/v1",
    ] {
        assert_eq!(text(plain), plain);
    }
    for quoted in [
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "NO",
        "yEs",
        "True",
        "null",
        "~",
        "",
        "1_000",
        "12:30",
        "014",
        "1",
        "2021-01-01",
        "<<",
        "=",
        "-a",
        "a ",
        "a:",
        "a: b",
        "a #b",
        "a\nb",
        "ä",
    ] {
        assert_eq!(text(quoted), json(&json!(quoted)));
    }
}

/// Any value, including strings that are easily misread.
fn any_value() -> impl Strategy<Value = Value> {
    let any_text = || {
        prop_oneof![
            sample::select(treacherous::TEXTS).prop_map(str::to_owned),
            any::<String>(),
            "[ -~]{250,300}",
        ]
    };
    let any_float =
        any::<f64>().prop_filter_map("a whole number comes back without its point", |float| {
            (float.fract() != 0.0)
                .then(|| Number::from_f64(float))
                .flatten()
        });
    let leaf = prop_oneof![
        4 => any_text().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any_float.prop_map(Value::Number),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            collection::btree_map(any_text(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_equal(value in any_value()) {
        let yaml = write(&value);
        let read = documents(&yaml).map_err(|error| format!("{error:?}"));
        let read: Vec<_> = read.unwrap().into_iter().map(|document| document.value).collect();
        let expected: Vec<_> = if value.is_null() { Vec::new() } else { vec![value] };
        prop_assert_eq!(read, expected, "{}", yaml);
    }
}

/// YAML 1.2, by a library that shares no code with ours: a string that both read in the same way is quoted
/// sufficiently.
#[test]
fn another_library_reads_treacherous_texts_as_they_are() {
    for word in treacherous::TEXTS {
        let value = json!({ "key": word, "list": [word], (*word): 1 });
        let yaml = write(&value);
        let back: Value =
            serde_yaml::from_str(&yaml).unwrap_or_else(|error| panic!("{word:?}: {error}\n{yaml}"));
        assert_eq!(back, value, "{word:?} in\n{yaml}");
    }
}
