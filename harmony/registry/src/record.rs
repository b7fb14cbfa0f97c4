//! Release records: artifacts of the OCI image specification 1.1, one tag for each version.

use async_trait::async_trait;
use bytes::Bytes;
use harmony_core::Context;
use harmony_core::capability::ReleaseRecords;
use harmony_core::capability::oci_registry::{Published, RegistryError};
use harmony_core::outcome::Subject;
use harmony_oci::sha256;
use harmony_types::{Digest, ImageRef, ReleaseUnit, Repository, Version};
use oci_distribution::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;

use crate::artifact::{Artifact, Blob, BlobSource, Manifest};
use crate::auth::Scope;
use crate::client::{OciRegistryClient, Target};
use crate::error::ClientError;
use crate::pull;
use crate::transport::{Call, Transport, api_path, retrying};
use crate::wire::Failure;

/// What the manifest and its one layer say they are.
const RECORD: &str = "application/vnd.harmony.release.v1+json";
/// The config of an artifact that has none (OCI image specification 1.1, "guidance for an empty descriptor").
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const EMPTY_CONTENT: &[u8] = b"{}";

/// The largest record that is read.
const RECORD_LIMIT: u64 = 1024 * 1024;
/// The longest page of tags that is read, how many tags are asked for at once, and how many pages there may be.
const PAGE_LIMIT: u64 = 4 * 1024 * 1024;
const PAGE_SIZE: usize = 1000;
const MAX_PAGES: usize = 100;

fn artifact(record: &[u8]) -> Artifact {
    let blob = |content: Bytes| Blob {
        digest: sha256(&content),
        size: content.len() as u64,
        source: BlobSource::Memory(content),
    };
    let config = blob(Bytes::from_static(EMPTY_CONTENT));
    let content = blob(Bytes::copy_from_slice(record));
    let descriptor = |media_type: &str, blob: &Blob| OciDescriptor {
        media_type: media_type.to_owned(),
        digest: blob.digest.to_string(),
        // A record in memory is far below this limit.
        size: i64::try_from(blob.size).unwrap_or(i64::MAX),
        ..OciDescriptor::default()
    };
    let manifest = OciImageManifest {
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        artifact_type: Some(RECORD.to_owned()),
        config: descriptor(EMPTY, &config),
        layers: vec![descriptor(RECORD, &content)],
        ..OciImageManifest::default()
    };
    let bytes = Bytes::from(serde_json::to_vec(&manifest).expect("texts and numbers serialise"));
    Artifact {
        manifests: vec![Manifest {
            digest: sha256(&bytes),
            media_type: OCI_IMAGE_MEDIA_TYPE.to_owned(),
            bytes,
        }],
        blobs: vec![config, content],
        relative: None,
    }
}

/// The digest of the record that a manifest holds.
fn content_of(manifest: &[u8], reference: &str) -> Result<Digest, ClientError> {
    let not_a_record = |reason: String| ClientError::NotARecord {
        reference: reference.to_owned(),
        reason,
    };
    let manifest: OciImageManifest = serde_json::from_slice(manifest)
        .map_err(|error| not_a_record(format!("its manifest cannot be understood: {error}")))?;
    let layer = manifest
        .layers
        .iter()
        .find(|layer| layer.media_type == RECORD);
    let layer = layer.ok_or_else(|| not_a_record(format!("it has no layer of type `{RECORD}`")))?;
    Digest::parse(&layer.digest).map_err(|error| not_a_record(error.to_string()))
}

