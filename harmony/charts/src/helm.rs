//! Renders charts beyond the format with the `helm` binary; Harmony applies the objects.
//!
//! `helm` only renders: it never accesses the cluster, and stores no release there.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use harmony_core::Context;
use harmony_core::kubernetes::ClusterCapabilities;
use harmony_core::process;
use harmony_types::Namespace;
use serde_json::Value;

use crate::error::RenderError;
use crate::render::{ChartObjects, objects_of_output};
use crate::{lookup, refusal, stable, yaml};

/// The variable that names the `helm` binary; by default it is the first `helm` on `PATH`.
pub const HELM_VARIABLE: &str = "HARMONY_HELM";

/// The maximum number of lines of its error output that are kept.
const KEPT_LINES: usize = 20;

/// A `helm` binary, version 3 or 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helm {
    program: PathBuf,
}

/// A chart, and what it is rendered with.
#[derive(Clone, PartialEq)]
pub struct HelmChart {
    /// The name of the release: `.Release.Name` in its templates.
    pub release: String,
    /// The bytes of its `.tgz`.
    pub archive: Arc<[u8]>,
    /// Values that override the chart's own: a map, as in a `-f` file.
    pub values: Value,
    /// `.Release.Namespace` in its templates, and the namespace of objects without one.
    pub namespace: Namespace,
    /// What its templates find with `lookup`.
    pub lookups: Lookups,
}

/// What the templates of a chart find in the cluster with Helm's function `lookup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lookups {
    /// A chart that calls it is refused.
    #[default]
    Refused,
    /// It finds nothing, as with `helm template` and Argo CD.
    Empty,
}

/// Without the values, which may contain secrets.
impl std::fmt::Debug for HelmChart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (release, size) = (&self.release, self.archive.len());
        write!(
            f,
            "HelmChart({release}, {size} bytes, for {})",
            self.namespace
        )
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
    /// [`RenderError::Unstable`] for such a chart, [`RenderError::Lookup`] for one that reads objects of the cluster,
    /// [`RenderError::KubeVersion`] and [`RenderError::Subcharts`] for what the chart needs, [`RenderError::Helm`] if `helm`
    /// does not run or refuses the chart, [`RenderError::File`] if its output is not a list of objects.
    pub async fn template(
        &self,
        context: &Context,
        chart: &HelmChart,
        cluster: Option<&ClusterCapabilities>,
    ) -> Result<ChartObjects, RenderError> {
        let step = context.step(format!("render {} with helm", chart.release));
        if chart.lookups == Lookups::Refused {
            self.refuse_lookups(context, chart, cluster).await?;
        }
        let (text, _) = self.render(context, chart, cluster, &[]).await?;
        // Helm silently drops an object with an unknown hook event, and only says so when it is asked for details.
        let (again, log) = self.render(context, chart, cluster, &["--debug"]).await?;
        if let Some(error) = refusal::unknown_hook(&log) {
            return Err(error);
        }
        let read = |text: &str| objects_of_output(text, &chart.namespace, cluster);
        let first = read(&text)?;
        // A hook is made anew at each run, so it may have a new name each time.
        if text != again
            && let Some((object, field)) =
                stable::difference(&first.objects, &read(&again)?.objects)
        {
            return Err(RenderError::Unstable { object, field });
        }
        step.done(match first.objects.len() {
            1 => "1 object".to_owned(),
            count => format!("{count} objects"),
        });
        Ok(first)
    }

    /// The text of the objects, and what helm wrote beside it.
    async fn render(
        &self,
        context: &Context,
        chart: &HelmChart,
        cluster: Option<&ClusterCapabilities>,
        options: &[&str],
    ) -> Result<(String, String), RenderError> {
        let folder = tempfile::tempdir().map_err(|error| self.failed(chart, &error.to_string()))?;
        let values = folder.path().join("values.json");
        let archive = folder.path().join("chart.tgz");
        // A values file instead of `--set`: values keep their types, and no secret appears in the process list.
        write_private(&values, yaml::json(&chart.values).as_bytes())
            .map_err(|error| self.failed(chart, &error.to_string()))?;
        write_private(&archive, &chart.archive)
            .map_err(|error| self.failed(chart, &error.to_string()))?;
        // It needs no network and no login: the archive is here.
        let mut command = process::async_command(&self.program, &[]);
        command.arg("template").args(options);
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
            .arg(&chart.release)
            .arg(&archive)
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
            let output_lines: Vec<String> = lines
                .iter()
                .rev()
                .take(KEPT_LINES)
                .rev()
                .map(ToString::to_string)
                .collect();
            return Err(
                refusal::read(&output_lines).unwrap_or_else(|| RenderError::Helm {
                    command: self.shown(chart),
                    problem: format!("failed ({})", output.status),
                    output: output_lines,
                }),
            );
        }
        let text = String::from_utf8(output.stdout)
            .map_err(|_| self.failed(chart, "wrote something that is not UTF-8"))?;
        Ok((text, String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// Renders the chart once with templates that fail where they call `lookup`.
    async fn refuse_lookups(
        &self,
        context: &Context,
        chart: &HelmChart,
        cluster: Option<&ClusterCapabilities>,
    ) -> Result<(), RenderError> {
        let Some(trapped) = lookup::trapped(&chart.archive)? else {
            return Ok(());
        };
        let trapped = HelmChart {
            archive: trapped.into(),
            ..chart.clone()
        };
        match self.render(context, &trapped, cluster, &[]).await {
            Err(RenderError::Helm { output, .. }) => match lookup::place(&output) {
                Some(place) => Err(RenderError::Lookup { place }),
                None => Ok(()),
            },
            Err(error @ RenderError::Cancelled(_)) => Err(error),
            // Whatever else is wrong with the chart is wrong without the traps, too.
            _ => Ok(()),
        }
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
