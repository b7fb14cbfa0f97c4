//! Images with a program from a package of this machine's Debian.

use std::env;
use std::path::{Path, PathBuf};

use harmony_core::cache_dir::CacheDir;
use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{
    BuildContext, Buildable, FileEntry, FileSource, HostStep, ImageRecipe, StepInputs,
};
use harmony_core::process;

use crate::buildable::Runtime;

/// A program of a Debian package, for programs that are in no Go module or crate that could be compiled alone.
///
/// `apt-get` downloads the version that the package lists of this machine offer, and verifies it with the signature of
/// the distribution. Nothing is installed. The program may be linked with the C library, which is taken from this
/// machine, and with no other library. Another release of Debian gives another image, so release the image together
/// with the app that needs it.
#[derive(Debug, Clone)]
pub struct DebianProgram {
    package: String,
    program: String,
    files: Vec<String>,
    cache_dir: CacheDir,
    runtime: Runtime,
}

/// What a program that is linked with the C library needs, by architecture: the path that it names, and libraries.
const LIBRARIES: &[(&str, &str, &str)] = &[
    (
        "amd64",
        "/lib64/ld-linux-x86-64.so.2",
        "/lib/x86_64-linux-gnu/libc.so.6",
    ),
    (
        "arm64",
        "/lib/ld-linux-aarch64.so.1",
        "/lib/aarch64-linux-gnu/libc.so.6",
    ),
];

/// A version of a package.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    /// `prometheus_2.42.0+ds-5+deb12u1_amd64.deb`
    file: String,
    version: String,
}

impl DebianProgram {
    /// The program at the absolute path `program` of `package`. Packages are kept in `cache_dir`.
    pub fn new(
        package: impl Into<String>,
        program: impl Into<String>,
        cache_dir: impl Into<CacheDir>,
    ) -> Self {
        Self {
            package: package.into(),
            program: program.into(),
            files: Vec::new(),
            cache_dir: cache_dir.into(),
            runtime: Runtime::default(),
        }
    }

    /// Adds another file of the package, at the same path.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<String>) -> Self {
        self.files.push(path.into());
        self
    }

    /// Sets how the program runs, and adds files.
    #[must_use]
    pub fn with_runtime(self, runtime: Runtime) -> Self {
        Self { runtime, ..self }
    }

    fn refuse(&self, reason: String, help: &str) -> BuildError {
        BuildError::Recipe {
            image: self.package.clone(),
            reason,
            help: help.to_owned(),
        }
    }

    fn check(&self) -> Result<&str, BuildError> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        if self.package.is_empty()
            || self.package.starts_with('-')
            || !self.package.chars().all(legal)
        {
            return Err(self.refuse(
                format!(
                    "`{}` is not the name of a Debian package",
                    self.package.escape_debug()
                ),
                "use a name such as `prometheus`",
            ));
        }
        for path in self.files.iter().chain([&self.program]) {
            if !path.starts_with('/') || path.split('/').any(|part| matches!(part, "." | "..")) {
                return Err(self.refuse(
                    format!("`{path}` is not an absolute path in a package"),
                    "use a path such as `/usr/bin/prometheus`",
                ));
            }
        }
        let name = Path::new(&self.program)
            .file_name()
            .and_then(|name| name.to_str());
        name.ok_or_else(|| {
            self.refuse(
                format!("`{}` does not name a program", self.program),
                "use a path such as `/usr/bin/prometheus`",
            )
        })
    }

    /// What this machine's package lists offer.
    fn candidate(&self) -> Result<Candidate, BuildError> {
        const HELP: &str = "run `apt-get update`, and check the name of the package";
        let output = process::command("apt-get", &[])
            .args(["download", "--print-uris", "-qq", "--", &self.package])
            .current_dir(env::temp_dir())
            .output()
            .map_err(|_| BuildError::ProgramMissing {
                program: "apt-get".into(),
                help: "build this image on a Debian machine, or use an image from a registry"
                    .into(),
            })?;
        let text = String::from_utf8_lossy(&output.stdout);
        parse(&text)
            .filter(|_| output.status.success())
            .ok_or_else(|| {
                let errors = String::from_utf8_lossy(&output.stderr);
                let reason = errors
                    .lines()
                    .next()
                    .unwrap_or("apt-get printed no version");
                self.refuse(
                    format!("apt-get does not offer the package: {reason}"),
                    HELP,
                )
            })
    }

    /// The loader and the C library of this machine, at the paths that the program names.
    fn libraries(&self, context: &BuildContext) -> Result<Vec<FileEntry>, BuildError> {
        let architecture = context.platform.architecture;
        let own = harmony_core::inventory::Platform::current().architecture;
        let known = LIBRARIES.iter().find(|(name, ..)| *name == architecture);
        let (Some((_, loader, library)), true) = (known, own == architecture) else {
            return Err(self.refuse(
                format!("packages of this machine are not for {}", context.platform),
                "build the image on a machine with the architecture of the image",
            ));
        };
        let entry = |path: &str| {
            let source = Path::new(path)
                .canonicalize()
                .map_err(|source| BuildError::File {
                    path: path.into(),
                    source,
                })?;
            Ok::<_, BuildError>(FileEntry {
                path: path.to_owned(),
                source: FileSource::Host(source),
                mode: 0o755,
            })
        };
        Ok(vec![entry(loader)?, entry(library)?])
    }
}

