//! Charts for tests, packed as `helm package` does it.

use std::collections::BTreeMap;

use flate2::Compression;
use flate2::write::GzEncoder;
use harmony_core::chart::PackagedChart;
use harmony_types::Digest;
use serde_json::json;
use sha2::Digest as _;

/// A chart of these files; `Chart.yaml` is written unless it is among them.
pub(crate) fn packaged(name: &str, version: &str, files: &[(&str, &str)]) -> PackagedChart {
    let metadata =
        json!({ "apiVersion": "v2", "name": name, "version": version, "type": "application" });
    let metadata_text = metadata.to_string();
    let mut all = BTreeMap::from([("Chart.yaml", metadata_text.as_str())]);
    all.extend(files.iter().copied());
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, text) in all {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, format!("{name}/{path}"), text.as_bytes())
            .unwrap();
    }
    let archive = builder.into_inner().unwrap().finish().unwrap();
    PackagedChart {
        name: name.parse().unwrap(),
        version: version.parse().unwrap(),
        metadata,
        archive_digest: Digest::sha256_from_bytes(sha2::Sha256::digest(&archive).into()),
        archive: archive.into(),
        created: 0,
    }
}
