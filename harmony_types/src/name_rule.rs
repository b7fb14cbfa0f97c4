//! The rule behind a name type, and the error that says where a value breaks it.

use crate::excerpt::excerpt;

/// What a kind of name may look like; the constant `RULE` of a name type.
#[derive(Debug, PartialEq, Eq)]
pub struct NameRule {
    what: &'static str,
    max_length: usize,
    grammar: Grammar,
}

/// Why a value is not a legal name.
///
/// `value` is the refused text as it may be shown: escaped, and shortened when long.
/// `position` counts characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The value is empty.
    #[error("{what} is empty", what = rule.what)]
    Empty {
        /// The rule that was broken.
        rule: &'static NameRule,
    },
    /// The value, or the part of it that has a limit of its own, is too long.
    #[error("{what} `{value}` is {length} bytes long, {max} is the limit", what = rule.what)]
    TooLong {
        /// The rule that was broken.
        rule: &'static NameRule,
        /// The refused value.
        value: String,
        /// Bytes of the value or of its part.
        length: usize,
        /// Bytes allowed for it.
        max: usize,
    },
    /// A character that this kind of name never has.
    #[error("{what} `{value}` has `{shown}` at position {position}, which is not allowed", what = rule.what, shown = character.escape_debug())]
    Character {
        /// The rule that was broken.
        rule: &'static NameRule,
        /// The refused value.
        value: String,
        /// The character.
        character: char,
        /// Where it stands.
        position: usize,
        /// A legal name near the refused one, where there is one.
        suggestion: Option<String>,
    },
    /// A separator where a letter or digit is needed: at an end, or beside another separator.
    #[error("{what} `{value}` has `{character}` at position {position}, where a letter or digit is needed", what = rule.what)]
    Misplaced {
        /// The rule that was broken.
        rule: &'static NameRule,
        /// The refused value.
        value: String,
        /// The separator.
        character: char,
        /// Where it stands.
        position: usize,
        /// A legal name near the refused one, where there is one.
        suggestion: Option<String>,
    },
    /// A port name without any letter, which Kubernetes would take for a number.
    #[error("{what} `{value}` has no letter", what = rule.what)]
    NoLetter {
        /// The rule that was broken.
        rule: &'static NameRule,
        /// The refused value.
        value: String,
    },
}

impl NameError {
    /// What to write instead.
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
                format!("write for example `{suggestion}`: {description}")
            }
            Self::TooLong { max, .. } => format!("shorten it to {max} bytes: {description}"),
            _ => description.to_owned(),
        }
    }

    /// The rule that was broken.
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

    /// What is named, as it reads in a sentence: `namespace`.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The longest legal value, in bytes.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The grammar in words.
    pub fn description(&self) -> &'static str {
        self.grammar.description()
    }

    /// Checks `value`; every way to make a name goes through here.
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

    /// A legal name near `value`: lower case, every run of other characters one `-`.
    fn suggest(&self, value: &str) -> Option<String> {
        let keep_case = matches!(
            self.grammar,
            Grammar::LabelKey | Grammar::LabelValue | Grammar::PathSegment
        );
        let keep = |c: char| {
            c.is_ascii_alphanumeric()
                || match self.grammar {
                    Grammar::DnsLabel | Grammar::PortName => false,
                    Grammar::DnsSubdomain => c == '.',
                    Grammar::LabelKey => matches!(c, '.' | '_' | '/'),
                    Grammar::LabelValue | Grammar::PathComponent => matches!(c, '.' | '_'),
                    Grammar::PathSegment => is_segment(c),
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

/// The grammars of names. Lengths are checked apart, save where a part has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grammar {
    /// RFC 1123 label as Kubernetes reads it: `[a-z0-9]([-a-z0-9]*[a-z0-9])?`.
    DnsLabel,
    /// Labels joined by `.`.
    DnsSubdomain,
    /// `IANA_SVC_NAME` of RFC 6335, lower case.
    PortName,
    /// `[<DnsSubdomain>/]<qualified name>`.
    LabelKey,
    /// Empty or a qualified name.
    LabelValue,
    /// One path component of the distribution reference grammar: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
    PathComponent,
    /// One segment of a URL path, as Kubernetes reads it: not `.` or `..`, without `/` and `%`.
    PathSegment,
}

/// Where a text breaks a grammar.
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
                "lower-case letters, digits and `-`, beginning and ending with a letter or digit"
            }
            Self::DnsSubdomain => {
                "lower-case letters, digits, `-` and `.`, each part between dots beginning and ending with a letter or digit"
            }
            Self::PortName => {
                "lower-case letters, digits and single `-` between them, at least one letter, at most 15 characters"
            }
            Self::LabelKey => {
                "a name of letters, digits, `-`, `_` and `.` (63 at most), with a DNS prefix and `/` before it where it is not your own"
            }
            Self::LabelValue => {
                "letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit, or nothing"
            }
            Self::PathSegment => {
                "any characters but `/`, `%` and control characters, and not `.` or `..`"
            }
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

/// Word characters with joiners between them; the text may be empty. `offset` characters stand before it.
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
        // all ASCII by now: bytes are characters
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

/// Limits of the parts of a label key: `k8s.io/apimachinery/pkg/util/validation`, `IsQualifiedName`.
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

/// One component of a repository path; `offset` characters stand before it.
pub(crate) fn path_component(value: &str, offset: usize) -> Result<(), Fault> {
    words(value, offset, is_lower, |c| matches!(c, '-' | '_' | '.'))?;
    // all ASCII by now: bytes are characters
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
