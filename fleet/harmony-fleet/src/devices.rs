//! `harmony-fleet devices`: lists the devices.

use std::collections::BTreeMap;
use std::time::Duration;

use harmony_fleet_domain::{DeviceSummary, FleetListing, Presence, settings};
use harmony_reconciler_contracts::TenantId;
use serde::Serialize;

use crate::table;

/// The version of the JSON output; increases when a field is removed or changes its meaning.
const JSON_VERSION: u16 = 1;

/// The table for users, or a hint if there are no devices.
pub fn table(listing: &FleetListing, tenant: &TenantId) -> String {
    if listing.devices.is_empty() {
        return format!(
            "No device has registered yet for tenant `{tenant}`.\n\
             Start the agent (harmony-fleet-agent) on a device; it appears here within seconds.\n"
        );
    }
    let header = ["DEVICE", "PRESENCE", "LAST-SEEN", "AGENT", "LABELS"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header)
        .chain(listing.devices.iter().map(row))
        .collect();
    table::table(&rows)
}

/// Warnings for users, one line each.
pub fn warnings(listing: &FleetListing) -> Vec<String> {
    let duplicates = listing.devices.iter().filter(|device| device.duplicate).map(|device| {
        format!(
            "two running agents use the name `{}`: give one of the two devices another name ({})",
            device.id,
            settings::DEVICE_ID
        )
    });
    listing.warnings.iter().cloned().chain(duplicates).collect()
}

/// The list as JSON.
pub fn json(listing: &FleetListing, tenant: &TenantId) -> Result<String, serde_json::Error> {
    let devices = listing.devices.iter().map(|device| JsonDevice {
        device: device.id.as_str(),
        presence: presence_word(device.presence),
        last_seen_ms_ago: device
            .last_seen_ago
            .map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
        duplicate: device.duplicate,
        agent_version: device.info.agent_version.as_str(),
        os: device.info.os.as_str(),
        arch: device.info.arch.as_str(),
        hostname: device.info.hostname.as_str(),
        labels: device.info.labels.iter().collect(),
    });
    let list = JsonList {
        version: JSON_VERSION,
        tenant: tenant.as_str(),
        devices: devices.collect(),
        warnings: &listing.warnings,
    };
    Ok(serde_json::to_string_pretty(&list)? + "\n")
}

/// Formats an age in its largest unit.
pub fn ago(age: Option<Duration>) -> String {
    let Some(age) = age else {
        return "-".to_owned();
    };
    let seconds = age.as_secs();
    let (amount, unit) = match seconds {
        0..60 => (seconds, "s"),
        60..3600 => (seconds / 60, "min"),
        3600..86_400 => (seconds / 3600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    format!("{amount} {unit} ago")
}

/// The presence as a word; "unknown" if the operator has not heard the device since it started.
pub fn presence_word(presence: Option<Presence>) -> &'static str {
    match presence {
        Some(Presence::Online) => "online",
        Some(Presence::Stale) => "stale",
        Some(Presence::Offline) => "offline",
        None => "unknown",
    }
}

fn row(device: &DeviceSummary) -> [String; 5] {
    let mark = if device.duplicate { " (duplicate)" } else { "" };
    let or_dash = |text: String| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text
        }
    };
    [
        device.id.to_string(),
        format!("{}{mark}", presence_word(device.presence)),
        ago(device.last_seen_ago),
        or_dash(device.info.agent_version.to_string()),
        or_dash(device.info.labels.to_string()),
    ]
}

#[derive(Serialize)]
struct JsonList<'a> {
    version: u16,
    tenant: &'a str,
    devices: Vec<JsonDevice<'a>>,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct JsonDevice<'a> {
    device: &'a str,
    presence: &'static str,
    last_seen_ms_ago: Option<u64>,
    duplicate: bool,
    agent_version: &'a str,
    os: &'a str,
    arch: &'a str,
    hostname: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use harmony_reconciler_contracts::DeviceInfo;

    fn tenant() -> TenantId {
        "acme".parse().unwrap()
    }

    fn listing() -> FleetListing {
        let device = |name: &str, presence, seconds: Option<u64>, labels: &str| DeviceSummary {
            id: name.parse().unwrap(),
            presence,
            last_seen_ago: seconds.map(Duration::from_secs),
            duplicate: false,
            info: DeviceInfo {
                agent_version: "0.1.0".into(),
                labels: labels.parse().unwrap(),
                ..DeviceInfo::default()
            },
        };
        let mut clone = device(
            "valve-12",
            Some(Presence::Offline),
            Some(7300),
            "line=3,site=lyon",
        );
        clone.duplicate = true;
        FleetListing {
            devices: vec![
                device("pump-1", Some(Presence::Online), Some(4), ""),
                device("sensor", None, None, ""),
                clone,
            ],
            warnings: vec!["mind the gap".into()],
        }
    }

    #[test]
    fn the_table_lines_up() {
        let expected = "\
DEVICE    PRESENCE             LAST-SEEN  AGENT  LABELS
pump-1    online               4 s ago    0.1.0  -
sensor    unknown              -          0.1.0  -
valve-12  offline (duplicate)  2 h ago    0.1.0  line=3,site=lyon
";
        assert_eq!(table(&listing(), &tenant()), expected);
        let warnings = warnings(&listing());
        assert_eq!(warnings[0], "mind the gap");
        assert!(warnings[1].contains("`valve-12`"));
    }

    #[test]
    fn an_empty_fleet_says_what_to_do() {
        let text = table(&FleetListing::default(), &tenant());
        assert!(
            text.contains("acme") && text.contains("harmony-fleet-agent"),
            "{text}"
        );
    }

    #[test]
    fn ages_use_the_largest_unit() {
        for (seconds, text) in [
            (0, "0 s ago"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (3599, "59 min ago"),
            (3600, "1 h ago"),
            (86_400, "1 d ago"),
            (1_000_000, "11 d ago"),
        ] {
            assert_eq!(ago(Some(Duration::from_secs(seconds))), text);
        }
        assert_eq!(ago(None), "-");
    }

    #[test]
    fn json_has_a_version_and_all_devices() {
        let value: serde_json::Value =
            serde_json::from_str(&json(&listing(), &tenant()).unwrap()).unwrap();
        assert_eq!(value["version"], 1);
        assert_eq!(value["tenant"], "acme");
        assert_eq!(value["devices"].as_array().unwrap().len(), 3);
        assert_eq!(value["devices"][0]["last_seen_ms_ago"], 4000);
        assert_eq!(value["devices"][1]["presence"], "unknown");
        assert_eq!(value["devices"][2]["labels"]["site"], "lyon");
        assert_eq!(value["warnings"][0], "mind the gap");
    }
}
