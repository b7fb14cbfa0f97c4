//! `harmony-fleet apply` and `harmony-fleet delete`: write deployments.

use std::fmt::{self, Write as _};
use std::io::Read;
use std::path::Path;

use harmony_fleet_domain::{DeploymentStore, Expected, Unreadable};
use harmony_reconciler_contracts::{DeploymentName, StoredDeployment, TenantId};
use serde::Serialize;

use crate::{CliError, file};

/// The version of the JSON output; increases when a field is removed or changes its meaning.
const JSON_VERSION: u16 = 1;

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;

/// What happened to a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Applied {
    Created,
    Updated,
    Unchanged,
    Deleted,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "no changes",
            Self::Deleted => "deleted",
        })
    }
}

/// Reads a file, or the standard input for `-`.
pub fn read_file(path: &Path) -> Result<Vec<StoredDeployment>, CliError> {
    let mut text = String::new();
    let opened: Result<Box<dyn Read>, _> = if path == Path::new("-") {
        Ok(Box::new(std::io::stdin()))
    } else {
        std::fs::File::open(path).map(|file| Box::new(file) as Box<dyn Read>)
    };
    let read = opened.and_then(|input| input.take(MAX_FILE_BYTES).read_to_string(&mut text));
    let shown = || path.display().to_string();
    read.map_err(|source| CliError::ReadFile {
        file: shown(),
        source,
    })?;
    file::read(&text).map_err(|source| CliError::File {
        file: shown(),
        source,
    })
}

/// Writes the deployments, each if it differs from what is stored.
pub async fn apply(
    deployments: &[StoredDeployment],
    store: &impl DeploymentStore,
) -> Result<Vec<(DeploymentName, Applied)>, CliError> {
    let mut results = Vec::new();
    for deployment in deployments {
        let name = &deployment.name;
        let (applied, expected) = match store.read(name).await? {
            None => (Applied::Created, Expected::Absent),
            Some(stored) => match stored.value {
                Ok(known) if known == *deployment => {
                    results.push((name.clone(), Applied::Unchanged));
                    continue;
                }
                Err(source @ Unreadable::Newer { .. }) => {
                    return Err(CliError::NewerDeployment {
                        name: name.clone(),
                        source,
                    });
                }
                Ok(_) | Err(Unreadable::Damaged { .. }) => {
                    (Applied::Updated, Expected::Revision(stored.revision))
                }
            },
        };
        store.write(deployment, expected).await?;
        results.push((name.clone(), applied));
    }
    Ok(results)
}

/// Deletes a deployment. `known` are the names that devices still have, which can be deleted even if the store has lost
/// the deployment.
pub async fn delete(
    name: &DeploymentName,
    store: &impl DeploymentStore,
    devices_have_it: bool,
) -> Result<(DeploymentName, Applied), CliError> {
    let expected = match store.read(name).await? {
        Some(stored) => Expected::Revision(stored.revision),
        None if devices_have_it => Expected::Absent,
        None => {
            let known = store.load().await?.values.into_keys().collect();
            return Err(CliError::UnknownDeployment {
                name: name.clone(),
                known,
            });
        }
    };
    store.delete(name, expected).await?;
    Ok((name.clone(), Applied::Deleted))
}

/// One line for each deployment, and what to do next.
pub fn text(results: &[(DeploymentName, Applied)]) -> String {
    let lines = results
        .iter()
        .map(|(name, applied)| format!("{name}: {applied}\n"));
    let mut text: String = lines.collect();
    let changed = results
        .iter()
        .find(|(_, applied)| matches!(applied, Applied::Created | Applied::Updated));
    if let Some((name, _)) = changed {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "next: harmony-fleet status {name} --watch");
    }
    text
}

/// The results as JSON.
pub fn json(
    results: &[(DeploymentName, Applied)],
    tenant: &TenantId,
) -> Result<String, serde_json::Error> {
    let deployments: Vec<_> = results
        .iter()
        .map(|(name, applied)| serde_json::json!({ "name": name, "result": applied }))
        .collect();
    let document = serde_json::json!({
        "version": JSON_VERSION, "tenant": tenant, "deployments": deployments,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}
