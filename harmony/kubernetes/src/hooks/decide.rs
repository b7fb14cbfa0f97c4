//! Decides which hooks run, in which order, and what happens to those of an earlier run.

use std::fmt::Write;

use harmony_charts::{DeletePolicy, Hook, HookEvent};
use harmony_core::kubernetes::{KubeObject, ObjectError, ObjectRef};
use harmony_core::outcome::{Action, Change, Subject};

use super::record::{Record, State};
use crate::apply::{rank, stand_in};

/// Whether a release exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    /// Not yet, or its first version was never completed.
    Install,
    /// It exists.
    Upgrade,
}

impl Release {
    pub(super) fn of(record: Option<&Record>, is_there: bool) -> Self {
        match record.map(|record| record.state) {
            Some(State::Upgrading | State::Done) => Self::Upgrade,
            None if is_there => Self::Upgrade,
            Some(State::Installing) | None => Self::Install,
        }
    }
}

/// What happens to an existing object with the name of a hook.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placing {
    Create,
    /// It is deleted, and the hook is created.
    Replace,
    /// It is updated to the hook.
    Apply,
    /// It must be kept, so the hook cannot run.
    Refuse(String),
}

/// Whether a hook is for an install, an upgrade or a test; others never run here.
pub(super) fn may_run(hook: &Hook) -> bool {
    use HookEvent::{PostInstall, PostUpgrade, PreInstall, PreUpgrade, Test};
    [PreInstall, PostInstall, PreUpgrade, PostUpgrade, Test]
        .into_iter()
        .any(|event| hook.runs_at(event))
}

/// The hooks of that event, sorted by weight, then in the order in which kinds are applied, then by name.
pub(super) fn due(hooks: &[Hook], event: HookEvent) -> Vec<&Hook> {
    let mut due: Vec<&Hook> = hooks.iter().filter(|hook| hook.runs_at(event)).collect();
    due.sort_by_cached_key(|hook| {
        let object = hook.object.reference();
        (
            hook.weight,
            rank(object),
            object.kind.clone(),
            object.name.clone(),
        )
    });
    due
}

/// The tests of the chart, in order.
pub(super) fn tests(hooks: &[Hook]) -> Vec<&Hook> {
    due(hooks, HookEvent::Test)
}

/// Whether one of the release's objects exists. A namespace may exist for another reason.
pub(super) fn is_there(objects: &[KubeObject], changes: &[Change]) -> bool {
    changes.iter().any(|change| {
        change.action != Action::Create
            && objects.iter().any(|object| {
                object.reference().kind != "Namespace"
                    && change.subject == Subject::from(object.reference().clone())
            })
    })
}

/// What happens to `found`, which has the name of the hook.
pub(super) fn placing(found: Option<&KubeObject>, hook: &Hook) -> Placing {
    let object = hook.object.reference();
    if found.is_none() {
        return Placing::Create;
    }
    if !may_go(object) {
        return Placing::Apply;
    }
    if hook.is_deleted(DeletePolicy::BeforeHookCreation) {
        return Placing::Replace;
    }
    if !runs_to_its_end(object) {
        return Placing::Apply;
    }
    let mut reason =
        "it exists from an earlier run, and its `helm.sh/hook-delete-policy` keeps it: ".to_owned();
    let namespace = object.namespace.as_ref();
    let namespace =
        namespace.map_or_else(String::new, |namespace| format!(" --namespace {namespace}"));
    let kind = object.kind.to_lowercase();
    let _ = write!(
        reason,
        "delete it with `kubectl delete {kind}{namespace} {}`, or add `before-hook-creation` to the policy",
        object.name
    );
    Placing::Refuse(reason)
}

/// Objects whose deletion would also delete data or other objects are kept.
pub(super) fn may_go(object: &ObjectRef) -> bool {
    !matches!(
        object.kind.as_str(),
        "CustomResourceDefinition" | "Namespace" | "PersistentVolumeClaim"
    )
}

/// Harmony waits until Jobs and Pods have completed. Other objects are done as soon as they exist.
pub(super) fn runs_to_its_end(object: &ObjectRef) -> bool {
    matches!(
        (object.api_version.as_str(), object.kind.as_str()),
        ("batch/v1", "Job") | ("v1", "Pod")
    )
}

/// The hook under a name that nothing has, to be tried in place of one that has to go first.
pub(super) fn under_another_name(object: &KubeObject) -> Result<KubeObject, ObjectError> {
    let mut body = object.body().clone();
    body["metadata"]["name"] = stand_in(object.reference().name.as_str()).into();
    KubeObject::from_value(body)
}

