//! A topology whose registry and cluster are directories: small, but it keeps what it is given, refuses what a
//! registry refuses, and writes nothing when it plans.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::container_builder::BuildError;
use harmony_core::capability::continuous_delivery::{Delivered, DeliveryError};
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::oci_registry::{Published, RegistryError, RegistryLocation};
use harmony_core::capability::prober::Tunnel;
use harmony_core::capability::{
    ContainerBuilder, ContinuousDelivery, HelmRegistry, OciRegistry, Prober, ReleaseRecords,
    WorkTrees,
};
use harmony_core::chart::{DeployTarget, PackagedChart, PackagedObjects};
use harmony_core::image::{BuildContext, Built, BuiltImage, ImageLocation, ImageSource};
use harmony_core::outcome::{Action, Change, Subject};
use harmony_core::verify::{Checks, ProbeFailure, ServicePort, SmokeCheck};
use harmony_core::{Context, InterpretError, Outcome, Topology};
use harmony_release::{
    AppSpec, Chart, ChartContext, ChartMetadata, ChartSource, Template, VersionSource,
};
use harmony_types::{ChartRef, Digest, ImageRef, Namespace, ReleaseUnit, Version};
use sha2::{Digest as _, Sha256};

#[derive(Debug, Clone)]
pub(crate) struct DirectoryTopology {
    root: PathBuf,
    location: RegistryLocation,
    context: Context,
    /// What the builder adds to every image.
    builder: &'static str,
    /// Whether it keeps the objects of charts, which earlier versions of Harmony did not publish.
    keeps_objects: bool,
}

impl DirectoryTopology {
    pub(crate) fn new(root: &Path) -> Self {
        let host = "registry.example.com".parse().unwrap();
        Self {
            root: root.to_owned(),
            location: RegistryLocation::new(host, Some("team".parse().unwrap())).unwrap(),
            context: Context::new(),
            builder: "",
            keeps_objects: false,
        }
    }

    /// The same registry, which also keeps the objects of charts.
    #[allow(dead_code, reason = "only the tests of releases use it")]
    pub(crate) fn keeping_objects(&self) -> Self {
        Self {
            keeps_objects: true,
            ..self.clone()
        }
    }

    /// The same registry with another builder, which gives other bytes.
    #[allow(dead_code, reason = "only the tests of releases use it")]
    pub(crate) fn with_builder(&self, builder: &'static str) -> Self {
        Self {
            builder,
            ..self.clone()
        }
    }

    /// What was written, in order, one line each.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.root.join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Changes the published record of a release, as if another program had written it.
    #[allow(dead_code, reason = "only the tests of releases use it")]
    pub(crate) fn rewrite_record(&self, change: impl FnOnce(&mut serde_json::Value)) {
        let unit = ReleaseUnit::new("shop".parse().unwrap(), "web".parse().unwrap()).unwrap();
        let path = self.root.join(record_path(&unit, &Version::new(1, 2, 3)));
        let content = path.with_extension("3.content");
        let mut record = serde_json::from_slice(&fs::read(&content).unwrap()).unwrap();
        change(&mut record);
        let bytes = serde_json::to_vec(&record).unwrap();
        fs::write(&content, &bytes).unwrap();
        fs::write(path, digest(&bytes).as_str()).unwrap();
    }

    fn write(&self, path: &str, content: &[u8]) {
        assert!(!self.context.is_planning(), "a plan wrote {path}");
        let file = self.root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
        let log = self.log().into_iter().chain([path.to_owned()]);
        fs::write(self.root.join("log"), log.collect::<Vec<_>>().join("\n")).unwrap();
    }

    /// Stores content under a name that is never changed.
    fn publish(
        &self,
        path: &str,
        digest: &Digest,
        content: &[u8],
        subject: Subject,
        reference: String,
    ) -> Result<Published, RegistryError> {
        let outcome = |action| Published {
            change: Change::new(action, subject),
            digest: Some(digest.clone()),
        };
        match fs::read_to_string(self.root.join(path)) {
            Ok(found) if found == digest.as_str() => Ok(outcome(Action::Unchanged)),
            Ok(found) => Err(RegistryError::TagTaken {
                reference,
                published: found.parse().unwrap(),
                ours: digest.clone(),
            }),
            Err(_) => {
                if !self.context.is_planning() {
                    self.write(&format!("{path}.content"), content);
                    self.write(path, digest.as_str().as_bytes());
                }
                Ok(outcome(Action::Create))
            }
        }
    }

    fn resolve(&self, path: &str) -> Option<Digest> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.parse().unwrap())
    }
}

fn digest(content: &[u8]) -> Digest {
    Digest::sha256_from_bytes(Sha256::digest(content).into())
}

