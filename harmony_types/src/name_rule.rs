//! The rule of a name type, and the error that says where a value violates it.

use crate::excerpt::excerpt;

/// The format of a kind of name; the constant `RULE` of a name type.
#[derive(Debug, PartialEq, Eq)]
pub struct NameRule {
    what: &'static str,
    max_length: usize,
    grammar: Grammar,
}

/// The reason why a string is not a valid name.
///
/// `value` is the string, shortened and escaped for display. `position` counts characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The value is empty.
    #[error("{what} is empty", what = rule.what)]
    Empty {
        /// The violated rule.
        rule: &'static NameRule,
    },
    /// The value, or a part of it with its own limit, is too long.
    #[error("{what} `{value}` is {length} bytes long, but the limit is {max}", what = rule.what)]
    TooLong {
        /// The violated rule.
        rule: &'static NameRule,
        /// The invalid value.
        value: String,
        /// The length of the value or part, in bytes.
        length: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// A character that is not allowed in this kind of name.
    #[error("{what} `{value}` has `{shown}` at position {position}, which is not allowed", what = rule.what, shown = character.escape_debug())]
    Character {
        /// The violated rule.
        rule: &'static NameRule,
        /// The invalid value.
        value: String,
        /// The character.
        character: char,
        /// Its position.
        position: usize,
        /// A similar valid name, if there is one.
        suggestion: Option<String>,
    },
    /// A separator where a letter or digit is required: at the start or the end, or next to another separator.
    #[error("{what} `{value}` has `{character}` at position {position}, where a letter or digit is required", what = rule.what)]
    Misplaced {
        /// The violated rule.
        rule: &'static NameRule,
        /// The invalid value.
        value: String,
        /// The separator.
        character: char,
        /// Its position.
        position: usize,
        /// A similar valid name, if there is one.
        suggestion: Option<String>,
    },
    /// A port name without a letter, which Kubernetes would treat as a number.
    #[error("{what} `{value}` has no letter", what = rule.what)]
    NoLetter {
        /// The violated rule.
        rule: &'static NameRule,
        /// The invalid value.
        value: String,
    },
}

impl NameError {
    /// Suggests a correction.
    pub fn hint(&self) -> String {
        let rule = self.rule();
        let description = rule.grammar.description();
        match self {
            Self::Character {
                suggestion: Some(suggestion),
                ..
            }
            | Self::Misplaced {
                suggestion: Some(suggestion),
                ..
            } => {
                format!("use for example `{suggestion}`: {description}")
            }
            Self::TooLong { max, .. } => format!("shorten it to {max} bytes: {description}"),
            _ => description.to_owned(),
        }
    }

    /// The violated rule.
    pub fn rule(&self) -> &'static NameRule {
        match self {
            Self::Empty { rule }
            | Self::TooLong { rule, .. }
            | Self::Character { rule, .. }
            | Self::Misplaced { rule, .. }
            | Self::NoLetter { rule, .. } => rule,
        }
    }
}

impl NameRule {
    pub(crate) const fn new(what: &'static str, max_length: usize, grammar: Grammar) -> Self {
        Self {
            what,
            max_length,
            grammar,
        }
    }

