//! Executes the command line.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::CommandFactory;
use harmony_fleet_domain::{DesiredStatePublisher, DeviceDirectory};
use harmony_reconciler_contracts::{DeploymentName, TenantId};
use harmony_types::printable;

use crate::{
    Cli, CliError, ExitStatus, Verb, apply, deployments, devices, ping, snapshot, status, why,
};

/// Implements the program: executes a command line, writes results to stdout, and errors and warnings to stderr.
pub async fn main_with(cli: Cli) -> ExitCode {
    #[cfg(feature = "release")]
    if cli.release.release.release {
        return release(cli.release).await;
    }
    let (mut out, mut notes) = (io::stdout(), io::stderr());
    let status = match run(cli, &mut out, &mut notes).await {
        Ok(()) => ExitStatus::Done,
        // The reader of the output, for example `head`, has closed it.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitStatus::Done
        }
        Err(error) => {
            // Without stderr, there is no way to report an error.
            let _ = notes.write_all(printable::text(&error.render()).as_bytes());
            error.exit_status()
        }
    };
    ExitCode::from(status as u8)
}

#[cfg(feature = "release")]
async fn release(args: harmony_fleet_deploy::ReleaseCommand) -> ExitCode {
    match harmony_fleet_deploy::release::release(args).await {
        Ok(code) => code,
        Err(error) => {
            // Without stderr, there is no way to report an error.
            let shown = printable::text(&error.to_string());
            let _ = writeln!(io::stderr(), "error: {shown}");
            ExitCode::FAILURE
        }
    }
}

/// Executes a command line. Results are written to `out` and warnings to `notes`.
pub async fn run(cli: Cli, out: &mut impl Write, notes: &mut impl Write) -> Result<(), CliError> {
    match cli.verb {
        Some(Verb::Devices { json }) => {
            let fleet = cli.connection.connect().await?;
            let listing = fleet.directory.devices().await?;
            let text = if json {
                printable::json(&devices::json(&listing, &fleet.tenant).map_err(CliError::Json)?)
            } else {
                printable::text(&devices::table(&listing, &fleet.tenant))
            };
            out.write_all(text.as_bytes()).map_err(CliError::Output)?;
            warn(devices::warnings(&listing), notes)
        }
        Some(Verb::Ping { device, count }) => {
            let fleet = cli.connection.connect().await?;
            ping::ping(&device, count, &fleet.commander, &fleet.directory, out).await
        }
        Some(Verb::Apply { file, json }) => {
            let deployments = apply::read_file(&file)?;
            let fleet = cli.connection.connect().await?;
            let results = apply::apply(&deployments, &fleet.deployments).await?;
            show_applied(&results, &fleet.tenant, json, out)
        }
        Some(Verb::Delete { name, json }) => {
            let fleet = cli.connection.connect().await?;
            let desired = fleet.desired.load().await?;
            let told = desired.values().filter_map(|it| it.value.as_ref().ok());
            let devices_have_it = told
                .into_iter()
                .any(|it| it.deployments.contains_key(&name));
            let result = apply::delete(&name, &fleet.deployments, devices_have_it).await?;
            show_applied(&[result], &fleet.tenant, json, out)
        }
        Some(Verb::Deployments { json }) => {
            let fleet = cli.connection.connect().await?;
            let (snapshot, _) = snapshot::load(&fleet).await?;
            let text = if json {
                printable::json(
                    &deployments::json(&snapshot, &fleet.tenant).map_err(CliError::Json)?,
                )
            } else {
                printable::text(&deployments::text(&snapshot, &fleet.tenant))
            };
            out.write_all(text.as_bytes()).map_err(CliError::Output)?;
            warn(deployments::warnings(&snapshot), notes)
        }
        Some(Verb::Status {
            deployment,
            watch,
            timeout,
            json,
        }) => {
            let fleet = cli.connection.connect().await?;
            let watch = watch.then(|| Duration::from_secs(timeout));
            let options = status::Options { json, watch };
            status::status(&fleet, &deployment, options, out, notes).await
        }
        Some(Verb::Why {
            device,
            deployment,
            json,
        }) => {
            let fleet = cli.connection.connect().await?;
            let (snapshot, _) = snapshot::load_device(&fleet, &device).await?;
            let known = &snapshot.devices[&device];
            let traces = match &deployment {
                Some(name) => {
                    status::check_known(&snapshot, name)?;
                    vec![snapshot.trace(known, name)]
                }
                None => snapshot.traces_of_device(known),
            };
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let text = if json {
                printable::json(&why::json(known, &traces, &fleet.tenant).map_err(CliError::Json)?)
            } else {
                printable::text(&why::text(known, &traces, now))
            };
            out.write_all(text.as_bytes()).map_err(CliError::Output)
        }
        Some(Verb::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "harmony-fleet", &mut script);
            out.write_all(&script).map_err(CliError::Output)
        }
        None => {
            let help = Cli::command().render_help();
            write!(out, "{help}").map_err(CliError::Output)
        }
    }
}

fn show_applied(
    results: &[(DeploymentName, apply::Applied)],
    tenant: &TenantId,
    json: bool,
    out: &mut impl Write,
) -> Result<(), CliError> {
    let text = if json {
        printable::json(&apply::json(results, tenant).map_err(CliError::Json)?)
    } else {
        apply::text(results)
    };
    out.write_all(text.as_bytes()).map_err(CliError::Output)
}

fn warn(warnings: Vec<String>, notes: &mut impl Write) -> Result<(), CliError> {
    for warning in warnings {
        writeln!(notes, "warning: {}", printable::line(&warning)).map_err(CliError::Output)?;
    }
    Ok(())
}
