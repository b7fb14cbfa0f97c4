//! harmony-fleet-e2e
