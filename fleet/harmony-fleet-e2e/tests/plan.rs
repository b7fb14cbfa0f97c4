//! Tests that a plan writes nothing, lists no changes after a deploy, and lists an edit.

use harmony::core::outcome::{Action, Subject};
use harmony::local::node::LocalNode;
use harmony::release::WorkTree;
use harmony::types::Namespace;
use harmony::{Inventory, Outcome, Score, Topology};
use harmony_fleet_deploy::FleetServerScore;
use harmony_fleet_e2e::stack::{new_namespace, readable, shared_stack, topology};

async fn plan(score: &FleetServerScore<WorkTree>) -> anyhow::Result<Outcome> {
    let planning = topology().await?.into_planning();
    planning.ensure_ready().await.map_err(readable)?;
    score
        .interpret(&Inventory::autoload(), &planning)
        .await
        .map_err(readable)
}

/// The writes to a namespace in the audit log of the API server, without dry runs.
fn writes_to(namespace: &Namespace) -> anyhow::Result<Vec<String>> {
    let log = std::fs::read_to_string(LocalNode::default().audit_log())?;
    let of_namespace =
        |line: &&str| line.contains(namespace.as_str()) && !line.contains("dryRun=All");
    Ok(log
        .lines()
        .filter(of_namespace)
        .map(str::to_owned)
        .collect())
}

#[tokio::test]
async fn a_plan_for_a_new_namespace_creates_everything_and_writes_nothing() -> anyhow::Result<()> {
    let stack = shared_stack().await?;
    let namespace = new_namespace()?;
    let elsewhere = FleetServerScore {
        namespace: namespace.clone(),
        ..stack.score.clone()
    };
    let outcome = plan(&elsewhere).await?;
    let created = |kind: &str| {
        outcome.changes.iter().any(|change| {
            change.action == Action::Create
                && matches!(&change.subject, Subject::Object(object) if object.kind == kind)
        })
    };
    for kind in [
        "Namespace",
        "Secret",
        "StatefulSet",
        "Deployment",
        "Service",
        "NetworkPolicy",
    ] {
        assert!(
            created(kind),
            "no {kind} would be created: {:#?}",
            outcome.changes
        );
    }
    assert_eq!(writes_to(&namespace)?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn after_a_deploy_a_plan_finds_no_change_and_after_an_edit_that_one() -> anyhow::Result<()> {
    let stack = shared_stack().await?;
    let before = writes_to(&stack.namespace)?
        .iter()
        .filter(|line| line.contains("harmony-fleet-agent-more"))
        .count();
    let outcome = plan(&stack.score).await?;
    assert!(
        outcome.is_unchanged(),
        "{:#?}",
        outcome.effective().collect::<Vec<_>>()
    );

    let mut edited = stack.score.clone();
    edited.devices.push("more".parse()?);
    let outcome = plan(&edited).await?;
    let changes: Vec<String> = outcome.effective().map(ToString::to_string).collect();
    assert_eq!(
        changes,
        [format!(
            "create Deployment {}/harmony-fleet-agent-more",
            stack.namespace
        )]
    );
    let after = writes_to(&stack.namespace)?
        .iter()
        .filter(|line| line.contains("harmony-fleet-agent-more"))
        .count();
    assert_eq!(before, after);

    edited.devices.remove(0);
    let outcome = plan(&edited).await?;
    let changes: Vec<String> = outcome.effective().map(ToString::to_string).collect();
    let agent = |device: &str| {
        format!(
            "Deployment {}/harmony-fleet-agent-{device}",
            stack.namespace
        )
    };
    assert_eq!(
        changes,
        [
            format!("delete {}", agent("device-1")),
            format!("create {}", agent("more")),
        ]
    );
    Ok(())
}

#[tokio::test]
async fn deploying_again_changes_nothing() -> anyhow::Result<()> {
    let stack = shared_stack().await?;
    let outcome = stack
        .score
        .interpret(&Inventory::autoload(), &topology().await?)
        .await
        .map_err(readable)?;
    assert!(
        outcome.is_unchanged(),
        "{:#?}",
        outcome.effective().collect::<Vec<_>>()
    );
    Ok(())
}
