//! Hooks: objects of a chart that are not installed, but run at certain events.

use std::collections::BTreeSet;
use std::fmt;

use harmony_core::kubernetes::KubeObject;
use serde_json::Value;

/// An event for which a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookEvent {
    /// Before the objects of the first version are applied.
    PreInstall,
    /// When the objects of the first version are ready.
    PostInstall,
    /// Before the objects of a later version are applied.
    PreUpgrade,
    /// When the objects of a later version are ready.
    PostUpgrade,
    /// Before a release is deleted.
    PreDelete,
    /// After a release was deleted.
    PostDelete,
    /// Before an earlier version is restored.
    PreRollback,
    /// After an earlier version was restored.
    PostRollback,
    /// To test that the release works.
    Test,
}

/// When a hook is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeletePolicy {
    /// Before it is created for the next run.
    BeforeHookCreation,
    /// When it and all other hooks of its event have succeeded.
    HookSucceeded,
    /// When it has failed.
    HookFailed,
}

/// A hook as described by its annotations.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// The object to create when it runs.
    pub object: KubeObject,
    /// The events for which it runs; none for a hook with only the `test-failure` of Helm 2.
    pub events: BTreeSet<HookEvent>,
    /// Hooks of one event run in the order of their weights.
    pub weight: i32,
    /// When it is deleted.
    pub delete: BTreeSet<DeletePolicy>,
}

impl Hook {
    /// `None` for an object that is not a hook. The `crd-install` of Helm 2 does not count, because definitions are
    /// always applied first.
    ///
    /// # Errors
    /// The problem with one of the annotations.
    pub fn of(object: &KubeObject) -> Result<Option<Self>, String> {
        let Some(events) = annotation(object.body(), "helm.sh/hook")? else {
            return Ok(None);
        };
        let words = words(events);
        if words == ["crd-install"] {
            return Ok(None);
        }
        let mut hook = Self {
            object: object.clone(),
            events: BTreeSet::new(),
            weight: 0,
            delete: BTreeSet::new(),
        };
        for word in words {
            if FORMER_EVENTS.contains(&word.as_str()) {
                continue;
            }
            hook.events.insert(event(&word).ok_or_else(|| {
                format!(
                    "the annotation `helm.sh/hook` contains the event `{word}`, which helm does not support"
                )
            })?);
        }
        if let Some(weight) = annotation(object.body(), "helm.sh/hook-weight")? {
            hook.weight = weight.trim().parse().map_err(|_| {
                format!(
                    "the annotation `helm.sh/hook-weight` is `{weight}`, which is not a whole number"
                )
            })?;
        }
        let policies = annotation(object.body(), "helm.sh/hook-delete-policy")?;
        for word in policies.map(self::words).unwrap_or_default() {
            hook.delete.insert(policy(&word).ok_or_else(|| {
                format!(
                    "the annotation `helm.sh/hook-delete-policy` contains the policy `{word}`, which helm does not support"
                )
            })?);
        }
        if hook.delete.is_empty() {
            hook.delete.insert(DeletePolicy::BeforeHookCreation);
        }
        Ok(Some(hook))
    }

    /// Whether it runs for that event.
    pub fn runs_at(&self, event: HookEvent) -> bool {
        self.events.contains(&event)
    }

    /// Whether it is deleted in that case.
    pub fn is_deleted(&self, policy: DeletePolicy) -> bool {
        self.delete.contains(&policy)
    }
}

/// `pre-install`
impl fmt::Display for HookEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PreInstall => "pre-install",
            Self::PostInstall => "post-install",
            Self::PreUpgrade => "pre-upgrade",
            Self::PostUpgrade => "post-upgrade",
            Self::PreDelete => "pre-delete",
            Self::PostDelete => "post-delete",
            Self::PreRollback => "pre-rollback",
            Self::PostRollback => "post-rollback",
            Self::Test => "test",
        })
    }
}

fn annotation<'a>(body: &'a Value, name: &str) -> Result<Option<&'a str>, String> {
    match &body["metadata"]["annotations"][name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        other => Err(format!(
            "the annotation `{name}` is `{other}`, which is not a string: quote it"
        )),
    }
}

