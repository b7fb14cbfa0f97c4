//! Pushes: decides what to do with a version, and does it.
//!
//! ```text
//! HEAD tag -> [ HEAD manifest -> blobs, several at once -> manifests by digest ] -> HEAD tag -> PUT tag -> HEAD tag
//!    |  same digest: done; other digest: refused                                       |         read back
//!    +-- planning stops here                                          the same questions again
//! ```
//!
//! The tag is written last, so an interrupted push leaves only untagged content, which the next run does not send
//! again. Resumable uploads would fit into [`crate::blob`], referrers between manifests and tag.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::event::{Step, Unit};
use harmony_types::{Digest, Repository};

use crate::artifact::{Artifact, Manifest};
use crate::blob::{Sender, Sent};
use crate::manifest;
use crate::scope::Scope;
use crate::transport::{Transport, retrying};
use crate::wire::Failure;
use harmony_types::printable;

/// The number of blobs that are sent at the same time: enough to hide round trips, few enough for a slow line.
const AT_ONCE: usize = 4;

/// What to do with a version, from what is published and what is ours, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It does not exist.
    Publish,
    /// It exists with our content.
    Nothing,
    /// It exists; ours is not built yet.
    KnownAfterBuild { published: Digest },
    /// It exists with other content, which stays.
    Refuse { published: Digest, ours: Digest },
}

/// A published version never changes.
pub(crate) fn decide(published: Option<Digest>, ours: Option<&Digest>) -> Decision {
    match (published, ours) {
        (None, _) => Decision::Publish,
        (Some(published), None) => Decision::KnownAfterBuild { published },
        (Some(published), Some(ours)) if published == *ours => Decision::Nothing,
        (Some(published), Some(ours)) => Decision::Refuse {
            published,
            ours: ours.clone(),
        },
    }
}

/// What a push sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) sent: usize,
    pub(crate) mounted: usize,
    pub(crate) there: usize,
    pub(crate) bytes: u64,
}

/// `2 of 5 blobs sent, 32.61 MiB`
impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.sent + self.mounted + self.there;
        write!(f, "{} of {all} blobs sent", self.sent)?;
        if self.sent > 0 {
            write!(f, ", {}", printable::size(self.bytes))?;
        }
        if self.mounted > 0 {
            write!(f, ", {} mounted", self.mounted)?;
        }
        Ok(())
    }
}

/// Which repository of the registry has which blob; only grows, and only from observations.
#[derive(Debug, Default)]
pub(crate) struct KnownBlobs(Mutex<HashMap<Digest, Repository>>);

impl KnownBlobs {
    fn find(&self, digest: &Digest) -> Option<Repository> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(digest).cloned()
    }

    fn remember(&self, digest: &Digest, repository: &Repository) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .entry(digest.clone())
            .or_insert_with(|| repository.clone());
    }
}

/// Sends an artifact to a repository, without a tag.
pub(crate) async fn contents(
    transport: &Transport,
    known: &KnownBlobs,
    scope: &Scope,
    artifact: &Artifact,
    step: &Step,
) -> Result<Tally, RegistryError> {
    let Some(top) = artifact.manifests.last() else {
        return Ok(Tally::default());
    };
    // A registry that has the manifest has what it references: an earlier run got this far.
    if manifest::resolve(transport, scope, top.digest.as_str())
        .await?
        .is_some()
    {
        return Ok(Tally {
            there: artifact.blobs.len(),
            ..Tally::default()
        });
    }
    let tally = blobs(transport, known, scope, artifact, step).await?;
    for manifest in &artifact.manifests {
        retrying(|| manifest::put(transport, scope, manifest.digest.as_str(), manifest)).await?;
    }
    Ok(tally)
}

