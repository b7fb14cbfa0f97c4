//! The shell of readiness: watches namespaces, queries the trackers, and collects evidence of failures.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{StreamExt, TryStreamExt};
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::event::Event;
use harmony_core::kubernetes::ObjectRef;
use harmony_types::Namespace;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::api::core::v1::{Event as KubeEvent, Namespace as NamespaceObject, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::IngressClass;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::budget::extended;
use super::evidence::{self, Located};
use super::workload::{has_readiness, is_custom};
use super::{Observed, Progress, Surroundings, Tracker};
use crate::connection::{Connection, REQUEST_TIMEOUT};
use crate::kinds::Kind;

/// Looks at least this often, to notice when a grace period ends or a watch is lost.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_millis(500);

/// Changes come in bursts; one look handles them all.
const BURST: Duration = Duration::from_millis(30);

/// Waits until the current revision of each object serves.
///
/// Level-triggered: a watch only says that it is time to look; the stores hold the state. A watch that ends is opened
/// again with a fresh list.
pub(crate) async fn wait_ready(
    connection: &Connection,
    objects: &[ObjectRef],
    deadline: Duration,
) -> Result<(), ClusterError> {
    let context = &connection.context;
    let began = Instant::now();
    let mut awaited: Vec<&ObjectRef> = objects
        .iter()
        .filter(|object| has_readiness(object))
        .collect();
    if awaited.iter().any(|object| is_namespace(object)) {
        let may_watch = may_watch_namespaces(&connection.client);
        if !context.unless_cancelled(may_watch).await? {
            awaited.retain(|object| !is_namespace(object));
        }
    }
    let mut watched = context
        .unless_cancelled(Watched::open(connection, &awaited))
        .await??;
    let until = began + watched.extended(deadline, &awaited);
    let mut trackers: Vec<Tracker> = awaited
        .into_iter()
        .map(|object| Tracker::new(object.clone(), Timestamp::now()))
        .collect();
    let step =
        (trackers.len() > 1).then(|| context.step(format!("wait for {} objects", trackers.len())));
    let step = step.or_else(|| {
        trackers
            .first()
            .map(|only| context.step(format!("wait for {}", only.target())))
    });
    let mut said = String::new();
    let failure = loop {
        let (waiting, failed) = look(&mut trackers, &watched);
        if let Some(failure) = failed {
            break failure;
        }
        let Some(first) = waiting.first() else {
            if let Some(step) = step {
                step.done("ready");
            }
            for tracker in &trackers {
                if let Some(note) = tracker.note() {
                    let message = format!("{} {note}.", tracker.target());
                    context.emit(Event::Warning { message });
                }
            }
            return Ok(());
        };
        let message = match waiting.len() {
            1 => first.clone(),
            more => format!("{first} (and {} more)", more - 1),
        };
        if message != said {
            if let Some(step) = &step {
                step.message(&message);
            }
            said = message;
        }
        if Instant::now() >= until {
            let Some(failure) = give_up(&trackers, &watched) else {
                return Ok(());
            };
            break failure;
        }
        context.unless_cancelled(watched.changed(until)).await?;
    };
    let gathered = evidence::gather(connection, failure);
    let verdict = context.unless_cancelled(gathered).await?;
    Err(ClusterError::NotReady(Box::new(verdict)))
}

/// Namespaces are in no namespace, so users who have permissions in one alone may not watch them. They need not: a
/// namespace is ready as soon as it exists.
async fn may_watch_namespaces(client: &Client) -> bool {
    let namespaces: Api<NamespaceObject> = Api::all(client.clone());
    let one = ListParams::default().limit(1);
    match timeout(REQUEST_TIMEOUT, namespaces.list_metadata(&one)).await {
        Ok(Err(kube::Error::Api(status))) => status.code != 403,
        // Another error is that of the watch.
        _ => true,
    }
}

fn is_namespace(object: &ObjectRef) -> bool {
    object.kind == "Namespace" && object.api_version == "v1"
}

/// Queries every tracker; returns what is still awaited, and the first failure.
fn look(trackers: &mut [Tracker], watched: &Watched) -> (Vec<String>, Option<Located>) {
    let now = Timestamp::now();
    let around = watched.surroundings();
    let mut waiting = Vec::new();
    for tracker in trackers {
        let target = tracker.target().clone();
        let around = watched
            .namespace_of(&target)
            .and_then(|namespace| around.get(namespace));
        let nothing = Surroundings::default();
        let around = around.unwrap_or(&nothing);
        let (object, has_status) = watched.object(&target);
        let observed = Observed {
            object: object.as_ref(),
            has_status,
            around,
        };
        match tracker.decide(&observed, now) {
            Progress::Ready => {}
            Progress::Waiting { why } => waiting.push(format!("{target}: {why}")),
            Progress::Failed(failure) => {
                let located = Located {
                    namespace: watched.namespace_of(&target).cloned(),
                    failure: *failure,
                    events: around.events.clone(),
                };
                return (waiting, Some(located));
            }
        }
    }
    (waiting, None)
}

/// At the deadline, returns the verdict of the first object that is not ready, workloads before the Services that lead
/// to them.
fn give_up(trackers: &[Tracker], watched: &Watched) -> Option<Located> {
    let now = Timestamp::now();
    let around = watched.surroundings();
    let is_symptom = |tracker: &Tracker| {
        matches!(
            tracker.target().kind.as_str(),
            "Service" | "Ingress" | "HorizontalPodAutoscaler" | "PodDisruptionBudget"
        )
    };
    let not_ready = trackers.iter().filter(|tracker| tracker.is_waiting());
    let tracker = not_ready
        .min_by_key(|tracker| is_symptom(tracker))
        .or(trackers.first());
    let tracker = tracker?;
    let namespace = watched.namespace_of(tracker.target()).cloned();
    let events = namespace
        .as_ref()
        .and_then(|namespace| around.get(namespace))
        .map(|around| around.events.clone())
        .unwrap_or_default();
    Some(Located {
        namespace,
        failure: tracker.give_up(now),
        events,
    })
}

/// The stores that follow the cluster, and the signal that one of them changed.
struct Watched {
    namespaces: BTreeMap<Namespace, Around>,
    targets: Vec<Target>,
    signals: Signals,
    /// Only if an Ingress is awaited.
    ingress_classes: Option<Store<IngressClass>>,
    has_custom_resources: bool,
}

/// Something changed, or a watch could not be opened and is retried.
type Signal = BoxStream<'static, Result<(), watcher::Error>>;
type Signals = SelectAll<Signal>;

/// The stores of one namespace.
struct Around {
    pods: Store<Pod>,
    replica_sets: Store<ReplicaSet>,
    revisions: Store<ControllerRevision>,
    events: Store<KubeEvent>,
    endpoints: Store<EndpointSlice>,
    /// Only if an Ingress is awaited.
    services: Option<Store<Service>>,
}

/// The store of one awaited kind in one place.
struct Target {
    api_version: String,
    kind: String,
    namespace: Option<Namespace>,
    has_status: bool,
    store: Store<DynamicObject>,
    resource: ApiResource,
}

impl Watched {
    /// Opens every watch and waits for the first lists.
    async fn open(connection: &Connection, objects: &[&ObjectRef]) -> Result<Self, ClusterError> {
        let mut signals = SelectAll::new();
        let client = &connection.client;
        let mut namespaces = BTreeMap::new();
        let mut targets: Vec<Target> = Vec::new();
        let mut wanted = BTreeSet::new();
        let awaits_ingress = objects.iter().any(|object| is_ingress(object));
        for object in objects {
            let kind = connection.kind(object).await?;
            let kind = kind.ok_or_else(|| ClusterError::UnknownKind {
                object: (*object).clone(),
            })?;
            let namespace = place_of(object, &kind)?;
            if let Some(namespace) = &namespace
                && needs_surroundings(object)
            {
                namespaces.entry(namespace.clone()).or_insert_with(|| {
                    Around::open(client, namespace, awaits_ingress, &mut signals)
                });
            }
            if wanted.insert((
                object.api_version.clone(),
                object.kind.clone(),
                namespace.clone(),
            )) {
                let (store, changes) = follow(kind.api(client, object), kind.resource.clone());
                signals.push(changes);
                targets.push(Target {
                    api_version: object.api_version.clone(),
                    kind: object.kind.clone(),
                    namespace,
                    has_status: kind.has_status,
                    store,
                    resource: kind.resource,
                });
            }
        }
        let ingress_classes = awaits_ingress.then(|| {
            // Without permission to list them, readiness does without: errors of this watch are retried and otherwise
            // ignored.
            let (store, changes) = follow(Api::all(client.clone()), ());
            signals.push(
                changes
                    .filter_map(async |signal| signal.is_ok().then_some(signal))
                    .boxed(),
            );
            store
        });
        let mut watched = Self {
            namespaces,
            targets,
            signals,
            ingress_classes,
            has_custom_resources: objects.iter().any(|object| is_custom(object)),
        };
        if let Some(about) = objects.first() {
            watched.fill(connection, about).await?;
        }
        Ok(watched)
    }

    /// Drives the watches until every store has its first list.
    async fn fill(
        &mut self,
        connection: &Connection,
        about: &ObjectRef,
    ) -> Result<(), ClusterError> {
        let attempt = connection.attempt("watch", about);
        let filled = async {
            while !self.is_filled() {
                match self.signals.next().await {
                    // A forbidden request will be forbidden at the next attempt.
                    Some(Err(watcher::Error::InitialListFailed(kube::Error::Api(status))))
                        if matches!(status.code, 401 | 403) =>
                    {
                        return Err(attempt.failed(kube::Error::Api(status)));
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            Ok(())
        };
        timeout(REQUEST_TIMEOUT, filled)
            .await
            .unwrap_or_else(|elapsed| Err(attempt.timed_out(elapsed)))
    }

    fn is_filled(&self) -> bool {
        self.targets.iter().all(|target| is_filled(&target.store))
            && self.namespaces.values().all(|around| {
                is_filled(&around.pods)
                    && is_filled(&around.replica_sets)
                    && is_filled(&around.revisions)
                    && is_filled(&around.events)
                    && is_filled(&around.endpoints)
                    && around.services.as_ref().is_none_or(is_filled)
            })
    }

    /// Returns when it is time to look again.
    async fn changed(&mut self, until: Instant) {
        let latest = until.min(Instant::now() + LOOK_AT_LEAST_EVERY);
        if timeout_at(latest, self.signals.next())
            .await
            .is_ok_and(|signal| signal.is_none())
        {
            // All watches ended, which they do not do by themselves; fall back to the timer.
            sleep(LOOK_AT_LEAST_EVERY).await;
        }
        let burst = Instant::now() + BURST;
        while timeout_at(burst, self.signals.next())
            .await
            .is_ok_and(|signal| signal.is_some())
        {}
    }

    fn surroundings(&self) -> BTreeMap<&Namespace, Surroundings> {
        let classes = self.ingress_classes.as_ref();
        let classes = classes
            .filter(|classes| is_filled(classes))
            .map(Store::state);
        let read = |namespace: &Namespace, around: &Around| Surroundings {
            pods: around.pods.state(),
            replica_sets: around.replica_sets.state(),
            revisions: around.revisions.state(),
            events: around.events.state(),
            endpoints: around.endpoints.state(),
            workloads: self.workloads(namespace),
            has_custom_resources: self.has_custom_resources,
            services: around.services.as_ref().map(Store::state),
            ingress_classes: classes.clone(),
        };
        self.namespaces
            .iter()
            .map(|(namespace, around)| (namespace, read(namespace, around)))
            .collect()
    }

    /// The awaited objects of a namespace that have a pod template.
    fn workloads(&self, namespace: &Namespace) -> Vec<Value> {
        let targets = self.targets.iter();
        let here = targets.filter(|target| {
            target.namespace.as_ref() == Some(namespace)
                && matches!(target.api_version.as_str(), "apps/v1" | "batch/v1")
        });
        let objects = here.flat_map(|target| target.store.state());
        objects
            .filter_map(|object| serde_json::to_value(&*object).ok())
            .collect()
    }

    /// The deadline, or the time that the probes of the awaited objects allow if that is longer.
    fn extended(&self, deadline: Duration, awaited: &[&ObjectRef]) -> Duration {
        let objects = awaited.iter().filter_map(|object| self.object(object).0);
        let Ok(asked) = deadline.try_into() else {
            return deadline;
        };
        extended(asked, objects).try_into().unwrap_or(deadline)
    }

    fn target(&self, object: &ObjectRef) -> Option<&Target> {
        self.targets.iter().find(|target| {
            target.api_version == object.api_version
                && target.kind == object.kind
                && (object.namespace.is_none()
                    || target.namespace == object.namespace
                    || target.namespace.is_none())
        })
    }

    fn namespace_of(&self, object: &ObjectRef) -> Option<&Namespace> {
        self.target(object)?.namespace.as_ref()
    }

    /// The live object, and whether its kind has a status.
    fn object(&self, object: &ObjectRef) -> (Option<Value>, bool) {
        let Some(target) = self.target(object) else {
            return (None, false);
        };
        let mut key = reflector::ObjectRef::new_with(object.name.as_str(), target.resource.clone());
        if let Some(namespace) = &target.namespace {
            key = key.within(namespace.as_str());
        }
        let found = target.store.get(&key);
        let found = found.and_then(|found| serde_json::to_value(&*found).ok());
        (found, target.has_status)
    }
}

impl Around {
    fn open(
        client: &Client,
        namespace: &Namespace,
        awaits_ingress: bool,
        signals: &mut Signals,
    ) -> Self {
        let name = namespace.as_str();
        let (pods, changes) = follow(Api::namespaced(client.clone(), name), ());
        signals.push(changes);
        let (replica_sets, changes) = follow(Api::namespaced(client.clone(), name), ());
        signals.push(changes);
        let (revisions, changes) = follow(Api::namespaced(client.clone(), name), ());
        signals.push(changes);
        let (events, changes) = follow(Api::namespaced(client.clone(), name), ());
        signals.push(changes);
        let (endpoints, changes) = follow(Api::namespaced(client.clone(), name), ());
        signals.push(changes);
        let services = awaits_ingress.then(|| {
            let (services, changes) = follow(Api::namespaced(client.clone(), name), ());
            signals.push(changes);
            services
        });
        Self {
            pods,
            replica_sets,
            revisions,
            events,
            endpoints,
            services,
        }
    }
}

fn is_ingress(object: &ObjectRef) -> bool {
    object.kind == "Ingress" && object.api_version.starts_with("networking.k8s.io/")
}

/// A store that follows what `api` lists, and a signal for each change. Errors are retried forever with increasing
/// pauses; the deadline ends the wait.
fn follow<K>(api: Api<K>, kind: K::DynamicType) -> (Store<K>, Signal)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone + Debug + Send + Sync + Unpin,
{
    let writer = reflector::store::Writer::new(kind);
    let store = writer.as_reader();
    let changes = watcher(api, watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .inspect_err(|error| tracing::debug!(%error, "a watch ended; opening it again"))
        .map_ok(|_event| ())
        .boxed();
    (store, changes)
}

/// Whether the first list has arrived: `wait_until_ready` then resolves without waiting.
fn is_filled<K>(store: &Store<K>) -> bool
where
    K: kube::runtime::reflector::Lookup + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    use futures_util::FutureExt;
    store.wait_until_ready().now_or_never().is_some()
}

/// The namespace of an object; a namespaced object without one is in `default`.
fn place_of(object: &ObjectRef, kind: &Kind) -> Result<Option<Namespace>, ClusterError> {
    if !kind.is_namespaced {
        return Ok(None);
    }
    match &object.namespace {
        Some(namespace) => Ok(Some(namespace.clone())),
        None => Namespace::parse("default")
            .map(Some)
            .map_err(|source| ClusterError::Request {
                verb: "await",
                object: object.clone(),
                source: source.into(),
            }),
    }
}

/// Whether the pods, events and endpoints of its namespace say something about the object.
fn needs_surroundings(object: &ObjectRef) -> bool {
    let group = object
        .api_version
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    matches!(group, "apps" | "batch" | "autoscaling" | "policy")
        || is_ingress(object)
        || (group.is_empty()
            && matches!(
                object.kind.as_str(),
                "Pod" | "Service" | "PersistentVolumeClaim"
            ))
}
