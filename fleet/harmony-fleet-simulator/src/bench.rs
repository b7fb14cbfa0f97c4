//! Everything that is measured, in order.

use crate::figure::Figure;
use crate::simulation::{Plan, Simulation};
use crate::{delivery, idle, loss, outage};

/// Measures everything.
pub async fn run(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let mut rng = fastrand::Rng::with_seed(plan.seed);
    let mut simulation = Simulation::start(plan).await?;
    let (mut figures, content) = delivery::desired(&simulation, plan.rounds).await?;
    figures.push(delivery::observed(&simulation, &mut rng).await?);
    figures.extend(idle::cost(&simulation, plan.idle).await?);
    figures.extend(outage::of_nats(&mut simulation, plan.gone).await?);
    figures.push(loss::of_observed(&mut simulation).await?);
    figures.extend(loss::of_desired(&simulation, &content, plan.rounds + 1).await?);
    simulation.stop().await?;
    Ok(figures)
}