/// The change for a run of the hook.
pub(super) fn change(hook: &Hook, is_found: bool, event: HookEvent) -> Change {
    let action = if is_found {
        Action::Update
    } else {
        Action::Create
    };
    let change = Change::new(action, hook.object.reference().clone());
    let replaces = is_found && may_go(hook.object.reference());
    change.with_note(if replaces {
        format!("runs as {event} hook, created again")
    } else {
        format!("runs as {event} hook")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hook(kind: &str, name: &str, annotations: serde_json::Value) -> Hook {
        let api_version = if kind == "Job" { "batch/v1" } else { "v1" };
        let object = json!({ "apiVersion": api_version, "kind": kind,
            "metadata": { "name": name, "namespace": "shop", "annotations": annotations } });
        Hook::of(&KubeObject::from_value(object).unwrap())
            .unwrap()
            .unwrap()
    }

    fn weighted(kind: &str, name: &str, weight: &str) -> Hook {
        hook(
            kind,
            name,
            json!({ "helm.sh/hook": "pre-install", "helm.sh/hook-weight": weight }),
        )
    }

    #[test]
    fn hooks_run_by_weight_then_kind_then_name() {
        let hooks = [
            weighted("Job", "b", "0"),
            weighted("Job", "a", "0"),
            weighted("ConfigMap", "z", "0"),
            weighted("ServiceAccount", "z", "0"),
            weighted("Job", "last", "10"),
            weighted("Job", "first", "-5"),
            hook(
                "Job",
                "other",
                json!({ "helm.sh/hook": "pre-upgrade,post-delete" }),
            ),
        ];
        let names: Vec<String> = due(&hooks, HookEvent::PreInstall)
            .iter()
            .map(|hook| {
                format!(
                    "{} {}",
                    hook.object.reference().kind,
                    hook.object.reference().name
                )
            })
            .collect();
        assert_eq!(
            names,
            [
                "Job first",
                "ServiceAccount z",
                "ConfigMap z",
                "Job a",
                "Job b",
                "Job last"
            ]
        );
        assert_eq!(due(&hooks, HookEvent::PreUpgrade).len(), 1);
        assert!(due(&hooks, HookEvent::PostInstall).is_empty());
    }

    #[test]
    fn hooks_of_deletions_and_rollbacks_never_run() {
        for (events, runs) in [
            ("post-delete", false),
            ("pre-delete,pre-rollback,post-rollback", false),
            ("test-failure", false),
            ("post-delete,test", true),
            ("pre-upgrade", true),
        ] {
            assert_eq!(
                may_run(&hook("Job", "a", json!({ "helm.sh/hook": events }))),
                runs,
                "{events}"
            );
        }
    }

    #[test]
    fn what_is_left_of_an_earlier_run_makes_way_as_the_policy_says() {
        let with = |kind: &str, policy: Option<&str>| {
            let mut annotations = json!({ "helm.sh/hook": "pre-install" });
            if let Some(policy) = policy {
                annotations["helm.sh/hook-delete-policy"] = json!(policy);
            }
            hook(kind, "a", annotations)
        };
        let decide = |hook: &Hook| placing(Some(&hook.object), hook);
        for (hook, expected) in [
            (with("Job", None), Placing::Replace),
            (
                with("Job", Some("before-hook-creation,hook-succeeded")),
                Placing::Replace,
            ),
            (with("ConfigMap", None), Placing::Replace),
            (with("ConfigMap", Some("hook-succeeded")), Placing::Apply),
            (with("PersistentVolumeClaim", None), Placing::Apply),
            (with("CustomResourceDefinition", None), Placing::Apply),
        ] {
            assert_eq!(decide(&hook), expected, "{hook:?}");
            assert_eq!(placing(None, &hook), Placing::Create);
        }
        let Placing::Refuse(reason) = decide(&with("Job", Some("hook-succeeded"))) else {
            panic!()
        };
        assert!(
            reason.contains("kubectl delete job --namespace shop a"),
            "{reason}"
        );
    }

    #[test]
    fn a_first_version_that_never_came_to_its_end_is_installed_again() {
        let record = |state| Record::new(state, "abc");
        assert_eq!(Release::of(None, false), Release::Install);
        assert_eq!(Release::of(None, true), Release::Upgrade);
        assert_eq!(
            Release::of(Some(&record(State::Installing)), true),
            Release::Install
        );
        assert_eq!(
            Release::of(Some(&record(State::Upgrading)), false),
            Release::Upgrade
        );
        assert_eq!(
            Release::of(Some(&record(State::Done)), false),
            Release::Upgrade
        );
        assert!(record(State::Done).is_done_with("abc"));
        assert!(!record(State::Done).is_done_with("abd"));
        assert!(!record(State::Upgrading).is_done_with("abc"));
    }

    #[test]
    fn a_release_is_there_when_one_of_its_objects_is() {
        let object =
            |kind: &str, name: &str| hook(kind, name, json!({ "helm.sh/hook": "test" })).object;
        let objects = [object("Namespace", "shop"), object("ConfigMap", "a")];
        let changes = |namespace, map| {
            let pairs = objects.iter().zip([namespace, map]);
            pairs
                .map(|(object, action)| Change::new(action, object.reference().clone()))
                .collect::<Vec<_>>()
        };
        assert!(!is_there(
            &objects,
            &changes(Action::Unchanged, Action::Create)
        ));
        assert!(is_there(&objects, &changes(Action::Create, Action::Update)));
        assert!(!is_there(
            &objects[..1],
            &changes(Action::Create, Action::Update)
        ));
    }
}
