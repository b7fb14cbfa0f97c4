//! The local node by hand: `cargo run -p harmony_kubernetes --example node -- up`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use harmony_core::Context;
use harmony_core::diagnostic::Report;
use harmony_core::event::Event;
use harmony_kubernetes::local::node::{Keep, LocalNode, LocalNodeError};
use harmony_types::ImageRef;

const USAGE: &str =
    "usage: node up | status | down | purge | import LAYOUT IMAGE | kubectl ARGS...";

#[tokio::main]
async fn main() -> ExitCode {
    let ctx = Context::new();
    let mut events = ctx.subscribe();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            show(&event);
        }
    });
    let cancel = ctx.cancellation().clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            cancel.cancel();
        }
    });
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&ctx, &args).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{:#?}", Report::of(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(ctx: &Context, args: &[&str]) -> Result<ExitCode, LocalNodeError> {
    let node = LocalNode::default();
    match args {
        ["up"] => {
            for change in node.up(ctx).await?.changes {
                println!("{change}");
            }
            println!("export KUBECONFIG={}", node.kubeconfig().display());
        }
        ["status"] => {
            let status = node.status().await?;
            for one in &status.components {
                println!(
                    "{:24} pid {:7} {:5} MiB since {}",
                    one.component,
                    one.pid,
                    one.rss_kib / 1024,
                    one.started
                );
            }
            println!("{:?}, {} MiB", status.health, status.rss_kib() / 1024);
        }
        ["down"] => println!("{:?}", node.down(ctx, Keep::State).await?.changes),
        ["purge"] => println!("{:?}", node.down(ctx, Keep::Nothing).await?.changes),
        ["import", layout, image] => match ImageRef::parse(image) {
            Ok(image) => println!(
                "{}",
                node.import_image(ctx, &PathBuf::from(layout), &image)
                    .await?
            ),
            Err(error) => {
                eprintln!("{error}");
                return Ok(ExitCode::from(2));
            }
        },
        ["kubectl", rest @ ..] => {
            let status = node
                .kubectl()
                .map(|mut kubectl| kubectl.args(rest).status());
            return Ok(match status {
                Some(Ok(status)) if status.success() => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            });
        }
        _ => {
            eprintln!("{USAGE}");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(event: &Event) {
    match event {
        Event::StepStarted { label, .. } => eprintln!("> {label}"),
        Event::StepProgress {
            message: Some(message),
            ..
        } => eprintln!("  {message}"),
        Event::StepFinished { end, message, .. } => eprintln!("< {end:?} {message}"),
        Event::Warning { message } => eprintln!("warning: {message}"),
        _ => {}
    }
}
