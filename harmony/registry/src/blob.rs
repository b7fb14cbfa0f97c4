//! Sending one blob: skip, mount, else upload.

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

/// What it took to have a blob in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It was there.
    Nothing,
    /// The registry had it in another repository.
    Mounted,
    /// Its bytes.
    Bytes,
}

/// Sends blobs to one repository.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) scope: &'a Scope,
}

impl Sender<'_> {
    /// Makes sure that the repository has the blob. `source` is a repository of the same registry that may have it;
    /// `sent` holds how many bytes are there.
    ///
    /// Safe to try again at any point: an upload that breaks off leaves a session that the registry forgets.
    pub(crate) async fn ensure(
        self,
        blob: &Blob,
        source: Option<&Repository>,
        sent: &Arc<AtomicU64>,
    ) -> Result<Sent, RegistryError> {
        let fault = Fault::default();
        let result = retrying(|| self.ensure_once(blob, source, sent, &fault)).await;
        match Arc::into_inner(fault).and_then(OnceLock::into_inner) {
            // The request failed because its body found itself wrong.
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
            // Some registries forbid to ask what they allow to write; sending it is right in any case.
            StatusCode::NOT_FOUND
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::METHOD_NOT_ALLOWED => Ok(false),
            _ => Err(self.transport.rejection(&call, response).await),
        }
    }

    /// Opens an upload, or has the blob mounted. A registry that cannot mount opens an upload instead.
    async fn begin(self, blob: &Blob, source: Option<&Repository>) -> Result<Begun, Failure> {
        if let Some(source) = source.filter(|source| **source != self.scope.repository) {
            let mut call = self.call(
                Method::POST,
                format!("blobs/uploads/?mount={}&from={source}", blob.digest),
            );
            let mut scope = self.scope.clone();
            scope.mount_from = Some(source.clone());
            call.identity = crate::auth::Identity::Asked(scope);
            // A login that may not read the source may still write here: the plain upload below tells.
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
                // Some registries make no repository by themselves.
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

    /// Sends the bytes in one request: registries then check them while they store them, and it is the fastest way.
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
            // The session is gone, as after a restart of the registry, or holds a part of an upload that broke off: a new
            // one is worth a try.
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
