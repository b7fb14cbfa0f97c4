//! The modules of a crate and the references between them, read from the sources with `syn`. Tests are ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A module by its path: `["capability", "oci_registry"]`; the root is empty.
pub(super) type ModulePath = Vec<String>;

/// The modules of a crate root, such as `lib.rs`.
#[derive(Default)]
pub(super) struct Modules {
    modules: BTreeMap<ModulePath, Module>,
}

#[derive(Default)]
struct Module {
    file: PathBuf,
    /// The names of its items.
    items: BTreeSet<String>,
    /// The names imported by `use`, with their paths.
    imports: BTreeMap<String, Vec<String>>,
    /// The paths in `use path::*`.
    globs: Vec<Vec<String>>,
    /// All paths in it that start with `crate`, `self`, `super` or the name of a module.
    paths: BTreeSet<Vec<String>>,
}

/// `from` refers to something in `to`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference {
    pub(super) from: ModulePath,
    pub(super) to: ModulePath,
}

impl Modules {
    /// Reads the crate with the root file `root`.
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut modules = Self::default();
        modules.read_file(root, root.parent().unwrap_or(root), Vec::new())?;
        Ok(modules)
    }

    /// A crate with a single file, for tests.
    #[cfg(test)]
    pub(super) fn parse(text: &str) -> Self {
        let mut modules = Self::default();
        let parsed = syn::parse_file(text).expect("Rust");
        modules
            .add(
                Path::new("lib.rs"),
                Path::new("."),
                Vec::new(),
                &parsed.items,
            )
            .expect("no other file");
        modules
    }

    /// The file of a module.
    pub(super) fn file(&self, path: &ModulePath) -> &Path {
        &self.modules[path].file
    }

    /// All references from one module to another.
    pub(super) fn references(&self) -> BTreeSet<Reference> {
        let mut found = BTreeSet::new();
        for (from, module) in &self.modules {
            for path in &module.paths {
                if let Some(to) = self.resolve(from, path, 0)
                    && to != *from
                {
                    let from = from.clone();
                    found.insert(Reference { from, to });
                }
            }
        }
        found
    }

    fn read_file(&mut self, file: &Path, folder: &Path, path: ModulePath) -> anyhow::Result<()> {
        let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
        let parsed = syn::parse_file(&text).with_context(|| format!("{}", file.display()))?;
        self.add(file, folder, path, &parsed.items)
    }

    /// Adds a module and the modules declared in it. `folder` is the directory of its children.
    fn add(
        &mut self,
        file: &Path,
        folder: &Path,
        path: ModulePath,
        items: &[syn::Item],
    ) -> anyhow::Result<()> {
        let mut scan = Scan::default();
        for item in items {
            scan.visit_item(item);
        }
        let children = std::mem::take(&mut scan.children);
        scan.module.file = file.to_path_buf();
        self.modules.insert(path.clone(), scan.module);
        for child in children {
            let mut below = path.clone();
            below.push(child.name.clone());
            let inside = folder.join(&child.name);
            match (child.items, child.path) {
                (Some(items), _) => self.add(file, &inside, below, &items)?,
                (None, Some(named)) => {
                    let named = file.parent().unwrap_or(file).join(named);
                    self.read_file(&named, &inside, below)?;
                }
                (None, None) => {
                    let flat = folder.join(format!("{}.rs", child.name));
                    let nested = inside.join("mod.rs");
                    let file = if flat.is_file() { flat } else { nested };
                    self.read_file(&file, &inside, below)?;
                }
            }
        }
        Ok(())
    }

    /// The module that defines the item of `path`, as written in `from`; follows re-exports.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<ModulePath> {
        const DEEPEST: usize = 12;
        if depth > DEEPEST {
            return None;
        }
        let mut at = from.to_vec();
        let mut rest = path;
        while let Some((first, more)) = rest.split_first() {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => {
                    at.pop()?;
                }
                name => {
                    let mut child = at.clone();
                    child.push(name.to_owned());
                    if self.modules.contains_key(&child) {
                        at = child;
                    } else {
                        return self.item(&at, name, more, depth);
                    }
                }
            }
            rest = more;
        }
        Some(at)
    }

    /// The module that defines the item `name` in the module `at`; `more` is the rest of the path.
    fn item(&self, at: &[String], name: &str, more: &[String], depth: usize) -> Option<ModulePath> {
        let module = self.modules.get(at)?;
        if module.items.contains(name) {
            return Some(at.to_vec());
        }
        if let Some(import) = module.imports.get(name) {
            // an import from another crate ends the search
            let whole: Vec<_> = import.iter().chain(more).cloned().collect();
            return self
                .begins_here(at, &whole)
                .then(|| self.resolve(at, &whole, depth + 1))?;
        }
        let behind_glob = module.globs.iter().find_map(|glob| {
            if !self.begins_here(at, glob) {
                return None;
            }
            let target = self.resolve(at, glob, depth + 1)?;
            let direct = self.modules.get(&target)?;
            let has = direct.items.contains(name) || direct.imports.contains_key(name);
            has.then(|| self.item(&target, name, more, depth + 1))?
        });
        // an item that is not found was created by a macro in this module
        behind_glob.or_else(|| Some(at.to_vec()))
    }

    /// Returns true if a path leads into this crate.
    fn begins_here(&self, at: &[String], path: &[String]) -> bool {
        let Some(first) = path.first() else {
            return false;
        };
        let mut child = at.to_vec();
        child.push(first.clone());
        matches!(first.as_str(), "crate" | "self" | "super") || self.modules.contains_key(&child)
    }
}

