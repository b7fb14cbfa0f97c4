//! Makes the device run what it should run.
//!
//! Start with [`plan::next`], the decision: from what is wanted, what is remembered, what runs and what was tried, to the
//! next step of one deployment. [`reconciler`] repeats it for all deployments and carries out the steps, [`action`] is one
//! of them. [`progress`] is what this run of the agent has tried; [`memory`] is what outlives it, in the files of
//! [`store`]. [`report`] describes what runs, and [`delivery`] connects it all to the operator.

pub mod action;
pub mod delivery;
pub mod memory;
pub mod plan;
pub mod progress;
pub mod reconciler;
pub mod report;
pub mod store;
