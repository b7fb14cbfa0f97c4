//! `harmony-fleet ping`: pings a device and measures the response time.

use std::io::Write;
use std::time::Duration;

use harmony_fleet_domain::{CommandFailure, DeviceCommander, DeviceDirectory, Pong};
use harmony_reconciler_contracts::DeviceId;

use crate::CliError;

/// The time between two pings.
const PAUSE: Duration = Duration::from_secs(1);

/// Pings a device `count` times and writes a line for each answer.
///
/// Missing answers do not end the series, but make it fail at the end. If nobody answers the first ping, the error
/// explains why: the device is unknown, or when it was last seen.
pub async fn ping(
    device: &DeviceId,
    count: u32,
    commander: &impl DeviceCommander,
    directory: &impl DeviceDirectory,
    out: &mut impl Write,
) -> Result<(), CliError> {
    let mut times = Vec::new();
    for sequence in 1..=count {
        if sequence > 1 {
            tokio::time::sleep(PAUSE).await;
        }
        match commander.ping(device, sequence).await {
            Ok(pong) => {
                times.push(pong.round_trip);
                let line = answer_line(device, &pong);
                writeln!(out, "{}", harmony_types::printable::line(&line))
                    .map_err(CliError::Output)?;
            }
            Err(failure) if is_silence(&failure) => {
                if times.is_empty() {
                    return Err(explain(device, failure, directory).await);
                }
                writeln!(
                    out,
                    "{}",
                    harmony_types::printable::line(&failure.to_string())
                )
                .map_err(CliError::Output)?;
            }
            Err(failure) => return Err(failure.into()),
        }
        out.flush().map_err(CliError::Output)?;
    }
    if count > 1 {
        writeln!(out, "{}", summary(count, &times)).map_err(CliError::Output)?;
    }
    let answered = u32::try_from(times.len()).unwrap_or(count);
    if answered < count {
        return Err(CliError::SomeSilent {
            device: device.clone(),
            missing: count - answered,
            count,
        });
    }
    Ok(())
}

fn is_silence(failure: &CommandFailure) -> bool {
    matches!(
        failure,
        CommandFailure::NotConnected { .. } | CommandFailure::NoAnswer { .. }
    )
}

/// Asks the operator about a device that did not answer.
async fn explain(
    device: &DeviceId,
    failure: CommandFailure,
    directory: &impl DeviceDirectory,
) -> CliError {
    let Ok(listing) = directory.devices().await else {
        return failure.into();
    };
    match listing.devices.iter().find(|known| known.id == *device) {
        Some(known) => CliError::NotAnswering {
            device: device.clone(),
            presence: known.presence,
            last_seen_ago: known.last_seen_ago,
            source: failure,
        },
        None => CliError::UnknownDevice {
            device: device.clone(),
            known: listing.devices.into_iter().map(|known| known.id).collect(),
        },
    }
}

fn answer_line(device: &DeviceId, pong: &Pong) -> String {
    format!(
        "{device} answered in {} (agent {})",
        milliseconds(pong.round_trip),
        pong.agent_version
    )
}

fn summary(count: u32, times: &[Duration]) -> String {
    let answered = u32::try_from(times.len()).unwrap_or(count);
    let (Some(fastest), Some(slowest)) = (times.iter().min(), times.iter().max()) else {
        return format!("0 of {count} answered");
    };
    let average = times.iter().sum::<Duration>() / answered;
    format!(
        "{answered} of {count} answered: fastest {}, average {}, slowest {}",
        milliseconds(*fastest),
        milliseconds(average),
        milliseconds(*slowest)
    )
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_summed_up() {
        let ms = Duration::from_micros;
        assert_eq!(
            summary(4, &[ms(1000), ms(3000), ms(2500)]),
            "3 of 4 answered: fastest 1.0 ms, average 2.2 ms, slowest 3.0 ms"
        );
        assert_eq!(summary(2, &[]), "0 of 2 answered");
    }
}
