//! Runs the hooks of a chart before its objects are applied and when they are ready, and its tests.
//!
//! ```text
//! prepare (reads only):  record, objects and hooks checked --> install or upgrade --> hooks to run, in order
//! run_before:            start the record --> each hook: delete the old one --> apply --> wait until it has ended
//! (the objects are applied, and become ready)
//! run_after:             each hook as above --> complete the record --> each test
//! ```
//!
//! Pure functions decide which hooks run. The record stores the progress of the last run, so that the next run continues
//! one that was killed. If a release has not changed, its hooks do not run again, but its tests do.

mod decide;
mod record;

use std::time::Duration;

use harmony_charts::{DeletePolicy, Hook, HookEvent};
use harmony_core::Context;
use harmony_core::approval::Takeover;
use harmony_core::capability::KubernetesCluster;
use harmony_core::capability::continuous_delivery::Followup;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::kubernetes::KubeObject;
use harmony_core::outcome::Change;
use harmony_core::owner::Owner;
use harmony_core::verify::FailureClass;

use crate::apply::{Standing, standing};
use decide::{Placing, Release, due, placing, runs_to_its_end, tests, under_another_name};
use record::{Record, State};

/// The timeout of a hook, as with Helm, unless a Job has an `activeDeadlineSeconds`.
const HOOK_DEADLINE: Duration = Duration::from_secs(300);

/// Runs the hooks of one release.
pub struct Hooks<'a, C: ?Sized> {
    context: &'a Context,
    cluster: &'a C,
    owner: &'a Owner,
}

/// The hooks that will run, and what is known about them. Nothing was written.
#[derive(Debug, Default)]
pub struct Prepared {
    /// The changes of the hooks that run before the objects are applied.
    pub before: Vec<Change>,
    /// The changes of the hooks that run when the objects are ready.
    pub after: Vec<Change>,
    begin: Option<KubeObject>,
    hooks: Vec<Hook>,
    first: Vec<KubeObject>,
    followup: Followup,
}

impl<'a, C: KubernetesCluster + ?Sized> Hooks<'a, C> {
    /// Runs hooks for `owner` in `cluster`.
    pub fn new(context: &'a Context, cluster: &'a C, owner: &'a Owner) -> Self {
        Self {
            context,
            cluster,
            owner,
        }
    }

    /// Checks objects and hooks, and decides which hooks run. `objects` are all objects of the release; `is_there` means
    /// that an earlier version is known to have been applied.
    ///
    /// # Errors
    /// Anything that would be refused later, before anything is written.
    pub async fn prepare(
        &self,
        objects: &[KubeObject],
        hooks: &[Hook],
        is_there: bool,
    ) -> Result<Prepared, ClusterError> {
        let relevant: Vec<&Hook> = hooks.iter().filter(|hook| decide::may_run(hook)).collect();
        if relevant.is_empty() {
            return Ok(Prepared::default());
        }
        let stored = self.cluster.get(&Record::reference(self.owner)?).await?;
        let stored = stored.as_ref().and_then(Record::read);
        let mut found = Vec::with_capacity(relevant.len());
        for hook in &relevant {
            found.push(self.cluster.get(hook.object.reference()).await?);
        }
        let mut tried = objects.to_vec();
        for (hook, found) in relevant.iter().zip(&found) {
            tried.push(match placing(found.as_ref(), hook) {
                Placing::Replace => under_another_name(&hook.object)?,
                _ => hook.object.clone(),
            });
        }
        let changes = self.preview(tried, &relevant).await?;
        let is_there = is_there || decide::is_there(objects, &changes);
        let release = Release::of(stored.as_ref(), is_there);
        let digest = record::digest(objects, &relevant);
        let is_due = !stored.is_some_and(|stored| stored.is_done_with(&digest));
        let (first, then) = if is_due {
            (due(hooks, release.before()), due(hooks, release.after()))
        } else {
            (Vec::new(), Vec::new())
        };
        let tests = tests(hooks);
        let place = |hook: &Hook| {
            let at = relevant.iter().position(|other| *other == hook);
            at.and_then(|at| found[at].as_ref())
        };
        let running = || first.iter().chain(&then).chain(&tests);
        for hook in running() {
            if let Placing::Refuse(reason) = placing(place(hook), hook) {
                return Err(ClusterError::Refused {
                    object: hook.object.reference().clone(),
                    reason,
                    fields: Vec::new(),
                });
            }
        }
        let consents = running().filter_map(|hook| place(hook));
        self.consent(consents).await?;
        let change = |event: HookEvent| {
            move |hook: &&Hook| decide::change(hook, place(hook).is_some(), event)
        };
        let record = |state| Record::new(state, &digest).stored(self.owner);
        Ok(Prepared {
            before: first.iter().map(change(release.before())).collect(),
            after: then.iter().map(change(release.after())).collect(),
            begin: is_due.then(|| record(release.begun())).transpose()?,
            hooks: first.iter().map(|hook| (*hook).clone()).collect(),
            first: objects
                .iter()
                .filter(|object| object.reference().kind == "Namespace")
                .cloned()
                .collect(),
            followup: Followup {
                owner: Some(self.owner.clone()),
                hooks: then.iter().map(|hook| hook.object.clone()).collect(),
                record: is_due.then(|| record(State::Done)).transpose()?,
                tests: tests.iter().map(|hook| hook.object.clone()).collect(),
            },
        })
    }