#[async_trait]
impl ReleaseRecords for OciRegistryClient {
    async fn push_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
        record: &[u8],
    ) -> Result<Published, RegistryError> {
        let name = self.location().record(unit, version);
        let artifact = artifact(record);
        let digest = artifact.manifests.last().map(|top| top.digest.clone());
        let target = Target {
            registry: name.registry(),
            repository: name.repository(),
            name: &version.to_string(),
            tagged: true,
            named: None,
            reference: name.to_string(),
            subject: Subject::Release(name.clone()),
        };
        let publish = self.publish(target, digest.as_ref(), || std::future::ready(Ok(artifact)));
        self.context().unless_cancelled(publish).await?
    }

    async fn read_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        let name = self.location().record(unit, version);
        self.context()
            .unless_cancelled(read(self.transport(), &name, version))
            .await?
    }

    async fn released_versions(&self, unit: &ReleaseUnit) -> Result<Vec<Version>, RegistryError> {
        // Any version will do: the repository is that of the unit.
        let name = self.location().record(unit, &Version::new(0, 0, 0));
        let listed = versions(self.transport(), self.context(), name.repository());
        self.context().unless_cancelled(listed).await?
    }
}

async fn read(
    transport: &Transport,
    name: &ImageRef,
    version: &Version,
) -> Result<Option<Vec<u8>>, RegistryError> {
    let scope = Scope::pull(name.repository().clone());
    let reference = name.to_string();
    let manifest = match pull::manifest(transport, &scope, &version.to_string(), &reference).await {
        Err(RegistryError::NotFound { .. }) => return Ok(None),
        manifest => manifest?,
    };
    let digest = content_of(&manifest.bytes, &reference)?;
    let record = pull::small_blob(transport, &scope, &digest, RECORD_LIMIT).await?;
    Ok(Some(record.to_vec()))
}

#[derive(Deserialize)]
struct Page {
    /// Some registries write `null` for a repository without tags.
    tags: Option<Vec<String>>,
}

/// The tags that are versions, over all pages.
async fn versions(
    transport: &Transport,
    context: &Context,
    repository: &Repository,
) -> Result<Vec<Version>, RegistryError> {
    let scope = Scope::pull(repository.clone());
    let mut versions = Vec::new();
    let mut path = api_path(repository, &format!("tags/list?n={PAGE_SIZE}"));
    for _ in 0..MAX_PAGES {
        context.check_cancelled()?;
        let Some((tags, next)) = retrying(|| page(transport, &scope, &path)).await? else {
            return Ok(versions);
        };
        let parsed = tags.iter().filter_map(|tag| Version::parse(tag).ok());
        versions.extend(parsed.filter(|version| !version.is_work_tree()));
        match next {
            Some(next) => path = next,
            None => return Ok(versions),
        }
    }
    let what = format!("the tags of `{repository}`");
    let limit = (MAX_PAGES * PAGE_SIZE) as u64;
    Err(ClientError::TooLarge { what, limit }.into())
}

/// One page of tags, and the path of the next; `None` for a repository that does not exist.
async fn page(
    transport: &Transport,
    scope: &Scope,
    path: &str,
) -> Result<Option<(Vec<String>, Option<String>)>, Failure> {
    let operation = format!("listing the tags of `{}`", scope.repository);
    let call = Call::new(Method::GET, path, scope.clone(), operation.clone());
    let response = transport.send(&call).await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        _ => return Err(transport.rejection(&call, response).await),
    }
    let next = next_page(&response);
    let what = format!("the tags of `{}`", scope.repository);
    let bytes = transport.wire().body(response, &what, PAGE_LIMIT).await?;
    let page: Page = serde_json::from_slice(&bytes)
        .map_err(|error| transport.nonsense(&operation, format!("no list of tags: {error}")))?;
    Ok(Some((page.tags.unwrap_or_default(), next)))
}

/// Where the header `Link: </v2/...?last=...>; rel="next"` leads (distribution specification, "listing tags"). Only path
/// and query count: a registry behind a proxy may name a host that is its own alone.
fn next_page(response: &Response) -> Option<String> {
    let link = response
        .headers()
        .get(reqwest::header::LINK)?
        .to_str()
        .ok()?;
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    if !parameters.replace('"', "").contains("rel=next") {
        return None;
    }
    let base = Url::parse("https://registry.invalid").ok()?;
    let url = base.join(target).ok()?;
    let query = url.query().map(|query| format!("?{query}"));
    Some(format!("{}{}", url.path(), query.unwrap_or_default()))
}
