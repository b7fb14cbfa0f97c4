//! Deploys podinfo, a third-party chart, pinned by the digest in `charts.lock`.

use std::sync::Arc;

use harmony::prelude::*;

/// The values that differ from those of the chart.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Values {
    replica_count: u32,
}

struct Podinfo(HelmChartScore);

impl Program for Podinfo {
    fn apps(&self) -> Vec<Arc<AppSpec>> {
        Vec::new()
    }

    fn scores<T: Platform, A: Artifacts<T>>(&self, _: Site, _: &A) -> Vec<Box<dyn Score<T>>> {
        scores![self.0.clone()]
    }
}

fn main() -> ExitCode {
    harmony::main(|| {
        let charts = harmony::charts_lock!();
        let chart = charts.oci("oci://ghcr.io/stefanprodan/charts/podinfo", "6.14.1")?;
        let namespace = "podinfo".parse()?;
        let name = "podinfo".parse()?;
        let checks = Checks::first(HttpServer::on(9898).check(&name));
        let score = HelmChartScore::new(name, namespace, chart, checks)
            .with_values(&Values { replica_count: 2 })?;
        Ok(Podinfo(score))
    })
}
