//! The processes of the node in the kernel.
//!
//! There are no pid files. Every process is started with a marker in its environment that contains the state directory,
//! the component and a fingerprint of how it was started, and a scan of `/proc` finds them again. So nothing is lost if
//! a deploy is killed directly after starting a process, a reused pid does not have the marker, and after a reboot
//! there are no markers. Anyone can set an environment variable, so only processes of the current user count, and as
//! components only those that run the program of a component. Signals are sent through a pidfd that was opened before
//! the marker was read, so they cannot reach another process with the same pid.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::error::LocalNodeError;
use super::files;

/// The state directory that a process belongs to.
pub(super) const NODE_MARK: &str = "HARMONY_NODE";
const COMPONENT_MARK: &str = "HARMONY_NODE_COMPONENT";
const SPEC_MARK: &str = "HARMONY_NODE_SPEC";

/// If a log is larger than this when its process starts, it is renamed to `NAME.log.1`.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;

/// A process with the marker.
#[derive(Debug)]
pub(super) struct Marked {
    pub(super) pid: i32,
    /// The component it was started as; inherited by its children.
    pub(super) name: String,
    /// The fingerprint of how it was started; inherited by its children.
    pub(super) spec: String,
    /// True for a process that we started, false for its children, such as containerd's shims.
    pub(super) leader: bool,
    pub(super) started: Timestamp,
    /// Resident memory.
    pub(super) rss_kib: u64,
    /// The program that it runs, even if the file has been replaced since.
    pub(super) program: PathBuf,
    pidfd: OwnedFd,
}

/// A process whose exit can be observed.
#[derive(Debug)]
pub(super) struct Handle {
    pidfd: OwnedFd,
    /// The length of its log when it started: earlier output is of an earlier process.
    log_from: u64,
}

impl Handle {
    pub(super) fn has_ended(&self) -> bool {
        has_ended(&self.pidfd)
    }

    /// The last lines that it has written to its log.
    pub(super) fn output(&self, log: &Path, lines: usize) -> Vec<String> {
        files::tail(log, self.log_from, lines)
    }
}

impl From<Marked> for Handle {
    fn from(marked: Marked) -> Self {
        Self {
            pidfd: marked.pidfd,
            log_from: 0,
        }
    }
}

impl Marked {
    fn kill(&self, signal: Signal) {
        // This fails only if the process has already exited, as wanted.
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }

    /// Stops the process with `SIGTERM`, and with `SIGKILL` after `grace`.
    pub(super) async fn stop(self, grace: Duration) -> Result<(), LocalNodeError> {
        const AFTER_KILL: Duration = Duration::from_secs(10);
        if !grace.is_zero() {
            self.kill(Signal::TERM);
            if self.ends_within(grace).await {
                return Ok(());
            }
        }
        self.kill(Signal::KILL);
        if self.ends_within(AFTER_KILL).await {
            return Ok(());
        }
        Err(LocalNodeError::Unkillable {
            what: self.name,
            pid: self.pid,
        })
    }

    async fn ends_within(&self, time: Duration) -> bool {
        const EVERY: Duration = Duration::from_millis(5);
        let ended = async {
            while !has_ended(&self.pidfd) {
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::time::timeout(time, ended).await.is_ok()
    }
}

/// A pidfd becomes readable when its process exits, and never refers to another process.
fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    !matches!(poll(&mut fds, Some(&Timespec::default())), Ok(0))
}

/// The running processes of this user whose environment has `mark` set to `value`.
pub(super) fn find(mark: &str, value: &Path) -> Result<Vec<Marked>, LocalNodeError> {
    let boot = boot_time();
    let listed = fs::read_dir("/proc").map_err(LocalNodeError::file("list", "/proc"))?;
    Ok(listed
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| inspect(pid, mark, value, boot))
        .collect())
}

fn inspect(pid: i32, mark: &str, value: &Path, boot: i64) -> Option<Marked> {
    // Check the environment first, because most processes do not have the marker.
    marker_of(&fs::read(format!("/proc/{pid}/environ")).ok()?, mark, value)?;
    let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    // Check again now that the pidfd refers to the process, because the pid may have been reused.
    let (name, spec) = marker_of(&fs::read(format!("/proc/{pid}/environ")).ok()?, mark, value)?;
    if !is_of_this_user(pid) {
        return None;
    }
    let stat = read_stat(pid).filter(Stat::is_alive)?;
    let since_boot = stat.start_ticks / rustix::param::clock_ticks_per_second();
    let started = Timestamp::from_second(boot + i64::try_from(since_boot).ok()?).ok()?;
    Some(Marked {
        pid,
        name,
        spec,
        leader: stat.session == pid,
        started,
        rss_kib: rss_kib(pid),
        program: program_of(pid),
        pidfd,
    })
}

/// Returns true if the process has the marker and belongs to this user.
pub(super) fn is_marked(pid: i32, mark: &str, value: &Path) -> bool {
    is_of_this_user(pid)
        && fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| marker_of(&environ, mark, value).is_some())
}

/// The owner of the files in `/proc/PID` is not sufficient: it is root for a program that its user cannot read.
fn is_of_this_user(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    all_users_are(&status, rustix::process::geteuid().as_raw())
}

