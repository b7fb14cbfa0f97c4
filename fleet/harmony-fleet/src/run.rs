//! Executes the command line.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory;
use harmony_fleet_domain::DeviceDirectory;
use harmony_types::printable;

use crate::{Cli, CliError, ExitStatus, Verb, devices, ping};

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
            for warning in devices::warnings(&listing) {
                writeln!(notes, "warning: {}", printable::line(&warning))
                    .map_err(CliError::Output)?;
            }
            Ok(())
        }
        Some(Verb::Ping { device, count }) => {
            let fleet = cli.connection.connect().await?;
            ping::ping(&device, count, &fleet.commander, &fleet.directory, out).await
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