    /// The kind of name, for use in a sentence: `namespace`.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The maximum length of a value, in bytes.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The grammar in plain English.
    pub fn description(&self) -> &'static str {
        self.grammar.description()
    }

    /// Checks `value`. Every constructor of a name uses this method.
    pub(crate) fn check(&'static self, value: &str) -> Result<(), NameError> {
        if value.is_empty() && self.grammar != Grammar::LabelValue {
            return Err(NameError::Empty { rule: self });
        }
        if value.len() > self.max_length {
            return Err(self.fault(
                value,
                Fault::TooLong {
                    length: value.len(),
                    max: self.max_length,
                },
            ));
        }
        self.grammar
            .check(value)
            .map_err(|fault| self.fault(value, fault))
    }

    fn fault(&'static self, value: &str, fault: Fault) -> NameError {
        let shown = excerpt(value);
        match fault {
            Fault::TooLong { length, max } => NameError::TooLong {
                rule: self,
                value: shown,
                length,
                max,
            },
            Fault::Character {
                character,
                position,
            } => NameError::Character {
                rule: self,
                value: shown,
                character,
                position,
                suggestion: self.suggest(value),
            },
            Fault::Misplaced {
                character,
                position,
            } => NameError::Misplaced {
                rule: self,
                value: shown,
                character,
                position,
                suggestion: self.suggest(value),
            },
            Fault::NoLetter => NameError::NoLetter {
                rule: self,
                value: shown,
            },
        }
    }

    /// A valid name similar to `value`: in lower case, with each run of other characters replaced by one `-`.
    fn suggest(&self, value: &str) -> Option<String> {
        let keep_case = matches!(
            self.grammar,
            Grammar::LabelKey | Grammar::LabelValue | Grammar::PathSegment | Grammar::Line
        );
        let keep = |c: char| {
            c.is_ascii_alphanumeric()
                || match self.grammar {
                    Grammar::DnsLabel | Grammar::PortName => false,
                    Grammar::DnsSubdomain => c == '.',
                    Grammar::LabelKey => matches!(c, '.' | '_' | '/'),
                    Grammar::LabelValue | Grammar::PathComponent => matches!(c, '.' | '_'),
                    Grammar::PathSegment => is_segment(c),
                    Grammar::Line => !c.is_control(),
                }
        };
        let mut suggestion = String::with_capacity(value.len());
        for c in value.chars() {
            if keep(c) {
                suggestion.push(if keep_case { c } else { c.to_ascii_lowercase() });
            } else if !suggestion.is_empty() && !suggestion.ends_with('-') {
                suggestion.push('-');
            }
        }
        let suggestion = suggestion.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let legal = !suggestion.is_empty()
            && suggestion.len() <= self.max_length
            && self.grammar.check(suggestion).is_ok();
        legal.then(|| suggestion.to_owned())
    }
}

/// The grammars of names. Lengths are checked separately, except for parts with their own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grammar {
    /// An RFC 1123 label as defined by Kubernetes: `[a-z0-9]([-a-z0-9]*[a-z0-9])?`.
    DnsLabel,
    /// Labels joined by `.`.
    DnsSubdomain,
    /// `IANA_SVC_NAME` of RFC 6335, lower case.
    PortName,
    /// `[<DnsSubdomain>/]<qualified name>`.
    LabelKey,
    /// Empty, or a qualified name.
    LabelValue,
    /// One path component of the distribution reference grammar: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
    PathComponent,
    /// One segment of a URL path, as Kubernetes reads it: not `.` or `..`, without `/` and `%`.
    PathSegment,
    /// Text of one line.
    Line,
}

/// Where a string violates a grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    TooLong { length: usize, max: usize },
    Character { character: char, position: usize },
    Misplaced { character: char, position: usize },
    NoLetter,
}

impl Grammar {
    fn description(self) -> &'static str {
        match self {
            Self::DnsLabel => {
                "lower-case letters, digits and `-`, starting and ending with a letter or digit"
            }
            Self::DnsSubdomain => {
                "lower-case letters, digits, `-` and `.`, each part between dots starting and ending with a \
                 letter or digit"
            }
            Self::PortName => {
                "lower-case letters, digits and single `-` between them, at least one letter, at most 15 characters"
            }
            Self::LabelKey => {
                "a name of at most 63 letters, digits, `-`, `_` and `.`, optionally with a DNS prefix and `/` in \
                 front"
            }
            Self::LabelValue => {
                "letters, digits, `-`, `_` and `.`, starting and ending with a letter or digit, or nothing"
            }
            Self::PathSegment => {
                "any characters but `/`, `%` and control characters, and not `.` or `..`"
            }
            Self::Line => "any characters but control characters",
            Self::PathComponent => {
                "lower-case letters and digits, joined by `.`, `_`, `__` or any number of `-`"
            }
        }
    }

    pub(crate) fn check(self, value: &str) -> Result<(), Fault> {
        match self {
            Self::DnsLabel => words(value, 0, is_lower, |c| c == '-'),
            Self::DnsSubdomain => dns_subdomain(value, 0),
            Self::PortName => port_name(value),
            Self::LabelKey => label_key(value),
            Self::LabelValue => qualified_name(value, 0),
            Self::PathComponent => path_component(value, 0),
            Self::PathSegment => path_segment(value),
            Self::Line => words(value, 0, |c| !c.is_control(), |_| false),
        }
    }
}

