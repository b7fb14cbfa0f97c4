//! Starts the node, from any state that an earlier run left behind: the steps in order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harmony_core::event::{Event, Step};
use harmony_core::outcome::{Action, Change, Subject};
use harmony_core::{Context, Outcome};
use jiff::{SignedDuration, Timestamp};
use kube::Client;

use super::cgroups;
use super::component::Component;
use super::components::{all_leaders, leaders};
use super::config::LocalNodeConfig;
use super::containerd::{self, Containerd};
use super::dns;
use super::error::LocalNodeError;
use super::files;
use super::images::PauseImage;
use super::inputs::Inputs;
use super::launch_plan;
use super::lock::Lock;
use super::machine::Machine;
use super::network::{self, MachineRecord};
use super::packages::{self, HostPrograms};
use super::pki;
use super::preflight;
use super::process::{self, Launch, Marked};
use super::program::{self, Program};
use super::ready::{self, Processes, until, watched};

/// The time that a replaced component gets to exit.
const GRACE: Duration = Duration::from_secs(5);

pub(super) async fn up(ctx: &Context, config: &LocalNodeConfig) -> Result<Outcome, LocalNodeError> {
    preflight::check(config)?;
    let machine = Machine::inspect(&config.state_dir);
    let running = leaders(config)?;
    preflight_against(config, &running, &machine).await?;
    if ctx.is_planning() {
        return Ok(outcome(config, &missing(&running), &running));
    }
    let _lock = Lock::acquire(ctx, &config.layout().lock(), "the local node").await?;
    let (host, program) = tokio::try_join!(
        packages::ensure(ctx),
        program::ensure(ctx, &config.cache_dir)
    )?;
    ctx.check_cancelled()?;

    let step = ctx.step("start the local Kubernetes node");
    let started = Instant::now();
    forget_earlier_boot(config, &machine)?;
    files::create_private_dir(&config.state_dir)?;
    pki::ensure(config, Timestamp::now())?;
    let pause = PauseImage::assemble(&program.pause)?;
    let inputs = Inputs {
        config,
        machine: &machine,
        host: &host,
        program: &program,
        pause_image: &pause.name,
    };
    launch_plan::write_files(inputs)?;
    network::ensure(config, &machine, &host).await?;
    cgroups::ensure(config, &machine)?;

    let launches = launches(inputs)?;
    let (before, twice) = all_leaders(config)?;
    for one in twice {
        let message = format!("{} is running twice: stopping pid {}", one.name, one.pid);
        ctx.emit(Event::Warning { message });
        one.stop(GRACE).await?;
    }
    let running = end_outdated(before, &launches, &step).await?;
    let starting = missing(&running);
    let result = outcome(config, &starting, &running);
    let since = kubelet_started(&running);
    let processes = Processes::default();
    for (component, process) in running {
        processes.add(component, process.into());
    }
    let node = Starting {
        ctx,
        config,
        host: &host,
        program: &program,
        machine: &machine,
        launches: &launches,
        processes: &processes,
    };
    // Boxed like the wait below, because API clients make large futures.
    Box::pin(node.start_all(&starting, since, &pause, &step, started)).await?;
    if result.is_unchanged() {
        step.skipped("already running");
    } else {
        step.done(format!(
            "ready after {:.1} s",
            started.elapsed().as_secs_f64()
        ));
    }
    Ok(result)
}

fn missing(running: &BTreeMap<Component, Marked>) -> Vec<Component> {
    Component::ALL
        .into_iter()
        .filter(|component| !running.contains_key(component))
        .collect()
}

/// Checks of the machine, before packages are installed or anything is built.
async fn preflight_against(
    config: &LocalNodeConfig,
    running: &BTreeMap<Component, Marked>,
    machine: &Machine,
) -> Result<(), LocalNodeError> {
    preflight::check_other_nodes(config)?;
    let starting = missing(running);
    if !starting.is_empty() {
        preflight::check_state_space(config)?;
        program::check_space(&config.cache_dir)?;
    }
    preflight::check_ports(config, &starting).await?;
    let network_is_ours =
        MachineRecord::read(config).is_some_and(|record| record.boot_id == machine.boot_id);
    if network_is_ours {
        Ok(())
    } else {
        preflight::check_routes(config)
    }
}

fn outcome(
    config: &LocalNodeConfig,
    starting: &[Component],
    running: &BTreeMap<Component, Marked>,
) -> Outcome {
    let action = match (starting.is_empty(), running.is_empty()) {
        (true, _) => Action::Unchanged,
        (false, true) => Action::Create,
        (false, false) => Action::Update,
    };
    let change = Change::new(action, Subject::Cluster(config.name.clone()));
    let names: Vec<&str> = starting
        .iter()
        .map(|component| component.as_str())
        .collect();
    Outcome::from(match action {
        Action::Unchanged => change,
        _ => change.with_note(format!("start {}", names.join(", "))),
    })
}

/// The content of `run` (sockets, mounts, container states) is invalid after a reboot.
fn forget_earlier_boot(config: &LocalNodeConfig, machine: &Machine) -> Result<(), LocalNodeError> {
    match MachineRecord::read(config) {
        Some(record) if record.boot_id != machine.boot_id => files::remove(&config.layout().run()),
        _ => Ok(()),
    }
}

fn launches(inputs: Inputs<'_>) -> Result<BTreeMap<Component, Launch>, LocalNodeError> {
    Component::ALL
        .into_iter()
        .map(|component| Ok((component, launch_plan::launch(inputs, component)?)))
        .collect()
}

