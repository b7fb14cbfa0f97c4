//! Reusable Scores for many apps. Scores for a single app belong in its `*-deploy` crate.
//!
//! This directory is one of the few places that may use `k8s_openapi` structs: Scores convert their data to typed
//! objects, and all other code composes Scores.

pub mod argocd;
mod confined;
mod controllers;
pub mod flux;
pub mod helm_chart;
pub mod http_server;
pub mod k8s_resource;
pub mod monitoring;
pub mod nats;
pub mod pull_secret;
pub mod registry_login;
pub mod storage;

pub use argocd::ArgoCdScore;
pub use flux::FluxScore;
pub use helm_chart::{ChartsLock, HelmChartError, HelmChartScore, HelmSource, LockedChart};
pub use http_server::{HttpServer, HttpServerScore};
pub use k8s_resource::K8sResourceScore;
pub use monitoring::MonitoringScore;
pub use nats::NatsScore;
pub use pull_secret::PullSecretScore;
pub use registry_login::RegistryLoginScore;
