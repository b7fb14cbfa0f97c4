//! The container for podman, out of the container of the contract.

use std::collections::BTreeMap;

use harmony_fleet_domain::NewContainer;
use harmony_fleet_domain::desired::container_name;
use harmony_reconciler_contracts::{
    Container, DeploymentName, Limits, Port, Protocol, Secret, SecretTarget, Volume, VolumeSource,
};
use serde::Serialize;

use crate::labels::{self, Labels};
use crate::settings::LogDriver;

/// Where containers find the files of their secrets.
pub(crate) const SECRETS_FOLDER: &str = "/run/secrets";

/// The period of the processor limit, in microseconds.
const CPU_PERIOD: u64 = 100_000;
/// The smallest quota that the kernel accepts, in microseconds.
const CPU_SMALLEST: u64 = 1_000;

/// The body of a request to create a container ("SpecGenerator").
#[derive(Debug, Serialize)]
pub(crate) struct Create<'a> {
    name: String,
    image: &'a str,
    labels: Labels,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    entrypoint: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    command: &'a [String],
    env: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    portmappings: Vec<PortMapping>,
    mounts: Vec<Mount>,
    volumes: Vec<NamedVolume>,
    secrets: Vec<SecretFile<'a>>,
    secret_env: BTreeMap<&'a str, &'a str>,
    resource_limits: Resources,
    cap_drop: [&'static str; 1],
    cap_add: &'a [String],
    no_new_privileges: bool,
    read_only_filesystem: bool,
    restart_policy: &'static str,
    healthconfig: HealthConfig,
    log_configuration: Log,
    /// Podman would give the container the proxy settings of its own service.
    httpproxy: bool,
    /// Podman would mount more for a program that is named as systemd is.
    systemd: &'static str,
}

#[derive(Debug, Serialize)]
struct PortMapping {
    host_port: u16,
    container_port: u16,
    protocol: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Mount {
    #[serde(rename = "Type")]
    kind: &'static str,
    source: String,
    destination: String,
    options: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NamedVolume {
    name: String,
    dest: String,
    options: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SecretFile<'a> {
    source: &'a str,
    target: &'a str,
    mode: u32,
}

#[derive(Debug, Default, Serialize)]
struct Resources {
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Cpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids: Option<Pids>,
}

#[derive(Debug, Serialize)]
struct Memory {
    limit: u64,
    /// Memory and swap together.
    swap: u64,
}

#[derive(Debug, Serialize)]
struct Cpu {
    period: u64,
    quota: u64,
}

#[derive(Debug, Serialize)]
struct Pids {
    limit: u32,
}

/// Without an interval, podman runs checks only when it is asked to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HealthConfig {
    test: Vec<String>,
    interval: u64,
    /// In nanoseconds. The agent gives up earlier.
    timeout: u64,
    retries: u32,
}

#[derive(Debug, Serialize)]
struct Log {
    driver: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

/// The request that creates a container.
pub(crate) fn create<'a>(
    container: &NewContainer<'a>,
    logs: LogDriver,
    log_bytes: u64,
) -> Create<'a> {
    let spec = container.spec;
    Create {
        name: container_name(container.deployment, container.name.as_str()),
        image: spec.image.as_str(),
        labels: labels::of_container(container),
        entrypoint: &spec.entrypoint,
        command: &spec.command,
        env: &spec.env,
        user: spec.user.as_deref(),
        portmappings: spec.ports.iter().map(port).collect(),
        mounts: mounts(spec),
        volumes: named_volumes(container.deployment, &spec.volumes),
        secrets: spec.secrets.iter().filter_map(secret_file).collect(),
        secret_env: spec.secrets.iter().filter_map(secret_variable).collect(),
        resource_limits: resources(&spec.limits),
        cap_drop: ["ALL"],
        cap_add: &spec.capabilities,
        no_new_privileges: true,
        read_only_filesystem: !spec.writable_root,
        restart_policy: "no",
        healthconfig: health(spec),
        log_configuration: match logs {
            LogDriver::Journal => Log {
                driver: "journald",
                size: None,
            },
            LogDriver::File => Log {
                driver: "k8s-file",
                size: Some(log_bytes),
            },
        },
        httpproxy: false,
        systemd: "false",
    }
}

/// The name of a volume of a deployment, for podman.
pub(crate) fn volume_name(deployment: &DeploymentName, volume: &str) -> String {
    format!("{deployment}-{volume}")
}

fn port(port: &Port) -> PortMapping {
    PortMapping {
        host_port: port.host.get(),
        container_port: port.container.get(),
        protocol: match port.protocol {
            Protocol::Tcp => "tcp".into(),
            Protocol::Udp => "udp".into(),
        },
    }
}

/// Folders of the device, and what has to be writable above a root that is not.
fn mounts(spec: &Container) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = spec.volumes.iter().filter_map(folder).collect();
    if !spec.writable_root && !is_mounted(spec, "/tmp") {
        mounts.push(memory("/tmp", "mode=1777"));
    }
    // Podman's own folder for secrets is read-only together with the root, and runc then cannot add the files to it.
    let has_secret_files = spec
        .secrets
        .iter()
        .any(|secret| secret_file(secret).is_some());
    if has_secret_files && !is_mounted(spec, SECRETS_FOLDER) {
        mounts.push(memory(SECRETS_FOLDER, "mode=0755"));
    }
    mounts
}

fn is_mounted(spec: &Container, path: &str) -> bool {
    spec.volumes.iter().any(|volume| volume.path == path)
}

