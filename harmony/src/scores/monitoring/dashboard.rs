//! Dashboards for Grafana, as data.

use std::collections::BTreeMap;

use harmony_core::kubernetes::{KubeObject, ObjectError};
use harmony_types::{Namespace, ResourceName};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::rule::PromQl;

/// The label by which Grafana's sidecars find dashboards.
const LABEL: &str = "grafana_dashboard";

const PANEL_WIDTH: usize = 12;
const PANEL_HEIGHT: usize = 8;

/// A dashboard in Grafana's JSON format. It becomes a ConfigMap with the label `grafana_dashboard: "1"`, which the
/// sidecar of Grafana's chart reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Dashboard {
    /// The name of the ConfigMap, after the name of the Score.
    pub name: ResourceName,
    json: Value,
}

/// The text is not a dashboard.
#[derive(Debug, thiserror::Error)]
pub enum DashboardError {
    /// Not JSON.
    #[error("the dashboard `{name}` is not JSON")]
    NotJson {
        /// The name of the dashboard.
        name: ResourceName,
        /// The position.
        #[source]
        source: serde_json::Error,
    },
    /// Not a dashboard.
    #[error("the dashboard `{name}` has no `panels`: export it from Grafana as JSON")]
    NoPanels {
        /// The name of the dashboard.
        name: ResourceName,
    },
}

impl Dashboard {
    /// A dashboard exported from Grafana, for example with `include_str!`.
    ///
    /// # Errors
    /// The text is not a dashboard.
    pub fn from_json(name: ResourceName, text: &str) -> Result<Self, DashboardError> {
        let json: Value = match serde_json::from_str(text) {
            Ok(json) => json,
            Err(source) => return Err(DashboardError::NotJson { name, source }),
        };
        if !json.get("panels").is_some_and(Value::is_array) {
            return Err(DashboardError::NoPanels { name });
        }
        Ok(Self { name, json })
    }

    /// A dashboard with a graph for each expression, two in a row.
    pub fn of_graphs(
        name: ResourceName,
        title: &str,
        graphs: impl IntoIterator<Item = (&'static str, PromQl)>,
    ) -> Self {
        let panels = graphs
            .into_iter()
            .enumerate()
            .map(|(index, (title, query))| {
                json!({
                    "id": index + 1,
                    "type": "timeseries",
                    "title": title,
                    "gridPos": {
                        "x": index % 2 * PANEL_WIDTH, "y": index / 2 * PANEL_HEIGHT,
                        "w": PANEL_WIDTH, "h": PANEL_HEIGHT,
                    },
                    "targets": [{ "refId": "A", "expr": query.to_string() }],
                })
            });
        let json = json!({
            "uid": name.as_str(),
            "title": title,
            "schemaVersion": 39,
            "refresh": "30s",
            "time": { "from": "now-6h", "to": "now" },
            "panels": panels.collect::<Vec<_>>(),
        });
        Self { name, json }
    }

    /// Its ConfigMap.
    pub(super) fn object(
        &self,
        score: &ResourceName,
        namespace: &Namespace,
    ) -> Result<KubeObject, ObjectError> {
        let file = format!("{}.json", self.name);
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(format!("{score}-dashboard-{}", self.name)),
                namespace: Some(namespace.to_string()),
                labels: Some(BTreeMap::from([(LABEL.to_owned(), "1".to_owned())])),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(file, self.json.to_string())])),
            ..ConfigMap::default()
        };
        Ok(KubeObject::new(&map)?.with_public_values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashboard_is_a_config_map_that_sidecars_find() {
        let graph = (
            "Requests",
            "sum(rate(http_requests_total[5m]))".parse().unwrap(),
        );
        let dashboard = Dashboard::of_graphs("web".parse().unwrap(), "Web", [graph.clone(), graph]);
        let object = dashboard
            .object(&"shop".parse().unwrap(), &"ns".parse().unwrap())
            .unwrap();
        assert_eq!(object.reference().name.as_str(), "shop-dashboard-web");
        assert_eq!(object.body()["metadata"]["labels"], json!({ LABEL: "1" }));
        let text = object.body()["data"]["web.json"].as_str().unwrap();
        let again = Dashboard::from_json("web".parse().unwrap(), text).unwrap();
        assert_eq!(again, dashboard);
        assert_eq!(again.json["panels"][1]["gridPos"]["x"], 12);
    }

    #[test]
    fn other_texts_are_refused() {
        let read = |text: &str| Dashboard::from_json("web".parse().unwrap(), text);
        assert!(matches!(read("{"), Err(DashboardError::NotJson { .. })));
        assert!(matches!(read("{}"), Err(DashboardError::NoPanels { .. })));
    }
}
