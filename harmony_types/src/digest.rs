//! Content digests.

use crate::excerpt::excerpt;
use crate::string_value::string_conversions;

/// The digest of some content, `<algorithm>:<lower-case hex>`: the only name of an artifact that always refers to the
/// same content.
///
/// Grammar: the descriptor of the OCI image specification with its two registered algorithms. This crate does not
/// compute digests; code that has computed a hash calls [`Digest::sha256_from_bytes`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

/// The hash algorithms of a [`Digest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestAlgorithm {
    /// SHA-256, the algorithm that registries and container engines use.
    Sha256,
    /// SHA-512, registered by the OCI specification but not supported by all registries.
    Sha512,
}

/// The reason why a string is not a valid [`Digest`]. `value` is the string, shortened and escaped for display.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The string is empty.
    #[error("digest is empty")]
    Empty,
    /// There is no `:` between the algorithm and the hex digits.
    #[error("digest `{value}` has no algorithm")]
    NoAlgorithm {
        /// The invalid string.
        value: String,
        /// The algorithm with this number of hex digits, if there is one.
        likely: Option<DigestAlgorithm>,
    },
    /// The algorithm is not supported by [`DigestAlgorithm`].
    #[error("digest `{value}` uses the unknown algorithm `{algorithm}`")]
    UnknownAlgorithm {
        /// The invalid string.
        value: String,
        /// The text before `:`.
        algorithm: String,
    },
    /// A character that is not a lower-case hex digit.
    #[error("digest `{value}` has `{shown}` at position {position}, which is not a lower-case hex digit", shown = character.escape_debug())]
    Character {
        /// The invalid string.
        value: String,
        /// The character.
        character: char,
        /// Its position in the whole string, in characters from 1.
        position: usize,
    },
    /// The number of hex digits is wrong.
    #[error("digest `{value}` has {length} hex digits, but {algorithm} needs {expected}", expected = algorithm.hex_length())]
    Length {
        /// The invalid string.
        value: String,
        /// The algorithm in the string.
        algorithm: DigestAlgorithm,
        /// The number of hex digits in the string.
        length: usize,
    },
}

impl DigestError {
    /// Suggests a correction.
    pub fn hint(&self) -> String {
        match self {
            Self::NoAlgorithm {
                likely: Some(algorithm),
                ..
            } => {
                format!("add `{algorithm}:` in front")
            }
            Self::Character { character, .. } if character.is_ascii_hexdigit() => {
                "write the hex digits in lower case".to_owned()
            }
            Self::Length {
                algorithm, length, ..
            } if *length < algorithm.hex_length() => {
                "the digest seems to be cut off: copy the complete digest".to_owned()
            }
            _ => "use `sha256:` followed by 64 lower-case hex digits".to_owned(),
        }
    }
}

impl Digest {
    /// The maximum length of a digest, in bytes: `sha512:` and its hex digits.
    pub const MAX_LENGTH: usize = "sha512:".len() + DigestAlgorithm::Sha512.hex_length();

    /// The number of hex digits that [`Digest::short`] returns.
    pub const SHORT_LENGTH: usize = 12;

    /// Creates a digest from a SHA-256 hash.
    pub fn sha256_from_bytes(hash: [u8; 32]) -> Self {
        Self::from_hash(DigestAlgorithm::Sha256, &hash)
    }

    /// Creates a digest from a SHA-512 hash.
    pub fn sha512_from_bytes(hash: [u8; 64]) -> Self {
        Self::from_hash(DigestAlgorithm::Sha512, &hash)
    }

    fn from_hash(algorithm: DigestAlgorithm, hash: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(Self::MAX_LENGTH);
        text.push_str(algorithm.as_str());
        text.push(':');
        for byte in hash {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
        }
        Self(text)
    }

    /// Parses `<algorithm>:<lower-case hex>`.
    pub fn parse(value: impl AsRef<str>) -> Result<Self, DigestError> {
        let text = value.as_ref();
        let value = || excerpt(text);
        if text.is_empty() {
            return Err(DigestError::Empty);
        }
        let Some((name, hex)) = text.split_once(':') else {
            let all_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let likely = DigestAlgorithm::ALL
                .into_iter()
                .find(|algorithm| all_hex && algorithm.hex_length() == text.len());
            return Err(DigestError::NoAlgorithm {
                value: value(),
                likely,
            });
        };
        let Some(algorithm) = DigestAlgorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
        else {
            return Err(DigestError::UnknownAlgorithm {
                value: value(),
                algorithm: excerpt(name),
            });
        };
        let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        if let Some((index, character)) = hex.chars().enumerate().find(|(_, c)| !is_digit(*c)) {
            let position = name.len() + 1 + index + 1;
            return Err(DigestError::Character {
                value: value(),
                character,
                position,
            });
        }
        if hex.len() != algorithm.hex_length() {
            return Err(DigestError::Length {
                value: value(),
                algorithm,
                length: hex.len(),
            });
        }
        Ok(Self(text.to_owned()))
    }

    /// The complete digest, `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash function.
    pub fn algorithm(&self) -> DigestAlgorithm {
        // the algorithm of a value follows from its length
        if self.hex().len() == DigestAlgorithm::Sha256.hex_length() {
            DigestAlgorithm::Sha256
        } else {
            DigestAlgorithm::Sha512
        }
    }

    /// The hex digits without the algorithm.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(_, hex)| hex)
    }

    /// The first [`Digest::SHORT_LENGTH`] hex digits, for display. Not unique.
    pub fn short(&self) -> &str {
        let hex = self.hex();
        hex.get(..Self::SHORT_LENGTH).unwrap_or(hex)
    }
}

string_conversions!(Digest, DigestError, as_str);

impl DigestAlgorithm {
    /// All algorithms, the most common one first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The name in front of `:`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The number of hex digits in a digest of this algorithm.
    pub const fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl std::fmt::Display for DigestAlgorithm {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests;