fn memory(path: &str, mode: &'static str) -> Mount {
    Mount {
        kind: "tmpfs",
        source: "tmpfs".into(),
        destination: path.into(),
        options: vec![mode, "rw", "nosuid", "nodev"],
    }
}

fn folder(volume: &Volume) -> Option<Mount> {
    match &volume.source {
        VolumeSource::Folder(path) => Some(Mount {
            kind: "bind",
            source: path.clone(),
            destination: volume.path.clone(),
            options: vec!["rbind", access(volume)],
        }),
        VolumeSource::Named(_) => None,
    }
}

fn named_volumes(deployment: &DeploymentName, volumes: &[Volume]) -> Vec<NamedVolume> {
    let named = volumes.iter().filter_map(|volume| match &volume.source {
        VolumeSource::Named(name) => Some(NamedVolume {
            name: volume_name(deployment, name.as_str()),
            dest: volume.path.clone(),
            options: vec![access(volume)],
        }),
        VolumeSource::Folder(_) => None,
    });
    named.collect()
}

fn access(volume: &Volume) -> &'static str {
    if volume.read_only { "ro" } else { "rw" }
}

fn secret_file(secret: &Secret) -> Option<SecretFile<'_>> {
    match &secret.target {
        SecretTarget::File(target) => Some(SecretFile {
            source: &secret.name,
            target,
            mode: 0o444,
        }),
        SecretTarget::Env(_) => None,
    }
}

fn secret_variable(secret: &Secret) -> Option<(&str, &str)> {
    match &secret.target {
        SecretTarget::Env(variable) => Some((variable, &secret.name)),
        SecretTarget::File(_) => None,
    }
}

fn resources(limits: &Limits) -> Resources {
    Resources {
        memory: limits
            .memory_bytes
            .map(|limit| Memory { limit, swap: limit }),
        cpu: limits.cpu_millis.map(|millis| Cpu {
            period: CPU_PERIOD,
            quota: (u64::from(millis) * CPU_PERIOD / 1_000).max(CPU_SMALLEST),
        }),
        pids: limits.pids.map(|limit| Pids { limit }),
    }
}

fn health(spec: &Container) -> HealthConfig {
    let Some(health) = &spec.health else {
        return HealthConfig {
            test: vec!["NONE".into()],
            interval: 0,
            timeout: 0,
            retries: 0,
        };
    };
    HealthConfig {
        test: health_test(&health.command),
        interval: 0,
        timeout: (u64::from(health.timeout_seconds) + 5) * 1_000_000_000,
        retries: health.retries,
    }
}

/// A command without a shell, as podman stores it.
pub(crate) fn health_test(command: &[String]) -> Vec<String> {
    let mut test = vec!["CMD".to_owned()];
    test.extend_from_slice(command);
    test
}

#[cfg(test)]
mod tests {
    use harmony_reconciler_contracts::{ContainerName, ContentHash};

    use super::*;

    fn json(spec: &Container) -> serde_json::Value {
        let deployment: DeploymentName = "shop".parse().unwrap();
        let name: ContainerName = "web".parse().unwrap();
        let hash = ContentHash::try_from("0123456789abcdef".to_owned()).unwrap();
        let container = NewContainer {
            deployment: &deployment,
            name: &name,
            hash: &hash,
            spec,
        };
        serde_json::to_value(create(&container, LogDriver::File, 1024)).unwrap()
    }

    fn container(rest: &str) -> Container {
        let image = format!("r.example/app@sha256:{}", "a".repeat(64));
        serde_json::from_str(&format!(r#"{{"image":"{image}"{rest}}}"#)).unwrap()
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        let json = json(&container(""));
        assert_eq!(json["name"], "shop-web");
        assert_eq!(json["cap_drop"], serde_json::json!(["ALL"]));
        assert_eq!(json["cap_add"], serde_json::json!([]));
        assert_eq!(json["no_new_privileges"], true);
        assert_eq!(json["read_only_filesystem"], true);
        assert_eq!(json["restart_policy"], "no");
        assert_eq!(json["healthconfig"]["Test"], serde_json::json!(["NONE"]));
        assert_eq!(json["mounts"][0]["Destination"], "/tmp");
        assert_eq!(json["labels"]["io.harmony.fleet.hash"], "0123456789abcdef");
        assert_eq!(json.get("entrypoint"), None, "that of the image");
    }

    #[test]
    fn limits_and_volumes_are_podmans() {
        let json = json(&container(
            r#","limits":{"memory_bytes":1000,"cpu_millis":1500,"pids":5},"writable_root":true,
               "volumes":[{"source":{"named":"data"},"path":"/data"},
                          {"source":{"folder":"/srv"},"path":"/srv","read_only":true}]"#,
        ));
        let limits = &json["resource_limits"];
        assert_eq!(
            limits["memory"],
            serde_json::json!({"limit":1000,"swap":1000})
        );
        assert_eq!(limits["cpu"]["quota"], 150_000);
        assert_eq!(json["volumes"][0]["Name"], "shop-data");
        let mounts = serde_json::json!([
            {"Type":"bind","Source":"/srv","Destination":"/srv","Options":["rbind","ro"]}
        ]);
        assert_eq!(json["mounts"], mounts);
    }

    #[test]
    fn the_smallest_processor_limit_is_one_that_the_kernel_accepts() {
        let json = json(&container(r#","limits":{"cpu_millis":1}"#));
        assert_eq!(json["resource_limits"]["cpu"]["quota"], 1_000);
    }
}
