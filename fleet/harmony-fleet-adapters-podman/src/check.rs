//! Health checks.
//!
//! The command is a part of the container, and podman runs it when it is asked to. Commands that are run through the
//! API's `exec` would each leave two processes of podman for five minutes.

use std::collections::BTreeSet;
use std::time::Duration;

use harmony_fleet_domain::{Checked, ContainerId, RuntimeError};
use serde::Deserialize;
use tokio::time::timeout;

use crate::client::{Call, CallError, Client, SHORT, encoded};
use crate::error::{from_call, one_line, refused};
use crate::{inspect, processes, spec, words};

/// Runs the check of a container, and kills it if it takes too long.
pub(crate) async fn check(
    client: &Client,
    id: &ContainerId,
    command: &[String],
    limit: Duration,
) -> Result<Checked, RuntimeError> {
    let before = inspect::existing(client, id).await?;
    let configured = before.config.healthcheck.and_then(|check| check.test);
    if configured.unwrap_or_default() != spec::health_test(command) {
        return Err(refused(
            "the container was created with another health check",
        ));
    }
    let call = Call::get(format!("/containers/{}/healthcheck", encoded(&id.0)));
    let call = call.limit(limit + SHORT);
    let running = client.read::<Health>(call);
    match timeout(limit, running).await {
        Ok(Ok(health)) if health.status == "healthy" => Ok(Checked::Passed),
        Ok(Ok(_)) => Ok(Checked::Failed {
            words: last_words(client, id).await?,
        }),
        Ok(Err(CallError::Refused { message, .. })) if message.contains("exceeded timeout") => {
            Ok(too_slow(limit))
        }
        Ok(Err(error)) => Err(from_call(error, words::of_container)),
        Err(_) => {
            let known = before.exec_ids.unwrap_or_default().into_iter().collect();
            kill(client, id, command, known).await?;
            Ok(too_slow(limit))
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    #[serde(default)]
    status: String,
}

fn too_slow(limit: Duration) -> Checked {
    Checked::Failed {
        words: format!("no result after {} s", limit.as_secs()),
    }
}

/// What the last check said.
async fn last_words(client: &Client, id: &ContainerId) -> Result<String, RuntimeError> {
    let inspected = inspect::existing(client, id).await?;
    let log = inspected.state.health.and_then(|health| health.log);
    Ok(log.unwrap_or_default().pop().map_or_else(
        || "failed".into(),
        |last| one_line(&said(last.exit_code, &last.output)),
    ))
}

fn said(exit_code: i32, output: &str) -> String {
    match output.trim() {
        "" => format!("exit code {exit_code}"),
        output => format!("exit code {exit_code}: {output}"),
    }
}

/// Kills the runs of a command in a container that were started after these were known.
async fn kill(
    client: &Client,
    id: &ContainerId,
    command: &[String],
    known: BTreeSet<String>,
) -> Result<(), RuntimeError> {
    let Some(now) = inspect::ours(client, id).await? else {
        return Ok(());
    };
    let mut new = Vec::new();
    for exec in now.exec_ids.unwrap_or_default() {
        if !known.contains(&exec) && is_running(client, &exec, command).await? {
            new.push(exec);
        }
    }
    // It reads files of the kernel only, and cannot panic.
    let _ = tokio::task::spawn_blocking(move || new.iter().for_each(|exec| processes::kill(exec)))
        .await;
    Ok(())
}

/// Whether a command in a container, which may be somebody else's, is this one.
async fn is_running(client: &Client, exec: &str, command: &[String]) -> Result<bool, RuntimeError> {
    let call = Call::get(format!("/exec/{}/json", encoded(exec)));
    let exec: Exec = match client.read(call).await {
        Ok(exec) => exec,
        Err(error) if error.is_not_found() => return Ok(false),
        Err(error) => return Err(from_call(error, words::of_container)),
    };
    let Process {
        entrypoint,
        arguments,
    } = exec.process_config;
    let arguments = arguments.unwrap_or_default();
    Ok(command
        .split_first()
        .is_some_and(|(program, rest)| *program == entrypoint && rest == arguments))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exec {
    process_config: Process,
}

#[derive(Debug, Deserialize)]
struct Process {
    entrypoint: String,
    #[serde(default)]
    arguments: Option<Vec<String>>,
}