/// The real user too, because the user who starts a setuid program controls its environment.
fn all_users_are(status: &str, user: u32) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .is_some_and(|users| {
            let mut users = users.split_ascii_whitespace().peekable();
            users.peek().is_some() && users.all(|one| one.parse() == Ok(user))
        })
}

fn program_of(pid: i32) -> PathBuf {
    let link = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    match link
        .to_str()
        .and_then(|path| path.strip_suffix(" (deleted)"))
    {
        Some(path) => path.into(),
        None => link,
    }
}

fn marker_of(environ: &[u8], mark: &str, value: &Path) -> Option<(String, String)> {
    let lookup = |key: &str| {
        environ.split(|byte| *byte == 0).find_map(|pair| {
            let rest = pair.strip_prefix(key.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(rest).into_owned())
        })
    };
    (lookup(mark)? == value.to_str()?).then(|| {
        (
            lookup(COMPONENT_MARK).unwrap_or_default(),
            lookup(SPEC_MARK).unwrap_or_default(),
        )
    })
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    session: i32,
    start_ticks: u64,
}

impl Stat {
    fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

fn read_stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Parses `/proc/PID/stat`, see proc(5). The name in parentheses can contain spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text
        .get(text.rfind(')')? + 1..)?
        .split_ascii_whitespace()
        .collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        session: fields.get(3)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

fn rss_kib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix("kB")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0)
}

fn boot_time() -> i64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    stat.lines()
        .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
        .unwrap_or(0)
}

/// How to start a process of the node.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    /// The name of the component in the marker and the log.
    pub(super) name: Cow<'static, str>,
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) log: PathBuf,
    /// Whether it connects to other hosts.
    pub(super) reaches_out: bool,
    /// More variables of its environment.
    pub(super) env: Vec<(OsString, OsString)>,
    /// The fingerprint of everything above and of the files that it reads.
    pub(super) spec: String,
}

/// Starts a process that outlives this one, in its own session, with a minimal environment, and with its output in a
/// log. A scan of `/proc` does not find the process until `setsid` has loaded the program, which takes seconds on a slow
/// disk, so the handle is the only way to know whether it is running until then.
pub(super) fn launch(
    launch: &Launch,
    setsid: &Path,
    state: &Path,
) -> Result<Handle, LocalNodeError> {
    let log = open_log(&launch.log).map_err(LocalNodeError::file("open", &launch.log))?;
    let errors = log
        .try_clone()
        .map_err(LocalNodeError::file("open", &launch.log))?;
    let log_from = log
        .metadata()
        .map_err(LocalNodeError::file("inspect", &launch.log))?
        .len();
    let mut command = tokio::process::Command::from(harmony_core::process::command(setsid, &[]));
    command
        .arg(&launch.program)
        .args(&launch.args)
        .env_clear()
        .envs(passed_on(launch.reaches_out))
        .envs(launch.env.iter().cloned())
        .env(NODE_MARK, state)
        .env(COMPONENT_MARK, &*launch.name)
        .env(SPEC_MARK, &launch.spec)
        .current_dir(state)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors);
    let pidfd = start(command).map_err(LocalNodeError::process("start", launch.name.clone()))?;
    Ok(Handle { pidfd, log_from })
}

/// The child is dropped at the end: tokio reaps the process if it exits while this one is running.
fn start(mut command: tokio::process::Command) -> io::Result<OwnedFd> {
    let child = command.spawn()?;
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    let pid = pid.ok_or(io::ErrorKind::NotFound)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// The environment of a component. Proxy settings are only for components that pull images; the others would use the
/// proxy to reach each other.
fn passed_on(reaches_out: bool) -> Vec<(OsString, OsString)> {
    const OUTSIDE: [&str; 8] = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ];
    let outside = OUTSIDE
        .iter()
        .filter_map(|key| Some((OsString::from(key), std::env::var_os(key)?)));
    let mut environment = vec![
        ("PATH".into(), search_path()),
        ("HOME".into(), "/root".into()),
    ];
    if reaches_out {
        environment.extend(outside);
    }
    environment
}

/// `PATH` including the directories of system programs, which ordinary logins do not have.
pub(super) fn search_path() -> OsString {
    let mut path = harmony_core::process::search_path().unwrap_or_default();
    for folder in [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ] {
        if !path.is_empty() {
            path.push(":");
        }
        path.push(folder);
    }
    path
}

fn open_log(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|meta| meta.len() > LOG_LIMIT) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// The process that has the socket with this inode.
pub(super) fn socket_holder(inode: u64) -> Option<i32> {
    let target = format!("socket:[{inode}]");
    let holds = |pid: &i32| {
        fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|mut fds| {
            fds.any(|fd| {
                fd.is_ok_and(|fd| {
                    fs::read_link(fd.path()).is_ok_and(|link| link == Path::new(&target))
                })
            })
        })
    };
    fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .find(holds)
}

