//! The decision about one awaited object, and the state it needs between two looks.

use std::collections::BTreeMap;
use std::sync::Arc;

use harmony_core::kubernetes::ObjectRef;
use harmony_core::verify::{Confidence, FailureClass, Verdict};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::assessment::{Assessment, Waiting};
use super::container::Finding;
use super::observed::{Observed, Surroundings, name, uid};
use super::pods::{Located, examine_pod};
use super::probes::{is_young, liveness_is_undecided, probe_kill, proving_time};
use super::state::{is_leaving, is_ready, is_running, restarts};
use super::workload::assess;

/// How long an awaited object may be missing before it counts as deleted.
const ABSENT_GRACE: SignedDuration = SignedDuration::from_secs(5);

/// How often a pod may lose its readiness before that counts.
const LOSSES: u32 = 3;

/// The state of an awaited object.
#[derive(Debug)]
pub enum Progress {
    /// Its current revision serves.
    Ready,
    Waiting {
        /// A short progress text: `1/2 ready; pod web-6c9f: ContainerCreating`.
        why: String,
    },
    /// It will not become ready.
    Failed(Box<Failure>),
}

/// Why an object does not become ready.
#[derive(Debug)]
pub struct Failure {
    /// The verdict. Its evidence is what the objects say; the caller adds events and log lines.
    pub verdict: Verdict,
    /// Whose log and events say more.
    pub culprit: Option<Culprit>,
}

/// A pod, and the container at fault if known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    pub pod: String,
    pub uid: String,
    pub container: Option<String>,
}

/// Decides about one object. Keeps the first cause that was seen for each container, and since when.
#[derive(Debug)]
pub struct Tracker {
    target: ObjectRef,
    began: Timestamp,
    identity: Option<Identity>,
    seen: BTreeMap<Place, Sticky>,
    last: Last,
    is_waiting: bool,
    serving: Option<Serving>,
    /// How often a pod was ready and then was not, without a restart.
    losses: u32,
    job: JobSeen,
    note: Option<String>,
}

/// What was seen of a Job, which may be deleted once it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JobSeen {
    /// Nothing that explains why it is gone.
    Running,
    /// It deletes itself when it is done, and none of its runs has failed.
    CleansUp,
    /// It was complete.
    Complete,
}

/// Since when it has served without a restart.
#[derive(Debug)]
struct Serving {
    since: Timestamp,
    /// Each pod and the number of restarts of its containers.
    pods: BTreeMap<String, i32>,
}

impl Serving {
    fn of(pods: &[Arc<Pod>], since: Timestamp) -> Self {
        let pods = pods.iter();
        let pods = pods.map(|pod| (uid(&pod.metadata).to_owned(), restarts(pod)));
        Self {
            since,
            pods: pods.collect(),
        }
    }

    /// Whether none of its pods has restarted since.
    fn is_still(&self, now: &Self) -> bool {
        let pods = self.pods.iter();
        let mut pods = pods.filter_map(|(uid, count)| Some((count, now.pods.get(uid)?)));
        pods.all(|(then, now)| then == now)
    }

    /// Whether this run of the pod was ready.
    fn had(&self, pod: &Pod) -> bool {
        self.pods.get(uid(&pod.metadata)) == Some(&restarts(pod))
    }
}

/// Where something is wrong: a pod's uid and container, or the object itself.
type Place = (Option<String>, Option<String>);

#[derive(Debug)]
struct Sticky {
    located: Located,
    since: Timestamp,
    /// It was true at the last look.
    is_current: bool,
}

/// The object that was applied, to notice if another one replaces it.
#[derive(Debug, PartialEq)]
struct Identity {
    uid: String,
    /// The pod template of a workload. An autoscaler changes `replicas`, which is not part of it.
    template: Value,
}

/// What was seen last, for the verdict at the deadline.
#[derive(Debug, Default)]
struct Last {
    why: String,
    hint: Option<String>,
    culprit: Option<Culprit>,
}

impl Tracker {
    /// Starts to track at time `began`.
    pub fn new(target: ObjectRef, began: Timestamp) -> Self {
        Self {
            target,
            began,
            identity: None,
            seen: BTreeMap::new(),
            last: Last::default(),
            is_waiting: true,
            serving: None,
            losses: 0,
            job: JobSeen::Running,
            note: None,
        }
    }

    /// Whether it was not ready at the last look.
    pub fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// A note next to "ready": `runs on no node: ...`.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The tracked object.
    pub fn target(&self) -> &ObjectRef {
        &self.target
    }

