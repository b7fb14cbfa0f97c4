//! What helm refuses, as typed errors. Pure.

use crate::error::{Place, RenderError};

/// The error in helm's output, if it is one that Harmony knows.
pub(crate) fn read(output: &[String]) -> Option<RenderError> {
    output
        .iter()
        .find_map(|line| kube_version(line).or_else(|| subcharts(line)))
}

/// The hook that helm skipped, according to its log. Helm 4 writes `msg="skipping unknown hooks" hookTypes=pre-instal`, helm
/// 3 `info: skipping unknown hook: "pre-instal"`.
pub(crate) fn unknown_hook(log: &str) -> Option<RenderError> {
    let skipped = |line: &str| {
        let (_, rest) = line.split_once("skipping unknown hook")?;
        let rest = rest
            .trim_start_matches('s')
            .trim_start_matches(['"', ':', ' ']);
        let events = rest.strip_prefix("hookTypes=").unwrap_or(rest);
        Some(events.trim().trim_matches('"').to_owned())
    };
    let events = log.lines().find_map(skipped)?;
    Some(RenderError::File {
        place: Place::file("templates"),
        problem: format!(
            "an object has the annotation `helm.sh/hook: {events}` with an event that helm does not support, so helm would \
             leave it out"
        ),
    })
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
    fn a_hook_that_helm_skips_is_named() {
        for log in [
            "level=DEBUG msg=x\nlevel=INFO msg=\"skipping unknown hooks\" hookTypes=pre-instal\n",
            "level=INFO msg=\"skipping unknown hooks\" hookTypes=\"pre-instal\"\n",
            "manifest_sorter.go:192: info: skipping unknown hook: \"pre-instal\"\n",
        ] {
            let error = unknown_hook(log).unwrap().to_string();
            assert!(error.contains("`helm.sh/hook: pre-instal`"), "{error}");
        }
        assert!(unknown_hook("level=DEBUG msg=\"Chart path\"").is_none());
    }

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
