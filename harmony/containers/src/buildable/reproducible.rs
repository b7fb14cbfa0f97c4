//! Compiler flags that keep the paths of this machine out of a binary.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use harmony_core::capability::container_builder::BuildError;
use harmony_core::process;
use harmony_oci::file::read_regular;
use harmony_oci::hash::digest_of_file;

use super::cargo_project::CargoProject;
use crate::host_step::program_missing;

/// The maximum size of a cargo configuration file, in bytes.
const CONFIG_LIMIT: u64 = 1024 * 1024;

/// The directories whose paths compilers write to their output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) workspace: PathBuf,
    pub(super) target: PathBuf,
    pub(super) cargo_home: PathBuf,
    /// The directories of registries in `cargo_home`. Their names distinguish a mirror from the registry itself.
    pub(super) registries: Vec<PathBuf>,
    pub(super) sysroot: PathBuf,
    /// The sources of the standard library, if they are installed, and their name if they are not.
    pub(super) library: Option<(PathBuf, String)>,
    /// Flags in the project's configuration that ours would replace, see [`Flags`].
    pub(super) configured: Vec<String>,
    /// Other inputs of the binary: compilers, the C library, configuration outside of the project.
    pub(super) tools: Vec<String>,
}

impl Places {
    /// The places of a project. Downloads its dependencies if cargo has never downloaded anything, because the directory
    /// of a registry must exist.
    pub(super) fn find(project: &CargoProject) -> Result<Self, BuildError> {
        let registries = registries(&cargo_home(), &project.workspace_root)?;
        Self::of(
            project.workspace_root.clone(),
            project.target_directory.clone(),
            registries,
        )
    }

    /// The places of a crate that is not part of a project, compiled in `target`. Programs run in `directory`.
    pub(super) fn of_crate(directory: &Path, target: PathBuf) -> Result<Self, BuildError> {
        Self::of(
            directory.to_owned(),
            target,
            known_registries(&cargo_home()),
        )
    }

    fn of(
        workspace: PathBuf,
        target: PathBuf,
        registries: Vec<PathBuf>,
    ) -> Result<Self, BuildError> {
        let cargo_home = cargo_home();
        let sysroot = PathBuf::from(rustc(&workspace, &["--print", "sysroot"])?.trim());
        let sources = sysroot.join("lib/rustlib/src/rust");
        let version = rustc(&workspace, &["--version", "--verbose"])?;
        let library = if sources.is_dir() {
            library_name(&version).map(|name| (sources, name))
        } else {
            None
        };
        let mut tools = vec![version];
        tools.extend(c_toolchain());
        let configs = config_files(&workspace, &cargo_home);
        tools.extend(configs.iter().filter_map(|text| effective(text)));
        Ok(Self {
            configured: configured_rustflags(&workspace, &cargo_home),
            tools,
            target,
            registries,
            sysroot,
            library,
            cargo_home,
            workspace,
        })
    }

    /// The replacement for each directory. A longer path comes after its parent directory, because the last match
    /// counts, in rustc as in gcc and clang.
    fn renamed(&self) -> Vec<(PathBuf, String)> {
        let mut names = BTreeMap::new();
        let mut rename = |from: &Path, to: &str| {
            // Compilers see the path as it was given, or as resolved by the kernel.
            let resolved = fs::canonicalize(from).unwrap_or_else(|_| from.to_owned());
            names.insert(resolved, to.to_owned());
            names.insert(from.to_owned(), to.to_owned());
        };
        rename(&self.sysroot, "/rust");
        if let Some((sources, name)) = &self.library {
            rename(sources, name);
        }
        rename(&self.cargo_home, "/cargo");
        for registry in &self.registries {
            rename(registry, "/cargo/registry");
        }
        rename(&self.workspace, "/workspace");
        rename(&self.target, "/target");
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_by_key(|(from, _)| from.as_os_str().len());
        names
    }
}

/// The flags for cargo.
///
/// The flags are passed with `--config target.<triple>.rustflags`, which cargo combines with the same key in the
/// project's configuration. The variable `RUSTFLAGS` would replace the project's flags. The key `build.rustflags` is
/// not combined but ignored, so its flags are added to ours. Cargo does not include `--remap-path-prefix` in the hashes
/// of symbol names, so the flags themselves do not affect the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flags {
    /// The value of `--config`, in TOML.
    pub(super) config: String,
    pub(super) env: BTreeMap<String, String>,
    /// See [`Places::tools`].
    pub(super) tools: Vec<String>,
    /// The flags for rustc without those that rename paths.
    pub(super) portable: Vec<String>,
    /// All flags for rustc.
    pub(super) rustflags: Vec<String>,
}

