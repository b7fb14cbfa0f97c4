//! Reads the progress of a delivery from the objects of Flux.

use serde_json::Value;

/// How far Flux is with what a run asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has not begun.
    Requested,
    /// Flux works on it, for this run or, if it was interrupted, for an earlier one.
    Begun(String),
    /// It is in progress.
    Running(String),
    /// Everything is applied, and the hooks have ended.
    Succeeded,
    /// It failed.
    Failed(String),
    /// Another run took its place.
    Superseded(String),
}

/// The progress of what `run` asked for, from the object that it asked by and the source of what is delivered.
///
/// Flux reports a request as handled whenever it has looked at the object, even if it then waits for the source. So the end
/// is told by its conditions, of which `end` knows the meaning.
fn followed(object: &Value, source: &Value, run: &str, end: impl FnOnce() -> Progress) -> Progress {
    let requested = requested(object);
    if requested != Some(run) {
        return Progress::Superseded(match requested {
            Some(other) => format!("another run ({other})"),
            None => "somebody who removed its request".to_owned(),
        });
    }
    if is_suspended(object) {
        return Progress::Superseded("somebody who suspended it".to_owned());
    }
    if handled(source) == Some(run)
        && let Some(failure) = failure(source)
    {
        return Progress::Failed(format!("it cannot fetch the chart: {failure}"));
    }
    if handled(object) != Some(run) {
        return match condition(object, "Reconciling") {
            Some(found) if found.is_true() => Progress::Begun(found.message.to_owned()),
            _ => Progress::Requested,
        };
    }
    if let Some(stalled) = condition(object, "Stalled").filter(Condition::is_true) {
        let ready = condition(object, "Ready");
        return Progress::Failed(
            ready
                .map_or(stalled.message, |ready| ready.message)
                .to_owned(),
        );
    }
    end()
}

/// The progress of a HelmRelease, for a delivery of `version`.
pub(super) fn of_release(release: &Value, source: &Value, run: &str, version: &str) -> Progress {
    followed(release, source, run, || {
        let ready = condition(release, "Ready");
        let message = ready.as_ref().map_or("", |ready| ready.message).to_owned();
        let is_busy = condition(release, "Reconciling").is_some_and(|found| found.is_true());
        match ready {
            _ if is_busy || !is_observed(release) => Progress::Running(message),
            Some(ready) if ready.is_true() && has_released(release, version) => Progress::Succeeded,
            Some(ready) if ready.status == "False" => Progress::Failed(message),
            _ => Progress::Running(message),
        }
    })
}

/// The progress of a Kustomization, for a delivery of the objects with this digest.
///
/// After a failure, Flux leaves it in the state of another attempt, which it makes a day later.
pub(super) fn of_kustomization(
    kustomization: &Value,
    source: &Value,
    run: &str,
    digest: &str,
) -> Progress {
    followed(kustomization, source, run, || {
        let ready = condition(kustomization, "Ready");
        let message = ready.as_ref().map_or("", |ready| ready.message).to_owned();
        match ready {
            Some(ready) if ready.is_true() && has_applied(kustomization, digest) => {
                Progress::Succeeded
            }
            Some(ready) if ready.status == "False" && !WAITING.contains(&ready.reason) => {
                Progress::Failed(message)
            }
            _ => Progress::Running(message),
        }
    })
}

/// The reasons for which the kustomize-controller will look again by itself: the source is not ready yet.
const WAITING: [&str; 2] = ["ArtifactFailed", "DependencyNotReady"];

/// Whether the last delivery by a Kustomization was of the objects with this digest, completely.
pub(super) fn has_applied(kustomization: &Value, digest: &str) -> bool {
    is_observed(kustomization)
        && condition(kustomization, "Ready").is_some_and(|ready| ready.is_true())
        && kustomization["status"]["lastAppliedRevision"]
            .as_str()
            .is_some_and(|revision| revision.ends_with(digest))
}

/// Whether the last delivery by a HelmRelease was of this version, completely.
pub(super) fn has_released(release: &Value, version: &str) -> bool {
    let last = &release["status"]["history"][0];
    is_observed(release)
        && condition(release, "Ready").is_some_and(|ready| ready.is_true())
        && last["status"] == "deployed"
        // Flux adds the digest of the artifact as build metadata.
        && last["chartVersion"]
            .as_str()
            .is_some_and(|found| found.split('+').next() == Some(version))
}

/// Whether Flux does nothing about the object.
pub(super) fn is_suspended(object: &Value) -> bool {
    object["spec"]["suspend"] == true
}

/// The run that asked last.
pub(super) fn requested(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"].as_str()
}

