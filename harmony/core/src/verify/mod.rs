//! Deploy returns only when the thing works: readiness of the new revision, then smoke checks.
//!
//! [`Verified`] is a companion: it makes a Score of a [`Workload`], and nothing else does.

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

/// How long a deployed thing may take to become ready, unless its Score says otherwise.
pub const READY_DEADLINE: Duration = Duration::from_secs(120);

/// How long the smoke checks of a ready thing may fail before they count, unless its Score says otherwise.
pub const SMOKE_DEADLINE: Duration = Duration::from_secs(30);

const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Something that a Score makes run, and so owes two answers: is the wanted revision ready, and does it work.
///
/// A workload is no [`Score`]: only [`Verified`] makes one of it, and only that can take the [`Outcome`] out of what
/// [`deploy`](Workload::deploy) returns. So nothing is deployed without being verified:
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
    note = "implement `Workload<{T}>` for it: how it is deployed, how its readiness is awaited, and its smoke checks"
)]
pub trait Workload<T: Topology>: Debug + Send + Sync + 'static {
    /// What `deploy` hands to `wait_ready`, such as the names of the objects it applied.
    type Running: Send + Sync;

    /// The name of its Score.
    fn name(&self) -> String;

    /// Makes the topology run it. Returns once the change is accepted.
    ///
    /// # Errors
    /// What failed, with the Score's name.
    async fn deploy(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Deployed<Self::Running>, InterpretError>;

    /// Waits until the revision that was deployed serves. Not called when planning.
    ///
    /// # Errors
    /// With a [`Verdict`] as soon as it is clear that it will not, at the latest after [`READY_DEADLINE`] or the
    /// Score's own deadline.
    async fn wait_ready(&self, topology: &T, running: &Self::Running)
    -> Result<(), InterpretError>;

    /// What must hold for it to count as working. A plan lists these checks and runs none.
    fn checks(&self, running: &Self::Running) -> Checks;

    /// Where the checks find its services.
    fn namespace(&self) -> &Namespace;

    /// How long each check may fail before that counts.
    fn smoke_deadline(&self) -> Duration {
        SMOKE_DEADLINE
    }
}

/// What a [`Workload`] deployed, not verified yet. Its outcome is for [`Verified`] alone.
#[derive(Debug)]
#[must_use = "what was deployed has to be verified: hand the workload to `Verified`"]
pub struct Deployed<R> {
    outcome: Outcome,
    running: R,
}

impl<R> Deployed<R> {
    /// `outcome` was done, and `running` is what has to become ready.
    pub fn new(outcome: impl Into<Outcome>, running: R) -> Self {
        Self {
            outcome: outcome.into(),
            running,
        }
    }

    /// With what was done before it, such as a Secret that it reads.
    pub fn after(self, earlier: impl Into<Outcome>) -> Self {
        let mut outcome = earlier.into();
        outcome.absorb(self.outcome);
        Self { outcome, ..self }
    }

    /// With what is done after it, such as a hook.
    pub fn with(self, later: impl Into<Outcome>) -> Self {
        let mut outcome = self.outcome;
        outcome.absorb(later.into());
        Self { outcome, ..self }
    }

    /// With something else that has to become ready, made of what is there.
    pub fn map<S>(self, running: impl FnOnce(R) -> S) -> Deployed<S> {
        Deployed {
            outcome: self.outcome,
            running: running(self.running),
        }
    }

    /// With what a person wants to know next.
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self {
            outcome: self.outcome.with_note(note),
            ..self
        }
    }
}

/// The checks that a workload owes: one at least, or the statement that readiness says it all.
#[derive(Debug, Clone)]
pub struct Checks(Vec<SmokeCheck>);

impl Checks {
    /// This check, after readiness.
    pub fn first(check: SmokeCheck) -> Self {
        Self(vec![check])
    }

    /// And this one, after those before it.
    #[must_use]
    pub fn and(mut self, check: SmokeCheck) -> Self {
        self.0.push(check);
        self
    }

    /// None: there is nothing to ask beyond readiness, as for a batch job or for objects that only configure.
    pub fn readiness_alone() -> Self {
        Self(Vec::new())
    }

    /// The checks, in the order they run.
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

/// The one Score of a [`Workload`]: done only when what it deployed works. Deploy, then readiness, then smoke checks.
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

/// The execution of a Score that is `workload`, verified: what its `create_interpret` returns.
pub fn verified<T, W>(workload: W) -> Box<dyn Interpret<T>>
where
    T: Topology + Prober,
    W: Workload<T>,
{
    Box::new(Verified::new(workload))
}

/// As [`verified`], for a workload that could not be put together: its execution is that error.
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

/// Repeats a check until it passes; what it last saw becomes the verdict at the deadline.
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
