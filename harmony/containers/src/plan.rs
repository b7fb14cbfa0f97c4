//! What an image will hold, worked out from its recipe before anything is written.
//!
//! ```text
//! ImageRecipe + BuildContext --ImagePlan::new--> ImagePlan --native--> tar layers, config
//!   (any order, parents implied)                 (sorted, complete)  --docker--> build context, Dockerfile
//! ```
//!
//! Every builder works from the plan, so that all of them agree on files, modes, user and entrypoint. Pure.

use std::collections::{BTreeMap, BTreeSet};

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{Base, BuildContext, FileSource, ImageRecipe, LayerKind};
use harmony_core::inventory::Platform;

/// The search path of an image that sets none; docker gives the same to images from scratch.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a directory gets that no entry of the recipe describes.
const IMPLIED_DIRECTORY_MODE: u32 = 0o755;

/// The longest path Linux takes (`PATH_MAX` less the closing zero), in bytes.
const MAX_PATH: usize = 4095;

/// The longest file name Linux takes (`NAME_MAX`), in bytes.
const MAX_NAME: usize = 255;

/// An image, complete and checked.
#[derive(Debug, Clone)]
pub(crate) struct ImagePlan {
    pub(crate) base: Base,
    pub(crate) layers: Vec<PlannedLayer>,
    pub(crate) run: RunConfig,
    pub(crate) platform: Platform,
    /// Seconds since 1970, never negative.
    pub(crate) created: u64,
    /// The labels of the build context: version, revision, source. They become annotations too.
    pub(crate) annotations: BTreeMap<String, String>,
}

/// One layer: what a tar archive of it holds, in that order.
#[derive(Debug, Clone)]
pub(crate) struct PlannedLayer {
    pub(crate) kind: LayerKind,
    /// By path, and so parents before their children.
    pub(crate) entries: Vec<PlannedEntry>,
}

/// One entry of a layer; owned by root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedEntry {
    /// Without the leading slash, as archives have it.
    pub(crate) path: String,
    pub(crate) source: FileSource,
    pub(crate) mode: u32,
}

/// How the image's program starts.
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
    /// Checks `recipe` and completes it: parent directories, the working directory, `PATH`, the labels of `context`.
    ///
    /// `image` is named in errors only.
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
                "write the base as `name:tag@sha256:...`; `crane digest name:tag` prints the digest",
            ));
        }
        let created = u64::try_from(context.created).map_err(|_| {
            Fault::new(
                format!(
                    "it would be dated {} seconds before 1970",
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

/// What is wrong with a recipe, and the way out.
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
            "name the program in `entrypoint`, as in `[\"/usr/local/bin/my-app\"]`",
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
                    "the environment variable `{}` cannot be set",
                    name.escape_debug()
                ),
                "a name has no `=`, no space and is not empty; a value has no zero byte",
            ));
        }
    }
    let mut labels = recipe.labels.clone();
    labels.extend(context.labels.clone());
    if labels.keys().any(String::is_empty) {
        return Err(Fault::new(
            "it has a label without a name".to_owned(),
            "name each label, as in `org.opencontainers.image.title`",
        ));
    }
    let texts = recipe.entrypoint.iter().chain(&recipe.cmd);
    if let Some(text) = texts.into_iter().find(|text| text.contains('\0')) {
        return Err(Fault::new(
            format!("its argument `{}` has a zero byte", text.escape_debug()),
            "no program can be given such an argument: remove it",
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

/// All layers with their parents. A directory that a lower layer has is not repeated, for its mode would be lost.
fn planned_layers(recipe: &ImageRecipe, working_dir: &str) -> Result<Vec<PlannedLayer>, Fault> {
    let declared = declared_entries(recipe)?;
    let mut present: BTreeSet<&str> = BTreeSet::new();
    let mut layers = Vec::new();
    let last = recipe.layers.len().saturating_sub(1);
    for (index, layer) in recipe.layers.iter().enumerate() {
        let mut entries: BTreeMap<&str, PlannedEntry> = BTreeMap::new();
        let wanted = layer.files.iter().map(|file| file.path.as_str());
        // Docker makes the working directory when it is missing, so the native builder has to.
        let wanted = wanted.chain((index == last && working_dir != "/").then_some(working_dir));
        for path in wanted {
            for path in parents(path).chain([path]) {
                match declared.get(path) {
                    Some((home, _)) if *home > index => {
                        return Err(Fault::new(
                            format!("`{path}` is in a later layer than what lies in it"),
                            "put a directory into the layer of its first file, or leave it out: it is made by itself",
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
                            "name a directory in `working_dir`",
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
            "give it at least the layer with its program",
        ));
    }
    Ok(layers)
}

/// Every path the recipe names, with the layer it is in.
fn declared_entries(recipe: &ImageRecipe) -> Result<BTreeMap<&str, (usize, PlannedEntry)>, Fault> {
    let mut declared: BTreeMap<&str, (usize, PlannedEntry)> = BTreeMap::new();
    for (index, layer) in recipe.layers.iter().enumerate() {
        for file in &layer.files {
            check_path(&file.path)?;
            if file.mode > 0o7777 {
                return Err(Fault::new(
                    format!(
                        "`{}` has the mode {:o}, which is more than permission bits",
                        file.path, file.mode
                    ),
                    "write the permission bits alone, as in `0o755`",
                ));
            }
            if let FileSource::Symlink(target) = &file.source
                && (target.is_empty() || target.contains('\0') || target.len() > MAX_PATH)
            {
                return Err(Fault::new(
                    format!("the link `{}` has no possible target", file.path),
                    "give the link a path as its target",
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
                    format!("`{path}` lies in `{parent}`, which is not a directory"),
                    "move the file, or make its parent a directory",
                ));
            }
        }
    }
    Ok(declared)
}

fn check_path(path: &str) -> Result<(), Fault> {
    const HELP: &str = "write an absolute path inside the image, such as `/usr/local/bin/my-app`";
    let shown = path.escape_debug();
    let Some(rest) = path.strip_prefix('/').filter(|rest| !rest.is_empty()) else {
        return Err(Fault::new(
            format!("`{shown}` is not an absolute path of a file"),
            HELP,
        ));
    };
    if path.len() > MAX_PATH || path.contains('\0') {
        return Err(Fault::new(
            format!("no file can have the path `{shown}`"),
            HELP,
        ));
    }
    for name in rest.split('/') {
        if name.is_empty() || name == "." || name == ".." {
            return Err(Fault::new(
                format!("the path `{shown}` goes by `{name}`"),
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
                format!("the name `{name}` means a deletion inside an image"),
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
