//! Release records: artifacts of the OCI image specification 1.1, one tag per version.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use harmony_core::Context;
use harmony_core::capability::ReleaseRecords;
use harmony_core::capability::oci_registry::{Published, RegistryError};
use harmony_core::outcome::Subject;
use harmony_types::{Digest, ImageRef, ReleaseUnit, Repository, Version};
use oci_distribution::manifest::{OCI_IMAGE_MEDIA_TYPE, OciImageManifest};
use reqwest::header::{HeaderMap, LINK};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use crate::answer;
use crate::artifact::{Artifact, Blob, described};
use crate::client::{OciRegistryClient, Target};
use crate::error::ClientError;
use crate::manifest::{self, unless_unknown};
use crate::pull;
use crate::scope::Scope;
use crate::transport::{Call, Transport, api_path, retrying};
use crate::wire::Failure;

/// The types of the manifest and its layer.
const RECORD: &str = "application/vnd.harmony.release.v1+json";
/// The config of an artifact that has none (OCI image specification 1.1, "guidance for an empty descriptor").
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const EMPTY_CONTENT: &[u8] = b"{}";

/// The maximum size of a record.
const RECORD_LIMIT: u64 = 1024 * 1024;
/// The maximum size of a page of tags, the number of tags requested at once, and the maximum number of pages.
const PAGE_LIMIT: u64 = 4 * 1024 * 1024;
const PAGE_SIZE: usize = 1000;
const MAX_PAGES: usize = 100;

fn artifact(record: &[u8]) -> Artifact {
    let config = Blob::of_bytes(Bytes::from_static(EMPTY_CONTENT));
    let content = Blob::of_bytes(Bytes::copy_from_slice(record));
    let manifest = OciImageManifest {
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        artifact_type: Some(RECORD.to_owned()),
        config: config.descriptor(EMPTY),
        layers: vec![content.descriptor(RECORD)],
        ..OciImageManifest::default()
    };
    Artifact::of_blobs(&manifest, vec![config, content]).expect("texts and numbers serialise")
}

/// The digest of the record in a manifest, and its size.
fn content_of(manifest: &[u8], reference: &str) -> Result<(Digest, u64), ClientError> {
    let not_a_record = |reason: String| ClientError::NotARecord {
        reference: reference.to_owned(),
        reason: answer::shown(&reason),
    };
    let manifest: OciImageManifest = serde_json::from_slice(manifest)
        .map_err(|error| not_a_record(format!("cannot parse its manifest: {error}")))?;
    let layer = manifest
        .layers
        .iter()
        .find(|layer| layer.media_type == RECORD);
    let layer = layer.ok_or_else(|| not_a_record(format!("it has no layer of type `{RECORD}`")))?;
    described(layer).map_err(not_a_record)
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
    let name = version.to_string();
    let Some(manifest) = manifest::read_if_there(transport, &scope, &name).await? else {
        return Ok(None);
    };
    let content = content_of(&manifest.bytes, &reference)?;
    let record = pull::small_blob(transport, &scope, content, RECORD_LIMIT).await?;
    Ok(Some(record.to_vec()))
}

#[derive(Deserialize)]
struct Page {
    /// Some registries return `null` for a repository without tags.
    tags: Option<Vec<String>>,
}

/// The tags that are versions, from all pages.
async fn versions(
    transport: &Transport,
    context: &Context,
    repository: &Repository,
) -> Result<Vec<Version>, RegistryError> {
    let scope = Scope::pull(repository.clone());
    let mut versions = BTreeSet::new();
    let mut path = api_path(repository, &format!("tags/list?n={PAGE_SIZE}"));
    let mut seen = BTreeSet::new();
    // A registry that points back to an earlier page has no more.
    while seen.insert(path.clone()) {
        context.check_cancelled()?;
        if seen.len() > MAX_PAGES {
            let what = format!("the list of tags of `{repository}`");
            let limit = MAX_PAGES as u64 * PAGE_LIMIT;
            return Err(ClientError::TooLarge { what, limit }.into());
        }
        let Some((tags, next)) = retrying(|| page(transport, &scope, &path)).await? else {
            break;
        };
        let parsed = tags.iter().filter_map(|tag| Version::parse(tag).ok());
        versions.extend(parsed.filter(|version| !version.is_work_tree()));
        match next {
            Some(next) => path = next,
            None => break,
        }
    }
    Ok(versions.into_iter().collect())
}

