//! Charts as Helm stores them in OCI registries: `Chart.yaml` is the config, the archive is the only layer.

use std::collections::BTreeMap;

use bytes::Bytes;
use harmony_core::chart::PackagedChart;
use harmony_types::{ChartName, ChartRef, Digest, Version};
use jiff::Timestamp;
use oci_distribution::manifest::{OCI_IMAGE_MEDIA_TYPE, OciImageManifest};
use serde_json::Value;

use crate::answer;
use crate::artifact::{Artifact, Blob, described};
use crate::error::ClientError;

/// The media type of the `Chart.yaml` (Helm, HIP 6).
pub(crate) const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
/// The media type of the archive (Helm, HIP 6).
pub(crate) const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";
const CREATED: &str = "org.opencontainers.image.created";
const DESCRIPTION: &str = "org.opencontainers.image.description";

/// The manifest and blobs of a chart. The same chart always gives the same bytes: the time is that of the commit, and
/// maps are sorted.
pub(crate) fn artifact(chart: &PackagedChart, to: &ChartRef) -> Result<Artifact, ClientError> {
    let other = || ClientError::OtherChart {
        chart: format!("{} {}", chart.name, chart.version),
        reference: to.to_string(),
    };
    if chart.name != *to.name() || chart.version != *to.version() {
        return Err(other());
    }
    let config = Blob::of_bytes(Bytes::from(sorted(&chart.metadata).to_string()));
    let content = Blob::of_bytes(Bytes::copy_from_slice(&chart.archive));
    let created = Timestamp::from_second(chart.created).map_err(|_| other())?;
    let mut annotations = BTreeMap::from([
        (TITLE.to_owned(), chart.name.to_string()),
        (VERSION.to_owned(), chart.version.to_string()),
        (CREATED.to_owned(), created.to_string()),
    ]);
    if let Some(description) = chart.metadata.get("description").and_then(Value::as_str) {
        annotations.insert(DESCRIPTION.to_owned(), description.to_owned());
    }
    let manifest = OciImageManifest {
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        config: config.descriptor(CONFIG),
        layers: vec![content.descriptor(CONTENT)],
        annotations: Some(annotations),
        ..OciImageManifest::default()
    };
    Artifact::of_blobs(&manifest, vec![config, content]).map_err(|_| other())
}

/// The content of a chart's manifest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// The `Chart.yaml` and its size.
    pub(crate) config: (Digest, u64),
    /// The archive and its size.
    pub(crate) content: (Digest, u64),
    pub(crate) created: i64,
}

/// Parses the manifest of a chart.
pub(crate) fn parts(manifest: &[u8], reference: &str) -> Result<Parts, ClientError> {
    let no = |reason: String| ClientError::NotAChart {
        reference: reference.to_owned(),
        reason: answer::shown(&reason),
    };
    let manifest: OciImageManifest = serde_json::from_slice(manifest)
        .map_err(|error| no(format!("cannot parse its manifest: {error}")))?;
    if manifest.config.media_type != CONFIG {
        return Err(no(format!(
            "its config is `{}`",
            manifest.config.media_type
        )));
    }
    let content = manifest
        .layers
        .iter()
        .find(|layer| layer.media_type == CONTENT)
        .ok_or_else(|| no("it has no archive".into()))?;
    let created = manifest
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(CREATED)?.parse::<Timestamp>().ok());
    Ok(Parts {
        config: described(&manifest.config).map_err(&no)?,
        content: described(content).map_err(&no)?,
        // Charts of others may have no time; use the epoch instead.
        created: created.map_or(0, Timestamp::as_second),
    })
}

/// Builds a chart from its parts, whose digests were verified.
///
/// Name and version are used in file names and arguments of programs, so they must be those that were requested.
pub(crate) fn packaged(
    parts: Parts,
    config: &[u8],
    content: &[u8],
    asked: &ChartRef,
) -> Result<PackagedChart, ClientError> {
    let no = |reason: String| ClientError::NotAChart {
        reference: asked.to_string(),
        reason: answer::shown(&reason),
    };
    let metadata: Value = serde_json::from_slice(config)
        .map_err(|error| no(format!("cannot parse its config: {error}")))?;
    let field = |name: &str| {
        metadata
            .get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| no(format!("its config has no `{name}`")))
    };
    let name = ChartName::parse(field("name")?).map_err(|error| no(error.to_string()))?;
    let version = Version::parse(field("version")?).map_err(|error| no(error.to_string()))?;
    if name != *asked.name() || version != *asked.version() {
        return Err(no(format!("its config is that of `{name} {version}`")));
    }
    Ok(PackagedChart {
        name,
        version,
        archive: content.into(),
        archive_digest: parts.content.0,
        created: parts.created,
        metadata,
    })
}

