//! Registrations: decide, write, answer.

use std::pin::pin;

use futures_util::StreamExt;
use harmony_fleet_adapters_nats::NatsOperatorLink;
use harmony_fleet_domain::{
    DeviceRegistry, ErrorChain, Expected, FleetState, RegistrationStep, RegistryError, settings,
};
use harmony_reconciler_contracts::{
    DeviceId, DeviceInfo, RefusalReason, Registration, RegistrationReply,
};
use jiff::Timestamp;

use crate::subscription::lasting;
use crate::{Fleet, Step};

/// When a device may try again after the registry did not answer, in seconds.
const RETRY_REGISTRY_SECONDS: u32 = 5;

/// When a new device may try again while there are too many, in seconds.
const RETRY_TOO_MANY_SECONDS: u32 = 60;

/// The number of attempts at a registration while another writer changes its record.
const ATTEMPTS: u32 = 3;

/// Answers registrations one at a time, so that decisions about the same device never overlap.
pub async fn serve(fleet: &Fleet, registry: &impl DeviceRegistry, link: &NatsOperatorLink) {
    let mut requests = pin!(lasting("registrations", || link.registrations()));
    while let Some(request) = requests.next().await {
        let reply = register(fleet, registry, &request.device, &request.registration).await;
        request.answer(&reply).await;
    }
}

async fn register(
    fleet: &Fleet,
    registry: &impl DeviceRegistry,
    device: &DeviceId,
    registration: &Registration,
) -> RegistrationReply {
    // The content of the registry, if there was no valid record in memory.
    let mut found = None;
    for _ in 0..ATTEMPTS {
        let (now, wall) = (fleet.now(), Timestamp::now());
        let step = fleet
            .state()
            .decide_registration(device, registration, now, wall);
        let (record, expected, reason) = match step {
            RegistrationStep::Accept => return RegistrationReply::accepted(),
            RegistrationStep::TooMany => {
                tracing::debug!(%device, "refused a new device: there are too many");
                return RegistrationReply::refused(
                    RefusalReason::TooManyDevices,
                    format!(
                        "the fleet accepts at most {} devices, and {} new ones per second",
                        FleetState::MAX_DEVICES,
                        FleetState::NEW_DEVICES_PER_SECOND
                    ),
                    RETRY_TOO_MANY_SECONDS,
                );
            }
            RegistrationStep::Refuse { holder } => {
                tracing::warn!(
                    %device, %holder, newcomer = %registration.boot,
                    "two running agents use the same device id; refused the new one"
                );
                let known = fleet.state().record(device).map(|known| known.info.clone());
                return refuse_duplicate(device, registration, &known.unwrap_or_default());
            }
            RegistrationStep::Write {
                record,
                expected,
                reason,
            } => {
                let expected = match (expected, found) {
                    (Expected::Absent, Some(found)) => found,
                    (expected, _) => expected,
                };
                (record, expected, reason)
            }
        };
        match registry.write(&record, expected).await {
            Ok(revision) => {
                tracing::info!(%device, boot = %record.boot, ?reason, "registered");
                fleet
                    .state()
                    .commit_registration(record, revision, now, wall);
                return RegistrationReply::accepted();
            }
            Err(RegistryError::Conflict { .. }) => {
                tracing::warn!(%device, "another writer changed the record of this device; reading it again");
                match registry.read(device).await {
                    Ok(slot) => {
                        found = Some(slot.expected);
                        if let (Some(record), Expected::Revision(revision)) =
                            (slot.record, slot.expected)
                        {
                            fleet.state().adopt(record, revision, now);
                        }
                    }
                    Err(error) => return refuse_for_now(fleet, device, &error),
                }
            }
            Err(error) => return refuse_for_now(fleet, device, &error),
        }
    }
    refuse_for_now(
        fleet,
        device,
        &RegistryError::Conflict {
            device: device.clone(),
        },
    )
}

fn refuse_duplicate(
    device: &DeviceId,
    registration: &Registration,
    known: &DeviceInfo,
) -> RegistrationReply {
    RegistrationReply::refused(
        RefusalReason::DuplicateIdentity,
        format!(
            "another running agent, {}, holds the device id `{device}` that this one, {}, asks for; give one of the two another id with {}",
            whereabouts(known),
            whereabouts(&registration.info),
            settings::DEVICE_ID
        ),
        // Before the flag expires, so that a duplicate stays visible.
        registration.heartbeat_seconds.seconds(),
    )
}

/// By what a person finds a device: its host, and its labels, since hosts of two sites may have one name.
fn whereabouts(info: &DeviceInfo) -> String {
    let labels = info.labels.to_string();
    if labels.is_empty() {
        format!("on host `{}`", info.hostname)
    } else {
        // A refusal has a limit, and both places have to fit.
        format!("on host `{}` with labels `{labels:.60}`", info.hostname)
    }
}

fn refuse_for_now(fleet: &Fleet, device: &DeviceId, error: &RegistryError) -> RegistrationReply {
    fleet.failed(Step::Register);
    tracing::warn!(%device, error = %ErrorChain(error), "could not register a device; it will try again");
    RegistrationReply::refused(
        RefusalReason::RegistryUnavailable,
        "the device registry does not answer".to_owned(),
        RETRY_REGISTRY_SECONDS,
    )
}
