//! An app's own deploy crate: what it is, where it goes, and nothing else.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use harmony::containers::RustBinary;
use harmony::core::{chart::DeployTarget, image::ImageSource};
use harmony::scores::HttpServer;
use harmony::types::{ReleaseUnit, Version};
use harmony::{Inventory, K8sAnywhereTopology, scores};
use harmony_release::{AppSpec, ChartSource, DeployScore, LocalReleaseScore, VersionSource};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    harmony::install_crypto();
    let unit = ReleaseUnit::new("hello".parse()?, "web".parse()?)?;
    let server = HttpServer::new(&unit, 8080);
    let app = Arc::new(AppSpec {
        project_root: Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."),
        version: VersionSource::Crate(unit.to_string()),
        image: ImageSource::Buildable(Arc::new(RustBinary::new(unit.as_str()))),
        smoke: server.checks(),
        chart: ChartSource::from_objects("Says hello", move |namespace, image| {
            server.objects(namespace, image)
        }),
        unit,
    });
    let version: Version = "0.1.0".parse()?;
    let target = DeployTarget::namespace("hello".parse()?);
    let scores = scores![
        LocalReleaseScore::new(&app, &version),
        DeployScore::new(&app, &version, target),
    ];
    match K8sAnywhereTopology::from_env() {
        Ok(topology) => Ok(harmony_cli::run(Inventory::autoload(), topology, scores, None).await?),
        Err(error) => Ok(harmony_cli::fail(&error)),
    }
}
