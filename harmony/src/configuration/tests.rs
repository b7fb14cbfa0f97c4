use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use harmony_core::chart::Stage;
use harmony_core::diagnostic::Report;

use super::keys::{ALL, VARIABLES};
use super::*;

mod wrong;

/// A folder with a configuration file and the files that it names.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "kubeconfig.yaml",
            "staging.yaml",
            "production.yaml",
            "ca.pem",
        ] {
            fs::write(folder.path().join(name), "{}").unwrap();
        }
        fs::write(folder.path().join("password"), "from-file\n").unwrap();
        fs::write(folder.path().join(FILE), text).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(
        &self,
        variables: &[(&str, &str)],
        needs: &Needs,
    ) -> Result<Configuration, ConfigurationError> {
        read(Some(self.path(FILE)), variables, needs)
    }
}

fn read(
    file: Option<PathBuf>,
    variables: &[(&str, &str)],
    needs: &Needs,
) -> Result<Configuration, ConfigurationError> {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    let lookup = |name: &str| variables.get(name).map(OsString::from);
    let sources = Sources {
        file,
        lookup: &lookup,
        names: variables.keys().map(ToString::to_string).collect(),
    };
    Configuration::from_sources(&sources, needs)
}

fn production() -> Needs {
    Needs::of(&[Stage::Staging, Stage::Production])
}

#[test]
fn the_example_of_the_reference_is_valid() {
    let folder = Folder::new(reference::EXAMPLE);
    let variables = [("HARBOR_PASSWORD", "s3cret")];
    let read = folder.read(&variables, &production()).unwrap();
    assert_eq!(
        read.registry.location.unwrap().to_string(),
        "registry.example.com/team"
    );
    assert_eq!(
        read.registry.harbor,
        Some(HarborSettings {
            storage_limit: Some(50 << 30),
            immutable_tags: true,
            ..HarborSettings::default()
        })
    );
    let cluster = |stage| {
        let cluster = read.clusters.of(stage).unwrap();
        (cluster.path.clone(), cluster.context.clone())
    };
    let kubeconfig = folder.path("kubeconfig.yaml");
    assert_eq!(cluster(Stage::Only), (kubeconfig.clone(), None));
    assert_eq!(
        cluster(Stage::Staging),
        (kubeconfig.clone(), Some("staging-eu".into()))
    );
    assert_eq!(
        cluster(Stage::Production),
        (kubeconfig, Some("production-eu".into()))
    );
    let shown = format!("{:?}", read.registry.settings);
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn no_file_is_needed_and_a_variable_overrides_it() {
    let kubeconfigs = Folder::new("");
    let named = kubeconfigs.path("staging.yaml");
    let variables = [
        ("HARMONY_REGISTRY", "registry.example.com/other"),
        ("HARMONY_KUBECONFIG", named.to_str().unwrap()),
        ("HARMONY_BUILDER", "docker"),
        ("HARMONY_PRODUCTION_KUBE_CONTEXT", "live"),
    ];
    let alone = read(None, &variables, &production()).unwrap();
    let location = |read: &Configuration| read.registry.location.as_ref().unwrap().to_string();
    assert_eq!(location(&alone), "registry.example.com/other");
    let live = alone.clusters.production.as_ref().unwrap();
    assert_eq!(
        (&live.path, live.context.as_deref()),
        (&named, Some("live"))
    );
    assert_eq!(alone.builder, BuilderChoice::Docker { address: None });

    let folder = Folder::new("[registry]\nlocation = \"registry.example.com/team\"\n");
    let overridden = folder.read(&variables, &production()).unwrap();
    assert_eq!(location(&overridden), "registry.example.com/other");
    let empty = [("HARMONY_REGISTRY", "")];
    let kept = folder.read(&empty, &Needs::of(&[])).unwrap();
    assert_eq!(location(&kept), "registry.example.com/team");
}

#[test]
fn a_laptop_needs_neither_a_registry_nor_the_passwords_of_production() {
    assert!(read(None, &[], &Needs::default()).is_ok());
    let folder = Folder::new(reference::EXAMPLE);
    assert!(folder.read(&[], &Needs::default()).is_ok());
    assert!(folder.read(&[], &Needs::of(&[])).is_err());
    fs::remove_file(folder.path("kubeconfig.yaml")).unwrap();
    assert!(folder.read(&[], &Needs::default()).is_ok());
}

#[test]
fn a_password_is_read_from_the_file_that_is_named() {
    let text = "[registry]\nuser = \"ci\"\npassword-file = \"password\"\n";
    let folder = Folder::new(text);
    assert!(folder.read(&[], &Needs::default()).is_ok());
    fs::remove_file(folder.path("password")).unwrap();
    let error = folder.read(&[], &Needs::of(&[])).unwrap_err();
    assert!(
        error.problems.iter().any(|problem| {
            problem.place == Place::Line(3) && problem.what.ends_with("it does not exist")
        }),
        "{error:?}"
    );
}

#[test]
fn a_release_needs_no_cluster_and_a_stage_only_its_own() {
    let text = "[registry]\nlocation = \"r.example.com/t\"\n[cluster.staging]\nkubeconfig = \"staging.yaml\"\n";
    let folder = Folder::new(text);
    assert!(folder.read(&[], &Needs::of(&[])).is_ok());
    assert!(folder.read(&[], &Needs::of(&[Stage::Staging])).is_ok());
    let error = folder.read(&[], &production()).unwrap_err();
    assert_eq!(error.problems.len(), 1, "{error:?}");
    let text = text.replace("staging.yaml", "nowhere.yaml");
    let error = Folder::new(&text).read(&[], &Needs::of(&[Stage::Staging]));
    let problems = error.unwrap_err().problems;
    assert_eq!(problems.len(), 1, "not also missing: {problems:?}");
}

#[test]
fn the_reference_pages_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference");
    for (name, content) in reference::files() {
        let committed = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(
            committed == content,
            "docs/reference/{name} is not current: run `cargo xtask codegen`"
        );
    }
}

#[test]
fn every_variable_of_the_code_is_documented() {
    let documented: Vec<&str> = ALL
        .iter()
        .filter_map(|info| info.variable)
        .chain(VARIABLES.iter().map(|variable| variable.name))
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for part in ["harmony", "harmony_cli", "harmony_release", "harmony_types"] {
        variables_below(&root.join(part), &mut found);
    }
    assert!(
        found.contains(&"HARMONY_REGISTRY_CA".to_owned()),
        "{found:?}"
    );
    // Those of tests, and of the node's own program.
    found.retain(|name| !name.starts_with("HARMONY_TEST_") && !name.starts_with("HARMONY_NODE"));
    found.retain(|name| !documented.contains(&name.as_str()));
    assert!(found.is_empty(), "not in configuration/keys.rs: {found:?}");
}

/// The text literals in source files that are the name of a variable of ours.
fn variables_below(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["tests", "testing", "target", "examples"].contains(&name.as_str()) {
            variables_below(&path, found);
        } else if path.extension() == Some("rs".as_ref())
            && name != "tests.rs"
            && name != "testing.rs"
        {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            for literal in code.split('"') {
                let is_name = literal.starts_with("HARMONY_")
                    && literal.len() > "HARMONY_".len()
                    && literal
                        .bytes()
                        .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
                if is_name {
                    found.push(literal.to_owned());
                }
            }
        }
    }
}