fn image_path(image: &ImageRef) -> String {
    format!("images/{}/{}", image.repository(), image.tag().unwrap())
}

fn chart_path(chart: &ChartRef) -> String {
    format!("charts/{}/{}", chart.repository(), chart.version())
}

#[async_trait]
impl Topology for DirectoryTopology {
    fn name(&self) -> &'static str {
        "directory"
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn into_planning(self) -> Self {
        Self {
            context: self.context.planning(),
            ..self
        }
    }

    async fn ensure_ready(&self) -> Result<Outcome, InterpretError> {
        Ok(Outcome::unchanged())
    }
}

#[async_trait]
impl ContainerBuilder for DirectoryTopology {
    async fn build(&self, context: &BuildContext, _: &ImageRef) -> Result<Built, BuildError> {
        if self.context.is_planning() {
            return Ok(Built::Predicted(None));
        }
        let ImageSource::Dockerfile { path, .. } = &context.source else {
            unreachable!("the apps of these tests have Dockerfiles");
        };
        let path = context.project_root.join(path);
        let file = fs::read(&path).map_err(|source| BuildError::File { path, source })?;
        let image = [
            file,
            format!("{} {:?}{}", context.created, context.labels, self.builder).into_bytes(),
        ]
        .concat();
        self.write("built", &image);
        Ok(Built::Image(BuiltImage {
            digest: digest(&image),
            location: ImageLocation::OciLayout(self.root.join("built")),
            size: image.len() as u64,
        }))
    }
}

#[async_trait]
impl OciRegistry for DirectoryTopology {
    async fn push_image(&self, image: &Built, to: &ImageRef) -> Result<Published, RegistryError> {
        let Built::Image(built) = image else {
            let change = Change::new(Action::Create, to.clone()).with_note("known after build");
            return Ok(Published {
                change,
                digest: None,
            });
        };
        let ImageLocation::OciLayout(path) = &built.location else {
            unreachable!("the builder above makes no other");
        };
        let content = fs::read(path).unwrap();
        self.publish(
            &image_path(to),
            &built.digest,
            &content,
            to.clone().into(),
            to.to_string(),
        )
    }

    async fn resolve_image(&self, image: &ImageRef) -> Result<Option<Digest>, RegistryError> {
        Ok(self.resolve(&image_path(image)))
    }

    fn registry_url(&self) -> &RegistryLocation {
        &self.location
    }
}

#[async_trait]
impl HelmRegistry for DirectoryTopology {
    async fn push_chart(
        &self,
        chart: &PackagedChart,
        to: &ChartRef,
    ) -> Result<Published, RegistryError> {
        self.publish(
            &chart_path(to),
            &chart.archive_digest,
            &chart.archive,
            to.clone().into(),
            to.to_string(),
        )
    }

    async fn resolve_chart(&self, chart: &ChartRef) -> Result<Option<Digest>, RegistryError> {
        Ok(self.resolve(&chart_path(chart)))
    }

    async fn pull_chart(&self, chart: &ChartRef) -> Result<PackagedChart, RegistryError> {
        let path = self.root.join(format!("{}.content", chart_path(chart)));
        let archive = fs::read(path).map_err(|_| RegistryError::NotFound {
            reference: chart.to_string(),
        })?;
        Ok(PackagedChart {
            name: chart.name().clone(),
            version: chart.version().clone(),
            metadata: serde_json::Value::Null,
            archive_digest: digest(&archive),
            archive: archive.into(),
            created: 0,
        })
    }

    async fn push_objects(
        &self,
        objects: &PackagedObjects,
        of: &ChartRef,
    ) -> Result<Option<Published>, RegistryError> {
        if !self.keeps_objects {
            return Ok(None);
        }
        let name = RegistryLocation::objects(of).unwrap();
        let path = format!("objects/{}/{}", of.name(), of.version());
        let (content, subject) = (&*objects.archive, Subject::Objects(name.clone()));
        let published = self.publish(&path, &digest(content), content, subject, name.to_string());
        published.map(Some)
    }
}

fn record_path(unit: &ReleaseUnit, version: &Version) -> String {
    format!("releases/{unit}/{version}")
}

#[async_trait]
impl ReleaseRecords for DirectoryTopology {
    async fn push_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
        record: &[u8],
    ) -> Result<Published, RegistryError> {
        let name = self.location.record(unit, version);
        let subject = Subject::Release(name.clone());
        let path = record_path(unit, version);
        self.publish(&path, &digest(record), record, subject, name.to_string())
    }

    async fn read_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        let path = format!("{}.content", record_path(unit, version));
        Ok(fs::read(self.root.join(path)).ok())
    }

    async fn released_versions(&self, unit: &ReleaseUnit) -> Result<Vec<Version>, RegistryError> {
        let Ok(entries) = fs::read_dir(self.root.join("releases").join(unit.as_str())) else {
            return Ok(Vec::new());
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }
}

