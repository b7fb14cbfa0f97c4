//! harmony_registry
