//! Argo CD and Flux on the local node, and the topology of production, which can deliver through them.
//!
//! Its images are assembled from programs of this machine, because nothing can be pulled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use harmony::configuration::{BuilderChoice, DeliveryChoice};
use harmony::containers::{Prebuilt, Runtime};
use harmony::core::capability::{ContainerBuilder, OciRegistry};
use harmony::core::image::{BuildContext, Buildable, FileEntry, FileSource, ImageSource};
use harmony::core::inventory::Platform;
use harmony::kubernetes::delivery::FluxController;
use harmony::scores::{ArgoCdScore, FluxScore};
use harmony::topologies::ProductionTopology;
use harmony::types::{ImageRef, LabelValue, Namespace};
use harmony::{Inventory, K8sAnywhereTopology, Score};

use crate::released::ReleaseRig;
use crate::stack::readable;

/// The topology of production. It delivers as configured: that is the only difference between one and the other.
pub fn production(rig: &ReleaseRig, delivery: DeliveryChoice) -> ProductionTopology {
    rig.production(BuilderChoice::Native, delivery)
}

/// Installs Argo CD in `namespace`, so that it trusts the registry of the test.
///
/// # Errors
/// Its programs are not on this machine, or it does not become ready.
pub async fn install_argocd(
    topology: &K8sAnywhereTopology,
    rig: &ReleaseRig,
    namespace: &Namespace,
) -> anyhow::Result<ArgoCdScore> {
    let (host, _) = rig
        .registry
        .host()
        .as_str()
        .split_once(':')
        .context("the registry has a port")?;
    let authority = std::fs::read_to_string(rig.registry.ca_file())?;
    let score = ArgoCdScore {
        namespace: namespace.clone(),
        image: argocd_image(topology).await?,
        redis: redis_image(topology).await?,
        pull_secret: None,
        authorities: BTreeMap::from([(host.to_owned(), authority)]),
        deadline: Duration::from_secs(120),
    };
    let installed = score.interpret(&Inventory::autoload(), topology).await;
    installed.map_err(readable)?;
    Ok(score)
}

/// Installs Flux with this controller in `namespace`, where it delivers what [`by_flux`] asks for.
///
/// # Errors
/// Its programs are not on this machine, or it does not become ready.
pub async fn install_flux(
    topology: &K8sAnywhereTopology,
    namespace: &Namespace,
    controller: FluxController,
) -> anyhow::Result<FluxScore> {
    let image_of = async |variable, name| {
        let runtime = Runtime {
            ca_certificates: true,
            ..Runtime::default()
        };
        let program = Prebuilt::new(program_of(variable)?).with_runtime(runtime);
        image(topology, name, program).await
    };
    let score = FluxScore {
        namespace: namespace.clone(),
        source_controller: image_of("HARMONY_FLUX_SOURCE_CONTROLLER", "test-flux-source").await?,
        controller,
        controller_image: match controller {
            FluxController::Helm => {
                image_of("HARMONY_FLUX_HELM_CONTROLLER", "test-flux-helm").await?
            }
            FluxController::Kustomize => {
                image_of("HARMONY_FLUX_KUSTOMIZE_CONTROLLER", "test-flux-kustomize").await?
            }
        },
        pull_secret: None,
        shard: Some(LabelValue::from(namespace)),
        deadline: Duration::from_secs(120),
    };
    let installed = score.interpret(&Inventory::autoload(), topology).await;
    installed.map_err(readable)?;
    Ok(score)
}

/// The delivery by the Flux in `namespace`. It has a shard of its own, so that tests can run at the same time.
pub fn by_flux(namespace: &Namespace, controller: FluxController) -> DeliveryChoice {
    DeliveryChoice::Flux {
        namespace: namespace.clone(),
        controller,
        shard: Some(LabelValue::from(namespace)),
    }
}

/// The program of `xtask/peers/argocd` under both of its names, and helm.
async fn argocd_image(topology: &K8sAnywhereTopology) -> anyhow::Result<ImageRef> {
    let program = program_of("HARMONY_ARGOCD")?;
    let helm = program_of("HARMONY_HELM")?;
    let link = |name: &str| FileEntry {
        path: format!("/usr/local/bin/{name}"),
        source: FileSource::Symlink("argocd".into()),
        mode: 0o777,
    };
    let runtime = Runtime {
        ca_certificates: true,
        files: vec![
            link("argocd-application-controller"),
            link("argocd-repo-server"),
            host_file("/usr/local/bin/helm", helm),
            FileEntry {
                path: "/app/config/tls".into(),
                source: FileSource::Directory,
                mode: 0o755,
            },
        ],
        ..Runtime::default()
    };
    image(
        topology,
        "test-argocd",
        Prebuilt::new(program).with_runtime(runtime),
    )
    .await
}

/// Debian's redis-server, and the libraries that it links.
async fn redis_image(topology: &K8sAnywhereTopology) -> anyhow::Result<ImageRef> {
    let program = PathBuf::from("/usr/bin/redis-server").canonicalize()?;
    // Under the name by which the Score starts it.
    let folder = tempfile::tempdir()?;
    let named = folder.path().join("redis-server");
    std::fs::copy(program, &named)?;
    let runtime = Runtime {
        files: libraries(&named)?,
        ..Runtime::default()
    };
    image(
        topology,
        "test-redis",
        Prebuilt::new(named).with_runtime(runtime),
    )
    .await
}

fn program_of(variable: &str) -> anyhow::Result<PathBuf> {
    let program = std::env::var_os(variable);
    let program =
        program.with_context(|| format!("{variable} is not set: `cargo xtask test` sets it"))?;
    Ok(program.into())
}

fn host_file(path: &str, source: PathBuf) -> FileEntry {
    FileEntry {
        path: path.into(),
        source: FileSource::Host(source),
        mode: 0o755,
    }
}

/// What `ldd` lists, at the same paths.
fn libraries(program: &Path) -> anyhow::Result<Vec<FileEntry>> {
    let listed = Command::new("ldd").arg(program).output()?;
    let listed = String::from_utf8(listed.stdout)?;
    let paths: BTreeSet<&str> = listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .collect();
    anyhow::ensure!(
        !paths.is_empty(),
        "ldd lists no libraries of {}",
        program.display()
    );
    paths
        .into_iter()
        .map(|path| Ok(host_file(path, PathBuf::from(path).canonicalize()?)))
        .collect()
}

async fn image(
    topology: &K8sAnywhereTopology,
    name: &str,
    buildable: impl Buildable + 'static,
) -> anyhow::Result<ImageRef> {
    let host = topology.registry_url().host();
    let name: ImageRef = format!("{host}/{name}:1.0.0").parse()?;
    let context = BuildContext {
        project_root: PathBuf::from("/"),
        source: ImageSource::Buildable(Arc::new(buildable)),
        platform: Platform::current(),
        created: 0,
        labels: BTreeMap::new(),
    };
    let built = topology.build(&context, &name).await?;
    topology.push_image(&built, &name).await?;
    let digest = built.digest().context("an image was built")?;
    Ok(name.with_digest(digest.clone()))
}
