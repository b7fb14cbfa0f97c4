//! The inputs of an image as a single hash: the same fingerprint means the same image.
//!
//! Fingerprints are valid only on this machine. They allow a plan to show the digest of an earlier build.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{FileSource, HostStep, StepInputs};
use harmony_core::process;
use harmony_oci::layer::ENCODER;
use harmony_types::Digest;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::host_file::hash_file;
use crate::plan::{ImagePlan, PlannedEntry};

/// Adds values to a hash, together with their boundaries.
#[derive(Debug, Default)]
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    pub(crate) fn add(&mut self, value: impl AsRef<[u8]>) -> &mut Self {
        let value = value.as_ref();
        self.0.update((value.len() as u64).to_le_bytes());
        self.0.update(value);
        self
    }

    pub(crate) fn add_all<T: AsRef<[u8]>>(
        &mut self,
        values: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        for value in values {
            self.add(value);
        }
        self.add("end")
    }

    pub(crate) fn digest(self) -> Digest {
        Digest::sha256_from_bytes(self.0.finalize().into())
    }
}

/// The fingerprint of a build by `builder`; `None` if its inputs are not known before it runs.
pub(crate) fn of_build(
    builder: &str,
    plan: &ImagePlan,
    steps: &[HostStep],
    cancel: &CancellationToken,
) -> Result<Option<Digest>, BuildError> {
    let mut all = Fingerprint::default();
    all.add(builder).add(ENCODER);
    all.add(plan.created.to_le_bytes());
    all.add(plan.platform.to_string());
    all.add(format!("{:?}", plan.base));
    add_map(&mut all, &plan.annotations);
    add_map(&mut all, &plan.run.env);
    add_map(&mut all, &plan.run.labels);
    all.add_all(&plan.run.entrypoint).add_all(&plan.run.cmd);
    all.add(&plan.run.user).add(&plan.run.working_dir);
    for step in steps {
        if !add_step(&mut all, step) {
            return Ok(None);
        }
    }
    let made: BTreeSet<&Path> = steps
        .iter()
        .flat_map(|step| step.outputs.iter().map(PathBuf::as_path))
        .collect();
    for layer in &plan.layers {
        all.add("layer");
        for entry in &layer.entries {
            add_place(&mut all, entry);
            match &entry.source {
                FileSource::Host(host) if made.contains(host.as_path()) => {
                    all.add("made").add(host.as_os_str().as_bytes());
                }
                FileSource::Host(host) => match hash_file(host, cancel) {
                    Ok((hash, _)) => {
                        all.add("file").add(hash);
                    }
                    Err(BuildError::Cancelled(cancelled)) => return Err(cancelled.into()),
                    Err(_) => return Ok(None),
                },
                FileSource::Bytes(bytes) => {
                    all.add("file").add(Sha256::digest(bytes));
                }
                FileSource::Directory => {
                    all.add("directory");
                }
                FileSource::Symlink(target) => {
                    all.add("link").add(target);
                }
            }
        }
    }
    Ok(Some(all.digest()))
}

/// Adds the path and the permissions of an entry.
pub(crate) fn add_place(all: &mut Fingerprint, entry: &PlannedEntry) {
    all.add(&entry.path).add(entry.mode.to_le_bytes());
}

fn add_map(all: &mut Fingerprint, map: &std::collections::BTreeMap<String, String>) {
    all.add_all(map.iter().flat_map(|(name, value)| [name, value]));
}

/// Returns false if the inputs of the step are not known.
fn add_step(all: &mut Fingerprint, step: &HostStep) -> bool {
    all.add(&step.program).add_all(&step.args);
    add_map(all, &step.env);
    let patterns: Vec<&str> = step.inherited_env.iter().map(String::as_str).collect();
    for (name, value) in process::inherited(&patterns) {
        all.add(name.as_bytes()).add(value.as_bytes());
    }
    all.add_all(&step.tools);
    all.add(step.working_dir.as_os_str().as_bytes());
    match &step.inputs {
        StepInputs::Pinned => {
            all.add("pinned");
            true
        }
        StepInputs::Unknown => false,
        StepInputs::Tree(directory) => match tree_state(directory) {
            Some(state) => {
                all.add("tree").add(state.as_str());
                true
            }
            None => false,
        },
    }
}

/// The state of `directory` in its git repository: the tree of the commit, and all files that differ from it or would
/// be added. Ignored files do not count. `None` if git cannot determine this.
pub(crate) fn tree_state(directory: &Path) -> Option<Digest> {
    let tree = git(directory, &["rev-parse", "--verify", "HEAD:./"])?;
    let top = git(directory, &["rev-parse", "--show-toplevel"])?;
    let top = PathBuf::from(OsStr::from_bytes(top.trim_ascii_end()));
    let status = git(
        directory,
        &[
            "status",
            "--porcelain=v1",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--",
            ".",
        ],
    )?;
    let mut all = Fingerprint::default();
    all.add(tree);
    // An entry consists of two letters, a space, and the path from the root of the repository.
    for entry in status
        .split(|byte| *byte == 0)
        .filter(|entry| entry.len() > 3)
    {
        all.add(entry);
        let path = top.join(OsStr::from_bytes(&entry[3..]));
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_symlink() => {
                all.add(fs::read_link(&path).ok()?.as_os_str().as_bytes());
            }
            Ok(meta) if meta.is_file() => {
                let (hash, _) = hash_file(&path, &CancellationToken::new()).ok()?;
                all.add(hash)
                    .add([u8::from(meta.permissions().mode() & 0o111 != 0)]);
            }
            // A changed submodule, whose changes are not listed.
            Ok(_) => return None,
            Err(_) => {
                all.add("gone");
            }
        }
    }
    Some(all.digest())
}

fn git(directory: &Path, args: &[&str]) -> Option<Vec<u8>> {
    // Without optional locks, git does not write to the index.
    let output = process::command("git", &[])
        .arg("--no-optional-locks")
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then_some(output.stdout)
}

#[cfg(test)]
mod tests;