fn handled(object: &Value) -> Option<&str> {
    object["status"]["lastHandledReconcileAt"].as_str()
}

fn is_observed(object: &Value) -> bool {
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
}

fn failure(object: &Value) -> Option<String> {
    let ready = condition(object, "Ready")?;
    (ready.status == "False" && is_observed(object)).then(|| ready.message.to_owned())
}

/// A condition in the status of an object.
struct Condition<'a> {
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

impl Condition<'_> {
    fn is_true(&self) -> bool {
        self.status == "True"
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<Condition<'a>> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|found| found["type"] == kind)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    Some(Condition {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(requested: &str, handled: &str, ready: &str) -> Value {
        json!({
            "metadata": { "generation": 2, "annotations": { "reconcile.fluxcd.io/requestedAt": requested } },
            "status": {
                "observedGeneration": 2, "lastHandledReconcileAt": handled,
                "conditions": [{ "type": "Ready", "status": ready, "message": "said" }],
                "history": [{ "chartVersion": "1.0.0+0123456789ab", "status": "deployed" }],
            },
        })
    }

    fn with(mut object: Value, kind: &str, message: &str) -> Value {
        let conditions = object["status"]["conditions"].as_array_mut().unwrap();
        conditions.push(json!({ "type": kind, "status": "True", "message": message }));
        object
    }

    #[test]
    fn a_delivery_is_followed_from_the_request_to_its_end() {
        let source = object("r1", "r1", "True");
        let old = object("r1", "r0", "True");
        let running = |message: &str| Progress::Running(message.into());
        let failed = |message: &str| Progress::Failed(message.into());
        for (release, source, expected) in [
            (old.clone(), &source, Progress::Requested),
            (
                with(old.clone(), "Reconciling", "soon"),
                &source,
                Progress::Begun("soon".into()),
            ),
            (object("r1", "r1", "True"), &source, Progress::Succeeded),
            (object("r1", "r1", "Unknown"), &source, running("said")),
            (object("r1", "r1", "False"), &source, failed("said")),
            // The chart is not there yet.
            (
                with(object("r1", "r1", "False"), "Reconciling", ""),
                &source,
                running("said"),
            ),
            (
                with(object("r1", "r1", "False"), "Stalled", "no more"),
                &source,
                failed("said"),
            ),
            (
                old,
                &object("r1", "r1", "False"),
                failed("it cannot fetch the chart: said"),
            ),
            (
                object("r2", "r1", "True"),
                &source,
                Progress::Superseded("another run (r2)".into()),
            ),
        ] {
            assert_eq!(
                of_release(&release, source, "r1", "1.0.0"),
                expected,
                "{release}"
            );
        }
        let done = object("r1", "r1", "True");
        assert_eq!(of_release(&done, &source, "r1", "1.0.1"), running("said"));
    }

    #[test]
    fn the_version_that_was_delivered_last_is_known() {
        let release = object("r1", "r1", "True");
        assert!(has_released(&release, "1.0.0") && !has_released(&release, "1.0.1"));
        assert!(!has_released(&object("r1", "r1", "False"), "1.0.0"));
        let mut newer = release.clone();
        newer["metadata"]["generation"] = json!(3);
        assert!(!has_released(&newer, "1.0.0"));
    }

    #[test]
    fn a_kustomization_waits_for_its_source_and_fails_otherwise() {
        let source = object("r1", "r1", "True");
        let kustomization = |handled: &str, ready: &str, reason: &str| {
            let mut object = object("r1", handled, ready);
            object["status"]["conditions"][0]["reason"] = json!(reason);
            object["status"]["lastAppliedRevision"] = json!("sha256:ab");
            object
        };
        let running = Progress::Running("said".into());
        let failed = Progress::Failed("said".into());
        let retried = with(
            kustomization("r1", "False", "ReconciliationFailed"),
            "Reconciling",
            "again in a day",
        );
        for (object, expected) in [
            (kustomization("r1", "True", ""), Progress::Succeeded),
            (
                kustomization("r1", "False", "ArtifactFailed"),
                running.clone(),
            ),
            (
                kustomization("r1", "Unknown", "Progressing"),
                running.clone(),
            ),
            (kustomization("r1", "False", "BuildFailed"), failed.clone()),
            (retried, failed),
            (
                kustomization("r0", "False", "BuildFailed"),
                Progress::Requested,
            ),
        ] {
            let found = of_kustomization(&object, &source, "r1", "sha256:ab");
            assert_eq!(found, expected, "{object}");
        }
        let done = kustomization("r1", "True", "");
        assert_eq!(of_kustomization(&done, &source, "r1", "sha256:cd"), running);
        assert!(!has_applied(&done, "sha256:cd"));
    }
}
