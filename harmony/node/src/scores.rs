//! Starting and stopping the node as Scores, so that progress and errors look as usual.

use harmony::local::node::{Keep, LocalNode};
use harmony::{
    Context, Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait,
};

/// The machine that runs the node.
pub(crate) struct NodeTopology {
    context: Context,
    node: LocalNode,
}

impl NodeTopology {
    pub(crate) fn new(node: LocalNode) -> Self {
        Self {
            context: Context::new(),
            node,
        }
    }
}

#[async_trait]
impl Topology for NodeTopology {
    fn name(&self) -> &'static str {
        "this machine"
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn into_planning(self) -> Self {
        Self {
            context: self.context.planning(),
            ..self
        }
    }

    async fn ensure_ready(&self) -> Result<Outcome, InterpretError> {
        Ok(Outcome::unchanged())
    }
}

#[derive(Debug, Clone)]
pub(crate) struct NodeUpScore;

impl Score<NodeTopology> for NodeUpScore {
    fn name(&self) -> String {
        "node-up".into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<NodeTopology>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Interpret<NodeTopology> for NodeUpScore {
    async fn execute(
        &self,
        _: &Inventory,
        topology: &NodeTopology,
    ) -> Result<Outcome, InterpretError> {
        let outcome = topology
            .node
            .up(topology.context())
            .await
            .map_err(|error| InterpretError::new("node-up", error))?;
        Ok(outcome.with_note(format!(
            "export KUBECONFIG={}",
            topology.node.kubeconfig().display()
        )))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct NodeDownScore {
    pub(crate) keep: Keep,
}

impl Score<NodeTopology> for NodeDownScore {
    fn name(&self) -> String {
        "node-down".into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<NodeTopology>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Interpret<NodeTopology> for NodeDownScore {
    async fn execute(
        &self,
        _: &Inventory,
        topology: &NodeTopology,
    ) -> Result<Outcome, InterpretError> {
        let down = topology.node.down(topology.context(), self.keep).await;
        down.map_err(|error| InterpretError::new("node-down", error))
    }
}
