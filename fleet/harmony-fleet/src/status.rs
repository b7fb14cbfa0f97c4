//! `harmony-fleet status`: where a deployment stands on each of its devices.

use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use harmony_fleet_domain::Unreadable;
use harmony_fleet_domain::progress::{Snapshot, Standing, Summary, Trace};
use harmony_reconciler_contracts::{ContentHash, DeploymentName, TenantId};
use harmony_types::printable;
use serde::Serialize;

use crate::connection::Fleet;
use crate::devices::{ago, presence_word};
use crate::table::table;
use crate::{CliError, snapshot};

/// The version of the JSON output; increases when a field is removed or changes its meaning.
const JSON_VERSION: u16 = 1;

/// The time between two looks with `--watch`; longer if a look takes long.
const PAUSE: Duration = Duration::from_millis(500);

/// The pause is at least this many times as long as a look, so that a large fleet is not only looked at.
const PAUSE_FACTOR: u32 = 4;

/// The digits of a hash that are shown.
const HASH_DIGITS: usize = 8;

/// How `status` ends.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub json: bool,
    /// Wait until all online devices run it, at most this long.
    pub watch: Option<Duration>,
}

/// Writes the status. With `--watch`, writes a line for each change, and the table at the end.
pub async fn status(
    fleet: &Fleet,
    name: &DeploymentName,
    options: Options,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> Result<(), CliError> {
    let started = Instant::now();
    let mut shown = String::new();
    let (snapshot, timed_out) = loop {
        let began = Instant::now();
        let (snapshot, _) = snapshot::load(fleet).await?;
        check_known(&snapshot, name)?;
        let traces = snapshot.traces(name);
        let Some(limit) = options.watch else {
            break (snapshot, false);
        };
        if !traces.iter().any(Trace::is_awaited) {
            break (snapshot, false);
        }
        if started.elapsed() >= limit {
            break (snapshot, true);
        }
        let line = headline(name, &traces);
        if line != shown {
            writeln!(notes, "{}", printable::line(&line)).map_err(CliError::Output)?;
            shown = line;
        }
        tokio::time::sleep(PAUSE.max(PAUSE_FACTOR * began.elapsed())).await;
    };
    let traces = snapshot.traces(name);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let text = if options.json {
        printable::json(&json(name, &traces, &fleet.tenant).map_err(CliError::Json)?)
    } else {
        printable::text(&text(name, &traces, now))
    };
    out.write_all(text.as_bytes()).map_err(CliError::Output)?;
    let summary = Summary::of(&traces);
    if summary.failing > 0 {
        return Err(CliError::Failing {
            name: name.clone(),
            failing: summary.failing,
            first: first_failing(&traces),
        });
    }
    if timed_out {
        return Err(CliError::NotYet {
            name: name.clone(),
            seconds: options.watch.unwrap_or_default().as_secs(),
        });
    }
    Ok(())
}

/// Refuses a deployment that neither exists nor is on a device.
pub fn check_known(snapshot: &Snapshot, name: &DeploymentName) -> Result<(), CliError> {
    if let Some(Unreadable::Newer { problem } | Unreadable::Damaged { problem }) =
        snapshot.intent.unreadable.get(name)
    {
        return Err(CliError::UnreadableDeployment {
            name: name.clone(),
            problem: problem.clone(),
        });
    }
    let told = snapshot.desired.values().map(|it| &it.deployments);
    let is_told = told.into_iter().any(|it| it.contains_key(name));
    let reported = snapshot
        .observed
        .values()
        .any(|it| it.deployments.contains_key(name));
    if snapshot.intent.deployments.contains_key(name) || is_told || reported {
        return Ok(());
    }
    Err(CliError::UnknownDeployment {
        name: name.clone(),
        known: snapshot.intent.deployments.keys().cloned().collect(),
    })
}

fn first_failing(traces: &[Trace<'_>]) -> Option<harmony_reconciler_contracts::DeviceId> {
    let mut failing = traces
        .iter()
        .filter(|it| it.verdict.standing() == Standing::Failing);
    failing.next().map(|trace| trace.device.id.clone())
}

/// The result in one sentence.
pub fn headline(name: &DeploymentName, traces: &[Trace<'_>]) -> String {
    let summary = Summary::of(traces);
    if summary.selected == 0 {
        return match traces.len() {
            0 => format!("{name} is for no registered device."),
            1 => format!("{name} is being removed from 1 device."),
            count => format!("{name} is being removed from {count} devices."),
        };
    }
    let selected = devices(summary.selected);
    let failing = match summary.failing {
        0 => String::new(),
        count => format!(", fails on {count}"),
    };
    let away = match summary.away {
        0 => String::new(),
        1 => ", and 1 is not online".to_owned(),
        count => format!(", and {count} are not online"),
    };
    format!(
        "{name} runs on {} of {selected}{failing}{away}.",
        summary.running
    )
}

fn devices(count: usize) -> String {
    match count {
        1 => "1 device".into(),
        count => format!("{count} devices"),
    }
}

/// The table for users. `now` is the time since 1970.
pub fn text(name: &DeploymentName, traces: &[Trace<'_>], now: Duration) -> String {
    let headline = headline(name, traces);
    if traces.is_empty() {
        return headline + "\n";
    }
    let header = [
        "DEVICE", "PRESENCE", "WANTED", "RUNNING", "STATE", "SINCE", "REASON",
    ];
    let rows = traces.iter().map(|trace| {
        [
            trace.device.id.to_string(),
            presence_word(trace.device.presence).to_owned(),
            short(trace.intent.map(|it| &it.content.hash)),
            short(trace.report.and_then(|it| it.running.as_ref())),
            trace.verdict.word(),
            trace
                .report
                .map_or("-".to_owned(), |it| since(it.since_ms, now)),
            match trace.verdict.standing() {
                Standing::Running => "-".to_owned(),
                _ => trace.verdict.to_string(),
            },
        ]
    });
    let rows: Vec<_> = std::iter::once(header.map(str::to_owned))
        .chain(rows)
        .collect();
    format!("{headline}\n{}", table(&rows))
}

/// The first digits of a hash.
pub fn short(hash: Option<&ContentHash>) -> String {
    hash.map_or("-".to_owned(), |hash| {
        hash.as_str()[..HASH_DIGITS].to_owned()
    })
}

/// How long ago a time on the clock of a device was.
pub fn since(ms: i64, now: Duration) -> String {
    let then = Duration::from_millis(u64::try_from(ms).unwrap_or_default());
    ago(Some(now.saturating_sub(then)))
}

/// The status as JSON.
pub fn json(
    name: &DeploymentName,
    traces: &[Trace<'_>],
    tenant: &TenantId,
) -> Result<String, serde_json::Error> {
    let summary = Summary::of(traces);
    let document = JsonStatus {
        version: JSON_VERSION,
        tenant,
        deployment: name,
        selected: summary.selected,
        running: summary.running,
        failing: summary.failing,
        away: summary.away,
        devices: traces.iter().map(json_device).collect(),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn json_device<'a>(trace: &Trace<'a>) -> JsonDevice<'a> {
    let report = trace.report;
    let cause = report.and_then(|it| it.cause.as_ref());
    JsonDevice {
        device: trace.device.id.as_str(),
        presence: presence_word(trace.device.presence),
        state: trace.verdict.word(),
        reason: trace.verdict.to_string(),
        cause: cause.map(|it| it.reason),
        wanted: trace.intent.map(|it| &it.content.hash),
        running: report.and_then(|it| it.running.as_ref()),
        generation: trace.delivery.written.map(|it| it.0),
        received: trace.delivery.received.map(|it| it.0),
        since_ms: report.map(|it| it.since_ms),
    }
}

#[derive(Serialize)]
struct JsonStatus<'a> {
    version: u16,
    tenant: &'a TenantId,
    deployment: &'a DeploymentName,
    selected: usize,
    running: usize,
    failing: usize,
    away: usize,
    devices: Vec<JsonDevice<'a>>,
}

#[derive(Serialize)]
struct JsonDevice<'a> {
    device: &'a str,
    presence: &'static str,
    state: String,
    reason: String,
    cause: Option<harmony_reconciler_contracts::FailureReason>,
    wanted: Option<&'a ContentHash>,
    running: Option<&'a ContentHash>,
    generation: Option<u64>,
    received: Option<u64>,
    since_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{NOW, snapshot};

    #[test]
    fn the_table_says_where_each_device_stands() {
        let (snapshot, name) = (snapshot(), "greeter".parse().unwrap());
        let traces = snapshot.traces(&name);
        let hash = short(traces[0].intent.map(|it| &it.content.hash));
        let expected = "\
greeter runs on 1 of 3 devices, fails on 1, and 1 is not online.
DEVICE  PRESENCE  WANTED    RUNNING   STATE    SINCE      REASON
pump-1  online    HASHHASH  HASHHASH  running  3 min ago  -
pump-2  online    HASHHASH  -         failed   1 min ago  the container ends right after its start (container web): exit code 7
pump-3  offline   HASHHASH  -         waiting  -          the device has not answered yet
";
        assert_eq!(
            text(&name, &traces, NOW).replace(&hash, "HASHHASH"),
            expected
        );
        let name = "logger".parse().unwrap();
        let shown = text(&name, &snapshot.traces(&name), NOW);
        let reason = "the device stays as it is, because metrics wants port 9000/tcp, too\n";
        assert!(
            shown.ends_with(reason) && shown.contains("  conflict  "),
            "{shown}"
        );
    }

    #[test]
    fn json_has_a_version_and_the_cause() {
        let (snapshot, name) = (snapshot(), "greeter".parse().unwrap());
        let json = json(&name, &snapshot.traces(&name), &"acme".parse().unwrap()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["version"], 1);
        assert_eq!(
            (&value["selected"], &value["running"]),
            (&3.into(), &1.into())
        );
        assert_eq!(value["devices"][1]["cause"], "crashed_at_start");
        assert_eq!(value["devices"][2]["state"], "waiting");
        assert_eq!(value["devices"][0]["generation"], 1);
    }

    #[test]
    fn an_unknown_deployment_is_told_with_those_that_are_near() {
        let error = check_known(&snapshot(), &"greetr".parse().unwrap()).unwrap_err();
        let text = error.render();
        assert!(
            text.contains("`greetr` does not exist\nhint: the deployments are `greeter`, "),
            "{text}"
        );
    }
}
