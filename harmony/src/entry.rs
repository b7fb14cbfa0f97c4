//! The entry point of an app's binary.
//!
//! ```text
//! options --> Program --> topology and artifacts that were asked for --> Scores --> harmony_cli
//!   --release --from-tag TAG               a ReleaseScore, on `ci` unless another topology is named
//!   --release --from-tag TAG --then-deploy the same, then what a deploy runs, with exactly that release
//!   --topology local                       the work tree; with --version, that release
//!   --topology ci --version VERSION        that release
//!   --topology production                  the same, with what the configuration file names
//!   --stage production                     only the targets of that stage
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use harmony_cli::{RunArgs, Runner, UnknownTopology};
use harmony_core::capability::Checkup;
use harmony_core::chart::{DeployTarget, Stage};
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_core::{Inventory, Score, Topology, codes};
use harmony_release::{Artifacts, ReleaseArgs, ReleaseScore, Released, VersionChoice, WorkTree};

use crate::configuration::{Configuration, Needs};
use crate::program::{Platform, Program, Site};
use crate::setup::SetupError;
use crate::topologies::{CiTopology, K8sAnywhereTopology, ProductionTopology};

/// Runs the binary of an app: `list`, `plan`, `apply`, `--release --from-tag TAG`, `--topology`, `--version`,
/// completions. This call is the complete `main` function; it needs no async runtime.
pub fn main<P: Program>(program: impl FnOnce() -> Result<P, SetupError>) -> ExitCode {
    main_with(|NoOptions {}| program())
}

/// Like [`main`], for a binary with its own options. The doc comment of `O` is the description in `--help`.
pub fn main_with<O: clap::Args, P: Program>(
    program: impl FnOnce(O) -> Result<P, SetupError>,
) -> ExitCode {
    crate::install_crypto();
    let args: Args<O> = match harmony_cli::parse() {
        Ok(args) => args,
        Err(exit) => return exit,
    };
    let run = args.run;
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return run.fail(&SetupError::from(error).into_diagnostic()),
    };
    let program = match program(args.options) {
        Ok(program) => program,
        Err(error) => return run.fail(&error.into_diagnostic()),
    };
    let program = match args.stage.map(Stage::from) {
        None => program,
        Some(stage) if stages(&program).contains(&stage) => program.at_stage(stage),
        Some(stage) => {
            let stages = stages(&program);
            return run.fail(&NoSuchStage { stage, stages });
        }
    };
    runtime.block_on(start(
        &program,
        &args.release,
        args.version,
        args.config,
        run,
    ))
}

/// The options of a binary that has no options of its own.
#[derive(clap::Args)]
#[command(about = "Release and deploy an app")]
struct NoOptions {}

#[derive(Parser)]
#[command(after_help = AFTER_HELP, disable_version_flag = true)]
struct Args<O: clap::Args> {
    #[command(flatten)]
    options: O,
    #[command(flatten)]
    run: RunArgs,
    /// Deploy this release instead of the work tree: a version or `latest-released`
    #[arg(long, global = true, value_name = "VERSION")]
    version: Option<VersionChoice>,
    /// Deploy only to the targets of this stage
    #[arg(long, global = true)]
    stage: Option<StageName>,
    /// The configuration file [default: harmony.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    release: ReleaseFlags,
}

/// The stages that can be selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum StageName {
    Staging,
    Production,
}

impl From<StageName> for Stage {
    fn from(name: StageName) -> Self {
        match name {
            StageName::Staging => Self::Staging,
            StageName::Production => Self::Production,
        }
    }
}

#[derive(clap::Args)]
#[command(about = None, long_about = None)]
struct ReleaseFlags {
    #[command(flatten)]
    release: ReleaseArgs,
    /// After the release, deploy it to each target in order
    #[arg(long, requires = "release", conflicts_with = "version")]
    then_deploy: bool,
}

const AFTER_HELP: &str = "\
Topologies:
  local       Kubernetes on this machine, or the cluster in HARMONY_KUBECONFIG (default)
  ci          the registry in HARMONY_REGISTRY and the cluster in HARMONY_KUBECONFIG (default with --release)
  production  builder, registry, delivery and clusters as configured in harmony.toml

Examples (add the name of this command in front):
  plan                               show what would change
  doctor --topology production       check what the topology uses, and change nothing
  apply --filter 'fleet-*'           apply only the Scores whose names start with fleet-
  --topology ci --version 0.3.1      deploy a release, without sources or a compiler
  --topology production --version 0.3.1 --stage production
                                     deploy a release to the production cluster
  --release --from-tag my-app-v0.3.1 build and publish the app in the tag
  explain H0301                      explain an error code

Exit codes: 0 success, 1 failed, 2 usage error, 3 refused before any change, 130 cancelled";