    /// Runs the hooks before the objects are applied, and returns the hooks to run afterwards.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`] with the log of a hook that failed.
    pub async fn run_before(&self, prepared: Prepared) -> Result<Followup, ClusterError> {
        if self.context.is_planning() {
            return Ok(Followup::default());
        }
        if let Some(begin) = prepared.begin {
            // The record and the hooks need their namespaces.
            let mut first = prepared.first;
            first.push(begin);
            self.cluster.apply(self.owner, &first).await?;
        }
        let hint =
            "no object of the chart was applied: fix the hook, and run the same command again";
        self.run_all(&prepared.hooks, HOOK_DEADLINE, hint).await?;
        Ok(prepared.followup)
    }

    /// Runs the hooks when the objects are ready, and the tests.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`] with the log of a hook or a test that failed.
    pub async fn run_after(
        &self,
        followup: &Followup,
        deadline: Duration,
    ) -> Result<(), ClusterError> {
        let deadline = deadline.max(HOOK_DEADLINE);
        let read = |objects: &[KubeObject]| -> Vec<Hook> {
            let hooks = objects.iter().map(Hook::of);
            hooks.filter_map(|hook| hook.ok().flatten()).collect()
        };
        let hint = "the objects of the chart were applied and are ready: fix the hook, and run the same command again";
        self.run_all(&read(&followup.hooks), deadline, hint).await?;
        if let Some(record) = &followup.record {
            let record = std::slice::from_ref(record);
            self.cluster.apply(self.owner, record).await?;
        }
        let hint = "the chart is deployed, but its own test failed";
        let tested = self.run_all(&read(&followup.tests), deadline, hint).await;
        tested.map_err(|error| match error {
            ClusterError::NotReady(mut verdict) => {
                verdict.class = FailureClass::SmokeCheckFailed;
                ClusterError::NotReady(verdict)
            }
            other => other,
        })
    }

    /// Runs one after the other. When all have succeeded, deletes those with that policy, in reverse order.
    async fn run_all(
        &self,
        hooks: &[Hook],
        deadline: Duration,
        hint: &str,
    ) -> Result<(), ClusterError> {
        for (done, hook) in hooks.iter().enumerate() {
            self.context.check_cancelled()?;
            let step = self
                .context
                .step(format!("run the hook {}", hook.object.reference()));
            if let Err(error) = self.run(hook, deadline).await {
                if matches!(error, ClusterError::NotReady(_)) {
                    self.clear(std::slice::from_ref(hook), DeletePolicy::HookFailed)
                        .await?;
                    self.clear(&hooks[..done], DeletePolicy::HookSucceeded)
                        .await?;
                }
                return Err(named(error, hook, hint));
            }
            step.done("done");
        }
        self.clear(hooks, DeletePolicy::HookSucceeded).await
    }

