//! The content of an image, computed from its recipe before anything is written.
//!
//! ```text
//! ImageRecipe + BuildContext --ImagePlan::new--> ImagePlan --native--> tar layers, config
//!   (any order, parents implied)                 (sorted, complete)  --docker--> build context, Dockerfile
//! ```
//!
//! All builders use the plan, so that they agree on files, modes, user and entrypoint. Pure.

use std::collections::{BTreeMap, BTreeSet};

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{Base, BuildContext, FileSource, ImageRecipe, LayerKind};
use harmony_core::inventory::Platform;

/// The `PATH` of an image that sets none, as in Docker images from scratch.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The mode of directories that the recipe does not mention.
const IMPLIED_DIRECTORY_MODE: u32 = 0o755;

/// The maximum length of a path in Linux (`PATH_MAX` without the terminating NUL), in bytes.
const MAX_PATH: usize = 4095;

/// The maximum length of a file name in Linux (`NAME_MAX`), in bytes.
const MAX_NAME: usize = 255;

/// An image, complete and validated.
#[derive(Debug, Clone)]
pub(crate) struct ImagePlan {
    pub(crate) base: Base,
    pub(crate) layers: Vec<PlannedLayer>,
    pub(crate) run: RunConfig,
    pub(crate) platform: Platform,
    /// Seconds since 1970, never negative.
    pub(crate) created: u64,
    /// The labels of the build context: version, revision, source. They are also used as annotations.
    pub(crate) annotations: BTreeMap<String, String>,
}

/// A layer: the content of its tar archive, in order.
#[derive(Debug, Clone)]
pub(crate) struct PlannedLayer {
    pub(crate) kind: LayerKind,
    /// Sorted by path, so that parents come before their children.
    pub(crate) entries: Vec<PlannedEntry>,
}

/// An entry of a layer; owned by root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedEntry {
    /// Without the leading slash, as in archives.
    pub(crate) path: String,
    pub(crate) source: FileSource,
    pub(crate) mode: u32,
}

/// How the image starts its program.
#[derive(Debug, Clone)]
pub(crate) struct RunConfig {
    pub(crate) entrypoint: Vec<String>,
    pub(crate) cmd: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    /// `uid:gid`.
    pub(crate) user: String,
    pub(crate) working_dir: String,
    pub(crate) labels: BTreeMap<String, String>,
}

impl ImagePlan {
    /// Validates `recipe` and completes it: parent directories, the working directory, `PATH`, the labels of `context`.
    ///
    /// `image` is used only in errors.
    pub(crate) fn new(
        recipe: &ImageRecipe,
        context: &BuildContext,
        image: &str,
    ) -> Result<Self, BuildError> {
        Self::checked(recipe, context).map_err(|fault| BuildError::Recipe {
            image: image.to_owned(),
            reason: fault.reason,
            help: fault.help.to_owned(),
        })
    }

    fn checked(recipe: &ImageRecipe, context: &BuildContext) -> Result<Self, Fault> {
        let run = run_config(recipe, context)?;
        if let Base::Image(base) = &recipe.base
            && !base.is_pinned()
        {
            return Err(Fault::new(
                format!("its base `{base}` can change: it has no digest"),
                "use a base such as `name:tag@sha256:...`; `crane digest name:tag` prints the digest",
            ));
        }
        let created = u64::try_from(context.created).map_err(|_| {
            Fault::new(
                format!(
                    "its creation time is {} seconds before 1970",
                    context.created.unsigned_abs()
                ),
                "set `created` to the time of the commit, in seconds since 1970",
            )
        })?;
        Ok(Self {
            base: recipe.base.clone(),
            layers: planned_layers(recipe, &run.working_dir)?,
            run,
            platform: context.platform.clone(),
            created,
            annotations: context.labels.clone(),
        })
    }
}

/// The problem with a recipe, and how to fix it.
#[derive(Debug)]
struct Fault {
    reason: String,
    help: &'static str,
}