struct Child {
    name: String,
    items: Option<Vec<syn::Item>>,
    path: Option<String>,
}

/// Collects the content of a module, without the modules in it.
#[derive(Default)]
struct Scan {
    module: Module,
    children: Vec<Child>,
    /// Inside of a function or an `impl`, where `use` and items do not belong to the module.
    depth: usize,
}

impl<'ast> Visit<'ast> for Scan {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if attributes(item).iter().any(is_test) {
            return;
        }
        if let syn::Item::Mod(module) = item {
            if self.depth == 0 {
                self.children.push(Child {
                    name: module.ident.to_string(),
                    items: module.content.as_ref().map(|(_, items)| items.clone()),
                    path: module.attrs.iter().find_map(path_attribute),
                });
            }
            return;
        }
        if self.depth == 0
            && let Some(name) = name(item)
        {
            self.module.items.insert(name);
        }
        self.depth += 1;
        visit::visit_item(self, item);
        self.depth -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut leaves = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut leaves);
        for (path, binding) in leaves {
            self.module.paths.insert(path.clone());
            // `use` in a function counts only as a reference
            if self.depth == 1 {
                match binding {
                    Some(name) => drop(self.module.imports.insert(name, path)),
                    None => self.module.globs.push(path),
                }
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<_> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if path.leading_colon.is_none() && is_relative(&words) {
            self.module.paths.insert(words);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let mut paths = Vec::new();
        paths_in_tokens(call.tokens.clone(), &mut paths);
        self.module.paths.extend(paths);
        visit::visit_macro(self, call);
    }
}

fn is_relative(words: &[String]) -> bool {
    words.len() > 1 && matches!(words[0].as_str(), "crate" | "self" | "super")
}

/// The paths in a `use`, with the names that they bind; `None` for a `*`.
fn flatten(
    tree: &syn::UseTree,
    prefix: &mut Vec<String>,
    into: &mut Vec<(Vec<String>, Option<String>)>,
) {
    let leaf = |prefix: &[String], ident: String| {
        let mut path = prefix.to_vec();
        if ident != "self" {
            path.push(ident);
        }
        path
    };
    match tree {
        syn::UseTree::Path(part) => {
            prefix.push(part.ident.to_string());
            flatten(&part.tree, prefix, into);
            prefix.pop();
        }
        syn::UseTree::Name(name) => {
            let path = leaf(prefix, name.ident.to_string());
            let binding = path.last().cloned();
            into.push((path, binding));
        }
        syn::UseTree::Rename(rename) => {
            let path = leaf(prefix, rename.ident.to_string());
            into.push((path, Some(rename.rename.to_string())));
        }
        syn::UseTree::Glob(_) => into.push((prefix.clone(), None)),
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, prefix, into);
            }
        }
    }
}

/// The paths in the arguments of a macro that start with `crate`, `self` or `super`.
fn paths_in_tokens(tokens: TokenStream, into: &mut Vec<Vec<String>>) {
    let mut words: Vec<String> = Vec::new();
    let mut colons = 0;
    let mut end = |words: &mut Vec<String>| {
        if is_relative(words) {
            into.push(words.clone());
        }
        words.clear();
    };
    let mut groups = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    end(&mut words);
                }
                words.push(ident.to_string());
                colons = 0;
            }
            TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
            other => {
                end(&mut words);
                colons = 0;
                if let TokenTree::Group(group) = other {
                    groups.push(group.stream());
                }
            }
        }
    }
    end(&mut words);
    for group in groups {
        paths_in_tokens(group, into);
    }
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    use syn::Item as I;
    match item {
        I::Const(item) => &item.attrs,
        I::Enum(item) => &item.attrs,
        I::Fn(item) => &item.attrs,
        I::Impl(item) => &item.attrs,
        I::Macro(item) => &item.attrs,
        I::Mod(item) => &item.attrs,
        I::Static(item) => &item.attrs,
        I::Struct(item) => &item.attrs,
        I::Trait(item) => &item.attrs,
        I::Type(item) => &item.attrs,
        I::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name(item: &syn::Item) -> Option<String> {
    use syn::Item as I;
    let ident = match item {
        I::Const(item) => &item.ident,
        I::Enum(item) => &item.ident,
        I::Fn(item) => &item.sig.ident,
        I::Macro(item) => item.ident.as_ref()?,
        I::Static(item) => &item.ident,
        I::Struct(item) => &item.ident,
        I::Trait(item) => &item.ident,
        I::Type(item) => &item.ident,
        I::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

/// `#[cfg(test)]`, including combinations with other conditions.
fn is_test(attribute: &syn::Attribute) -> bool {
    let syn::Meta::List(list) = &attribute.meta else {
        return false;
    };
    list.path.is_ident("cfg")
        && list
            .tokens
            .clone()
            .into_iter()
            .any(|token| matches!(token, TokenTree::Ident(word) if word == "test"))
}

fn path_attribute(attribute: &syn::Attribute) -> Option<String> {
    let syn::Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    if !pair.path.is_ident("path") {
        return None;
    }
    match &pair.value {
        syn::Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Str(text),
            ..
        }) => Some(text.value()),
        _ => None,
    }
}
