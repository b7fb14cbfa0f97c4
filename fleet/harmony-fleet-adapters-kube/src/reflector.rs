//! Executes the plan with the Kubernetes API.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use harmony_fleet_domain::{
    Cause, ErrorChain, FleetDevice, FleetReflector, ReflectError, Reflected,
};
use harmony_reconciler_contracts::TenantId;
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::reflector::{Store, store};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Client, CustomResourceExt, Resource, ResourceExt};
use tokio::task::JoinHandle;

use crate::device::Device;
use crate::plan::{MANAGER, Write, plan};

/// Copies the devices of a tenant to `Device` resources in a namespace.
///
/// A watch keeps a copy of the resources in the cluster, so a call without changes needs no request. The watch is only
/// a hint: after an interruption, the next call queries the API server first, and the watch starts again with a new
/// list.
pub struct KubeFleetReflector {
    devices: Api<Device>,
    tenant: TenantId,
    shown: Store<Device>,
    /// Whether the watch has had no errors since the last response of the API server.
    fresh: Arc<AtomicBool>,
    watch: JoinHandle<()>,
}

/// The time limit of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The time limit for the first list of the watch.
const FIRST_LISTING: Duration = Duration::from_secs(5);

/// The maximum number of concurrent writes: enough for a large fleet, few enough not to disturb others.
const PARALLEL_WRITES: usize = 8;

impl KubeFleetReflector {
    /// Connects to the cluster that this process runs in, or to the current context of the kubeconfig, and uses
    /// `namespace` or the default namespace of the cluster or the context. Must be called in a tokio runtime. Does not
    /// wait for the API server.
    pub async fn infer(
        namespace: Option<&str>,
        tenant: TenantId,
    ) -> Result<Self, KubeConnectError> {
        let config = kube::Config::infer()
            .await
            .map_err(|source| KubeConnectError::NoConfig(source.into()))?;
        let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
        let client =
            Client::try_from(config).map_err(|source| KubeConnectError::Client(source.into()))?;
        Ok(Self::new(client, &namespace, tenant))
    }

    /// Uses the given client. Must be called in a tokio runtime.
    pub fn new(client: Client, namespace: &str, tenant: TenantId) -> Self {
        let devices = Api::namespaced(client, namespace);
        let (shown, writer) = store();
        let fresh = Arc::new(AtomicBool::new(false));
        let watch = tokio::spawn(keep_watching(devices.clone(), writer, fresh.clone()));
        Self {
            devices,
            tenant,
            shown,
            fresh,
            watch,
        }
    }

