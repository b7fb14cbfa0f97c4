//! The file of `harmony-fleet apply`: deployments in YAML or JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use harmony_reconciler_contracts::{
    Container, ContainerName, DeploymentName, PodmanV0, ReconcileScore, SchemaVersion,
    StoredDeployment, Target, VolumeSource,
};
use serde::Deserialize;

/// The largest deployment, as it is stored. A device gets all of its deployments in one message of at most 1 MiB.
const MAX_BYTES: usize = 256 * 1024;

/// A deployment as users write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: DeploymentName,
    target: Target,
    containers: BTreeMap<ContainerName, Container>,
}

/// What is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FileProblem {
    /// The line and column, from 1.
    pub place: Option<(usize, usize)>,
    /// The deployment, if it has been read.
    pub deployment: Option<DeploymentName>,
    pub problem: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        if let Some(name) = &self.deployment {
            write!(f, "deployment `{name}`: ")?;
        }
        f.write_str(&self.problem)
    }
}

/// Reads the deployments of a file, in their order.
///
/// # Errors
/// The first thing that is not valid.
pub fn read(text: &str) -> Result<Vec<StoredDeployment>, FileProblem> {
    let documents = if text.trim_start().starts_with('{') {
        read_json(text)?
    } else {
        read_yaml(text)?
    };
    if documents.is_empty() {
        return Err(about_file("the file contains no deployment"));
    }
    let mut names = BTreeSet::new();
    let mut deployments = Vec::new();
    for document in documents {
        let name = document.name.clone();
        let wrong = |problem| FileProblem {
            place: None,
            deployment: Some(name.clone()),
            problem,
        };
        if !names.insert(name.clone()) {
            return Err(wrong("it is in the file twice".into()));
        }
        if let Some(problem) = problem_of(&document) {
            return Err(wrong(problem));
        }
        let deployment = StoredDeployment {
            version: SchemaVersion::CURRENT,
            name: document.name,
            target: document.target,
            score: ReconcileScore::PodmanV0(PodmanV0 {
                containers: document.containers,
            }),
        };
        let bytes = serde_json::to_vec(&deployment).map_or(0, |json| json.len());
        if bytes > MAX_BYTES {
            let problem = format!(
                "it has {bytes} bytes, but at most {MAX_BYTES} are allowed: put large files into the image"
            );
            return Err(wrong(problem));
        }
        deployments.push(deployment);
    }
    Ok(deployments)
}

fn read_json(text: &str) -> Result<Vec<Document>, FileProblem> {
    let documents = serde_json::Deserializer::from_str(text).into_iter();
    documents
        .collect::<Result<_, serde_json::Error>>()
        .map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let text = error.to_string();
            let problem = text.strip_suffix(&format!(" at line {line} column {column}"));
            FileProblem {
                place: Some((line, column)),
                deployment: None,
                problem: problem.unwrap_or(&text).to_owned(),
            }
        })
}

fn read_yaml(text: &str) -> Result<Vec<Document>, FileProblem> {
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        // Maps of Rust keep the last of two entries with one key; a value of YAML refuses the second.
        let value = serde_yaml::Value::deserialize(document).map_err(yaml_problem)?;
        if !value.is_null() {
            documents.push(value);
        }
    }
    let typed = serde_yaml::Deserializer::from_str(text).map(|document| {
        // Variants with a value are written as maps, as in JSON, and not as tags of YAML.
        serde_yaml::with::singleton_map_recursive::deserialize::<Option<Document>, _>(document)
    });
    let typed: Vec<Option<Document>> = typed.collect::<Result<_, _>>().map_err(yaml_problem)?;
    Ok(typed.into_iter().flatten().collect())
}

fn yaml_problem(error: serde_yaml::Error) -> FileProblem {
    let place = error.location().map(|it| (it.line(), it.column()));
    let text = error.to_string();
    let suffix = place.map(|(line, column)| format!(" at line {line} column {column}"));
    let problem = suffix.and_then(|suffix| Some(text.strip_suffix(&suffix)?.to_owned()));
    FileProblem {
        place,
        deployment: None,
        problem: problem.unwrap_or(text),
    }
}

fn about_file(problem: &str) -> FileProblem {
    FileProblem {
        place: None,
        deployment: None,
        problem: problem.into(),
    }
}