impl WorkTrees for DirectoryTopology {
    fn work_trees(&self) -> &RegistryLocation {
        &self.location
    }
}

/// Delivers by keeping the archive below `delivered/`; an archive counts as ready when it holds an object.
#[async_trait]
impl ContinuousDelivery for DirectoryTopology {
    fn charts(&self) -> &RegistryLocation {
        &self.location
    }

    async fn sync_to(
        &self,
        chart: &ChartRef,
        target: &DeployTarget,
    ) -> Result<Delivered, DeliveryError> {
        let pulled = self
            .pull_chart(chart)
            .await
            .map_err(|source| DeliveryError::Chart {
                chart: chart.clone(),
                source,
            })?;
        let path = format!("delivered/{}/{}", target.target_namespace(), chart.name());
        let action = match fs::read(self.root.join(&path)) {
            Ok(there) if *there == *pulled.archive => Action::Unchanged,
            Ok(_) => Action::Update,
            Err(_) => Action::Create,
        };
        if action != Action::Unchanged && !self.context.is_planning() {
            self.write(&path, &pulled.archive);
        }
        Ok(Delivered {
            changes: vec![Change::new(action, chart.clone())],
            ..Delivered::default()
        })
    }

    async fn wait_ready(&self, _: &Delivered, _: Duration) -> Result<(), DeliveryError> {
        Ok(())
    }
}

#[async_trait]
impl Prober for DirectoryTopology {
    /// A TCP check passes when something was delivered under the service's name.
    async fn probe(&self, namespace: &Namespace, check: &SmokeCheck) -> Result<(), ProbeFailure> {
        let SmokeCheck::Tcp { service } = check else {
            return Err(ProbeFailure::new("only TCP checks can be answered here"));
        };
        let path = self
            .root
            .join(format!("delivered/{namespace}/{}", service.service));
        fs::metadata(path)
            .map(drop)
            .map_err(|error| ProbeFailure::new(error.to_string()))
    }

    async fn connect(&self, _: &Namespace, _: &ServicePort) -> Result<Tunnel, ClusterError> {
        unreachable!("no check of these tests connects")
    }
}

/// A project in a git repository: a crate `shop-web` of version 1.2.3 in a workspace, a Dockerfile, one commit.
pub(crate) struct Project {
    pub(crate) root: tempfile::TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        let project = Self {
            root: tempfile::tempdir().unwrap(),
        };
        project.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"web\"]\n[workspace.package]\nversion = \"1.2.3\"\n",
        );
        project.write(
            "web/Cargo.toml",
            "[package]\nname = \"shop-web\"\nversion.workspace = true\nedition = \"2024\"\n",
        );
        project.write("web/src/main.rs", "fn main() {}\n");
        project.write("Dockerfile", "FROM scratch\n");
        project.git(&["init", "--quiet"]);
        project.commit();
        project
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let file = self.root.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    pub(crate) fn commit(&self) {
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "-m", "a commit"]);
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        let output = Command::new("git")
            .arg("-C")
            .arg(self.root.path())
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
            .args(["-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"])
            .args(arguments)
            .env("GIT_COMMITTER_DATE", "2024-02-29T12:00:00Z")
            .env("GIT_AUTHOR_DATE", "2024-02-29T12:00:00Z")
            .output()
            .expect("git is installed: `apt-get install git`");
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
    }

    /// The app of this project, with a chart of one Deployment.
    pub(crate) fn app(&self) -> AppSpec {
        AppSpec {
            unit: ReleaseUnit::new("shop".parse().unwrap(), "web".parse().unwrap()).unwrap(),
            project_root: self.root.path().to_owned(),
            version: VersionSource::Crate("shop-web".into()),
            image: ImageSource::dockerfile("Dockerfile"),
            chart: ChartSource::builder(|context: &ChartContext<'_>| {
                let values = harmony_release::ChartValues::new("default".parse().unwrap());
                let text = format!(
                    "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {}\nspec:\n  image: {}\n",
                    context.unit, context.image
                );
                let template = Template {
                    path: "web.yaml".into(),
                    text,
                };
                Ok(Chart::new(
                    context,
                    &ChartMetadata::default(),
                    &values,
                    vec![template],
                ))
            }),
            bundled: Vec::new(),
            smoke: Checks::first(SmokeCheck::Tcp {
                service: ServicePort {
                    service: "shop-web".parse().unwrap(),
                    port: 80,
                },
            }),
        }
    }
}
