//! The program that contains the control plane: compiled once from the Go module in this crate, and cached under a hash
//! of everything that it was built from.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use harmony_core::Context;
use harmony_core::cache_dir::CacheDir;
use harmony_core::event::{Step, Unit};
use harmony_core::process::{GO, NETWORK, async_command};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::component::Component;
use super::error::LocalNodeError;
use super::files::{self, Access};
use super::lock::Lock;
use super::preflight;
use super::process;
use super::toolchain::{self, Go, GoVersion};

/// The built programs.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// etcd, the Kubernetes programs, CoreDNS, kubectl and `drain`, selected by the first argument.
    pub(super) node: PathBuf,
    /// Holds the namespaces of a pod.
    pub(super) pause: PathBuf,
}

const SOURCES: [(&str, &str); 5] = [
    ("go.mod", include_str!("../../localnode/go.mod")),
    ("go.sum", include_str!("../../localnode/go.sum")),
    ("main.go", include_str!("../../localnode/main.go")),
    ("drain.go", include_str!("../../localnode/drain.go")),
    (
        "pause/main.go",
        include_str!("../../localnode/pause/main.go"),
    ),
];

/// The version in `go.mod`, which the API server would not know otherwise.
const LINK_FLAGS: &str = concat!(
    "-s -w",
    " -X k8s.io/component-base/version.gitVersion=v1.34.4",
    " -X k8s.io/component-base/version.gitMajor=1",
    " -X k8s.io/component-base/version.gitMinor=34",
    " -X k8s.io/component-base/version.gitTreeState=clean",
);

/// The number of packages in a full build, for the progress; does not have to be exact.
const PACKAGES: u64 = 2850;
/// Two copies of both programs, which exist for a moment.
const PROGRAM_MIB: u64 = 512;
/// The Go cache after a full build: 0.6 GiB of sources and 2.6 GiB of objects.
const GO_CACHE_MIB: u64 = 4 * 1024;
const SPACE_FOR: &str = "building the node's program";
/// The directory in the cache.
const FOLDER: &str = "local-node";
const BUILD_MARK: &str = "HARMONY_NODE_BUILD";

/// Returns the built program. Builds it if there is none with these sources, this version of Go and these flags.
///
/// Can be killed at any time: compiled packages are in Go's cache, and a program gets its name only when it is
/// complete.
///
/// # Errors
/// [`LocalNodeError::GoMissing`], [`LocalNodeError::NoSpace`], [`LocalNodeError::ProgramBuild`].
pub(super) async fn ensure(ctx: &Context, cache: &Path) -> Result<Program, LocalNodeError> {
    let needed = needed_go();
    CacheDir::from(cache).ready()?;
    let folder = CacheDir::from(cache).join(FOLDER).ready()?;
    let go = match toolchain::find(needed, cache).await {
        Ok(go) => go,
        // A machine without Go can still use a program that was built earlier.
        Err(_) => match newest_of_these_sources(&folder) {
            Some(program) => return Ok(program),
            None => toolchain::ensure(ctx, needed, cache).await?,
        },
    };
    let target = folder.join(key(&go));
    if let Some(program) = built(&target) {
        return Ok(program);
    }
    let _lock = Lock::acquire(
        ctx,
        &folder.join(".lock"),
        "the build of the node's program",
    )
    .await?;
    if let Some(program) = built(&target) {
        return Ok(program);
    }
    end_orphans(&folder).await?;
    build(ctx, &go, &folder, &target).await?;
    built(&target).ok_or_else(|| LocalNodeError::File {
        action: "find the program in",
        path: target,
        source: std::io::ErrorKind::NotFound.into(),
    })
}

/// The program that can be used without building anything. `down` must work without Go.
///
/// A program in a directory that other users can write to does not count.
pub(super) fn find_built(cache: &Path) -> Option<Program> {
    let folder = CacheDir::from(cache).join(FOLDER).checked().ok()?;
    newest_of_these_sources(&folder)
}

/// Checks the disk space for a build, if one is needed, before anything else is done.
pub(super) fn check_space(cache: &Path) -> Result<(), LocalNodeError> {
    match find_built(cache) {
        Some(_) => Ok(()),
        None => preflight::check_space(cache, SPACE_FOR, PROGRAM_MIB),
    }
}