impl Fault {
    fn new(reason: String, help: &'static str) -> Self {
        Self { reason, help }
    }
}

fn run_config(recipe: &ImageRecipe, context: &BuildContext) -> Result<RunConfig, Fault> {
    if recipe.entrypoint.is_empty() && recipe.cmd.is_empty() {
        return Err(Fault::new(
            "it has neither entrypoint nor command".to_owned(),
            "set `entrypoint` to the program, for example `[\"/usr/local/bin/my-app\"]`",
        ));
    }
    check_path(&recipe.working_dir).or_else(|fault| {
        if recipe.working_dir == "/" {
            Ok(())
        } else {
            Err(fault)
        }
    })?;
    let mut env = recipe.env.clone();
    if recipe.base == Base::Scratch {
        env.entry("PATH".to_owned())
            .or_insert_with(|| DEFAULT_PATH.to_owned());
    }
    for (name, value) in &env {
        let legal = !name.is_empty()
            && !name.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control());
        if !legal || value.contains('\0') {
            return Err(Fault::new(
                format!(
                    "the environment variable `{}` is not valid",
                    name.escape_debug()
                ),
                "a name must not be empty or contain `=` or spaces, and a value must not contain a NUL byte",
            ));
        }
    }
    let mut labels = recipe.labels.clone();
    labels.extend(context.labels.clone());
    if labels.keys().any(String::is_empty) {
        return Err(Fault::new(
            "it has a label without a name".to_owned(),
            "give each label a name, for example `org.opencontainers.image.title`",
        ));
    }
    let texts = recipe.entrypoint.iter().chain(&recipe.cmd);
    if let Some(text) = texts.into_iter().find(|text| text.contains('\0')) {
        return Err(Fault::new(
            format!("its argument `{}` contains a NUL byte", text.escape_debug()),
            "remove it: a program cannot receive such an argument",
        ));
    }
    Ok(RunConfig {
        entrypoint: recipe.entrypoint.clone(),
        cmd: recipe.cmd.clone(),
        env,
        user: format!("{}:{}", recipe.user.uid, recipe.user.gid),
        working_dir: recipe.working_dir.clone(),
        labels,
    })
}

/// All layers with parent directories. A directory that exists in a lower layer is not repeated, because this would
/// overwrite its mode.
fn planned_layers(recipe: &ImageRecipe, working_dir: &str) -> Result<Vec<PlannedLayer>, Fault> {
    let declared = declared_entries(recipe)?;
    let mut present: BTreeSet<&str> = BTreeSet::new();
    let mut layers = Vec::new();
    let last = recipe.layers.len().saturating_sub(1);
    for (index, layer) in recipe.layers.iter().enumerate() {
        let mut entries: BTreeMap<&str, PlannedEntry> = BTreeMap::new();
        let wanted = layer.files.iter().map(|file| file.path.as_str());
        // Docker creates a missing working directory, so the native builder has to do the same.
        let wanted = wanted.chain((index == last && working_dir != "/").then_some(working_dir));
        for path in wanted {
            for path in parents(path).chain([path]) {
                match declared.get(path) {
                    Some((home, _)) if *home > index => {
                        return Err(Fault::new(
                            format!("`{path}` is in a later layer than its content"),
                            "put the directory into the layer of its first file, or remove it: directories are \
                             created automatically",
                        ));
                    }
                    Some((_, entry))
                        if path != working_dir || entry.source == FileSource::Directory =>
                    {
                        if present.insert(path) {
                            entries.insert(path, entry.clone());
                        }
                    }
                    Some(_) => {
                        return Err(Fault::new(
                            format!("its working directory `{path}` is a file"),
                            "set `working_dir` to a directory",
                        ));
                    }
                    None => {
                        if present.insert(path) {
                            entries.insert(path, implied_directory(path));
                        }
                    }
                }
            }
        }
        if !entries.is_empty() {
            layers.push(PlannedLayer {
                kind: layer.kind,
                entries: entries.into_values().collect(),
            });
        }
    }
    if layers.is_empty() && recipe.base == Base::Scratch {
        return Err(Fault::new(
            "it has no files".to_owned(),
            "add at least the layer with its program",
        ));
    }
    Ok(layers)
}

