use std::error::Error;

use super::*;
use crate::{AppName, ComponentName};

fn units(names: &[(&str, &str)]) -> ReleaseUnits {
    ReleaseUnits::new(names.iter().map(|(app, component)| {
        ReleaseUnit::new(
            AppName::parse(app).unwrap(),
            ComponentName::parse(component).unwrap(),
        )
        .unwrap()
    }))
    .unwrap()
}

fn fleet() -> ReleaseUnits {
    units(&[
        ("harmony-fleet", "operator"),
        ("harmony-fleet", "agent"),
        ("harmony-fleet", "callout"),
        ("hello", "app"),
    ])
}

#[test]
fn a_tag_resolves_to_app_component_and_version() {
    for (tag, app, component, version) in [
        (
            "harmony-fleet-operator-v0.3.1",
            "harmony-fleet",
            "operator",
            "0.3.1",
        ),
        (
            "harmony-fleet-agent-v10.20.30",
            "harmony-fleet",
            "agent",
            "10.20.30",
        ),
        ("hello-app-v0.0.0", "hello", "app", "0.0.0"),
        (
            "harmony-fleet-operator-v1.0.0-rc.1",
            "harmony-fleet",
            "operator",
            "1.0.0-rc.1",
        ),
        (
            "harmony-fleet-operator-v1.0.0-rc.1-v2",
            "harmony-fleet",
            "operator",
            "1.0.0-rc.1-v2",
        ),
        (
            "harmony-fleet-operator-v1.0.0-v2.0.0",
            "harmony-fleet",
            "operator",
            "1.0.0-v2.0.0",
        ),
        (
            "harmony-fleet-operator-v1.0.0--",
            "harmony-fleet",
            "operator",
            "1.0.0--",
        ),
        (
            "hello-app-v1.0.0-hello-app-v2.0.0",
            "hello",
            "app",
            "1.0.0-hello-app-v2.0.0",
        ),
        ("hello-app-v1.0.0-RC.1", "hello", "app", "1.0.0-RC.1"),
    ] {
        let release = fleet().resolve(tag).expect(tag);
        assert_eq!(release.unit.app().as_str(), app, "{tag}");
        assert_eq!(release.unit.component().as_str(), component, "{tag}");
        assert_eq!(release.version.to_string(), version, "{tag}");
        assert_eq!(release.unit.tag(&release.version), tag);
    }
}

#[test]
fn the_longest_registered_name_wins() {
    // each name is a prefix of the next, and two of them end in what looks like a version
    let nested = units(&[("a", "b"), ("a", "b-c"), ("a", "b-v1"), ("a", "b-v1-v2")]);
    for (tag, unit, version) in [
        ("a-b-v1.0.0", "a-b", "1.0.0"),
        ("a-b-c-v1.0.0", "a-b-c", "1.0.0"),
        ("a-b-v1-v1.0.0", "a-b-v1", "1.0.0"),
        ("a-b-v1-v2-v1.0.0", "a-b-v1-v2", "1.0.0"),
        ("a-b-v1.0.0-c-v1.0.0", "a-b", "1.0.0-c-v1.0.0"),
    ] {
        let release = nested.resolve(tag).expect(tag);
        assert_eq!(
            (release.unit.as_str(), release.version.to_string().as_str()),
            (unit, version),
            "{tag}"
        );
    }
}

