//! `harmony-fleet why`: follows a deployment from its file to the containers on a device.

use std::fmt::Write;
use std::time::Duration;

use harmony_fleet_domain::desired::FleetDeployment;
use harmony_fleet_domain::progress::{InOneLine, Selection, Standing, Trace, Verdict};
use harmony_fleet_domain::{DeviceSummary, settings};
use harmony_reconciler_contracts::{
    ContainerName, ContentHash, DeploymentName, FailureReason, ObservedContainer,
    ObservedDeployment, Phase, ReconcileScore, Target, TenantId,
};
use serde::Serialize;

use crate::deployments::shown;
use crate::devices::{ago, presence_word};
use crate::status::{short, since};

/// The version of the JSON output; increases when a field is removed or changes its meaning.
const JSON_VERSION: u16 = 1;

/// The lines of the output of a container that are shown.
const LOG_LINES: usize = 5;

/// The width of the names of the links.
const WIDTH: usize = 10;

/// The screen for users. `now` is the time since 1970.
pub fn text(device: &DeviceSummary, traces: &[Trace<'_>], now: Duration) -> String {
    let mut text = String::new();
    let presence = presence_word(device.presence);
    let seen = ago(device.last_seen_ago);
    let labels = device.info.labels.to_string();
    let labels = if labels.is_empty() {
        "no labels"
    } else {
        &labels
    };
    line(
        &mut text,
        "device",
        &format!("{}, {presence}, last seen {seen}, {labels}", device.id),
    );
    if device.duplicate {
        let hint = format!(
            "two running agents use this id: give one of them another one ({})",
            settings::DEVICE_ID
        );
        line(&mut text, "", &hint);
    }
    if traces.is_empty() {
        text.push_str("\nNo deployment is for this device, and it has none.\n");
    }
    for trace in traces {
        text.push('\n');
        text.push_str(&section(trace, now));
    }
    text
}

fn section(trace: &Trace<'_>, now: Duration) -> String {
    let mut text = match trace.verdict.standing() {
        Standing::Running => format!("{} runs.\n", trace.name),
        Standing::NotMeant => format!("{}: {}.\n", trace.name, trace.verdict),
        _ => format!(
            "{} does not run as it should: {}.\n",
            trace.name, trace.verdict
        ),
    };
    match trace.intent {
        Some(deployment) => intent(&mut text, deployment),
        None => line(&mut text, "intent", "there is no such deployment"),
    }
    line(&mut text, "selection", &selection(trace));
    line(&mut text, "delivery", &delivery(trace));
    match trace.report {
        Some(report) => agent(&mut text, report, now),
        None => line(&mut text, "agent", "has reported nothing about it"),
    }
    text
}

fn line(text: &mut String, link: &str, words: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  {link:<WIDTH$} {words}");
}

fn intent(text: &mut String, deployment: &FleetDeployment) {
    let hash = short(Some(&deployment.content.hash));
    let target = shown(&deployment.target);
    line(text, "intent", &format!("content {hash} for {target}"));
    match &deployment.content.score {
        ReconcileScore::PodmanV0(podman) => {
            for (name, container) in &podman.containers {
                line(text, "", &format!("container {name}: {}", container.image));
            }
        }
        ReconcileScore::Unknown(unknown) => line(text, "", &unknown.to_string()),
    }
}

fn selection(trace: &Trace<'_>) -> String {
    let selected = match &trace.selection {
        Selection::Selected => "the deployment is for this device".to_owned(),
        Selection::NoTarget => "the target of the deployment means no device".to_owned(),
        Selection::NotNamed => "the target names other devices".to_owned(),
        Selection::Label {
            key,
            wanted,
            has: Some(has),
        } => format!("the target asks for {key}={wanted}, and the device has {key}={has}"),
        Selection::Label { key, wanted, .. } => {
            format!("the target asks for {key}={wanted}, and the device has no label {key}")
        }
        Selection::Deleted => "the deployment was deleted".to_owned(),
        Selection::Unknown => {
            "the deployment has disappeared without being deleted, so the device keeps it"
                .to_owned()
        }
    };
    match &trace.verdict {
        Verdict::Conflicting(_) => format!("{selected}, but {}", trace.verdict),
        _ => selected,
    }
}

fn delivery(trace: &Trace<'_>) -> String {
    let delivery = &trace.delivery;
    let Some(written) = delivery.written else {
        return "the operator has written nothing for this device: check that it runs".to_owned();
    };
    let content = match &delivery.content {
        Some(hash) => format!("with content {}", short(Some(hash))),
        None => "without this deployment".to_owned(),
    };
    let received = match delivery.received {
        Some(received) if received >= written => "which the device knows".to_owned(),
        Some(received) => format!("the device knows {received}"),
        None => "the device has never reported".to_owned(),
    };
    format!("generation {written} was written {content}, {received}")
}

fn agent(text: &mut String, report: &ObservedDeployment, now: Duration) {
    let running = match &report.running {
        Some(hash) => format!("runs content {}", short(Some(hash))),
        None => "runs nothing of it".to_owned(),
    };
    let phase = match report.phase {
        Phase::RolledBack => {
            "rolled back to the version before, and waits for another one".to_owned()
        }
        Phase::Failed => "gave up until something changes".to_owned(),
        Phase::Retrying => "tries again".to_owned(),
        other => other.to_string(),
    };
    let wanted = short(Some(&report.wanted));
    let since = since(report.since_ms, now);
    line(
        text,
        "agent",
        &format!("wants content {wanted}, {running}: {phase}, since {since} (clock of the device)"),
    );
    if let Some(cause) = &report.cause {
        line(text, "podman", &InOneLine(cause).to_string());
    }
    for (name, container) in &report.containers {
        let link = if report.cause.is_none() && Some(name) == report.containers.keys().next() {
            "podman"
        } else {
            ""
        };
        line(text, link, &container_line(name, container));
        let first = container.log.len().saturating_sub(LOG_LINES);
        for logged in &container.log[first..] {
            line(text, "", &format!("  | {logged}"));
        }
    }
}

fn container_line(name: &ContainerName, container: &ObservedContainer) -> String {
    let state = if container.running {
        "running"
    } else {
        "not running"
    };
    let mut words = format!("container {name}: {state}");
    if container.restarts > 0 {
        let _ = write!(words, ", {} restarts", container.restarts);
    }
    if let Some(code) = container.exit_code {
        let _ = write!(words, ", last exit code {code}");
    }
    words
}

/// The chain as JSON.
pub fn json(
    device: &DeviceSummary,
    traces: &[Trace<'_>],
    tenant: &TenantId,
) -> Result<String, serde_json::Error> {
    let document = JsonWhy {
        version: JSON_VERSION,
        tenant,
        device: device.id.as_str(),
        presence: presence_word(device.presence),
        deployments: traces.iter().map(json_trace).collect(),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn json_trace<'a>(trace: &Trace<'a>) -> JsonTrace<'a> {
    JsonTrace {
        deployment: trace.name,
        state: trace.verdict.word(),
        reason: trace.verdict.to_string(),
        cause: trace.report.and_then(|it| Some(it.cause.as_ref()?.reason)),
        wanted: trace.intent.map(|it| &it.content.hash),
        target: trace.intent.map(|it| &it.target),
        selection: selection(trace),
        selected: trace.selection == Selection::Selected,
        written: trace.delivery.written.map(|it| it.0),
        received: trace.delivery.received.map(|it| it.0),
        report: trace.report,
    }
}

#[derive(Serialize)]
struct JsonWhy<'a> {
    version: u16,
    tenant: &'a TenantId,
    device: &'a str,
    presence: &'static str,
    deployments: Vec<JsonTrace<'a>>,
}

#[derive(Serialize)]
struct JsonTrace<'a> {
    deployment: &'a DeploymentName,
    state: String,
    reason: String,
    cause: Option<FailureReason>,
    wanted: Option<&'a ContentHash>,
    target: Option<&'a Target>,
    selection: String,
    selected: bool,
    written: Option<u64>,
    received: Option<u64>,
    report: Option<&'a ObservedDeployment>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{NOW, snapshot};

    fn shown(device: &str) -> String {
        let snapshot = snapshot();
        let device = &snapshot.devices[&device.parse().unwrap()];
        let greeter = &snapshot.intent.deployments[&"greeter".parse().unwrap()];
        let hash = short(Some(&greeter.content.hash));
        text(device, &snapshot.traces_of_device(device), NOW).replace(&hash, "HASHHASH")
    }

    #[test]
    fn a_failure_is_followed_to_the_words_of_the_container() {
        let expected = "  device     pump-2, online, last seen 4 s ago, site=lyon

greeter does not run as it should: the container ends right after its start (container web): exit code 7.
  intent     content HASHHASH for site=lyon
             container web: registry.example.com/greeter@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
  selection  the deployment is for this device
  delivery   generation 1 was written with content HASHHASH, which the device knows
  agent      wants content HASHHASH, runs nothing of it: gave up until something changes, since 1 min ago (clock of the device)
  podman     the container ends right after its start (container web): exit code 7
             container web: not running, 3 restarts, last exit code 7
               | opening /data
               | cannot open /data
";
        assert_eq!(shown("pump-2"), expected);
    }

    #[test]
    fn the_chain_says_where_it_is_broken() {
        let offline = shown("pump-3");
        assert!(
            offline
                .contains("greeter does not run as it should: the device has not answered yet.\n"),
            "{offline}"
        );
        assert!(offline.contains("  delivery   generation 1 was written with content HASHHASH, the device has never reported\n"), "{offline}");
        assert!(
            offline.contains("  agent      has reported nothing about it\n"),
            "{offline}"
        );
        let conflict = shown("valve-1");
        let words = "  selection  the deployment is for this device, but the device stays as it is, because metrics wants port 9000/tcp, too\n";
        assert!(conflict.contains(words), "{conflict}");
        assert!(
            conflict.contains("  delivery   the operator has written nothing for this device"),
            "{conflict}"
        );

        let snapshot = snapshot();
        let name = "greeter".parse().unwrap();
        let valve = &snapshot.devices[&"valve-1".parse().unwrap()];
        let not_meant = text(valve, &[snapshot.trace(valve, &name)], NOW);
        assert!(
            not_meant.contains("greeter: the deployment is not for this device.\n"),
            "{not_meant}"
        );
        assert!(
            not_meant.contains(
                "  selection  the target asks for site=lyon, and the device has site=nice\n"
            ),
            "{not_meant}"
        );
    }

    #[test]
    fn json_has_a_version_and_the_report() {
        let snapshot = snapshot();
        let device = &snapshot.devices[&"pump-2".parse().unwrap()];
        let json = json(
            device,
            &snapshot.traces_of_device(device),
            &"acme".parse().unwrap(),
        )
        .unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["version"], 1);
        let greeter = &value["deployments"][0];
        assert_eq!(greeter["cause"], "crashed_at_start");
        assert_eq!(greeter["report"]["containers"]["web"]["exit_code"], 7);
        assert_eq!(
            (&greeter["written"], &greeter["received"]),
            (&1.into(), &1.into())
        );
    }
}
