//! The images of Prometheus and Alertmanager.
//!
//! A cluster with internet access can use those of the Prometheus project. For one without, they are assembled from the
//! packages of this machine's Debian, and bundled with the app.

use std::sync::Arc;

use harmony_containers::{DebianProgram, Runtime};
use harmony_core::image::ImageSource;
use harmony_release::BundledImage;
use harmony_types::{ComponentName, ImageRef};

/// The images of Prometheus and Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitoringImages {
    /// Prometheus 2.40 or later.
    pub prometheus: ImageRef,
    /// Alertmanager 0.25 or later.
    pub alertmanager: ImageRef,
}

pub(super) const PROMETHEUS: &str = "prometheus";
pub(super) const ALERTMANAGER: &str = "alertmanager";

/// The images, to be released together with an app.
pub fn bundled() -> Vec<BundledImage> {
    let folder = crate::dirs::cache().join("debian");
    let image = |name: &str, program: DebianProgram| BundledImage {
        name: component(name),
        image: ImageSource::Buildable(Arc::new(program.with_runtime(Runtime {
            // For receivers with a public certificate.
            ca_certificates: true,
            ..Runtime::default()
        }))),
    };
    let prometheus = DebianProgram::new("prometheus", "/usr/bin/prometheus", folder.clone());
    let alertmanager = DebianProgram::new(
        "prometheus-alertmanager",
        "/usr/bin/prometheus-alertmanager",
        folder,
    )
    // Debian's program reads the default texts of messages from these files.
    .with_file("/usr/share/prometheus/alertmanager/default.tmpl")
    .with_file("/usr/share/prometheus/alertmanager/email.tmpl");
    vec![
        image(PROMETHEUS, prometheus),
        image(ALERTMANAGER, alertmanager),
    ]
}

pub(super) fn component(name: &str) -> ComponentName {
    name.parse().expect("a valid name")
}
