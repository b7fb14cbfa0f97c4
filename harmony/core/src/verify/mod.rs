//! Verification: a deploy returns only after the new revision is ready and its smoke checks have passed.
//!
//! [`Verified`] is a companion. It is the only type that turns a [`Workload`] into a Score.

mod failed_check;

pub use crate::capability::prober::{CustomCheck, ProbeFailure, ServicePort, SmokeCheck};
pub use crate::verdict::{Confidence, FailureClass, Verdict};

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use harmony_types::Namespace;
use tokio::time::Instant;

use crate::capability::Prober;
use crate::{Interpret, InterpretError, Inventory, Outcome, Score, Topology};

/// The time limit for becoming ready, unless the Score sets another one.
pub const READY_DEADLINE: Duration = Duration::from_secs(120);

/// The time limit for the smoke checks after the workload is ready, unless the Score sets another one.
pub const SMOKE_DEADLINE: Duration = Duration::from_secs(30);

const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Something that a Score runs. It must answer two questions: is the new revision ready, and does it work?
///
/// A workload is not a [`Score`]. Only [`Verified`] turns it into one, and only `Verified` can take the [`Outcome`] out
/// of the result of [`deploy`](Workload::deploy). So nothing is deployed without verification:
///
/// ```compile_fail
/// # use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Topology, async_trait, verify::Workload};
/// struct Hasty<W>(W);
/// #[async_trait]
/// impl<T: Topology, W: Workload<T>> Interpret<T> for Hasty<W> {
///     async fn execute(&self, inventory: &Inventory, topology: &T) -> Result<Outcome, InterpretError> {
///         Ok(self.0.deploy(inventory, topology).await?.outcome) // private
///     }
/// }
/// ```
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how it is verified on the topology `{T}`",
    note = "implement `Workload<{T}>` for it: how to deploy it, how to wait until it is ready, and its smoke checks"
)]
pub trait Workload<T: Topology>: Debug + Send + Sync + 'static {
    /// What `deploy` passes to `wait_ready`, such as the names of the objects it applied.
    type Running: Send + Sync;

    /// The name of the Score.
    fn name(&self) -> String;

    /// Makes the topology run the workload. Returns when the change has been accepted.
    ///
    /// # Errors
    /// The error of the operation that failed, with the name of the Score.
    async fn deploy(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Deployed<Self::Running>, InterpretError>;

    /// Waits until the deployed revision is ready. Not called while planning.
    ///
    /// # Errors
    /// A [`Verdict`] as soon as it is clear that it will not become ready, and after [`READY_DEADLINE`] or the deadline
    /// of the Score at the latest.
    async fn wait_ready(&self, topology: &T, running: &Self::Running)
    -> Result<(), InterpretError>;

    /// The checks that must pass. A plan lists them without running them.
    fn checks(&self, running: &Self::Running) -> Checks;

    /// The namespace of the services in the checks.
    fn namespace(&self) -> &Namespace;

    /// The time limit for each check.
    fn smoke_deadline(&self) -> Duration {
        SMOKE_DEADLINE
    }
}

/// The result of deploying a [`Workload`], before verification. Only [`Verified`] can read its outcome.
#[derive(Debug)]
#[must_use = "a deployed workload must be verified: pass it to `Verified`"]
pub struct Deployed<R> {
    outcome: Outcome,
    running: R,
}

impl<R> Deployed<R> {
    /// The changes that were made, and what has to become ready.
    pub fn new(outcome: impl Into<Outcome>, running: R) -> Self {
        Self {
            outcome: outcome.into(),
            running,
        }
    }

    /// Adds earlier changes, such as a Secret that the workload reads.
    pub fn after(self, earlier: impl Into<Outcome>) -> Self {
        let mut outcome = earlier.into();
        outcome.absorb(self.outcome);
        Self { outcome, ..self }
    }

    /// Adds the outcome of a later step, such as a hook.
    pub fn with(self, later: impl Into<Outcome>) -> Self {
        let mut outcome = self.outcome;
        outcome.absorb(later.into());
        Self { outcome, ..self }
    }

    /// Replaces what has to become ready.
    pub fn map<S>(self, running: impl FnOnce(R) -> S) -> Deployed<S> {
        Deployed {
            outcome: self.outcome,
            running: running(self.running),
        }
    }

    /// Adds information for the user's next step.
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self {
            outcome: self.outcome.with_note(note),
            ..self
        }
    }
}

/// The checks of a workload: at least one, or an explicit statement that readiness is enough.
#[derive(Debug, Clone)]
pub struct Checks(Vec<SmokeCheck>);