/// Returns true if this is the program of a component, or starts it. Any build of the node's program counts, so that an
/// outdated one is found too.
pub(super) fn is_of_component(running: &Path, component: Component) -> bool {
    let name = |path: Option<&Path>| {
        path.and_then(|path| path.file_name()?.to_str())
            .unwrap_or_default()
            .to_owned()
    };
    let folder = running.ancestors().nth(2);
    match (component, name(Some(running)).as_str()) {
        // Components are started through it.
        (_, "setsid") | (Component::Containerd, "containerd") => true,
        (Component::Containerd, _) => false,
        (_, "localnode") => name(folder) == FOLDER,
        _ => false,
    }
}

fn needed_go() -> GoVersion {
    // If our go.mod had no version, `go build` would report it better than we could.
    const NONE: GoVersion = GoVersion::new(1, 0);
    SOURCES[0]
        .1
        .lines()
        .find_map(|line| GoVersion::parse(line.strip_prefix("go ")?))
        .unwrap_or(NONE)
}

/// The first half of the key is the hash of the sources, so that a build can be found without the version of Go.
fn key(go: &Go) -> String {
    let toolchain = files::fingerprint([go.version.as_bytes()]);
    format!(
        "{}-{}",
        sources_key(),
        toolchain.get(..8).unwrap_or_default()
    )
}

fn sources_key() -> String {
    let parts = SOURCES
        .iter()
        .flat_map(|(name, content)| [name.as_bytes(), content.as_bytes()]);
    let hash = files::fingerprint(parts.chain([LINK_FLAGS.as_bytes()]));
    hash.get(..16).unwrap_or_default().to_owned()
}

/// The programs of a finished build; `None` if one is missing or has changed.
fn built(target: &Path) -> Option<Program> {
    let [node, pause] = PROGRAMS;
    Seal::read(target)?.is_intact(target).then(|| Program {
        node: target.join(node),
        pause: target.join(pause),
    })
}

const PROGRAMS: [&str; 2] = ["localnode", "pause"];
const SEAL: &str = "built.json";

/// The record of a build, next to the programs; written last.
#[derive(Debug, Serialize, Deserialize)]
struct Seal {
    programs: BTreeMap<String, Sealed>,
}

/// A file is hashed again only if the file system reports that it was written or replaced, because hashing takes a
/// tenth of the node's start. The change time of a file cannot be set back.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed {
    sha256: String,
    stamp: String,
}

impl Seal {
    fn of(folder: &Path) -> Result<Self, LocalNodeError> {
        let seal = |name: &str| -> std::io::Result<Sealed> {
            let path = folder.join(name);
            Ok(Sealed {
                sha256: files::sha256(&path)?,
                stamp: stamp(&path)?,
            })
        };
        let programs = PROGRAMS.into_iter().map(|name| {
            let sealed = seal(name).map_err(LocalNodeError::file("read", folder.join(name)))?;
            Ok((name.to_owned(), sealed))
        });
        Ok(Self {
            programs: programs.collect::<Result<_, LocalNodeError>>()?,
        })
    }

    fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(SEAL)).ok()?).ok()
    }

    fn is_intact(&self, folder: &Path) -> bool {
        PROGRAMS.into_iter().all(|name| {
            let path = folder.join(name);
            self.programs.get(name).is_some_and(|sealed| {
                stamp(&path).is_ok_and(|now| now == sealed.stamp)
                    || files::sha256(&path).is_ok_and(|now| now == sealed.sha256)
            })
        })
    }
}

/// Changes with every write to the file.
fn stamp(path: &Path) -> std::io::Result<String> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    Ok(format!(
        "{} {} {}.{} {}.{}",
        meta.ino(),
        meta.len(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec()
    ))
}

fn newest_of_these_sources(folder: &Path) -> Option<Program> {
    let prefix = format!("{}-", sources_key());
    fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(&prefix))
        })
        .max_by_key(|entry| entry.metadata().and_then(|meta| meta.modified()).ok())
        .and_then(|entry| built(&entry.path()))
}

/// If a deploy is killed, its compiler keeps running, and two at the same time take twice as long.
async fn end_orphans(folder: &Path) -> Result<(), LocalNodeError> {
    for orphan in process::find(BUILD_MARK, folder)? {
        orphan.stop(Duration::ZERO).await?;
    }
    for leftover in fs::read_dir(folder)
        .map_err(LocalNodeError::file("list", folder))?
        .filter_map(Result::ok)
    {
        if leftover
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with("build-"))
        {
            files::remove(&leftover.path())?;
        }
    }
    Ok(())
}

