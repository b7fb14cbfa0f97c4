//! Wrong configurations. Each gives one error that lists all that is wrong.

use super::*;

/// A name, the file, and variables.
type Wrong = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const TABLE: &[Wrong] = &[
    ("nothing at all", "", &[]),
    (
        "misspelt keys in every section",
        r#"
[builder]
knid = "native"
[registry]
locaton = "registry.example.com/team"
[cluster.staging]
kubeConfig = "staging.yaml"
contex = "eu"
[cluster.production]
kubeconfig = "production.yaml"
"#,
        &[],
    ),
    (
        "a misspelt section",
        r#"
[registery]
location = "registry.example.com/team"
[clusters.staging]
kubeconfig = "staging.yaml"
[clusters.production]
kubeconfig = "production.yaml"
"#,
        &[],
    ),
    (
        "keys in the wrong section",
        r#"
[registry]
visibility = "public"
kubeconfig = "kubeconfig.yaml"
[delivery]
location = "registry.example.com/team"
"#,
        &[],
    ),
    (
        "wrong types",
        r#"
registry.location = 5
registry.kind = "harbor"
registry.harbor.immutable-tags = "true"
registry.harbor.storage-limit = 50
builder.kind = ["native"]
delivery.kind = true
[cluster]
kubeconfig = 2026-01-01
[cluster.context]
"#,
        &[],
    ),
    (
        "a value where a section belongs, and the reverse",
        r#"
registry = "registry.example.com/team"
cluster = "kubeconfig.yaml"
[builder.kind]
name = "docker"
"#,
        &[],
    ),
    (
        "unknown choices",
        r#"
[builder]
kind = "podman"
[registry]
location = "registry.example.com/team"
kind = "harbour"
[registry.harbor]
visibility = "internal"
[delivery]
kind = "Direct"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[],
    ),
    (
        "registries that are none",
        r#"
[registry]
location = "https://registry.example.com/Team"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[("HARMONY_REGISTRY", "registry.example.com/a//b")],
    ),
    (
        "a password in the file",
        r#"
[registry]
location = "registry.example.com/team"
user = "ci"
password = "s3cret"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[],
    ),
    (
        "a password where the name of a variable belongs",
        r#"
[registry]
location = "registry.example.com/team"
user = "ci"
password-variable = "s3cret!"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[],
    ),
    (
        "a login in the location",
        r#"
[registry]
location = "ci:s3cret@registry.example.com/team"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[],
    ),
    (
        "a password that is not set, and files that do not exist",
        r#"
[registry]
location = "registry.example.com/team"
user = "robot$team+ci"
password-variable = "HARBOR_PASSWORD"
ca = "authority.pem"
[cluster.staging]
kubeconfig = "stage.yaml"
[cluster.production]
kubeconfig = "."
"#,
        &[("HARBOR_PASSWORD", "")],
    ),
    (
        "two passwords",
        r#"
[registry]
location = "registry.example.com/team"
user = "ci"
password-variable = "HARBOR_PASSWORD"
password-file = "password"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[("HARBOR_PASSWORD", "s3cret")],
    ),
    (
        "half a login in the environment",
        r#"
[registry]
location = "registry.example.com/team"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[("HARMONY_REGISTRY_PASSWORD", "s3cret")],
    ),
    (
        "Harbor without a project, with a bad quota",
        r#"
[registry]
location = "registry.example.com"
kind = "harbor"
[registry.harbor]
storage-limit = "50 Gi"
immutable_tags = true
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[],
    ),
    (
        "settings of Harbor for another registry",
        r#"
[registry]
location = "registry.example.com/team"
[registry.harbor]
visibility = "public"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[],
    ),
    (
        "no production cluster",
        r#"
[registry]
location = "registry.example.com/team"
[cluster.staging]
kubeconfig = "staging.yaml"
[cluster.production]
context = "production-eu"
"#,
        &[],
    ),
    (
        "an address without a daemon, and one of nothing",
        r#"
[builder]
address = "ssh://builder"
[registry]
location = "registry.example.com/team"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[("HARMONY_BUILDER_ADDRESS", "unix:///var/run/docker.sock")],
    ),
    (
        "some of the certificates of BuildKit",
        r#"
[builder]
kind = "buildkit"
address = "tcp://buildkit.example.com:1234"
certificate = "ca.pem"
[registry]
location = "registry.example.com/team"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[],
    ),
    (
        "BuildKit without an address, and a key that does not exist",
        r#"
[builder]
kind = "buildkit"
key = "client.key"
[registry]
location = "registry.example.com/team"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[],
    ),
    (
        "a port that is missing",
        r#"
[builder]
kind = "buildkit"
address = "tcp://buildkit.example.com"
[registry]
location = "registry.example.com/team"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[],
    ),
    (
        "not TOML",
        r#"
[registry
location = "registry.example.com/team
[cluster]
kubeconfig = "kubeconfig.yaml"
kubeconfig = "staging.yaml"
"#,
        &[],
    ),
    (
        "YAML",
        r"
registry:
  location: registry.example.com/team
",
        &[],
    ),
    (
        "misspelt variables",
        r#"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[
            ("HARMONY_REGISTY", "registry.example.com/team"),
            ("HARMONY_REGISTRY_USERNAME", "ci"),
            ("HARMONY_KUBECONFIG_FILE", "kubeconfig.yaml"),
            ("HARMONY_TEST_SOMETHING", "1"),
        ],
    ),
    (
        "empty values",
        r#"
[registry]
location = ""
user = " "
[cluster]
kubeconfig = ""
context = ""
[delivery]
[registry.harbor]
"#,
        &[],
    ),
    (
        "settings of Argo CD",
        r#"
[registry]
location = "registry.example.com/team"
[delivery]
namespace = "Argo CD"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[("HARMONY_DELIVERY", "argo")],
    ),
    (
        "settings of Flux with another delivery",
        r#"
[registry]
location = "registry.example.com/team"
[delivery]
kind = "argocd"
controller = "kustomize"
shard = "shard1"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[("HARMONY_DELIVERY_SHARD", "of Flux")],
    ),
    (
        "settings of a controller with a direct delivery",
        r#"
[registry]
location = "registry.example.com/team"
[delivery]
namespace = "flux-system"
shard = "shard1"
[cluster]
kubeconfig = "kubeconfig.yaml"
"#,
        &[],
    ),
    (
        "names that are none",
        r#"
[registry]
location = "registry.example.com/team"
password-file = "password"
[cluster]
kubeconfig = "kubeconfig.yaml"
context = "two\nlines"
[[cluster.staging]]
kubeconfig = "staging.yaml"
"#,
        &[],
    ),
];

#[test]
fn each_wrong_configuration_is_one_error_with_everything_that_is_wrong() {
    assert!(TABLE.len() >= 20);
    let mut text = String::new();
    for (name, file, variables) in TABLE {
        let folder = Folder::new(file);
        let error = match folder.read(variables, &production()) {
            Err(error) => error,
            Ok(read) => panic!("{name}: {read:?}"),
        };
        let report = Report::of(&error).to_string();
        assert!(!report.contains("s3cret"), "{name}: {report}");
        let report = report.replace(&folder.0.path().display().to_string(), "FOLDER");
        let _ = writeln!(text, "# {name}\n{report}\n");
    }
    insta::assert_snapshot!("wrong_configurations", text);
}

#[test]
fn a_file_that_does_not_exist_is_an_error() {
    let error = read(Some("/nowhere/harmony.toml".into()), &[], &Needs::default());
    let error = error.unwrap_err();
    assert_eq!(error.problems.len(), 1);
    assert_eq!(
        error.problems[0].what,
        "the file cannot be read: it does not exist"
    );
}
