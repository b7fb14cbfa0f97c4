use crate::{ChartName, LabelKey, LabelValue, NameError, Namespace, PortName, ResourceName};

fn check(parsed: Result<String, NameError>, message: &str, hint: &str) {
    let error = parsed.expect_err(message);
    assert_eq!(error.to_string(), message);
    assert!(
        error.hint().contains(hint),
        "hint of {message:?}: {}",
        error.hint()
    );
}

fn namespace(text: &str) -> Result<String, NameError> {
    Namespace::parse(text).map(|name| name.to_string())
}

fn resource(text: &str) -> Result<String, NameError> {
    ResourceName::parse(text).map(|name| name.to_string())
}

fn port(text: &str) -> Result<String, NameError> {
    PortName::parse(text).map(|name| name.to_string())
}

fn key(text: &str) -> Result<String, NameError> {
    LabelKey::parse(text).map(|name| name.to_string())
}

fn chart(text: &str) -> Result<String, NameError> {
    ChartName::parse(text).map(|name| name.to_string())
}

#[test]
fn legal_names_are_kept_as_they_are() {
    for text in ["a", "0", "harmony-fleet", "a--b", "x0-9y"] {
        assert_eq!(namespace(text).as_deref(), Ok(text));
        assert_eq!(chart(text).as_deref(), Ok(text));
    }
    for text in ["a.b", "kube-root-ca.crt", "0.0"] {
        assert_eq!(resource(text).as_deref(), Ok(text));
    }
    for text in ["http", "a-1-b", "1a"] {
        assert_eq!(port(text).as_deref(), Ok(text));
    }
    for text in ["app", "app.kubernetes.io/name", "x.y/A_b.C-d"] {
        assert_eq!(key(text).as_deref(), Ok(text));
    }
    for text in ["a_b", "a__b", "a.b", "a---b"] {
        assert_eq!(chart(text).as_deref(), Ok(text));
    }
    assert_eq!(
        LabelValue::parse("")
            .map(|value| value.to_string())
            .as_deref(),
        Ok("")
    );
    assert_eq!(
        LabelValue::parse("A..b__C")
            .map(|value| value.to_string())
            .as_deref(),
        Ok("A..b__C")
    );
}

#[test]
fn each_broken_rule_is_named_with_its_place() {
    check(namespace(""), "namespace is empty", "lower-case letters");
    check(
        namespace("My App"),
        "namespace `My App` has `M` at position 1, which is not allowed",
        "`my-app`",
    );
    check(
        namespace("a.b"),
        "namespace `a.b` has `.` at position 2, which is not allowed",
        "`a-b`",
    );
    check(
        namespace("-a"),
        "namespace `-a` has `-` at position 1, where a letter or digit is required",
        "`a`",
    );
    check(
        namespace("a-"),
        "namespace `a-` has `-` at position 2, where a letter or digit is required",
        "`a`",
    );
    check(
        namespace("é\u{7}"),
        "namespace `é\\u{7}` has `é` at position 1, which is not allowed",
        "lower-case letters",
    );
    check(
        namespace("a\n"),
        "namespace `a\\n` has `\\n` at position 2, which is not allowed",
        "`a`",
    );
    check(
        resource("a..b"),
        "resource name `a..b` has `.` at position 2, where a letter or digit is required",
        "each part between dots",
    );
    check(
        resource(".a"),
        "resource name `.a` has `.` at position 1, where a letter or digit is required",
        "`a`",
    );
    check(
        resource("a."),
        "resource name `a.` has `.` at position 2, where a letter or digit is required",
        "`a`",
    );
    check(
        resource("ab.-c"),
        "resource name `ab.-c` has `-` at position 4, where a letter or digit is required",
        "each part",
    );
    check(
        port("8080"),
        "port name `8080` has no letter",
        "at least one letter",
    );
    check(
        port("a--b"),
        "port name `a--b` has `-` at position 3, where a letter or digit is required",
        "`a-b`",
    );
    check(
        key("/name"),
        "label key `/name` has `/` at position 1, where a letter or digit is required",
        "`name`",
    );
    check(
        key("example.com/"),
        "label key `example.com/` has `/` at position 12, where a letter or digit is required",
        "`example.com`",
    );
    check(
        key("a/b/c"),
        "label key `a/b/c` has `/` at position 4, which is not allowed",
        "DNS prefix",
    );
    check(
        key("Example/x"),
        "label key `Example/x` has `E` at position 1, which is not allowed",
        "DNS prefix",
    );
    check(
        chart("a.-b"),
        "chart name `a.-b` has `-` at position 3, where a letter or digit is required",
        "joined by",
    );
    check(
        chart("a___b"),
        "chart name `a___b` has `_` at position 4, where a letter or digit is required",
        "joined by",
    );
    check(
        LabelValue::parse("a b").map(|value| value.to_string()),
        "label value `a b` has ` ` at position 2, which is not allowed",
        "`a-b`",
    );
}

#[test]
fn a_huge_value_is_shown_short() {
    let error = Namespace::parse("x".repeat(1_000_000)).unwrap_err();
    let message = error.to_string();
    assert!(
        message.ends_with("…` is 1000000 bytes long, but the limit is 63"),
        "{message}"
    );
    assert!(message.len() < 200);
    assert!(error.hint().starts_with("shorten it to 63 bytes"));
}
