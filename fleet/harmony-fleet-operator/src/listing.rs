//! The list of devices for tools, page by page.

use std::pin::pin;

use futures_util::StreamExt;
use harmony_fleet_adapters_nats::NatsOperatorLink;
use harmony_fleet_domain::FleetDevice;
use harmony_reconciler_contracts::{BootId, DeviceId, DeviceListing, SchemaVersion};

use crate::Fleet;
use crate::subscription::lasting;

/// Answers requests for the list.
pub async fn serve(fleet: &Fleet, link: &NatsOperatorLink) {
    let mut requests = pin!(lasting("requests for the list of devices", || link.list_requests()));
    while let Some(request) = requests.next().await {
        let after = request.request.after.clone();
        let answer = page(&fleet.view(), after.as_ref(), warnings(fleet));
        request.answer(&answer).await;
    }
}

/// The page after a device. The devices are sorted by id.
fn page(devices: &[FleetDevice], after: Option<&DeviceId>, warnings: Vec<String>) -> DeviceListing {
    let start = after.map_or(0, |after| {
        devices.partition_point(|device| device.record.id <= *after)
    });
    let rest = &devices[start..];
    let page = &rest[..rest.len().min(DeviceListing::PAGE_SIZE)];
    DeviceListing {
        version: SchemaVersion::CURRENT,
        devices: page.iter().map(Into::into).collect(),
        more: page.len() < rest.len(),
        warnings,
    }
}

fn warnings(fleet: &Fleet) -> Vec<String> {
    let other = fleet.other_operator();
    let other = other.map(|other| two_operators(fleet, &other));
    other.into_iter().chain(fleet.problems()).collect()
}

fn two_operators(fleet: &Fleet, other: &BootId) -> String {
    // Both operators send the same text, so that it is shown once.
    let mut boots = [&fleet.boot, other];
    boots.sort();
    format!(
        "two operators are running for tenant `{}` (boots `{}` and `{}`): stop one of them",
        fleet.tenant, boots[0], boots[1]
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use harmony_fleet_domain::DeviceRecord;
    use harmony_reconciler_contracts::{DeviceInfo, HeartbeatInterval};
    use jiff::Timestamp;

    fn devices(count: usize) -> Vec<FleetDevice> {
        (0..count)
            .map(|n| FleetDevice {
                record: Arc::new(DeviceRecord {
                    id: format!("d{n:04}").parse().unwrap(),
                    boot: "b1".parse().unwrap(),
                    interval: HeartbeatInterval::NOMINAL,
                    info: DeviceInfo::default(),
                    registered_at: Timestamp::UNIX_EPOCH,
                }),
                presence: None,
                last_seen: None,
                rival: None,
            })
            .collect()
    }

    #[test]
    fn pages_cover_the_list_exactly_once() {
        for count in [0, 1, 149, 150, 151, 300, 301] {
            let all = devices(count);
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = page(&all, after.as_ref(), vec![]);
                seen.extend(page.devices.iter().map(|d| d.device.clone()));
                after = seen.last().cloned();
                if !page.more {
                    break;
                }
            }
            let expected: Vec<_> = all.iter().map(|d| d.record.id.clone()).collect();
            assert_eq!(seen, expected);
        }
    }
}
