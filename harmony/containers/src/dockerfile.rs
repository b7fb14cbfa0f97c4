//! Renders a plan as a Dockerfile. Pure.

use std::fmt;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{Base, FileSource};
use harmony_core::inventory::Platform;
use serde::Serialize;

use crate::plan::{ImagePlan, PlannedEntry};

/// The directory in the build context with the files of each layer.
const LAYERS: &str = "layers";

/// The instructions for a recipe: nothing runs during the build.
#[derive(Debug)]
enum Instruction<'a> {
    From(String),
    /// Copies everything in a directory of the context to the root of the image. Modes are those of the context,
    /// because the classic builder does not support `--chmod`. The owner is root.
    CopyLayer(usize),
    Env(&'a str, &'a str),
    Label(&'a str, &'a str),
    Workdir(&'a str),
    User(&'a str),
    Entrypoint(&'a [String]),
    Cmd(&'a [String]),
}

impl fmt::Display for Instruction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(base) => write!(f, "FROM {base}"),
            Self::CopyLayer(index) => write!(f, "COPY {}/ /", layer_folder(*index)),
            Self::Env(name, value) => write!(f, "ENV {name}={}", quoted(value)),
            Self::Label(name, value) => write!(f, "LABEL {}={}", quoted(name), quoted(value)),
            Self::Workdir(path) => write!(f, "WORKDIR {}", quoted(path)),
            Self::User(user) => write!(f, "USER {user}"),
            Self::Entrypoint(words) => write!(f, "ENTRYPOINT {}", json(words)),
            Self::Cmd(words) => write!(f, "CMD {}", json(words)),
        }
    }
}

/// Who reads the Dockerfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Docker's classic builder. It sets the mode of a file before its owner, and the kernel then removes the set-id
    /// bits.
    Classic,
    BuildKit,
}

/// The Dockerfile of `plan`. Layer 0 is in `layers/0` of the build context, and so on. `image` is used only in errors.
///
/// Instructions that rarely change come first, because Docker rebuilds everything after the first changed instruction.
pub(crate) fn render(
    plan: &ImagePlan,
    image: &str,
    dialect: Dialect,
) -> Result<String, BuildError> {
    let refuse = |reason: String| BuildError::Recipe {
        image: image.to_owned(),
        reason,
        help: "remove it, or build with the `NativeBuilder`, which writes it as it is".to_owned(),
    };
    let run = &plan.run;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if let Some(name) = run.env.keys().find(|name| !name.chars().all(is_plain)) {
        return Err(refuse(format!(
            "a Dockerfile cannot set a variable with the name `{name}`"
        )));
    }
    let values = run
        .env
        .values()
        .chain(run.labels.keys())
        .chain(run.labels.values());
    if let Some(value) = values
        .chain([&run.working_dir])
        .find(|value| value.contains(['\n', '\r']))
    {
        return Err(refuse(format!(
            "a value in a Dockerfile cannot contain a line break: `{}`",
            value.escape_debug()
        )));
    }
    let entries = plan.layers.iter().flat_map(|layer| &layer.entries);
    if dialect == Dialect::Classic
        && let Some(entry) = entries.into_iter().find(|entry| has_set_id_bits(entry))
    {
        return Err(refuse(format!(
            "Docker's classic builder drops the set-id bits of `/{}` (mode {:o})",
            entry.path, entry.mode
        )));
    }
    let mut lines = vec![Instruction::From(base(&plan.base, &plan.platform))];
    lines.extend((0..plan.layers.len()).map(Instruction::CopyLayer));
    lines.extend(
        run.env
            .iter()
            .map(|(name, value)| Instruction::Env(name, value)),
    );
    lines.push(Instruction::Workdir(&run.working_dir));
    lines.push(Instruction::User(&run.user));
    if !run.entrypoint.is_empty() {
        lines.push(Instruction::Entrypoint(&run.entrypoint));
    }
    if !run.cmd.is_empty() {
        lines.push(Instruction::Cmd(&run.cmd));
    }
    lines.extend(
        run.labels
            .iter()
            .map(|(name, value)| Instruction::Label(name, value)),
    );
    let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
    Ok(lines.join("\n") + "\n")
}