    async fn run(&self, hook: &Hook, deadline: Duration) -> Result<(), ClusterError> {
        let reference = hook.object.reference();
        let found = self.cluster.get(reference).await?;
        if let (Placing::Replace, Some(found)) = (placing(found.as_ref(), hook), &found) {
            self.cluster.delete_observed(found).await?;
        }
        let object = std::slice::from_ref(&hook.object);
        self.cluster.apply(self.owner, object).await?;
        if !runs_to_its_end(reference) {
            return Ok(());
        }
        let reference = std::slice::from_ref(reference);
        self.cluster.wait_ready(reference, deadline).await
    }

    async fn clear(&self, hooks: &[Hook], policy: DeletePolicy) -> Result<(), ClusterError> {
        for hook in hooks.iter().rev().filter(|hook| hook.is_deleted(policy)) {
            if decide::may_go(hook.object.reference()) {
                self.cluster.delete(hook.object.reference()).await?;
            }
        }
        Ok(())
    }

    /// Checks everything that can be checked: a hook that runs a program may create the kinds of other objects.
    async fn preview(
        &self,
        mut objects: Vec<KubeObject>,
        hooks: &[&Hook],
    ) -> Result<Vec<Change>, ClusterError> {
        let brings = hooks.iter().any(|hook| {
            let is_before =
                hook.runs_at(HookEvent::PreInstall) || hook.runs_at(HookEvent::PreUpgrade);
            is_before && runs_to_its_end(hook.object.reference())
        });
        loop {
            match self.cluster.preview(self.owner, &objects).await {
                Err(ClusterError::UnknownKind { object }) if brings => {
                    let before = objects.len();
                    objects.retain(|other| *other.reference() != object);
                    if objects.len() == before {
                        return Err(ClusterError::UnknownKind { object });
                    }
                }
                tried => return tried,
            }
        }
    }

    /// Asks for consent to hooks that would replace an object of another owner.
    async fn consent(&self, found: impl Iterator<Item = &KubeObject>) -> Result<(), ClusterError> {
        let takeovers: Vec<Takeover> = found
            .filter_map(|object| match standing(object.body(), self.owner) {
                Standing::Others(owners) => Some(Takeover {
                    object: object.reference().clone(),
                    owner: owners.join(", "),
                }),
                Standing::Ours
                | Standing::Legacy
                | Standing::ByArgo
                | Standing::ByHelm
                | Standing::ByKustomize => None,
            })
            .collect();
        if takeovers.is_empty() || self.context.approve_takeovers(&takeovers).await? {
            return Ok(());
        }
        Err(ClusterError::OtherOwner { takeovers })
    }
}

/// Adds which hook failed, and the state of the rest.
fn named(error: ClusterError, hook: &Hook, hint: &str) -> ClusterError {
    match error {
        ClusterError::NotReady(mut verdict) => {
            let events: Vec<String> = hook.events.iter().map(HookEvent::to_string).collect();
            verdict.summary = format!("the {} hook {}", events.join(","), verdict.summary);
            verdict.hints.push(hint.to_owned());
            ClusterError::NotReady(verdict)
        }
        other => other,
    }
}

impl Release {
    fn before(self) -> HookEvent {
        match self {
            Self::Install => HookEvent::PreInstall,
            Self::Upgrade => HookEvent::PreUpgrade,
        }
    }

    fn after(self) -> HookEvent {
        match self {
            Self::Install => HookEvent::PostInstall,
            Self::Upgrade => HookEvent::PostUpgrade,
        }
    }

    fn begun(self) -> State {
        match self {
            Self::Install => State::Installing,
            Self::Upgrade => State::Upgrading,
        }
    }
}