    /// Looks once. `now` never goes back.
    pub fn decide(&mut self, observed: &Observed<'_>, now: Timestamp) -> Progress {
        let progress = self.judge(observed, now);
        self.is_waiting = !matches!(progress, Progress::Ready);
        progress
    }

    fn judge(&mut self, observed: &Observed<'_>, now: Timestamp) -> Progress {
        let Some(object) = observed.object else {
            return self.absent(now);
        };
        if let Some(failure) = self.superseded(object) {
            return Progress::Failed(Box::new(failure));
        }
        let waiting = match assess(&self.target, object, observed) {
            Assessment::Ready => {
                self.remember_job(object, true);
                return Progress::Ready;
            }
            Assessment::Serving { pods, note } => {
                // A container that its liveness probe kills is ready between two kills.
                let is_killed = pods
                    .iter()
                    .any(|pod| probe_kill(pod, observed.around, now).is_some());
                if !is_killed {
                    self.note = note;
                    return self.settle(&pods, observed.around, now);
                }
                Waiting {
                    why: "ready, but a probe kills it again and again".into(),
                    pods,
                    ..Waiting::default()
                }
            }
            Assessment::Silent { grace } => return self.silent(grace, now),
            Assessment::Waiting(waiting) => waiting,
        };
        self.remember_job(object, false);
        let flaps = self.flaps(&waiting, observed.around);
        self.serving = None;
        let mut found = Self::findings(&waiting, observed.around, now);
        if let Some(flaps) = flaps {
            let place = (Some(flaps.pod_uid.clone()), None);
            // That it is not ready at this moment says less.
            found.retain(|(other, _)| *other != place);
            found.push((place, flaps));
        }
        // A ready pod of the same revision disproves a cause in the template, unless it has that cause itself.
        let is_disproved = waiting.pods.iter().any(|pod| {
            let uid = pod.metadata.uid.as_deref().unwrap_or_default();
            is_ready(pod) && !found.iter().any(|(_, located)| located.pod_uid == uid)
        });
        self.remember(found, now);
        self.last = Last {
            why: waiting.why.clone(),
            hint: waiting.hint.clone(),
            culprit: waiting
                .pods
                .iter()
                .find(|pod| !is_ready(pod))
                .map(|pod| Culprit {
                    pod: pod.metadata.name.clone().unwrap_or_default(),
                    uid: pod.metadata.uid.clone().unwrap_or_default(),
                    container: None,
                }),
        };
        let over = self.seen.values().filter(|sticky| {
            let is_of_object = sticky.located.pod_uid.is_empty();
            sticky.is_current && (is_of_object || !is_disproved) && is_over(sticky, now)
        });
        // The pod is closer to the cause than its owner.
        let over = over.min_by_key(|sticky| (sticky.located.pod_uid.is_empty(), sticky.since));
        match over {
            Some(sticky) => {
                let failure = self.failure(self.root_of(sticky), now, false);
                Progress::Failed(Box::new(failure))
            }
            None => Progress::Waiting { why: waiting.why },
        }
    }

    /// The object only says that it made no progress; its pods say the cause.
    fn root_of<'a>(&'a self, sticky: &'a Sticky) -> &'a Sticky {
        let is_leaf = !sticky.located.pod_uid.is_empty();
        if is_leaf || sticky.located.finding.class != FailureClass::NotReady {
            return sticky;
        }
        let of_pods = self
            .seen
            .values()
            .filter(|other| other.is_current && !other.located.pod_uid.is_empty());
        of_pods.min_by_key(|other| other.since).unwrap_or(sticky)
    }

    /// The verdict at the deadline: the cause that was seen, else that it is not ready.
    pub fn give_up(&self, now: Timestamp) -> Failure {
        let current = self.seen.values().filter(|sticky| sticky.is_current);
        if let Some(sticky) = current.min_by_key(|sticky| sticky.since) {
            return self.failure(sticky, now, true);
        }
        let waited = now.duration_since(self.began).as_secs();
        let mut hints = Vec::new();
        hints.extend(self.last.hint.clone());
        hints.push(
            "run the same command again to continue waiting; the applied objects stay".into(),
        );
        hints.push(
            "if it needs more time, set a longer deadline in its Score, for example with \
             `DeployScore::with_ready_deadline`"
                .into(),
        );
        Failure {
            verdict: Verdict {
                class: FailureClass::NotReady,
                confidence: Confidence::Ambiguous,
                summary: format!("{} is not ready after {waited} s", self.target),
                subject: self.target.to_string(),
                evidence: vec![self.last.why.clone()],
                hints,
            },
            culprit: self.last.culprit.clone(),
        }
    }

