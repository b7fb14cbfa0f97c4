//! The imports for an app's binary: `use harmony::prelude::*;`.

pub use std::process::ExitCode;

pub use harmony_core::chart::DeployTarget;
pub use harmony_core::on_cluster::OnCluster;
pub use harmony_core::verify::{Checks, SmokeCheck};
pub use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology, scores};
pub use harmony_release::{
    AppSpec, Artifacts, DeployScore, ReleaseScore, Released, VersionChoice, WorkTree,
};

pub use crate::program::{App, Platform, Program, Site};
pub use crate::rust_app::RustApp;
pub use crate::scores::monitoring::{AlertRule, Severity, WebhookReceiver};
pub use crate::scores::{HelmChartScore, HttpServer, MonitoringScore};
pub use crate::topologies::{CiTopology, K8sAnywhereTopology, ProductionTopology};
