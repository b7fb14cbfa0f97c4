//! The whole line on a real node: release, deploy, fleet.
//!
//! [`stack`] composes the production Scores; it builds no object of its own. Images are built from one [`checkout`]. Each behaviour is one test binary:
//!
//! | test | what it proves |
//! | --- | --- |
//! | `ping` | a device answers through NATS, the operator lists it, a `Device` resource shows it |
//! | `release` | tag -> registry with TLS and password -> deployed from there -> verified |
//! | `upgrade` | the operator goes from 0.1.0 to 0.2.0 on a running stack |
//! | `installed` | the installed deploy command needs no sources, and runs exactly what was released |
//! | `pipeline` | one list from a tag to production; a failed staging stops it |
//! | `first_app` | the guide to a first app, followed to the letter |
//! | `plan` | planning writes nothing; after a deploy it finds no change; after an edit it finds that one |
//!
//! The node is the machine's own local node: it is brought up when it does not run, and stays.

pub mod checkout;
pub mod released;
pub mod stack;