impl Checks {
    /// Starts with this check, which runs when the workload is ready.
    pub fn first(check: SmokeCheck) -> Self {
        Self(vec![check])
    }

    /// Adds another check.
    #[must_use]
    pub fn and(mut self, check: SmokeCheck) -> Self {
        self.0.push(check);
        self
    }

    /// No checks: readiness is enough, for example for a batch job or for objects that are only configuration.
    pub fn readiness_alone() -> Self {
        Self(Vec::new())
    }

    /// The checks, in the order in which they run.
    pub fn iter(&self) -> std::slice::Iter<'_, SmokeCheck> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Checks {
    type Item = &'a SmokeCheck;
    type IntoIter = std::slice::Iter<'a, SmokeCheck>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The Score of a [`Workload`]: deploys it, waits until it is ready, and runs the smoke checks. It succeeds only if all
/// of this succeeds.
#[derive(Debug)]
pub struct Verified<W>(Arc<W>);

impl<W> Verified<W> {
    /// Deploys and verifies `workload`.
    pub fn new(workload: W) -> Self {
        Self(Arc::new(workload))
    }
}

impl<W> Clone for Verified<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, W> Score<T> for Verified<W>
where
    T: Topology + Prober,
    W: Workload<T>,
{
    fn name(&self) -> String {
        self.0.name()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T, W> Interpret<T> for Verified<W>
where
    T: Topology + Prober,
    W: Workload<T>,
{
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let (workload, name) = (&*self.0, self.0.name());
        let deployed = workload.deploy(inventory, topology).await?;
        let Deployed {
            mut outcome,
            running,
        } = deployed;
        let checks = workload.checks(&running);
        let context = topology.context();
        if !context.is_planning() {
            let step = context.step(format!("wait until {name} is ready"));
            workload.wait_ready(topology, &running).await?;
            step.done("ready");
            for check in &checks {
                let step = context.step(format!("check {name}: {check}"));
                run_check(
                    topology,
                    workload.namespace(),
                    check,
                    workload.smoke_deadline(),
                )
                .await
                .map_err(|verdict| InterpretError::new(&name, verdict))?;
                step.done("passed");
            }
        }
        outcome
            .checks
            .extend(checks.iter().map(ToString::to_string));
        Ok(outcome)
    }
}

/// The execution of a verified `workload`, for the `create_interpret` of a Score.
pub fn verified<T, W>(workload: W) -> Box<dyn Interpret<T>>
where
    T: Topology + Prober,
    W: Workload<T>,
{
    Box::new(Verified::new(workload))
}

/// Like [`verified`], for a workload that could not be created: the execution returns this error.
pub fn verified_or<T, W>(workload: Result<W, InterpretError>) -> Box<dyn Interpret<T>>
where
    T: Topology + Prober,
    W: Workload<T>,
{
    match workload {
        Ok(workload) => verified(workload),
        Err(error) => Box::new(Failing(error)),
    }
}

struct Failing(InterpretError);

#[async_trait]
impl<T: Topology> Interpret<T> for Failing {
    async fn execute(&self, _: &Inventory, _: &T) -> Result<Outcome, InterpretError> {
        Err(self.0.clone())
    }
}

/// Repeats a check until it passes. After the deadline, the last observation becomes the verdict.
async fn run_check<T: Topology + Prober>(
    topology: &T,
    namespace: &Namespace,
    check: &SmokeCheck,
    deadline: Duration,
) -> Result<(), Verdict> {
    let began = Instant::now();
    let mut tries = 0_u32;
    loop {
        tries += 1;
        let left = deadline.saturating_sub(began.elapsed()).max(RETRY_EVERY);
        let attempt = tokio::time::timeout(left, probe_once(topology, namespace, check));
        let failure = match topology.context().unless_cancelled(attempt).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(failure))) => failure,
            Ok(Err(_elapsed)) => ProbeFailure::new("no answer in time"),
            Err(_cancelled) => return Err(Verdict::cancelled_check(check)),
        };
        if began.elapsed() + RETRY_EVERY >= deadline {
            return Err(Verdict::failed_check(
                check,
                &failure,
                tries,
                began.elapsed(),
            ));
        }
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

async fn probe_once<T: Prober>(
    topology: &T,
    namespace: &Namespace,
    check: &SmokeCheck,
) -> Result<(), ProbeFailure> {
    match check {
        SmokeCheck::Custom(custom) => custom.run(topology, namespace).await,
        check => topology.probe(namespace, check).await,
    }
}