    /// Checks that the copy is reliable; otherwise returns the reason.
    async fn check_watch(&self) -> Result<(), ReflectError> {
        if self.fresh.load(Ordering::Relaxed) {
            return Ok(());
        }
        let action = "list the devices in Kubernetes";
        let one = ListParams::default().limit(1);
        within_limit(action, self.devices.list(&one)).await?;
        tokio::time::timeout(FIRST_LISTING, self.shown.wait_until_ready())
            .await
            .map_err(|e| failed(action, e))?
            .map_err(|e| failed(action, e))?;
        self.fresh.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn carry_out(&self, write: Write) -> Result<Done, ReflectError> {
        match write {
            Write::Apply(device) => {
                self.apply(&device).await?;
                self.apply_status(&device).await?;
                Ok(Done::Written)
            }
            Write::Status(device) => {
                self.apply_status(&device).await?;
                Ok(Done::Written)
            }
            Write::Remove(name) => {
                let action = format!("remove the device `{name}` from Kubernetes");
                let options = DeleteParams::default();
                match within_limit(&action, self.devices.delete(&name, &options)).await {
                    // Someone else was faster.
                    Err(ReflectError::Failed { source, .. }) if is_not_found(&source) => {}
                    other => {
                        other?;
                    }
                }
                Ok(Done::Removed)
            }
        }
    }

    async fn apply(&self, device: &Device) -> Result<(), ReflectError> {
        let name = device.name_any();
        let action = format!("write the device `{name}` to Kubernetes");
        let body = Device {
            status: None,
            ..device.clone()
        };
        let patch = Patch::Apply(&body);
        within_limit(&action, self.devices.patch(&name, &params(), &patch)).await?;
        Ok(())
    }

    async fn apply_status(&self, device: &Device) -> Result<(), ReflectError> {
        let name = device.name_any();
        let action = format!("write the status of the device `{name}` to Kubernetes");
        let body = serde_json::json!({
            "apiVersion": Device::api_version(&()),
            "kind": Device::kind(&()),
            "metadata": { "name": name },
            "status": device.status,
        });
        let patch = Patch::Apply(&body);
        within_limit(&action, self.devices.patch_status(&name, &params(), &patch)).await?;
        Ok(())
    }
}

enum Done {
    Written,
    Removed,
}

#[async_trait]
impl FleetReflector for KubeFleetReflector {
    async fn reflect(&self, devices: &[FleetDevice]) -> Result<Reflected, ReflectError> {
        self.check_watch().await?;
        let shown = self.shown.state();
        let writes = plan(
            devices,
            shown.iter().map(AsRef::as_ref),
            &self.tenant,
            Timestamp::now(),
        );
        let mut results = futures_util::stream::iter(writes)
            .map(|write| self.carry_out(write))
            .buffer_unordered(PARALLEL_WRITES);
        let mut reflected = Reflected::default();
        let mut first_error = None;
        // An error of one device does not affect the others.
        while let Some(result) = results.next().await {
            match result {
                Ok(Done::Written) => reflected.written += 1,
                Ok(Done::Removed) => reflected.removed += 1,
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        match first_error {
            None => Ok(reflected),
            Some(error) => {
                self.fresh.store(false, Ordering::Relaxed);
                Err(error)
            }
        }
    }
}

impl Drop for KubeFleetReflector {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

async fn keep_watching(
    devices: Api<Device>,
    writer: reflector::store::Writer<Device>,
    fresh: Arc<AtomicBool>,
) {
    let events = watcher(devices, watcher::Config::default()).default_backoff();
    let mut events = pin!(reflector(writer, events));
    while let Some(event) = events.next().await {
        if let Err(error) = event
            && fresh.swap(false, Ordering::Relaxed)
        {
            let error = ErrorChain(&error);
            tracing::warn!(%error, "the watch of devices was interrupted; it starts again");
        }
    }
}

fn params() -> PatchParams {
    // Forced, because the operator owns all fields that it writes; changes by others are reverted.
    PatchParams::apply(MANAGER).force()
}

async fn within_limit<T>(
    action: &str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ReflectError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(classify(action, error)),
        Err(elapsed) => Err(failed(action, elapsed)),
    }
}

/// The response of the API server, without the details of the client's error.
#[derive(Debug, thiserror::Error)]
#[error("the API server answered {code} {reason}: {message}")]
struct Refusal {
    code: u16,
    reason: String,
    message: String,
}

fn classify(action: &str, error: kube::Error) -> ReflectError {
    let kube::Error::Api(status) = error else {
        return failed(action, error);
    };
    // If the API server does not know a type, it returns a 404 without the name of an object.
    if status.code == 404
        && status
            .details
            .as_ref()
            .is_none_or(|details| details.name.is_empty())
    {
        return ReflectError::NotInstalled {
            resource: Device::crd_name().to_owned(),
        };
    }
    let (code, reason, message) = (status.code, status.reason, status.message);
    failed(
        action,
        Refusal {
            code,
            reason,
            message,
        },
    )
}

fn failed(action: &str, source: impl Into<Cause>) -> ReflectError {
    ReflectError::Failed {
        action: action.to_owned(),
        source: source.into(),
    }
}

fn is_not_found(cause: &Cause) -> bool {
    matches!(cause.downcast_ref(), Some(Refusal { code: 404, .. }))
}

/// The reason why there is no connection to a cluster. The configuration must be changed.
#[derive(Debug, thiserror::Error)]
pub enum KubeConnectError {
    /// There is neither a service account nor a kubeconfig.
    #[error(
        "no Kubernetes cluster is configured: run in a pod with a service account, or set KUBECONFIG"
    )]
    NoConfig(#[source] Cause),
    /// The configuration is not valid.
    #[error("the configuration of the Kubernetes cluster cannot be used")]
    Client(#[source] Cause),
}
