//! Apply, readiness and probes against a real cluster: the local node, or the one that `HARMONY_TEST_KUBECONFIG` names.
//!
//! Each test has a namespace of its own (`test-cluster-...`), which it removes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::similar_names,
    reason = "a test stops at what it did not expect, in its helpers too"
)]

mod apply;
mod hooks;
mod image;
mod lasting;
mod owners;
mod probe;
mod proxy;
mod readiness;
mod rights;
mod stage;
mod trial;