/// The tag, what the reason says (its source, where it has one), what the hint offers.
const REFUSED: &[(&str, &str, &str)] = &[
    // nothing, and nearly nothing
    (
        "",
        "release tag is empty",
        "use the form `<app>-<component>-v<semver>`",
    ),
    (
        " ",
        "release tag ` ` has ` ` at position 1",
        "use the form `<app>",
    ),
    (
        "-",
        "release tag `-` does not end with `-v` and a version",
        "use the form `<app>",
    ),
    (
        ".",
        "release tag `.` does not end with",
        "use the form `<app>",
    ),
    (
        "v",
        "release tag `v` does not end with",
        "use the form `<app>",
    ),
    (
        "-v",
        "release tag `-v` is a version without the name",
        "use the form `<app>",
    ),
    // no unit
    (
        "v1.0.0",
        "release tag `v1.0.0` is a version without the name",
        "use the form `<app>",
    ),
    (
        "1.0.0",
        "release tag `1.0.0` is a version without the name",
        "use the form `<app>",
    ),
    (
        "-v1.0.0",
        "release tag `-v1.0.0` is a version without the name",
        "use the form `<app>",
    ),
    (
        "v1",
        "release tag `v1` is a version without the name",
        "use the form `<app>",
    ),
    // no version
    (
        "harmony-fleet-operator",
        "release tag `harmony-fleet-operator` does not end with",
        "use the form `<app>",
    ),
    (
        "harmony-fleet-operator-",
        "release tag `harmony-fleet-operator-` does not end with",
        "use the form `<app>",
    ),
    (
        "harmony-fleet-operator-v",
        "version is empty",
        "use three numbers",
    ),
    (
        "harmony-fleet-operator-vv1.0.0",
        "release tag `harmony-fleet-operator-vv1.0.0` does not end",
        "did you mean `harmony-fleet-operator-v1.0.0`",
    ),
    (
        "harmony-fleet-operator-1.0.0",
        "release tag `harmony-fleet-operator-1.0.0` does not end",
        "did you mean `harmony-fleet-operator-v1.0.0`",
    ),
    (
        "harmony-fleet-operatorv1.0.0",
        "release tag `harmony-fleet-operatorv1.0.0` does not end",
        "did you mean `harmony-fleet-operator-v1.0.0`",
    ),
    (
        "harmony-fleet-operator-V1.0.0",
        "release tag `harmony-fleet-operator-V1.0.0` does not end",
        "did you mean `harmony-fleet-operator-v1.0.0`",
    ),
    (
        "harmony-fleet-operator.v1.0.0",
        "release tag `harmony-fleet-operator.v1.0.0` does not end",
        "use the form `<app>",
    ),
    (
        "harmony-fleet-operator-latest",
        "release tag `harmony-fleet-operator-latest` does not end",
        "use the form `<app>",
    ),
    (
        "main",
        "release tag `main` does not end",
        "use the form `<app>",
    ),
    // a version that is none
    (
        "harmony-fleet-operator-v1",
        "version `1` is not a semantic version",
        "did you mean `1.0.0`",
    ),
    (
        "harmony-fleet-operator-v1.2",
        "version `1.2` is not a semantic version",
        "did you mean `1.2.0`",
    ),
    (
        "harmony-fleet-operator-v1.2.3.4",
        "version `1.2.3.4` is not a semantic version",
        "use three numbers",
    ),
    (
        "harmony-fleet-operator-v01.2.3",
        "version `01.2.3` is not a semantic version",
        "did you mean `1.2.3`",
    ),
    (
        "harmony-fleet-operator-v1.02.3",
        "version `1.02.3` is not a semantic version",
        "did you mean `1.2.3`",
    ),
    (
        "harmony-fleet-operator-v1.2.3-",
        "version `1.2.3-` is not a semantic version",
        "use three numbers",
    ),
    (
        "harmony-fleet-operator-v1.2.3-01",
        "version `1.2.3-01` is not a semantic version",
        "use three numbers",
    ),
    (
        "harmony-fleet-operator-v1.2.3-rc..1",
        "version `1.2.3-rc..1` is not a semantic version",
        "use three numbers",
    ),
    (
        "harmony-fleet-operator-v1.2.",
        "version `1.2.` is not a semantic version",
        "use three numbers",
    ),
    (
        "harmony-fleet-operator-v1..2",
        "version `1..2` is not a semantic version",
        "use three numbers",
    ),
    (
        "harmony-fleet-operator-v1-rc.1",
        "version `1-rc.1` is not a semantic version",
        "did you mean `1.0.0-rc.1`",
    ),
    (
        "harmony-fleet-operator-v1.2.x",
        "version `1.2.x` is not a semantic version",
        "use three numbers",
    ),
    (
        "harmony-fleet-operator-v1.2.3+build.5",
        "version `1.2.3+build.5` has build metadata",
        "use `1.2.3`",
    ),
    (
        "harmony-fleet-operator-v99999999999999999999.0.0",
        "version `99999999999999999999.0.0` is not",
        "use three numbers",
    ),
    // a name that is none
    (
        "Harmony-Fleet-Operator-v1.0.0",
        "release unit `Harmony-Fleet-Operator` has `H` at position 1",
        "`harmony-fleet-operator`",
    ),
    (
        "-harmony-fleet-operator-v1.0.0",
        "release unit `-harmony-fleet-operator` has `-` at position 1",
        "`harmony-fleet-operator`",
    ),
    (
        "harmony-fleet-operator--v1.0.0",
        "release unit `harmony-fleet-operator-` has `-` at position 23",
        "`harmony-fleet-operator`",
    ),
    (
        "harmony+fleet-operator-v1.0.0",
        "release unit `harmony+fleet-operator` has `+` at position 8",
        "`harmony-fleet-operator`",
    ),
    // characters
    (
        "harmony_fleet_operator-v1.0.0",
        "release tag `harmony_fleet_operator-v1.0.0` has `_` at position 8",
        "use the form `<app>",
    ),
    (
        "harmony-fleet/operator-v1.0.0",
        "release tag `harmony-fleet/operator-v1.0.0` has `/` at position 14",
        "use the form `<app>",
    ),
    (
        "harmony-fleet-operator@1.0.0",
        "release tag `harmony-fleet-operator@1.0.0` has `@` at position 23",
        "use the form `<app>",
    ),
    (
        "harmony-fleet-operator:v1.0.0",
        "release tag `harmony-fleet-operator:v1.0.0` has `:` at position 23",
        "use the form `<app>",
    ),
    (
        " harmony-fleet-operator-v1.0.0",
        "release tag ` harmony-fleet-operator-v1.0.0` has ` ` at position 1",
        "use the form `<app>",
    ),
    (
        "harmony-fleet-operator-v1.0.0 ",
        "release tag `harmony-fleet-operator-v1.0.0 ` has ` ` at position 30",
        "use the form `<app>",
    ),
    (
        "harmony-fleet-operator-v1.0.0\n",
        "release tag `harmony-fleet-operator-v1.0.0\\n` has `\\n` at position 30",
        "use the form `<app>",
    ),
    (
        "harmony-fleet-operator-v1.0.0\0",
        "release tag `harmony-fleet-operator-v1.0.0\\0` has `\\0` at position 30",
        "use the form `<app>",
    ),
    (
        "hármony-fleet-operator-v1.0.0",
        "release tag `hármony-fleet-operator-v1.0.0` has `á` at position 2",
        "use the form `<app>",
    ),
    (
        "harmony-fleet-operator-v１.0.0",
        "release tag `harmony-fleet-operator-v１.0.0` has `１` at position 25",
        "use the form `<app>",
    ),
    (
        "harmony‑fleet-operator-v1.0.0",
        "release tag `harmony‑fleet-operator-v1.0.0` has `‑` at position 8",
        "use the form `<app>",
    ),
    (
        "\u{1b}[2Jharmony-fleet-operator-v1.0.0",
        "release tag `\\u{1b}[2Jharmony-fleet-operator-v1.0.0` has `\\u{1b}` at position 1",
        "use the form `<app>",
    ),
    (
        "$(reboot)-x-v1.0.0",
        "release tag `$(reboot)-x-v1.0.0` has `$` at position 1",
        "use the form `<app>",
    ),
    (
        "../../etc/passwd-v1.0.0",
        "release tag `../../etc/passwd-v1.0.0` has `/` at position 3",
        "use the form `<app>",
    ),
    // refs
    (
        "refs/tags/harmony-fleet-operator-v1.0.0",
        "release tag `refs/tags/harmony-fleet-operator-v1.0.0` is a full git ref",
        "use only the name of the tag: `harmony-fleet-operator-v1.0.0`",
    ),
    (
        "refs/heads/main",
        "release tag `refs/heads/main` is a full git ref",
        "this is not a tag",
    ),
    // the right form, and nobody's tag
    (
        "harmony-fleet-v1.0.0",
        "names `harmony-fleet`, which is not a registered app",
        "registered app",
    ),
    (
        "operator-v1.0.0",
        "names `operator`, which is not a registered app",
        "registered app",
    ),
    (
        "fleet-operator-v1.0.0",
        "names `fleet-operator`, which is not a registered app",
        "registered app",
    ),
    (
        "harmony-fleet-operators-v1.0.0",
        "names `harmony-fleet-operators`, which is not a registered app",
        "registered app",
    ),
    (
        "harmony-fleet-opertaor-v1.0.0",
        "names `harmony-fleet-opertaor`, which is not a registered app",
        "registered app",
    ),
    (
        "harmony-fleet-operator-v1-v1.0.0",
        "names `harmony-fleet-operator-v1`, which is not a registered app",
        "registered app",
    ),
    (
        "harmony--fleet-operator-v1.0.0",
        "names `harmony--fleet-operator`, which is not a registered app",
        "registered app",
    ),
    (
        "harmony-fleet-operator-extra-v1.0.0",
        "names `harmony-fleet-operator-extra`, which is not a registered app",
        "registered app",
    ),
];

