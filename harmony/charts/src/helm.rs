//! Renders charts beyond the format with the `helm` binary; Harmony applies the objects.
//!
//! `helm` only renders: it never accesses the cluster, and stores no release there.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use harmony_core::Context;
use harmony_core::kubernetes::ClusterCapabilities;
use harmony_core::process;
use harmony_types::{ChartRef, Namespace, Version};
use serde_json::Value;

use crate::error::RenderError;
use crate::render::{ChartObjects, objects_of_output};
use crate::stable;
use crate::yaml;

/// The variable that names the `helm` binary; by default it is the first `helm` on `PATH`.
pub const HELM_VARIABLE: &str = "HARMONY_HELM";

/// Where helm keeps its files and logins. No cluster credentials: it never talks to one.
const HELM: &[&str] = &[
    "HELM_CACHE_HOME",
    "HELM_CONFIG_HOME",
    "HELM_DATA_HOME",
    "HELM_REGISTRY_CONFIG",
    "HELM_REPOSITORY_CACHE",
    "HELM_REPOSITORY_CONFIG",
    "DOCKER_CONFIG",
];

/// The maximum number of lines of its error output that are kept.
const KEPT_LINES: usize = 20;

/// A `helm` binary, version 3 or 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helm {
    program: PathBuf,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HelmChart {
    /// The name of the release: `.Release.Name` in its templates.
    pub release: String,
    pub source: HelmSource,
    /// Values that override the chart's own: a map, as in a `-f` file.
    pub values: Value,
    /// `.Release.Namespace` in its templates, and the namespace of objects without one.
    pub namespace: Namespace,
}

/// The source of a chart.
#[derive(Clone, PartialEq, Eq)]
pub enum HelmSource {
    /// The bytes of a `.tgz`.
    Archive(Arc<[u8]>),
    /// A `.tgz` or a chart directory.
    Path(PathBuf),
    /// An OCI registry; `helm` uses its own credentials.
    Oci(ChartRef),
    /// A classic chart repository with an `index.yaml`.
    Repository {
        /// The URL, for example `https://charts.example.com`.
        url: String,
        /// The chart's name there.
        chart: String,
        /// Required: "the latest" may be another chart tomorrow.
        version: Version,
    },
}

impl std::fmt::Debug for HelmSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Archive(archive) => write!(f, "Archive({} bytes)", archive.len()),
            Self::Path(path) => write!(f, "Path({})", path.display()),
            Self::Oci(chart) => write!(f, "Oci({chart})"),
            Self::Repository {
                url,
                chart,
                version,
            } => write!(f, "Repository({chart} {version} of {url})"),
        }
    }
}

/// The objects of a chart, rendered by the installed `helm` ([`Helm::find`]).
///
/// # Errors
/// [`RenderError::NoHelm`], and those of [`Helm::template`].
pub async fn inflate(
    context: &Context,
    chart: &HelmChart,
    cluster: Option<&ClusterCapabilities>,
) -> Result<ChartObjects, RenderError> {
    let helm = Helm::find().ok_or(RenderError::NoHelm)?;
    helm.template(context, chart, cluster).await
}

impl Helm {
    /// The binary in `HARMONY_HELM`, else the first `helm` on `PATH`.
    pub fn find() -> Option<Self> {
        if let Some(named) = std::env::var_os(HELM_VARIABLE).filter(|named| !named.is_empty()) {
            return Some(Self::at(named));
        }
        process::find("helm").map(Self::at)
    }

