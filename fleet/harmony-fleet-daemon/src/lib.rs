//! Code that the agent and the operator share.
//!
//! Settings, signals and logs of the long-running programs of the fleet. This crate must not know what they do.
//!
//! | module | contents |
//! | --- | --- |
//! | `logs` | the log on standard error |
//! | `nats_args` | the connection to NATS, from the command line and the environment |
//! | `signals` | SIGTERM and SIGINT as a cancellation token |

mod logs;
mod nats_args;
mod signals;

pub use harmony_types::printable;
pub use logs::{LogFormat, exit_code, init_logs};
pub use nats_args::NatsArgs;
pub use signals::{SignalError, cancelled_by_signal};
