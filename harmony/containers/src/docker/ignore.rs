//! `.dockerignore`.

use std::fs;
use std::io;
use std::path::Path;

use globset::{Glob, GlobBuilder, GlobMatcher};
use harmony_core::capability::container_builder::BuildError;

/// The patterns of a `.dockerignore` file. As with docker: patterns begin at the root of the project, the last one
/// that matches a path or a folder above it decides, `!` takes files back in.
#[derive(Debug, Default)]
pub(super) struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    glob: GlobMatcher,
    excludes: bool,
}

impl Ignore {
    /// The name of the file.
    pub(super) const FILE: &str = ".dockerignore";

    /// Reads the file in `root`; without one, nothing is ignored.
    pub(super) fn read(root: &Path) -> Result<Self, BuildError> {
        let path = root.join(Self::FILE);
        let unreadable = |source: io::Error| BuildError::File {
            path: path.clone(),
            source,
        };
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text)
                .map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(unreadable(error)),
        }
    }

    fn parse(text: &str) -> Result<Self, globset::Error> {
        let mut patterns = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let line = line.trim();
            let (line, excludes) = match line.strip_prefix('!') {
                Some(rest) => (rest.trim(), false),
                None => (line, true),
            };
            let line = line.trim_start_matches("./").trim_matches('/');
            if line.is_empty() || line == "." {
                continue;
            }
            let glob: Glob = GlobBuilder::new(line).literal_separator(true).build()?;
            patterns.push(Pattern {
                glob: glob.compile_matcher(),
                excludes,
            });
        }
        Ok(Self { patterns })
    }

    /// Whether `path`, relative to the root, stays out of the build context.
    pub(super) fn excludes(&self, path: &str) -> bool {
        self.patterns.iter().fold(false, |excluded, pattern| {
            let matches = Path::new(path)
                .ancestors()
                .any(|path| !path.as_os_str().is_empty() && pattern.glob.is_match(path));
            if matches { pattern.excludes } else { excluded }
        })
    }

    /// Whether something below an excluded folder may be in the context after all.
    pub(super) fn may_include_below(&self) -> bool {
        self.patterns.iter().any(|pattern| !pattern.excludes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_to_docker() {
        let ignore = Ignore::parse(
            "# a comment\n\n/target/\nnode_modules\n*.md\n!README.md\n**/*.log\ndocs/*\n!docs/keep\nt?p\n./x\n",
        )
        .unwrap();
        for (path, excluded) in [
            ("target", true),
            ("target/debug/app", true),
            ("sub/target", false),
            ("CHANGES.md", true),
            ("README.md", false),
            ("sub/CHANGES.md", false),
            ("a.log", true),
            ("a/b/c.log", true),
            ("docs/a", true),
            ("docs/keep", false),
            ("docs/keep/x", false),
            ("docs", false),
            ("tmp", true),
            ("t/p", false),
            ("x", true),
            ("src/main.rs", false),
        ] {
            assert_eq!(ignore.excludes(path), excluded, "{path}");
        }
        assert!(ignore.may_include_below());
        assert!(!Ignore::parse("a\n").unwrap().may_include_below());
        assert!(Ignore::parse("a[\n").is_err());
    }
}
