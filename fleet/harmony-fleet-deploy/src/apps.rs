//! The apps of the fleet: an image and a chart for the operator, an image for the agent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use harmony::containers::GoBinary;
use harmony::core::image::ImageSource;
use harmony::release::{AppSpec, BundledImage, ChartSource, WhichImage};
use harmony::rust_app::RustApp as _;
use harmony::types::ComponentName;

use crate::operator::{self, OperatorChart};

/// The tested version of the NATS server.
const NATS_VERSION: &str = "2.15.2";

/// All apps that `harmony-fleet --release` can release.
pub fn released() -> Vec<Arc<AppSpec>> {
    vec![Arc::new(operator()), Arc::new(agent())]
}

/// The operator: its image, its chart, and the image of its NATS server.
pub fn operator() -> AppSpec {
    AppSpec {
        bundled: vec![BundledImage {
            name: nats_name(),
            image: nats_image(),
        }],
        chart: ChartSource::from_score(OperatorChart),
        smoke: operator::checks(),
        ..rust_app("harmony-fleet-operator")
    }
}

/// The agent: an image. Devices get the program itself; the image is for simulated devices.
pub fn agent() -> AppSpec {
    rust_app("harmony-fleet-agent")
}

/// The NATS image among those of the operator.
pub fn nats() -> WhichImage {
    WhichImage::Bundled(nats_name())
}

/// The root of the workspace with the sources of the fleet.
pub fn workspace() -> PathBuf {
    harmony::rust_app::workspace(env!("CARGO_MANIFEST_DIR"), "harmony-fleet-operator")
}

/// The same app in another checkout.
#[must_use]
pub fn in_checkout(app: AppSpec, root: &Path) -> AppSpec {
    AppSpec {
        project_root: root.to_path_buf(),
        ..app
    }
}

/// Assembled from the program, because a machine without internet access cannot pull it.
fn nats_image() -> ImageSource {
    ImageSource::Buildable(Arc::new(GoBinary::new(
        "github.com/nats-io/nats-server/v2",
        format!("v{NATS_VERSION}"),
        harmony::dirs::cache().join("go"),
    )))
}

fn nats_name() -> ComponentName {
    "nats-server".parse().expect("a valid name")
}

fn rust_app(name: &str) -> AppSpec {
    AppSpec::rust(env!("CARGO_MANIFEST_DIR"), name).expect("a valid name")
}