async fn start<P: Program>(
    program: &P,
    flags: &ReleaseFlags,
    version: Option<VersionChoice>,
    config: Option<PathBuf>,
    run: RunArgs,
) -> ExitCode {
    let release = match flags.release.score(&program.apps()) {
        Ok(release) => release,
        Err(error) => return run.fail(&error),
    };
    let asked = run.topology().map(str::to_owned);
    let usual = if release.is_some() { "ci" } else { "local" };
    let asked = asked.as_deref().unwrap_or(usual);
    if !TOPOLOGIES.contains(&asked) {
        return run.fail(&UnknownTopology::new(asked, TOPOLOGIES));
    }
    let deploys = release.is_none() || flags.then_deploy;
    let needs = match asked {
        _ if run.is_offline() => Needs::default(),
        "production" if deploys => Needs::of(&stages(program)),
        "production" | "ci" => Needs::of(&[]),
        _ => Needs::default(),
    };
    let configuration = match Configuration::load(config.as_deref(), &needs) {
        Ok(configuration) => configuration,
        Err(error) => return run.fail(&error),
    };
    if run.is_doctor() {
        let targets = program.targets();
        return match asked {
            "local" => {
                examine(
                    K8sAnywhereTopology::configured(&configuration),
                    &targets,
                    &run,
                )
                .await
            }
            "ci" => examine(CiTopology::configured(&configuration), &targets, &run).await,
            _ => examine(ProductionTopology::new(configuration), &targets, &run).await,
        };
    }
    if asked == "local" {
        let topology = K8sAnywhereTopology::configured(&configuration);
        let site = if topology.is_on_this_machine() {
            Site::ThisMachine
        } else {
            Site::Cluster
        };
        let scores = match (release, version) {
            (Some(release), _) => released(program, site, release, flags.then_deploy),
            (None, Some(version)) => program.scores(site, &Released::new(version)),
            (None, None) => program.scores(site, &WorkTree::new()),
        };
        return execute(topology, scores, run).await;
    }
    let choice = Choice {
        release,
        then_deploy: flags.then_deploy,
        version,
    };
    if asked == "production" {
        match choice.scores(program, Site::Production, &run) {
            Ok(scores) => execute(ProductionTopology::new(configuration), scores, run).await,
            Err(error) => run.fail(&error),
        }
    } else {
        match choice.scores(program, Site::Ci, &run) {
            Ok(scores) => execute(CiTopology::configured(&configuration), scores, run).await,
            Err(error) => run.fail(&error),
        }
    }
}

/// The stages that a deploy goes to. A program that does not tell its targets has one without a stage.
fn stages(program: &impl Program) -> Vec<Stage> {
    let targets = program.targets();
    let mut stages: Vec<Stage> = targets.iter().map(|target| target.stage).collect();
    stages.sort_unstable();
    stages.dedup();
    if stages.is_empty() {
        stages.push(Stage::Only);
    }
    stages
}

/// The values of `--topology`.
const TOPOLOGIES: &[&str] = &["local", "ci", "production"];

/// What runs on a topology that accepts only releases.
struct Choice {
    release: Option<ReleaseScore>,
    then_deploy: bool,
    version: Option<VersionChoice>,
}

impl Choice {
    fn scores<P: Program, T: Platform>(
        self,
        program: &P,
        site: Site,
        run: &RunArgs,
    ) -> Result<Vec<Box<dyn Score<T>>>, NoVersion>
    where
        Released: Artifacts<T>,
    {
        match (self.release, self.version) {
            (Some(release), _) => Ok(released(program, site, release, self.then_deploy)),
            (None, Some(version)) => Ok(program.scores(site, &Released::new(version))),
            (None, None) if run.is_offline() => {
                Ok(program.scores(site, &Released::new(VersionChoice::LatestReleased)))
            }
            (None, None) => Err(NoVersion),
        }
    }
}

/// The pipeline of a release: publish it and, if requested, deploy it to each target in order.
fn released<P: Program, T: Platform>(
    program: &P,
    site: Site,
    release: ReleaseScore,
    then_deploy: bool,
) -> Vec<Box<dyn Score<T>>>
where
    Released: Artifacts<T>,
{
    let choice = match &release.version {
        Some(version) => VersionChoice::Exact(version.clone()),
        None => VersionChoice::OfSource,
    };
    let mut scores: Vec<Box<dyn Score<T>>> = vec![Box::new(release)];
    if then_deploy {
        scores.extend(program.scores(site, &Released::new(choice)));
    }
    scores
}

async fn examine<T: Topology + Checkup>(
    topology: T,
    targets: &[DeployTarget],
    run: &RunArgs,
) -> ExitCode {
    match harmony_cli::doctor(topology, targets, run).await {
        Ok(exit) => exit,
        Err(error) => run.fail(&SetupError::from(error).into_diagnostic()),
    }
}

async fn execute<T: Topology>(
    topology: T,
    scores: Vec<Box<dyn Score<T>>>,
    run: RunArgs,
) -> ExitCode {
    let shown = run.clone();
    let runner = Runner::new(Inventory::autoload(), topology, scores).with_pick();
    match runner.run(Some(run)).await {
        Ok(exit) => exit,
        Err(error) => shown.fail(&SetupError::from(error).into_diagnostic()),
    }
}

/// A stage that the program does not deploy to.
#[derive(Debug, thiserror::Error)]
#[error("this program has no target of the stage `{stage}`")]
struct NoSuchStage {
    stage: Stage,
    stages: Vec<Stage>,
}

impl Diagnostic for NoSuchStage {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::NO_SUCH_STAGE)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Usage
    }

    fn hints(&self) -> Vec<String> {
        let stages: Vec<String> = self
            .stages
            .iter()
            .filter(|stage| **stage != Stage::Only)
            .map(|stage| format!("`{stage}`"))
            .collect();
        match stages.as_slice() {
            [] => vec!["remove `--stage`: this program has no stages".into()],
            stages => vec![format!("use one of: {}", stages.join(", "))],
        }
    }
}

/// A deploy on `ci` or `production` without a release.
#[derive(Debug, thiserror::Error)]
#[error("no release was specified")]
struct NoVersion;

impl Diagnostic for NoVersion {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::WHICH_RELEASE)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Usage
    }

    fn hints(&self) -> Vec<String> {
        vec![
            "specify a release, for example `--version 0.3.1`, or use `--version latest-released` for the highest \
             released version".into(),
            "to deploy the work tree, use `--topology local`".into(),
        ]
    }
}
