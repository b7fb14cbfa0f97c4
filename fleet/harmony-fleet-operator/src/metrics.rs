//! `/metrics`: the state of the fleet for Prometheus. `docs/reference/fleet.md` documents the names, which are an
//! interface: dashboards and alert rules use them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use harmony_fleet_domain::{FleetDevice, Presence};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::Fleet;
use crate::fleet::Step;
use crate::health::Health;

/// The format of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What Prometheus reads from the operator. Everything is computed when it is asked for.
#[derive(Debug, Clone)]
pub struct Metrics {
    fleet: Arc<Fleet>,
    health: Health,
    started: Duration,
}

impl Metrics {
    /// The metrics of an operator that starts now.
    pub fn new(fleet: Arc<Fleet>, health: Health) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            fleet,
            health,
            started: started.unwrap_or_default(),
        }
    }

    /// All metrics in the OpenMetrics format.
    ///
    /// # Errors
    /// None; writing to a string cannot fail.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let devices = self.fleet.view();
        let mut family = encoder.encode_descriptor(
            "fleet_devices",
            "Registered devices by state",
            None,
            MetricType::Gauge,
        )?;
        for (state, count) in by_state(&devices) {
            let gauge = ConstGauge::new(count);
            gauge.encode(family.encode_family(&[("state", state)])?)?;
        }
        let mut family = encoder.encode_descriptor(
            "fleet_heartbeat_age",
            "Time since the last heartbeat of devices that are online or stale",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (quantile, age) in heartbeat_ages(&devices) {
            let gauge = ConstGauge::new(age);
            gauge.encode(family.encode_family(&[("quantile", quantile)])?)?;
        }
        let mut family = encoder.encode_descriptor(
            "fleet_operator_errors",
            "Failed attempts by step; each is repeated",
            None,
            MetricType::Counter,
        )?;
        for step in Step::ALL {
            let counter = ConstCounter::new(self.fleet.failures(step));
            counter.encode(family.encode_family(&[("step", step.name())])?)?;
        }
        let mut family = encoder.encode_descriptor(
            "fleet_deployments_on_devices",
            "Deployments on devices by phase, as the devices reported them last",
            None,
            MetricType::Gauge,
        )?;
        let (phases, conflicts) = {
            let dispatch = self.fleet.dispatch();
            (dispatch.phases(), dispatch.conflicts() as u64)
        };
        for (phase, count) in phases {
            let gauge = ConstGauge::new(count);
            let phase = phase.to_string().replace(' ', "_");
            gauge.encode(family.encode_family(&[("phase", phase.as_str())])?)?;
        }
        let metric = encoder.encode_descriptor(
            "fleet_desired_writes",
            "Desired states that were written",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(self.fleet.writes()).encode(metric)?;
        let duplicates = devices.iter().filter(|device| device.rival.is_some());
        let mut gauge = |name: &str, help: &str, value: u64| {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)
        };
        gauge(
            "fleet_duplicate_devices",
            "Device ids that two running agents use",
            duplicates.count() as u64,
        )?;
        gauge(
            "fleet_deployment_conflicts",
            "Deployments on devices that wait for a conflict to be resolved",
            conflicts,
        )?;
        gauge(
            "fleet_nats_problems",
            "Settings of NATS and its buckets that are not as the fleet needs them",
            self.fleet.problems().len() as u64,
        )?;
        gauge(
            "fleet_other_operators",
            "Other operators that run for the same tenant",
            u64::from(self.fleet.other_operator().is_some()),
        )?;
        gauge(
            "fleet_nats_connected",
            "Whether the operator is connected to NATS",
            u64::from(self.health.connection().is_up()),
        )?;
        gauge(
            "fleet_operator_ready",
            "Whether the operator is ready, as in /readyz",
            u64::from(self.health.missing().is_empty()),
        )?;
        let metric = encoder.encode_descriptor(
            "fleet_nats_connections",
            "How often the connection to NATS was established",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(self.health.connection().established()).encode(metric)?;
        let metric = encoder.encode_descriptor(
            "process_start_time",
            "When the operator started, since 1970",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        ConstGauge::new(self.started.as_secs_f64()).encode(metric)
    }
}

fn by_state(devices: &[FleetDevice]) -> [(&'static str, u64); 4] {
    let count = |presence: Option<Presence>| {
        let those = devices.iter().filter(|device| device.presence == presence);
        those.count() as u64
    };
    [
        ("online", count(Some(Presence::Online))),
        ("stale", count(Some(Presence::Stale))),
        ("offline", count(Some(Presence::Offline))),
        ("unknown", count(None)),
    ]
}

/// The median, the 99th percentile and the maximum, in seconds; nothing without devices.
fn heartbeat_ages(devices: &[FleetDevice]) -> Vec<(&'static str, f64)> {
    let heard = devices
        .iter()
        .filter(|device| matches!(device.presence, Some(Presence::Online | Presence::Stale)));
    let mut ages: Vec<Duration> = heard
        .filter_map(|device| Some(device.last_seen?.ago))
        .collect();
    ages.sort_unstable();
    let Some(last) = ages.len().checked_sub(1) else {
        return Vec::new();
    };
    let at = |index: usize| ages[index].as_secs_f64();
    vec![
        ("0.5", at(last / 2)),
        ("0.99", at(last * 99 / 100)),
        ("1", at(last)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use harmony_fleet_domain::{DeviceRecord, LastSeen};
    use harmony_reconciler_contracts::{DeviceInfo, HeartbeatInterval};
    use jiff::Timestamp;

    fn device(presence: Option<Presence>, seconds: u64) -> FleetDevice {
        FleetDevice {
            record: Arc::new(DeviceRecord {
                id: "d".parse().unwrap(),
                boot: "b1".parse().unwrap(),
                interval: HeartbeatInterval::NOMINAL,
                info: DeviceInfo::default(),
                registered_at: Timestamp::UNIX_EPOCH,
            }),
            presence,
            last_seen: Some(LastSeen {
                ago: Duration::from_secs(seconds),
                at: Timestamp::UNIX_EPOCH,
            }),
            rival: None,
        }
    }

    #[test]
    fn devices_are_counted_and_only_the_ages_of_the_living_count() {
        let mut devices: Vec<_> = (1..=100)
            .map(|age| device(Some(Presence::Online), age))
            .collect();
        devices.push(device(Some(Presence::Offline), 9999));
        devices.push(device(None, 5000));
        assert_eq!(
            by_state(&devices),
            [
                ("online", 100),
                ("stale", 0),
                ("offline", 1),
                ("unknown", 1)
            ]
        );
        assert_eq!(
            heartbeat_ages(&devices),
            [("0.5", 50.0), ("0.99", 99.0), ("1", 100.0)]
        );
        assert!(heartbeat_ages(&devices[100..]).is_empty());
    }
}
