//! The `harmony` command, which lists the `harmony-*` commands on `PATH` and runs them.
//!
//! The commands are not built in. Any executable on `PATH` with a name like `harmony-NAME` is a command, and the first
//! line of its `--help` output is its description.

mod apps;
mod describe;
mod find;

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command as Process, ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use harmony_core::Diagnostic;
use harmony_core::codes;
use harmony_core::diagnostic::{FailureKind, Origin};

pub use self::describe::{Description, describe};
pub use self::find::{Plugin, find};

use self::apps::AppError;
use self::find::skipped;

use crate::exit_status::ExitStatus;
use crate::output::{self, RunError};
use crate::usage::UnknownCode;
use crate::{explain, fail, parse, render};

/// Release and deploy apps with infrastructure as compiled code
#[derive(Parser)]
#[command(
    name = "harmony",
    version,
    disable_help_subcommand = true,
    subcommand_help_heading = "Commands",
    after_help = "Exit codes: 0 success, 1 failed, 2 usage error, 3 refused before any change, 130 cancelled"
)]
struct HarmonyArgs {
    #[command(subcommand)]
    command: Option<HarmonyCommand>,
}

#[derive(Subcommand)]
enum HarmonyCommand {
    /// List the harmony-* commands on PATH
    List,
    /// Deploy an app with its deploy program, APP-deploy or harmony-APP-deploy
    Deploy {
        /// The name of the app, for example `my-app`
        app: String,
        /// Arguments for the deploy program, for example `plan` or `--topology ci`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Release an app by its git tag, with the deploy program of the app
    Release {
        /// The tag, in the form `<app>-<component>-v<version>`
        tag: String,
        /// Arguments for the deploy program, for example `--then-deploy`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Explain an error code
    Explain {
        /// The error code, for example H0301
        code: String,
    },
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Run a harmony-* command on PATH
    #[command(external_subcommand)]
    Plugin(Vec<OsString>),
}

/// Implements the `harmony` command. `args` starts with the name of the program, and `path` is the `PATH` to search.
///
/// A plugin replaces this process, so it receives signals directly and determines the exit code.
///
/// # Errors
/// [`RunError`]: the result could not be written.
pub async fn main(args: Vec<OsString>, path: &OsStr) -> Result<ExitCode, RunError> {
    let wants_help = match args.get(1).and_then(|arg| arg.to_str()) {
        None => args.len() < 2,
        Some("-h" | "--help" | "help") => args.len() == 2,
        Some(_) => false,
    };
    if wants_help {
        return help(path).await;
    }
    let command = match HarmonyArgs::try_parse_from(args) {
        Ok(HarmonyArgs { command }) => command,
        Err(error) => return Ok(parse::refused(&error)),
    };
    match command {
        None => help(path).await,
        Some(HarmonyCommand::Deploy { app, args }) => Ok(match apps::deploy_program(&app, path) {
            Ok(program) => become_program(&program, &args),
            Err(error) => not_found(error, path),
        }),
        Some(HarmonyCommand::Release { tag, args }) => {
            Ok(match apps::release_program(&tag, path) {
                Ok(program) => {
                    let asked = ["--release", "--from-tag", &tag].map(OsString::from);
                    become_program(&program, &[asked.as_slice(), &args].concat())
                }
                Err(error) => not_found(error, path),
            })
        }
        Some(HarmonyCommand::List) => {
            warn_of_skipped(path);
            output::data(&table(&describe_all(path).await))?;
            Ok(ExitStatus::Done.into())
        }
        Some(HarmonyCommand::Explain { code }) => match explain::page(&code) {
            Some(page) => {
                output::data(&page.text())?;
                Ok(ExitStatus::Done.into())
            }
            None => Ok(fail(&UnknownCode::new(&code))),
        },
        Some(HarmonyCommand::Completions { shell }) => {
            output::data(&completions(shell, &find(path)))?;
            Ok(ExitStatus::Done.into())
        }
        Some(HarmonyCommand::Plugin(words)) => Ok(become_plugin(&words, path)),
    }
}

/// Warns about directories on `PATH` whose commands are not used, and about such commands.
fn warn_of_skipped(path: &OsStr) {
    for (place, reason) in skipped(path) {
        let message = if place.is_dir() {
            format!("ignoring the commands in `{}`: {reason}", place.display())
        } else {
            format!("ignoring the command `{}`: {reason}", place.display())
        };
        output::message(&render::warning(&message));
    }
}

fn not_found(error: AppError, path: &OsStr) -> ExitCode {
    warn_of_skipped(path);
    fail(&error)
}

async fn help(path: &OsStr) -> Result<ExitCode, RunError> {
    warn_of_skipped(path);
    let described = describe_all(path).await;
    let mut help = HarmonyArgs::command().render_help().ansi().to_string();
    help.push_str("\nCommands on PATH:\n");
    help.push_str(&table(&described));
    output::data(&help)?;
    Ok(ExitStatus::Done.into())
}

async fn describe_all(path: &OsStr) -> Vec<(Plugin, Description)> {
    let asked: Vec<_> = find(path)
        .into_iter()
        .map(|plugin| {
            tokio::spawn(async move {
                let description = describe(&plugin).await;
                (plugin, description)
            })
        })
        .collect();
    let mut described = Vec::with_capacity(asked.len());
    for answer in asked {
        // describing a command does not panic; if it did, the others could still be listed
        described.extend(answer.await);
    }
    described
}

/// One line per command: its name and its description.
fn table(described: &[(Plugin, Description)]) -> String {
    if described.is_empty() {
        return "  no harmony-* commands found on PATH\n".into();
    }
    let width = described
        .iter()
        .map(|(plugin, _)| plugin.name().len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (plugin, description) in described {
        let _ = writeln!(text, "  {:<width$}  {description}", plugin.name());
    }
    text
}

fn completions(shell: Shell, plugins: &[Plugin]) -> String {
    let mut command = HarmonyArgs::command();
    for plugin in plugins {
        let name = plugin.name().to_owned();
        command = command
            .subcommand(clap::Command::new(name).about(format!("harmony-{}", plugin.name())));
    }
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "harmony", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Returns only if the plugin cannot be started.
fn become_plugin(words: &[OsString], path: &OsStr) -> ExitCode {
    let Some((name, args)) = words.split_first() else {
        return ExitStatus::Usage.into();
    };
    let name = name.to_string_lossy();
    let plugins = find(path);
    let Some(plugin) = plugins.iter().find(|plugin| plugin.name() == name) else {
        warn_of_skipped(path);
        return fail(&PluginError::unknown(&name, &plugins));
    };
    become_program(plugin.path(), args)
}

/// Returns only if the program cannot be started.
fn become_program(program: &Path, args: &[OsString]) -> ExitCode {
    let source = Process::new(program).args(args).exec();
    fail(&PluginError::Start {
        path: program.display().to_string(),
        source,
    })
}

/// An error of running a command.
#[derive(Debug, thiserror::Error)]
enum PluginError {
    #[error("no such command `{asked}`: `harmony-{asked}` is not on PATH")]
    Unknown { asked: String, nearest: Vec<String> },
    #[error("cannot start `{path}`")]
    Start {
        path: String,
        #[source]
        source: std::io::Error,
    },
}

impl PluginError {
    fn unknown(asked: &str, plugins: &[Plugin]) -> Self {
        let own = ["deploy", "release", "list", "explain", "completions"];
        let names = plugins.iter().map(Plugin::name).chain(own);
        Self::Unknown {
            asked: asked.to_owned(),
            nearest: nearest(asked, names),
        }
    }
}

/// Up to three names that are similar to `asked`, the most similar first.
fn nearest<'a>(asked: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> = names
        .map(|name| (strsim::jaro_winkler(asked, name), name))
        .filter(|(score, _)| *score > 0.8)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored
        .into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}

impl Diagnostic for PluginError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Unknown { .. } => Origin::Own(codes::UNKNOWN_COMMAND),
            Self::Start { .. } => Origin::Own(codes::COMMAND_NOT_STARTED),
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Unknown { .. } => FailureKind::Usage,
            Self::Start { .. } => FailureKind::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown { nearest, .. } if nearest.is_empty() => {
                vec!["`harmony list` shows the commands that were found".into()]
            }
            Self::Unknown { nearest, .. } => vec![format!("did you mean: {}?", nearest.join(", "))],
            Self::Start { .. } => {
                vec!["check that the file is a program for this machine".into()]
            }
        }
    }
}

impl Diagnostic for AppError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(match self {
            Self::NotFound { .. } => codes::APP_NOT_FOUND,
            Self::Tag { .. } => codes::NOT_A_RELEASE_TAG,
        })
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Usage
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotFound { looked_for, .. } => vec![
                format!("put one of these on PATH: {}", looked_for.join(", ")),
                "programs built by cargo are in `target/debug` or `target/release`".into(),
            ],
            Self::Tag { source } => vec![source.hint()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_comes_first_and_strangers_are_left_out() {
        let names = ["fleet", "fleet-deploy", "node", "list"];
        assert_eq!(
            nearest("flet", names.into_iter()),
            ["fleet", "fleet-deploy"]
        );
        assert_eq!(nearest("lst", names.into_iter()), ["list"]);
        assert!(nearest("zzz", names.into_iter()).is_empty());
    }
}
