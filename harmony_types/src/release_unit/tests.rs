use super::*;

fn unit(app: &str, component: &str) -> ReleaseUnit {
    ReleaseUnit::new(
        AppName::parse(app).unwrap(),
        ComponentName::parse(component).unwrap(),
    )
    .unwrap()
}

#[test]
fn a_unit_is_named_after_app_and_component() -> Result<(), NameError> {
    let operator = unit("harmony-fleet", "operator");
    assert_eq!(operator.to_string(), "harmony-fleet-operator");
    assert_eq!(operator.tag_pattern(), "harmony-fleet-operator-v<semver>");
    assert_eq!(
        operator.tag(&Version::new(0, 3, 1)),
        "harmony-fleet-operator-v0.3.1"
    );
    assert_eq!(
        ResourceName::from(&operator),
        ResourceName::parse("harmony-fleet-operator")?
    );
    assert_eq!(
        LabelValue::from(&operator),
        LabelValue::parse("harmony-fleet-operator")?
    );
    Ok(())
}

#[test]
fn the_name_of_a_unit_fits_a_label() {
    let new = |length| {
        ReleaseUnit::new(
            AppName::parse("a".repeat(length)).unwrap(),
            ComponentName::parse("c").unwrap(),
        )
    };
    assert_eq!(new(61).map(|unit| unit.as_str().len()), Ok(63));
    let error = new(62).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is 64 bytes long, but the limit is 63"),
        "{error}"
    );
}

#[test]
fn two_units_of_one_name_cannot_be_registered() {
    let error =
        ReleaseUnits::new([unit("a-b", "c"), unit("x", "y"), unit("a", "b-c")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "two release units have the name `a-b-c`: `b-c` of app `a`, and `c` of app `a-b`"
    );
    assert_eq!(
        error.hint(),
        "rename component `c` of app `a-b`, so that each tag refers to one unit"
    );
    let error = ReleaseUnits::new([unit("a", "b"), unit("a", "b")]).unwrap_err();
    assert_eq!(error.to_string(), "release unit `a-b` is registered twice");
}

#[test]
fn units_are_found_by_their_whole_name() -> Result<(), ReleaseUnitsError> {
    let units = ReleaseUnits::new([
        unit("harmony-fleet", "operator"),
        unit("harmony-fleet", "agent"),
    ])?;
    assert_eq!(units.len(), 2);
    assert_eq!(
        units
            .get("harmony-fleet-agent")
            .map(|unit| unit.component().as_str()),
        Some("agent")
    );
    assert_eq!(units.get("harmony-fleet"), None);
    assert_eq!(units.get(""), None);
    assert_eq!(
        units.iter().map(ReleaseUnit::as_str).collect::<Vec<_>>(),
        ["harmony-fleet-agent", "harmony-fleet-operator"]
    );
    Ok(())
}
