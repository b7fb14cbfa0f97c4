//! Runs a command inside a ready pod.

use std::time::Duration;

use harmony_core::kubernetes::ObjectRef;
use harmony_core::verify::ProbeFailure;
use harmony_types::Namespace;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::pods::{default_container, ready_pod};
use super::seen;
use crate::connection::Connection;

const TIMEOUT: Duration = Duration::from_secs(60);
const OUTPUT_LIMIT: u64 = 64 * 1024;
const OUTPUT_LINES: usize = 20;

/// Passes if the command exits with 0. Otherwise reports its exit code and the end of its output.
pub(super) async fn run(
    connection: &Connection,
    namespace: &Namespace,
    workload: &ObjectRef,
    command: &[String],
) -> Result<(), ProbeFailure> {
    let workload = ObjectRef {
        namespace: workload
            .namespace
            .clone()
            .or_else(|| Some(namespace.clone())),
        ..workload.clone()
    };
    tokio::time::timeout(TIMEOUT, execute(connection, &workload, command))
        .await
        .unwrap_or_else(|_| {
            Err(ProbeFailure::new(format!(
                "the command did not end within {} s",
                TIMEOUT.as_secs()
            )))
        })
}

async fn execute(
    connection: &Connection,
    workload: &ObjectRef,
    command: &[String],
) -> Result<(), ProbeFailure> {
    let pod = ready_pod(connection, workload).await?;
    let namespace = workload
        .namespace
        .as_ref()
        .map_or("default", |namespace| namespace.as_str());
    let pods: Api<Pod> = Api::namespaced(connection.client.clone(), namespace);
    let name = pod.metadata.name.clone().unwrap_or_default();
    let parameters = AttachParams {
        container: default_container(&pod),
        stdin: false,
        stdout: true,
        stderr: true,
        tty: false,
        ..AttachParams::default()
    };
    let mut process = pods.exec(&name, command, &parameters).await.map_err(seen)?;
    let output = process.stdout();
    let errors = process.stderr();
    let status = process.take_status();
    let (output, errors, status) = tokio::join!(read_all(output), read_all(errors), async {
        match status {
            Some(status) => status.await,
            None => None,
        }
    });
    let Some(status) = status else {
        return Err(ProbeFailure::new(format!(
            "the connection to pod {name} ended before the command did"
        )));
    };
    judge(&status, &output, &errors).map_err(|seen| {
        let text = if errors.trim().is_empty() {
            &output
        } else {
            &errors
        };
        let lines: Vec<_> = text.lines().collect();
        let skip = lines.len().saturating_sub(OUTPUT_LINES);
        let tail = lines.into_iter().skip(skip).map(str::to_owned).collect();
        ProbeFailure::new(seen).with_details(tail)
    })
}

/// `Err` describes how the command ended.
fn judge(status: &Status, output: &str, errors: &str) -> Result<(), String> {
    if status.status.as_deref() == Some("Success") {
        return Ok(());
    }
    let causes = status
        .details
        .iter()
        .flat_map(|details| details.causes.iter().flatten());
    let code = causes
        .filter(|cause| cause.reason.as_deref() == Some("ExitCode"))
        .find_map(|cause| cause.message.as_deref());
    let message = status.message.as_deref().unwrap_or_default();
    match code {
        Some(code) => Err(format!("exit code {code}")),
        None if output.is_empty() && errors.is_empty() => {
            Err(format!("it could not be run: {message}"))
        }
        None => Err(message.to_owned()),
    }
}

async fn read_all(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let mut head = (&mut stream).take(OUTPUT_LIMIT);
        // Show what was read before an error.
        let _ = head.read_to_end(&mut bytes).await;
        // Drain the rest, or the command would block forever.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_exit_code_is_told() {
        let status = |value| serde_json::from_value::<Status>(value).unwrap();
        let failed = status(json!({
            "status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated with non-zero exit code",
            "details": { "causes": [{ "reason": "ExitCode", "message": "3" }] },
        }));
        assert_eq!(judge(&failed, "", "oops"), Err("exit code 3".into()));
        assert_eq!(
            judge(&status(json!({ "status": "Success" })), "", ""),
            Ok(())
        );
    }
}
