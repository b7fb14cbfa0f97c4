//! The object in which Flux reports on a delivery: a HelmRelease or a Kustomization.

use harmony_core::kubernetes::{KubeObject, ObjectError, ObjectRef};
use serde_json::Value;

use super::kustomization::{self, Kustomization};
use super::release::{self, Release};
use super::report::{self, Progress};
use super::site::Site;
use crate::marks::flux::{
    HELM_LABELS, HELM_MANAGER, KUSTOMIZE_LABELS, KUSTOMIZE_MANAGER, OwnerLabels,
};

pub(super) enum Record<'a> {
    Release(Release<'a>),
    Kustomization(Kustomization<'a>),
}

impl<'a> Record<'a> {
    pub(super) fn site(&self) -> &Site<'a> {
        match self {
            Self::Release(release) => &release.site,
            Self::Kustomization(kustomization) => &kustomization.site,
        }
    }

    pub(super) fn reference(&self) -> ObjectRef {
        match self {
            Self::Release(release) => release.reference(),
            Self::Kustomization(kustomization) => kustomization.reference(),
        }
    }

    pub(super) fn source(&self) -> ObjectRef {
        match self {
            Self::Release(release) => release.source(),
            Self::Kustomization(kustomization) => kustomization.source(),
        }
    }

    /// Everything that Flux reads; with `run`, it begins at once.
    pub(super) fn objects(&self, run: Option<&str>) -> Result<Vec<KubeObject>, ObjectError> {
        match self {
            Self::Release(release) => release.objects(run),
            Self::Kustomization(kustomization) => kustomization.objects(run),
        }
    }

    /// The objects of the chart with the marks that Flux gives them.
    pub(super) fn marked(&self, objects: &[KubeObject]) -> Result<Vec<KubeObject>, ObjectError> {
        let reference = self.reference();
        let marked = objects.iter().map(|object| match self {
            Self::Release(_) => release::marked(object, &reference),
            Self::Kustomization(_) => kustomization::marked(object, &reference),
        });
        marked.collect()
    }

    /// The field manager of what Flux applies.
    pub(super) fn manager(&self) -> &'static str {
        match self {
            Self::Release(_) => HELM_MANAGER,
            Self::Kustomization(_) => KUSTOMIZE_MANAGER,
        }
    }

    /// The labels of what Flux applies.
    pub(super) fn labels(&self) -> &'static OwnerLabels {
        match self {
            Self::Release(_) => &HELM_LABELS,
            Self::Kustomization(_) => &KUSTOMIZE_LABELS,
        }
    }

    /// The annotation that makes Flux keep an object that is no longer in the chart.
    pub(super) fn keep(&self) -> (&'static str, &'static str) {
        match self {
            Self::Release(_) => release::KEEP,
            Self::Kustomization(_) => kustomization::KEEP,
        }
    }

    /// Whether the last delivery was this one, completely. `live` is the object in the cluster.
    pub(super) fn has_delivered(&self, live: &Value) -> bool {
        match self {
            Self::Release(release) => {
                report::has_released(live, &release.site.chart.version().to_string())
            }
            Self::Kustomization(own) => report::has_applied(live, own.digest.as_str()),
        }
    }

    /// The progress of a run, from the object and its source in the cluster.
    pub(super) fn progress(&self, live: &Value, source: &Value, run: &str) -> Progress {
        match self {
            Self::Release(release) => {
                let version = release.site.chart.version().to_string();
                report::of_release(live, source, run, &version)
            }
            Self::Kustomization(own) => {
                report::of_kustomization(live, source, run, own.digest.as_str())
            }
        }
    }
}
