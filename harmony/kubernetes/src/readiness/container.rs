//! Diagnoses the status of one container.

use harmony_core::verify::FailureClass;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus};

/// A problem, as observed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) class: FailureClass,
    /// The problem, as a predicate: `keeps crashing (exit code 3)`.
    pub(super) what: String,
    /// The cluster's own message.
    pub(super) seen: String,
    /// What to do about it.
    pub(super) hint: String,
    /// How long it may last before it counts; `None`: until the deadline.
    pub(super) grace: Option<SignedDuration>,
    /// It says that something is wrong but not what; a better cause that was seen earlier is kept.
    pub(super) is_vague: bool,
}

impl Finding {
    pub(super) fn new(
        class: FailureClass,
        grace: i64,
        what: impl Into<String>,
        seen: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            class,
            what: what.into(),
            seen: seen.into(),
            hint: hint.into(),
            grace: Some(SignedDuration::from_secs(grace)),
            is_vague: false,
        }
    }
}

/// Allows for things that may still arrive: a replicated registry, an object that another controller creates.
const NOT_FOUND_GRACE: i64 = 20;
const UNREACHABLE_GRACE: i64 = 30;
const MISSING_GRACE: i64 = 15;
/// The kubelet retries a container that could not start; a broken image shows immediately.
const START_GRACE: i64 = 15;
/// A container that ended may be waiting for a dependency: for this time, or this many starts.
const CRASH_GRACE: i64 = 20;
const CRASH_RESTARTS: i32 = 2;

/// What is wrong with a container; `None` while it starts, runs, or has ended as expected.
///
/// `restarts_after_success` is false for containers that may end: init containers and those of Jobs.
pub(super) fn examine(status: &ContainerStatus, restarts_after_success: bool) -> Option<Finding> {
    let state = status.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let message = waiting.message.as_deref().unwrap_or_default();
        return waiting_for(status, reason, message, restarts_after_success);
    }
    let terminated = state.terminated.as_ref()?;
    ended(status, terminated, restarts_after_success)
}

fn waiting_for(
    status: &ContainerStatus,
    reason: &str,
    message: &str,
    restarts_after_success: bool,
) -> Option<Finding> {
    use FailureClass::{ContainerStart, ImageNotFound, ImagePull};
    let seen = if message.is_empty() {
        reason.to_owned()
    } else {
        format!("{reason}: {message}")
    };
    let image = &status.image;
    match reason {
        "ErrImagePull" | "ImagePullBackOff" => Some(pull_failed(reason, message, image, seen)),
        "ErrImageNeverPull" => Some(Finding::new(
            ImageNotFound,
            0,
            format!("needs the image `{image}`, which is not on the node and must not be pulled"),
            seen,
            "import the image into the node, or set its pull policy to `IfNotPresent`",
        )),
        "InvalidImageName" => Some(Finding::new(
            ImagePull,
            0,
            format!("has the invalid image reference `{image}`"),
            seen,
            "use the form `<registry>/<repository>@<digest>` or `<registry>/<repository>:<tag>`",
        )),
        "ImageInspectError" | "RegistryUnavailable" | "SignatureValidationFailed" => {
            Some(Finding::new(
                ImagePull,
                UNREACHABLE_GRACE,
                format!("cannot use the image `{image}`"),
                seen,
                "check the image and the container runtime of the node",
            ))
        }
        // The kubelet's cache is behind; it says so and retries.
        "CreateContainerConfigError" if waits_for_kubelet(message) => None,
        "CreateContainerConfigError" => Some(config_error(message, seen)),
        "CreateContainerError" | "RunContainerError" | "StartError" => {
            let is_final = is_fault_of_the_image(message);
            Some(Finding::new(
                ContainerStart,
                if is_final { 0 } else { START_GRACE },
                "cannot be started",
                seen,
                start_hint(message),
            ))
        }
        "CrashLoopBackOff" => {
            let last = status
                .last_state
                .as_ref()
                .and_then(|state| state.terminated.as_ref());
            match last {
                Some(last) => ended(status, last, restarts_after_success),
                None => Some(Finding {
                    is_vague: true,
                    ..Finding::new(
                        FailureClass::CrashLoop,
                        CRASH_GRACE,
                        "keeps exiting",
                        seen,
                        CRASH_HINT,
                    )
                }),
            }
        }
        _ => None,
    }
}

const CRASH_HINT: &str = "read the log above; run the image by itself to see it fail the same way";

fn pull_failed(reason: &str, message: &str, image: &str, seen: String) -> Finding {
    let text = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    // Older kubelets only say "Back-off pulling image".
    let is_vague = reason == "ImagePullBackOff" && !message.contains("ErrImagePull");
    let finding = if says(&[
        "manifest unknown",
        "not found",
        "name unknown",
        "does not exist",
    ]) && !says(&["pull access denied", "no such host"])
    {
        Finding::new(
            FailureClass::ImageNotFound,
            NOT_FOUND_GRACE,
            format!("needs the image `{image}`, which does not exist"),
            seen,
            "push the image, or fix its name, tag or digest",
        )
    } else if says(&[
        "denied",
        "unauthorized",
        "authorization failed",
        "no basic auth",
        // Words instead of status numbers, which may be part of a digest.
        "forbidden",
    ]) {
        Finding::new(
            FailureClass::ImagePull,
            NOT_FOUND_GRACE,
            format!("is not allowed to pull the image `{image}`"),
            seen,
            "give the pod an image pull secret with the right user and password, and check that the repository exists",
        )
    } else {
        Finding::new(
            FailureClass::ImagePull,
            UNREACHABLE_GRACE,
            format!("cannot pull the image `{image}`"),
            seen,
            unreachable_hint(&says),
        )
    };
    Finding {
        is_vague,
        ..finding
    }
}

