//! Sends one blob: skip, mount, or upload.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use harmony_core::capability::oci_registry::RegistryError;
use harmony_types::Repository;
use reqwest::{Method, StatusCode};

use crate::answer::Unwanted;
use crate::artifact::{Blob, Fault};
use crate::error::ClientError;
use crate::scope::Scope;
use crate::transport::{Call, HopTarget, Payload, Target, Transport, api_path, retrying};
use crate::wire::{Failure, Retry};

/// How a blob got into a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It already existed.
    Nothing,
    /// The registry mounted it from another repository.
    Mounted,
    Bytes,
}

/// Sends blobs to one repository.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) scope: &'a Scope,
}

impl Sender<'_> {
    /// Ensures that the repository has the blob. `source` is a repository of the same registry that may have it; `sent`
    /// counts the bytes that are there.
    ///
    /// Safe to retry at any point: an interrupted upload leaves a session that the registry discards.
    pub(crate) async fn ensure(
        self,
        blob: &Blob,
        source: Option<&Repository>,
        sent: &Arc<AtomicU64>,
    ) -> Result<Sent, RegistryError> {
        let fault = Fault::default();
        let result = retrying(|| self.ensure_once(blob, source, sent, &fault)).await;
        match Arc::into_inner(fault).and_then(OnceLock::into_inner) {
            // The request failed because its body detected wrong bytes.
            Some(cause) if result.is_err() => Err(RegistryError::Local {
                what: format!("the image for `{}`", self.scope.repository),
                source: cause.into(),
            }),
            _ => result,
        }
    }

    async fn ensure_once(
        self,
        blob: &Blob,
        source: Option<&Repository>,
        sent: &Arc<AtomicU64>,
        fault: &Fault,
    ) -> Result<Sent, Failure> {
        sent.store(0, Ordering::Relaxed);
        let how = if self.is_there(blob).await? {
            Sent::Nothing
        } else {
            match self.begin(blob, source).await? {
                Begun::Mounted => Sent::Mounted,
                Begun::Session(session) => {
                    self.upload(blob, session, sent, fault).await?;
                    Sent::Bytes
                }
            }
        };
        sent.store(blob.size, Ordering::Relaxed);
        Ok(how)
    }

    async fn is_there(self, blob: &Blob) -> Result<bool, Failure> {
        let call = self.call(Method::HEAD, format!("blobs/{}", blob.digest));
        let response = self.transport.send(&call).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            // Some registries deny reads where they allow writes; sending it is always correct.
            StatusCode::NOT_FOUND
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::METHOD_NOT_ALLOWED => Ok(false),
            _ => Err(self.transport.rejection(&call, response).await),
        }
    }

    /// Starts an upload, or has the blob mounted. A registry that cannot mount starts an upload instead.
    async fn begin(self, blob: &Blob, source: Option<&Repository>) -> Result<Begun, Failure> {
        if let Some(source) = source.filter(|source| **source != self.scope.repository) {
            let mut call = self.call(
                Method::POST,
                format!("blobs/uploads/?mount={}&from={source}", blob.digest),
            );
            let mut scope = self.scope.clone();
            scope.mount_from = Some(source.clone());
            call.identity = crate::auth::Identity::Asked(scope);
            // A login that cannot read the source may still write here; the plain upload below finds out.
            if let Ok(begun) = self.open(&call).await {
                return Ok(begun);
            }
        }
        self.open(&self.call(Method::POST, "blobs/uploads/".into()))
            .await
    }

    async fn open(self, call: &Call) -> Result<Begun, Failure> {
        let response = self.transport.send(call).await?;
        match response.status() {
            StatusCode::CREATED => Ok(Begun::Mounted),
            StatusCode::ACCEPTED => {
                let from = response.url().clone();
                Ok(Begun::Session(self.transport.hop(&from, &response).await?))
            }
            status => {
                let unwanted = Unwanted::read(self.transport.wire(), response).await;
                // Some registries do not create repositories automatically.
                if status == StatusCode::NOT_FOUND || unwanted.has_code(&["NAME_UNKNOWN"]) {
                    return Err(ClientError::NoRepository {
                        registry: self.transport.registry().clone(),
                        repository: self.scope.repository.clone(),
                        answer: unwanted.text(),
                    }
                    .into());
                }
                Err(self.transport.judgement(call, &unwanted).await)
            }
        }
    }

    /// Sends the bytes in one request. Registries then verify them while storing them, and it is fastest.
    async fn upload(
        self,
        blob: &Blob,
        session: HopTarget,
        sent: &Arc<AtomicU64>,
        fault: &Fault,
    ) -> Result<(), Failure> {
        let mut target = session;
        target
            .url
            .query_pairs_mut()
            .append_pair("digest", blob.digest.as_str());
        let mut call = self.call(Method::PUT, String::new());
        call.target = Target::Hop(target);
        let open = {
            let (blob, sent, fault) = (blob.clone(), Arc::clone(sent), Arc::clone(fault));
            move || {
                sent.store(0, Ordering::Relaxed);
                blob.body(&sent, &fault)
            }
        };
        let call = call.with_payload(Payload::Stream {
            length: blob.size,
            sent: Arc::clone(sent),
            open: Arc::new(open),
        });
        let response = self.transport.send(&call).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(()),
            // The session is gone, for example after a restart of the registry, or contains part of an interrupted
            // upload; try a new one.
            StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE => {
                let mut failure = self.transport.rejection(&call, response).await;
                failure.retry = Retry::After(None);
                Err(failure)
            }
            _ => Err(self.transport.rejection(&call, response).await),
        }
    }

    fn call(self, method: Method, rest: String) -> Call {
        Call::new(
            method,
            api_path(&self.scope.repository, &rest),
            self.scope.clone(),
            format!("pushing to `{}`", self.scope.repository),
        )
    }
}

enum Begun {
    Mounted,
    Session(HopTarget),
}