/// The command line of a process, shortened for a message.
pub(super) fn command_line(pid: i32) -> String {
    const SHOWN: usize = 120;
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
    let line = line.trim();
    if line.chars().count() > SHOWN {
        format!("{}...", line.chars().take(SHOWN).collect::<String>())
    } else {
        line.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "12 (a) b (c) S 1 12 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 4242 1 2";
        assert_eq!(
            parse_stat(text),
            Some(Stat {
                state: 'S',
                session: 7,
                start_ticks: 4242
            })
        );
        assert_eq!(parse_stat("12 (x) Z"), None);
    }

    #[test]
    fn only_the_whole_value_of_the_marker_counts() {
        let environ =
            b"PATH=/bin\0HARMONY_NODE=/var/a\0HARMONY_NODE_COMPONENT=etcd\0HARMONY_NODE_SPEC=1\0";
        assert_eq!(
            marker_of(environ, NODE_MARK, Path::new("/var/a")),
            Some(("etcd".into(), "1".into()))
        );
        assert_eq!(marker_of(environ, NODE_MARK, Path::new("/var/ab")), None);
        assert_eq!(marker_of(environ, "HARMONY_NOD", Path::new("/var/a")), None);
    }

    #[test]
    fn every_user_of_a_process_counts() {
        for (line, all) in [
            ("Uid:\t0\t0\t0\t0", true),
            ("Uid:\t65534\t65534\t65534\t65534", false),
            ("Uid:\t65534\t0\t0\t0", false),
            ("Uid:", false),
            ("", false),
        ] {
            let status = format!("Name:\tx\n{line}\nGid:\t0\t0\t0\t0\n");
            assert_eq!(all_users_are(&status, 0), all, "{line}");
        }
    }

    /// Needs root to become another user.
    #[tokio::test]
    async fn a_marked_process_of_another_user_is_not_found() {
        use std::os::unix::process::CommandExt;
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let state = tempfile::tempdir().unwrap();
        let mut foreign = std::process::Command::new("/bin/sleep");
        foreign
            .arg("30")
            .uid(65534)
            .env(NODE_MARK, state.path())
            .env(COMPONENT_MARK, "etcd");
        let mut foreign = foreign.spawn().unwrap();
        let pid = i32::try_from(foreign.id()).unwrap();
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
        let carries_the_mark = marker_of(&environ, NODE_MARK, state.path()).is_some();
        let found = find(NODE_MARK, state.path()).unwrap();
        let marked = is_marked(pid, NODE_MARK, state.path());
        foreign.kill().unwrap();
        foreign.wait().unwrap();
        assert!(carries_the_mark);
        assert!(found.is_empty(), "{found:?}");
        assert!(!marked);
    }

    /// On a slow disk, `setsid` takes longer to load the program than the interval of the checks.
    #[tokio::test]
    async fn a_process_whose_program_is_still_loading_has_not_ended() {
        let state = tempfile::tempdir().unwrap();
        let slow = state.path().join("slow-setsid");
        fs::write(&slow, "#!/bin/sh\nsleep 0.2\necho done\n").unwrap();
        fs::set_permissions(&slow, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let never_loaded = Launch {
            name: "sleep".into(),
            program: "/bin/true".into(),
            args: Vec::new(),
            log: state.path().join("log"),
            reaches_out: false,
            env: Vec::new(),
            spec: "abc".into(),
        };
        fs::write(&never_loaded.log, "the last words of an earlier process\n").unwrap();
        let handle = launch(&never_loaded, &slow, state.path()).unwrap();
        let leaders = find(NODE_MARK, state.path()).unwrap();
        assert!(leaders.iter().all(|one| !one.leader), "{leaders:?}");
        assert!(!handle.has_ended());
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while !handle.has_ended() {
            assert!(std::time::Instant::now() < deadline, "it never ended");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(handle.output(&never_loaded.log, 10), ["done"]);
    }

    #[tokio::test]
    async fn a_launched_process_is_found_by_its_marker_and_stopped() {
        let state = tempfile::tempdir().unwrap();
        let log = state.path().join("sleep.log");
        let sleep = Launch {
            name: "sleep".into(),
            program: "/bin/sh".into(),
            args: vec![
                "-c".into(),
                "echo started; while :; do sleep 1; done".into(),
            ],
            log: log.clone(),
            reaches_out: false,
            env: Vec::new(),
            spec: "abc".into(),
        };
        let handle = launch(&sleep, Path::new("/usr/bin/setsid"), state.path()).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        let leader = loop {
            let mut found = find(NODE_MARK, state.path()).unwrap();
            found.retain(|process| process.leader);
            if let (Some(process), 1) = (
                found.pop(),
                fs::read_to_string(&log).unwrap().lines().count(),
            ) {
                break process;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "the process never appeared"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert_eq!(
            (leader.name.as_str(), leader.spec.as_str()),
            ("sleep", "abc")
        );
        assert!(!handle.has_ended());
        leader.stop(Duration::from_secs(5)).await.unwrap();
        assert!(handle.has_ended());
        for child in find(NODE_MARK, state.path()).unwrap() {
            child.stop(Duration::ZERO).await.unwrap();
        }
        assert!(find(NODE_MARK, state.path()).unwrap().is_empty());
    }
}