/// The hint for a registry that did not answer as expected.
fn unreachable_hint(says: &impl Fn(&[&str]) -> bool) -> &'static str {
    if says(&["x509", "certificate", "tls: "]) {
        "make the container runtime of the nodes trust the certificate authority of the registry"
    } else if says(&["server gave http response to https client"]) {
        "give the registry a certificate, or let the container runtime of the nodes use plain HTTP for it"
    } else if says(&["no such host", "server misbehaving", "name resolution"]) {
        "check the registry's name, and that the nodes can resolve it"
    } else if says(&["toomanyrequests", "too many requests", "rate limit"]) {
        "the registry limits the rate of pulls: log in with an image pull secret, or wait"
    } else if says(&[
        "connection refused",
        "timeout",
        "deadline exceeded",
        "no route",
        "unreachable",
    ]) {
        "check that the registry listens on this address, and that the nodes can reach it"
    } else {
        "check that the nodes can reach the registry: address, DNS, certificate, rate limit"
    }
}

/// Whether the kubelet has just not seen an object that a pod names: its cache is behind, and it retries.
pub(super) fn waits_for_kubelet(message: &str) -> bool {
    let is_behind = message.contains("failed to sync") && message.contains("cache");
    // Every namespace gets this ConfigMap, and every pod mounts it in `kube-api-access-`.
    let is_young = message.contains("\"kube-root-ca.crt\" not found");
    is_behind
        || is_young
        || message.contains("not registered")
        || message.contains("timed out waiting for the condition")
}

fn config_error(message: &str, seen: String) -> Finding {
    let is_missing = message.contains("not found") || message.contains("couldn't find key");
    if is_missing {
        Finding::new(
            FailureClass::MissingReference,
            MISSING_GRACE,
            format!("refers to something that does not exist: {message}"),
            seen,
            "create it in the same namespace, or fix its name or key in the Score",
        )
    } else {
        Finding::new(
            FailureClass::ContainerStart,
            START_GRACE,
            "cannot be configured",
            seen,
            "fix the container's security context, environment or volumes in the Score",
        )
    }
}

fn ended(
    status: &ContainerStatus,
    end: &ContainerStateTerminated,
    restarts_after_success: bool,
) -> Option<Finding> {
    let reason = end.reason.as_deref().unwrap_or_default();
    let message = end.message.as_deref().unwrap_or_default();
    let code = end.exit_code;
    if code == 0 && !restarts_after_success {
        return None;
    }
    let restarts = status.restart_count;
    let mut seen = format!("{reason}, exit code {code}, {restarts} restarts");
    if !message.is_empty() {
        seen = format!("{seen}: {message}");
    }
    let settled = if restarts >= CRASH_RESTARTS {
        0
    } else {
        CRASH_GRACE
    };
    if reason == "OOMKilled" {
        let grace = if restarts >= 1 { 0 } else { CRASH_GRACE };
        return Some(Finding::new(
            FailureClass::OutOfMemory,
            grace,
            "is killed because it uses more memory than its limit",
            seen,
            "raise `resources.limits.memory`, or make the program use less",
        ));
    }
    if matches!(reason, "StartError" | "ContainerCannotRun") || matches!(code, 126 | 127) {
        let is_final = is_fault_of_the_image(message) || matches!(code, 126 | 127);
        return Some(Finding::new(
            FailureClass::ContainerStart,
            if is_final { 0 } else { START_GRACE },
            format!("cannot be started (exit code {code})"),
            seen,
            start_hint(message),
        ));
    }
    if code == 0 {
        return Some(Finding::new(
            FailureClass::CrashLoop,
            settled,
            "keeps exiting with code 0",
            seen,
            "a program that exits belongs in a Job; a server must keep running",
        ));
    }
    let how = if ran_briefly(end) {
        "keeps crashing"
    } else {
        "crashes"
    };
    Some(Finding::new(
        FailureClass::CrashLoop,
        settled,
        format!("{how} (exit code {code})"),
        seen,
        CRASH_HINT,
    ))
}

/// Less than half a minute: it can hardly have served anybody.
fn ran_briefly(end: &ContainerStateTerminated) -> bool {
    match (&end.started_at, &end.finished_at) {
        (Some(started), Some(finished)) => {
            finished.0.duration_since(started.0) < SignedDuration::from_secs(30)
        }
        _ => true,
    }
}

/// Messages of the container runtime for a program that is missing or does not run on this machine.
fn is_fault_of_the_image(message: &str) -> bool {
    const WORDS: [&str; 5] = [
        "executable file not found",
        "no such file or directory",
        "permission denied",
        "exec format error",
        "is a directory",
    ];
    WORDS.iter().any(|word| message.contains(word))
}

fn start_hint(message: &str) -> &'static str {
    if message.contains("exec format error") {
        "the program is for another processor: build the image for the node's architecture"
    } else if is_fault_of_the_image(message) {
        "the program is not in the image or not executable: fix the command or the image"
    } else {
        "fix the container's command, mounts or security context in the Score"
    }
}
