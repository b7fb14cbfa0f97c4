//! Composite Scores: run in order as a unit, or split into parts that are handled individually.

use async_trait::async_trait;

use crate::{Interpret, InterpretError, Inventory, Outcome, Score, Topology};

/// An Interpret that runs the parts in order and stops at the first failure.
pub fn in_order<T: Topology + 'static>(parts: Vec<Box<dyn Score<T>>>) -> Box<dyn Interpret<T>> {
    Box::new(InOrder(parts))
}

struct InOrder<T: Topology>(Vec<Box<dyn Score<T>>>);

#[async_trait]
impl<T: Topology> Interpret<T> for InOrder<T> {
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let mut outcome = Outcome::default();
        for part in &self.0 {
            outcome.absorb(part.interpret(inventory, topology).await?);
        }
        Ok(outcome)
    }
}

/// A Score that is not a composite, with the names of the composites that contain it.
#[derive(Debug)]
pub struct Part<T: Topology> {
    /// The Score.
    pub score: Box<dyn Score<T>>,
    /// The names of the composites that contain it, outermost first; empty if there are none.
    pub within: Vec<String>,
}

/// Splits all composites into their parts, recursively. The parts are in the order in which they run.
pub fn flatten<T: Topology>(scores: Vec<Box<dyn Score<T>>>) -> Vec<Part<T>> {
    let mut flat = Vec::new();
    for score in scores {
        take_apart(score, &[], &mut flat);
    }
    flat
}

fn take_apart<T: Topology>(score: Box<dyn Score<T>>, within: &[String], flat: &mut Vec<Part<T>>) {
    let parts = score.parts();
    if parts.is_empty() {
        flat.push(Part {
            score,
            within: within.to_vec(),
        });
        return;
    }
    let mut inner = within.to_vec();
    inner.push(score.name());
    for part in parts {
        take_apart(part, &inner, flat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Context;

    #[derive(Debug)]
    struct Here(Context);

    #[async_trait]
    impl Topology for Here {
        fn name(&self) -> &'static str {
            "here"
        }
        fn context(&self) -> &Context {
            &self.0
        }
        fn into_planning(self) -> Self {
            Self(self.0.planning())
        }
        async fn ensure_ready(&self) -> Result<Outcome, InterpretError> {
            Ok(Outcome::unchanged())
        }
    }

    #[derive(Debug, Clone)]
    struct Named(&'static str, Vec<Named>);

    impl Score<Here> for Named {
        fn name(&self) -> String {
            self.0.into()
        }
        fn create_interpret(&self) -> Box<dyn Interpret<Here>> {
            if self.1.is_empty() {
                Box::new(self.clone())
            } else {
                in_order(self.parts())
            }
        }
        fn parts(&self) -> Vec<Box<dyn Score<Here>>> {
            let parts = self.1.iter().cloned();
            parts
                .map(|part| Box::new(part) as Box<dyn Score<Here>>)
                .collect()
        }
    }

    #[async_trait]
    impl Interpret<Here> for Named {
        async fn execute(&self, _: &Inventory, _: &Here) -> Result<Outcome, InterpretError> {
            Ok(Outcome::unchanged().with_note(self.0))
        }
    }

    fn platform() -> Named {
        let server = Named(
            "server",
            vec![Named("nats", vec![]), Named("operator", vec![])],
        );
        Named("platform", vec![server, Named("agent", vec![])])
    }

    #[test]
    fn every_part_is_seen_with_the_composites_around_it() {
        let flat = flatten(vec![Box::new(platform()), Box::new(Named("tools", vec![]))]);
        let seen: Vec<String> = flat
            .iter()
            .map(|part| format!("{}/{}", part.within.join("/"), part.score.name()))
            .collect();
        assert_eq!(
            seen,
            [
                "platform/server/nats",
                "platform/server/operator",
                "platform/agent",
                "/tools"
            ]
        );
    }

    #[tokio::test]
    async fn a_composite_runs_its_parts_in_order() {
        let here = Here(Context::new());
        let outcome = platform().interpret(&Inventory::autoload(), &here).await;
        assert_eq!(outcome.unwrap().notes, ["nats", "operator", "agent"]);
    }
}
