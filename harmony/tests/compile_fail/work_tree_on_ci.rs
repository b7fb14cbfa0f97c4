//! A CI job's registry holds releases: a work tree is neither published nor deployed there.

use std::sync::Arc;

use harmony::prelude::*;
use harmony::release::PublishWorkTreeScore;

fn publish(app: &Arc<AppSpec>) -> Vec<Box<dyn Score<CiTopology>>> {
    scores![PublishWorkTreeScore::new(WorkTree::new(), vec![Arc::clone(app)])]
}

fn deploy(app: &Arc<AppSpec>, target: DeployTarget) -> Vec<Box<dyn Score<CiTopology>>> {
    scores![DeployScore::new(app, WorkTree::new(), target)]
}

fn main() {}
