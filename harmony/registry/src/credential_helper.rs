//! Runs a Docker credential helper: `docker-credential-NAME get`.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use harmony_core::process::{self, NETWORK};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::login_file::Login;

/// The timeout of a credential helper; some wait for a person or for a cloud that does not answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum size of its answer.
const ANSWER_LIMIT: u64 = 1024 * 1024;

/// The variables that helpers need to access the keyring of a desktop or `pass`.
const KEYRINGS: &[&str] = &[
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "GNUPGHOME",
    "GPG_TTY",
    "PASSWORD_STORE_*",
    "DOCKER_CONFIG",
];
/// The variables that cloud helpers need, by helper name: a helper only sees the credentials of its own cloud.
const CLOUDS: &[(&str, &[&str])] = &[
    ("ecr", &["AWS_*"]),
    ("gcr", &["GOOGLE_*", "CLOUDSDK_*"]),
    ("gcloud", &["GOOGLE_*", "CLOUDSDK_*"]),
    ("acr", &["AZURE_*", "ACR_*", "IDENTITY_*", "MSI_*"]),
    ("ghcr", &["GITHUB_TOKEN", "GH_TOKEN"]),
];

/// The answer of a helper for one name.
#[derive(Debug)]
pub(crate) enum Answer {
    Login(Login),
    /// It works, but has no such login.
    Unknown,
    /// Why it cannot be used, as the end of "which ...".
    Failed(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks `docker-credential-{name}` for the login under `key`.
///
/// The output of the helper is never shown, since it may contain anything.
pub(crate) async fn ask(name: &str, key: &str) -> Answer {
    match tokio::time::timeout(TIMEOUT, run(name, key)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Answer::Failed("cannot be run".into()),
        Err(_) => Answer::Failed(format!("did not answer within {} s", TIMEOUT.as_secs())),
    }
}

/// The name is part of a program name, never of a path.
fn is_name(name: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.chars().all(is_legal)
}

fn inherited(name: &str) -> Vec<&'static str> {
    let of_its_cloud = CLOUDS.iter().filter(|(cloud, _)| {
        // `ecr-login`, `gcloud`
        name == *cloud
            || name
                .strip_prefix(cloud)
                .is_some_and(|rest| rest.starts_with('-'))
    });
    let of_its_cloud = of_its_cloud.flat_map(|(_, variables)| variables.iter().copied());
    NETWORK
        .iter()
        .chain(KEYRINGS)
        .copied()
        .chain(of_its_cloud)
        .collect()
}

/// The program of a helper. A folder that is relative to where we were started is not looked into: it may be a checkout of
/// somebody else's.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    let folders = std::env::join_paths(folders).ok()?;
    process::find_in(format!("docker-credential-{name}"), folders)
}

async fn run(name: &str, key: &str) -> std::io::Result<Answer> {
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    if !is_name(name) {
        return Err(missing());
    }
    let program = find(name).ok_or_else(missing)?;
    let mut child = process::async_command(program, &inherited(name))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper with only one login may not read its input.
        drop(stdin.write_all(key.as_bytes()).await);
    }
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut stdout = child.stdout.take().map(|pipe| pipe.take(ANSWER_LIMIT));
    let mut stderr = child.stderr.take().map(|pipe| pipe.take(ANSWER_LIMIT));
    let read = async {
        if let Some(pipe) = &mut stdout {
            drop(pipe.read_to_end(&mut out).await);
        }
    };
    let read_errors = async {
        if let Some(pipe) = &mut stderr {
            drop(pipe.read_to_end(&mut err).await);
        }
    };
    tokio::join!(read, read_errors);
    let status = child.wait().await?;
    Ok(if status.success() {
        read_answer(&out)
    } else {
        read_failure(&out, &err)
    })
}

fn read_answer(out: &[u8]) -> Answer {
    match serde_json::from_slice::<Secret>(out) {
        Ok(Secret { username, secret }) => {
            Login::new(&username, &secret).map_or(Answer::Unknown, Answer::Login)
        }
        Err(_) => Answer::Failed("returned an answer that cannot be parsed".into()),
    }
}

/// The text is part of the protocol: a helper that has no such login says so.
fn read_failure(out: &[u8], err: &[u8]) -> Answer {
    let said = [out, err].map(|text| String::from_utf8_lossy(text).to_lowercase());
    if said
        .iter()
        .any(|text| text.contains("credentials not found"))
    {
        Answer::Unknown
    } else {
        Answer::Failed("failed".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_is_a_program_on_the_path() {
        for name in ["desktop", "ecr-login", "desktop.exe"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "../x", "a/b", "a b", "x;y"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_helper_sees_its_own_cloud_only() {
        let sees = |name, variable| inherited(name).contains(&variable);
        assert!(sees("ecr-login", "AWS_*"));
        assert!(!sees("ecr-login", "GOOGLE_*"));
        assert!(sees("gcloud", "CLOUDSDK_*"));
        assert!(!sees("ecrets", "AWS_*"));
        assert!(!sees("desktop", "AWS_*"));
        assert!(sees("desktop", "DBUS_SESSION_BUS_ADDRESS"));
        let all = CLOUDS.iter().flat_map(|(name, _)| inherited(name));
        assert!(
            !all.into_iter()
                .any(|pattern| pattern.starts_with("HARMONY") || pattern == "*")
        );
    }
}
