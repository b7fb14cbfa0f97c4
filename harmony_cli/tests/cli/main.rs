//! The command lines as they are used: real processes, their streams and their exit codes.

mod demo;
mod harmony;
mod process;
