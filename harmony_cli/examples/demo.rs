//! A command line over a topology that touches nothing but a directory: files are its objects. The tests of this crate
//! drive it, and it is a place to look at progress, plans and errors without a cluster:
//!
//! ```sh
//! cargo run -p harmony_cli --example demo -- plan
//! DEMO_DIR=/tmp/demo cargo run -p harmony_cli --example demo -- --filter 'greet*'
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use harmony_cli::{RunArgs, RunError, Runner, UnknownTopology};
use harmony_core::codes;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_core::event::{Event, Unit};
use harmony_core::outcome::{Action, Change, FieldChange, FieldValue, Subject};
use harmony_core::{
    Context, Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait, scores,
};

/// Keep a few files up to date (a demonstration)
#[derive(Parser)]
#[command(name = "demo", after_help = harmony_cli::AFTER_HELP)]
struct Args {
    #[command(flatten)]
    run: RunArgs,

    /// The text of the greeting
    #[arg(long, global = true, default_value = "hello")]
    greeting: String,

    /// Add Scores that do not succeed: fail, refuse, hang, stuck, ask
    #[arg(long, global = true, value_name = "HOW")]
    also: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<ExitCode, RunError> {
    let Args {
        run,
        greeting,
        also,
    } = match harmony_cli::parse() {
        Ok(args) => args,
        Err(exit) => return Ok(exit),
    };
    let directory = match run.topology() {
        None | Some("directory") => std::env::var_os("DEMO_DIR")
            .map_or_else(|| std::env::temp_dir().join("demo"), PathBuf::from),
        Some(other) => return Ok(run.fail(&UnknownTopology::new(other, &["directory"]))),
    };
    let topology = Directory {
        context: Context::new(),
        path: directory,
    };
    let mut list = scores![
        FileScore {
            name: "greeting",
            content: greeting,
            slow: false
        },
        FileScore {
            name: "farewell",
            content: "bye".into(),
            slow: true
        },
    ];
    list.extend(
        also.into_iter()
            .map(|how| Box::new(BadScore { how }) as Box<dyn Score<_>>),
    );
    Runner::new(Inventory::autoload(), topology, list)
        .with_pick()
        .run(Some(run))
        .await
}

/// A directory as a topology.
struct Directory {
    context: Context,
    path: PathBuf,
}

#[async_trait]
impl Topology for Directory {
    fn name(&self) -> &'static str {
        "directory"
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
        let subject = Subject::File(self.path.clone());
        if self.path.is_dir() {
            return Ok(Change::new(Action::Unchanged, subject).into());
        }
        if !self.context.is_planning() {
            std::fs::create_dir_all(&self.path).map_err(|source| {
                InterpretError::new(self.name(), Io(self.path.clone(), source))
            })?;
        }
        Ok(Change::new(Action::Create, subject).into())
    }
}

/// A file with a content.
#[derive(Debug, Clone)]
struct FileScore {
    name: &'static str,
    content: String,
    slow: bool,
}

impl Score<Directory> for FileScore {
    fn name(&self) -> String {
        self.name.into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<Directory>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Interpret<Directory> for FileScore {
    async fn execute(
        &self,
        _: &Inventory,
        topology: &Directory,
    ) -> Result<Outcome, InterpretError> {
        let path = topology.path.join(self.name);
        let step = topology.context.step(format!("write {}", self.name));
        if self.slow && !topology.context.is_planning() {
            slowly(&topology.context).await;
        }
        let before = std::fs::read_to_string(&path).ok();
        let subject = Subject::File(path.clone());
        let known = |text: &str| FieldValue::Known(text.into());
        let change = match &before {
            Some(before) if *before == self.content => Change::new(Action::Unchanged, subject),
            Some(before) => Change::new(Action::Update, subject).with_fields(vec![FieldChange {
                path: "content".into(),
                before: known(before),
                after: known(&self.content),
            }]),
            None => Change::new(Action::Create, subject),
        };
        if change.action == Action::Unchanged {
            step.skipped("it says so already");
        } else {
            write(&topology.context, &path, &self.content)
                .map_err(|error| InterpretError::new(self.name, error))?;
            step.done("");
        }
        let mut outcome = Outcome::from(change).with_note(format!("try: cat {}", path.display()));
        outcome.checks.push(format!("{} can be read", self.name));
        Ok(outcome)
    }
}

fn write(context: &Context, path: &Path, text: &str) -> Result<(), Io> {
    if context.is_planning() {
        return Ok(());
    }
    std::fs::write(path, text).map_err(|source| Io(path.to_owned(), source))
}

/// As if it took long: as long as `DEMO_SECONDS` says.
async fn slowly(context: &Context) {
    let seconds: u64 = std::env::var("DEMO_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    if seconds == 0 {
        return;
    }
    let compile = context.step("build image demo");
    let send = context.step("push image demo");
    let total = seconds * 10;
    for tick in 0..total {
        compile.message(format!("compiling crate-{tick} v1.0.{tick}"));
        send.position(tick * 1_000_000, total * 1_000_000, Unit::Bytes);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    context.emit(Event::Warning {
        message: "the disk is nearly full (96 %)".into(),
    });
    compile.done("sha256:4f53cda18c2b");
    send.done("12.4 MiB");
}

/// A Score that ends badly.
#[derive(Debug, Clone)]
struct BadScore {
    how: String,
}

impl Score<Directory> for BadScore {
    fn name(&self) -> String {
        self.how.clone()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<Directory>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Interpret<Directory> for BadScore {
    async fn execute(
        &self,
        _: &Inventory,
        topology: &Directory,
    ) -> Result<Outcome, InterpretError> {
        let context = topology.context();
        match self.how.as_str() {
            "ask" => {
                let old = topology.path.join("old");
                let subject = Subject::File(old.clone());
                let approved = context
                    .approve_deletions(std::slice::from_ref(&subject))
                    .await;
                approved.map_err(|error| InterpretError::new("ask", error))?;
                if !context.is_planning() {
                    // gone already is as good
                    let _ = std::fs::remove_file(old);
                }
                Ok(Change::new(Action::Delete, subject).into())
            }
            "hang" => {
                let step = context.step("wait for what never comes");
                let forever = context.unless_cancelled(std::future::pending::<()>()).await;
                drop(step);
                forever.map_err(|cancelled| InterpretError::new("hang", cancelled))?;
                Ok(Outcome::unchanged())
            }
            "stuck" => {
                let _step = context.step("pay no attention to anybody");
                std::future::pending().await
            }
            "refuse" => Err(InterpretError::new(
                "refuse",
                Crash {
                    kind: FailureKind::Refused,
                },
            )),
            _ => Err(InterpretError::new(
                "fail",
                Crash {
                    kind: FailureKind::Failed,
                },
            )),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", .0.display())]
struct Io(PathBuf, #[source] std::io::Error);

impl Diagnostic for Io {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::IMAGE_NOT_WRITTEN)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("container `operator` of Deployment fleet/operator keeps crashing")]
struct Crash {
    kind: FailureKind,
}

impl Diagnostic for Crash {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::CRASH_LOOP)
    }

    fn kind(&self) -> FailureKind {
        self.kind
    }

    fn place(&self) -> Option<String> {
        Some("Deployment fleet/operator".into())
    }

    fn evidence(&self) -> Vec<String> {
        vec![
            "exit code 3".into(),
            "log: cannot connect to nats://nats:4222".into(),
        ]
    }

    fn hints(&self) -> Vec<String> {
        vec!["fix the problem in the log, then run the same command again".into()]
    }
}