fn has_set_id_bits(entry: &PlannedEntry) -> bool {
    let is_file = matches!(entry.source, FileSource::Host(_) | FileSource::Bytes(_));
    is_file && entry.mode & 0o6000 != 0
}

/// The directory of a layer's files in the build context.
pub(crate) fn layer_folder(index: usize) -> String {
    format!("{LAYERS}/{index}")
}

fn base(base: &Base, platform: &Platform) -> String {
    match base {
        Base::Scratch => "scratch".to_owned(),
        Base::Image(image) if *platform == Platform::current() => image.to_string(),
        Base::Image(image) => format!("--platform={platform} {image}"),
    }
}

/// In double quotes, without anything for the builder to expand.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

fn json(words: &(impl Serialize + ?Sized)) -> String {
    // A list of strings can always be represented in JSON.
    serde_json::to_string(words).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use harmony_core::image::LayerKind;

    use super::*;
    use crate::testing::{context, file, recipe};

    #[test]
    fn a_recipe_becomes_this_dockerfile() {
        let mut recipe = recipe(vec![
            (LayerKind::Assets, vec![file("/etc/passwd", "x", 0o644)]),
            (
                LayerKind::Binary,
                vec![file("/usr/local/bin/app", "x", 0o755)],
            ),
        ]);
        recipe.entrypoint.push("--name=\"a b\"".into());
        recipe.cmd = vec!["$HOME".into()];
        recipe
            .env
            .insert("PROMPT".into(), r#"say "$HOME\" "#.into());
        recipe.working_dir = "/var/lib/my app".into();
        let plan = ImagePlan::new(&recipe, &context(recipe.clone()), "app").unwrap();
        assert_eq!(
            render(&plan, "app", Dialect::Classic).unwrap(),
            r#"FROM scratch
COPY layers/0/ /
COPY layers/1/ /
ENV PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENV PROMPT="say \"\$HOME\\\" "
WORKDIR "/var/lib/my app"
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/app","--name=\"a b\""]
CMD ["$HOME"]
LABEL "org.opencontainers.image.version"="1.0.0"
"#
        );
    }

    #[test]
    fn a_base_is_named_with_its_digest() {
        let image = format!("registry.test/base:1@sha256:{}", "0".repeat(64));
        let mut recipe = recipe(vec![(LayerKind::Binary, vec![file("/app", "x", 0o755)])]);
        recipe.base = Base::Image(harmony_types::ImageRef::parse(&image).unwrap());
        let mut build = context(recipe.clone());
        build.platform = Platform::current();
        let plan = ImagePlan::new(&recipe, &build, "app").unwrap();
        let text = render(&plan, "app", Dialect::Classic).unwrap();
        assert!(
            text.starts_with(&format!("FROM {image}\nCOPY layers/0/ /\nWORKDIR")),
            "{text}"
        );
    }

    #[test]
    fn what_a_dockerfile_cannot_say_is_refused() {
        let base = recipe(vec![(LayerKind::Binary, vec![file("/app", "x", 0o755)])]);
        let mut breaks = base.clone();
        breaks.env.insert("A".into(), "1\nRUN evil".into());
        let mut name = base.clone();
        name.env.insert("A\"B".into(), "1".into());
        let mut label = base.clone();
        label.labels.insert("a\nUSER 0".into(), "1".into());
        let mut set_id = base;
        set_id.layers[0].files[0].mode = 0o4755;
        for recipe in [breaks, name, label, set_id] {
            let plan = ImagePlan::new(&recipe, &context(recipe.clone()), "app").unwrap();
            assert!(matches!(
                render(&plan, "app", Dialect::Classic),
                Err(BuildError::Recipe { .. })
            ));
        }
    }
}