impl Flags {
    pub(super) fn new(places: &Places, target: &str, more: &[String]) -> Self {
        let renamed = places.renamed();
        let mut rustflags = places.configured.clone();
        rustflags.push("-Ctarget-feature=+crt-static".to_owned());
        rustflags.extend(more.iter().cloned());
        let portable = rustflags.clone();
        rustflags.extend(
            renamed
                .iter()
                .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())),
        );
        let cflags: Vec<_> = renamed
            .iter()
            .map(|(from, to)| quoted(&format!("-ffile-prefix-map={}={to}", from.display())))
            .collect();
        let cflags = cflags.join(" ");
        let underscored = target.replace('-', "_");
        let mut env = BTreeMap::from([
            (format!("CFLAGS_{underscored}"), cflags.clone()),
            (format!("CXXFLAGS_{underscored}"), cflags.clone()),
        ]);
        if cflags.contains('\'') {
            env.insert("CC_SHELL_ESCAPED_FLAGS".to_owned(), "1".to_owned());
        }
        Self {
            config: format!("target.{target}.rustflags={}", toml_array(&rustflags)),
            env,
            tools: places.tools.clone(),
            portable,
            rustflags,
        }
    }
}

/// `build.rustflags` in the project's configuration files, unless a `target` table sets flags, in which case cargo
/// ignores it. The nearest file comes last, as in cargo.
fn configured_rustflags(workspace: &Path, cargo_home: &Path) -> Vec<String> {
    let mut flags = Vec::new();
    for content in config_files(workspace, cargo_home).iter().rev() {
        let Ok(config) = content.parse::<toml::Table>() else {
            continue; // cargo itself reports a file that it cannot read
        };
        let targets = config.get("target").and_then(toml::Value::as_table);
        if targets.is_some_and(|targets| {
            targets
                .values()
                .any(|table| table.get("rustflags").is_some())
        }) {
            return Vec::new();
        }
        match config.get("build").and_then(|build| build.get("rustflags")) {
            Some(toml::Value::String(text)) => {
                flags.extend(text.split_whitespace().map(str::to_owned));
            }
            Some(toml::Value::Array(list)) => {
                flags.extend(
                    list.iter()
                        .filter_map(|flag| flag.as_str().map(str::to_owned)),
                );
            }
            _ => {}
        }
    }
    flags
}

/// The configuration files of cargo, the nearest first.
fn config_files(workspace: &Path, cargo_home: &Path) -> Vec<String> {
    let mut folders: Vec<PathBuf> = workspace
        .ancestors()
        .map(|dir| dir.join(".cargo"))
        .collect();
    if !folders.iter().any(|folder| folder == cargo_home) {
        folders.push(cargo_home.to_owned());
    }
    let content = |folder: &PathBuf| {
        ["config", "config.toml"].iter().find_map(|name| {
            let bytes = read_regular(&folder.join(name), CONFIG_LIMIT).ok()?;
            String::from_utf8(bytes).ok()
        })
    };
    folders.iter().filter_map(content).collect()
}

/// The part of a configuration file that affects the program: not mirrors, proxies, directories and the number of jobs,
/// which differ from machine to machine. `None` if there is nothing.
fn effective(config: &str) -> Option<String> {
    const TABLES: &[&str] = &["build", "env", "host", "profile", "target", "unstable"];
    const PLACES: &[&str] = &["build-dir", "jobs", "rustc-wrapper", "target-dir"];
    let Ok(config) = config.parse::<toml::Table>() else {
        return Some(config.to_owned()); // cargo itself reports a file that it cannot read
    };
    let mut kept: toml::Table = config
        .into_iter()
        .filter(|(name, _)| TABLES.contains(&name.as_str()))
        .collect();
    if let Some(build) = kept.get_mut("build").and_then(toml::Value::as_table_mut) {
        build.retain(|name, _| !PLACES.contains(&name));
    }
    kept.retain(|_, value| value.as_table().is_none_or(|table| !table.is_empty()));
    (!kept.is_empty()).then(|| serde_json::to_string(&kept).unwrap_or_default())
}

