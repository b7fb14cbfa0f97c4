use super::*;

#[test]
fn limits_of_each_type_are_the_ones_documented() {
    for (rule, max) in [
        (Namespace::RULE, 63),
        (AppName::RULE, 63),
        (ComponentName::RULE, 63),
        (ResourceName::RULE, 253),
        (ObjectName::RULE, 1024),
        (KubeContext::RULE, 1024),
        (ContainerName::RULE, 63),
        (PortName::RULE, 15),
        (LabelKey::RULE, 317),
        (LabelValue::RULE, 63),
    ] {
        assert_eq!(rule.max_length(), max, "{}", rule.what());
    }
    assert!(Namespace::parse("a".repeat(63)).is_ok());
    assert!(Namespace::parse("a".repeat(64)).is_err());
    assert!(ResourceName::parse("a".repeat(253)).is_ok());
    assert!(ResourceName::parse("a".repeat(254)).is_err());
    assert!(PortName::parse("a".repeat(15)).is_ok());
    assert!(PortName::parse("a".repeat(16)).is_err());
}

#[test]
fn a_label_key_has_limits_for_each_part() {
    let longest = format!("{}/{}", "p".repeat(253), "n".repeat(63));
    assert_eq!(longest.len(), LabelKey::MAX_LENGTH);
    assert!(LabelKey::parse(&longest).is_ok());
    let error = LabelKey::parse(format!("p/{}", "n".repeat(64))).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is 64 bytes long, but the limit is 63"),
        "{error}"
    );
    let error = LabelKey::parse(format!("{}/n", "p".repeat(254))).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is 254 bytes long, but the limit is 253"),
        "{error}"
    );
}

#[test]
fn widening_keeps_the_text() -> Result<(), NameError> {
    let app = AppName::parse("harmony-fleet")?;
    assert_eq!(ResourceName::from(&app).as_str(), "harmony-fleet");
    assert_eq!(LabelValue::from(app), LabelValue::parse("harmony-fleet")?);
    Ok(())
}

#[test]
fn serde_uses_the_checking_constructor() -> Result<(), serde_json::Error> {
    let name: Namespace = serde_json::from_str("\"fleet\"")?;
    assert_eq!(serde_json::to_string(&name)?, "\"fleet\"");
    let error = serde_json::from_str::<Namespace>("\"Fleet\"").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("namespace `Fleet` has `F` at position 1"),
        "{error}"
    );
    Ok(())
}

#[test]
fn display_honours_width() -> Result<(), NameError> {
    assert_eq!(format!("{:<8}|", Namespace::parse("fleet")?), "fleet   |");
    Ok(())
}

#[test]
fn an_object_name_is_any_segment_of_a_path() {
    for name in [
        "trial-metrics:system:auth-delegator",
        "Reader_Of Metrics",
        "2001:db8::1",
        "...",
        "v1.",
        "rôle?",
    ] {
        assert_eq!(ObjectName::parse(name).unwrap().as_str(), name);
    }
    for (name, message) in [
        ("", "object name is empty"),
        (
            "..",
            "object name `..` has `.` at position 1, where a letter or digit is required",
        ),
        (
            "a/b",
            "object name `a/b` has `/` at position 2, which is not allowed",
        ),
        (
            "a%2fb",
            "object name `a%2fb` has `%` at position 2, which is not allowed",
        ),
        (
            "a\u{9b}",
            "object name `a\\u{9b}` has `\\u{9b}` at position 2, which is not allowed",
        ),
    ] {
        assert_eq!(ObjectName::parse(name).unwrap_err().to_string(), message);
    }
}
