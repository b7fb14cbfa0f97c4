//! Starting child processes with the few environment variables they need, and without our secrets.
//!
//! The password of a registry or a cloud credential in our environment is only for us. Compilers run build scripts and
//! `git` runs hooks, and these could send away everything that they inherit. So a child is started with [`command`],
//! which passes on a fixed list of harmless variables and those that the caller lists.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

/// The variables that every program gets: paths, user, language.
const EVERYONE: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TERM",
    "NO_COLOR",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "LD_LIBRARY_PATH",
];

/// For programs that use the network: proxies and certificate authorities.
pub const NETWORK: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// For `docker` and programs that use its daemon: how to reach the daemon. No logins.
pub const DOCKER: &[&str] = &[
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "SSH_AUTH_SOCK",
];

/// For `go`: module sources and caches. Nothing that affects the compiled program.
pub const GO: &[&str] = &[
    "GOCACHE",
    "GOINSECURE",
    "GOMODCACHE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOPATH",
    "GOPRIVATE",
    "GOPROXY",
    "GOSUMDB",
    "GOVCS",
];

/// For `cargo` and `rustc`: their location, the toolchain, and the sources of crates. No tokens: cargo reads them from
/// its credentials file.
pub const CARGO: &[&str] = &[
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUSTUP_DIST_SERVER",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_JOBS",
    "CARGO_HTTP_*",
    "CARGO_NET_*",
    "CARGO_REGISTRIES_*_INDEX",
    "CARGO_REGISTRIES_*_PROTOCOL",
    "CARGO_REGISTRIES_CRATES_IO_PROTOCOL",
];

/// A command with the variables that every program gets and those that match one of `inherited`. A `*` in a name
/// matches any text.
///
/// `program` is a path, or a name that is looked up on `PATH`. Untrusted arguments must come after `--` if the program
/// supports it, or be parsed into a type that cannot start with `-`.
pub fn command(program: impl AsRef<OsStr>, inherited: &[&str]) -> Command {
    let mut command = Command::new(program);
    restrict(&mut command, inherited);
    command
}

/// Like [`command`], for async code. The program is killed when it is dropped.
pub fn async_command(program: impl AsRef<OsStr>, inherited: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::from(command(program, inherited));
    command.kill_on_drop(true);
    command
}

/// Like [`command`], for a command that a library has created. Removes the variables that were set on it.
pub fn restrict(command: &mut Command, inherited: &[&str]) {
    command
        .env_clear()
        .envs(select(env::vars_os(), EVERYONE))
        .envs(self::inherited(inherited));
    if let Some(path) = search_path() {
        command.env("PATH", path);
    }
}

/// Our `PATH`, without what depends on the current directory.
pub fn search_path() -> Option<OsString> {
    env::var_os("PATH").map(|path| absolute_entries(&path))
}

/// A `PATH` without what depends on the current directory: in a checkout of somebody else's, `git` must not be theirs.
fn absolute_entries(path: &OsStr) -> OsString {
    let entries = env::split_paths(path).filter(|entry| entry.is_absolute());
    // Entries of a PATH have no colon in them, so they can be joined again.
    env::join_paths(entries).unwrap_or_default()
}

/// The variables of this process that match one of `patterns`, in addition to those that every program gets.
pub fn inherited(patterns: &[&str]) -> BTreeMap<OsString, OsString> {
    select(env::vars_os(), patterns)
}

fn select(
    variables: impl Iterator<Item = (OsString, OsString)>,
    patterns: &[&str],
) -> BTreeMap<OsString, OsString> {
    let fits = |name: &OsStr| {
        name.to_str()
            .is_some_and(|name| patterns.iter().any(|pattern| matches(pattern, name)))
    };
    variables.filter(|(name, _)| fits(name)).collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((begin, end)) => {
            name.len() > begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
        }
    }
}

/// Where a program is: a path with a slash as it is, a name on `PATH`, where entries that are not absolute do not count.
pub fn find(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let current = env::current_dir().unwrap_or_else(|_| "/".into());
    which::which_in(program, search_path(), current).ok()
}

