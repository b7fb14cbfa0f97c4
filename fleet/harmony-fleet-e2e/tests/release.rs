//! Tests a release from a tag to a verified deploy, and what must be refused.

use harmony::core::composite;
use harmony::core::outcome::{Action, Subject};
use harmony::types::Version;
use harmony::{Inventory, K8sAnywhereTopology, Score};
use harmony_fleet_deploy::FleetNatsScore;
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{new_namespace, readable, topology};
use harmony_registry::testing::LoggedRequest;

#[tokio::test]
async fn a_release_is_published_once_and_deploys_from_the_registry() -> anyhow::Result<()> {
    let local = topology().await?;
    let rig = ReleaseRig::start_fleet().await?;
    let version: Version = "0.1.0".parse()?;

    let outcome = rig
        .release(&version)
        .await?
        .map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    let created: Vec<&Subject> = outcome.effective().map(|change| &change.subject).collect();
    assert!(
        matches!(
            created[..],
            [
                Subject::Image(_),
                Subject::Image(_),
                Subject::Chart(_),
                Subject::Objects(_),
                Subject::Release(_)
            ]
        ),
        "images come first, the record last: {created:?}"
    );

    let before = rig.registry.requests()?.len();
    let again = rig
        .release(&version)
        .await?
        .map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert!(again.is_unchanged(), "{again:#?}");
    let writes: Vec<_> = rig
        .registry
        .requests()?
        .split_off(before)
        .into_iter()
        .filter(LoggedRequest::writes)
        .collect();
    assert!(
        writes.is_empty(),
        "a second release sent something: {writes:#?}"
    );

    let namespace = new_namespace()?;
    let platform = rig.work_tree(namespace.clone());
    let nats = composite::flatten::<K8sAnywhereTopology>(platform.parts())
        .into_iter()
        .find(|part| part.score.name() == FleetNatsScore::NAME);
    let nats = nats.expect("NATS is a part of the platform").score;
    nats.interpret(&Inventory::autoload(), &local)
        .await
        .map_err(readable)?;
    let deployed = rig.deploy(&version, &namespace).await?;
    let deployment = deployed.changes.iter().find(
        |change| matches!(&change.subject, Subject::Object(object) if object.kind == "Deployment"),
    );
    assert_eq!(
        deployment.map(|change| change.action),
        Some(Action::Create),
        "{deployed:#?}"
    );
    assert!(!deployed.checks.is_empty(), "a deploy is verified");
    Ok(())
}

#[tokio::test]
async fn a_published_version_is_never_changed() -> anyhow::Result<()> {
    let rig = ReleaseRig::start_fleet().await?;
    let version: Version = "0.1.0".parse()?;
    rig.release(&version)
        .await?
        .map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    let main = rig.file("fleet/harmony-fleet-operator/src/main.rs");
    let text = std::fs::read_to_string(&main)?;
    std::fs::write(
        &main,
        format!("{text}\n#[used]\nstatic CHANGED: [u8; 8] = *b\"changed!\";\n"),
    )?;

    let dirty = rig
        .release(&version)
        .await?
        .expect_err("a work tree with changes is not released");
    assert_eq!(
        dirty.kind,
        harmony::core::diagnostic::FailureKind::Refused,
        "{dirty:#?}"
    );

    rig.commit("Change the operator without raising its version")?;
    let taken = rig
        .release(&version)
        .await?
        .expect_err("a published version is not changed");
    let digests = taken
        .evidence
        .iter()
        .filter(|line| line.contains("sha256:"))
        .count();
    assert_eq!(digests, 2, "both digests are named: {taken:#?}");
    Ok(())
}

#[tokio::test]
async fn a_version_that_is_not_the_crates_is_refused_before_anything_is_sent() -> anyhow::Result<()>
{
    let rig = ReleaseRig::start_fleet().await?;
    let report = rig
        .release(&"9.9.9".parse()?)
        .await?
        .expect_err("the crate has another version");
    assert_eq!(
        report.kind,
        harmony::core::diagnostic::FailureKind::Refused,
        "{report:#?}"
    );
    assert!(
        report.message.contains("9.9.9") && report.message.contains("0.1.0"),
        "{report:#?}"
    );
    assert!(!rig.registry.requests()?.iter().any(LoggedRequest::writes));
    Ok(())
}
