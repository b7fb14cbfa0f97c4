//! Deploy returns only when the thing works: readiness of the new revision, then smoke checks.
//!
//! [`Verified`] is a companion: it wraps a Score that implements [`Verifiable`] and is a Score itself.

mod failed_check;

pub use crate::capability::prober::{CustomCheck, ProbeFailure, ServicePort, SmokeCheck};
pub use crate::verdict::{Confidence, FailureClass, Verdict};

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

/// A Score of something that runs, and so can be asked whether it works.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be verified on the topology `{T}`",
    note = "implement `Verifiable<{T}>` for it: how its readiness is awaited, and its smoke checks"
)]
pub trait Verifiable<T: Topology>: Score<T> {
    /// Waits until the revision that the Score wants serves.
    ///
    /// # Errors
    /// With a [`Verdict`] as soon as it is clear that it will not, at the latest after [`READY_DEADLINE`] or the
    /// Score's own deadline.
    async fn wait_ready(&self, topology: &T) -> Result<(), InterpretError>;

    /// What must hold for it to count as working, run in this order.
    fn smoke_checks(&self) -> Vec<SmokeCheck>;

    /// Where the checks find its services.
    fn namespace(&self) -> &Namespace;
}

/// A Score that counts as done only when what it deployed works: interpret, then readiness, then smoke checks.
#[derive(Debug, Clone)]
pub struct Verified<S> {
    score: S,
    deadline: Duration,
}

impl<S> Verified<S> {
    /// Verifies `score` with the default deadlines.
    pub fn new(score: S) -> Self {
        Self {
            score,
            deadline: SMOKE_DEADLINE,
        }
    }

    /// Each smoke check may fail for that long before it counts.
    #[must_use]
    pub fn with_smoke_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }
}

impl<T, S> Score<T> for Verified<S>
where
    T: Topology + Prober,
    S: Verifiable<T> + Clone + 'static,
{
    fn name(&self) -> String {
        self.score.name()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(VerifiedInterpret {
            score: self.score.clone(),
            deadline: self.deadline,
        })
    }
}

struct VerifiedInterpret<S> {
    score: S,
    deadline: Duration,
}

#[async_trait]
impl<T, S> Interpret<T> for VerifiedInterpret<S>
where
    T: Topology + Prober,
    S: Verifiable<T>,
{
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let mut outcome = self
            .score
            .create_interpret()
            .execute(inventory, topology)
            .await?;
        let checks = self.score.smoke_checks();
        let context = topology.context();
        if !context.is_planning() {
            let step = context.step(format!("wait until {} is ready", self.score.name()));
            self.score.wait_ready(topology).await?;
            step.done("ready");
            for check in &checks {
                let step = context.step(format!("check {}: {check}", self.score.name()));
                run_check(topology, self.score.namespace(), check, self.deadline)
                    .await
                    .map_err(|verdict| InterpretError::new(self.score.name(), verdict))?;
                step.done("passed");
            }
        }
        outcome
            .checks
            .extend(checks.iter().map(ToString::to_string));
        Ok(outcome)
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
