//! BuildKit in a Docker engine, by way of the docker client.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use harmony_core::capability::container_builder::BuildError;
use harmony_core::context::Context;
use harmony_core::process;
use harmony_types::ImageRef;
use tokio::process::Command;

use crate::blocking::blocking;
use crate::buildkit::command::{secret, secret_variables};
use crate::cache::Cache;
use crate::child::{self, ChildError};
use crate::docker::connection::Endpoint;
use crate::docker::daemon_name;
use crate::progress::Output;
use crate::request::Request;
use crate::stage::Directories;

/// The first version of the client that needs the plugin buildx for BuildKit.
const NEEDS_PLUGIN: u32 = 23;

/// A docker client that can build with BuildKit.
#[derive(Debug)]
pub(super) struct Client {
    program: PathBuf,
    endpoint: Endpoint,
}

impl Client {
    /// The client `program`, or the reason why it cannot use BuildKit.
    pub(super) async fn find(
        program: &Path,
        endpoint: &Endpoint,
        context: &Context,
    ) -> Result<Result<Self, String>, BuildError> {
        let Some(program) = process::find(program) else {
            return Ok(Err(format!(
                "the program `{}` is not on PATH",
                program.display()
            )));
        };
        let client = Self {
            program,
            endpoint: endpoint.clone(),
        };
        let Some(version) = client
            .ask(context, &["version", "--format", "{{.Client.Version}}"])
            .await?
        else {
            return Ok(Err(format!(
                "`{} version` failed",
                client.program.display()
            )));
        };
        if major(&version).is_some_and(|major| major < NEEDS_PLUGIN)
            || client.ask(context, &["buildx", "version"]).await?.is_some()
        {
            return Ok(Ok(client));
        }
        Ok(Err(format!(
            "the client `{}` {version} has no plugin buildx",
            client.program.display()
        )))
    }

    /// The output of a command; `None` if it fails.
    async fn ask(&self, context: &Context, args: &[&str]) -> Result<Option<String>, BuildError> {
        let mut command = self.command(&[]);
        command.args(args);
        let mut text = String::new();
        match child::run(command, context, |line| text.push_str(&line)).await {
            Ok(status) => Ok(status.success().then_some(text)),
            Err(ChildError::Cancelled(cancelled)) => Err(cancelled.into()),
            Err(ChildError::Start(_) | ChildError::Wait(_)) => Ok(None),
        }
    }

    /// Builds `request` in the daemon as `image`.
    pub(super) async fn build(
        &self,
        context: &Context,
        request: &Request,
        image: &ImageRef,
        cache: &Cache,
    ) -> Result<(), BuildError> {
        let step = context.step(format!("build image {image} in docker, with BuildKit"));
        let (files, staging) = (request.files.clone(), cache.staging());
        let directories = blocking(context, move |cancel| {
            Directories::of(&files, &staging, cancel)
        })
        .await?;
        let mut output = Output::default();
        let inherited: Vec<&str> = secret_variables(request).collect();
        let mut command = self.command(&inherited);
        command.args(arguments(request, &directories, image));
        let status = child::run(command, context, |line| {
            if let Some(text) = output.add(line) {
                step.message(text);
            }
        })
        .await;
        let failed = |output: Vec<String>, source| BuildError::Daemon {
            endpoint: self.endpoint.to_string(),
            doing: format!("building {image}"),
            output,
            help: "fix what docker reports above, then run the same command again".to_owned(),
            source,
        };
        match status {
            Ok(status) if status.success() => {
                step.done("");
                Ok(())
            }
            Ok(_) => Err(failed(output.evidence(), None)),
            Err(ChildError::Cancelled(cancelled)) => Err(cancelled.into()),
            Err(ChildError::Start(error) | ChildError::Wait(error)) => {
                Err(failed(Vec::new(), Some(error.into())))
            }
        }
    }

    fn command(&self, inherited: &[&str]) -> Command {
        let mut all = inherited.to_vec();
        all.push("DOCKER_CONFIG");
        all.extend(process::NETWORK);
        let mut command = process::async_command(&self.program, &all);
        command
            .env("DOCKER_BUILDKIT", "1")
            .args(["--host", &self.endpoint.to_string()]);
        command
    }
}

fn arguments(request: &Request, directories: &Directories, image: &ImageRef) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec![
        "build".into(),
        "--progress=plain".into(),
        "--tag".into(),
        daemon_name(image).into(),
        "--file".into(),
        directories.dockerfiles.join(&directories.dockerfile).into(),
        "--platform".into(),
        request.platform.to_string().into(),
    ];
    for (flag, values) in [
        ("--build-arg", &request.build_args),
        ("--label", &request.labels),
    ] {
        for (name, value) in values {
            args.extend([flag.into(), format!("{name}={value}").into()]);
        }
    }
    for (id, source) in &request.secrets {
        args.extend(["--secret".into(), secret(id, source)]);
    }
    args.extend(["--".into(), directories.context.clone().into()]);
    args
}

/// `20.10.24+dfsg1` -> 20
fn major(version: &str) -> Option<u32> {
    version.trim().split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_decides_whether_a_plugin_is_needed() {
        for (version, expected) in [
            ("20.10.24+dfsg1", Some(20)),
            ("28.2.1", Some(28)),
            ("dev", None),
        ] {
            assert_eq!(major(version), expected);
        }
    }
}
