//! The entry point of an app's binary.
//!
//! ```text
//! options --> Program --> topology and artifacts that were asked for --> Scores --> harmony_cli
//!   --release --from-tag TAG               a ReleaseScore, on `ci` unless another topology is named
//!   --release --from-tag TAG --then-deploy the same, then what a deploy runs, with exactly that release
//!   --topology local                       the work tree; with --version, that release
//!   --topology ci --version VERSION        that release
//! ```

use std::process::ExitCode;

use clap::Parser;
use harmony_cli::{RunArgs, Runner, UnknownTopology};
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_core::{Inventory, Score, Topology, codes};
use harmony_release::{Artifacts, ReleaseArgs, ReleaseScore, Released, VersionChoice, WorkTree};

use crate::program::{Platform, Program, Site};
use crate::setup::SetupError;
use crate::topologies::{CiTopology, K8sAnywhereTopology};

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
    runtime.block_on(start(&program, &args.release, args.version, run))
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
    #[command(flatten)]
    release: ReleaseFlags,
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
  local  Kubernetes on this machine, or the cluster in HARMONY_KUBECONFIG (default)
  ci     the registry in HARMONY_REGISTRY and the cluster in HARMONY_KUBECONFIG (default with --release)

Examples (add the name of this command in front):
  plan                               show what would change
  apply --filter 'fleet-*'           apply only the Scores whose names start with fleet-
  --topology ci --version 0.3.1      deploy a release, without sources or a compiler
  --release --from-tag my-app-v0.3.1 build and publish the app in the tag
  explain H0301                      explain an error code

Exit codes: 0 success, 1 failed, 2 usage error, 3 refused before any change, 130 cancelled";

async fn start<P: Program>(
    program: &P,
    flags: &ReleaseFlags,
    version: Option<VersionChoice>,
    run: RunArgs,
) -> ExitCode {
    let release = match flags.release.score(&program.apps()) {
        Ok(release) => release,
        Err(error) => return run.fail(&error),
    };
    let asked = run.topology().map(str::to_owned);
    let usual = if release.is_some() { "ci" } else { "local" };
    match asked.as_deref().unwrap_or(usual) {
        "local" => {
            let topology = K8sAnywhereTopology::from_env();
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
            execute(topology, scores, run).await
        }
        "ci" => {
            let scores = match (release, version) {
                (Some(release), _) => released(program, Site::Ci, release, flags.then_deploy),
                (None, Some(version)) => program.scores(Site::Ci, &Released::new(version)),
                (None, None) if run.is_offline() => {
                    program.scores(Site::Ci, &Released::new(VersionChoice::LatestReleased))
                }
                (None, None) => return run.fail(&NoVersion),
            };
            execute(CiTopology::from_env(), scores, run).await
        }
        other => run.fail(&UnknownTopology::new(other, &["local", "ci"])),
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

/// A deploy on `ci` without a release.
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
