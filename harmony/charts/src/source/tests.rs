use std::io::Read as _;

use super::*;
use crate::chart::{ChartMetadata, Template};
use harmony_core::diagnostic::Diagnostic as _;
use harmony_types::{Digest, ReleaseUnit, Version};
use serde_json::json;

fn image() -> ImageRef {
    let name: ImageRef = "registry.example.com/team/shop-web".parse().unwrap();
    name.with_digest(Digest::sha256_from_bytes([7; 32]))
}

/// A source of charts with the project that it belongs to.
struct App {
    unit: ReleaseUnit,
    project_root: PathBuf,
    chart: ChartSource,
}

fn app(chart: ChartSource) -> App {
    App {
        unit: ReleaseUnit::new("shop".parse().unwrap(), "web".parse().unwrap()).unwrap(),
        project_root: "/nonexistent".into(),
        chart,
    }
}

impl App {
    fn chart(&self) -> Result<Option<Chart>, ChartError> {
        let (version, image) = (Version::new(1, 2, 3), image());
        make(
            &self.chart,
            &self.project_root,
            &self.context(&version, &image),
        )
    }

    fn package(&self, created: i64) -> Result<Option<PackagedChart>, ChartError> {
        let (version, image) = (Version::new(1, 2, 3), image());
        package(
            &self.chart,
            &self.project_root,
            &self.context(&version, &image),
            created,
        )
    }

    fn context<'a>(&'a self, version: &'a Version, image: &'a ImageRef) -> ChartContext<'a> {
        ChartContext {
            unit: &self.unit,
            version,
            image,
        }
    }
}

fn values() -> ChartValues {
    ChartValues::new(Namespace::parse("default").unwrap())
}

fn text<'a>(chart: &'a Chart, path: &str) -> &'a str {
    let content = chart
        .file(path)
        .unwrap_or_else(|| panic!("{path} in {chart:?}"));
    std::str::from_utf8(content).unwrap()
}

#[test]
fn the_same_chart_has_the_same_bytes() {
    let source = || {
        ChartSource::from_objects("A shop", |namespace: &Namespace, image: &ImageRef| {
            Ok(vec![KubeObject::from_value(json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": "web", "namespace": namespace.as_str() },
                "data": { "image": image.to_string() },
            }))?])
        })
    };
    let pack = |created| app(source()).package(created).unwrap().unwrap();
    let (one, two, later) = (
        pack(1_700_000_000),
        pack(1_700_000_000),
        pack(1_700_000_001),
    );
    assert_eq!(
        (one.archive_digest.clone(), &one.archive),
        (two.archive_digest, &two.archive)
    );
    assert_ne!(
        one.archive_digest, later.archive_digest,
        "files are dated by the commit"
    );

    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&*one.archive));
    let mut names = Vec::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        assert_eq!(
            (
                header.mtime().unwrap(),
                header.mode().unwrap(),
                header.uid().unwrap(),
                header.gid().unwrap()
            ),
            (1_700_000_000, 0o644, 0, 0)
        );
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        names.push(entry.path().unwrap().display().to_string());
    }
    assert_eq!(
        names,
        [
            "shop-web/Chart.yaml",
            "shop-web/templates/00-configmap-web.yaml",
            "shop-web/values.yaml"
        ]
    );
    assert_eq!(&one.archive[4..8], [0; 4], "the gzip header holds no time");
    assert_eq!(one.metadata["version"], "1.2.3");
}

