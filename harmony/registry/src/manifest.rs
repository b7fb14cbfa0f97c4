//! Resolves, reads and writes manifests.

use std::time::Duration;

use bytes::Bytes;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_oci::contents::media;
use harmony_oci::hash::digest_like;
use harmony_oci::sha256;
use harmony_types::Digest;
use reqwest::header::{ACCEPT, HeaderMap};
use reqwest::{Method, StatusCode};

use crate::answer::Unwanted;
use crate::artifact::Manifest;
use crate::error::ClientError;
use crate::scope::Scope;
use crate::transport::{Call, Payload, Transport, api_path, retrying};
use crate::wire::{Failure, Retry};

/// The maximum size of a manifest; the specification requires registries to accept 4 MiB.
const LIMIT: u64 = 4 * 1024 * 1024;
const KINDS: [&str; 4] = [
    media::MANIFEST,
    media::INDEX,
    media::DOCKER_MANIFEST,
    media::DOCKER_INDEX,
];

/// The pauses between looks for what was just written: a registry of several machines may need a moment until each of them
/// knows it.
pub(crate) const APPEARING: [Duration; 6] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(3),
];

/// The digest of `name`, a tag or a digest; `None` if there is no such manifest.
pub(crate) async fn resolve(
    transport: &Transport,
    scope: &Scope,
    name: &str,
) -> Result<Option<Digest>, RegistryError> {
    let is_known = transport.has_published(&scope.repository, name);
    appearing(is_known, || head(transport, scope, name)).await
}

/// Reads a manifest by tag or digest; `None` when there is none.
pub(crate) async fn read(
    transport: &Transport,
    scope: &Scope,
    name: &str,
) -> Result<Option<Manifest>, RegistryError> {
    let is_known = transport.has_published(&scope.repository, name);
    appearing(is_known, || get(transport, scope, name)).await
}

/// Like [`read`]; as in [`head`], denied access counts as not found if our login was not refused.
pub(crate) async fn read_if_there(
    transport: &Transport,
    scope: &Scope,
    name: &str,
) -> Result<Option<Manifest>, RegistryError> {
    match read(transport, scope, name).await {
        Err(error) => unless_unknown(transport, scope, error.into())
            .await
            .map(|()| None)
            .map_err(|failure| failure.error),
        found => found,
    }
}

/// Looks several times for what is known to be there.
async fn appearing<T, F>(
    is_known: bool,
    mut look: impl FnMut() -> F,
) -> Result<Option<T>, RegistryError>
where
    F: Future<Output = Result<Option<T>, Failure>>,
{
    let mut pauses = APPEARING.into_iter().take_while(|_| is_known);
    loop {
        if let Some(found) = retrying(&mut look).await? {
            return Ok(Some(found));
        }
        match pauses.next() {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Ok(None),
        }
    }
}

/// Like [`resolve`], without retries.
///
/// Some registries deny access to what does not exist. If our login was not refused, that counts as not found; the push
/// itself finds out whether we may push.
pub(crate) async fn head(
    transport: &Transport,
    scope: &Scope,
    name: &str,
) -> Result<Option<Digest>, Failure> {
    match ask(transport, scope, name).await {
        Err(failure) => unless_unknown(transport, scope, failure)
            .await
            .map(|()| None),
        answer => answer,
    }
}

/// The error, unless it may mean that the content does not exist: our login works for this registry, but access was
/// denied.
pub(crate) async fn unless_unknown(
    transport: &Transport,
    scope: &Scope,
    failure: Failure,
) -> Result<(), Failure> {
    let is_denied = matches!(failure.error, RegistryError::Denied { .. });
    if is_denied && transport.takes_our_login(scope).await? {
        Ok(())
    } else {
        Err(failure)
    }
}

async fn ask(transport: &Transport, scope: &Scope, name: &str) -> Result<Option<Digest>, Failure> {
    let call = reading(Method::HEAD, scope, name);
    let response = transport.send(&call).await?;
    match response.status() {
        StatusCode::OK => match digest_header(response.headers()) {
            Some(digest) => Ok(Some(digest)),
            None => by_content(transport, scope, name).await,
        },
        StatusCode::NOT_FOUND => Ok(None),
        // A proxy without support for HEAD.
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            by_content(transport, scope, name).await
        }
        _ => Err(transport.rejection(&call, response).await),
    }
}

/// Reads a manifest; `None` if there is none. Content read by digest is verified.
pub(crate) async fn get(
    transport: &Transport,
    scope: &Scope,
    name: &str,
) -> Result<Option<Manifest>, Failure> {
    let call = reading(Method::GET, scope, name);
    let response = transport.send(&call).await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        _ => return Err(transport.rejection(&call, response).await),
    }
    let what = format!("the manifest of `{}:{name}`", scope.repository);
    let said = digest_header(response.headers());
    let media_type = response
        .headers()
        .get(reqwest::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let bytes = transport.wire().body(response, &what, LIMIT).await?;
    let expected = Digest::parse(name).ok().or(said);
    let digest = checked(&what, expected, &bytes)?;
    Ok(Some(Manifest {
        digest,
        media_type,
        bytes,
    }))
}

/// Writes a manifest under `name`, a tag or its digest. Everything it references must exist.
pub(crate) async fn put(
    transport: &Transport,
    scope: &Scope,
    name: &str,
    manifest: &Manifest,
) -> Result<(), Failure> {
    let path = api_path(&scope.repository, &format!("manifests/{name}"));
    let operation = format!("pushing to `{}`", scope.repository);
    let call =
        Call::new(Method::PUT, path, scope.clone(), operation).with_payload(Payload::Bytes {
            content_type: manifest.media_type.clone(),
            bytes: manifest.bytes.clone(),
        });
    let response = transport.send(&call).await?;
    match response.status() {
        StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED => Ok(()),
        _ => {
            let unwanted = Unwanted::read(transport.wire(), response).await;
            let mut failure = transport.judgement(&call, &unwanted).await;
            // A distributed registry may need a moment until every node knows what was just sent.
            if unwanted.has_code(&["BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN"]) {
                failure.retry = Retry::After(None);
            }
            Err(failure)
        }
    }
}

fn reading(method: Method, scope: &Scope, name: &str) -> Call {
    let path = api_path(&scope.repository, &format!("manifests/{name}"));
    let operation = format!("reading `{}:{name}`", scope.repository);
    KINDS.iter().fold(
        Call::new(method, path, scope.clone(), operation),
        |call, kind| call.with_header(ACCEPT, kind),
    )
}

async fn by_content(
    transport: &Transport,
    scope: &Scope,
    name: &str,
) -> Result<Option<Digest>, Failure> {
    let manifest = get(transport, scope, name).await?;
    Ok(manifest.map(|manifest| manifest.digest))
}

fn digest_header(headers: &HeaderMap) -> Option<Digest> {
    let value = headers.get("docker-content-digest")?.to_str().ok()?;
    Digest::parse(value).ok()
}

/// The digest of `bytes`, which must be the expected one if that is known. A truncated or corrupt answer is retried.
fn checked(what: &str, expected: Option<Digest>, bytes: &Bytes) -> Result<Digest, Failure> {
    let Some(expected) = expected else {
        return Ok(sha256(bytes));
    };
    let received = digest_like(&expected, bytes);
    if received == expected {
        Ok(received)
    } else {
        Err(Failure::transient(ClientError::Corrupt {
            what: what.to_owned(),
            expected,
            received,
        }))
    }
}