#[test]
fn malformed_and_unknown_tags_are_refused_with_the_tags_that_match() {
    let fleet = fleet();
    for (tag, reason, hint) in REFUSED {
        let error = fleet.resolve(tag).expect_err(tag);
        let mut chain: Vec<String> = Vec::new();
        let mut cause: Option<&dyn Error> = Some(&error);
        while let Some(error) = cause {
            chain.push(error.to_string());
            cause = error.source();
        }
        assert!(
            chain.iter().any(|text| text.contains(reason)),
            "{tag:?}: {chain:#?}"
        );
        for pair in chain.windows(2) {
            assert!(
                !pair[0].contains(&pair[1]),
                "{tag:?}: a message repeats its source: {chain:#?}"
            );
        }
        assert!(error.hint().contains(hint), "{tag:?}: {}", error.hint());
        for unit in &fleet {
            assert!(
                error.hint().contains(&format!("`{}`", unit.tag_pattern())),
                "{tag:?}: {}",
                error.hint()
            );
        }
        assert!(
            chain.concat().chars().all(|c| !c.is_control()) && !error.hint().contains('\u{1b}')
        );
    }
}

#[test]
fn the_nearest_tag_comes_first() {
    let fleet = fleet();
    for (tag, nearest) in [
        (
            "harmony-fleet-opertaor-v1.0.0",
            "harmony-fleet-operator-v<semver>",
        ),
        ("harmony-fleet-agnt-v1", "harmony-fleet-agent-v<semver>"),
        (
            "Harmony-Fleet-Callout-1.0.0",
            "harmony-fleet-callout-v<semver>",
        ),
        ("refs/tags/hello-app-v1.0.0", "hello-app-v<semver>"),
        ("helloapp", "hello-app-v<semver>"),
        ("harmony_fleet_agent@1.0.0", "harmony-fleet-agent-v<semver>"),
    ] {
        let error = fleet.resolve(tag).expect_err(tag);
        assert_eq!(
            error.expected.first().map(String::as_str),
            Some(nearest),
            "{tag}: {:?}",
            error.expected
        );
        assert_eq!(error.expected.len(), fleet.len());
    }
}

