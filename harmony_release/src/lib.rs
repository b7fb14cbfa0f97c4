//! harmony_release
