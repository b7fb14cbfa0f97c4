use super::*;
use crate::treacherous;
use proptest::prelude::*;
use proptest::{collection, sample};
use serde_json::json;

const DEFAULTS: &str =
    "nats:\n  url: nats://nats\n  options: {a: 1, b: 2}\nreplicas: 1\nnothing:\n";

fn merged(values_yaml: &str, values: &BTreeMap<String, Value>) -> Result<Value, RenderError> {
    let replaced = Values::read(values_yaml)?.replaced(values)?;
    Ok(replaced.into_json())
}

fn nested(values: &BTreeMap<String, Value>) -> Result<Value, RenderError> {
    Values::of_target(values).map(Values::into_json)
}

fn merged_with(path: &str, value: Value) -> Result<Value, RenderError> {
    merged(DEFAULTS, &BTreeMap::from([(path.to_owned(), value)]))
}

fn message(result: Result<Value, RenderError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_mapping_is_merged_and_anything_else_replaces() {
    let at = |path: &str, value: Value| merged_with(path, value).unwrap()["nats"].clone();
    assert_eq!(at("nats.url", json!("x"))["url"], "x");
    assert_eq!(
        at("nats.options", json!({ "b": 3, "c": 4 }))["options"],
        json!({ "a": 1, "b": 3, "c": 4 })
    );
    assert_eq!(at("nats.options", json!([1]))["options"], json!([1]));
    assert_eq!(
        at("nats", json!({ "options": { "a": null } }))["options"],
        json!({ "a": null, "b": 2 })
    );
    assert_eq!(
        merged_with("nothing", json!({ "a": 1 })).unwrap()["nothing"],
        json!({ "a": 1 })
    );
}

#[test]
fn an_unknown_path_is_told_with_the_known_ones() {
    for path in [
        "nats.ulr",
        "other",
        "nats.url.deeper",
        "",
        "nats.",
        ".nats",
        "replicas.x",
    ] {
        let RenderError::Value {
            path: named,
            problem,
            help,
        } = merged_with(path, json!(1)).unwrap_err()
        else {
            panic!("{path}")
        };
        assert_eq!(
            (named.as_str(), problem.as_str()),
            (path, "is not one of this chart")
        );
        assert!(
            help.contains("`nats.url`") && help.contains("`replicas`"),
            "{help}"
        );
    }
    let none = merged("", &BTreeMap::from([("a".to_owned(), json!(1))]));
    assert_eq!(
        none.unwrap_err().help(),
        "the chart has no values: remove it"
    );
}

#[test]
fn a_path_through_another_value_is_refused() {
    let values = BTreeMap::from([
        ("nats".to_owned(), json!("x")),
        ("nats.url".to_owned(), json!("y")),
    ]);
    assert!(message(merged(DEFAULTS, &values)).contains("conflicts with another value"));
    assert!(message(nested(&values)).contains("conflicts with another value"));
}

#[test]
fn numbers_that_floating_point_rounds_are_refused() {
    merged("a: 9007199254740991\n", &BTreeMap::new()).unwrap();
    assert!(message(merged("a: [9007199254740993]\n", &BTreeMap::new())).contains("values.yaml:1"));
    assert!(
        message(merged_with("replicas", json!(u64::MAX)))
            .starts_with("the value `replicas` is 18446744073709551615")
    );
}

#[test]
fn values_are_one_mapping() {
    assert_eq!(merged("# nothing\n", &BTreeMap::new()).unwrap(), json!({}));
    assert_eq!(
        message(merged("- 1\n", &BTreeMap::new())),
        "values.yaml:1: the values are not a mapping"
    );
    assert_eq!(
        message(merged("a: 1\n---\nb: 2\n", &BTreeMap::new())),
        "values.yaml:3: there is a second document: the values must be a single mapping"
    );
    assert_eq!(
        message(merged("a: 1\na: 2\n", &BTreeMap::new())),
        "values.yaml:2: the key `a` occurs twice"
    );
}

#[test]
fn paths_nest() {
    let values = BTreeMap::from([
        ("a.b.c".to_owned(), json!(1)),
        ("a.b".to_owned(), json!({ "d": 2 })),
        ("e".to_owned(), json!([3])),
    ]);
    assert_eq!(
        nested(&values).unwrap(),
        json!({ "a": { "b": { "c": 1, "d": 2 } }, "e": [3] })
    );
}

fn values() -> ChartValues {
    ChartValues::new(Namespace::parse("default").unwrap())
}

#[test]
fn bad_values_are_refused() {
    for path in [
        "", ".", "a.", ".a", "a..b", "a-b", "1a", "a b", "a.b-c", "ä", "a.{{",
    ] {
        assert!(values().with(path, "x").is_err(), "{path:?}");
    }
    assert!(values().with("a.b", "x").unwrap().with("a", "x").is_err());
    assert!(values().with("a", "x").unwrap().with("a.b", "x").is_err());
    assert!(values().with("a", "x").unwrap().with("ab", "x").is_ok());
    assert!(values().with("a", i64::MAX).is_err());
    assert!(values().with("a", 1).unwrap().text("a").is_err());
    assert!(values().text("a").is_err());
}

#[test]
fn a_text_that_a_template_cannot_write_is_refused() {
    for text in ["\u{7f}", "a\u{85}", "\u{9f}", "\u{feff}", "\u{fffe}"] {
        let error = values().with("a", text).unwrap_err();
        assert!(
            error.to_string().contains("has the character U+"),
            "{error}"
        );
    }
    values()
        .with("a", "\0\t\r\n\u{1f}\u{2028}\u{2029}")
        .unwrap();
}

/// Any mapping that can be the values of a chart.
fn any_values() -> impl Strategy<Value = Values> {
    let text = prop_oneof![
        sample::select(treacherous::TEXTS).prop_map(str::to_owned),
        any::<String>(),
    ];
    let number = -9_007_199_254_740_991i64..=9_007_199_254_740_991;
    let leaf = prop_oneof![
        text.clone().prop_map(Value::from),
        number.prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    collection::btree_map(text, value, 0..6).prop_map(|map| Values(map.into_iter().collect()))
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_equal(values in any_values()) {
        let yaml = values.to_yaml();
        prop_assert_eq!(Values::read(&yaml).map_err(|error| error.to_string()), Ok(values), "{}", yaml);
    }
}
