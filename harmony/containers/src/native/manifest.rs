//! The JSON of an image: its configuration and its manifest. Pure.

use std::collections::HashMap;
use std::io;

use harmony_core::image::LayerKind;
use harmony_types::Digest;
use oci_spec::OciSpecError;
use oci_spec::image::{
    Arch, ConfigBuilder, Descriptor, DescriptorBuilder, HistoryBuilder, ImageConfigurationBuilder,
    ImageManifestBuilder, MediaType, Os, PlatformBuilder, RootFsBuilder, SCHEMA_VERSION,
};

use crate::layout::{canonical_json, sha256};
use crate::native::layer::LayerBlob;
use crate::plan::ImagePlan;

/// The documents of an image, as bytes, for they are named by their hashes.
#[derive(Debug)]
pub(crate) struct Documents {
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
    /// The digest of the manifest: the digest of the image.
    pub(crate) digest: Digest,
    /// What an index says of the manifest.
    pub(crate) descriptor: Descriptor,
}

impl Documents {
    /// The documents of an image with these layers, one for each of the plan's.
    pub(crate) fn new(plan: &ImagePlan, layers: &[LayerBlob]) -> io::Result<Self> {
        let config = config(plan, layers)?;
        Self::with_config(
            config,
            layers,
            (
                Os::from(plan.platform.os),
                Arch::from(plan.platform.architecture),
            ),
            plan.annotations.clone().into_iter().collect(),
        )
    }

    /// The documents of an image whose configuration exists.
    pub(crate) fn with_config(
        config: Vec<u8>,
        layers: &[LayerBlob],
        (os, architecture): (Os, Arch),
        annotations: HashMap<String, String>,
    ) -> io::Result<Self> {
        let manifest = manifest(&config, layers, annotations)?;
        let digest = sha256(&manifest);
        let platform = PlatformBuilder::default()
            .os(os)
            .architecture(architecture)
            .build()
            .map_err(invalid)?;
        let descriptor = DescriptorBuilder::default()
            .media_type(MediaType::ImageManifest)
            .digest(spec_digest(&digest)?)
            .size(manifest.len() as u64)
            .platform(platform)
            .build()
            .map_err(invalid)?;
        Ok(Self {
            config,
            manifest,
            digest,
            descriptor,
        })
    }
}

fn config(plan: &ImagePlan, layers: &[LayerBlob]) -> io::Result<Vec<u8>> {
    let created = rfc3339(plan.created)?;
    let run = &plan.run;
    let mut config = ConfigBuilder::default()
        .user(run.user.clone())
        .env(
            run.env
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>(),
        )
        .working_dir(run.working_dir.clone());
    if !run.entrypoint.is_empty() {
        config = config.entrypoint(run.entrypoint.clone());
    }
    if !run.cmd.is_empty() {
        config = config.cmd(run.cmd.clone());
    }
    if !run.labels.is_empty() {
        config = config.labels(run.labels.clone().into_iter().collect::<HashMap<_, _>>());
    }
    let history = plan
        .layers
        .iter()
        .map(|layer| {
            HistoryBuilder::default()
                .created(created.clone())
                .created_by(format!("harmony: {}", describe(layer.kind)))
                .build()
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(invalid)?;
    let rootfs = RootFsBuilder::default()
        .typ("layers")
        .diff_ids(
            layers
                .iter()
                .map(|layer| layer.diff_id.to_string())
                .collect::<Vec<_>>(),
        )
        .build()
        .map_err(invalid)?;
    let configuration = ImageConfigurationBuilder::default()
        .created(created)
        .os(Os::from(plan.platform.os))
        .architecture(Arch::from(plan.platform.architecture))
        .config(config.build().map_err(invalid)?)
        .rootfs(rootfs)
        .history(history)
        .build()
        .map_err(invalid)?;
    canonical_json(&configuration)
}

fn manifest(
    config: &[u8],
    layers: &[LayerBlob],
    annotations: HashMap<String, String>,
) -> io::Result<Vec<u8>> {
    let config = Descriptor::new(
        MediaType::ImageConfig,
        config.len() as u64,
        spec_digest(&sha256(config))?,
    );
    let layers = layers
        .iter()
        .map(|layer| {
            Ok(Descriptor::new(
                MediaType::ImageLayerGzip,
                layer.size,
                spec_digest(&layer.digest)?,
            ))
        })
        .collect::<io::Result<Vec<_>>>()?;
    let mut manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers);
    if !annotations.is_empty() {
        manifest = manifest.annotations(annotations);
    }
    canonical_json(&manifest.build().map_err(invalid)?)
}

fn describe(kind: LayerKind) -> &'static str {
    match kind {
        LayerKind::Assets => "assets",
        LayerKind::Libraries => "libraries",
        LayerKind::Binary => "binary",
    }
}

/// `1700000000` -> `2023-11-14T22:13:20Z`
pub(crate) fn rfc3339(seconds: u64) -> io::Result<String> {
    let seconds = i64::try_from(seconds).map_err(io::Error::other)?;
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.to_string())
        .map_err(io::Error::other)
}

fn spec_digest(digest: &Digest) -> io::Result<oci_spec::image::Digest> {
    digest.as_str().parse().map_err(invalid)
}

fn invalid(error: OciSpecError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{CREATED, context, file, recipe};

    #[test]
    fn the_documents_are_the_same_bytes_for_ever() {
        let mut recipe = recipe(vec![(
            LayerKind::Binary,
            vec![file("/usr/local/bin/app", "x", 0o755)],
        )]);
        recipe.cmd = vec!["--verbose".into()];
        recipe.env.insert("RUST_LOG".into(), "info".into());
        recipe.labels.insert("team".into(), "a".into());
        recipe.working_dir = "/var/lib/app".into();
        let plan = ImagePlan::new(&recipe, &context(recipe.clone()), "app").unwrap();
        let layer = LayerBlob {
            diff_id: sha256(b"plain"),
            digest: sha256(b"compressed"),
            size: 10,
        };
        let documents = Documents::new(&plan, &[layer]).unwrap();
        assert_eq!(
            String::from_utf8(documents.config).unwrap(),
            concat!(
                r#"{"architecture":"amd64","config":{"Cmd":["--verbose"],"Entrypoint":["/usr/local/bin/app"],"#,
                r#""Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","RUST_LOG=info"],"#,
                r#""Labels":{"org.opencontainers.image.version":"1.0.0","team":"a"},"User":"65532:65532","#,
                r#""WorkingDir":"/var/lib/app"},"created":"2023-11-14T22:13:20Z","#,
                r#""history":[{"created":"2023-11-14T22:13:20Z","created_by":"harmony: binary"}],"os":"linux","#,
                r#""rootfs":{"diff_ids":["sha256:a116c9ed46d6207734a43317d30fd88f52ac8634c37d904bbf4e41d865f90475"],"type":"layers"}}"#
            )
        );
        assert_eq!(
            documents.digest.as_str(),
            "sha256:561e3d5f67544c389b62585cf083eff9eb9b5b436b3bd1dff647511b1351c836"
        );
    }

    #[test]
    fn the_date_is_that_of_the_commit() {
        assert_eq!(
            rfc3339(u64::try_from(CREATED).unwrap()).unwrap(),
            "2023-11-14T22:13:20Z"
        );
        assert_eq!(rfc3339(0).unwrap(), "1970-01-01T00:00:00Z");
        assert!(rfc3339(u64::MAX).is_err());
    }
}