    /// Uses this binary.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
        }
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The objects of a chart, including custom resource definitions, and its hooks. Does not access a cluster; `cluster`
    /// is what templates may know about it. A chart with values that change with each rendering, such as a generated
    /// password, is refused, because each deploy would change it.
    ///
    /// # Errors
    /// [`RenderError::Unstable`] for such a chart, [`RenderError::Helm`] if `helm` does not run or refuses the chart,
    /// [`RenderError::File`] if its output is not a list of objects.
    pub async fn template(
        &self,
        context: &Context,
        chart: &HelmChart,
        cluster: Option<&ClusterCapabilities>,
    ) -> Result<ChartObjects, RenderError> {
        let step = context.step(format!("render {} with helm", chart.release));
        let first = self.render(context, chart, cluster).await?;
        let second = self.render(context, chart, cluster).await?;
        // A hook is made anew at each run, so it may have a new name each time.
        if let Some((object, field)) = stable::difference(&first.objects, &second.objects) {
            return Err(RenderError::Unstable { object, field });
        }
        step.done(match first.objects.len() {
            1 => "1 object".to_owned(),
            count => format!("{count} objects"),
        });
        Ok(first)
    }

    async fn render(
        &self,
        context: &Context,
        chart: &HelmChart,
        cluster: Option<&ClusterCapabilities>,
    ) -> Result<ChartObjects, RenderError> {
        let folder = tempfile::tempdir().map_err(|error| self.failed(chart, &error.to_string()))?;
        let values = folder.path().join("values.json");
        let archive = folder.path().join("chart.tgz");
        // A values file instead of `--set`: values keep their types, and no secret appears in the process list.
        write_private(&values, yaml::json(&chart.values).as_bytes())
            .map_err(|error| self.failed(chart, &error.to_string()))?;
        let mut command = process::async_command(&self.program, &[process::NETWORK, HELM].concat());
        command.arg("template");
        let mut positionals: Vec<OsString> = vec![chart.release.clone().into()];
        match &chart.source {
            HelmSource::Archive(bytes) => {
                write_private(&archive, bytes)
                    .map_err(|error| self.failed(chart, &error.to_string()))?;
                positionals.push(archive.into());
            }
            HelmSource::Path(path) => {
                positionals.push(path.into());
            }
            HelmSource::Oci(reference) => {
                let repository =
                    format!("oci://{}/{}", reference.registry(), reference.repository());
                if let Some(digest) = reference.digest() {
                    positionals.push(format!("{repository}@{digest}").into());
                } else {
                    positionals.push(repository.into());
                    command.arg(format!("--version={}", reference.version()));
                }
            }
            HelmSource::Repository {
                url,
                chart,
                version,
            } => {
                positionals.push(chart.into());
                command
                    .arg(format!("--repo={url}"))
                    .arg(format!("--version={version}"));
            }
        }
        if let Some(cluster) = cluster {
            command.arg(format!("--kube-version={}", cluster.version));
            let kinds = cluster.kinds.iter();
            let mut apis: Vec<String> = kinds
                .flat_map(|known| {
                    let api = known.api_version.clone();
                    [format!("{api}/{}", known.kind), api]
                })
                .collect();
            apis.sort();
            apis.dedup();
            command.arg(format!("--api-versions={}", apis.join(",")));
        }
        command
            .args([
                "--namespace",
                chart.namespace.as_str(),
                "--include-crds",
                "--values",
            ])
            .arg(&values)
            // names from outside are never read as flags
            .arg("--")
            .args(positionals)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = context
            .unless_cancelled(command.output())
            .await?
            .map_err(|error| self.failed(chart, &format!("could not be run: {error}")))?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<_> = complaint
                .lines()
                .map(str::trim_end)
                .filter(|line| !line.is_empty())
                .collect();
            let output_lines = lines
                .iter()
                .rev()
                .take(KEPT_LINES)
                .rev()
                .map(ToString::to_string)
                .collect();
            return Err(RenderError::Helm {
                command: self.shown(chart),
                problem: format!("failed ({})", output.status),
                output: output_lines,
            });
        }
        let text = String::from_utf8(output.stdout)
            .map_err(|_| self.failed(chart, "wrote something that is not UTF-8"))?;
        objects_of_output(&text, &chart.namespace, cluster)
    }

    fn shown(&self, chart: &HelmChart) -> String {
        format!("{} template {}", self.program.display(), chart.release)
    }

    fn failed(&self, chart: &HelmChart, problem: &str) -> RenderError {
        RenderError::Helm {
            command: self.shown(chart),
            problem: problem.to_owned(),
            output: Vec::new(),
        }
    }
}

/// A new file that only this user can read.
fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path)?.write_all(content)
}
