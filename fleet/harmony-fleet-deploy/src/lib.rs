//! harmony-fleet-deploy
