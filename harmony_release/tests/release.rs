//! A whole release and deploy, against real git, real cargo, and a topology of directories.

mod common;

use std::sync::Arc;

use common::{DirectoryTopology, Project};
use harmony_core::chart::DeployTarget;
use harmony_core::diagnostic::FailureKind;
use harmony_core::image::ImageSource;
use harmony_core::outcome::Action;
use harmony_core::verify::{Checks, ServicePort, SmokeCheck};
use harmony_core::{InterpretError, Inventory, Outcome, Score, Topology as _};
use harmony_release::{
    AppSpec, Artifacts as _, BundledImage, ChartSource, DeployScore, ReleaseArgs, ReleaseScore,
    Released, VersionChoice, WhichImage, WorkTree,
};
use harmony_types::Version;

const TAG: &str = "shop-web-v1.2.3";

fn args(tag: &str) -> ReleaseArgs {
    ReleaseArgs {
        release: true,
        from_tag: Some(tag.into()),
    }
}

async fn run(
    app: AppSpec,
    topology: &DirectoryTopology,
    args: &ReleaseArgs,
) -> Result<Outcome, InterpretError> {
    let score = args
        .score(&[Arc::new(app)])
        .map_err(|error| InterpretError::new("release", error))?;
    let score = score.expect("a release is asked for");
    score.interpret(&Inventory::autoload(), topology).await
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
    assert_eq!(actions(&outcome), [Action::Create; 3]);
    assert_eq!(
        topology.log(),
        [
            "built",
            "images/team/shop-web/1.2.3.content",
            "images/team/shop-web/1.2.3",
            "charts/team/charts/shop-web/1.2.3.content",
            "charts/team/charts/shop-web/1.2.3",
            "releases/shop-web/1.2.3.content",
            "releases/shop-web/1.2.3",
        ]
    );
    let [record] = outcome.records.as_slice() else {
        panic!("one record: {outcome:?}");
    };
    assert_eq!(record["kind"], "release");
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
async fn a_release_from_the_same_inputs_is_accepted_whoever_built_it() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let docker = DirectoryTopology::new(registry.path());
    let first = run(project.app(), &docker, &args(TAG)).await.unwrap();
    assert!(first.records[0]["inputKey"].is_string(), "{first:?}");
    let log = docker.log();

    let buildkit = docker.with_builder("other bytes");
    let again = run(project.app(), &buildkit, &args(TAG)).await.unwrap();
    assert!(again.is_unchanged(), "{again:?}");
    assert_eq!(actions(&again), [Action::Unchanged; 3]);
    assert_eq!(again.records, first.records);
    let planned = buildkit.clone().into_planning();
    let planned = run(project.app(), &planned, &args(TAG)).await.unwrap();
    assert_eq!(actions(&planned), [Action::Unchanged; 3]);
    assert_eq!(docker.log(), log, "nothing was built or sent");

    // Another checkout of the commit, on another machine.
    let elsewhere = Project::new();
    let again = run(elsewhere.app(), &buildkit, &args(TAG)).await.unwrap();
    assert!(again.is_unchanged() && docker.log() == log, "{again:?}");
}

#[tokio::test]
async fn a_release_that_was_made_without_objects_gets_them_and_nothing_else() {
    const ADDED: [Action; 4] = [
        Action::Unchanged,
        Action::Unchanged,
        Action::Create,
        Action::Unchanged,
    ];
    let objects = ["objects/shop-web/1.2.3.content", "objects/shop-web/1.2.3"];
    // By their inputs, and by their content.
    for has_key in [true, false] {
        let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
        let before = DirectoryTopology::new(registry.path());
        run(project.app(), &before, &args(TAG)).await.unwrap();
        if !has_key {
            before.rewrite_record(|record| {
                record.as_object_mut().unwrap().remove("inputKey");
            });
        }
        let log = before.log();
        let now = before.keeping_objects();
        let added = run(project.app(), &now, &args(TAG)).await.unwrap();
        assert_eq!(actions(&added), ADDED, "{added:?}");
        let new = now.log().split_off(log.len());
        let sent: Vec<_> = new.iter().filter(|path| *path != "built").collect();
        assert_eq!(sent, objects);
        let again = run(project.app(), &now, &args(TAG)).await.unwrap();
        assert!(again.is_unchanged(), "{again:?}");
    }
}

#[tokio::test]
async fn objects_follow_their_chart_and_come_before_the_record() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path()).keeping_objects();
    run(project.app(), &topology, &args(TAG)).await.unwrap();
    let log = topology.log();
    let at = |path: &str| log.iter().position(|logged| logged == path).unwrap();
    let objects = at("objects/shop-web/1.2.3");
    assert!(at("charts/team/charts/shop-web/1.2.3") < objects, "{log:?}");
    assert!(objects < at("releases/shop-web/1.2.3.content"), "{log:?}");
}