/// Reads `'URI' FILE SIZE HASH` of `apt-get download --print-uris`.
fn parse(output: &str) -> Option<Candidate> {
    let line = output.lines().find(|line| line.starts_with('\''))?;
    let file = line.rsplit_once("' ")?.1.split_whitespace().next()?;
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (_name, version, _architecture) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || file.contains('/') {
        return None;
    }
    Some(Candidate {
        file: file.to_owned(),
        // The separator of an epoch is written as `%3a` in file names.
        version: version.replace("%3a", ":"),
    })
}

impl Buildable for DebianProgram {
    fn recipe(&self, context: &BuildContext) -> Result<ImageRecipe, BuildError> {
        let name = self.check()?;
        let cache = self.cache_dir.checked()?;
        let Candidate { file, version } = self.candidate()?;
        let folder = cache.join(file.trim_end_matches(".deb"));
        let (archive, root) = (folder.join(&file), folder.join("root"));
        let unpacked = |path: &str| root.join(path.trim_start_matches('/'));
        let program = unpacked(&self.program);
        let step =
            |label: String, program: &str, args: Vec<String>, outputs: Vec<PathBuf>| HostStep {
                label,
                program: program.to_owned(),
                args,
                env: [("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned())].into(),
                inherited_env: process::NETWORK
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect(),
                tools: vec![version.clone()],
                // The paths of this machine do not affect the result; the file name has name, version and architecture.
                portable: Some(vec![program.to_owned(), file.clone()]),
                working_dir: folder.clone(),
                inputs: StepInputs::Pinned,
                outputs,
            };
        let mut outputs = vec![program.clone()];
        outputs.extend(self.files.iter().map(|path| unpacked(path)));
        let steps = vec![
            step(
                format!("download {} {version}", self.package),
                "apt-get",
                vec![
                    "download".into(),
                    "-qq".into(),
                    "--".into(),
                    format!("{}={version}", self.package),
                ],
                vec![archive.clone()],
            ),
            step(
                format!("unpack {}", self.package),
                "dpkg-deb",
                vec!["-x".into(), text(&archive), text(&root)],
                outputs,
            ),
        ];
        let mut runtime = self.runtime.clone();
        runtime.files.extend(self.libraries(context)?);
        runtime
            .files
            .extend(self.files.iter().map(|path| FileEntry {
                path: path.clone(),
                source: FileSource::Host(unpacked(path)),
                mode: 0o644,
            }));
        Ok(runtime.recipe(name, program, steps))
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_package_lists() {
        let line = "'http://deb.debian.org/debian/pool/main/p/prometheus/prometheus_2.42.0%2bds-5_amd64.deb' \
                    prometheus_2.42.0+ds-5+deb12u1_amd64.deb 19257088 SHA256:abc\n";
        let candidate = parse(line).unwrap();
        assert_eq!(candidate.file, "prometheus_2.42.0+ds-5+deb12u1_amd64.deb");
        assert_eq!(candidate.version, "2.42.0+ds-5+deb12u1");
        let epoch = parse("'http://x/y' vim_2%3a9.0_amd64.deb 1 MD5Sum:x").unwrap();
        assert_eq!(epoch.version, "2:9.0");
        assert_eq!(parse("E: Unable to locate package"), None);
        assert_eq!(parse("'http://x/y' ../x_1_amd64.deb 1 x"), None);
    }

    #[test]
    fn names_and_paths_cannot_be_options_or_leave_the_package() {
        let check = |package: &str, program: &str| {
            DebianProgram::new(package, program, "/cache")
                .check()
                .map(str::to_owned)
        };
        assert_eq!(
            check("prometheus", "/usr/bin/prometheus").unwrap(),
            "prometheus"
        );
        assert!(check("-oX=y", "/usr/bin/x").is_err());
        assert!(check("Prometheus", "/usr/bin/x").is_err());
        assert!(check("prometheus", "usr/bin/x").is_err());
        assert!(check("prometheus", "/usr/../../etc/shadow").is_err());
        assert!(check("prometheus", "/").is_err());
    }
}
