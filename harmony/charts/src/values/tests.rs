use super::*;
use serde_json::json;

const DEFAULTS: &str =
    "nats:\n  url: nats://nats\n  options: {a: 1, b: 2}\nreplicas: 1\nnothing:\n";

fn merged_with(path: &str, value: Value) -> Result<Value, RenderError> {
    merged(DEFAULTS, &BTreeMap::from([(path.to_owned(), value)]))
}

fn message(result: Result<Value, RenderError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_mapping_is_merged_and_anything_else_replaces() {
    let at = |path: &str, value: Value| {
        lookup(&merged_with(path, value).unwrap(), "nats")
            .unwrap()
            .clone()
    };
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
        "the chart has no values: leave it out"
    );
}

#[test]
fn a_path_through_another_value_is_refused() {
    let values = BTreeMap::from([
        ("nats".to_owned(), json!("x")),
        ("nats.url".to_owned(), json!("y")),
    ]);
    assert!(message(merged(DEFAULTS, &values)).contains("leads through another value"));
    assert!(message(nested(&values)).contains("leads through another value"));
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
        "values.yaml:3: a second document: the values are one mapping"
    );
    assert_eq!(
        message(merged("a: 1\na: 2\n", &BTreeMap::new())),
        "values.yaml:2: the key `a` is there twice"
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
