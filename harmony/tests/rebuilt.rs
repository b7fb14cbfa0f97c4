//! A release that is made again on another machine, with another builder: real builders, a real registry.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../containers/tests/peers/buildkit_daemon.rs"]
#[allow(dead_code, reason = "the tests of the builders use all of it")]
mod buildkit_daemon;
#[path = "../containers/tests/peers/docker_engine.rs"]
#[allow(dead_code, reason = "the tests of the builders use all of it")]
mod docker_engine;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use buildkit_daemon::BuildKitDaemon;
use docker_engine::DockerEngine;
use harmony::{Context, Inventory, Outcome, Score, Topology};
use harmony_containers::{DockerBuilder, NativeBuilder, Prebuilt};
use harmony_core::InterpretError;
use harmony_core::delegation::*;
use harmony_core::image::ImageSource;
use harmony_core::outcome::Action;
use harmony_registry::OciRegistryClient;
use harmony_registry::testing::{LoggedRequest, RegistryPeer};
use harmony_release::{AppSpec, ReleaseScore, VersionSource};

/// One machine: its builder, and the registry that all share.
#[derive(Debug, Delegate)]
#[expect(
    clippy::duplicated_attributes,
    reason = "three delegations name the same field"
)]
#[delegate(ContainerBuilder, target = "builder", where = "B: ContainerBuilder")]
#[delegate(OciRegistry, target = "registry", where = "B: Send + Sync")]
#[delegate(HelmRegistry, target = "registry", where = "B: Send + Sync")]
#[delegate(ReleaseRecords, target = "registry", where = "B: Send + Sync")]
struct Machine<B> {
    context: Context,
    builder: B,
    registry: OciRegistryClient,
}

impl<B> Machine<B> {
    fn new(context: Context, builder: B, peer: &RegistryPeer) -> Self {
        let registry =
            OciRegistryClient::new(context.clone(), peer.location("team"), peer.settings());
        Self {
            context,
            builder,
            registry: registry.unwrap(),
        }
    }
}

#[async_trait]
impl<B: Send + Sync> Topology for Machine<B> {
    fn name(&self) -> &'static str {
        "machine"
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn into_planning(self) -> Self {
        panic!("these tests do not plan")
    }

    async fn ensure_ready(&self) -> Result<Outcome, InterpretError> {
        Ok(Outcome::unchanged())
    }
}

/// A checkout of a project with a Dockerfile and a static program.
fn checkout() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::copy("/bin/busybox", root.path().join("busybox"))
        .expect("these tests need a static program: apt-get install busybox-static");
    let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nCMD [\"/bin/busybox\", \"true\"]\n";
    fs::write(root.path().join("Dockerfile"), dockerfile).unwrap();
    git(root.path(), &["init", "--quiet"]);
    commit(root.path());
    root
}

fn commit(root: &Path) {
    git(root, &["add", "."]);
    git(root, &["commit", "--quiet", "-m", "a commit"]);
}

fn git(root: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
        .args(["-c", "commit.gpgsign=false"])
        .args(arguments)
        .env("GIT_COMMITTER_DATE", "2024-02-29T12:00:00Z")
        .env("GIT_AUTHOR_DATE", "2024-02-29T12:00:00Z")
        .status();
    assert!(status.unwrap().success(), "git {arguments:?}");
}

fn release(root: &Path, image: ImageSource) -> ReleaseScore {
    let unit = ReleaseUnit::new("shop".parse().unwrap(), "web".parse().unwrap()).unwrap();
    let app = AppSpec {
        version: VersionSource::Fixed("1.2.3".parse().unwrap()),
        ..AppSpec::image_only(unit, root.to_owned(), image)
    };
    ReleaseScore::of(&Arc::new(app))
}

async fn run<B>(score: &ReleaseScore, machine: &Machine<B>) -> Result<Outcome, String>
where
    Machine<B>: Topology + ContainerBuilder + OciRegistry + HelmRegistry + ReleaseRecords,
{
    let result = score.interpret(&Inventory::autoload(), machine).await;
    result.map_err(|error| format!("{:#?}", error.report()))
}

/// What was sent since the last call.
fn writes(registry: &RegistryPeer, seen: &mut usize) -> Vec<LoggedRequest> {
    let requests = registry.requests().unwrap();
    let new = requests
        .iter()
        .skip(*seen)
        .filter(|request| request.writes());
    let new = new.cloned().collect();
    *seen = requests.len();
    new
}

#[tokio::test(flavor = "multi_thread")]
async fn what_docker_released_buildkit_accepts_and_sends_nothing() {
    harmony::install_crypto();
    let registry = RegistryPeer::start().await.unwrap();
    let (engine, daemon) = (DockerEngine::start(), BuildKitDaemon::start());
    let work = tempfile::tempdir().unwrap();
    let context = Context::new;
    let docker = DockerBuilder::new(context(), work.path().join("docker"));
    let docker = Machine::new(
        context(),
        docker.with_endpoint(engine.endpoint()),
        &registry,
    );
    let buildkit = daemon.builder(&context(), work.path());
    let buildkit = Machine::new(context(), buildkit, &registry);
    let mut seen = 0;

    let first = checkout();
    let dockerfile = || ImageSource::dockerfile("Dockerfile");
    let made = run(&release(first.path(), dockerfile()), &docker)
        .await
        .unwrap();
    assert_eq!(
        made.effective().count(),
        2,
        "the image and the record: {made:#?}"
    );
    assert!(!writes(&registry, &mut seen).is_empty());

    let second = checkout();
    let again = run(&release(second.path(), dockerfile()), &buildkit)
        .await
        .unwrap();
    assert!(again.is_unchanged(), "{again:#?}");
    assert_eq!(again.records, made.records);
    assert_eq!(writes(&registry, &mut seen), []);

    // Another commit has other inputs, and its content is compared.
    fs::write(
        second.path().join("Dockerfile"),
        "FROM scratch\nCOPY busybox /other\n",
    )
    .unwrap();
    commit(second.path());
    let refused = run(&release(second.path(), dockerfile()), &buildkit)
        .await
        .unwrap_err();
    assert!(
        refused.contains("different content") && refused.matches("sha256:").count() >= 2,
        "{refused}"
    );

    // A recipe: released natively, repeated with docker.
    let registry = RegistryPeer::start().await.unwrap();
    let mut seen = 0;
    let native = NativeBuilder::new(context(), work.path().join("native"));
    let native = Machine::new(context(), native, &registry);
    let docker = DockerBuilder::new(context(), work.path().join("docker"));
    let docker = Machine::new(
        context(),
        docker.with_endpoint(engine.endpoint()),
        &registry,
    );
    let recipe = || ImageSource::Buildable(Arc::new(Prebuilt::new("busybox")));
    let made = run(&release(first.path(), recipe()), &native)
        .await
        .unwrap();
    assert_eq!(made.changes[0].action, Action::Create);
    writes(&registry, &mut seen);
    let elsewhere = checkout();
    let again = run(&release(elsewhere.path(), recipe()), &docker)
        .await
        .unwrap();
    assert!(again.is_unchanged(), "{again:#?}");
    assert_eq!(writes(&registry, &mut seen), []);
}
