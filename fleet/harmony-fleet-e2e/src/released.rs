//! Real releases: a checkout of this repository, a registry with TLS and a password, the production Scores.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use harmony::configuration::{
    BuilderChoice, ClusterChoices, DeliveryChoice, Kubeconfig, RegistryChoice,
};
use harmony::core::diagnostic::Report;
use harmony::local::node::{LocalNode, RegistryTrust};
use harmony::prelude::Platform;
use harmony::release::{AppSpec, ReleaseScore, Released, WorkTree};
use harmony::rust_app::RustApp as _;
use harmony::scores::{HttpServer, PullSecretScore};
use harmony::topologies::{CiSettings, ProductionSettings, ProductionTopology};
use harmony::types::{Namespace, Version};
use harmony::{CiTopology, Context, Inventory, Outcome, Score};
use harmony_fleet_deploy::{FleetOperatorScore, FleetServerScore, apps};
use harmony_registry::testing::RegistryPeer;
use tempfile::TempDir;

use crate::checkout::Checkout;
use crate::stack::{local, readable};

/// The Secret with which the cluster pulls from the registry.
pub const PULL_SECRET: &str = "registry";

/// A checkout to release from, and a registry to release it to.
#[derive(Debug)]
pub struct ReleaseRig {
    pub registry: RegistryPeer,
    checkout: Checkout,
}

