//! A whole release and deploy, against real git, real cargo, and a topology of directories.

mod common;

use std::sync::Arc;

use common::{DirectoryTopology, Project};
use harmony_core::chart::DeployTarget;
use harmony_core::diagnostic::FailureKind;
use harmony_core::outcome::Action;
use harmony_core::verify::{ServicePort, SmokeCheck};
use harmony_core::{InterpretError, Inventory, Outcome, Score};
use harmony_release::{
    AppSpec, ChartSource, DeployScore, PinnedImage, ReleaseArgs, ReleaseScore, publish_image,
    release,
};
use harmony_types::Version;

const TAG: &str = "shop-web-v1.2.3";

fn args(tag: &str) -> ReleaseArgs {
    ReleaseArgs {
        release: true,
        from_tag: Some(tag.into()),
        ..ReleaseArgs::default()
    }
}

async fn run(
    app: AppSpec,
    topology: &DirectoryTopology,
    args: &ReleaseArgs,
) -> Result<Outcome, InterpretError> {
    release(&[app], &Inventory::autoload(), topology.clone(), args).await
}

fn actions(outcome: &Outcome) -> Vec<Action> {
    outcome.changes.iter().map(|change| change.action).collect()
}

#[track_caller]
fn refused(
    result: Result<Outcome, InterpretError>,
    code: &str,
    topology: &DirectoryTopology,
) -> String {
    let error = result.expect_err("it is refused");
    let report = error.report();
    assert_eq!(report.code.to_string(), code, "{report:?}");
    assert_eq!(report.kind, FailureKind::Refused, "{report:?}");
    assert!(!report.hints.is_empty(), "{report:?}");
    assert_eq!(
        topology.log(),
        Vec::<String>::new(),
        "nothing was built or written"
    );
    format!(
        "{} | {} | {}",
        report.message,
        report.evidence.join(" | "),
        report.hints.join(" | ")
    )
}

#[tokio::test]
async fn the_image_comes_before_the_chart_that_names_it() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    let outcome = run(project.app(), &topology, &args(TAG)).await.unwrap();
    assert_eq!(actions(&outcome), [Action::Create, Action::Create]);
    assert_eq!(
        topology.log(),
        [
            "built",
            "images/team/shop-web/1.2.3.content",
            "images/team/shop-web/1.2.3",
            "charts/team/charts/shop-web/1.2.3.content",
            "charts/team/charts/shop-web/1.2.3",
        ]
    );
    let [record] = outcome.records.as_slice() else {
        panic!("one record: {outcome:?}");
    };
    assert_eq!(record["kind"], "release");
    assert_eq!(record["dirty"], false);
    assert_eq!(record["created"], 1_709_208_000);
    let image = record["image"].as_str().unwrap();
    assert!(
        image.starts_with("registry.example.com/team/shop-web@sha256:"),
        "{image}"
    );
    let chart = record["chart"].as_str().unwrap();
    assert!(
        chart.starts_with("oci://registry.example.com/team/charts/shop-web:1.2.3@sha256:"),
        "{chart}"
    );

    let again = run(project.app(), &topology, &args(TAG)).await.unwrap();
    assert!(again.is_unchanged(), "{again:?}");
    assert_eq!(
        again.records, outcome.records,
        "released again, the record is the same"
    );
}

#[tokio::test]
async fn two_checkouts_of_one_commit_give_the_same_digests() {
    let mut records = Vec::new();
    for _ in 0..2 {
        let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
        let topology = DirectoryTopology::new(registry.path());
        records.push(
            run(project.app(), &topology, &args(TAG))
                .await
                .unwrap()
                .records,
        );
    }
    assert_eq!(records[0], records[1]);
}

#[tokio::test]
async fn other_content_under_a_published_version_is_refused_naming_both_digests() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    run(project.app(), &topology, &args(TAG)).await.unwrap();
    project.write("Dockerfile", "FROM scratch\nENV changed=1\n");
    project.commit();
    let error = run(project.app(), &topology, &args(TAG)).await.unwrap_err();
    let report = error.report();
    assert_eq!(report.code.to_string(), "H0204");
    assert_eq!(
        report
            .evidence
            .iter()
            .filter(|line| line.contains("sha256:"))
            .count(),
        2,
        "{report:?}"
    );
}

#[tokio::test]
async fn a_plan_builds_and_writes_nothing() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    let plan = ReleaseArgs {
        plan: true,
        ..args(TAG)
    };
    let outcome = run(project.app(), &topology, &plan).await.unwrap();
    assert_eq!(actions(&outcome), [Action::Create, Action::Create]);
    assert!(outcome.records.is_empty(), "a plan released nothing");
    assert_eq!(topology.log(), Vec::<String>::new());
}

#[tokio::test]
async fn another_version_than_the_crates_is_refused() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    let text = refused(
        run(project.app(), &topology, &args("shop-web-v1.2.4")).await,
        "H0502",
        &topology,
    );
    assert!(
        text.contains("`1.2.4`") && text.contains("`1.2.3`") && text.contains(TAG),
        "{text}"
    );

    let score = ReleaseScore {
        app: Arc::new(project.app()),
        version: "2.0.0".parse().unwrap(),
    };
    refused(
        score.interpret(&Inventory::autoload(), &topology).await,
        "H0502",
        &topology,
    );
}

