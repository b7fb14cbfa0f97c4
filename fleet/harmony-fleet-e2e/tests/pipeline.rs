//! Tests a pipeline from a tag to production: released, verified in staging, then deployed to production.
//! Staging and production are namespaces of one cluster, or separate clusters.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use harmony::configuration::{BuilderChoice, ClusterChoices, DeliveryChoice, Kubeconfig};
use harmony::core::chart::Stage;
use harmony::core::diagnostic::Report;
use harmony::local::node::LocalNode;
use harmony::prelude::*;
use harmony::topologies::ProductionSettings;
use harmony::types::Namespace;
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{discard, image_of, in_order, new_namespace, topology};
use serde_json::{Value, json};

const APP: &str = "hello-web";
const CRATE: &str = "examples/hello-web";

/// Runs the pipeline of the example in separate namespaces.
async fn run(
    rig: &ReleaseRig,
    staging: &Namespace,
    production: &Namespace,
) -> anyhow::Result<Result<Outcome, Report>> {
    let app = rig.hello_web()?;
    let scores: Vec<Box<dyn Score<CiTopology>>> = scores![
        ReleaseScore::of(&app),
        DeployScore::of(&app, DeployTarget::staging(staging.clone())),
        DeployScore::of(&app, DeployTarget::production(production.clone())),
    ];
    Ok(in_order(scores, &rig.ci()?).await)
}

#[tokio::test]
async fn a_release_that_fails_in_staging_never_reaches_production() -> anyhow::Result<()> {
    topology().await?;
    let rig = ReleaseRig::start().await?;
    let (staging, production) = (new_namespace()?, new_namespace()?);
    rig.let_pull(&staging).await?;
    rig.let_pull(&production).await?;

    let first = run(&rig, &staging, &production).await?;
    let first = first.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert_eq!(
        first.checks.len(),
        2,
        "both stages are verified: {first:#?}"
    );
    let good = image_of(APP, &production).await?;
    assert_eq!(
        image_of(APP, &staging).await?,
        good,
        "production gets what staging verified"
    );

    let main = rig.file(&format!("{CRATE}/src/main.rs"));
    let works = std::fs::read_to_string(&main)?;
    std::fs::write(
        &main,
        "fn main() {\n    println!(\"no config\");\n    std::process::exit(7);\n}\n",
    )?;
    rig.set_version(CRATE, &"0.1.1".parse()?)?;
    let broken = run(&rig, &staging, &production).await?;
    let broken = broken.expect_err("the app ends at once");
    assert_eq!(broken.code.to_string(), "H0303", "{broken:#?}");
    assert_ne!(
        image_of(APP, &staging).await?,
        good,
        "staging has the new version"
    );
    assert_eq!(
        image_of(APP, &production).await?,
        good,
        "production is as it was"
    );

    std::fs::write(&main, works.replace("hello:", "hello again:"))?;
    rig.set_version(CRATE, &"0.1.2".parse()?)?;
    let repaired = run(&rig, &staging, &production).await?;
    let repaired = repaired.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert_eq!(repaired.checks.len(), 2);
    let better = image_of(APP, &production).await?;
    assert_ne!(better, good);
    assert_eq!(image_of(APP, &staging).await?, better);

    let again = run(&rig, &staging, &production).await?;
    let again = again.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert!(
        again.is_unchanged(),
        "{:#?}",
        again.effective().collect::<Vec<_>>()
    );
    for namespace in [staging, production] {
        discard(&namespace)?;
    }
    Ok(())
}

/// A kubeconfig of the local node with two contexts: one that works, and one whose server is at `production`.
fn two_clusters(folder: &Path, production: &str) -> anyhow::Result<PathBuf> {
    let node = std::fs::read_to_string(LocalNode::default().kubeconfig())?;
    let mut config: Value = serde_json::from_str(&node)?;
    let mut cluster = config["clusters"][0].clone();
    cluster["name"] = "other".into();
    cluster["cluster"]["server"] = production.into();
    let user = config["users"][0]["name"].clone();
    let context = |name: &str, cluster: &Value| json!({ "name": name, "context": { "cluster": cluster, "user": user } });
    let contexts = json!([
        context("staging", &config["clusters"][0]["name"]),
        context("production", &cluster["name"]),
    ]);
    config["contexts"] = contexts;
    config["current-context"] = "nowhere".into();
    let clusters = config["clusters"].as_array_mut().context("clusters")?;
    clusters.push(cluster);
    let path = folder.join("kubeconfig");
    std::fs::write(&path, config.to_string())?;
    Ok(path)
}

