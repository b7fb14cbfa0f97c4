//! Which receiver gets which alert: one tree of routes, written for Alertmanager and for prometheus-operator.

use serde_json::{Value, json};

use super::{MonitoringScore, duration};

/// The label of a test alert; its value is the name of the receiver.
pub(super) const TEST_LABEL: &str = "harmony_test";

/// The name of the receiver that does nothing, for alerts that no route matches.
pub(super) const NOBODY: &str = "nobody";

/// The names of the fields, which differ between the two formats.
struct Fields {
    group_by: &'static str,
    group_wait: &'static str,
    group_interval: &'static str,
    repeat_interval: &'static str,
    /// `webhook_configs` or `webhookConfigs`.
    configs: &'static str,
    matcher: fn(&str) -> Value,
}

const ALERTMANAGER: Fields = Fields {
    group_by: "group_by",
    group_wait: "group_wait",
    group_interval: "group_interval",
    repeat_interval: "repeat_interval",
    configs: "_configs",
    matcher: |receiver| format!("{TEST_LABEL}=\"{receiver}\"").into(),
};

const OPERATOR: Fields = Fields {
    group_by: "groupBy",
    group_wait: "groupWait",
    group_interval: "groupInterval",
    repeat_interval: "repeatInterval",
    configs: "Configs",
    matcher: |receiver| json!({ "name": TEST_LABEL, "value": receiver, "matchType": "=" }),
};

/// The sections `route` and `receivers` of Alertmanager's configuration, with these elements for the receivers.
pub(super) fn for_alertmanager(score: &MonitoringScore, elements: &[Value]) -> Value {
    write(score, elements, &ALERTMANAGER)
}

/// The fields `route` and `receivers` of an `AlertmanagerConfig`.
pub(super) fn for_operator(score: &MonitoringScore) -> Value {
    let receivers = score.receivers.iter();
    let elements: Vec<_> = receivers
        .map(|receiver| receiver.alertmanager_config())
        .collect();
    write(score, &elements, &OPERATOR)
}

fn write(score: &MonitoringScore, elements: &[Value], fields: &Fields) -> Value {
    let mut receivers = vec![json!({ "name": NOBODY })];
    let (mut tests, mut routes) = (Vec::new(), Vec::new());
    for (receiver, element) in score.receivers.iter().zip(elements) {
        let name = receiver.name().as_str();
        let configs = format!("{}{}", receiver.integration(), fields.configs);
        receivers.push(json!({ "name": name, configs: [element] }));
        // A test alert goes to one receiver, at once, and is a group of its own.
        tests.push(json!({
            "receiver": name,
            "matchers": [(fields.matcher)(name)],
            fields.group_by: ["..."],
            fields.group_wait: "0s",
            fields.group_interval: "1s",
        }));
        routes.push(json!({ "receiver": name, "continue": true }));
    }
    tests.append(&mut routes);
    json!({
        "route": {
            "receiver": NOBODY,
            fields.group_by: ["alertname", "job"],
            fields.group_wait: duration(score.timing.group_wait),
            fields.group_interval: duration(score.timing.group_interval),
            fields.repeat_interval: duration(score.timing.repeat),
            "routes": tests,
        },
        "receivers": receivers,
    })
}
