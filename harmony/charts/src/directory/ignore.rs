//! `.helmignore`: the files of a directory that are not part of the chart, according to Helm's rules.
//!
//! The rules differ from those of git: they are tried in order and the first that matches decides, a rule without `/`
//! applies only to the last part of a path, `**` is an error, and a `!` rule ignores everything that it does not match.

/// The name of the file.
pub(super) const FILE: &str = ".helmignore";

/// The rules of a file, and those that Helm adds.
#[derive(Debug)]
pub(super) struct Ignored(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    pattern: String,
    is_negated: bool,
    is_for_folders: bool,
    is_for_whole_path: bool,
}

impl Ignored {
    /// Parses the rules. The error contains the line number.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let refuse = |problem: &str| Err(format!("line {}: {problem}", index + 1));
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.contains("**") {
                return refuse("helm does not support `**`: write one rule per directory");
            }
            let rule = Rule::parse(line);
            if rule.pattern.is_empty() || glob(&rule.pattern, "abc").is_none() {
                return refuse(&format!("`{line}` is not a pattern"));
            }
            rules.push(rule);
        }
        rules.push(Rule::parse("templates/.?*"));
        Ok(Self(rules))
    }

    /// Returns true if a file or directory is ignored. `path` is relative to the directory of the chart, with `/`.
    pub(super) fn is_ignored(&self, path: &str, is_folder: bool) -> bool {
        for rule in &self.0 {
            let fits_kind = !rule.is_for_folders || is_folder;
            let matches = fits_kind && rule.matches(path);
            if matches != rule.is_negated {
                return true;
            }
        }
        false
    }
}

impl Rule {
    fn parse(line: &str) -> Self {
        let (is_negated, rest) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (is_for_folders, rest) = match rest.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        Self {
            pattern: rest.strip_prefix('/').unwrap_or(rest).to_owned(),
            is_negated,
            is_for_folders,
            is_for_whole_path: rest.contains('/'),
        }
    }

    fn matches(&self, path: &str) -> bool {
        let subject = match path.rsplit_once('/') {
            Some((_, name)) if !self.is_for_whole_path => name,
            _ => path,
        };
        glob(&self.pattern, subject).unwrap_or(false)
    }
}

/// Go's `path.Match`: `*` and `?` do not match `/`, `[a-z]` and `[^a-z]` are classes, `\` escapes. `None` for an
/// invalid pattern.
fn glob(pattern: &str, text: &str) -> Option<bool> {
    let pattern = tokens(pattern)?;
    let text: Vec<char> = text.chars().collect();
    // The positions in the text where the pattern so far can end.
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    for token in &pattern {
        let mut next = vec![false; text.len() + 1];
        if let Token::Star = token {
            let mut reached = false;
            for at in 0..=text.len() {
                reached = ends[at] || (reached && text[at - 1] != '/');
                next[at] = reached;
            }
        } else {
            for (at, character) in text.iter().enumerate() {
                next[at + 1] = ends[at] && token.takes(*character);
            }
        }
        ends = next;
    }
    ends.last().copied()
}

enum Token {
    Star,
    Any,
    Literal(char),
    Class {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Token {
    fn takes(&self, character: char) -> bool {
        match self {
            Self::Star => false,
            Self::Any => character != '/',
            Self::Literal(literal) => *literal == character,
            Self::Class { is_negated, ranges } => {
                let is_within = ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&character));
                is_within != *is_negated
            }
        }
    }
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut characters = pattern.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(character) = characters.next() {
        tokens.push(match character {
            '*' => Token::Star,
            '?' => Token::Any,
            '\\' => Token::Literal(characters.next()?),
            '[' => {
                let is_negated = characters.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || characters.next_if_eq(&']').is_none() {
                    let low = class_character(&mut characters)?;
                    let high = match characters.next_if_eq(&'-') {
                        Some(_) => class_character(&mut characters)?,
                        None => low,
                    };
                    ranges.push((low, high));
                }
                Token::Class { is_negated, ranges }
            }
            literal => Token::Literal(literal),
        });
    }
    Some(tokens)
}

fn class_character(characters: &mut impl Iterator<Item = char>) -> Option<char> {
    match characters.next()? {
        '-' | ']' => None,
        '\\' => characters.next(),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_those_of_helm() {
        for (rules, path, is_folder, is_ignored) in [
            ("secrets/", "secrets", true, true),
            ("secrets/", "secrets", false, false),
            ("secrets/", "deep/secrets", true, true),
            ("/secrets", "deep/secrets", true, false),
            ("values-*.yaml", "values-production.yaml", false, true),
            ("values-*.yaml", "values.yaml", false, false),
            ("*.bak", "templates/a.bak", false, true),
            ("templates/*.bak", "templates/deep/a.bak", false, false),
            ("?ai", "mai", false, true),
            ("[a-c]x", "bx", false, true),
            ("[^a-c]x", "bx", false, false),
            ("\\*", "*", false, true),
            ("{a,b}", "a", false, false),
            // a `!` rule ignores what it does not match, and does not restore what an earlier rule ignored
            ("!*.yaml", "a.txt", false, true),
            ("!*.yaml", "a.yaml", false, false),
            ("*.yaml\n!a.yaml", "a.yaml", false, true),
            ("!a/", "b", false, true),
            ("# secrets\n\n  a  ", "a", false, true),
            ("\u{feff}a", "a", false, true),
            ("a\r\nb\r\n", "b", false, true),
            ("", "templates/.hidden", false, true),
            ("", ".hidden", false, false),
        ] {
            let ignored = Ignored::parse(rules).unwrap();
            assert_eq!(
                ignored.is_ignored(path, is_folder),
                is_ignored,
                "{rules:?} {path}"
            );
        }
    }

    #[test]
    fn what_helm_refuses_is_refused_with_its_line() {
        for rules in ["a\n**/b", "a\n[", "a\n[]x]", "a\nb\\", "a\n/", "a\n!"] {
            let problem = Ignored::parse(rules).unwrap_err();
            assert!(problem.starts_with("line 2: "), "{rules:?}: {problem}");
        }
    }
}