/// Stops components that run with another program, other arguments or other files than they would be started with now,
/// and a kubelet without containerd, which would report the node as not ready some time after containerd is back.
async fn end_outdated(
    mut running: BTreeMap<Component, Marked>,
    launches: &BTreeMap<Component, Launch>,
    step: &Step,
) -> Result<BTreeMap<Component, Marked>, LocalNodeError> {
    for component in outdated(&running, launches) {
        if let Some(process) = running.remove(&component) {
            step.message(format!("stop {component}, which is out of date"));
            process.stop(GRACE).await?;
        }
    }
    Ok(running)
}

fn outdated(
    running: &BTreeMap<Component, Marked>,
    launches: &BTreeMap<Component, Launch>,
) -> Vec<Component> {
    let is_current = |component: Component| {
        let (process, launch) = (running.get(&component), launches.get(&component));
        process.is_some_and(|process| launch.is_some_and(|launch| launch.spec == process.spec))
    };
    let has_runtime = is_current(Component::Containerd);
    running
        .keys()
        .copied()
        .filter(|component| {
            !is_current(*component) || (*component == Component::Kubelet && !has_runtime)
        })
        .collect()
}

/// The time from which the reports of a running kubelet count. The kernel reports the boot time in whole seconds, so
/// the start time of a process is accurate only to about two seconds.
fn kubelet_started(running: &BTreeMap<Component, Marked>) -> Option<Timestamp> {
    let process = running.get(&Component::Kubelet)?;
    process
        .started
        .checked_sub(SignedDuration::from_secs(2))
        .ok()
}

/// The input for starting, which does not change while components start.
#[derive(Clone, Copy)]
struct Starting<'a> {
    ctx: &'a Context,
    config: &'a LocalNodeConfig,
    host: &'a HostPrograms,
    program: &'a Program,
    machine: &'a Machine,
    launches: &'a BTreeMap<Component, Launch>,
    processes: &'a Processes,
}

impl Starting<'_> {
    /// Starts what is not running, each component as soon as what it needs is ready, and waits until names resolve.
    async fn start_all(
        self,
        starting: &[Component],
        kubelet_started: Option<Timestamp>,
        pause: &PauseImage,
        step: &Step,
        started: Instant,
    ) -> Result<(), LocalNodeError> {
        let Self {
            ctx,
            config,
            processes,
            ..
        } = self;
        let start = |component: Component| -> Result<(), LocalNodeError> {
            if !starting.contains(&component) {
                return Ok(());
            }
            let Some(launch) = self.launches.get(&component) else {
                return Ok(());
            };
            let process = process::launch(launch, &self.host.setsid, &config.state_dir)?;
            self.processes.add(component, process);
            Ok(())
        };
        step.message("etcd and containerd");
        start(Component::Etcd)?;
        start(Component::Containerd)?;
        let (client, ()) =
            tokio::try_join!(self.start_api(&start, step), self.provide_images(pause))?;

        step.message("kubelet and kube-proxy");
        let since = kubelet_started.unwrap_or_else(Timestamp::now);
        start(Component::Kubelet)?;
        start(Component::Proxy)?;
        tokio::try_join!(
            dns::apply(&client, config, self.machine, self.program, &pause.name),
            async {
                let ready = Box::pin(ready::node_is_ready(&client, &config.name, since));
                watched(
                    ctx,
                    config,
                    processes,
                    &Component::ALL,
                    "the node is not Ready",
                    ready,
                )
                .await?;
                step.message(format!(
                    "node Ready after {:.1} s; cluster DNS",
                    started.elapsed().as_secs_f64()
                ));
                Ok(())
            }
        )?;
        let answers = until(|| dns::answers(config));
        watched(
            ctx,
            config,
            processes,
            &Component::ALL,
            "cluster DNS does not answer",
            answers,
        )
        .await
    }

    async fn start_api(
        self,
        start: &impl Fn(Component) -> Result<(), LocalNodeError>,
        step: &Step,
    ) -> Result<Client, LocalNodeError> {
        let Self {
            ctx,
            config,
            processes,
            ..
        } = self;
        let needed = [Component::Etcd];
        let database = until(|| ready::listens(config.etcd_client_address()));
        watched(
            ctx,
            config,
            processes,
            &needed,
            "etcd does not accept connections",
            database,
        )
        .await?;
        step.message("API server");
        start(Component::ApiServer)?;
        let needed = [Component::Etcd, Component::ApiServer];
        let client = ready::client(&config.layout().kubeconfig("admin")).await?;
        let api = async {
            until(|| ready::listens(config.api_address())).await;
            until(|| ready::api_is_ready(&client)).await;
        };
        watched(
            ctx,
            config,
            processes,
            &needed,
            "the API server is not ready",
            api,
        )
        .await?;
        start(Component::ControllerManager)?;
        start(Component::Scheduler)?;
        Ok(client)
    }

    async fn provide_images(self, pause: &PauseImage) -> Result<(), LocalNodeError> {
        let Self {
            ctx,
            config,
            processes,
            ..
        } = self;
        let layout = config.layout();
        let containerd = Containerd::new(&self.host.ctr, &layout);
        let needed = [Component::Containerd];
        let answers = until(|| containerd::answers(&layout));
        watched(
            ctx,
            config,
            processes,
            &needed,
            "containerd does not accept connections",
            answers,
        )
        .await?;
        ctx.unless_cancelled(pause.ensure(&containerd)).await?
    }
}
