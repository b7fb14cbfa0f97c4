//! Many simulated devices beside a real nats-server and the real operator, in one process.
//!
//! The agents are the real ones; only their containers and the disk with the memory of the workloads are simulated. It
//! must not contain decisions that agents or the operator make.
//!
//! Start with [`bench::run()`], whose body is the list of what is measured. [`simulation`] starts and stops everything:
//! [`device`] an agent, [`disk`] tells when an agent has stored what, [`relay`] counts the bytes of some devices. What is
//! measured: [`delivery`] (from the operator to devices and back), [`idle`], [`outage`] (of NATS), [`loss`] (of buckets).
//! [`figure`] compares results with goals.

pub mod bench;
pub mod delivery;
pub mod device;
pub mod disk;
pub mod figure;
pub mod idle;
pub mod loss;
pub mod outage;
pub mod relay;
pub mod simulation;
