//! Checks for circles between the modules of a crate.
//!
//! The rule: sibling modules (`a.rs` and `b.rs`, or the directories `a/` and `b/`, each including everything below it)
//! do not depend on each other in a circle, so that a crate can be read from the bottom up and each part can be moved
//! out. A module and everything below it are one unit: a parent uses its children, and children may use what the parent
//! defines for all of them. Tests are ignored. A re-export counts for the file that defines the item.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cargo_metadata::{Metadata, TargetKind};

use super::members;
use super::modules::{ModulePath, Modules, Reference};

/// A circle between modules of a crate, with one reference for each step.
#[derive(Debug)]
pub(super) struct Circle {
    pub(super) parts: Vec<ModulePath>,
    pub(super) because: Vec<String>,
}

/// All circles in the workspace, by package.
pub(super) fn find(metadata: &Metadata) -> anyhow::Result<BTreeMap<String, Vec<Circle>>> {
    let mut found: BTreeMap<String, Vec<Circle>> = BTreeMap::new();
    for package in members(metadata) {
        for target in &package.targets {
            let shipped = [TargetKind::Lib, TargetKind::Bin, TargetKind::ProcMacro];
            if !target.kind.iter().any(|kind| shipped.contains(kind)) {
                continue;
            }
            let modules = Modules::read(target.src_path.as_std_path())?;
            let circles = circles(&modules);
            if !circles.is_empty() {
                let of = found.entry(package.name.to_string()).or_default();
                of.extend(circles);
            }
        }
    }
    Ok(found)
}

/// Crates with known circles. The list must only shrink: remove a crate when it has no more circles.
const KNOWN: &[&str] = &[];

pub(super) fn check(found: &BTreeMap<String, Vec<Circle>>) -> Vec<String> {
    let unknown = found
        .iter()
        .filter(|(package, _)| !KNOWN.contains(&package.as_str()))
        .flat_map(|(package, circles)| {
            circles
                .iter()
                .map(move |circle| format!("`{package}`: {circle}"))
        });
    let solved = KNOWN
        .iter()
        .filter(|package| !found.contains_key(**package))
        .map(|package| {
            format!("`{package}` no longer has circles: remove it from KNOWN in xtask/src/tidy/circles.rs")
        });
    unknown.chain(solved).collect()
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.parts.iter().map(|part| part.join("::")).collect();
        write!(
            f,
            "these modules depend on each other in a circle: {}",
            parts.join(", ")
        )?;
        for step in &self.because {
            write!(f, "\n    {step}")?;
        }
        Ok(())
    }
}

fn circles(modules: &Modules) -> Vec<Circle> {
    // for each parent: which of its children depend on each other, with a reference for each dependency
    let mut levels: BTreeMap<ModulePath, Edges> = BTreeMap::new();
    for reference in modules.references() {
        let Some((parent, from, to)) = siblings(&reference) else {
            continue;
        };
        let edges = levels.entry(parent).or_default();
        edges
            .entry(from)
            .or_default()
            .entry(to)
            .or_insert(reference);
    }
    let mut found = Vec::new();
    for (parent, edges) in levels {
        for component in components(&edges) {
            let because = component
                .iter()
                .flat_map(|from| edges.get(from).into_iter().flatten())
                .filter(|(to, _)| component.contains(*to))
                .map(|(_, reference)| {
                    format!(
                        "{} uses {}",
                        shown(modules, &reference.from),
                        shown(modules, &reference.to)
                    )
                })
                .collect();
            let parts = component
                .iter()
                .map(|name| parent.iter().chain([name]).cloned().collect())
                .collect();
            found.push(Circle { parts, because });
        }
    }
    found
}

type Edges = BTreeMap<String, BTreeMap<String, Reference>>;

/// The two sibling modules of a reference, and their parent; `None` for a reference between a module and something
/// below it.
fn siblings(reference: &Reference) -> Option<(ModulePath, String, String)> {
    let common = reference
        .from
        .iter()
        .zip(&reference.to)
        .take_while(|(from, to)| from == to)
        .count();
    let from = reference.from.get(common)?;
    let to = reference.to.get(common)?;
    let parent = reference.from[..common].to_vec();
    Some((parent, from.clone(), to.clone()))
}

/// The sets of modules that can reach each other.
fn components(edges: &Edges) -> Vec<BTreeSet<String>> {
    let reach: BTreeMap<&String, BTreeSet<&String>> = edges
        .keys()
        .map(|from| (from, reachable(edges, from)))
        .collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (from, there) in &reach {
        if !there.contains(*from) || found.iter().any(|known| known.contains(*from)) {
            continue;
        }
        let back = there
            .iter()
            .filter(|to| reach.get(**to).is_some_and(|back| back.contains(*from)));
        found.push(back.map(|name| (**name).clone()).collect());
    }
    found
}

fn reachable<'a>(edges: &'a Edges, from: &String) -> BTreeSet<&'a String> {
    let mut seen = BTreeSet::new();
    let mut queue: Vec<&String> = edges
        .get(from)
        .into_iter()
        .flatten()
        .map(|(to, _)| to)
        .collect();
    while let Some(at) = queue.pop() {
        if seen.insert(at) {
            queue.extend(edges.get(at).into_iter().flatten().map(|(to, _)| to));
        }
    }
    seen
}

fn shown(modules: &Modules, path: &ModulePath) -> String {
    let file = modules.file(path);
    file.strip_prefix(crate::command::root())
        .unwrap_or(file)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<Vec<String>> {
        circles(&Modules::parse(text))
            .into_iter()
            .map(|circle| circle.parts.iter().map(|part| part.join("::")).collect())
            .collect()
    }

    #[test]
    fn modules_that_use_each_other_are_a_circle() {
        let text = "
            mod a { use crate::b::B; pub struct A; }
            mod b { pub struct B; fn f(_: super::a::A) {} }
            mod c { use crate::a::A; use crate::b::B; }";
        assert_eq!(parts(text), [["a", "b"]]);
    }

    #[test]
    fn a_circle_over_three_modules_and_a_macro_is_found() {
        let text = "
            mod a { use crate::b; }
            mod b { fn f() { println!(\"{}\", crate::c::C); } }
            mod c { pub const C: u8 = 1; fn f() { crate::a::f() } }";
        assert_eq!(parts(text), [["a", "b", "c"]]);
    }

    #[test]
    fn a_re_export_stands_for_the_file_that_has_the_item() {
        let text = "
            mod a { use crate::B; pub struct A; }
            mod b { use crate::all::A; pub struct B; }
            mod all { pub use crate::a::*; }
            pub use b::B;";
        assert_eq!(parts(text), [["a", "b"]]);
    }

    #[test]
    fn folders_count_with_what_is_below_them() {
        let text = "
            mod a { mod deep { use crate::b::B; } pub mod other { pub struct O; } }
            mod b { pub struct B; mod c { use crate::a::other::O; } }";
        assert_eq!(parts(text), [["a", "b"]]);
    }

    #[test]
    fn parent_and_child_are_one_part_and_tests_do_not_count() {
        let text = "
            mod a {
                pub struct A;
                mod child { use super::A; pub struct C; }
                use child::C;
                #[cfg(test)] mod tests { use crate::b::B; }
            }
            mod b { use crate::a::A; pub struct B; }";
        assert!(parts(text).is_empty());
    }
}