#[tokio::test]
async fn other_inputs_are_compared_by_content() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    run(project.app(), &topology, &args(TAG)).await.unwrap();
    let code = async |app: AppSpec, topology: &DirectoryTopology| {
        let error = run(app, topology, &args(TAG)).await.unwrap_err();
        let report = error.report();
        let digests = report.evidence.iter();
        let digests = digests.filter(|line| line.contains("sha256:")).count();
        (report.code.to_string(), digests)
    };
    let other = topology.with_builder("other bytes");
    let refused = ("H0204".to_owned(), 2);

    // The same commit with another argument, or with another chart.
    let argument = AppSpec {
        image: ImageSource::Dockerfile {
            path: "Dockerfile".into(),
            build_args: [("A".to_owned(), "1".to_owned())].into(),
            secrets: [].into(),
        },
        ..project.app()
    };
    assert_eq!(code(argument, &other).await, refused);
    let no_chart = AppSpec {
        chart: ChartSource::None,
        ..project.app()
    };
    assert_eq!(code(no_chart, &topology).await, refused);

    // The record of an older program, without a key.
    topology.rewrite_record(|record| {
        record.as_object_mut().unwrap().remove("inputKey");
    });
    assert_eq!(code(project.app(), &other).await, refused);
    let same = run(project.app(), &topology, &args(TAG)).await.unwrap();
    assert!(same.is_unchanged(), "the content is the same: {same:?}");
    assert!(same.records[0].get("inputKey").is_none());

    // An image that is not in the registry any more is built again.
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    run(project.app(), &topology, &args(TAG)).await.unwrap();
    std::fs::remove_file(registry.path().join("images/team/shop-web/1.2.3")).unwrap();
    let repaired = run(project.app(), &topology, &args(TAG)).await.unwrap();
    assert_eq!(actions(&repaired)[0], Action::Create, "{repaired:?}");
}

#[tokio::test]
async fn a_plan_builds_and_writes_nothing() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    let planning = topology.clone().into_planning();
    let outcome = run(project.app(), &planning, &args(TAG)).await.unwrap();
    assert_eq!(actions(&outcome), [Action::Create; 3]);
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

    let score = ReleaseScore::of(&Arc::new(project.app())).as_version("2.0.0".parse().unwrap());
    refused(
        score.interpret(&Inventory::autoload(), &topology).await,
        "H0502",
        &topology,
    );
}

#[tokio::test]
async fn a_dirty_tree_is_refused_with_its_files() {
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
        text.contains(" M Dockerfile") && text.contains("?? new") && text.contains("work tree"),
        "{text}"
    );
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
    assert_eq!(actions(&outcome), [Action::Create; 2]);
    assert!(outcome.records[0].get("chart").is_none());
}

fn target() -> DeployTarget {
    DeployTarget::namespace("shop".parse().expect("a namespace"))
}

fn deploy(app: AppSpec, artifacts: Released) -> DeployScore {
    DeployScore::new(&Arc::new(app), artifacts, target())
}

#[tokio::test]
async fn a_work_tree_and_the_release_of_the_same_commit_never_collide() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    let inventory = Inventory::autoload();
    let of_tree = |app: AppSpec| DeployScore::new(&Arc::new(app), WorkTree::new(), target());

    let first = of_tree(project.app())
        .interpret(&inventory, &topology)
        .await
        .unwrap();
    let note = &first.notes[0];
    let version: Version = note.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(version.is_work_tree(), "{note}");
    let released = run(project.app(), &topology, &args(TAG)).await.unwrap();
    assert_eq!(actions(&released), [Action::Create; 3], "{released:?}");

    // a dirty tree beside it, then the release again: neither disturbs the other
    project.write("Dockerfile", "FROM scratch\nENV changed=1\n");
    let dirty = of_tree(project.app())
        .interpret(&inventory, &topology)
        .await
        .unwrap();
    assert_ne!(&dirty.notes[0], note);
    project.git(&["checkout", "--quiet", "."]);
    let again = run(project.app(), &topology, &args(TAG)).await.unwrap();
    assert!(again.is_unchanged(), "{again:?}");
}

