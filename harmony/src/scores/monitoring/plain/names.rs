//! The names and ports of the two programs.

use crate::scores::monitoring::MonitoringScore;

pub(super) const PROMETHEUS: &str = "prometheus";
pub(super) const PROMETHEUS_PORT: u16 = 9090;
pub(super) const ALERTMANAGER: &str = "alertmanager";
pub(super) const ALERTMANAGER_PORT: u16 = 9093;

/// The name of all objects of one of the programs: `shop-prometheus`.
pub(super) fn part_name(score: &MonitoringScore, part: &str) -> String {
    format!("{}-{part}", score.name)
}
