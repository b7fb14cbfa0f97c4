//! What Helm stores about a release in the cluster.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use harmony_core::kubernetes::{ClusterCapabilities, KubeObject};
use harmony_types::Namespace;
use serde_json::Value;

use crate::error::{Place, RenderError};
use crate::render::objects_of_output;

/// A Secret has at most 1 MiB, compressed.
const MAX_SIZE: u64 = 64 * 1024 * 1024;

/// The objects that a release installed, without hooks and without the definitions in the folder `crds/`, from the field
/// `release` of its Secret.
///
/// # Errors
/// [`RenderError::File`] if Helm did not write this.
pub fn objects_of_release(
    stored: &str,
    namespace: &Namespace,
    cluster: Option<&ClusterCapabilities>,
) -> Result<Vec<KubeObject>, RenderError> {
    let manifest = manifest(stored).ok_or_else(|| RenderError::File {
        place: Place::file("the release that Helm stored"),
        problem: "is damaged".into(),
    })?;
    Ok(objects_of_output(&manifest, namespace, cluster)?.objects)
}

/// Helm compresses the release and encodes it, and Kubernetes encodes it again.
fn manifest(stored: &str) -> Option<String> {
    let once = STANDARD.decode(stored).ok()?;
    let compressed = STANDARD.decode(once).ok()?;
    let mut text = Vec::new();
    let mut unpacked = GzDecoder::new(compressed.as_slice()).take(MAX_SIZE);
    unpacked.read_to_end(&mut text).ok()?;
    let release: Value = serde_json::from_slice(&text).ok()?;
    release["manifest"].as_str().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;
    use std::io::Write as _;

    fn stored(release: &Value) -> String {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(release.to_string().as_bytes()).unwrap();
        STANDARD.encode(STANDARD.encode(packed.finish().unwrap()))
    }

    #[test]
    fn the_objects_of_a_release_are_read() {
        let manifest = "---\n# Source: web/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n\
                        ---\napiVersion: v1\nkind: Service\nmetadata:\n  name: b\n";
        let release = stored(&json!({ "name": "web", "version": 3, "manifest": manifest }));
        let objects = objects_of_release(&release, &"shop".parse().unwrap(), None).unwrap();
        let names: Vec<_> = objects
            .iter()
            .map(|object| object.reference().to_string())
            .collect();
        assert_eq!(names, ["ConfigMap shop/a", "Service shop/b"]);
    }

    #[test]
    fn what_helm_did_not_write_is_refused() {
        for wrong in ["", "bm90IGd6aXA=", &stored(&json!({ "name": "web" }))] {
            let refused = objects_of_release(wrong, &"shop".parse().unwrap(), None);
            assert!(matches!(refused, Err(RenderError::File { .. })), "{wrong}");
        }
    }
}