#[test]
fn a_chart_that_does_not_name_its_image_by_digest_is_refused() {
    let by_tag = ChartSource::builder(|context: &ChartContext<'_>| {
        let text = format!(
            "image: registry.example.com/team/{}:{}\n",
            context.unit, context.version
        );
        let template = Template {
            path: "a.yaml".into(),
            text,
        };
        Ok(Chart::new(
            context,
            &ChartMetadata::default(),
            &values(),
            vec![template],
        ))
    });
    let error = app(by_tag).package(0).unwrap_err();
    assert_eq!(error.code().to_string(), "H0514");

    let by_digest = ChartSource::Builder(Arc::new(|context: &ChartContext<'_>| {
        let values = values().with("image", context.image.to_string())?;
        Ok(Chart::new(
            context,
            &ChartMetadata::default(),
            &values,
            Vec::new(),
        ))
    }));
    assert!(app(by_digest).package(0).unwrap().is_some());
    assert!(app(ChartSource::None).package(0).unwrap().is_none());

    let of_another_name = ChartSource::builder(|_: &ChartContext<'_>| {
        let metadata = b"{apiVersion: v2, name: other, version: 1.0.0}".to_vec();
        let files = [("Chart.yaml".to_owned(), metadata)];
        Ok(Chart::from_files("other", files.into()))
    });
    let error = app(of_another_name).package(0).unwrap_err();
    assert_eq!(error.code().to_string(), "H0513");
}

/// A chart directory with the given files, and the app that it belongs to.
fn directory(files: &[(&str, &str)]) -> (tempfile::TempDir, App) {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = root.path().join("chart").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let app = App {
        project_root: root.path().to_owned(),
        ..app(ChartSource::Path("chart".into()))
    };
    (root, app)
}

const CHART_YAML: &str = "apiVersion: v2\nname: shop-web # ours\nversion: 0.0.0 # set by the release\nappVersion: \"\"\n";

#[test]
fn a_directory_gets_version_and_image_and_keeps_its_comments() {
    let (_root, app) = directory(&[
        ("Chart.yaml", CHART_YAML),
        (
            "values.yaml",
            "# the image\nimage: \"\"\nreplicas: 1 # few\n",
        ),
        (
            "templates/web.yaml",
            "image: {{ .Values.image | toJson }}\n",
        ),
    ]);
    let chart = app.chart().unwrap().unwrap();
    assert_eq!(
        text(&chart, "Chart.yaml"),
        "apiVersion: v2\nname: shop-web # ours\nversion: \"1.2.3\"\nappVersion: \"1.2.3\"\n"
    );
    assert_eq!(
        text(&chart, "values.yaml"),
        format!("# the image\nimage: \"{}\"\nreplicas: 1 # few\n", image())
    );
    assert!(app.package(0).unwrap().is_some());
}

#[test]
fn a_directory_that_is_no_chart_is_refused_by_file() {
    let values = ("values.yaml", "image: \"\"\n");
    let chart = ("Chart.yaml", CHART_YAML);
    for (files, file) in [
        (vec![], "chart"),
        (vec![values], "Chart.yaml"),
        (vec![chart], "values.yaml"),
        (vec![chart, ("values.yaml", "replicas: 1\n")], "values.yaml"),
        (
            vec![chart, ("values.yaml", "image:\n  name: x\n")],
            "values.yaml",
        ),
        (
            vec![chart, ("values.yaml", "image: a\nimage: b\n")],
            "values.yaml",
        ),
        (vec![chart, ("values.yaml", "\timage: a\n")], "values.yaml"),
        (
            vec![
                ("Chart.yaml", "name: other\nversion: 1\nappVersion: 1\n"),
                values,
            ],
            "Chart.yaml",
        ),
    ] {
        let (_root, app) = directory(&files);
        let error = app.package(0).unwrap_err();
        assert_eq!(error.code().to_string(), "H0513", "{files:?}: {error}");
        assert!(error.place().unwrap().ends_with(file), "{files:?}: {error}");
        assert!(!error.hints().is_empty());
    }
}

fn paths(app: &App) -> Vec<String> {
    let chart = app.chart().unwrap().unwrap();
    chart.files().map(|(path, _)| path.to_owned()).collect()
}

#[test]
fn a_directory_is_published_without_what_helmignore_names() {
    let (_root, app) = directory(&[
        ("Chart.yaml", CHART_YAML),
        ("values.yaml", "image: \"\"\n"),
        ("templates/web.yaml", "a: 1\n"),
        (
            ".helmignore",
            "# for people only\nsecrets/\nvalues-*.yaml\n*.bak\n",
        ),
        ("secrets/login.yaml", "password: not-for-the-registry\n"),
        ("values-production.yaml", "replicas: 9\n"),
        ("notes.bak", "old"),
    ]);
    assert_eq!(
        paths(&app),
        ["Chart.yaml", "templates/web.yaml", "values.yaml"]
    );
}

