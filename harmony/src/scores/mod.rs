//! The reusable Scores: general things that many apps deploy. What belongs to one app lives in its own `*-deploy` crate.
//!
//! This folder is one of the few that may name `k8s_openapi` structs: a Score turns its data into typed objects, and
//! everything else composes Scores.

pub mod helm_chart;
pub mod http_server;
pub mod k8s_resource;
pub mod nats;
pub mod pull_secret;

pub use helm_chart::HelmChartScore;
pub use http_server::{HttpServer, HttpServerScore};
pub use k8s_resource::K8sResourceScore;
pub use nats::NatsScore;
pub use pull_secret::PullSecretScore;