async fn build(ctx: &Context, go: &Go, folder: &Path, target: &Path) -> Result<(), LocalNodeError> {
    const SHOWN_LINES: usize = 15;
    let go_cache = go.cache().await?;
    preflight::check_space(&go_cache, SPACE_FOR, GO_CACHE_MIB)?;
    let step = ctx.step("build the node's program (up to 15 minutes the first time)");
    let scratch = tempfile::Builder::new()
        .prefix("build-")
        .tempdir_in(folder)
        .map_err(LocalNodeError::file("create a directory in", folder))?;
    let (source, output) = (scratch.path().join("source"), scratch.path().join("output"));
    for (name, content) in SOURCES {
        files::write_if_changed(&source.join(name), content.as_bytes(), Access::Public)?;
    }
    files::create_dir(&output)?;
    let log = folder.join("build.log");
    let mut command = async_command(&go.command, &[NETWORK, GO].concat());
    command
        .args(["build", "-v", "-trimpath", "-ldflags", LINK_FLAGS, "-o"])
        .arg(&output)
        .arg("./...")
        .current_dir(&source)
        .env(BUILD_MARK, folder)
        .env("PATH", process::search_path())
        .env("CGO_ENABLED", "0")
        // go.sum is complete, so any module with other content is refused.
        .env("GOFLAGS", "-mod=readonly -buildvcs=false")
        .env("GOWORK", "off")
        .env("GOTOOLCHAIN", "local")
        // Variables that affect the program have fixed values.
        .env("GOAMD64", "v1")
        .env("GOARM64", "v8.0")
        .env("GOFIPS140", "off")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if std::env::var_os("HOME").is_none() {
        command.env("HOME", toolchain::HOME);
    }
    let started = Instant::now();
    let (status, lines) = ctx
        .unless_cancelled(compile(command, &step, started))
        .await??;
    files::write_if_changed(&log, lines.join("\n").as_bytes(), Access::Public)?;
    if !status.success() {
        let status = match status.signal() {
            Some(signal) => format!("ended by signal {signal}"),
            None => status.to_string(),
        };
        let complaints: Vec<String> = lines
            .into_iter()
            .filter(|line| !is_progress(line))
            .collect();
        let output = complaints
            .iter()
            .skip(complaints.len().saturating_sub(SHOWN_LINES))
            .cloned()
            .collect();
        return Err(LocalNodeError::ProgramBuild {
            status,
            log,
            output,
        });
    }
    let seal = serde_json::to_vec_pretty(&Seal::of(&output)?).unwrap_or_default();
    files::write_if_changed(&output.join(SEAL), &seal, Access::Public)?;
    files::remove(target)?;
    fs::rename(&output, target).map_err(LocalNodeError::file("move the program to", target))?;
    step.done(format!("{} s", started.elapsed().as_secs()));
    Ok(())
}

/// Kills the whole process group when the future that holds it is dropped, because the children of the compiler do not
/// exit with it.
struct GroupGuard(Option<Pid>);

impl Drop for GroupGuard {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

async fn compile(
    mut command: Command,
    step: &Step,
    started: Instant,
) -> Result<(std::process::ExitStatus, Vec<String>), LocalNodeError> {
    const EVERY: Duration = Duration::from_secs(2);
    let failed = || LocalNodeError::process("run", "`go build`");
    let mut child = command.spawn().map_err(failed())?;
    let mut guard = GroupGuard(
        child
            .id()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)),
    );
    let Some(stderr) = child.stderr.take() else {
        return Err(failed()(std::io::ErrorKind::BrokenPipe.into()));
    };
    let mut printed = BufReader::new(stderr).lines();
    let mut lines = Vec::new();
    let (mut compiled, mut downloaded) = (0_u64, 0_u64);
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            line = printed.next_line() => match line {
                Ok(Some(line)) => {
                    if line.starts_with("go: downloading ") {
                        downloaded += 1;
                    } else if is_progress(&line) {
                        compiled += 1;
                    }
                    lines.push(line);
                }
                _ => break,
            },
            _ = ticks.tick() => {
                step.message(progress(compiled, downloaded, lines.last().map_or("", String::as_str), started.elapsed()));
                step.position(compiled.min(PACKAGES), PACKAGES, Unit::Items);
            }
        }
    }
    let status = child.wait().await.map_err(failed())?;
    guard.0 = None;
    Ok((status, lines))
}

/// `go build -v` prints the path of each package it compiles and each module it downloads.
fn is_progress(line: &str) -> bool {
    line.starts_with("go: downloading ")
        || !(line.starts_with(['#', '\t', ' ']) || line.contains(": "))
}