#[tokio::test]
async fn a_work_tree_needs_no_repository_and_its_version_is_its_content() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    std::fs::remove_dir_all(project.root.path().join(".git")).unwrap();
    let (app, inventory) = (project.app(), Inventory::autoload());
    let image = async |tree: &WorkTree| {
        let supplied = tree
            .image(&app, &WhichImage::Own, &inventory, &topology)
            .await;
        supplied.unwrap()
    };
    let tree = WorkTree::new();
    let first = image(&tree).await;
    assert!(first.artifact.digest().is_some());
    assert_eq!(actions(&first.outcome), [Action::Create]);
    // a value looks once
    project.write("Dockerfile", "FROM scratch\nENV changed=1\n");
    let same = image(&tree.clone()).await;
    assert_eq!(
        (same.artifact, actions(&same.outcome)),
        (first.artifact.clone(), Vec::new())
    );
    let changed = image(&WorkTree::new()).await;
    assert_ne!(changed.artifact, first.artifact);
}

#[tokio::test]
async fn bundled_images_are_released_with_the_app_and_under_its_version() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    let app = AppSpec {
        bundled: vec![BundledImage {
            name: "database".parse().unwrap(),
            image: project.app().image,
        }],
        ..project.app()
    };
    let outcome = run(app.clone(), &topology, &args(TAG)).await.unwrap();
    assert_eq!(actions(&outcome), [Action::Create; 4], "{outcome:?}");
    let recorded = outcome.records[0]["bundled"]["database"].as_str().unwrap();
    let prefix = "registry.example.com/team/shop-web-database@sha256:";
    assert!(recorded.starts_with(prefix), "{recorded}");

    let released = Released::exact(Version::new(1, 2, 3));
    let which = WhichImage::Bundled("database".parse().unwrap());
    let found = released
        .image(&app, &which, &Inventory::autoload(), &topology)
        .await
        .unwrap();
    assert_eq!(found.artifact.to_string(), recorded);
}

#[tokio::test]
async fn a_deploy_finds_the_release_without_the_sources_and_is_done_when_its_checks_pass() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    let version = || Released::exact(Version::new(1, 2, 3));
    let inventory = Inventory::autoload();

    let missing = deploy(project.app(), version())
        .interpret(&inventory, &topology)
        .await
        .unwrap_err()
        .report();
    assert_eq!(missing.code.to_string(), "H0530", "not released yet");
    assert!(missing.hints[0].contains(TAG), "{missing:?}");

    run(project.app(), &topology, &args(TAG)).await.unwrap();
    let elsewhere = AppSpec {
        project_root: "/nonexistent".into(),
        ..project.app()
    };
    let outcome = deploy(elsewhere.clone(), version())
        .interpret(&inventory, &topology)
        .await
        .unwrap();
    assert_eq!(actions(&outcome), [Action::Create]);
    assert_eq!(outcome.checks, ["shop-web:80 accepts connections"]);
    let latest = Released::new(VersionChoice::LatestReleased);
    let again = deploy(elsewhere.clone(), latest)
        .interpret(&inventory, &topology)
        .await
        .unwrap();
    assert!(again.is_unchanged(), "{again:?}");

    let other = Released::exact(Version::new(9, 9, 9));
    let error = deploy(elsewhere, other)
        .interpret(&inventory, &topology)
        .await
        .unwrap_err();
    let hint = error.report().hints.join("\n");
    assert!(
        hint.contains("shop-web-v9.9.9") && hint.contains("1.2.3"),
        "{hint}"
    );
}

#[tokio::test]
async fn all_missing_releases_are_named_at_once() {
    let (project, registry) = (Project::new(), tempfile::tempdir().unwrap());
    let topology = DirectoryTopology::new(registry.path());
    let other = AppSpec {
        unit: harmony_types::ReleaseUnit::new("shop".parse().unwrap(), "api".parse().unwrap())
            .unwrap(),
        ..project.app()
    };
    let apps = vec![Arc::new(project.app()), Arc::new(other)];
    let find = Released::exact(Version::new(1, 2, 3)).gather(apps);
    let error: InterpretError =
        Score::<DirectoryTopology>::interpret(&*find, &Inventory::autoload(), &topology)
            .await
            .unwrap_err();
    let report = error.report();
    assert_eq!(
        report.message,
        "these versions are not released: shop-web 1.2.3, shop-api 1.2.3"
    );
    assert_eq!(report.hints.len(), 2, "{report:?}");
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
    let app = AppSpec {
        smoke: Checks::first(check),
        ..project.app()
    };
    let error = deploy(app, Released::exact(Version::new(1, 2, 3)))
        .interpret(&Inventory::autoload(), &topology)
        .await
        .unwrap_err();
    assert_eq!(error.report().code.to_string(), "H0309");
    assert_eq!(error.kind(), FailureKind::Failed);
}
