use std::error::Error;

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn every_part_is_taken_apart() -> Result<(), ChartRefError> {
    let text = format!("oci://hub.example.com:5000/team/charts/my-app:1.0.0-rc.1@{DIGEST}");
    let chart = ChartRef::parse(&text)?;
    assert_eq!(chart.registry().as_str(), "hub.example.com:5000");
    assert_eq!(chart.project().map(Repository::as_str), Some("team/charts"));
    assert_eq!(chart.name().as_str(), "my-app");
    assert_eq!(chart.version().to_string(), "1.0.0-rc.1");
    assert_eq!(chart.digest().map(Digest::as_str), Some(DIGEST));
    assert_eq!(chart.repository().as_str(), "team/charts/my-app");
    assert_eq!(chart.to_string(), text);
    assert_eq!(
        chart.as_artifact().to_string(),
        text.trim_start_matches("oci://")
    );

    let bare = ChartRef::parse("oci://localhost/app:0.1.0")?;
    assert_eq!(bare.project(), None);
    assert_eq!(bare.as_artifact().to_string(), "localhost/app:0.1.0");
    Ok(())
}

#[test]
fn project_and_name_share_one_limit() -> Result<(), Box<dyn Error>> {
    let registry = RegistryHost::parse("localhost")?;
    let name = ChartName::parse("n".repeat(200))?;
    let project = |length| Repository::parse("p".repeat(length));
    let fits = ChartRef::new(
        registry.clone(),
        Some(project(54)?),
        name.clone(),
        Version::new(1, 0, 0),
    )?;
    assert_eq!(fits.repository().as_str().len(), Repository::MAX_LENGTH);
    let error =
        ChartRef::new(registry, Some(project(55)?), name, Version::new(1, 0, 0)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is 256 bytes long, but the limit is 255")
    );
    Ok(())
}

#[test]
fn what_is_not_a_chart_reference_is_refused_with_a_way_out() {
    for (text, message, source, hint) in [
        (
            "",
            "chart reference `` does not start with `oci://`",
            "",
            "oci://",
        ),
        (
            "https://hub.example.com/a:1.0.0",
            "chart reference `https://hub.example.com/a:1.0.0` does not start with `oci://`",
            "",
            "`oci://hub.example.com/a:1.0.0`",
        ),
        (
            "hub.example.com/a:1.0.0",
            "chart reference `hub.example.com/a:1.0.0` does not start",
            "",
            "`oci://hub.example.com/a:1.0.0`",
        ),
        (
            "oci://hub.example.com",
            "chart reference `oci://hub.example.com` has no chart name",
            "",
            "<name>:<version>",
        ),
        (
            "oci://hub.example.com/:1.0.0",
            "chart reference `oci://hub.example.com/:1.0.0` has no chart name",
            "",
            "<name>",
        ),
        (
            "oci://hub.example.com/a",
            "chart reference `oci://hub.example.com/a` has no version",
            "",
            "<version>",
        ),
        (
            "oci://hub/a:1.0.0",
            "chart reference `oci://hub/a:1.0.0` has an invalid registry host",
            "registry host `hub` is a single word",
            "`hub:443`",
        ),
        (
            "oci://hub.example.com/A/b:1.0.0",
            "chart reference `oci://hub.example.com/A/b:1.0.0` has an invalid path",
            "repository `A` has",
            "`a`",
        ),
        (
            "oci://hub.example.com//b:1.0.0",
            "chart reference `oci://hub.example.com//b:1.0.0` has an invalid path",
            "repository is empty",
            "team/my-app",
        ),
        (
            "oci://hub.example.com/B:1.0.0",
            "chart reference `oci://hub.example.com/B:1.0.0` has an invalid chart name",
            "chart name `B` has",
            "`b`",
        ),
        (
            "oci://hub.example.com/b:latest",
            "chart reference `oci://hub.example.com/b:latest` has an invalid version",
            "version `latest`",
            "three numbers",
        ),
        (
            "oci://hub.example.com/b:1.0.0+x",
            "chart reference `oci://hub.example.com/b:1.0.0+x` has an invalid version",
            "version `1.0.0+x` has build metadata",
            "`1.0.0`",
        ),
        (
            "oci://hub.example.com/b:1.0.0@sha256:0",
            "chart reference `oci://hub.example.com/b:1.0.0@sha256:0` has an invalid digest",
            "digest `sha256:0`",
            "cut off",
        ),
    ] {
        let error = ChartRef::parse(text).expect_err(text);
        assert!(error.to_string().starts_with(message), "{text:?}: {error}");
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(
            cause.starts_with(source) && cause.is_empty() == source.is_empty(),
            "{text:?}: {cause}"
        );
        assert!(error.hint().contains(hint), "{text:?}: {}", error.hint());
    }
}