fn words(list: &str) -> Vec<String> {
    let words = list.split(',').map(|word| word.trim().to_lowercase());
    words.collect()
}

/// Events of Helm 2 that later versions ignore.
const FORMER_EVENTS: [&str; 2] = ["test-failure", "crd-install"];

fn event(word: &str) -> Option<HookEvent> {
    Some(match word {
        "pre-install" => HookEvent::PreInstall,
        "post-install" => HookEvent::PostInstall,
        "pre-upgrade" => HookEvent::PreUpgrade,
        "post-upgrade" => HookEvent::PostUpgrade,
        "pre-delete" => HookEvent::PreDelete,
        "post-delete" => HookEvent::PostDelete,
        "pre-rollback" => HookEvent::PreRollback,
        "post-rollback" => HookEvent::PostRollback,
        "test" | "test-success" => HookEvent::Test,
        _ => return None,
    })
}

fn policy(word: &str) -> Option<DeletePolicy> {
    Some(match word {
        "before-hook-creation" => DeletePolicy::BeforeHookCreation,
        "hook-succeeded" => DeletePolicy::HookSucceeded,
        "hook-failed" => DeletePolicy::HookFailed,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hook(annotations: Value) -> Result<Option<Hook>, String> {
        let object = json!({ "apiVersion": "batch/v1", "kind": "Job",
            "metadata": { "name": "a", "namespace": "shop", "annotations": annotations } });
        Hook::of(&KubeObject::from_value(object).unwrap())
    }

    #[test]
    fn the_annotations_say_when_a_hook_runs_and_goes() {
        let found = hook(json!({
            "helm.sh/hook": "pre-install, Pre-Upgrade,test", "helm.sh/hook-weight": "-5",
            "helm.sh/hook-delete-policy": "hook-succeeded,hook-failed",
        }));
        let found = found.unwrap().unwrap();
        let events = [
            HookEvent::PreInstall,
            HookEvent::PreUpgrade,
            HookEvent::Test,
        ];
        assert_eq!(found.events, events.into());
        assert_eq!(found.weight, -5);
        let policies = [DeletePolicy::HookSucceeded, DeletePolicy::HookFailed];
        assert_eq!(found.delete, policies.into());

        let plain = hook(json!({ "helm.sh/hook": "post-delete" }))
            .unwrap()
            .unwrap();
        assert_eq!(
            (plain.weight, plain.delete),
            (0, [DeletePolicy::BeforeHookCreation].into())
        );
        assert!(plain.events.contains(&HookEvent::PostDelete));
    }

    #[test]
    fn what_no_helm_runs_is_no_hook_or_never_runs() {
        assert_eq!(hook(json!({ "a": "b" })).unwrap(), None);
        assert_eq!(
            hook(json!({ "helm.sh/hook": "crd-install" })).unwrap(),
            None
        );
        assert!(
            hook(json!({ "helm.sh/hook": "test-failure" }))
                .unwrap()
                .unwrap()
                .events
                .is_empty()
        );
    }

    #[test]
    fn words_that_helm_does_not_have_are_refused() {
        for (annotations, word) in [
            (json!({ "helm.sh/hook": "pre-instal" }), "`pre-instal`"),
            (json!({ "helm.sh/hook": "" }), "``"),
            (json!({ "helm.sh/hook": "pre-install," }), "``"),
            (json!({ "helm.sh/hook": 3 }), "quote it"),
            (
                json!({ "helm.sh/hook": "test", "helm.sh/hook-weight": "heavy" }),
                "not a whole number",
            ),
            (
                json!({ "helm.sh/hook": "test", "helm.sh/hook-weight": 5 }),
                "quote it",
            ),
            (
                json!({ "helm.sh/hook": "test", "helm.sh/hook-delete-policy": "after" }),
                "`after`",
            ),
        ] {
            let problem = hook(annotations).unwrap_err();
            assert!(problem.contains(word), "{problem}");
        }
    }
}