    fn remember_job(&mut self, object: &Value, is_complete: bool) {
        if self.target.kind != "Job" || self.job == JobSeen::Complete {
            return;
        }
        let number = |pointer| object.pointer(pointer).and_then(Value::as_i64);
        let cleans_up = number("/spec/ttlSecondsAfterFinished").is_some()
            && number("/status/failed").unwrap_or(0) == 0;
        self.job = match (is_complete, cleans_up) {
            (true, _) => JobSeen::Complete,
            (false, true) => JobSeen::CleansUp,
            (false, false) => JobSeen::Running,
        };
    }

    /// A kind may define a status that no program ever writes.
    fn silent(&mut self, grace: SignedDuration, now: Timestamp) -> Progress {
        if now.duration_since(self.began) >= grace {
            self.note = Some("has no status, so it counts as ready".into());
            return Progress::Ready;
        }
        self.wait("it has no status yet")
    }

    /// Ready, once it has lasted: a program that crashes at start is ready for a moment, and one that its liveness
    /// probe kills is ready until then.
    fn settle(&mut self, pods: &[Arc<Pod>], around: &Surroundings, now: Timestamp) -> Progress {
        let ready = Serving::of(pods, now);
        let serving = self
            .serving
            .take()
            .filter(|serving| serving.is_still(&ready));
        let since = serving.map_or(now, |serving| serving.since);
        self.serving = Some(Serving { since, ..ready });
        let proving = pods.iter().map(|pod| proving_time(pod)).max();
        let has_lasted = now.duration_since(since) >= proving.unwrap_or_default();
        if !has_lasted && pods.iter().any(|pod| is_young(pod, now)) {
            return self.wait("ready; whether it stays so is watched for a moment");
        }
        if pods
            .iter()
            .any(|pod| liveness_is_undecided(pod, around, now))
        {
            return self.wait("ready; waiting for its liveness probe");
        }
        Progress::Ready
    }

    /// Counts pods that were ready and no longer are, without a restart: their readiness flaps.
    fn flaps(&mut self, waiting: &Waiting, around: &Surroundings) -> Option<Located> {
        let serving = self.serving.as_ref()?;
        let mut pods = waiting.pods.iter();
        let lost = pods.find(|pod| {
            !is_ready(pod) && !is_leaving(pod) && is_running(pod) && serving.had(pod)
        })?;
        self.losses += 1;
        if self.losses < LOSSES {
            return None;
        }
        let events = around.events_of(uid(&lost.metadata));
        let mut events = events.into_iter();
        let unhealthy = events.find(|event| event.reason.as_deref() == Some("Unhealthy"));
        let said = unhealthy.and_then(|event| event.message.clone());
        let said = said.unwrap_or_default();
        Some(Located {
            pod: name(&lost.metadata).to_owned(),
            pod_uid: uid(&lost.metadata).to_owned(),
            container: None,
            finding: Finding::new(
                FailureClass::NotReady,
                0,
                "becomes ready and loses it again and again",
                format!("{} times; {said}", self.losses).trim_end_matches("; "),
                "make the readiness probe answer the same as long as the program works, and give it the time that it \
                 needs in `timeoutSeconds`",
            ),
        })
    }

    fn wait(&mut self, why: &str) -> Progress {
        self.last.why = why.into();
        Progress::Waiting { why: why.into() }
    }

    fn absent(&mut self, now: Timestamp) -> Progress {
        let was_there = self.identity.is_some();
        // A complete Job stays complete, and only finished ones are deleted for their age.
        if self.job != JobSeen::Running {
            return Progress::Ready;
        }
        if was_there || now.duration_since(self.began) >= ABSENT_GRACE {
            let what = if was_there {
                "was deleted during the deploy"
            } else {
                "does not exist"
            };
            return Progress::Failed(Box::new(self.plain_failure(
                FailureClass::Superseded,
                what,
                "find out what deletes it, then run the same command again",
            )));
        }
        self.wait("does not exist yet")
    }

    /// Compares with the object of the first look.
    fn superseded(&mut self, object: &Value) -> Option<Failure> {
        let uid = object
            .pointer("/metadata/uid")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let template = match self.target.api_version.as_str() {
            "apps/v1" => object["spec"]["template"].clone(),
            _ => Value::Null,
        };
        let identity = Identity {
            uid: uid.to_owned(),
            template,
        };
        match &self.identity {
            None => {
                self.identity = Some(identity);
                None
            }
            Some(first) if *first == identity => None,
            Some(first) => {
                let what = if first.uid == identity.uid {
                    "was changed by someone else during the deploy"
                } else {
                    "was replaced by someone else during the deploy"
                };
                Some(self.plain_failure(
                    FailureClass::Superseded,
                    what,
                    "make sure that only one deploy at a time changes it, then run the same command again",
                ))
            }
        }
    }