/// Like [`find`], with other directories than those of `PATH`.
pub fn find_in(program: impl AsRef<OsStr>, search_path: impl AsRef<OsStr>) -> Option<PathBuf> {
    which::which_in(program, Some(search_path), "/").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(names: &[&str], patterns: &[&str]) -> Vec<String> {
        let variables = names
            .iter()
            .map(|name| (OsString::from(name), OsString::from("value")));
        select(variables, patterns)
            .into_keys()
            .map(|name| name.into_string().unwrap())
            .collect()
    }

    #[test]
    fn secrets_and_what_changes_a_build_stay_here() {
        let secrets = [
            "HARMONY_REGISTRY_PASSWORD",
            "HARMONY_REGISTRY_USERNAME",
            "AWS_SECRET_ACCESS_KEY",
            "GITHUB_TOKEN",
            "CARGO_REGISTRY_TOKEN",
            "CARGO_REGISTRIES_COMPANY_TOKEN",
            "CARGO_REGISTRIES_COMPANY_CREDENTIAL_PROVIDER",
            "SSH_AUTH_SOCK",
            "KUBECONFIG",
            "DATABASE_URL",
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_RUSTFLAGS",
            "CARGO_PROFILE_RELEASE_LTO",
            "RUSTC_WRAPPER",
            "RUSTC_BOOTSTRAP",
            "CFLAGS",
            "GOFLAGS",
            "GOAMD64",
            "GIT_DIR",
            "LD_PRELOAD",
        ];
        for patterns in [EVERYONE, NETWORK, GO, CARGO] {
            assert_eq!(kept(&secrets, patterns), [""; 0]);
        }
    }

    #[test]
    fn what_programs_need_is_passed_on() {
        assert_eq!(
            kept(&["PATH", "HOME", "LC_ALL", "TMPDIR"], EVERYONE),
            ["HOME", "LC_ALL", "PATH", "TMPDIR"]
        );
        assert_eq!(
            kept(&["HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE"], NETWORK),
            ["HTTPS_PROXY", "SSL_CERT_FILE", "no_proxy"]
        );
        assert_eq!(
            kept(
                &["CARGO_HTTP_CAINFO", "CARGO_REGISTRIES_COMPANY_INDEX"],
                CARGO
            ),
            ["CARGO_HTTP_CAINFO", "CARGO_REGISTRIES_COMPANY_INDEX"]
        );
    }

    #[test]
    fn a_child_has_nothing_else() {
        let output = command("env", &[]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let foreign: Vec<_> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, _)| name)
            .filter(|name| !EVERYONE.iter().any(|pattern| matches(pattern, name)))
            .collect();
        // Tests are started by cargo, which sets several `CARGO_*` variables.
        assert!(env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("CARGO_")));
        assert_eq!(foreign, [""; 0]);
    }

    #[test]
    fn a_program_in_the_current_directory_is_not_found_by_its_name() {
        let path = absolute_entries(OsStr::new(".:/bin::relative/bin:/usr/bin"));
        assert_eq!(path, "/bin:/usr/bin");
        assert_eq!(absolute_entries(OsStr::new("")), "");
        let output = command("sh", &[])
            .args(["-c", "echo $PATH"])
            .output()
            .unwrap();
        let seen = String::from_utf8(output.stdout).unwrap();
        assert!(env::split_paths(seen.trim()).all(|entry| entry.is_absolute()));
    }

    #[test]
    fn programs_are_found_on_path_or_by_path() {
        let shell = find("sh").unwrap();
        assert!(shell.is_absolute());
        assert_eq!(find(&shell), Some(shell));
        assert_eq!(find("no-such-program"), None);
        assert_eq!(find("/no/such/program"), None);
        assert!(find_in("sh", "/no/such/folder:/bin").is_some());
        assert_eq!(find_in("sh", "/no/such/folder"), None);
    }
}