/// Every path in the recipe, with its layer.
fn declared_entries(recipe: &ImageRecipe) -> Result<BTreeMap<&str, (usize, PlannedEntry)>, Fault> {
    let mut declared: BTreeMap<&str, (usize, PlannedEntry)> = BTreeMap::new();
    for (index, layer) in recipe.layers.iter().enumerate() {
        for file in &layer.files {
            check_path(&file.path)?;
            if file.mode > 0o7777 {
                return Err(Fault::new(
                    format!(
                        "`{}` has the mode {:o}, which contains more than permission bits",
                        file.path, file.mode
                    ),
                    "use only permission bits, for example `0o755`",
                ));
            }
            if let FileSource::Symlink(target) = &file.source
                && (target.is_empty() || target.contains('\0') || target.len() > MAX_PATH)
            {
                return Err(Fault::new(
                    format!("the target of the link `{}` is not valid", file.path),
                    "use a path as the target of the link",
                ));
            }
            let entry = PlannedEntry {
                path: relative(&file.path),
                source: file.source.clone(),
                // A link has no permissions of its own; Linux shows 777.
                mode: if matches!(file.source, FileSource::Symlink(_)) {
                    0o777
                } else {
                    file.mode
                },
            };
            if let Some((_, earlier)) = declared.get(file.path.as_str()) {
                if *earlier == entry {
                    continue;
                }
                return Err(Fault::new(
                    format!("`{}` is listed twice, with different content", file.path),
                    "remove one of the two entries",
                ));
            }
            declared.insert(&file.path, (index, entry));
        }
    }
    for path in declared.keys() {
        for parent in parents(path) {
            if let Some((_, entry)) = declared.get(parent)
                && entry.source != FileSource::Directory
            {
                return Err(Fault::new(
                    format!("`{path}` is in `{parent}`, which is not a directory"),
                    "move the file, or make its parent a directory",
                ));
            }
        }
    }
    Ok(declared)
}

fn check_path(path: &str) -> Result<(), Fault> {
    const HELP: &str = "use an absolute path in the image, such as `/usr/local/bin/my-app`";
    let shown = path.escape_debug();
    let Some(rest) = path.strip_prefix('/').filter(|rest| !rest.is_empty()) else {
        return Err(Fault::new(
            format!("`{shown}` is not an absolute path of a file"),
            HELP,
        ));
    };
    if path.len() > MAX_PATH || path.contains('\0') {
        return Err(Fault::new(
            format!("`{shown}` is not a possible path of a file"),
            HELP,
        ));
    }
    for name in rest.split('/') {
        if name.is_empty() || name == "." || name == ".." {
            return Err(Fault::new(
                format!("the path `{shown}` has the invalid component `{name}`"),
                HELP,
            ));
        }
        if name.len() > MAX_NAME {
            return Err(Fault::new(
                format!("the name `{name}` is longer than {MAX_NAME} bytes"),
                HELP,
            ));
        }
        // Image specification, "Whiteouts": such a name deletes files of lower layers.
        if name.starts_with(".wh.") {
            return Err(Fault::new(
                format!("the name `{name}` marks a deletion in an image layer"),
                "rename the file: `.wh.` is reserved by the image format",
            ));
        }
    }
    Ok(())
}

/// `/a/b/c` -> `/a`, `/a/b`.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/')
        .map(|(at, _)| at)
        .filter(|at| *at > 0)
        .map(|at| &path[..at])
}

fn relative(path: &str) -> String {
    path.trim_start_matches('/').to_owned()
}

fn implied_directory(path: &str) -> PlannedEntry {
    PlannedEntry {
        path: relative(path),
        source: FileSource::Directory,
        mode: IMPLIED_DIRECTORY_MODE,
    }
}

#[cfg(test)]
mod tests;
