//! harmony_containers
