//! The configuration of a planned image. Pure.

use std::collections::HashMap;
use std::io;

use harmony_core::image::LayerKind;
use harmony_oci::spec::{
    Arch, ConfigBuilder, HistoryBuilder, ImageConfigurationBuilder, Os, RootFsBuilder,
};
use harmony_oci::{Documents, LayerBlob, canonical_json};

use crate::plan::ImagePlan;

/// The documents of an image with these layers, one for each layer of the plan.
pub(crate) fn documents(plan: &ImagePlan, layers: &[LayerBlob]) -> io::Result<Documents> {
    Documents::new(
        config(plan, layers)?,
        layers,
        (
            Os::from(plan.platform.os),
            Arch::from(plan.platform.architecture),
        ),
        plan.annotations.clone().into_iter().collect(),
    )
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

fn invalid(error: impl Into<harmony_core::diagnostic::BoxError>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

#[cfg(test)]
mod tests {
    use harmony_oci::sha256;

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
        let documents = documents(&plan, &[layer]).unwrap();
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
