//! The operator's program: settings, logs, signals; all else is in the library.

use anyhow::Context;
use clap::Parser;
use harmony_fleet_adapters_kube::KubeFleetReflector;
use harmony_fleet_daemon::cancelled_by_signal;
use harmony_fleet_operator::{Args, run};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Before anything opens a connection: NATS and Kubernetes share one TLS implementation.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let settings = Args::parse().resolve()?;
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,async_nats=warn".into());
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .init();
    let namespace = settings.namespace.as_deref();
    let reflector = KubeFleetReflector::infer(namespace, settings.tenant.clone())
        .await
        .context("the operator shows devices in Kubernetes")?;
    Ok(run(&settings, &reflector, cancelled_by_signal()?).await?)
}
