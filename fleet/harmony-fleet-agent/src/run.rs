//! The steps of the agent.

use std::process::ExitCode;
use std::time::Duration;

use harmony_fleet_adapters_nats::{
    CommandServer, NatsConnectError, NatsConnection, NatsWorkloadLink,
};
use harmony_fleet_adapters_podman::Podman;
use harmony_fleet_daemon::{SignalError, cancelled_by_signal, printable};
use harmony_fleet_domain::{ContainerRuntime, ContainerSigns, ErrorChain};
use harmony_reconciler_contracts::BootId;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::args::{Args, ArgsError, Settings, Verb};
use crate::commands;
use crate::session::{RETRY, Session};
use crate::state::{StateError, StateFolder};
use crate::status::{self, Status, StatusError};
use crate::workload::delivery;
use crate::workload::reconciler::{Observed, Reconciler};
use crate::workload::store::{Disk, Folder, Store};

/// The time limit for the goodbye message.
const FAREWELL: Duration = Duration::from_secs(2);

/// How many desired states can wait for the reconciler.
const STATES: usize = 4;

/// Implements the program: runs the agent until SIGTERM or SIGINT, or shows its status.
pub async fn main_with(args: Args) -> Result<ExitCode, AgentError> {
    match args.verb {
        Some(Verb::Status) => Ok(print_status(&args).await),
        None => {
            let settings = args.resolve()?;
            run(&settings, cancelled_by_signal()?).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs the agent until `stop` is cancelled. Returns early only if it cannot start.
pub async fn run(settings: &Settings, stop: CancellationToken) -> Result<(), AgentError> {
    let podman = Podman::new(settings.podman.clone());
    let disk = Folder(settings.state_dir.clone());
    run_on(settings, &podman, disk, stop).await
}

/// Does the same as [`run()`] with these containers, and with this disk for the memory of the workloads. Both can be
/// simulated.
pub async fn run_on(
    settings: &Settings,
    runtime: &(impl ContainerRuntime + ContainerSigns),
    disk: impl Disk,
    stop: CancellationToken,
) -> Result<(), AgentError> {
    let state = StateFolder::open(&settings.state_dir)?;
    let listener = status::listen(&state.socket())?;
    let memory = state.recall(&settings.device);
    let boot = BootId::from_random(fastrand::u64(..));
    let status = Status::new(settings.device.clone(), settings.interval);
    let connection = NatsConnection::connect_in_background(&settings.nats).await?;
    tracing::info!(
        tenant = %settings.tenant, device = %settings.device, %boot, nats = connection.servers(),
        version = %settings.info.agent_version, "starting the agent"
    );

    let register_again = Notify::new();
    let server = CommandServer::new(
        connection.clone(),
        &settings.tenant,
        &settings.device,
        boot.clone(),
    );
    let link = NatsWorkloadLink::new(connection.clone(), &settings.tenant, &settings.device);
    let (store, remembered) = Store::open(disk, &settings.device);
    let (tell, observed) = watch::channel(Observed::default());
    let (states, desired) = mpsc::channel(STATES);
    let reconciler = Reconciler::new(runtime, store, remembered, tell, now_ms);
    let report_again = Notify::new();
    let again = [&register_again, &report_again];
    let mut session = Session::new(
        &link,
        &state,
        &status,
        memory,
        boot.clone(),
        settings.interval,
        settings.info.clone(),
    );
    tokio::select! {
        () = status::serve(listener, &status) => {}
        () = commands::serve(&server, &settings.info.agent_version, &again, RETRY) => {}
        () = session.keep_going(&register_again) => {}
        () = reconciler.run(desired) => {}
        () = delivery::keep_receiving(&link, &states) => {}
        () = delivery::keep_reporting(&link, &boot, observed, &report_again) => {}
        () = stop.cancelled() => {}
    }
    // An agent must stop quickly, even if the network is failing.
    let _ = tokio::time::timeout(FAREWELL, session.say_goodbye()).await;
    tracing::info!(device = %settings.device, "the agent has stopped");
    Ok(())
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[expect(clippy::print_stdout, reason = "this is the command's answer")]
async fn print_status(args: &Args) -> ExitCode {
    match status::ask(&args.state_dir).await {
        Ok(report) => {
            println!("{}", printable::line(&report.to_string()));
            if report.ready {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            println!("{}", printable::line(&ErrorChain(&error).to_string()));
            ExitCode::FAILURE
        }
    }
}

/// The reason why the agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Settings(#[from] ArgsError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Status(#[from] StatusError),
    #[error("the NATS settings are not valid")]
    Nats(#[from] NatsConnectError),
    #[error(transparent)]
    Signals(#[from] SignalError),
}
