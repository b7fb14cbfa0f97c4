//! The steps of the agent.

use std::process::ExitCode;
use std::time::Duration;

use harmony_fleet_adapters_nats::{CommandServer, NatsAgentLink, NatsConnectError, NatsConnection};
use harmony_fleet_daemon::{SignalError, cancelled_by_signal, printable};
use harmony_fleet_domain::ErrorChain;
use harmony_reconciler_contracts::BootId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::args::{Args, ArgsError, Settings, Verb};
use crate::commands;
use crate::session::{RETRY, Session};
use crate::state::{StateError, StateFolder};
use crate::status::{self, Status, StatusError};

/// Longest farewell.
const FAREWELL: Duration = Duration::from_secs(2);

/// The whole program: runs the agent until SIGTERM or SIGINT, or answers for its status.
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

/// Runs the agent until `stop` is cancelled. Ends early only when it cannot even begin.
pub async fn run(settings: &Settings, stop: CancellationToken) -> Result<(), AgentError> {
    let state = StateFolder::open(&settings.state_dir)?;
    let listener = status::listen(&state.socket())?;
    let memory = state.recall(&settings.device);
    let boot = BootId::from_random(fastrand::u64(..));
    let status = Status::new(settings.device.clone(), settings.interval);
    let connection = NatsConnection::connect_in_background(&settings.nats).await?;
    tracing::info!(
        tenant = %settings.tenant, device = %settings.device, %boot, nats = connection.servers(),
        version = %settings.info.agent_version, "the agent starts"
    );

    let register_again = Notify::new();
    let server = CommandServer::new(
        connection.clone(),
        &settings.tenant,
        &settings.device,
        boot.clone(),
    );
    let link = NatsAgentLink::new(connection.clone(), &settings.tenant, &settings.device);
    let mut session = Session::new(
        &link,
        &state,
        &status,
        memory,
        boot,
        settings.interval,
        settings.info.clone(),
    );
    tokio::select! {
        () = status::serve(listener, &status) => {}
        () = commands::serve(&server, &settings.info.agent_version, &register_again, RETRY) => {}
        () = session.keep_going(&register_again) => {}
        () = stop.cancelled() => {}
    }
    // Also when the network is half dead: nobody waits long for an agent to stop.
    let _ = tokio::time::timeout(FAREWELL, session.say_goodbye()).await;
    tracing::info!(device = %settings.device, "the agent stops");
    Ok(())
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

/// Why the agent cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] ArgsError),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The status cannot be answered.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// The NATS settings cannot be used.
    #[error("the NATS settings cannot be used")]
    Nats(#[from] NatsConnectError),
    /// The system does not deliver signals.
    #[error(transparent)]
    Signals(#[from] SignalError),
}
