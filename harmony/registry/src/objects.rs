//! The objects of charts, in the artifacts that Flux pulls: an empty config, and an archive as the only layer.

use std::collections::BTreeMap;

use bytes::Bytes;
use harmony_core::capability::oci_registry::{Published, RegistryError, RegistryLocation};
use harmony_core::chart::{PackagedObjects, PublishedObjects};
use harmony_core::outcome::Subject;
use harmony_types::{ChartRef, Digest};
use jiff::Timestamp;
use oci_distribution::manifest::{OCI_IMAGE_MEDIA_TYPE, OciImageManifest};

use crate::answer;
use crate::artifact::{Artifact, Blob, described};
use crate::client::{CHART_LIMIT, OciRegistryClient, Target};
use crate::error::ClientError;
use crate::manifest;
use crate::pull;
use crate::scope::Scope;

/// The media types that Flux's own command writes.
const CONFIG: &str = "application/vnd.cncf.flux.config.v1+json";
const CONTENT: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";
const CONFIG_CONTENT: &[u8] = b"{}";

const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";
const CREATED: &str = "org.opencontainers.image.created";

/// The same objects always give the same bytes.
fn artifact(objects: &PackagedObjects, of: &ChartRef) -> Artifact {
    let config = Blob::of_bytes(Bytes::from_static(CONFIG_CONTENT));
    let content = Blob::of_bytes(Bytes::copy_from_slice(&objects.archive));
    let created = Timestamp::from_second(objects.created).unwrap_or(Timestamp::UNIX_EPOCH);
    let annotations = [
        (TITLE, of.name().to_string()),
        (VERSION, of.version().to_string()),
        (CREATED, created.to_string()),
    ];
    let annotations = annotations.map(|(key, value)| (key.to_owned(), value));
    let manifest = OciImageManifest {
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        config: config.descriptor(CONFIG),
        layers: vec![content.descriptor(CONTENT)],
        annotations: Some(BTreeMap::from(annotations)),
        ..OciImageManifest::default()
    };
    Artifact::of_blobs(&manifest, vec![config, content]).expect("texts and numbers serialise")
}

/// The digest and the size of the archive in a manifest, and its time.
fn content_of(manifest: &[u8], reference: &str) -> Result<((Digest, u64), i64), ClientError> {
    let no = |reason: String| ClientError::NotObjects {
        reference: reference.to_owned(),
        reason: answer::shown(&reason),
    };
    let manifest: OciImageManifest = serde_json::from_slice(manifest)
        .map_err(|error| no(format!("cannot parse its manifest: {error}")))?;
    let mut layers = manifest.layers.iter();
    let layer = layers.find(|layer| layer.media_type == CONTENT);
    let layer = layer.ok_or_else(|| no(format!("it has no layer of type `{CONTENT}`")))?;
    let annotations = manifest.annotations.unwrap_or_default();
    let created = annotations.get(CREATED).and_then(|time| time.parse().ok());
    let created = created.map_or(0, Timestamp::as_second);
    Ok((described(layer).map_err(no)?, created))
}

impl OciRegistryClient {
    pub(crate) async fn publish_objects(
        &self,
        objects: &PackagedObjects,
        of: &ChartRef,
    ) -> Result<Option<Published>, RegistryError> {
        let Some(name) = RegistryLocation::objects(of) else {
            return Ok(None);
        };
        let artifact = artifact(objects, of);
        let digest = artifact.manifests.last().map(|top| top.digest.clone());
        let target = Target {
            registry: name.registry(),
            repository: name.repository(),
            name: &of.version().to_string(),
            tagged: true,
            named: None,
            reference: name.to_string(),
            subject: Subject::Objects(name.clone()),
        };
        let content = || std::future::ready(Ok(artifact));
        self.publish(target, digest.as_ref(), content)
            .await
            .map(Some)
    }

    pub(crate) async fn read_objects(
        &self,
        of: &ChartRef,
    ) -> Result<Option<PublishedObjects>, RegistryError> {
        let Some(name) = RegistryLocation::objects(of) else {
            return Ok(None);
        };
        self.check_registry(name.registry(), &name.to_string())?;
        let (transport, scope) = (self.transport(), Scope::pull(name.repository().clone()));
        let tag = of.version().to_string();
        let Some(manifest) = manifest::read_if_there(transport, &scope, &tag).await? else {
            return Ok(None);
        };
        let (content, created) = content_of(&manifest.bytes, &name.to_string())?;
        let archive = pull::small_blob(transport, &scope, content, CHART_LIMIT).await?;
        Ok(Some(PublishedObjects {
            digest: manifest.digest,
            objects: PackagedObjects {
                archive: archive.to_vec().into(),
                created,
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects() -> PackagedObjects {
        PackagedObjects {
            archive: (&b"the archive"[..]).into(),
            created: 1_767_225_600,
        }
    }

    #[test]
    fn the_bytes_of_the_manifest_are_settled_and_read_back() {
        let of =
            ChartRef::parse("oci://localhost:5000/fleet/charts/operator:0.1.0").expect("a chart");
        let artifact = artifact(&objects(), &of);
        let bytes = &artifact.manifests[0].bytes;
        assert_eq!(
            String::from_utf8(bytes.to_vec()).expect("text"),
            concat!(
                r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
                r#""config":{"mediaType":"application/vnd.cncf.flux.config.v1+json","digest":"sha256:"#,
                r#"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"#,
                r#""layers":[{"mediaType":"application/vnd.cncf.flux.content.v1.tar+gzip","#,
                r#""digest":"sha256:c8d18c54d108f4f0237eb4e1c4473cfd3dbd267afe97c2d967003bda0f546e08","size":11}],"#,
                r#""annotations":{"org.opencontainers.image.created":"2026-01-01T00:00:00Z","#,
                r#""org.opencontainers.image.title":"operator","org.opencontainers.image.version":"0.1.0"}}"#
            )
        );
        let ((_, size), created) = content_of(bytes, "it").expect("objects");
        assert_eq!((size, created), (11, objects().created));
        let error = content_of(
            br#"{"schemaVersion":2,"config":{"mediaType":"x","digest":"y","size":1},"layers":[]}"#,
            "it",
        );
        assert!(
            error
                .expect_err("no objects")
                .to_string()
                .starts_with("`it` has no objects")
        );
    }
}
