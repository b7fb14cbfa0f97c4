//! What one container's status says is wrong with it.

use harmony_core::verify::FailureClass;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus};

/// One thing that is wrong, as it was seen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) class: FailureClass,
    /// What the subject does: `crashes at start (exit code 3)`.
    pub(super) what: String,
    /// The cluster's own words.
    pub(super) seen: String,
    /// What to do about it.
    pub(super) hint: String,
    /// How long it may last before it counts; `None`: until the deadline.
    pub(super) grace: Option<SignedDuration>,
    /// It tells that something is wrong but no longer what; a better cause that was seen before stays.
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

/// Waits for what may still arrive: a replicated registry, an object that another controller makes.
const NOT_FOUND_GRACE: i64 = 20;
const UNREACHABLE_GRACE: i64 = 30;
const MISSING_GRACE: i64 = 15;
/// A kubelet that could not start a container tries again; a fault of the image shows at once.
const START_GRACE: i64 = 15;
/// A container that ended waits for the thing it needs in this time, or in this many starts.
const CRASH_GRACE: i64 = 20;
const CRASH_RESTARTS: i32 = 2;

/// What is wrong with a container; `None` while it starts, runs, or ended as it should.
///
/// `restarts_after_success` is false for containers that may end: init containers, and those of a Job.
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
            format!("needs the image `{image}`, which the node does not have and may not pull"),
            seen,
            "import the image into the node, or let its pull policy be `IfNotPresent`",
        )),
        "InvalidImageName" => Some(Finding::new(
            ImagePull,
            0,
            format!("names the image `{image}`, which is no image reference"),
            seen,
            "write the image as `<registry>/<repository>@<digest>` or `<registry>/<repository>:<tag>`",
        )),
        "ImageInspectError" | "RegistryUnavailable" | "SignatureValidationFailed" => {
            Some(Finding::new(
                ImagePull,
                UNREACHABLE_GRACE,
                format!("cannot use the image `{image}`"),
                seen,
                "look at the image and at the node's container runtime",
            ))
        }
        // The kubelet's own cache is behind; it says so and tries again.
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
                        "ends again and again",
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
    // Older kubelets say no more than "Back-off pulling image".
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
            "push the image, or mend its name, tag or digest",
        )
    } else if says(&[
        "denied",
        "unauthorized",
        "authorization failed",
        "no basic auth",
        // Words, no status numbers: those may stand in a digest.
        "forbidden",
    ]) {
        Finding::new(
            FailureClass::ImagePull,
            NOT_FOUND_GRACE,
            format!("may not pull the image `{image}`"),
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

/// What to look at when the registry itself did not answer as it should.
fn unreachable_hint(says: &impl Fn(&[&str]) -> bool) -> &'static str {
    if says(&["x509", "certificate", "tls: "]) {
        "make the container runtime of the nodes trust the authority that signed the registry's certificate"
    } else if says(&["server gave http response to https client"]) {
        "give the registry a certificate, or let the container runtime of the nodes use plain HTTP for it"
    } else if says(&["no such host", "server misbehaving", "name resolution"]) {
        "check the registry's name, and that the nodes can resolve it"
    } else if says(&["toomanyrequests", "too many requests", "rate limit"]) {
        "the registry limits how often is pulled: log in with an image pull secret, or wait"
    } else if says(&[
        "connection refused",
        "timeout",
        "deadline exceeded",
        "no route",
        "unreachable",
    ]) {
        "check that the registry listens at that address, and that the nodes reach it"
    } else {
        "check that the nodes reach the registry: address, DNS, certificate, rate limit"
    }
}

/// Whether the kubelet only has not heard yet of an object that a pod names: its cache is behind, and it tries again.
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
            format!("needs something that is not there: {message}"),
            seen,
            "create it in the same namespace, or mend its name or key in the Score",
        )
    } else {
        Finding::new(
            FailureClass::ContainerStart,
            START_GRACE,
            "cannot be configured",
            seen,
            "mend the container's security context, environment or volumes in the Score",
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
            "ends with success again and again",
            seen,
            "a program that ends belongs into a Job; one that serves must keep running",
        ));
    }
    let how = if ran_briefly(end) {
        "crashes at start"
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

/// Under half a minute: it hardly got to serve anybody.
fn ran_briefly(end: &ContainerStateTerminated) -> bool {
    match (&end.started_at, &end.finished_at) {
        (Some(started), Some(finished)) => {
            finished.0.duration_since(started.0) < SignedDuration::from_secs(30)
        }
        _ => true,
    }
}

/// Words of the container runtime for a program that is not there or does not run on this machine.
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
        "the image has no such program, or it may not be run: mend the command, or the image"
    } else {
        "mend the container's command, mounts or security context in the Score"
    }
}
