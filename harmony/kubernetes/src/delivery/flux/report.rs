//! Reads the progress of a delivery from the objects of Flux.

use serde_json::Value;

/// How far Flux is with what a run asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has not begun.
    Requested,
    /// It is in progress.
    Running(String),
    /// Everything is applied, and the hooks have ended.
    Succeeded,
    /// It failed.
    Failed(String),
    /// Another run took its place.
    Superseded(String),
}

/// The progress of what `run` asked for, from the HelmRelease and the source of its chart.
pub(super) fn progress(release: &Value, source: &Value, run: &str) -> Progress {
    let requested = requested(release);
    if requested != Some(run) {
        return Progress::Superseded(match requested {
            Some(other) => format!("another run ({other})"),
            None => "somebody who removed its request".to_owned(),
        });
    }
    if handled(source) == Some(run)
        && let Some(failure) = failure(source)
    {
        return Progress::Failed(format!("it cannot fetch the chart: {failure}"));
    }
    if handled(release) != Some(run) {
        return match condition(release, "Reconciling") {
            Some((_, message)) if handled(source) == Some(run) => Progress::Running(message),
            _ if handled(source) == Some(run) => Progress::Running(String::new()),
            _ => Progress::Requested,
        };
    }
    if !is_observed(release) {
        return Progress::Running(String::new());
    }
    match condition(release, "Ready") {
        Some((status, _)) if status == "True" => Progress::Succeeded,
        Some((status, message)) if status == "False" => Progress::Failed(message),
        Some((_, message)) => Progress::Running(message),
        None => Progress::Running(String::new()),
    }
}

/// Whether the last delivery was of this version, completely.
pub(super) fn has_delivered(release: &Value, version: &str) -> bool {
    let last = &release["status"]["history"][0];
    is_observed(release)
        && condition(release, "Ready").is_some_and(|(status, _)| status == "True")
        && last["status"] == "deployed"
        // Flux adds the digest of the artifact as build metadata.
        && last["chartVersion"]
            .as_str()
            .is_some_and(|found| found.split('+').next() == Some(version))
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
    let (status, message) = condition(object, "Ready")?;
    (status == "False" && is_observed(object)).then_some(message)
}

/// The status and the message of a condition.
fn condition(object: &Value, kind: &str) -> Option<(String, String)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|found| found["type"] == kind)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("message")))
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

    #[test]
    fn a_delivery_is_followed_from_the_request_to_its_end() {
        let source = object("r1", "r1", "True");
        let old = object("r1", "r0", "True");
        for (release, source, expected) in [
            (&old, &object("r1", "r0", "True"), Progress::Requested),
            (&old, &source, Progress::Running(String::new())),
            (&object("r1", "r1", "True"), &source, Progress::Succeeded),
            (
                &object("r1", "r1", "Unknown"),
                &source,
                Progress::Running("said".into()),
            ),
            (
                &object("r1", "r1", "False"),
                &source,
                Progress::Failed("said".into()),
            ),
            (
                &old,
                &object("r1", "r1", "False"),
                Progress::Failed("it cannot fetch the chart: said".into()),
            ),
            (
                &object("r2", "r1", "True"),
                &source,
                Progress::Superseded("another run (r2)".into()),
            ),
        ] {
            assert_eq!(progress(release, source, "r1"), expected);
        }
    }

    #[test]
    fn the_version_that_was_delivered_last_is_known() {
        let release = object("r1", "r1", "True");
        assert!(has_delivered(&release, "1.0.0") && !has_delivered(&release, "1.0.1"));
        assert!(!has_delivered(&object("r1", "r1", "False"), "1.0.0"));
        let mut newer = release.clone();
        newer["metadata"]["generation"] = json!(3);
        assert!(!has_delivered(&newer, "1.0.0"));
    }
}
