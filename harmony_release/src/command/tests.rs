use std::time::{Duration, Instant};

use harmony_core::Diagnostic;
use harmony_core::diagnostic::FailureKind;
use harmony_core::image::ImageSource;
use harmony_core::verify::Checks;
use harmony_types::ReleaseUnit;

use super::*;
use crate::app_spec::VersionSource;
use harmony_charts::ChartSource;

fn app(app: &str, component: &str) -> Arc<AppSpec> {
    Arc::new(AppSpec {
        unit: ReleaseUnit::new(app.parse().unwrap(), component.parse().unwrap()).unwrap(),
        // the project does not exist: a tag is checked before any file is read
        project_root: "/nonexistent".into(),
        version: VersionSource::Crate("nothing".into()),
        image: ImageSource::dockerfile("Dockerfile"),
        bundled: Vec::new(),
        chart: ChartSource::None,
        smoke: Checks::readiness_alone(),
    })
}

fn apps() -> Vec<Arc<AppSpec>> {
    vec![
        app("harmony", "fleet"),
        app("harmony-fleet", "operator"),
        app("harmony-fleet", "agent"),
        app("harmony-fleet", "operator-webhook"),
        app("shop", "web"),
    ]
}

fn args(tag: &str) -> ReleaseArgs {
    ReleaseArgs {
        release: true,
        from_tag: Some(tag.into()),
    }
}

#[test]
fn a_tag_finds_its_app_by_the_longest_name() {
    for (tag, unit, version) in [
        (
            "harmony-fleet-operator-v0.3.1",
            "harmony-fleet-operator",
            "0.3.1",
        ),
        ("harmony-fleet-v0.3.1", "harmony-fleet", "0.3.1"),
        (
            "harmony-fleet-operator-webhook-v1.0.0-rc.1",
            "harmony-fleet-operator-webhook",
            "1.0.0-rc.1",
        ),
        ("shop-web-v10.20.30-v1", "shop-web", "10.20.30-v1"),
    ] {
        let (app, found) = from_tag(&apps(), tag).unwrap();
        assert_eq!(
            (app.unit.as_str(), found.to_string().as_str()),
            (unit, version),
            "{tag}"
        );
    }
}

#[test]
fn every_bad_tag_is_refused_at_once_and_told_what_would_match() {
    let bad = [
        "",
        " ",
        "v1.0.0",
        "1.0.0",
        "latest",
        "main",
        "harmony-fleet-operator",
        "harmony-fleet-operator-",
        "harmony-fleet-operator-v",
        "harmony-fleet-operator-v1",
        "harmony-fleet-operator-v1.0",
        "harmony-fleet-operator-1.0.0",
        "harmony-fleet-operator-v1.0.0.0",
        "harmony-fleet-operator-v01.0.0",
        "harmony-fleet-operator-v1.0.0+build",
        "harmony-fleet-operator-v1.0.0-",
        "harmony-fleet-operator-v1.0.0-01",
        "harmony-fleet-operator-vv1.0.0",
        "harmony-fleet-operator_v1.0.0",
        "harmony-fleet-operator/v1.0.0",
        "harmony-fleet-operator@1.0.0",
        "harmony-fleet-operator-V1.0.0",
        "Harmony-fleet-operator-v1.0.0",
        "harmony-fleet-operater-v1.0.0",
        "fleet-operator-v1.0.0",
        "harmony-v1.0.0",
        "harmony-fleet-server-v1.0.0",
        "-harmony-fleet-operator-v1.0.0",
        "harmony--fleet-operator-v1.0.0",
        "refs/tags/harmony-fleet-operator-v1.0.0",
        "refs/heads/main",
        "harmony-fleet-operator-v1.0.0 ",
        " harmony-fleet-operator-v1.0.0",
        "harmony-fleet-operator-v1.0.0\n",
        "harmony-fleet-operator-v1.0.0; rm -rf /",
        "härmony-fleet-operator-v1.0.0",
        "harmony-fleet-operator-v99999999999999999999.0.0",
        "harmony-fleet-operator-v-1.0.0",
        "$TAG",
        "--plan",
        "../harmony-fleet-operator-v1.0.0",
        "harmony-fleet-operator-v1.0.0-rc..1",
        "\u{0}",
        "harmony-fleet-operator-v1.0.0-dev.4dd02ac76d13",
        "-v1.0.0",
    ];
    assert!(bad.len() >= 30);
    let long = "a".repeat(100_000);
    let began = Instant::now();
    for tag in bad.into_iter().chain([long.as_str()]) {
        let error = args(tag).score(&apps()).expect_err(tag);
        assert!(matches!(error, ReleaseError::Tag(_)), "{tag:?}: {error:?}");
        assert_eq!(error.code().to_string(), "H0230");
        assert_eq!(error.kind(), FailureKind::Refused);
        let hint = error.hints().join("\n");
        assert!(hint.contains("shop-web-v<semver>"), "{tag:?}: {hint}");
        assert!(hint.len() < 1_000, "{tag:?}: {hint}");
    }
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn the_nearest_tag_is_named_first() {
    for (tag, nearest) in [
        (
            "harmony-fleet-operater-v1.0.0",
            "harmony-fleet-operator-v<semver>",
        ),
        ("fleet-agent-v1.0.0", "harmony-fleet-agent-v<semver>"),
        ("shop-v1.0.0", "shop-web-v<semver>"),
    ] {
        let Err(ReleaseError::Tag(error)) = from_tag(&apps(), tag) else {
            panic!("{tag} is refused");
        };
        assert_eq!(
            error.expected.first().map(String::as_str),
            Some(nearest),
            "{tag}"
        );
    }
}

#[test]
fn apps_of_one_name_are_refused_before_any_tag_is_read() {
    let twice = [app("shop", "web"), app("shop", "web")];
    let error = from_tag(&twice, "shop-web-v1.0.0").unwrap_err();
    assert_eq!(error.code().to_string(), "H0501");
}

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    release: ReleaseArgs,
}

#[test]
fn a_release_without_a_tag_is_an_error_of_usage() {
    use clap::Parser;
    for bad in [vec!["--release"], vec!["--from-tag", "shop-web-v1.0.0"]] {
        let refused = Cli::try_parse_from(std::iter::once("app").chain(bad.clone()));
        assert_eq!(refused.err().map(|e| e.exit_code()), Some(2), "{bad:?}");
    }
    let none = Cli::try_parse_from(["app"]).ok().unwrap();
    assert!(none.release.score(&apps()).unwrap().is_none());
    let some = Cli::try_parse_from(["app", "--release", "--from-tag", "shop-web-v1.0.0"]);
    assert!(some.ok().unwrap().release.score(&apps()).unwrap().is_some());
}
