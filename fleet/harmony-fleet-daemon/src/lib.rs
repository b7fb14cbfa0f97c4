//! What the agent and the operator share as programs.
//!
//! Purpose: settings, signals and logs of a long-running program of the fleet. It must not know: what the program does.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `logs` | the log on standard error |
//! | `nats_args` | how to reach NATS, from the command line and the environment |
//! | `signals` | SIGTERM and SIGINT as a cancellation token |

mod logs;
mod nats_args;
mod signals;

pub use harmony_types::printable;
pub use logs::{LogFormat, exit_code, init_logs};
pub use nats_args::NatsArgs;
pub use signals::{SignalError, cancelled_by_signal};
