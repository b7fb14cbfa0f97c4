//! The archive that Helm reads, the same for the same chart.

use std::io::{self, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use harmony_core::chart::PackagedChart;
use harmony_types::Digest;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::directory::parse;
use super::{Chart, ChartContext, ChartError};

/// The byte of a gzip header that says which system wrote it: unknown (RFC 1952).
const UNKNOWN_SYSTEM: u8 = 255;

/// Files by path, dated `created`, owned by nobody in particular, and a gzip header without name or time.
pub(super) fn package(
    chart: &Chart,
    context: &ChartContext<'_>,
    created: i64,
) -> Result<PackagedChart, ChartError> {
    let archive =
        archive(chart, context, created).map_err(|source| ChartError::Archive { source })?;
    let chart_yaml = chart.file("Chart.yaml").unwrap_or_default();
    let metadata = parse(
        &String::from_utf8_lossy(chart_yaml),
        Path::new("Chart.yaml"),
    )?;
    Ok(PackagedChart {
        name: context.unit.to_string(),
        version: context.version.clone(),
        metadata: sorted(metadata),
        archive_digest: Digest::sha256_from_bytes(Sha256::digest(&archive).into()),
        archive: archive.into(),
        created,
    })
}

fn archive(chart: &Chart, context: &ChartContext<'_>, created: i64) -> io::Result<Vec<u8>> {
    let encoder = GzBuilder::new()
        .mtime(0)
        .operating_system(UNKNOWN_SYSTEM)
        .write(Vec::new(), Compression::new(9));
    let mut tar = tar::Builder::new(encoder);
    let mtime = u64::try_from(created).unwrap_or_default();
    for (path, content) in chart.files() {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(mtime);
        tar.append_data(&mut header, format!("{}/{path}", context.unit), content)?;
    }
    let mut encoder = tar.into_inner()?;
    encoder.flush()?;
    encoder.finish()
}

/// The same value with its maps filled by name, so that it is written the same however the map keeps its order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            let entries = entries.into_iter().map(|(key, item)| (key, sorted(item)));
            Value::Object(entries.collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        scalar => scalar,
    }
}
