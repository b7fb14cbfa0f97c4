//! A Score that is written for one topology is no Score for another.

use harmony_core::{Context, Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait};

macro_rules! topology {
    ($name:ident) => {
        struct $name(Context);

        #[async_trait]
        impl Topology for $name {
            fn name(&self) -> &str {
                stringify!($name)
            }

            fn context(&self) -> &Context {
                &self.0
            }

            fn into_planning(self) -> Self {
                self
            }

            async fn ensure_ready(&self) -> Result<Outcome, InterpretError> {
                Ok(Outcome::unchanged())
            }
        }
    };
}

topology!(Rack);
topology!(Laptop);

#[derive(Debug, Clone)]
struct FirewallScore;

impl Score<Rack> for FirewallScore {
    fn name(&self) -> String {
        "firewall".into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<Rack>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Interpret<Rack> for FirewallScore {
    async fn execute(&self, _: &Inventory, _: &Rack) -> Result<Outcome, InterpretError> {
        Ok(Outcome::unchanged())
    }
}

fn scores() -> Vec<Box<dyn Score<Laptop>>> {
    vec![Box::new(FirewallScore)]
}

fn main() {}
