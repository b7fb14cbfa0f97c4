//! The roads from a release to the cluster, and what a fault looks like at the end of each of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use harmony::configuration::DeliveryChoice;
use harmony::core::capability::KubernetesCluster;
use harmony::core::diagnostic::Report;
use harmony::core::owner::Owner;
use harmony::prelude::*;
use harmony::types::Namespace;
use harmony_fleet_e2e::gitops::production;
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{in_order, namespace_object, new_namespace, topology};

use crate::table::Fault;

/// Long enough for the slowest fault, and short for those that only time shows.
const READY_DEADLINE: Duration = Duration::from_secs(30);
const SMOKE_DEADLINE: Duration = Duration::from_secs(5);

/// A delivery and its name.
pub(crate) struct Road {
    pub(crate) name: &'static str,
    pub(crate) delivery: DeliveryChoice,
}

/// What the error of a deploy says.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) code: String,
    /// The innermost message.
    pub(crate) cause: String,
    /// From the beginning of the deploy to its error.
    pub(crate) after: Duration,
}

/// Deploys the released app of the fault into a namespace of its own, which must fail.
pub(crate) async fn drive(
    fault: &Fault,
    app: &Arc<AppSpec>,
    road: &Road,
    rig: &ReleaseRig,
) -> anyhow::Result<Verdict> {
    let local = topology().await?;
    let namespace = new_namespace()?;
    rig.let_pull(&namespace).await?;
    let somebody = Owner::score("somebody", &namespace);
    let before = fault.before_in(&namespace)?;
    local.apply(&somebody, &before).await?;
    let deploy = DeployScore::of(app, DeployTarget::production(namespace.clone()))
        .with_ready_deadline(READY_DEADLINE)
        .with_smoke_deadline(SMOKE_DEADLINE);
    let topology = production(rig, road.delivery.clone());
    let began = Instant::now();
    let failed = in_order(scores![deploy], &topology).await;
    let after = began.elapsed();
    local.delete(&namespace_object(&namespace)?).await?;
    let Err(report) = failed else {
        anyhow::bail!("{} was deployed by {}", fault.name, road.name);
    };
    #[expect(clippy::print_stdout, reason = "the output of the test")]
    {
        println!(
            "{} by {} after {after:.1?}: {report}\n",
            fault.name, road.name
        );
    }
    Ok(Verdict {
        code: report.code.to_string(),
        cause: cause(&report, &namespace, rig),
        after,
    })
}

/// The innermost message, without the names that differ from run to run.
fn cause(report: &Report, namespace: &Namespace, rig: &ReleaseRig) -> String {
    let innermost = report.causes.last().unwrap_or(&report.message);
    let text = innermost
        .replace(namespace.as_str(), "shop")
        .replace(rig.registry.host().as_str(), "registry.example.com");
    let words = text.split(' ').map(|word| {
        let of_pod = word.contains("web-");
        match word.split_once("@sha256:") {
            Some((image, rest)) => {
                let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_hexdigit());
                format!("{image}@sha256:...{rest}")
            }
            None if of_pod => "\"web-...\"".to_owned(),
            None => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
