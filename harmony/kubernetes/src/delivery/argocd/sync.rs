//! Reads the progress of a sync from an Application.

use serde_json::Value;

use super::application::run_of;

/// How far Argo CD is with the sync that a run asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has not begun.
    Requested,
    /// It is in progress.
    Running {
        message: String,
        /// Whether everything except hooks was applied.
        is_applied: bool,
    },
    /// It is done.
    Succeeded,
    /// It failed, or was terminated.
    Failed(Failure),
    /// Another sync took its place.
    Superseded {
        /// The user or the run that asked for the other one.
        by: String,
    },
}

/// Why a sync failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) message: String,
    /// `Deployment shop/web: <message>` for each object that failed.
    pub(super) objects: Vec<String>,
    /// The hooks that failed.
    pub(super) hooks: Vec<Resource>,
}

/// An object as Argo CD lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) api_version: String,
    pub(super) kind: String,
    /// Empty for cluster-scoped objects.
    pub(super) namespace: String,
    pub(super) name: String,
}

/// A sync that was in progress before a run asked for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ongoing {
    /// The run of Harmony that asked for it.
    pub(super) run: Option<String>,
    /// The user that asked for it.
    pub(super) by: String,
}

/// The sync that is requested or in progress, if there is one.
pub(super) fn ongoing(application: &Value) -> Option<Ongoing> {
    let operation = &application["operation"];
    if !operation.is_object() {
        return None;
    }
    Some(Ongoing {
        run: run_of(operation).map(str::to_owned),
        by: initiator(operation),
    })
}

/// Whether the last sync delivered this version completely.
pub(super) fn has_delivered(application: &Value, version: &str) -> bool {
    let state = &application["status"]["operationState"];
    state["phase"] == "Succeeded" && state["syncResult"]["revision"] == version
}

/// The progress of the sync that `run` asked for.
pub(super) fn progress(application: &Value, run: &str) -> Progress {
    let state = &application["status"]["operationState"];
    if run_of(&state["operation"]) != Some(run) {
        let requested = &application["operation"];
        if run_of(requested) == Some(run) {
            return Progress::Requested;
        }
        let other = if requested.is_object() {
            requested
        } else {
            &state["operation"]
        };
        return Progress::Superseded {
            by: initiator(other),
        };
    }
    let results = results(state);
    match state["phase"].as_str().unwrap_or_default() {
        "Succeeded" => Progress::Succeeded,
        "Failed" | "Error" => Progress::Failed(failure(state, &results)),
        _ => {
            let applied = results.iter().filter(|result| !result.is_hook);
            let mut applied = applied.peekable();
            Progress::Running {
                message: text(&state["message"]),
                is_applied: applied.peek().is_some()
                    && applied.all(|result| result.status == "Synced"),
            }
        }
    }
}

/// The objects of the Application in the cluster, hooks excepted.
pub(super) fn resources(application: &Value) -> Vec<Resource> {
    let listed = application["status"]["resources"].as_array();
    let listed = listed.into_iter().flatten();
    listed
        .filter(|listed| listed["hook"] != true)
        .map(Resource::of)
        .collect()
}

impl Resource {
    fn of(listed: &Value) -> Self {
        let (group, version) = (text(&listed["group"]), text(&listed["version"]));
        Self {
            api_version: if group.is_empty() {
                version
            } else {
                format!("{group}/{version}")
            },
            kind: text(&listed["kind"]),
            namespace: text(&listed["namespace"]),
            name: text(&listed["name"]),
        }
    }
}

struct ResourceResult<'a> {
    resource: &'a Value,
    status: &'a str,
    is_hook: bool,
    hook_failed: bool,
}

fn results(state: &Value) -> Vec<ResourceResult<'_>> {
    let listed = state["syncResult"]["resources"].as_array();
    let listed = listed.into_iter().flatten();
    listed
        .map(|resource| ResourceResult {
            resource,
            status: resource["status"].as_str().unwrap_or_default(),
            is_hook: resource["hookType"]
                .as_str()
                .is_some_and(|kind| !kind.is_empty()),
            hook_failed: matches!(resource["hookPhase"].as_str(), Some("Failed" | "Error")),
        })
        .collect()
}

fn failure(state: &Value, results: &[ResourceResult<'_>]) -> Failure {
    let failed = |result: &&ResourceResult<'_>| result.status == "SyncFailed" || result.hook_failed;
    let shown = |result: &ResourceResult<'_>| {
        let Resource {
            kind,
            namespace,
            name,
            ..
        } = Resource::of(result.resource);
        let message = text(&result.resource["message"]);
        match namespace.as_str() {
            "" => format!("{kind} {name}: {message}"),
            namespace => format!("{kind} {namespace}/{name}: {message}"),
        }
    };
    Failure {
        message: text(&state["message"]),
        objects: results.iter().filter(failed).map(shown).collect(),
        hooks: results
            .iter()
            .filter(|result| result.is_hook && result.hook_failed)
            .map(|result| Resource::of(result.resource))
            .collect(),
    }
}

