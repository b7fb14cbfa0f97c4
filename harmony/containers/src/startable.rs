//! Checks whether the program of an image from scratch can start, using the first bytes of its file.
//!
//! The kernel reports a missing loader or interpreter as "no such file or directory" for the program itself, in a pod
//! that keeps crashing. This check names the missing file before the image exists.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{Base, FileSource};
use harmony_oci::file::open_regular;
use object::elf::{EM_AARCH64, EM_X86_64, FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef};

use crate::plan::{ImagePlan, PlannedEntry};

/// The maximum number of symbolic links to follow, as in Linux.
const MAX_LINKS: usize = 40;

/// The maximum length of the first line of a script in Linux, in bytes.
const MAX_LINE: u64 = 256;

/// Checks the program of `plan`; `image` is used only in errors. The host steps must have run. With a base image, the
/// content of the base is not known.
pub(crate) fn check(plan: &ImagePlan, image: &str) -> Result<(), BuildError> {
    if plan.base != Base::Scratch {
        return Ok(());
    }
    let Some(program) = plan.run.entrypoint.first().or(plan.run.cmd.first()) else {
        return Ok(());
    };
    let files = Files::of(plan);
    files.check(program, plan).map_err(|fault| match fault {
        Fault::Cannot { reason, help } => BuildError::CannotStart {
            program: program.clone(),
            image: image.to_owned(),
            reason,
            help: help.to_owned(),
        },
        Fault::Read(error) => error,
    })
}

enum Fault {
    Cannot { reason: String, help: &'static str },
    Read(BuildError),
}

fn cannot(reason: impl Into<String>, help: &'static str) -> Fault {
    let reason = reason.into();
    Fault::Cannot { reason, help }
}

/// The entries of all layers by path, without the leading slash.
struct Files<'a>(BTreeMap<&'a str, &'a PlannedEntry>);

impl<'a> Files<'a> {
    fn of(plan: &'a ImagePlan) -> Self {
        let entries = plan.layers.iter().flat_map(|layer| &layer.entries);
        Self(entries.map(|entry| (entry.path.as_str(), entry)).collect())
    }

    fn check(&self, program: &str, plan: &ImagePlan) -> Result<(), Fault> {
        const NAMED: &str = "put the program into a layer of the recipe, and use its absolute path";
        let Some(entry) = self.locate(program, plan) else {
            return Err(cannot("the image has no such file", NAMED));
        };
        if entry.source == FileSource::Directory {
            return Err(cannot("it is a directory", NAMED));
        }
        if entry.mode & 0o111 == 0 {
            return Err(cannot(
                format!("its mode {:o} does not allow execution", entry.mode),
                "set its mode to 0o755",
            ));
        }
        match kind_of(entry).map_err(Fault::Read)? {
            Kind::Elf { machine, loader } => {
                if let Some(wanted) = machine_of(plan.platform.architecture)
                    && machine != wanted
                {
                    return Err(cannot(
                        format!("it is not built for {}", plan.platform),
                        "build the program for the platform of the image",
                    ));
                }
                self.needs(
                    loader.as_deref(),
                    "it is linked dynamically and needs the loader",
                    "link it statically (Rust: `-Ctarget-feature=+crt-static`, Go: `CGO_ENABLED=0`, C: `-static`), or \
                     build on a base image that has the loader and the libraries",
                )
            }
            Kind::Script { interpreter } => self.needs(
                Some(&interpreter),
                "it is a script and needs the interpreter",
                "use a program instead, or build on a base image that has the interpreter",
            ),
            Kind::Other => Err(cannot(
                "it is neither a Linux program nor a script with `#!`",
                "use a program that is compiled for Linux",
            )),
        }
    }

    fn needs(&self, file: Option<&str>, why: &str, help: &'static str) -> Result<(), Fault> {
        match file {
            Some(file) if self.follow(file).is_none() => Err(cannot(
                format!("{why} `{file}`, which an image from scratch does not have"),
                help,
            )),
            _ => Ok(()),
        }
    }

    /// The file that a container runtime would start: an absolute path, a path relative to the working directory, or a
    /// name on `PATH`.
    fn locate(&self, program: &str, plan: &ImagePlan) -> Option<&'a PlannedEntry> {
        if program.starts_with('/') {
            return self.follow(program);
        }
        if program.contains('/') {
            return self.follow(&format!("{}/{program}", plan.run.working_dir));
        }
        let path = plan.run.env.get("PATH").map_or("", String::as_str);
        path.split(':')
            .find_map(|folder| self.follow(&format!("{folder}/{program}")))
    }

    /// The entry at `path`, following symbolic links, including those of its parent directories.
    fn follow(&self, path: &str) -> Option<&'a PlannedEntry> {
        let mut pending: Vec<String> = parts(path);
        let mut at: Vec<String> = Vec::new();
        let mut links = 0;
        let mut found = None;
        while let Some(part) = pending.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            at.push(part);
            let entry = *self.0.get(at.join("/").as_str())?;
            found = Some(entry);
            if let FileSource::Symlink(target) = &entry.source {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                at.pop();
                if target.starts_with('/') {
                    at.clear();
                }
                pending.extend(parts(target));
                found = None;
            }
        }
        found
    }
}

/// The components of a path, the last one first.
fn parts(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .rev()
        .map(str::to_owned)
        .collect()
}

/// How Linux would start a file.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Elf {
        machine: u16,
        /// The program that loads it.
        loader: Option<String>,
    },
    Script {
        interpreter: String,
    },
    Other,
}

fn kind_of(entry: &PlannedEntry) -> Result<Kind, BuildError> {
    match &entry.source {
        FileSource::Host(path) => {
            let unreadable = |source| BuildError::File {
                path: path.clone(),
                source,
            };
            kind_of_file(path).map_err(unreadable)
        }
        FileSource::Bytes(bytes) => Ok(elf(&**bytes)
            .or_else(|| script(bytes))
            .unwrap_or(Kind::Other)),
        FileSource::Directory | FileSource::Symlink(_) => Ok(Kind::Other),
    }
}

fn kind_of_file(path: &Path) -> io::Result<Kind> {
    let mut file: File = open_regular(path)?;
    let mut begin = Vec::new();
    Read::by_ref(&mut file)
        .take(MAX_LINE)
        .read_to_end(&mut begin)?;
    if let Some(script) = script(&begin) {
        return Ok(script);
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(elf(&ReadCache::new(file)).unwrap_or(Kind::Other))
}

fn script(begin: &[u8]) -> Option<Kind> {
    let line = begin
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let line = String::from_utf8_lossy(line);
    let interpreter = line.split_whitespace().next()?.to_owned();
    Some(Kind::Script { interpreter })
}

fn elf<'data>(data: impl ReadRef<'data>) -> Option<Kind> {
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let mut loader = None;
    for segment in header.program_headers(endian, data).ok()? {
        if segment.p_type(endian) == PT_INTERP {
            let name = segment.data(endian, data).ok()?;
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            loader = Some(String::from_utf8_lossy(name).into_owned());
        }
    }
    Some(Kind::Elf {
        machine: header.e_machine(endian),
        loader,
    })
}

fn machine_of(architecture: &str) -> Option<u16> {
    match architecture {
        "amd64" => Some(EM_X86_64),
        "arm64" => Some(EM_AARCH64),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