/// Sorts the keys of every JSON object: whether `serde_json` sorts them depends on features that other crates enable,
/// and must not change a digest.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            let fields = fields
                .into_iter()
                .map(|(key, value)| (key.clone(), sorted(value)));
            Value::Object(fields.collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use harmony_oci::sha256;
    use serde_json::json;

    use super::*;

    fn chart() -> PackagedChart {
        let archive: &[u8] = b"the archive";
        PackagedChart {
            name: "operator".parse().expect("a name"),
            version: Version::parse("0.1.0").expect("a version"),
            metadata: json!({"version": "0.1.0", "name": "operator", "apiVersion": "v2", "description": "It operates"}),
            archive: archive.into(),
            archive_digest: sha256(archive),
            created: 1_767_225_600,
        }
    }

    fn reference(text: &str) -> ChartRef {
        ChartRef::parse(text).expect("a chart reference")
    }

    #[test]
    fn a_chart_survives_the_way_through_its_manifest() {
        let chart = chart();
        let to = reference("oci://localhost:5000/fleet/operator:0.1.0");
        let artifact = artifact(&chart, &to).expect("an artifact");
        let manifest = &artifact.manifests[0];
        let parts = parts(&manifest.bytes, "it").expect("a chart's manifest");
        assert_eq!(parts.content, (chart.archive_digest.clone(), 11));
        let config = chart.metadata.to_string();
        let back = packaged(parts, config.as_bytes(), &chart.archive, &to).expect("a chart");
        assert_eq!(back, chart);
    }

    #[test]
    fn the_bytes_of_the_manifest_are_settled() {
        let to = reference("oci://localhost:5000/fleet/operator:0.1.0");
        let artifact = artifact(&chart(), &to).expect("an artifact");
        let text = String::from_utf8(artifact.manifests[0].bytes.to_vec()).expect("text");
        assert_eq!(
            text,
            concat!(
                r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
                r#""config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"sha256:"#,
                r#"3dd14efde050497d4a28bb285292547dc71745b3559d97af6d89ee4fbc3d0e44","size":83},"#,
                r#""layers":[{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip","#,
                r#""digest":"sha256:c8d18c54d108f4f0237eb4e1c4473cfd3dbd267afe97c2d967003bda0f546e08","size":11}],"#,
                r#""annotations":{"org.opencontainers.image.created":"2026-01-01T00:00:00Z","#,
                r#""org.opencontainers.image.description":"It operates","#,
                r#""org.opencontainers.image.title":"operator","org.opencontainers.image.version":"0.1.0"}}"#
            )
        );
    }

    #[test]
    fn a_chart_goes_nowhere_but_under_its_own_name() {
        for to in [
            "oci://localhost:5000/fleet/other:0.1.0",
            "oci://localhost:5000/fleet/operator:0.2.0",
        ] {
            let error = artifact(&chart(), &reference(to)).expect_err("another name");
            assert_eq!(
                error.to_string(),
                format!("the chart `operator 0.1.0` cannot be pushed as `{to}`")
            );
        }
    }

    #[test]
    fn a_chart_that_says_it_is_another_is_refused() {
        let asked = reference("oci://localhost:5000/fleet/operator:0.1.0");
        let parts = || Parts {
            config: (sha256(b""), 0),
            content: (sha256(b""), 0),
            created: 0,
        };
        let refused: Vec<String> = [
            json!({"name": "--set-file=x=/root/.ssh/id_ed25519", "version": "0.1.0"}),
            json!({"name": "../operator", "version": "0.1.0"}),
            json!({"name": "other", "version": "0.1.0"}),
            json!({"name": "operator", "version": "0.2.0"}),
            json!({"name": "operator", "version": "--version"}),
            json!({"name": "operator\u{1b}[2J", "version": "0.1.0"}),
            json!({"name": "x".repeat(5000), "version": "0.1.0"}),
            json!({"name": ["operator"], "version": "0.1.0"}),
        ]
        .iter()
        .map(|config| {
            let config = config.to_string();
            let refused = packaged(parts(), config.as_bytes(), b"", &asked);
            refused.expect_err(&config).to_string()
        })
        .collect();
        insta::assert_snapshot!(refused.join("\n"), @r"
        `oci://localhost:5000/fleet/operator:0.1.0` is not a Helm chart: chart name `--set-file=x=/root/.ssh/id_ed25519` has `=` at position 11, which is not allowed
        `oci://localhost:5000/fleet/operator:0.1.0` is not a Helm chart: chart name `../operator` has `/` at position 3, which is not allowed
        `oci://localhost:5000/fleet/operator:0.1.0` is not a Helm chart: its config is that of `other 0.1.0`
        `oci://localhost:5000/fleet/operator:0.1.0` is not a Helm chart: its config is that of `operator 0.2.0`
        `oci://localhost:5000/fleet/operator:0.1.0` is not a Helm chart: version `--version` is not a semantic version: unexpected character '-' while parsing major version number
        `oci://localhost:5000/fleet/operator:0.1.0` is not a Helm chart: chart name `operator\u{1b}[2J` has `\u{1b}` at position 9, which is not allowed
        `oci://localhost:5000/fleet/operator:0.1.0` is not a Helm chart: chart name `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…` is 5000 bytes long, but the limit is 250
        `oci://localhost:5000/fleet/operator:0.1.0` is not a Helm chart: its config has no `name`
        ");
    }

    #[test]
    fn an_image_is_no_chart() {
        let manifest = json!({
            "schemaVersion": 2,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:00", "size": 2},
            "layers": []
        });
        let error = parts(manifest.to_string().as_bytes(), "r/x:1").expect_err("an image");
        assert_eq!(
            error.to_string(),
            "`r/x:1` is not a Helm chart: its config is `application/vnd.oci.image.config.v1+json`"
        );
    }
}
