use super::*;
use crate::digest::Digest;

#[test]
fn versions_are_ordered_by_precedence() -> Result<(), VersionError> {
    let ascending = [
        "0.1.0-alpha",
        "0.1.0-alpha.1",
        "0.1.0-rc.2",
        "0.1.0-rc.10",
        "0.1.0",
        "0.1.1",
        "0.10.0",
        "1.0.0",
    ];
    let versions = ascending
        .iter()
        .map(Version::parse)
        .collect::<Result<Vec<_>, _>>()?;
    assert!(versions.is_sorted());
    assert_eq!(
        versions.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ascending
    );
    assert!(versions[0].is_pre_release());
    assert_eq!(versions[2].pre_release(), "rc.2");
    assert_eq!(Version::new(0, 10, 0), versions[6]);
    Ok(())
}

#[test]
fn what_is_not_a_version_is_refused_with_a_way_out() {
    for (text, message, hint) in [
        ("", "version is empty", "use three numbers"),
        ("v1.2.3", "version `v1.2.3` starts with `v`", "use `1.2.3`"),
        ("V1.2", "version `V1.2` starts with `v`", "use `1.2.0`"),
        ("vx", "version `vx` starts with `v`", "use three numbers"),
        (
            "1",
            "version `1` is not a semantic version: ",
            "did you mean `1.0.0`?",
        ),
        (
            "1.2",
            "version `1.2` is not a semantic version: ",
            "did you mean `1.2.0`?",
        ),
        (
            "1.2.3.4",
            "version `1.2.3.4` is not a semantic version: ",
            "use three numbers",
        ),
        (
            "01.2.3",
            "version `01.2.3` is not a semantic version: ",
            "did you mean `1.2.3`?",
        ),
        (
            "1.02.3",
            "version `1.02.3` is not a semantic version: ",
            "did you mean `1.2.3`?",
        ),
        (
            "1.00.3",
            "version `1.00.3` is not a semantic version: ",
            "did you mean `1.0.3`?",
        ),
        (
            "1.2.3-",
            "version `1.2.3-` is not a semantic version: ",
            "use three numbers",
        ),
        (
            "1.2.3-rc..1",
            "version `1.2.3-rc..1` is not a semantic version: ",
            "use three numbers",
        ),
        (
            "1.2.3-01",
            "version `1.2.3-01` is not a semantic version: ",
            "use three numbers",
        ),
        (
            " 1.2.3",
            "version ` 1.2.3` is not a semantic version: ",
            "did you mean `1.2.3`?",
        ),
        (
            "1.2.3\n",
            "version `1.2.3\\n` is not a semantic version: ",
            "did you mean `1.2.3`?",
        ),
        (
            "1.2.x",
            "version `1.2.x` is not a semantic version: ",
            "use three numbers",
        ),
        (
            "1.99999999999999999999.0",
            "version `1.99999999999999999999.0` is not a semantic version: ",
            "use",
        ),
        (
            "1.2.3+build",
            "version `1.2.3+build` has build metadata after `+` at position 6",
            "use `1.2.3`",
        ),
        (
            "é+1",
            "version `é+1` has build metadata after `+` at position 2",
            "use three numbers",
        ),
        (
            "latest",
            "version `latest` is not a semantic version: ",
            "use three numbers",
        ),
    ] {
        let error = Version::parse(text).expect_err(text);
        assert!(error.to_string().starts_with(message), "{text:?}: {error}");
        assert!(error.hint().contains(hint), "{text:?}: {}", error.hint());
    }
}

#[test]
fn the_limit_is_that_of_a_tag() -> Result<(), VersionError> {
    let longest = format!("1.0.0-{}", "a".repeat(122));
    assert_eq!(longest.len(), Version::MAX_LENGTH);
    let version = Version::parse(&longest)?;
    assert!(crate::Tag::parse(crate::Tag::from(&version).as_str()).is_ok());
    let error = Version::parse(format!("{longest}a")).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is 129 bytes long, but the limit is 128")
    );
    Ok(())
}

#[test]
fn foreign_semver_is_checked_too() {
    let with_metadata = semver::Version::parse("1.0.0+1").unwrap();
    assert!(matches!(
        Version::try_from(with_metadata),
        Err(VersionError::BuildMetadata { position: 6, .. })
    ));
}

#[test]
fn a_work_tree_has_a_version_that_no_release_has() {
    let base: Version = "0.1.0".parse().unwrap();
    let digest = |hex: &str| Digest::parse(format!("sha256:{hex:0<64}")).unwrap();
    let version = Version::of_work_tree(&base, &digest("4dd02ac76d13ff"));
    assert_eq!(version.to_string(), "0.1.0-dev.4dd02ac76d13");
    assert!(version.is_work_tree() && !base.is_work_tree());
    assert_eq!(Version::parse(version.to_string()).unwrap(), version);
    // an all-numeric identifier must not begin with a zero
    let numeric = Version::of_work_tree(&base, &digest("012345678901a"));
    assert_eq!(numeric.to_string(), "0.1.0-dev.12345678901a");
    for content in ["0000", "1", "00000000000000000000000000000000a"] {
        let version = Version::of_work_tree(&base, &digest(content));
        assert_eq!(Version::parse(version.to_string()).unwrap(), version);
    }
    // the base of a pre-release is its version without it
    let rc: Version = "1.4.0-rc.1".parse().unwrap();
    assert_eq!(
        Version::of_work_tree(&rc, &digest("abc")).to_string(),
        "1.4.0-dev.abc000000000"
    );
}