fn is_segment(c: char) -> bool {
    !matches!(c, '/' | '%') && !c.is_control()
}

fn path_segment(value: &str) -> Result<(), Fault> {
    if matches!(value, "." | "..") {
        return Err(Fault::Misplaced {
            character: '.',
            position: 1,
        });
    }
    words(value, 0, is_segment, |_| false)
}

fn is_lower(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// Words with separators between them; the string may be empty. `offset` is the number of characters in front of it.
fn words(
    value: &str,
    offset: usize,
    is_word: impl Fn(char) -> bool,
    is_joiner: impl Fn(char) -> bool,
) -> Result<(), Fault> {
    let last = value.chars().count();
    let mut misplaced = None;
    for (index, character) in value.chars().enumerate() {
        let position = offset + index + 1;
        if is_joiner(character) {
            if index == 0 || index + 1 == last {
                misplaced.get_or_insert(Fault::Misplaced {
                    character,
                    position,
                });
            }
        } else if !is_word(character) {
            return Err(Fault::Character {
                character,
                position,
            });
        }
    }
    misplaced.map_or(Ok(()), Err)
}

fn dns_subdomain(value: &str, offset: usize) -> Result<(), Fault> {
    let mut start = offset;
    for label in value.split('.') {
        if label.is_empty() {
            let position = start.max(offset + 1);
            return Err(Fault::Misplaced {
                character: '.',
                position,
            });
        }
        words(label, start, is_lower, |c| c == '-')?;
        start += label.chars().count() + 1;
    }
    Ok(())
}

fn port_name(value: &str) -> Result<(), Fault> {
    words(value, 0, is_lower, |c| c == '-')?;
    if let Some(index) = value.find("--") {
        // only ASCII at this point, so bytes are characters
        return Err(Fault::Misplaced {
            character: '-',
            position: index + 2,
        });
    }
    if value.contains(|c: char| c.is_ascii_lowercase()) {
        Ok(())
    } else {
        Err(Fault::NoLetter)
    }
}

fn qualified_name(value: &str, offset: usize) -> Result<(), Fault> {
    words(
        value,
        offset,
        |c| c.is_ascii_alphanumeric(),
        |c| matches!(c, '-' | '_' | '.'),
    )
}

/// The limits for the parts of a label key, from `IsQualifiedName` in `k8s.io/apimachinery/pkg/util/validation`.
fn label_key(value: &str) -> Result<(), Fault> {
    const MAX_PREFIX: usize = 253;
    const MAX_NAME: usize = 63;
    let (prefix, name) = match value.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, value),
    };
    let mut offset = 0;
    if let Some(prefix) = prefix {
        offset = prefix.chars().count() + 1;
        if prefix.is_empty() || name.is_empty() {
            return Err(Fault::Misplaced {
                character: '/',
                position: offset,
            });
        }
        within(prefix, MAX_PREFIX)?;
        dns_subdomain(prefix, 0)?;
    }
    within(name, MAX_NAME)?;
    qualified_name(name, offset)
}

fn within(part: &str, max: usize) -> Result<(), Fault> {
    let length = part.len();
    if length > max {
        return Err(Fault::TooLong { length, max });
    }
    Ok(())
}

/// One component of a repository path. `offset` is the number of characters in front of it.
pub(crate) fn path_component(value: &str, offset: usize) -> Result<(), Fault> {
    words(value, offset, is_lower, |c| matches!(c, '-' | '_' | '.'))?;
    // only ASCII at this point, so bytes are characters
    let bytes = value.as_bytes();
    for (index, pair) in bytes.windows(2).enumerate() {
        let [left, right] = [char::from(pair[0]), char::from(pair[1])];
        if is_lower(left) || is_lower(right) {
            continue;
        }
        let third_underscore = index > 0 && bytes[index - 1] == b'_';
        let joined = match (left, right) {
            ('-', '-') => true,
            ('_', '_') => !third_underscore,
            _ => false,
        };
        if !joined {
            return Err(Fault::Misplaced {
                character: right,
                position: offset + index + 2,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
