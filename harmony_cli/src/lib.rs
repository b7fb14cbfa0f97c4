//! harmony_cli
