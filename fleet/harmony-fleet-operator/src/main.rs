//! The main function of the operator: settings, logs, signals; everything else is in the library.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use harmony_fleet_adapters_kube::KubeFleetReflector;
use harmony_fleet_daemon::{LogFormat, cancelled_by_signal, exit_code, init_logs};
use harmony_fleet_operator::{Args, run};

#[tokio::main]
async fn main() -> ExitCode {
    // Before the first connection: NATS and Kubernetes share a TLS implementation.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    init_logs(LogFormat::Json);
    exit_code(serve(Args::parse()).await)
}

async fn serve(args: Args) -> anyhow::Result<ExitCode> {
    let settings = args.resolve()?;
    let namespace = settings.namespace.as_deref();
    let reflector = KubeFleetReflector::infer(namespace, settings.tenant.clone())
        .await
        .context("the operator writes devices to Kubernetes")?;
    run(&settings, &reflector, cancelled_by_signal()?).await?;
    Ok(ExitCode::SUCCESS)
}
