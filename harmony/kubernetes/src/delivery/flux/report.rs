//! Reads the progress of a delivery from the objects of Flux.

use serde_json::Value;

/// How far Flux is with what a run asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has not begun.
    Requested,
    /// Flux works on the HelmRelease, for this run or, if it was interrupted, for an earlier one.
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

/// The progress of what `run` asked for, the delivery of `version`, from the HelmRelease and the source of its chart.
///
/// Flux reports a request as handled whenever it has looked at the HelmRelease, even if it then waits for the source. So
/// the end is told by its conditions.
pub(super) fn progress(release: &Value, source: &Value, run: &str, version: &str) -> Progress {
    let requested = requested(release);
    if requested != Some(run) {
        return Progress::Superseded(match requested {
            Some(other) => format!("another run ({other})"),
            None => "somebody who removed its request".to_owned(),
        });
    }
    if is_suspended(release) {
        return Progress::Superseded("somebody who suspended it".to_owned());
    }
    if handled(source) == Some(run)
        && let Some(failure) = failure(source)
    {
        return Progress::Failed(format!("it cannot fetch the chart: {failure}"));
    }
    let message = || condition(release, "Ready").map(|found| found.message.to_owned());
    if handled(release) != Some(run) {
        return match condition(release, "Reconciling") {
            Some(found) if found.is_true() => Progress::Begun(found.message.to_owned()),
            _ => Progress::Requested,
        };
    }
    if let Some(stalled) = condition(release, "Stalled").filter(Condition::is_true) {
        return Progress::Failed(message().unwrap_or_else(|| stalled.message.to_owned()));
    }
    if condition(release, "Reconciling").is_some_and(|found| found.is_true())
        || !is_observed(release)
    {
        return Progress::Running(message().unwrap_or_default());
    }
    match condition(release, "Ready") {
        Some(ready) if ready.is_true() && has_delivered(release, version) => Progress::Succeeded,
        Some(ready) if ready.status == "False" => Progress::Failed(ready.message.to_owned()),
        found => Progress::Running(
            found
                .map(|found| found.message.to_owned())
                .unwrap_or_default(),
        ),
    }
}

/// Whether the last delivery was of this version, completely.
pub(super) fn has_delivered(release: &Value, version: &str) -> bool {
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
                progress(&release, source, "r1", "1.0.0"),
                expected,
                "{release}"
            );
        }
        let done = object("r1", "r1", "True");
        assert_eq!(progress(&done, &source, "r1", "1.0.1"), running("said"));
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
