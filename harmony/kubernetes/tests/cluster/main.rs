//! Apply, readiness and probes against a real cluster: the local node, or the one that `HARMONY_TEST_KUBECONFIG` names.
//!
//! Each test has a namespace of its own (`test-cluster-...`), which it removes.

mod apply;
mod probe;
mod readiness;
mod stage;