impl ReleaseRig {
    /// Takes a checkout for the examples, starts the registry, and makes the node trust it.
    ///
    /// # Errors
    /// The registry program or git is not installed.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(
            RegistryPeer::start().await?,
            Checkout::take_for_examples().await?,
        )
    }

    /// As [`start`](Self::start), with a registry that pods reach at the address of the node.
    ///
    /// # Errors
    /// The registry program or git is not installed, or the node is not running.
    pub async fn start_for_pods() -> anyhow::Result<Self> {
        Self::with(
            registry_for_pods().await?,
            Checkout::take_for_examples().await?,
        )
    }

    /// As [`start`](Self::start), with the checkout for the fleet.
    ///
    /// # Errors
    /// The registry program or git is not installed.
    pub async fn start_fleet() -> anyhow::Result<Self> {
        Self::with(RegistryPeer::start().await?, Checkout::take().await?)
    }

    /// As [`start_for_pods`](Self::start_for_pods), with the checkout for the fleet.
    ///
    /// # Errors
    /// The registry program or git is not installed, or the node is not running.
    pub async fn start_fleet_for_pods() -> anyhow::Result<Self> {
        Self::with(registry_for_pods().await?, Checkout::take().await?)
    }

    fn with(registry: RegistryPeer, checkout: Checkout) -> anyhow::Result<Self> {
        harmony::install_crypto();
        let trust = RegistryTrust::Authority(std::fs::read_to_string(registry.ca_file())?);
        LocalNode::default().trust_registry(&Context::new(), registry.host(), &trust)?;
        Ok(Self { registry, checkout })
    }

    /// The operator, built from the checkout.
    fn operator(&self) -> Arc<AppSpec> {
        Arc::new(apps::in_checkout(apps::operator(), self.root()))
    }

    /// The root of the checkout.
    pub fn root(&self) -> &Path {
        self.checkout.root()
    }

    /// The app of the examples, built from the checkout, which pulls its image with [`PULL_SECRET`].
    ///
    /// # Errors
    /// None; the names are valid.
    pub fn hello_web(&self) -> anyhow::Result<Arc<AppSpec>> {
        let server = HttpServer {
            pull_secret: Some(PULL_SECRET.parse()?),
            ..HttpServer::on(8080)
        };
        let app = AppSpec {
            project_root: self.root().to_path_buf(),
            ..AppSpec::rust(env!("CARGO_MANIFEST_DIR"), "hello-web")?
        };
        Ok(Arc::new(app.serving(server)))
    }

    /// The platform as a laptop deploys it from this checkout.
    pub fn work_tree(&self, namespace: Namespace) -> FleetServerScore<WorkTree> {
        local(namespace, &self.checkout)
    }

    /// The topology of a CI job: the login of the registry and, for deploys, the kubeconfig of the node.
    ///
    /// # Errors
    /// The settings of the registry are not valid.
    pub fn ci(&self) -> anyhow::Result<CiTopology> {
        self.ci_with(LocalNode::default().kubeconfig())
    }

    /// As [`ci`](Self::ci), with another kubeconfig.
    ///
    /// # Errors
    /// The registry's settings are not usable.
    pub fn ci_with(&self, kubeconfig: PathBuf) -> anyhow::Result<CiTopology> {
        Ok(CiTopology::new(CiSettings {
            registry: Ok(self.registry_choice()),
            kubeconfig: Some(Kubeconfig {
                path: kubeconfig,
                context: None,
            }),
        }))
    }

    /// The registry, as a configuration names it.
    pub fn registry_choice(&self) -> RegistryChoice {
        RegistryChoice::oci(self.registry.location("team"), self.registry.settings())
    }

    /// The topology of production, with the registry of the test, and the local node for all stages.
    pub fn production(
        &self,
        builder: BuilderChoice,
        delivery: DeliveryChoice,
    ) -> ProductionTopology {
        let kubeconfig = Kubeconfig {
            path: LocalNode::default().kubeconfig(),
            context: None,
        };
        ProductionTopology::new(ProductionSettings {
            builder,
            registry: self.registry_choice(),
            delivery,
            clusters: ClusterChoices {
                any: Some(kubeconfig.clone()),
                staging: Some(kubeconfig.clone()),
                production: Some(kubeconfig),
            },
        })
    }

    /// Releases the operator from the checkout as `version`.
    ///
    /// # Errors
    /// The error of the release.
    pub async fn release(&self, version: &Version) -> anyhow::Result<Result<Outcome, Report>> {
        let release = ReleaseScore::of(&self.operator()).as_version(version.clone());
        Ok(release
            .interpret(&Inventory::autoload(), &self.ci()?)
            .await
            .map_err(|error| error.report()))
    }

    /// Deploys a released operator from a CI job. NATS must already be running in `namespace`.
    ///
    /// # Errors
    /// The deploy failed.
    pub async fn deploy(
        &self,
        version: &Version,
        namespace: &Namespace,
    ) -> anyhow::Result<Outcome> {
        self.deploy_on(&self.ci()?, version, namespace).await
    }

    /// As [`deploy`](Self::deploy), on another topology.
    ///
    /// # Errors
    /// The deploy failed.
    pub async fn deploy_on<T: Platform>(
        &self,
        topology: &T,
        version: &Version,
        namespace: &Namespace,
    ) -> anyhow::Result<Outcome> {
        self.let_pull(namespace).await?;
        let operator = FleetOperatorScore {
            namespace: namespace.clone(),
            tenant: "default".parse()?,
            pull_secret: Some(PULL_SECRET.parse()?),
            app: self.operator(),
            artifacts: Released::exact(version.clone()),
        };
        operator
            .interpret(&Inventory::autoload(), topology)
            .await
            .map_err(readable)
    }

    /// Creates the Secret [`PULL_SECRET`] with which the pods of a namespace can pull from the registry.
    ///
    /// # Errors
    /// The cluster rejected the Secret.
    pub async fn let_pull(&self, namespace: &Namespace) -> anyhow::Result<()> {
        let secret = PullSecretScore {
            namespace: namespace.clone(),
            name: PULL_SECRET.parse()?,
            registry: self.registry.host().clone(),
            user: RegistryPeer::USER.into(),
            password: RegistryPeer::PASSWORD.into(),
        };
        let stored = secret.interpret(&Inventory::autoload(), &self.ci()?).await;
        stored.map(drop).map_err(readable)
    }

    /// Sets the version of a crate in the checkout, and commits it.
    ///
    /// # Errors
    /// The manifest is not as expected, or git failed.
    pub fn set_version(&self, folder: &str, version: &Version) -> anyhow::Result<()> {
        let manifest = self.root().join(folder).join("Cargo.toml");
        let before = std::fs::read_to_string(&manifest)?;
        let name = before
            .lines()
            .find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
            .with_context(|| format!("{} has a name", manifest.display()))?;
        let replaced = |line: &str| {
            if line.starts_with("version") {
                format!("version = \"{version}\"\n")
            } else {
                format!("{line}\n")
            }
        };
        let after: String = before.lines().map(replaced).collect();
        anyhow::ensure!(after != before, "{} has no version", manifest.display());
        std::fs::write(&manifest, after)?;
        let lock = self.root().join("Cargo.lock");
        let entry = format!("name = \"{name}\"\nversion = ");
        let text = std::fs::read_to_string(&lock)?;
        let (head, tail) = text
            .split_once(&entry)
            .with_context(|| format!("{name} is in Cargo.lock"))?;
        let (_, tail) = tail.split_once('\n').context("a line")?;
        std::fs::write(&lock, format!("{head}{entry}\"{version}\"\n{tail}"))?;
        self.commit(&format!("Make {name} {version}"))
    }

    /// Commits everything in the checkout.
    ///
    /// # Errors
    /// git failed.
    pub fn commit(&self, subject: &str) -> anyhow::Result<()> {
        self.checkout.commit(subject)
    }

    /// The commit of the checkout in another directory, without its `target`.
    ///
    /// # Errors
    /// git failed.
    pub fn cloned(&self) -> anyhow::Result<TempDir> {
        self.checkout.cloned()
    }

    /// A file in the checkout.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }
}

async fn registry_for_pods() -> anyhow::Result<RegistryPeer> {
    Ok(RegistryPeer::start_on(LocalNode::default().address()).await?)
}
