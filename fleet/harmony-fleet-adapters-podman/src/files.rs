//! The files of a deployment, as an archive.
//!
//! Podman unpacks it into the new container, so nothing is left on the device when the container is removed.

use std::collections::BTreeMap;
use std::io;

use harmony_reconciler_contracts::Container;

use crate::spec::SECRETS_FOLDER;

/// An archive with these files, which everybody may read and nobody may write.
pub(crate) fn archive(files: &BTreeMap<String, String>) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_mode(0o444);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        archive.append_data(
            &mut header,
            path.trim_start_matches('/'),
            content.as_bytes(),
        )?;
    }
    archive.into_inner()
}

/// A file that something else would be mounted over, with the path of that mount.
pub(crate) fn hidden(spec: &Container) -> Option<(&str, &str)> {
    let volumes = spec.volumes.iter().map(|volume| volume.path.as_str());
    let tmp = (!spec.writable_root).then_some("/tmp");
    let secrets = (!spec.secrets.is_empty()).then_some(SECRETS_FOLDER);
    let mounts: Vec<&str> = volumes.chain(tmp).chain(secrets).collect();
    spec.files.keys().find_map(|file| {
        let mount = mounts.iter().find(|mount| is_in(file, mount))?;
        Some((file.as_str(), *mount))
    })
}

fn is_in(file: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    file.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn files_are_readable_and_owned_by_root() {
        let files = BTreeMap::from([("/etc/app/app.toml".to_owned(), "a = 1".to_owned())]);
        let bytes = archive(&files).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("etc/app/app.toml"));
        assert_eq!(entry.header().mode().unwrap(), 0o444);
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        assert_eq!(content, "a = 1");
        assert!(entries.next().is_none());
    }

    #[test]
    fn a_file_under_a_mount_is_found() {
        let image = format!("r.example/app@sha256:{}", "a".repeat(64));
        let spec = |file: &str| -> Container {
            serde_json::from_str(&format!(
                r#"{{"image":"{image}","files":{{"{file}":""}},"volumes":[{{"source":{{"named":"data"}},"path":"/data"}}]}}"#
            ))
            .unwrap()
        };
        assert_eq!(hidden(&spec("/data/a")), Some(("/data/a", "/data")));
        assert_eq!(hidden(&spec("/tmp/a")), Some(("/tmp/a", "/tmp")));
        assert_eq!(hidden(&spec("/database")), None);
    }
}