async fn blobs(
    transport: &Transport,
    known: &KnownBlobs,
    scope: &Scope,
    artifact: &Artifact,
    step: &Step,
) -> Result<Tally, RegistryError> {
    let sender = Sender { transport, scope };
    let counters: Vec<Arc<AtomicU64>> = artifact.blobs.iter().map(|_| Arc::default()).collect();
    let mut sends = Vec::new();
    for (blob, counter) in artifact.blobs.iter().zip(&counters) {
        sends.push(async move {
            let source = known
                .find(&blob.digest)
                .or_else(|| artifact.relative.clone());
            let sent = sender.ensure(blob, source.as_ref(), counter).await?;
            known.remember(&blob.digest, &scope.repository);
            Ok::<_, RegistryError>((sent, blob.size))
        });
    }
    let sending = stream::iter(sends).buffer_unordered(AT_ONCE).try_fold(
        Tally::default(),
        |mut tally, (sent, size)| async move {
            match sent {
                Sent::Nothing => tally.there += 1,
                Sent::Mounted => tally.mounted += 1,
                Sent::Bytes => {
                    tally.sent += 1;
                    tally.bytes += size;
                }
            }
            Ok(tally)
        },
    );
    watched(step, &counters, artifact.size(), sending).await
}

/// Tags a manifest of the repository, unless the tag has been taken in the meantime.
pub(crate) async fn tag(
    transport: &Transport,
    scope: &Scope,
    tag: &str,
    manifest: &Manifest,
    reference: &str,
) -> Result<(), RegistryError> {
    let taken = |published: Digest| RegistryError::TagTaken {
        reference: reference.to_owned(),
        published,
        ours: manifest.digest.clone(),
    };
    // An attempt without an answer may have succeeded, so each attempt looks first.
    retrying(|| async {
        match decide(
            manifest::head(transport, scope, tag).await?,
            Some(&manifest.digest),
        ) {
            Decision::Nothing => return Ok(()),
            Decision::Refuse { published, .. } => return Err(Failure::from(taken(published))),
            Decision::Publish | Decision::KnownAfterBuild { .. } => {}
        }
        if let Err(failure) = manifest::put(transport, scope, tag, manifest).await {
            // Registries with immutable tags refuse in many ways; look at what exists now.
            return match manifest::head(transport, scope, tag).await {
                Ok(Some(published)) if published == manifest.digest => Ok(()),
                Ok(Some(published)) => Err(taken(published).into()),
                _ => Err(failure),
            };
        }
        // A distributed registry may need a moment until every node knows the tag.
        for wait in manifest::APPEARING {
            match manifest::head(transport, scope, tag).await? {
                Some(published) if published == manifest.digest => return Ok(()),
                Some(published) => return Err(taken(published).into()),
                None => tokio::time::sleep(wait).await,
            }
        }
        Err(Failure::from(transport.nonsense(
            &format!("pushing to `{}`", scope.repository),
            format!("it accepted the tag `{tag}`, but does not have it"),
        )))
    })
    .await
}

/// Shows the progress of `work` while it runs.
pub(crate) async fn watched<W: Future>(
    step: &Step,
    counters: &[Arc<AtomicU64>],
    total: u64,
    work: W,
) -> W::Output {
    let position = || {
        counters
            .iter()
            .map(|counter| counter.load(Ordering::Relaxed))
            .sum::<u64>()
    };
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut shown = None;
    tokio::pin!(work);
    loop {
        tokio::select! {
            output = &mut work => {
                step.position(position(), total, Unit::Bytes);
                return output;
            }
            _ = tick.tick() => {
                let now = position();
                if shown.replace(now) != Some(now) {
                    step.position(now, total, Unit::Bytes);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use harmony_oci::sha256;

    use super::*;

    #[test]
    fn a_published_version_is_never_changed() {
        let (a, b) = (sha256(b"a"), sha256(b"b"));
        assert_eq!(decide(None, None), Decision::Publish);
        assert_eq!(decide(None, Some(&a)), Decision::Publish);
        assert_eq!(decide(Some(a.clone()), Some(&a)), Decision::Nothing);
        assert_eq!(
            decide(Some(a.clone()), None),
            Decision::KnownAfterBuild {
                published: a.clone()
            }
        );
        assert_eq!(
            decide(Some(a.clone()), Some(&b)),
            Decision::Refuse {
                published: a,
                ours: b
            }
        );
    }

    #[test]
    fn a_tally_says_what_was_sent() {
        let tally = Tally {
            sent: 2,
            mounted: 1,
            there: 2,
            bytes: 34_200_000,
        };
        assert_eq!(tally.to_string(), "2 of 5 blobs sent, 32.61 MiB, 1 mounted");
        let nothing = Tally {
            there: 3,
            ..Tally::default()
        };
        assert_eq!(nothing.to_string(), "0 of 3 blobs sent");
    }
}