/// The user that asked for an operation, or that it was Argo CD itself.
fn initiator(operation: &Value) -> String {
    let by = &operation["initiatedBy"];
    match by["username"].as_str() {
        Some(user) if !user.is_empty() => match run_of(operation) {
            Some(run) => format!("{user} (run {run})"),
            None => user.to_owned(),
        },
        _ if by["automated"] == true => "the automated sync of Argo CD".to_owned(),
        _ => "an unnamed user".to_owned(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn operation(run: &str) -> Value {
        json!({
            "initiatedBy": { "username": "harmony" },
            "info": [{ "name": "harmony.dev/run", "value": run }],
            "sync": { "revision": "1.0.0" },
        })
    }

    fn application(run: &str, phase: &str, resources: &Value) -> Value {
        json!({
            "operation": operation(run),
            "status": { "operationState": {
                "operation": operation(run), "phase": phase, "message": "said",
                "syncResult": { "revision": "1.0.0", "resources": resources },
            }},
        })
    }

    #[test]
    fn a_sync_is_followed_from_the_request_to_its_end() {
        let requested = json!({ "operation": operation("r1") });
        assert_eq!(progress(&requested, "r1"), Progress::Requested);
        let mut after_another = application("r0", "Succeeded", &json!([]));
        after_another["operation"] = operation("r1");
        assert_eq!(progress(&after_another, "r1"), Progress::Requested);
        let running = |is_applied| Progress::Running {
            message: "said".into(),
            is_applied,
        };
        let web = json!({ "kind": "Deployment", "status": "Synced" });
        let hook = json!({ "kind": "Job", "hookType": "PostSync", "hookPhase": "Running" });
        for (resources, is_applied) in [
            (json!([]), false),
            (json!([hook]), false),
            (json!([web, hook]), true),
            (json!([web, { "kind": "Service" }]), false),
        ] {
            let application = application("r1", "Running", &resources);
            assert_eq!(progress(&application, "r1"), running(is_applied));
        }
        let done = application("r1", "Succeeded", &json!([]));
        assert_eq!(progress(&done, "r1"), Progress::Succeeded);
        assert!(has_delivered(&done, "1.0.0") && !has_delivered(&done, "1.0.1"));
    }

    #[test]
    fn a_failed_sync_names_the_objects_and_hooks() {
        let resources = json!([
            { "group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop", "name": "web",
              "status": "SyncFailed", "message": "is invalid" },
            { "group": "batch", "version": "v1", "kind": "Job", "namespace": "shop", "name": "migrate",
              "hookType": "PreSync", "hookPhase": "Failed", "message": "Job has reached the backoff limit" },
            { "version": "v1", "kind": "Service", "namespace": "shop", "name": "web", "status": "Synced" },
        ]);
        let Progress::Failed(failure) = progress(&application("r1", "Failed", &resources), "r1")
        else {
            panic!()
        };
        assert_eq!(
            failure.objects,
            [
                "Deployment shop/web: is invalid",
                "Job shop/migrate: Job has reached the backoff limit"
            ]
        );
        assert_eq!(failure.hooks[0].api_version, "batch/v1");
        assert_eq!(failure.hooks.len(), 1);
    }

    #[test]
    fn a_sync_that_took_the_place_of_ours_is_named() {
        let by = |application: &Value| match progress(application, "r1") {
            Progress::Superseded { by } => by,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            by(&application("r2", "Running", &json!([]))),
            "harmony (run r2)"
        );
        let admin = json!({ "operation": { "initiatedBy": { "username": "admin" } } });
        assert_eq!(by(&admin), "admin");
        let automated = json!({ "status": { "operationState": { "operation": { "initiatedBy": { "automated": true } } } } });
        assert_eq!(by(&automated), "the automated sync of Argo CD");
    }

    #[test]
    fn an_ongoing_sync_says_whose_it_is() {
        assert_eq!(ongoing(&json!({ "status": {} })), None);
        let found = ongoing(&application("r1", "Running", &json!([]))).unwrap();
        assert_eq!(found.run.as_deref(), Some("r1"));
        assert_eq!(found.by, "harmony (run r1)");
    }

    #[test]
    fn the_objects_of_an_application_are_listed_without_hooks() {
        let application = json!({ "status": { "resources": [
            { "version": "v1", "kind": "Service", "namespace": "shop", "name": "web", "status": "Synced" },
            { "group": "batch", "version": "v1", "kind": "Job", "namespace": "shop", "name": "migrate", "hook": true },
        ]}});
        let names: Vec<_> = resources(&application)
            .into_iter()
            .map(|resource| format!("{} {}", resource.api_version, resource.kind))
            .collect();
        assert_eq!(names, ["v1 Service"]);
    }
}
