//! A value in a store of the fleet.

use crate::{Cause, Revision};

/// A stored value, or why it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredValue<T> {
    /// What the next write has to expect.
    pub revision: Revision,
    /// The value.
    pub value: Result<T, Unreadable>,
}

/// The reason why a stored value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A newer version of Harmony wrote it, so it must not be replaced.
    #[error("a newer version of Harmony wrote it: {problem}")]
    Newer {
        /// What is not understood.
        problem: String,
    },
    /// It is not valid.
    #[error("it is damaged: {problem}")]
    Damaged {
        /// What is wrong.
        problem: String,
    },
}

/// The reason why an operation of a store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else changed the value. Read it and decide again.
    #[error("`{key}` was changed by somebody else at the same time")]
    Conflict {
        /// The key of the value.
        key: String,
    },
    /// The store does not exist: the operator creates it when it starts.
    #[error("the bucket `{bucket}` does not exist, or NATS does not answer for it")]
    Missing {
        /// The name of the store.
        bucket: String,
    },
    /// The store does not answer, or refused the operation.
    #[error("cannot {action} in the bucket `{bucket}`")]
    Unavailable {
        /// The operation, for example `list the keys`.
        action: &'static str,
        /// The name of the store.
        bucket: String,
        /// The error of the client or of the server.
        #[source]
        source: Cause,
    },
}