#[test]
fn a_directory_is_published_without_what_git_does_not_track() {
    let (root, app) = directory(&[
        ("Chart.yaml", CHART_YAML),
        ("values.yaml", "image: \"\"\n"),
        ("templates/web.yaml", "a: 1\n"),
        ("secrets.yaml", "ignored by git\n"),
        ("templates/new.yaml", "untracked\n"),
    ]);
    std::fs::write(root.path().join(".gitignore"), "secrets.yaml\n").unwrap();
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        let status = command.arg("-C").arg(root.path()).args(arguments).status();
        assert!(status.unwrap().success(), "git {arguments:?}");
    };
    git(&["init", "--quiet"]);
    assert!(app.package(0).is_err());
    git(&[
        "add",
        "chart/Chart.yaml",
        "chart/values.yaml",
        "chart/templates/web.yaml",
    ]);
    assert_eq!(
        paths(&app),
        ["Chart.yaml", "templates/web.yaml", "values.yaml"]
    );
}

/// A hand-written chart with these values, and its content after the release.
fn values_of(values: &str) -> Result<String, ChartError> {
    let (_root, app) = directory(&[("Chart.yaml", CHART_YAML), ("values.yaml", values)]);
    let chart = app.chart()?.unwrap();
    Ok(text(&chart, "values.yaml").to_owned())
}

#[test]
fn the_image_is_written_where_the_values_have_it() {
    let digest = image().digest().unwrap().to_string();
    let (host, path) = ("registry.example.com", "team/shop-web");
    let cases = [
        (
            "image: old:1 # ours\nreplicas: 1\n",
            format!("image: \"{host}/{path}@{digest}\"\nreplicas: 1\n"),
        ),
        ("image:\n", format!("image: \"{host}/{path}@{digest}\"\n")),
        (
            "\u{feff}image: ''\r\nreplicas: 1\r\n",
            format!("image: \"{host}/{path}@{digest}\"\r\nreplicas: 1\r\n"),
        ),
        (
            "# as `helm create` writes it\nimage:\n  repository: shop/web # ours\n  # the tag\n  tag: \"\"\n  pullPolicy: IfNotPresent\nreplicas: 1\n",
            format!(
                "# as `helm create` writes it\nimage:\n  repository: \"{host}/{path}\"\n  # the tag\n  tag: \"1.2.3@{digest}\"\n  pullPolicy: IfNotPresent\nreplicas: 1\n"
            ),
        ),
        (
            "web:\n  tag: other\nimage: # ours\n\n    registry: docker.io\n    repository: shop/web\n    tag: 1.0.0\n    digest: \"\"\n    pull:\n        tag: deeper\n",
            format!(
                "web:\n  tag: other\nimage: # ours\n\n    registry: \"{host}\"\n    repository: \"{path}\"\n    tag: \"1.2.3\"\n    digest: \"{digest}\"\n    pull:\n        tag: deeper\n"
            ),
        ),
        (
            "image:\n  repository: shop/web\n  digest: sha256:00\n",
            format!("image:\n  repository: \"{host}/{path}\"\n  digest: \"{digest}\"\n"),
        ),
        (
            "image: {repository: shop/web, tag: '', pullPolicy: Always} # ours\nreplicas: 1\n",
            format!(
                "image: {{\"pullPolicy\":\"Always\",\"repository\":\"{host}/{path}\",\"tag\":\"1.2.3@{digest}\"}}\nreplicas: 1\n"
            ),
        ),
    ];
    for (before, after) in cases {
        assert_eq!(
            values_of(before).map_err(|error| error.to_string()),
            Ok(after),
            "{before}"
        );
    }
}

