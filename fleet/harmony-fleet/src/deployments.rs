//! `harmony-fleet deployments`: lists the deployments.

use harmony_fleet_domain::progress::{Snapshot, Summary};
use harmony_reconciler_contracts::{DeploymentName, Target, TenantId};
use serde::Serialize;

use crate::table::table;

/// The version of the JSON output; increases when a field is removed or changes its meaning.
const JSON_VERSION: u16 = 1;

/// The table for users, or a hint if there are no deployments.
pub fn text(snapshot: &Snapshot, tenant: &TenantId) -> String {
    if snapshot.intent.deployments.is_empty() {
        return format!(
            "There is no deployment for tenant `{tenant}`.\n\
             Write one to a file and run `harmony-fleet apply FILE`; docs/guides/devices.md shows how.\n"
        );
    }
    let header = ["DEPLOYMENT", "TARGET", "DEVICES", "RUNNING", "FAILING"].map(str::to_owned);
    let rows = rows(snapshot).into_iter().map(|(name, target, summary)| {
        [
            name.to_string(),
            shown(target),
            summary.selected.to_string(),
            summary.running.to_string(),
            summary.failing.to_string(),
        ]
    });
    table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// The list as JSON.
pub fn json(snapshot: &Snapshot, tenant: &TenantId) -> Result<String, serde_json::Error> {
    let rows = rows(snapshot);
    let deployments = rows.iter().map(|(name, target, summary)| JsonDeployment {
        name,
        target,
        devices: summary.selected,
        running: summary.running,
        failing: summary.failing,
        away: summary.away,
    });
    let document = JsonList {
        version: JSON_VERSION,
        tenant,
        deployments: deployments.collect(),
        unreadable: snapshot.intent.unreadable.keys().collect(),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Warnings for users, one line each.
pub fn warnings(snapshot: &Snapshot) -> Vec<String> {
    let unreadable = snapshot.intent.unreadable.iter();
    let unreadable = unreadable.map(|(name, problem)| {
        format!(
            "deployment `{name}` cannot be read, and devices keep what they have of it: {problem}"
        )
    });
    let told = snapshot
        .desired
        .values()
        .flat_map(|it| it.deployments.keys());
    let lost = told.filter(|name| {
        snapshot.intent.is_lost(name) && !snapshot.intent.unreadable.contains_key(*name)
    });
    let lost: std::collections::BTreeSet<_> = lost.collect();
    let lost = lost.into_iter().map(|name| {
        format!("deployment `{name}` has disappeared without being deleted, and devices keep it: apply it again, or delete it")
    });
    unreadable.chain(lost).collect()
}

/// A target in words, as in the file.
pub fn shown(target: &Target) -> String {
    if target.all {
        return "all".into();
    }
    let devices = target.devices.iter().map(ToString::to_string);
    let labels = (!target.labels.is_empty()).then(|| target.labels.to_string());
    let parts: Vec<_> = devices.chain(labels).collect();
    if parts.is_empty() {
        "none".into()
    } else {
        parts.join(",")
    }
}

fn rows(snapshot: &Snapshot) -> Vec<(&DeploymentName, &Target, Summary)> {
    let deployments = snapshot.intent.deployments.iter();
    deployments
        .map(|(name, it)| (name, &it.target, Summary::of(&snapshot.traces(name))))
        .collect()
}

#[derive(Serialize)]
struct JsonList<'a> {
    version: u16,
    tenant: &'a TenantId,
    deployments: Vec<JsonDeployment<'a>>,
    unreadable: Vec<&'a DeploymentName>,
}

#[derive(Serialize)]
struct JsonDeployment<'a> {
    name: &'a DeploymentName,
    target: &'a Target,
    devices: usize,
    running: usize,
    failing: usize,
    away: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::snapshot;

    #[test]
    fn the_table_counts_devices() {
        let tenant = "acme".parse().unwrap();
        let expected = "\
DEPLOYMENT  TARGET     DEVICES  RUNNING  FAILING
greeter     site=lyon  3        1        1
logger      valve-1    1        0        1
metrics     valve-1    1        0        1
";
        assert_eq!(text(&snapshot(), &tenant), expected);
        assert!(text(&Snapshot::default(), &tenant).contains("harmony-fleet apply FILE"));
        let json: serde_json::Value =
            serde_json::from_str(&json(&snapshot(), &tenant).unwrap()).unwrap();
        assert_eq!(
            (&json["version"], &json["deployments"][0]["away"]),
            (&1.into(), &1.into())
        );
        assert_eq!(json["deployments"][0]["target"]["labels"]["site"], "lyon");
    }

    #[test]
    fn what_has_disappeared_is_a_warning() {
        let mut snapshot = snapshot();
        assert_eq!(warnings(&snapshot), Vec::<String>::new());
        snapshot
            .intent
            .deployments
            .remove(&"greeter".parse().unwrap());
        let warnings = warnings(&snapshot);
        assert!(
            warnings[0].contains("`greeter` has disappeared without being deleted"),
            "{warnings:?}"
        );
    }
}
