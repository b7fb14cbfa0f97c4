//! Decides whether applied objects work, and if not, why.
//!
//! A pure core decides; a thin shell watches:
//!
//! ```text
//! watch (shell): lists and watches --> Surroundings --+
//!                                                     |
//!                 Tracker::decide(observed, now) <----+      one per awaited object; holds sticky evidence
//!                    |        |         |
//!                  Ready   Waiting    Failed --> evidence (shell): events and log lines --> Verdict
//! ```
//!
//! The core knows no clock and no network. Time is an argument, so every class of failure has unit tests.
//!
//! Rules it keeps: only pods of the *current* revision count; "ready" needs the generation observed, the new pods
//! ready and the old ones gone or leaving; the first cause of a container's trouble is kept, later and vaguer words do
//! not replace it; every class has its own grace; a cause that another pod of the same revision disproves (it is ready)
//! waits for the deadline; "ready" has to last for as long as the probes need to say otherwise, within limits.

mod assessment;
mod budget;
mod container;
mod custom;
mod evidence;
mod jobs;
mod observed;
mod others;
mod pods;
mod policies;
mod probes;
mod refusal;
mod routes;
mod selection;
mod setup;
mod state;
mod tracker;
mod watch;
mod workload;

pub use observed::{Observed, Surroundings};
pub use tracker::{Culprit, Failure, Progress, Tracker};
pub(crate) use watch::wait_ready;

#[cfg(test)]
mod tests;