#[test]
fn an_image_that_cannot_be_written_is_refused_with_the_way_out() {
    for values in [
        "replicas: 1\n",
        "image: {name: web}\n",
        "image:\n  repository: shop/web\n",
        "image:\n  tag: 1.0.0\n",
        "image: &image\n  repository: shop/web\n  tag: \"\"\nother: *image\n",
        "image:\n  repository: >-\n    shop/web\n  tag: \"\"\n",
        "image: |\n  shop/web\n",
        "\"image\": \"\"\n",
        "{image: \"\"}\n",
    ] {
        let error = values_of(values).unwrap_err();
        assert_eq!(error.code().to_string(), "H0513", "{values}");
        assert!(
            error.place().unwrap().ends_with("values.yaml") && !error.hints().is_empty(),
            "{error}"
        );
    }
}

#[test]
fn an_app_version_that_is_not_there_is_added() {
    let metadata = "apiVersion: v2\nname: shop-web\nversion: 0.1.0";
    let (_root, app) = directory(&[("Chart.yaml", metadata), ("values.yaml", "image: \"\"\n")]);
    assert_eq!(
        text(&app.chart().unwrap().unwrap(), "Chart.yaml"),
        "apiVersion: v2\nname: shop-web\nversion: \"1.2.3\"\nappVersion: \"1.2.3\"\n"
    );
}

#[test]
fn a_dependency_that_is_not_published_is_refused() {
    let metadata = format!(
        "{CHART_YAML}dependencies:\n- name: redis\n  version: 1.0.0\n- name: shared\n  repository: file://../shared\n"
    );
    let chart = ("Chart.yaml", metadata.as_str());
    let values = ("values.yaml", "image: \"\"\n");
    let redis = ("charts/redis-1.0.0.tgz", "an archive");
    let shared = ("charts/shared/Chart.yaml", "name: shared\n");
    let (_root, app) = directory(&[chart, values, redis, shared]);
    assert!(app.chart().unwrap().is_some());
    for (files, missing) in [
        (vec![chart, values, shared], "`redis`"),
        (
            vec![chart, values, redis, ("charts/shared.md", "")],
            "`shared`",
        ),
    ] {
        let (_root, app) = directory(&files);
        let error = app.chart().unwrap_err();
        assert_eq!(error.code().to_string(), "H0513");
        assert!(error.to_string().contains(missing), "{error}");
    }
}

/// Typical files in the directory of a chart that git tracks: `.helmignore` and git agree on what is excluded.
#[test]
fn secrets_backups_and_values_of_targets_stay_at_home() {
    let (root, app) = directory(&[
        ("Chart.yaml", CHART_YAML),
        ("values.yaml", "image: \"\"\n"),
        ("values-production.yaml", "replicas: 9\n"),
        (
            ".helmignore",
            "\u{feff}secrets/\r\nvalues-*.yaml\r\n*.bak\r\n",
        ),
        ("secrets/login.yaml", "password: not-for-the-registry\n"),
        ("templates/web.yaml", "a: 1\n"),
        ("templates/web.yaml.bak", "a: 0\n"),
        ("templates/.web.yaml.swp", "a: 0\n"),
        ("files/deep/settings.json", "{}"),
        ("files/deep/secrets/key", "not-for-the-registry"),
        ("files/local.json", "ignored by git"),
    ]);
    std::fs::write(root.path().join(".gitignore"), "local.json\n").unwrap();
    for arguments in [["init", "--quiet"], ["add", "."]] {
        let mut git = std::process::Command::new("git");
        assert!(
            git.arg("-C")
                .arg(root.path())
                .args(arguments)
                .status()
                .unwrap()
                .success()
        );
    }
    assert_eq!(
        paths(&app),
        [
            "Chart.yaml",
            "files/deep/settings.json",
            "templates/web.yaml",
            "values.yaml"
        ]
    );
    let packed = app.package(0).unwrap().unwrap();
    let unpacked = Chart::from_archive(&packed.archive).unwrap();
    assert_eq!(unpacked, app.chart().unwrap().unwrap());
}