/// One page of tags and the path of the next; `None` for a repository that does not exist.
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
        _ => {
            let failure = transport.rejection(&call, response).await;
            // Some registries deny access to what does not exist.
            return unless_unknown(transport, scope, failure)
                .await
                .map(|()| None);
        }
    }
    let next = next_page(response.url(), response.headers());
    let what = format!("the list of tags of `{}`", scope.repository);
    let bytes = transport.wire().body(response, &what, PAGE_LIMIT).await?;
    let page: Page = serde_json::from_slice(&bytes).map_err(|error| {
        transport.nonsense(
            &operation,
            format!("cannot parse the list of tags: {error}"),
        )
    })?;
    Ok(Some((page.tags.unwrap_or_default(), next)))
}

/// The target of the header `Link: </v2/...?last=...>; rel="next"` (distribution specification, "listing tags"). Only
/// path and query count: a registry behind a proxy may name an internal host.
fn next_page(from: &Url, headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(LINK).into_iter();
    let mut links = links
        .filter_map(|value| value.to_str().ok())
        .flat_map(read_links);
    let target = links.find_map(|(target, is_next)| is_next.then_some(target))?;
    let url = from.join(target).ok()?;
    let query = url.query().map(|query| format!("?{query}"));
    Some(format!("{}{}", url.path(), query.unwrap_or_default()))
}

/// The targets in a `Link` header, each with whether it is the next page (RFC 8288, section 3).
fn read_links(text: &str) -> impl Iterator<Item = (&str, bool)> {
    // A target may contain commas and semicolons, but no `<`.
    text.split('<').skip(1).filter_map(|link| {
        let (target, parameters) = link.split_once('>')?;
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let Some((name, value)) = parameter.split_once('=') else {
                return false;
            };
            let mut relations = value.trim().trim_matches('"').split_whitespace();
            name.trim().eq_ignore_ascii_case("rel")
                && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
        });
        Some((target, is_next))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(links: &[&str]) -> Option<String> {
        let from = "https://r.example.com/v2/a/tags/list?n=2"
            .parse()
            .expect("a URL");
        let links = links
            .iter()
            .map(|link| (LINK, link.parse().expect("a header")));
        let mut headers = HeaderMap::new();
        for (name, value) in links {
            headers.append(name, value);
        }
        next_page(&from, &headers)
    }

    #[test]
    fn the_next_page_is_found_in_every_form() {
        let expected = Some("/v2/a/tags/list?last=1,2;3&n=2".to_owned());
        for links in [
            &["</v2/a/tags/list?last=1,2;3&n=2>; rel=\"next\""][..],
            &["<https://r.example.com/v2/a/tags/list?last=1,2;3&n=2>; rel=next"],
            &["<http://internal:5000/v2/a/tags/list?last=1,2;3&n=2>;rel=\"next\""],
            &["<?last=1,2;3&n=2>; title=\"x\"; REL=\"last next\""],
            &["<list?last=1,2;3&n=2>; rel=\"next\""],
            &["</first>; rel=\"first\", </v2/a/tags/list?last=1,2;3&n=2>; rel=\"next\""],
            &[
                "</first>; rel=first",
                "</v2/a/tags/list?last=1,2;3&n=2>; rel=next",
            ],
        ] {
            assert_eq!(next(links), expected, "{links:?}");
        }
        for links in [
            &[][..],
            &["</x>; rel=\"prev\""],
            &["</x>"],
            &["/x; rel=next"],
            &["<; rel=next"],
        ] {
            assert_eq!(next(links), None, "{links:?}");
        }
    }
}
