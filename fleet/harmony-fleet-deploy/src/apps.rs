//! What of the fleet can be released, and the image of the NATS it runs on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use harmony::containers::{GoBinary, RustBinary};
use harmony::core::image::ImageSource;
use harmony::types::ReleaseUnit;
use harmony_release::{AppSpec, ChartSource, VersionSource};

use crate::FleetOperatorScore;
use crate::operator::OperatorChart;

/// The version of the NATS server that the fleet is tested with.
pub(crate) const NATS_VERSION: &str = "2.15.2";

/// Everything that `harmony-fleet --release` knows, with sources below `workspace`.
pub fn released(workspace: &Path) -> Vec<AppSpec> {
    vec![operator(workspace), agent(workspace)]
}

/// The operator: an image and a chart.
pub fn operator(workspace: &Path) -> AppSpec {
    AppSpec {
        chart: ChartSource::from_score(OperatorChart),
        smoke: FleetOperatorScore::checks(),
        ..rust_app(workspace, "operator")
    }
}

/// The agent: an image. Devices get the program itself; the image is for simulated ones.
pub fn agent(workspace: &Path) -> AppSpec {
    rust_app(workspace, "agent")
}

/// NATS, assembled from its program: an offline machine has no registry to pull it from.
pub fn nats() -> AppSpec {
    AppSpec {
        unit: unit("nats", "server"),
        project_root: PathBuf::from("/"),
        version: VersionSource::Fixed(NATS_VERSION.parse().expect("a valid version")),
        image: ImageSource::Buildable(Arc::new(GoBinary::new(
            "github.com/nats-io/nats-server/v2",
            format!("v{NATS_VERSION}"),
            harmony::dirs::cache().join("go"),
        ))),
        chart: ChartSource::None,
        smoke: Vec::new(),
    }
}

/// The workspace that this program was built from.
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .and_then(Path::parent)
        .expect("this crate is two folders below its workspace")
}

fn rust_app(workspace: &Path, component: &str) -> AppSpec {
    let unit = unit("harmony-fleet", component);
    AppSpec {
        project_root: workspace.to_path_buf(),
        version: VersionSource::Crate(unit.to_string()),
        image: ImageSource::Buildable(Arc::new(RustBinary::new(unit.as_str()))),
        chart: ChartSource::None,
        smoke: Vec::new(),
        unit,
    }
}

fn unit(app: &str, component: &str) -> ReleaseUnit {
    let app = app.parse().expect("a valid name");
    ReleaseUnit::new(app, component.parse().expect("a valid name")).expect("short enough")
}
