//! End-to-end tests on a real node: release, deploy, fleet.
//!
//! [`stack`] composes the production Scores and creates no objects itself. Images are built from one [`checkout`]. Each
//! behaviour has its own test binary:
//!
//! | test | what it checks |
//! | --- | --- |
//! | `ping` | a device answers through NATS, the operator lists it, and it has a `Device` resource |
//! | `release` | from a tag to a registry with TLS and a password, deployed from there and verified |
//! | `upgrade` | the operator of a running stack is moved to Argo CD and back, and upgraded from 0.1.0 to 0.2.0 |
//! | `installed` | an installed deploy command needs no sources, and deploys exactly what was released |
//! | `pipeline` | a pipeline from a tag to production; a failure in staging stops it |
//! | `monitoring` | a released app is killed, the alert arrives at the receiver, and so does its resolution |
//! | `prometheus_operator` | with prometheus-operator, an app is killed and the alert arrives; what the operator rejects is told |
//! | `first_app` | the commands of the guide to a first app work as written |
//! | `faults` | a broken app has the same error by all deliveries |
//! | `interrupted` | deliveries that are killed are continued by the next run |
//! | `tag_to_production` | one pipeline from a tag to a monitored production deployment by Argo CD |
//! | `controllers` | an Argo CD that is missing, slow or down is named |
//! | `argocd`, `flux` | a release goes through Argo CD or Flux, and the delivery can be moved there and back |
//! | `flux_kustomize` | the same by Flux's kustomize-controller, and from one of Flux's controllers to the other |
//! | `plan` | a plan writes nothing, lists no changes after a deploy, and lists an edit |
//!
//! The tests use the machine's local node. They start it if necessary, and keep it running.

pub mod alert_server;
pub mod checkout;
pub mod flux_cases;
pub mod gitops;
pub mod handover;
pub mod kill;
pub mod monitored;
pub mod page;
pub mod peer_app;
pub mod released;
pub mod stack;