    fn plain_failure(&self, class: FailureClass, what: &str, hint: &str) -> Failure {
        Failure {
            verdict: Verdict {
                class,
                confidence: Confidence::Final,
                summary: format!("{} {what}", self.target),
                subject: self.target.to_string(),
                evidence: Vec::new(),
                hints: vec![hint.into()],
            },
            culprit: None,
        }
    }

    /// Current problems, by place.
    fn findings(waiting: &Waiting, around: &Surroundings, now: Timestamp) -> Vec<(Place, Located)> {
        let of_object = waiting.troubles.iter().map(|finding| {
            let located = Located {
                pod: String::new(),
                pod_uid: String::new(),
                container: None,
                finding: finding.clone(),
            };
            ((None, None), located)
        });
        let of_pods = waiting
            .pods
            .iter()
            .flat_map(|pod| examine_pod(pod, around, waiting.may_end, now))
            .map(|located| {
                (
                    (Some(located.pod_uid.clone()), located.container.clone()),
                    located,
                )
            });
        of_object.chain(of_pods).collect()
    }

    /// Keeps the first message and time of each cause; a vaguer one does not replace it.
    fn remember(&mut self, found: Vec<(Place, Located)>, now: Timestamp) {
        for sticky in self.seen.values_mut() {
            sticky.is_current = false;
        }
        for (place, located) in found {
            match self.seen.get_mut(&place) {
                Some(sticky) if located.finding.is_vague && !sticky.located.finding.is_vague => {
                    sticky.is_current = true;
                }
                // The start time stays, because the precise message is about the same problem.
                Some(sticky) if sticky.located.finding.is_vague => {
                    sticky.is_current = true;
                    sticky.located = located;
                }
                Some(sticky) if sticky.located.finding.class == located.finding.class => {
                    sticky.is_current = true;
                    // The number of restarts decides when it is over; the first message is kept while the cause is the
                    // same.
                    sticky.located.finding.grace = located.finding.grace;
                    if located.finding.class == FailureClass::CrashLoop {
                        sticky.located = located;
                    }
                }
                _ => {
                    let sticky = Sticky {
                        located,
                        since: now,
                        is_current: true,
                    };
                    self.seen.insert(place, sticky);
                }
            }
        }
    }

    fn failure(&self, sticky: &Sticky, now: Timestamp, at_deadline: bool) -> Failure {
        let Located {
            pod,
            pod_uid,
            container,
            finding,
        } = &sticky.located;
        let confidence = match finding.grace {
            _ if at_deadline => Confidence::Ambiguous,
            Some(grace) if grace.is_zero() && !is_counted(finding.class) => Confidence::Final,
            _ => Confidence::AfterGrace,
        };
        let who = match (container, pod.is_empty()) {
            (Some(container), _) => format!("container {container} of {}", self.target),
            (None, false) if self.target.kind != "Pod" => format!("a pod of {}", self.target),
            _ => self.target.to_string(),
        };
        let lasted = now.duration_since(sticky.since).as_secs();
        let place = match (container, pod.is_empty()) {
            (Some(container), _) => format!("pod {pod}, container {container}: "),
            (None, false) => format!("pod {pod}: "),
            (None, true) => String::new(),
        };
        let mut hints = vec![finding.hint.clone()];
        hints.extend(self.last.hint.clone());
        Failure {
            verdict: Verdict {
                class: finding.class,
                confidence,
                summary: format!("{who} {}", finding.what),
                subject: self.target.to_string(),
                evidence: vec![format!("{place}{} (for {lasted} s)", finding.seen)],
                hints,
            },
            culprit: (!pod.is_empty())
                .then(|| Culprit {
                    pod: pod.clone(),
                    uid: pod_uid.clone(),
                    container: container.clone(),
                })
                .or_else(|| self.last.culprit.clone()),
        }
    }
}

fn is_over(sticky: &Sticky, now: Timestamp) -> bool {
    let Finding { grace, .. } = &sticky.located.finding;
    grace.is_some_and(|grace| now.duration_since(sticky.since) >= grace)
}

/// Classes that depend on how often or how long something happened.
fn is_counted(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::CrashLoop | FailureClass::OutOfMemory | FailureClass::NotReady
    )
}