fn progress(compiled: u64, downloaded: u64, last: &str, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match (compiled, downloaded) {
        // Nothing is printed for packages in Go's cache, so it is checking the cache or linking.
        (0, 0) => format!("{seconds} s, nothing new to compile so far"),
        (0, _) => format!("{seconds} s, {downloaded} modules downloaded"),
        (_, _) => format!("{seconds} s, {compiled} packages compiled, now {last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_says_the_version_that_is_built() {
        let required = SOURCES[0]
            .1
            .lines()
            .find_map(|line| line.strip_prefix("require k8s.io/kubernetes "))
            .unwrap();
        let (major, minor) = required
            .trim_start_matches('v')
            .rsplit_once('.')
            .and_then(|(release, _)| release.split_once('.'))
            .unwrap();
        for flag in [
            format!("gitVersion={required} "),
            format!("gitMajor={major} "),
            format!("gitMinor={minor} "),
        ] {
            assert!(LINK_FLAGS.contains(&flag), "{flag}");
        }
        let staged = required.replacen("v1.", "v0.", 1);
        for line in SOURCES[0]
            .1
            .lines()
            .filter(|line| line.contains(" => k8s.io/"))
        {
            assert!(line.ends_with(&staged), "{line}");
        }
    }

    #[test]
    fn another_go_is_another_program() {
        let go = |version: &str| Go {
            command: "go".into(),
            version: version.into(),
        };
        let (one, two) = (
            key(&go("go1.26.8 linux/amd64")),
            key(&go("go1.26.9 linux/amd64")),
        );
        assert_ne!(one, two);
        assert_eq!(one.len(), 16 + 1 + 8);
        assert!(one.starts_with(&sources_key()) && two.starts_with(&sources_key()));
    }

    #[test]
    fn complaints_are_told_from_progress() {
        for line in [
            "go: downloading k8s.io/api v0.34.4",
            "k8s.io/kubernetes/pkg/kubelet",
            "internal/abi",
        ] {
            assert!(is_progress(line), "{line}");
        }
        for line in [
            "# harmony.local/localnode",
            "./main.go:3:2: undefined: x",
            "\tat line",
            "go: no such: x",
        ] {
            assert!(!is_progress(line), "{line}");
        }
    }

    #[test]
    fn the_module_asks_for_a_go_that_is_known() {
        assert_eq!(needed_go(), GoVersion::parse("1.24").unwrap());
    }

    #[test]
    fn a_program_that_is_not_what_was_built_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join(format!("{}-00000000", sources_key()));
        fs::create_dir(&target).unwrap();
        let seal = || {
            let seal = serde_json::to_vec(&Seal::of(&target).unwrap()).unwrap();
            fs::write(target.join(SEAL), seal).unwrap();
        };
        let found = || newest_of_these_sources(folder.path());
        fs::write(target.join("localnode"), "program").unwrap();
        fs::write(target.join("pause"), "pause").unwrap();
        assert!(found().is_none(), "nobody says what was built");
        seal();
        assert_eq!(found().unwrap().node, target.join("localnode"));
        fs::write(target.join("localnode"), "prograN").unwrap();
        assert!(found().is_none(), "another content");
        fs::write(target.join("localnode"), "program").unwrap();
        assert!(found().is_some(), "the same content, written again");
        fs::remove_file(target.join("pause")).unwrap();
        assert!(found().is_none(), "half of it");
    }

    #[test]
    fn a_program_where_others_can_write_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let cache = tempfile::tempdir().unwrap();
        let target = cache
            .path()
            .join(FOLDER)
            .join(format!("{}-00000000", sources_key()));
        fs::create_dir_all(&target).unwrap();
        for name in PROGRAMS {
            fs::write(target.join(name), name).unwrap();
        }
        let seal = serde_json::to_vec(&Seal::of(&target).unwrap()).unwrap();
        fs::write(target.join(SEAL), seal).unwrap();
        assert!(find_built(cache.path()).is_some());
        fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(find_built(cache.path()).is_none());
    }

    #[test]
    fn only_the_programs_of_components_are_components() {
        for (path, component, is_one) in [
            (
                "/var/cache/harmony/local-node/a-b/localnode",
                Component::Etcd,
                true,
            ),
            ("/usr/bin/containerd", Component::Containerd, true),
            ("/usr/bin/setsid", Component::Etcd, true),
            ("/usr/bin/sleep", Component::Etcd, false),
            ("/localnode", Component::Etcd, false),
            ("/usr/bin/containerd", Component::Etcd, false),
            ("", Component::Etcd, false),
        ] {
            assert_eq!(
                is_of_component(Path::new(path), component),
                is_one,
                "{path}"
            );
        }
    }
}
