//! The kinds of Flux that its two controllers need.

use harmony_core::kubernetes::{KubeObject, ObjectError};
use harmony_kubernetes::delivery::FluxController;
use serde_json::{Value, json};

use super::super::controllers::{OpenKind, anything};

const SOURCES: &str = "source.toolkit.fluxcd.io";
const RELEASES: &str = "helm.toolkit.fluxcd.io";
const KUSTOMIZATIONS: &str = "kustomize.toolkit.fluxcd.io";

/// The definitions. The source-controller does not start unless all its kinds are served, although a delivery needs only
/// one of them.
///
/// Each has the defaults on which the controllers rely.
pub(super) fn build(controller: FluxController) -> Result<Vec<KubeObject>, ObjectError> {
    let patient = json!({ "timeout": { "type": "string", "default": "60s" } });
    let provided = json!({ "provider": { "type": "string", "default": "generic" } });
    let both = json!({ "timeout": patient["timeout"], "provider": provided["provider"] });
    let of_chart = json!({
        "reconcileStrategy": { "type": "string", "default": "ChartVersion" },
        "version": { "type": "string", "default": "*" },
    });
    let kinds = [
        source("OCIRepository", "ocirepositories", &["ocirepo"], &both),
        source("Bucket", "buckets", &[], &both),
        source("GitRepository", "gitrepositories", &["gitrepo"], &patient),
        source(
            "HelmRepository",
            "helmrepositories",
            &["helmrepo"],
            &provided,
        ),
        source("HelmChart", "helmcharts", &["hc"], &of_chart),
        match controller {
            FluxController::Helm => OpenKind {
                group: RELEASES,
                version: "v2",
                ..source("HelmRelease", "helmreleases", &["hr"], &json!({}))
            },
            FluxController::Kustomize => OpenKind {
                group: KUSTOMIZATIONS,
                ..source("Kustomization", "kustomizations", &["ks"], &json!({}))
            },
        },
    ];
    kinds.iter().map(OpenKind::definition).collect()
}

fn source<'a>(
    kind: &'a str,
    plural: &'a str,
    short: &'a [&'a str],
    defaults: &Value,
) -> OpenKind<'a> {
    let mut spec = anything();
    // The server drops an empty map, and two installations would then disagree.
    if defaults.as_object().is_some_and(|map| !map.is_empty()) {
        spec["properties"] = defaults.clone();
    }
    let mut status = anything();
    status["default"] = json!({ "observedGeneration": -1 });
    OpenKind {
        part_of: "flux",
        group: SOURCES,
        version: "v1",
        kind,
        plural,
        short,
        fields: json!({ "spec": spec, "status": status }),
        columns: &[
            ("Ready", ".status.conditions[?(@.type==\"Ready\")].status"),
            ("Status", ".status.conditions[?(@.type==\"Ready\")].message"),
        ],
        has_subresource: true,
    }
}
