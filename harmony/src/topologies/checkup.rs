//! Examining a topology: its parts at once, and the clusters of its stages.

use futures_util::future::join_all;
use harmony_core::capability::Checkup;
use harmony_core::chart::{DeployTarget, Stage};
use harmony_core::checkup::{DEADLINE, Finding, NoAnswer};
use harmony_core::diagnostic::AnyDiagnostic;

use super::LazyCluster;

/// The cluster for the targets of a stage; `Stage::Only` is the one that everything else uses.
pub(super) async fn cluster(
    cluster: &LazyCluster,
    stage: Stage,
    targets: &[DeployTarget],
) -> Vec<Finding> {
    let part = match stage {
        Stage::Only => "cluster".to_owned(),
        stage => format!("cluster for {stage}"),
    };
    let connected = tokio::time::timeout(DEADLINE, cluster.cluster()).await;
    let found = match connected {
        Ok(Ok(cluster)) => cluster.examine(targets).await,
        Ok(Err(error)) => vec![Finding::failed("", "answers", &error)],
        Err(_) => {
            let error = AnyDiagnostic::new(NoAnswer::of(&part));
            vec![Finding::failed("", "answers", &error)]
        }
    };
    found
        .into_iter()
        .map(|finding| finding.about(&part))
        .collect()
}

/// The stages that have targets; without targets, everything is on the same cluster.
pub(super) fn stages(targets: &[DeployTarget]) -> Vec<Stage> {
    let mut stages: Vec<Stage> = targets.iter().map(|target| target.stage).collect();
    stages.sort_unstable();
    stages.dedup();
    if stages.is_empty() {
        stages.push(Stage::Only);
    }
    stages
}

/// The clusters of the stages that have targets.
pub(super) async fn clusters<'a>(
    of: impl Fn(Stage) -> &'a LazyCluster,
    targets: &[DeployTarget],
) -> Vec<Finding> {
    let of = &of;
    let examined = stages(targets).into_iter().map(|stage| async move {
        let at: Vec<DeployTarget> = targets
            .iter()
            .filter(|target| target.stage == stage)
            .cloned()
            .collect();
        cluster(of(stage), stage, &at).await
    });
    join_all(examined).await.concat()
}
