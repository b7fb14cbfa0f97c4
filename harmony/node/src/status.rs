//! The `status` and `kubectl` subcommands.

use std::process::ExitCode;

use harmony::local::node::{Health, LocalNode};
use harmony::types::printable;

/// Exits with 0 if the node is ready, and with 1 otherwise.
pub(crate) async fn print(node: &LocalNode) -> ExitCode {
    let status = match node.status().await {
        Ok(status) => status,
        Err(error) => return harmony_cli::fail(&error),
    };
    let health = match &status.health {
        Health::Ready => "ready".to_owned(),
        Health::Down => "not running; start it with `harmony-node up`".to_owned(),
        Health::Incomplete(missing) => {
            let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
            format!(
                "incomplete: {} not running; `harmony-node up` starts the missing components",
                names.join(", ")
            )
        }
        Health::NotReady(reason) => format!("not ready: {reason}"),
    };
    // The reason holds what the node's own servers said.
    println!("local node: {}", printable::line(&health));
    for component in &status.components {
        let memory = component.rss_kib / 1024;
        println!(
            "  {:<26} pid {:<8} {memory:>5} MiB  {}",
            component.component.to_string(),
            component.pid,
            component.log.display()
        );
    }
    if !status.components.is_empty() {
        println!(
            "  {:<26} {:<12} {:>5} MiB",
            "total",
            "",
            status.rss_kib() / 1024
        );
        println!("kubeconfig: {}", status.kubeconfig.display());
    }
    if status.health == Health::Ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

pub(crate) fn kubectl(node: &LocalNode, args: &[String]) -> ExitCode {
    let Some(mut kubectl) = node.kubectl() else {
        eprintln!("error: the node's program has not been built yet: run `harmony-node up`");
        return ExitCode::FAILURE;
    };
    match kubectl.args(args).status() {
        Ok(status) => ExitCode::from(
            status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(1),
        ),
        Err(error) => {
            eprintln!("error: cannot run kubectl: {error}");
            ExitCode::FAILURE
        }
    }
}
