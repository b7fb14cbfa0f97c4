//! A simulated device: containers and files without podman and without a disk. The agent itself is the real one.

mod disk;
mod podman;

pub use disk::{Fault, SimulatedDisk};
pub use podman::{Behaviour, SimulatedPodman};