#[tokio::test]
async fn a_dirty_tree_is_refused_with_its_files_unless_allowed() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    project.write("Dockerfile", "FROM scratch\nENV changed=1\n");
    project.write("new", "");
    let text = refused(
        run(project.app(), &topology, &args(TAG)).await,
        "H0506",
        &topology,
    );
    assert!(
        text.contains(" M Dockerfile") && text.contains("?? new") && text.contains("--allow-dirty"),
        "{text}"
    );

    let allowed = ReleaseArgs {
        allow_dirty: true,
        ..args(TAG)
    };
    let outcome = run(project.app(), &topology, &allowed).await.unwrap();
    assert_eq!(outcome.records[0]["dirty"], true);
}

#[tokio::test]
async fn a_tag_that_stands_for_another_commit_is_refused() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    project.git(&["tag", TAG]);
    project.write("new", "");
    project.commit();
    refused(
        run(project.app(), &topology, &args(TAG)).await,
        "H0507",
        &topology,
    );
    project.git(&["checkout", "--quiet", TAG]);
    run(project.app(), &topology, &args(TAG)).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_released_is_refused_before_the_build() {
    let registry = tempfile::tempdir().unwrap();
    let topology = DirectoryTopology::new(registry.path());

    let project = Project::new();
    refused(
        run(project.app(), &topology, &args("shop-wbe-v1.2.3")).await,
        "H0230",
        &topology,
    );

    let bad_chart = AppSpec {
        chart: ChartSource::Path("chart".into()),
        ..project.app()
    };
    refused(
        run(bad_chart, &topology, &args(TAG)).await,
        "H0513",
        &topology,
    );

    project.write(
        "web/Cargo.toml",
        "[package]\nname = \"other\"\nversion = \"1.2.3\"\nedition = \"2024\"\n",
    );
    project.commit();
    let text = refused(
        run(project.app(), &topology, &args(TAG)).await,
        "H0503",
        &topology,
    );
    assert!(text.contains("crates: other"), "{text}");

    project.write("web/Cargo.toml", "[package\n");
    project.commit();
    refused(
        run(project.app(), &topology, &args(TAG)).await,
        "H0503",
        &topology,
    );

    std::fs::remove_dir_all(project.root.path().join(".git")).unwrap();
    refused(
        run(project.app(), &topology, &args(TAG)).await,
        "H0504",
        &topology,
    );
}

#[tokio::test]
async fn an_app_without_a_chart_releases_its_image() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    let app = AppSpec {
        chart: ChartSource::None,
        ..project.app()
    };
    let outcome = run(app, &topology, &args(TAG)).await.unwrap();
    assert_eq!(actions(&outcome), [Action::Create]);
    assert!(outcome.records[0].get("chart").is_none());
}

#[tokio::test]
async fn an_image_alone_needs_no_commit_and_names_none() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    let inventory = Inventory::autoload();
    let first = publish_image(
        &topology,
        &inventory,
        &project.app(),
        &Version::new(1, 2, 3),
    )
    .await
    .unwrap();
    assert_eq!(
        first.pinned().map(PinnedImage::reference),
        Some(&first.image)
    );
    std::fs::remove_dir_all(project.root.path().join(".git")).unwrap();
    let second = publish_image(
        &topology,
        &inventory,
        &project.app(),
        &Version::new(1, 2, 3),
    )
    .await
    .unwrap();
    assert_eq!(
        (second.change.action, &second.image),
        (Action::Unchanged, &first.image)
    );
}

#[tokio::test]
async fn a_deploy_is_done_when_its_checks_pass() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    let deploy = |app| DeployScore {
        app: Arc::new(app),
        version: Version::new(1, 2, 3),
        target: DeployTarget::namespace("shop".parse().unwrap()),
    };
    let inventory = Inventory::autoload();

    let missing = deploy(project.app())
        .interpret(&inventory, &topology)
        .await
        .unwrap_err();
    assert_eq!(
        missing.report().code.to_string(),
        "H0208",
        "not released yet"
    );

    run(project.app(), &topology, &args(TAG)).await.unwrap();
    let outcome = deploy(project.app())
        .interpret(&inventory, &topology)
        .await
        .unwrap();
    assert_eq!(actions(&outcome), [Action::Create]);
    assert_eq!(outcome.checks, ["shop-web:80 accepts connections"]);
    let again = deploy(project.app())
        .interpret(&inventory, &topology)
        .await
        .unwrap();
    assert!(again.is_unchanged(), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deploy_whose_check_fails_is_a_failure() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    run(project.app(), &topology, &args(TAG)).await.unwrap();
    let check = SmokeCheck::Tcp {
        service: ServicePort {
            service: "other".parse().unwrap(),
            port: 1,
        },
    };
    let score = DeployScore {
        app: Arc::new(AppSpec {
            smoke: vec![check],
            ..project.app()
        }),
        version: Version::new(1, 2, 3),
        target: DeployTarget::namespace("shop".parse().unwrap()),
    };
    let error = score
        .interpret(&Inventory::autoload(), &topology)
        .await
        .unwrap_err();
    assert_eq!(error.report().code.to_string(), "H0309");
    assert_eq!(error.kind(), FailureKind::Failed);
}
