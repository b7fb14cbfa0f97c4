//! Support for `.dockerignore`.

use std::io;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use harmony_core::capability::container_builder::BuildError;
use harmony_oci::file::read_regular;

/// The maximum size of a pattern file, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// Some Windows editors add this at the start of a file; Docker ignores it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The patterns in a `.dockerignore` file, with Docker's rules: patterns start at the root of the project, the last one
/// that matches a path or a directory above it decides, and `!` includes files again.
#[derive(Debug)]
pub(super) struct Ignore {
    /// The file with the patterns, relative to the root.
    file: String,
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    glob: GlobMatcher,
    excludes: bool,
}

/// The reason why a line is not a valid pattern.
#[derive(Debug, thiserror::Error)]
enum PatternError {
    #[error("its line {line} is not a valid pattern")]
    Glob {
        line: usize,
        #[source]
        source: globset::Error,
    },
    #[error("its line {line} is `!` without a pattern")]
    Nothing { line: usize },
}

impl Ignore {
    /// Reads `<dockerfile>.dockerignore` or `.dockerignore` in `root`. If there is none, nothing is ignored.
    pub(super) fn read(root: &Path, dockerfile: &str) -> Result<Self, BuildError> {
        const FILE: &str = ".dockerignore";
        for file in [format!("{dockerfile}{FILE}"), FILE.to_owned()] {
            let path = root.join(&file);
            let unreadable = |source: io::Error| BuildError::File {
                path: path.clone(),
                source,
            };
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
            match read_regular(&path, LIMIT) {
                Ok(bytes) => {
                    let text = String::from_utf8(bytes)
                        .map_err(|_| unreadable(invalid("it is not UTF-8 text".to_owned())))?;
                    let patterns = parse(&text).map_err(|error| {
                        unreadable(io::Error::new(io::ErrorKind::InvalidData, error))
                    })?;
                    return Ok(Self { file, patterns });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
        Ok(Self {
            file: FILE.to_owned(),
            patterns: Vec::new(),
        })
    }

    /// The patterns in `lines`; `root` is used only in errors.
    pub(super) fn of_lines(lines: &[String], root: &Path) -> Result<Self, BuildError> {
        let patterns = parse(&lines.join("\n")).map_err(|error| BuildError::File {
            path: root.to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidInput, error),
        })?;
        Ok(Self {
            file: String::new(),
            patterns,
        })
    }

    /// Returns true if nothing is ignored.
    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The file with the patterns.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Returns true if `path`, relative to the root, is not part of the build context.
    pub(super) fn excludes(&self, path: &str) -> bool {
        self.patterns.iter().fold(false, |excluded, pattern| {
            let matches = Path::new(path)
                .ancestors()
                .any(|path| !path.as_os_str().is_empty() && pattern.glob.is_match(path));
            if matches { pattern.excludes } else { excluded }
        })
    }

    /// Returns true if something in an excluded directory may be included again.
    pub(super) fn may_include_below(&self) -> bool {
        self.patterns.iter().any(|pattern| !pattern.excludes)
    }
}

fn parse(text: &str) -> Result<Vec<Pattern>, PatternError> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut patterns = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        let trimmed = line.trim();
        let (pattern, excludes) = match trimmed.strip_prefix('!') {
            Some(rest) => (rest.trim(), false),
            None => (trimmed, true),
        };
        let line = index + 1;
        if pattern.is_empty() && !excludes {
            return Err(PatternError::Nothing { line });
        }
        let pattern = cleaned(pattern);
        if pattern.is_empty() {
            continue;
        }
        let glob = GlobBuilder::new(&as_globset_reads_it(&pattern))
            .literal_separator(true)
            .build()
            .map_err(|source| PatternError::Glob { line, source })?;
        patterns.push(Pattern {
            glob: glob.compile_matcher(),
            excludes,
        });
    }
    Ok(patterns)
}

/// A pattern without `.`, `..`, duplicate slashes, or slashes at the start or end. Empty for the root, which Docker
/// does not ignore.
fn cleaned(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if pattern.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// In Docker, braces are ordinary characters, and only `^` negates a class.
fn as_globset_reads_it(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(chars.next());
            }
            '{' | '}' if !in_class => out.extend(['[', c, ']']),
            '[' if !in_class => {
                in_class = true;
                out.push(c);
                // If a class starts with `!`, move the `!` to another position.
                if chars.next_if_eq(&'!').is_some() {
                    match chars.peek() {
                        Some(']') | None => out.push_str("\\!"),
                        Some(_) => {
                            out.extend(chars.next());
                            out.push('!');
                        }
                    }
                }
            }
            ']' => {
                in_class = false;
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn ignore(text: &str) -> Ignore {
        Ignore {
            file: String::new(),
            patterns: parse(text).unwrap(),
        }
    }

    #[test]
    fn patterns_mean_what_they_mean_to_docker() {
        let ignore = ignore(
            "# a comment\n\n/target/\nnode_modules\n*.md\n!README.md\n**/*.log\ndocs/*\n!docs/keep\nt?p\n./x\n",
        );
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
    }

    #[test]
    fn a_byte_order_mark_line_ends_and_braces_are_read_as_docker_reads_them() {
        for (text, path, excluded) in [
            ("\u{feff}secret.env\r\n*.log\r\n", "secret.env", true),
            ("\u{feff}secret.env\r\n*.log\r\n", "debug.log", true),
            ("\u{feff}# secret.env\nother", "secret.env", false),
            ("\u{feff}!a\n", "a", false),
            ("{a,b}.env", "{a,b}.env", true),
            ("{a,b}.env", "a.env", false),
            ("[!c]x", "!x", true),
            ("[!c]x", "cx", true),
            ("[!c]x", "ax", false),
            ("[^c]x", "ax", true),
            ("[^c]x", "cx", false),
            ("a/../secret.env", "secret.env", true),
            ("a//b/./c/", "a/b/c", true),
            ("../secret.env", "secret.env", false),
            ("/../secret.env", "secret.env", true),
            ("  secret.env  ", "secret.env", true),
            (" # secret.env", "secret.env", false),
            (".", "secret.env", false),
            ("/", "secret.env", false),
            ("**", "a/secret.env", true),
            ("a/**", "a/b/secret.env", true),
            ("secret.env\n! secret.env", "secret.env", false),
            ("\\*.env", "*.env", true),
            ("\\*.env", "a.env", false),
        ] {
            assert_eq!(ignore(text).excludes(path), excluded, "{text:?} {path}");
        }
        assert!(!ignore("a\n").may_include_below());
        for text in ["a[\n", "!\n", "a\n! \n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_file_of_a_dockerfile_comes_before_that_of_the_project() {
        let root = tempfile::tempdir().unwrap();
        let read = || Ignore::read(root.path(), "web.Dockerfile");
        assert!(!read().unwrap().excludes("a"));
        fs::write(root.path().join(".dockerignore"), "a").unwrap();
        assert!(read().unwrap().excludes("a"));
        fs::write(root.path().join("web.Dockerfile.dockerignore"), "b").unwrap();
        let ignore = read().unwrap();
        assert!(ignore.excludes("b") && !ignore.excludes("a"));
        assert_eq!(ignore.file(), "web.Dockerfile.dockerignore");
        // As written by a Windows editor: "a" in UTF-16.
        fs::write(
            root.path().join("web.Dockerfile.dockerignore"),
            b"\xff\xfea\0",
        )
        .unwrap();
        assert!(read().is_err());
    }
}
