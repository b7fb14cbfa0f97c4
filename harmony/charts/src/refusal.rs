//! What helm refuses, as typed errors. Pure.

use crate::error::RenderError;

/// The error in helm's output, if it is one that Harmony knows.
pub(crate) fn read(output: &[String]) -> Option<RenderError> {
    output
        .iter()
        .find_map(|line| kube_version(line).or_else(|| subcharts(line)))
}

/// `chart requires kubeVersion: >=1.40.0-0 which is incompatible with Kubernetes v1.34.4`
fn kube_version(line: &str) -> Option<RenderError> {
    let (_, rest) = line.split_once("chart requires kubeVersion: ")?;
    let (wanted, found) = rest.split_once(" which is incompatible with Kubernetes ")?;
    Some(RenderError::KubeVersion {
        wanted: wanted.trim().to_owned(),
        found: found.trim().to_owned(),
    })
}

/// `found in Chart.yaml, but missing in charts/ directory: alertmanager, kube-state-metrics`
fn subcharts(line: &str) -> Option<RenderError> {
    let (_, names) = line.split_once("missing in charts/ directory: ")?;
    Some(RenderError::Subcharts {
        missing: names
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_chart_needs_is_read_from_helms_words() {
        let line = |text: &str| read(&["Error: x".to_owned(), text.to_owned()]);
        let version = line(
            "Error: chart requires kubeVersion: >= 1.40.0-0 which is incompatible with Kubernetes v1.34.4",
        );
        assert_eq!(
            version.unwrap().to_string(),
            "the chart supports Kubernetes >= 1.40.0-0, but the cluster has v1.34.4"
        );
        let missing = line(
            "Error: An error occurred while checking for chart dependencies. You may need to run `helm dependency build` \
             to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: redis-ha, other",
        );
        assert_eq!(
            missing.unwrap().to_string(),
            "the chart does not contain its subcharts `redis-ha`, `other`"
        );
        assert!(line("Error: something else").is_none());
    }
}