/// What no device could run.
fn problem_of(document: &Document) -> Option<String> {
    let Target {
        devices,
        labels,
        all,
    } = &document.target;
    if *all && !(devices.is_empty() && labels.is_empty()) {
        return Some("the target is `all: true`, so it cannot have `devices` or `labels`".into());
    }
    if !all && devices.is_empty() && labels.is_empty() {
        return Some("the target means no device: give `devices`, `labels` or `all: true`".into());
    }
    if document.containers.is_empty() {
        return Some("it has no container".into());
    }
    let mut ports = BTreeMap::new();
    for (name, container) in &document.containers {
        for port in &container.ports {
            let claim = (port.host, port.protocol.to_string());
            if let Some(other) = ports.insert(claim, name) {
                return Some(format!(
                    "containers `{other}` and `{name}` use the same port {}/{} of the device",
                    port.host, port.protocol
                ));
            }
        }
        let folders = container.volumes.iter().filter_map(|it| match &it.source {
            VolumeSource::Folder(folder) => Some(folder),
            VolumeSource::Named(_) => None,
        });
        let paths = container.volumes.iter().map(|it| &it.path);
        let mut paths = paths.chain(container.files.keys()).chain(folders);
        if let Some(path) = paths.find(|path| !path.starts_with('/')) {
            return Some(format!(
                "container `{name}`: `{path}` is not an absolute path"
            ));
        }
        if let Some(variable) = container
            .env
            .keys()
            .find(|key| key.is_empty() || key.contains('='))
        {
            return Some(format!(
                "container `{name}`: `{variable}` is not the name of a variable"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn greeter(more: &str) -> String {
        format!(
            "name: greeter\ntarget: {{ labels: {{ site: lyon }} }}\ncontainers:\n  web:\n    image: r.example.com/greeter@{DIGEST}\n{more}"
        )
    }

    fn problem(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn several_documents_with_every_kind_of_field_are_read() {
        let text = greeter(
            "    ports: [{ host: 8080, container: 8080 }]
    volumes:
      - { source: { named: data }, path: /data }
      - { source: { folder: /srv }, path: /srv, read_only: true }
    secrets: [{ name: token, target: { env: TOKEN } }]
    restart: on_failure
    health: { command: [/check] }
---
name: other
target: { all: true }
containers: { a: { image: r.example.com/a@",
        ) + DIGEST
            + " } }\n---\n";
        let deployments = read(&text).unwrap();
        assert_eq!(deployments.len(), 2);
        let json = serde_json::to_string(&deployments[0]).unwrap();
        let volume = r#"{"path":"/srv","read_only":true,"source":{"folder":"/srv"}}"#;
        assert!(json.contains(volume), "{json}");
        assert!(deployments[1].target.all);
        let json = r#"{"name": "a", "target": {"devices": ["pump-1"]}, "containers": {"c": {"image": "r.example.com/a@DIGEST"}}}"#;
        let json = json.replace("DIGEST", DIGEST);
        assert_eq!(
            read(&format!("{json}\n{json}").replacen("\"a\"", "\"b\"", 1))
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn a_mistake_is_named_with_its_place_and_what_is_known() {
        for (text, expected) in [
            (
                greeter("    portz: []\n"),
                "line 6, column 5: containers.web: unknown field `portz`, expected one of `image`, `entrypoint`",
            ),
            (
                greeter("") + "replicas: 3\n",
                "unknown field `replicas`, expected one of `name`, `target`, `containers`",
            ),
            (
                greeter("    ports: [{ host: 0, container: 1 }]\n"),
                "line 6, column ",
            ),
            (greeter("    env: { A: [1] }\n"), "expected a string"),
            (
                greeter("").replace("site: lyon", "site: -3"),
                "a value has at most 63 letters",
            ),
            (
                greeter("").replace(DIGEST, "sha256:12"),
                "64 hexadecimal digits",
            ),
            (
                greeter("").replace("greeter\n", "Greeter_1\n"),
                "is not a deployment name",
            ),
            (
                greeter("  web:\n    image: x\n"),
                "containers: duplicate entry with key \"web\"",
            ),
            (String::new(), "contains no deployment"),
            (
                greeter("") + "---\n" + &greeter(""),
                "deployment `greeter`: it is in the file twice",
            ),
            (
                greeter("").replace("{ labels: { site: lyon } }", "{}"),
                "the target means no device",
            ),
            (
                greeter("").replace("{ labels:", "{ all: true, labels:"),
                "cannot have `devices` or `labels`",
            ),
            (
                greeter("    files: { etc/app.toml: x }\n"),
                "`etc/app.toml` is not an absolute path",
            ),
            (
                greeter("    ports: [{ host: 80, container: 1 }, { host: 80, container: 2 }]\n"),
                "the same port 80/tcp",
            ),
            (
                "{\"name\": \"a\", \"tarket\": {}}".into(),
                "line 1, column 22: unknown field `tarket`, expected one of `name`",
            ),
        ] {
            let problem = problem(&text);
            assert!(
                problem.contains(expected),
                "{problem}\nexpected: {expected}"
            );
        }
        let large = greeter(&format!("    files: {{ /a: {} }}\n", "x".repeat(300_000)));
        assert!(problem(&large).contains("at most 262144"));
    }
}
