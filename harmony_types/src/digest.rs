//! Content digests.

use crate::excerpt::excerpt;
use crate::string_value::string_conversions;

/// The digest of some bytes, `<algorithm>:<lower-case hex>`: the one name of an artefact that cannot be moved.
///
/// Grammar: OCI image specification, descriptor, with its two registered algorithms.
/// This crate computes no digest; who hashed 32 bytes calls [`Digest::sha256_from_bytes`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

/// The hash functions that a [`Digest`] can be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestAlgorithm {
    /// SHA-256, what registries and engines write.
    Sha256,
    /// SHA-512, registered by the OCI specification; registries may lack it.
    Sha512,
}

/// Why a text is not a [`Digest`]; `value` is the refused text as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The text is empty.
    #[error("digest is empty")]
    Empty,
    /// There is no `:` between algorithm and hex digits.
    #[error("digest `{value}` names no algorithm")]
    NoAlgorithm {
        /// The refused text.
        value: String,
        /// The algorithm that has as many hex digits, where one has.
        likely: Option<DigestAlgorithm>,
    },
    /// The algorithm is none of [`DigestAlgorithm`].
    #[error("digest `{value}` is of the unknown algorithm `{algorithm}`")]
    UnknownAlgorithm {
        /// The refused text.
        value: String,
        /// What stands before `:`.
        algorithm: String,
    },
    /// A character that is not a lower-case hex digit.
    #[error("digest `{value}` has `{shown}` at position {position}, which is not a lower-case hex digit", shown = character.escape_debug())]
    Character {
        /// The refused text.
        value: String,
        /// The character.
        character: char,
        /// Where it stands in the whole text, in characters from 1.
        position: usize,
    },
    /// Too few or too many hex digits.
    #[error("digest `{value}` has {length} hex digits, {algorithm} has {expected}", expected = algorithm.hex_length())]
    Length {
        /// The refused text.
        value: String,
        /// The algorithm it names.
        algorithm: DigestAlgorithm,
        /// The hex digits it has.
        length: usize,
    },
}

impl DigestError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::NoAlgorithm {
                likely: Some(algorithm),
                ..
            } => {
                format!("put `{algorithm}:` before it")
            }
            Self::Character { character, .. } if character.is_ascii_hexdigit() => {
                "write the hex digits in lower case".to_owned()
            }
            Self::Length {
                algorithm, length, ..
            } if *length < algorithm.hex_length() => {
                "it looks cut off: copy the whole digest, short forms are for reading only"
                    .to_owned()
            }
            _ => "write `sha256:` and 64 lower-case hex digits".to_owned(),
        }
    }
}

impl Digest {
    /// The longest digest, in bytes: `sha512:` and its hex digits.
    pub const MAX_LENGTH: usize = "sha512:".len() + DigestAlgorithm::Sha512.hex_length();

    /// How many hex digits [`Digest::short`] shows.
    pub const SHORT_LENGTH: usize = 12;

    /// The digest whose SHA-256 hash is `hash`.
    pub fn sha256_from_bytes(hash: [u8; 32]) -> Self {
        Self::from_hash(DigestAlgorithm::Sha256, &hash)
    }

    /// The digest whose SHA-512 hash is `hash`.
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

    /// Reads `<algorithm>:<lower-case hex>`.
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

    /// The whole digest, `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash function.
    pub fn algorithm(&self) -> DigestAlgorithm {
        // the algorithm of a value is known by its length alone
        if self.hex().len() == DigestAlgorithm::Sha256.hex_length() {
            DigestAlgorithm::Sha256
        } else {
            DigestAlgorithm::Sha512
        }
    }

    /// The hex digits alone.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(_, hex)| hex)
    }

    /// The first [`Digest::SHORT_LENGTH`] hex digits, for people to read; not an identifier.
    pub fn short(&self) -> &str {
        let hex = self.hex();
        hex.get(..Self::SHORT_LENGTH).unwrap_or(hex)
    }
}

string_conversions!(Digest, DigestError, as_str);

impl DigestAlgorithm {
    /// Every algorithm, the usual one first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The name before `:`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hex digits a digest of this algorithm has.
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
