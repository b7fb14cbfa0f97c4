//! Digests of bytes that pass by.

use harmony_types::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256, Sha512};

/// A digest in the making.
#[derive(Debug, Clone)]
pub(crate) enum Hashing {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hashing {
    /// With the algorithm of the digest that is to be compared with.
    pub(crate) fn like(digest: &Digest) -> Self {
        match digest.algorithm() {
            DigestAlgorithm::Sha256 => Self::Sha256(Sha256::new()),
            DigestAlgorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hash) => Digest::sha256_from_bytes(hash.finalize().into()),
            Self::Sha512(hash) => Digest::sha512_from_bytes(hash.finalize().into()),
        }
    }
}

/// The digest that registries and engines write.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::sha256_from_bytes(Sha256::digest(bytes).into())
}

/// The digest of `bytes` with the algorithm of `other`, to be compared with it.
pub(crate) fn digest_like(other: &Digest, bytes: &[u8]) -> Digest {
    let mut hashing = Hashing::like(other);
    hashing.update(bytes);
    hashing.finish()
}
