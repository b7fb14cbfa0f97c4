//! Charts for tests.

use std::collections::BTreeMap;

use harmony_charts::Chart;
use harmony_core::chart::PackagedChart;

/// A chart of these files, with a `Chart.yaml`.
pub(crate) fn packaged(name: &str, version: &str, files: &[(&str, &str)]) -> PackagedChart {
    let metadata =
        format!("{{apiVersion: v2, name: {name}, version: {version}, type: application}}");
    let mut all = BTreeMap::from([("Chart.yaml".to_owned(), metadata.into_bytes())]);
    let files = files.iter();
    all.extend(files.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())));
    let chart = Chart::from_files(name, all);
    chart.pack(&version.parse().unwrap(), 0).unwrap()
}