/// The version of the C compiler, and of the C library that is linked. Empty if there is none; then nothing is linked.
fn c_toolchain() -> Vec<String> {
    let cc = |arg: &str| {
        let output = process::command("cc", &[]).arg(arg).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let library = cc("-print-file-name=libc.a").and_then(|path| {
        let digest = digest_of_file(Path::new(&path)).ok()?;
        Some(format!("libc.a {digest}"))
    });
    cc("--version").into_iter().chain(library).collect()
}

/// The path that rustc uses for its standard library when the sources are not installed, from `rustc -vV`.
fn library_name(version: &str) -> Option<String> {
    let commit = version
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "))?;
    Some(format!("/rustc/{commit}"))
}

fn cargo_home() -> PathBuf {
    env::var_os("CARGO_HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .unwrap_or_else(|| PathBuf::from(".cargo"))
}

/// The directories in which cargo unpacks crates. The directory of a registry is created by the first download, so this
/// happens now if necessary; later, the flags are already set.
fn registries(cargo_home: &Path, workspace: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let found = known_registries(cargo_home);
    if !found.is_empty() {
        return Ok(found);
    }
    run("cargo", workspace, &["fetch", "--locked"])?;
    Ok(known_registries(cargo_home))
}

fn known_registries(cargo_home: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cargo_home.join("registry/src"));
    let entries = entries.into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

pub(super) fn rustc(workspace: &Path, args: &[&str]) -> Result<String, BuildError> {
    run("rustc", workspace, args)
}

fn run(program: &str, directory: &Path, args: &[&str]) -> Result<String, BuildError> {
    let mut inherited = process::CARGO.to_vec();
    inherited.extend(process::NETWORK);
    let output = process::command(program, &inherited)
        .args(args)
        .current_dir(directory)
        .output()
        .map_err(|_| program_missing(program))?;
    if !output.status.success() {
        return Err(BuildError::HostStep {
            image: directory.display().to_string(),
            program: format!("{program} {}", args.join(" ")),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr)
                .lines()
                .map(str::to_owned)
                .collect(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A list of strings is the same in TOML and JSON.
fn toml_array(values: &[String]) -> String {
    serde_json::Value::from(values.to_vec()).to_string()
}

/// In single quotes if a shell would split or change it.
fn quoted(flag: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=/.,:+@%".contains(c);
    if flag.chars().all(plain) {
        flag.to_owned()
    } else {
        format!("'{}'", flag.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places {
            workspace: "/no/where/app".into(),
            target: "/no/where/app/target".into(),
            cargo_home: "/no/home/.cargo".into(),
            registries: vec!["/no/home/.cargo/registry/src/mirror-1".into()],
            sysroot: "/no/rust/1.95".into(),
            library: library_name("rustc 1.95.0\ncommit-hash: 5980\n")
                .map(|name| ("/no/rust/1.95/lib/rustlib/src/rust".into(), name)),
            configured: Vec::new(),
            tools: Vec::new(),
        }
    }

    #[test]
    fn nested_directories_come_after_those_they_lie_in() {
        assert_eq!(
            Flags::new(&places(), "x86_64-unknown-linux-gnu", &[]).config,
            concat!(
                r#"target.x86_64-unknown-linux-gnu.rustflags=["-Ctarget-feature=+crt-static","#,
                r#""--remap-path-prefix=/no/rust/1.95=/rust","--remap-path-prefix=/no/where/app=/workspace","#,
                r#""--remap-path-prefix=/no/home/.cargo=/cargo","--remap-path-prefix=/no/where/app/target=/target","#,
                r#""--remap-path-prefix=/no/rust/1.95/lib/rustlib/src/rust=/rustc/5980","#,
                r#""--remap-path-prefix=/no/home/.cargo/registry/src/mirror-1=/cargo/registry"]"#
            )
        );
    }

    #[test]
    fn the_projects_flags_and_more_stand_before_ours() {
        let mut places = places();
        places.configured = vec!["--cfg".into(), "tokio_unstable".into()];
        let flags = Flags::new(
            &places,
            "x86_64-unknown-linux-gnu",
            &["-Cforce-frame-pointers".into()],
        );
        assert!(flags.config.contains(
            r#"["--cfg","tokio_unstable","-Ctarget-feature=+crt-static","-Cforce-frame-pointers","--remap"#
        ));
    }

    #[test]
    fn a_path_with_spaces_stays_one_flag_for_c() {
        let mut places = places();
        assert!(
            !Flags::new(&places, "t", &[])
                .env
                .contains_key("CC_SHELL_ESCAPED_FLAGS")
        );
        places.workspace = "/no/my app".into();
        let env = Flags::new(&places, "t", &[]).env;
        assert!(env["CFLAGS_t"].contains("'-ffile-prefix-map=/no/my app=/workspace'"));
        assert_eq!(env["CC_SHELL_ESCAPED_FLAGS"], "1");
    }

    #[test]
    fn only_configuration_that_affects_the_program_is_an_input() {
        let same = [
            "[build]\nrustflags = ['--cfg', 'x']\n",
            "[build]\njobs = 2\ntarget-dir = '/t'\nrustflags = ['--cfg', 'x']\n[source.crates-io]\n\
             replace-with = 'm'\n[net]\nretry = 1\n",
        ];
        assert_eq!(effective(same[0]), effective(same[1]));
        assert!(effective(same[0]).is_some());
        assert_eq!(effective("[build]\njobs = 2\n[alias]\nx = 'run'\n"), None);
        assert!(effective("[profile.release]\nlto = true\n").is_some());
    }

    #[test]
    fn flags_of_configuration_files_are_joined_as_cargo_does() {
        let root = tempfile::tempdir().unwrap();
        let (home, app) = (root.path().join("home"), root.path().join("team/app"));
        let write = |folder: &Path, content: &str| {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("config.toml"), content).unwrap();
        };
        write(&home, "[build]\nrustflags = '--cfg home'\n");
        write(
            &root.path().join("team/.cargo"),
            "[build]\nrustflags = ['--cfg', 'team']\n",
        );
        write(&app.join(".cargo"), "[alias]\nx = 'run'\n");
        assert_eq!(
            configured_rustflags(&app, &home),
            ["--cfg", "home", "--cfg", "team"]
        );
        write(
            &app.join(".cargo"),
            "[target.x86_64-unknown-linux-gnu]\nrustflags = ['--cfg', 'x']\n",
        );
        assert_eq!(configured_rustflags(&app, &home), Vec::<String>::new());
    }
}