#[test]
fn a_long_list_is_cut_in_the_hint_only() {
    let names: Vec<_> = (0..20).map(|index| format!("component-{index}")).collect();
    let many = ReleaseUnits::new(names.iter().map(|name| {
        ReleaseUnit::new(
            AppName::parse("app").unwrap(),
            ComponentName::parse(name).unwrap(),
        )
        .unwrap()
    }))
    .unwrap();
    let error = many.resolve("app-component-x-v1.0.0").unwrap_err();
    assert_eq!(error.expected.len(), 20);
    assert!(error.hint().ends_with(" and 12 more"), "{}", error.hint());
}

#[test]
fn without_units_the_hint_says_so() {
    let error = ReleaseUnits::default().resolve("a-b-v1.0.0").unwrap_err();
    assert!(
        error
            .hint()
            .ends_with("no tag matches, because no app is registered for release")
    );
}

#[test]
fn the_limit_is_that_of_the_parts() {
    let longest = format!("{}-c-v1.0.0-{}", "a".repeat(61), "p".repeat(122));
    assert_eq!(longest.len(), ReleaseTag::MAX_LENGTH);
    let names = units(&[(&"a".repeat(61), "c")]);
    assert!(names.resolve(&longest).is_ok());
    let error = names.resolve(format!("{longest}p")).unwrap_err();
    assert!(
        error
            .reason
            .to_string()
            .ends_with("is 194 bytes long, but the limit is 193")
    );
    let error = names.resolve("x".repeat(10_000_000)).unwrap_err();
    assert!(error.to_string().len() < 200 && error.hint().len() < 400);
}
