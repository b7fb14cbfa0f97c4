//! What the agent costs and how fast it is. `cargo xtask bench agent` runs this with release builds.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use harmony_fleet_adapters_podman::testing::PodmanPeer;
use harmony_reconciler_contracts::HeartbeatInterval;
use serde_json::json;

use crate::rig::{Rig, agent_program};
use crate::support::eventually;

/// The kernel counts the time of a process in hundredths of a second.
const TICKS: f64 = 100.0;

/// The moments of one apply, in seconds.
#[derive(Debug, Default)]
struct Times {
    /// From the start of the command to its end.
    command: f64,
    /// From the start of the command to the desired state at the agent.
    received: f64,
    /// From there to the step that runs the container.
    image: f64,
    /// From there to the running container.
    run: f64,
    whole: f64,
    /// `podman run`.
    podman: f64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a bench"]
async fn what_the_agent_costs() {
    let runs = setting("HARMONY_BENCH_RUNS", 20);
    let idle = setting("HARMONY_BENCH_IDLE", 60);
    let podman = PodmanPeer::start().await.unwrap();
    let mut rig = Rig::start_with_heartbeat(podman, HeartbeatInterval::NOMINAL.seconds()).await;
    let out = rig.folder().join("out");
    fs::create_dir(&out).unwrap();
    let mut times = Vec::new();
    // The first one warms up podman and the page cache.
    for number in 0..=runs {
        let measured = measure(&rig, &out, number).await;
        if number > 0 {
            times.push(measured);
        }
    }
    let of = |part: fn(&Times) -> f64| median(times.iter().map(part).collect());
    let (whole, podman) = (of(|it| it.whole), of(|it| it.podman));
    println!("apply to running container, median of {runs}:");
    for (name, value) in [
        ("command from start to end", of(|it| it.command)),
        (
            "start of the command to state received",
            of(|it| it.received),
        ),
        ("state received to image checked", of(|it| it.image)),
        ("run step to running container", of(|it| it.run)),
        ("whole", whole),
        ("podman run", podman),
    ] {
        println!("  {name:<40} {:>7.1} ms", value * 1000.0);
    }

    let idler = rig.deployment("idler", &json!({"health": null}));
    rig.apply(&[idler]).await;
    rig.until_running("idler").await;
    let mut starts = Vec::new();
    for _ in 0..5 {
        rig.kill_agent();
        let container = rig.container().await;
        let kill = format!("/containers/{}/kill", container.id);
        rig.podman.request("POST", &kill, None).await.unwrap();
        eventually("it has ended", async || {
            rig.container().await.state == "exited"
        })
        .await;
        let began = now();
        let before = rig.agent_log().len();
        rig.start_agent();
        rig.running_container().await;
        starts.push(since(
            began,
            moment(&rig.agent_log()[before..], "next step"),
        ));
    }
    rig.until_online().await;
    rig.until_running("idler").await;
    // What the start has allocated and the settling of the container are over.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let process = rig.agent_process();
    let (cpu, written) = (cpu(process), field(process, "io", "write_bytes:"));
    tokio::time::sleep(Duration::from_secs(idle)).await;
    let cpu = (self::cpu(process) - cpu) / TICKS / seconds(idle) * 100.0;
    let written = field(process, "io", "write_bytes:") - written;
    let pss = field(process, "smaps_rollup", "Pss:") / 1024.0;
    let size = fs::metadata(agent_program()).unwrap().len();
    println!("| figure | measured | goal |");
    println!("| --- | ---: | ---: |");
    println!(
        "| apply to running / `podman run` | {:.2} | 1.2 |",
        whole / podman
    );
    println!("| PSS with one workload | {pss:.1} MiB | 6 MiB |");
    println!("| program, stripped | {:.1} MB | 8 MB |", bytes(size) / 1e6);
    println!(
        "| start to first step | {:.0} ms | 70 ms |",
        median(starts) * 1000.0
    );
    println!("| CPU, idle for {idle} s | {cpu:.2} % | 0.1 % |");
    println!("| written, idle for {idle} s | {written:.0} bytes | 0 bytes |");
}

/// Applies a deployment, and runs the same container with `podman run`.
async fn measure(rig: &Rig, out: &Path, number: u64) -> Times {
    let name = format!("bench-{number}");
    let script = |file: &str| format!("touch /out/{file}; exec sleep 1000000");
    let deployment = rig.deployment(
        &name,
        &json!({
            "health": null, "command": ["sh", "-c", script(&name)],
            "volumes": [{"source": {"folder": out}, "path": "/out"}],
        }),
    );
    let log = rig.agent_log().len();
    let began = now();
    let started = async {
        until_exists(&out.join(&name)).await;
        now()
    };
    let command = async {
        rig.apply(std::slice::from_ref(&deployment)).await;
        now()
    };
    let (running, command) = tokio::join!(started, command);
    let log = rig.agent_log()[log..].to_owned();
    let received = moment(&log, "received a new desired state");
    let run = moment(&log, "step=Run(");
    rig.fleet(&["delete", &name]).await;
    until_empty(rig).await;

    let file = format!("podman-{number}");
    let mount = format!("{}:/out", out.display());
    let image = rig.image.pinned().to_string();
    let mut podman = rig.podman.command(&[
        "run",
        "--detach",
        "--name",
        &file,
        "--volume",
        &mount,
        "--cap-drop",
        "ALL",
        "--read-only",
        &image,
        "sh",
        "-c",
        &script(&file),
    ]);
    let podman_began = now();
    let mut child = podman.stdout(std::process::Stdio::null()).spawn().unwrap();
    until_exists(&out.join(&file)).await;
    let podman_runs = now();
    child.wait().unwrap();
    let remove = format!("/containers/{file}?force=true&timeout=0");
    rig.podman.request("DELETE", &remove, None).await.unwrap();
    Times {
        command: since(began, command),
        received: since(began, received),
        image: since(received, run),
        run: since(run, running),
        whole: since(began, running),
        podman: since(podman_began, podman_runs),
    }
}

async fn until_empty(rig: &Rig) {
    eventually("the container is gone", async || {
        rig.containers().await.is_empty()
    })
    .await;
}

async fn until_exists(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The time of day in seconds, as in the log of the agent.
fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs_f64() % 86_400.0
}

fn since(earlier: f64, later: f64) -> f64 {
    (later - earlier + 86_400.0) % 86_400.0
}

/// When the first line with these words was logged.
fn moment(log: &str, words: &str) -> f64 {
    let line = log.lines().find(|line| line.contains(words));
    let line = line.unwrap_or_else(|| panic!("`{words}` is not in the log:\n{log}"));
    let (_, time) = line.split_once('T').unwrap();
    let (time, _) = time.split_once('Z').unwrap();
    let parts = time.split(':').map(|part| part.parse::<f64>().unwrap());
    parts.fold(0.0, |seconds, part| seconds * 60.0 + part)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The processor time that a process has used, in ticks.
fn cpu(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
    ticks(11) + ticks(12)
}

/// A number in a file about a process.
fn field(process: u32, file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/{file}")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_whitespace().next());
    value.unwrap().parse().unwrap()
}

fn setting(name: &str, default: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(default, |set| set.parse().unwrap())
}

fn seconds(whole: u64) -> f64 {
    Duration::from_secs(whole).as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files are small")]
fn bytes(count: u64) -> f64 {
    count as f64
}
