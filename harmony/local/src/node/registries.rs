//! The registries that the node can pull from, in addition to those that the machine trusts.

use std::fs;
use std::path::PathBuf;

use harmony_core::Mode;
use harmony_types::RegistryHost;

use super::config::Layout;
use super::error::LocalNodeError;
use super::files::{self, Access};

/// How to connect to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryTrust {
    /// TLS, with a certificate signed by this authority, in PEM.
    Authority(String),
    /// No TLS; only for registries on this machine.
    PlainHttp,
}

/// Writes the file that containerd reads at its next pull, except while planning. Returns the file and whether it was
/// changed.
pub(super) fn trust(
    layout: &Layout,
    host: &RegistryHost,
    trust: &RegistryTrust,
    mode: Mode,
) -> Result<(PathBuf, bool), LocalNodeError> {
    let folder = layout.registry_config_dir().join(host.to_string());
    let authority = folder.join("ca.crt");
    let (scheme, ca) = match trust {
        RegistryTrust::Authority(pem) => {
            if !pem.contains("-----BEGIN CERTIFICATE-----") {
                let reason = "it contains no PEM certificate";
                return Err(LocalNodeError::Reference {
                    what: "a certificate authority",
                    value: host.to_string(),
                    reason,
                });
            }
            ("https", format!("ca = \"{}\"\n", authority.display()))
        }
        RegistryTrust::PlainHttp if host.is_loopback() => ("http", String::new()),
        RegistryTrust::PlainHttp => {
            let reason = "plain HTTP is allowed only for registries on loopback";
            return Err(LocalNodeError::Reference {
                what: "a registry without TLS",
                value: host.to_string(),
                reason,
            });
        }
    };
    // What `host` does not have, containerd asks `server` for, which needs the authority as well: otherwise a missing image
    // is reported as an untrusted certificate. `server` alone would be plain HTTP on loopback.
    let hosts = format!(
        "server = \"{scheme}://{host}\"\n{ca}\n\
         [host.\"{scheme}://{host}\"]\n  capabilities = [\"pull\", \"resolve\"]\n{}",
        if ca.is_empty() {
            String::new()
        } else {
            format!("  {ca}")
        }
    );
    let path = folder.join("hosts.toml");
    let mut wanted = vec![(path.clone(), hosts)];
    if let RegistryTrust::Authority(pem) = trust {
        wanted.insert(0, (authority, pem.clone()));
    }
    let mut changed = false;
    for (path, content) in wanted {
        changed |= match mode {
            Mode::Plan => fs::read(&path).ok().as_deref() != Some(content.as_bytes()),
            Mode::Apply => files::write_if_changed(&path, content.as_bytes(), Access::Public)?,
        };
    }
    Ok((path, changed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::config::LocalNodeConfig;

    #[test]
    fn plain_http_stays_on_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let config = LocalNodeConfig {
            state_dir: folder.path().into(),
            ..LocalNodeConfig::default()
        };
        let layout = config.layout();
        let set = |host: &str, how: &RegistryTrust| {
            let host = RegistryHost::parse(host).unwrap();
            let (_, planned) = trust(&layout, &host, how, Mode::Plan)?;
            let (_, changed) = trust(&layout, &host, how, Mode::Apply)?;
            assert_eq!(planned, changed);
            Ok::<_, LocalNodeError>(changed)
        };
        assert!(set("127.0.0.1:5000", &RegistryTrust::PlainHttp).unwrap());
        assert!(
            !set("127.0.0.1:5000", &RegistryTrust::PlainHttp).unwrap(),
            "the second time nothing changes"
        );
        assert!(set("localhost:5000", &RegistryTrust::PlainHttp).unwrap());
        assert!(set("10.0.0.1:5000", &RegistryTrust::PlainHttp).is_err());
        assert!(set("127.evil.com", &RegistryTrust::PlainHttp).is_err());
        let ca = RegistryTrust::Authority("-----BEGIN CERTIFICATE-----\n".into());
        assert!(set("10.0.0.1:5000", &ca).unwrap());
        assert!(set("10.0.0.1:5000", &RegistryTrust::Authority("junk".into())).is_err());
        let hosts = std::fs::read_to_string(
            layout
                .registry_config_dir()
                .join("10.0.0.1:5000/hosts.toml"),
        )
        .unwrap();
        let authority = layout.registry_config_dir().join("10.0.0.1:5000/ca.crt");
        assert_eq!(
            hosts,
            format!(
                "server = \"https://10.0.0.1:5000\"\nca = \"{0}\"\n\n\
                 [host.\"https://10.0.0.1:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = \"{0}\"\n",
                authority.display()
            )
        );
    }
}