#[tokio::test]
async fn staging_and_production_may_be_clusters_of_their_own() -> anyhow::Result<()> {
    topology().await?;
    let rig = ReleaseRig::start().await?;
    let (staging, production) = (new_namespace()?, new_namespace()?);
    rig.let_pull(&staging).await?;
    rig.let_pull(&production).await?;
    let folder = tempfile::tempdir()?;
    let app = rig.hello_web()?;
    let scores = || -> anyhow::Result<Vec<Box<dyn Score<CiTopology>>>> {
        let to = |target| DeployScore::of(&app, target);
        Ok(scores![
            ReleaseScore::of(&app),
            OnCluster::new(
                "staging".parse()?,
                to(DeployTarget::staging(staging.clone()))
            ),
            OnCluster::new(
                "production".parse()?,
                to(DeployTarget::production(production.clone()))
            ),
        ])
    };
    let names: Vec<_> = scores()?.iter().map(harmony::Score::name).collect();
    assert_eq!(
        names[1..],
        [
            "deploy-hello-web@staging/staging",
            "deploy-hello-web@production/production"
        ]
    );

    let dead = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let kubeconfig = two_clusters(folder.path(), &format!("https://{dead}"))?;
    let report = in_order(scores()?, &rig.ci_with(kubeconfig)?).await;
    let report = report.expect_err("production does not answer");
    assert_eq!(report.code.to_string(), "H0310", "{report:#?}");
    assert!(!image_of(APP, &staging).await?.is_empty());
    assert!(
        image_of(APP, &production).await.is_err(),
        "nothing is in production"
    );

    let node: Value =
        serde_json::from_str(&std::fs::read_to_string(LocalNode::default().kubeconfig())?)?;
    let server = node["clusters"][0]["cluster"]["server"].as_str();
    let kubeconfig = two_clusters(folder.path(), server.context("a server")?)?;
    let done = in_order(scores()?, &rig.ci_with(kubeconfig)?).await;
    let done = done.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert_eq!(done.checks.len(), 2, "both are verified: {done:#?}");
    assert_eq!(
        image_of(APP, &staging).await?,
        image_of(APP, &production).await?
    );
    for namespace in [staging, production] {
        discard(&namespace)?;
    }
    Ok(())
}

/// `App` on the production topology: each target goes to the cluster that is configured for its stage.
#[tokio::test]
async fn each_stage_goes_to_the_cluster_of_its_configuration() -> anyhow::Result<()> {
    topology().await?;
    let rig = ReleaseRig::start().await?;
    let (staging, production) = (new_namespace()?, new_namespace()?);
    rig.let_pull(&staging).await?;
    rig.let_pull(&production).await?;
    let folder = tempfile::tempdir()?;
    let app = rig.hello_web()?;
    let program = App::of(AppSpec::clone(&app))
        .to(DeployTarget::staging(staging.clone()))
        .to(DeployTarget::production(production.clone()));
    let run = async |kubeconfig: &Path, stage: Option<Stage>| {
        let at = |context: &str| Kubeconfig {
            path: kubeconfig.to_owned(),
            context: Some(context.to_owned()),
        };
        let topology = ProductionTopology::new(ProductionSettings {
            builder: BuilderChoice::Native,
            registry: rig.registry_choice(),
            delivery: DeliveryChoice::Direct,
            clusters: ClusterChoices {
                any: None,
                staging: Some(at("staging")),
                production: Some(at("production")),
            },
        });
        let program = match stage {
            Some(stage) => program.clone().at_stage(stage),
            None => program.clone(),
        };
        let released = Released::new(VersionChoice::OfSource);
        let mut scores: Vec<Box<dyn Score<ProductionTopology>>> =
            vec![Box::new(ReleaseScore::of(&app))];
        scores.extend(program.scores(Site::Production, &released));
        in_order(scores, &topology).await
    };

    let dead = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let kubeconfig = two_clusters(folder.path(), &format!("https://{dead}"))?;
    let staged = run(&kubeconfig, Some(Stage::Staging)).await;
    staged.map_err(|report| anyhow::anyhow!("production is not asked: {report:#?}"))?;
    let verified = image_of(APP, &staging).await?;
    let report = run(&kubeconfig, None).await;
    let report = report.expect_err("production does not answer");
    assert_eq!(report.code.to_string(), "H0310", "{report:#?}");
    assert!(
        image_of(APP, &production).await.is_err(),
        "nothing is in production"
    );

    let node: Value =
        serde_json::from_str(&std::fs::read_to_string(LocalNode::default().kubeconfig())?)?;
    let server = node["clusters"][0]["cluster"]["server"].as_str();
    let kubeconfig = two_clusters(folder.path(), server.context("a server")?)?;
    let promoted = run(&kubeconfig, Some(Stage::Production)).await;
    let promoted = promoted.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert_eq!(promoted.checks.len(), 1, "{promoted:#?}");
    assert_eq!(
        image_of(APP, &production).await?,
        verified,
        "production gets what staging verified, by digest"
    );
    let again = run(&kubeconfig, None).await;
    let again = again.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert!(
        again.is_unchanged(),
        "{:#?}",
        again.effective().collect::<Vec<_>>()
    );
    for namespace in [staging, production] {
        discard(&namespace)?;
    }
    Ok(())
}
