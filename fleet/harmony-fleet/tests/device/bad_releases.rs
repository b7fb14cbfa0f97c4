//! What a device does with releases that cannot work: it keeps what worked before, and says what is wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::releases::{BAD, BadRelease, Trap, Wrong};
use crate::rig::{DEVICE, Rig};

/// The page that `cargo xtask faults releases` writes.
const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/reference/bad-releases.md"
);
const BEGIN: &str = "<!-- releases: written by `cargo xtask faults releases` -->\n";
const END: &str = "<!-- end -->";

/// A row of the table.
#[derive(Debug)]
struct Row {
    title: &'static str,
    /// Whether a version worked before.
    had_one: bool,
    runs: &'static str,
    phase: String,
    status: String,
    why: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_releases_keep_what_worked_and_say_what_is_wrong() {
    let trap = Trap::start().await;
    let before: Vec<Value> = BAD.iter().map(|bad| trap.good(&second(bad))).collect();
    trap.rig.apply(&before).await;
    for bad in BAD {
        trap.rig.until_running(&second(bad)).await;
    }
    let mut good = BTreeMap::new();
    for container in trap.rig.containers().await {
        good.insert(container.deployment, container.content);
    }
    let (disk, others): (Vec<_>, Vec<_>) = BAD.iter().partition(|bad| bad.wrong == Wrong::DiskFull);
    let mut rows = Vec::new();
    // A full disk would be a problem for all others, too.
    for releases in [others, disk] {
        apply(&trap, &releases).await;
        for bad in releases {
            rows.push(row(&trap, bad, bad.name, None).await);
            let good = good.get(&second(bad)).map(String::as_str);
            rows.push(row(&trap, bad, &second(bad), good).await);
        }
    }
    if std::env::var_os("HARMONY_WRITE_DOCS").is_some() {
        write(&table(&rows));
    }
    let wanted: Vec<_> = rows.iter().map(Row::key).collect();
    assert_eq!(
        written(),
        wanted,
        "run `cargo xtask faults releases`: the page is not what was seen"
    );
}

/// The name of the deployment that has a version that works.
fn second(bad: &BadRelease) -> String {
    format!("{}-2", bad.name)
}

/// Applies each release twice: as a new deployment, and as a new version of one that works.
async fn apply(trap: &Trap, releases: &[&BadRelease]) {
    let mut deployments = Vec::new();
    for bad in releases {
        for (name, again) in [(bad.name.to_owned(), false), (second(bad), true)] {
            if bad.wrong == Wrong::Variant {
                trap.apply_unknown(&name).await;
            } else {
                deployments.push(trap.bad(bad, &name, again).await);
            }
        }
    }
    trap.rig.apply(&deployments).await;
}

/// The content of a deployment that runs.
async fn content_of(rig: &Rig, name: &str) -> Option<String> {
    let containers = rig.containers().await;
    let of_name = |it: &&crate::rig::Listed| it.state == "running" && it.deployment == name;
    containers.iter().find(of_name).map(|it| it.content.clone())
}

/// Waits until the device says what is wrong with a release, and looks at what runs. `good` is the content that worked.
async fn row(trap: &Trap, bad: &BadRelease, name: &str, good: Option<&str>) -> Row {
    let had_one = name != bad.name;
    let phase = bad.phases[usize::from(had_one)];
    let mut last = Value::Null;
    let mut runs = "nothing";
    for _ in 0..300 {
        let (code, status) = trap.rig.status(name).await;
        last = status["devices"][0].clone();
        let running = content_of(&trap.rig, name).await;
        runs = match &running {
            None => "nothing",
            Some(running) if Some(running.as_str()) == good => "the version before",
            Some(_) => "the new version",
        };
        let expected = if had_one {
            "the version before"
        } else {
            "nothing"
        };
        if code == 1 && last["state"] == phase && last["cause"] == bad.cause && runs == expected {
            return finished(trap, bad, name, &last, runs).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!(
        "{name}: {runs} runs, and the status is {last:#}\nlog of the agent:\n{}",
        trap.rig.agent_log()
    );
}

async fn finished(
    trap: &Trap,
    bad: &BadRelease,
    name: &str,
    status: &Value,
    runs: &'static str,
) -> Row {
    let reason = status["reason"].as_str().unwrap_or_default();
    let (_, table, _) = trap.rig.fleet(&["status", name]).await;
    assert!(table.contains(reason), "{reason} is not in {table}");
    let (_, why, _) = trap.rig.fleet(&["why", DEVICE, name]).await;
    assert!(why.contains(&format!("as it should: {reason}.\n")), "{why}");
    let agent = why.lines().find(|line| line.starts_with("  agent "));
    let agent = agent.and_then(|line| line.split_once(": ")?.1.split_once(", since"));
    let (agent, _) = agent.unwrap_or_else(|| panic!("{name}: {why}"));
    let clean = |text: &str| {
        let text = text.replace(name, bad.name);
        let text = text.replace(&trap.registry, "registry.example.com");
        let ports = trap.ports();
        let text = ports
            .iter()
            .fold(text, |text, port| text.replace(port.as_str(), "8080"));
        let text = text.replace(&trap.rig.folder().display().to_string(), "/srv");
        without_digests(&text)
    };
    assert!(
        !reason.contains("unknown") || reason.contains(": "),
        "{reason}"
    );
    Row {
        title: bad.title,
        had_one: name != bad.name,
        runs,
        phase: status["state"].as_str().unwrap_or_default().to_owned(),
        status: clean(reason),
        why: clean(agent),
    }
}

/// Digests, ids and ports are different in each run.
fn without_digests(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let at = word.find(|c: char| c.is_ascii_hexdigit());
        let hex = word.split(|c: char| !c.is_ascii_hexdigit());
        match (at, hex.max_by_key(|part| part.len())) {
            (Some(_), Some(longest)) if longest.len() >= 32 => word.replace(longest, "..."),
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

impl Row {
    /// What is the same in each run.
    fn key(&self) -> [String; 4] {
        let before = if self.had_one { "yes" } else { "no" };
        [self.title, before, self.runs, &self.phase].map(str::to_owned)
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = "| release | one before | runs then | phase | `harmony-fleet status` | `harmony-fleet why` |\n\
        | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for row in rows {
        let [title, before, runs, phase] = row.key();
        let cell = |text: &str| text.replace('|', "\\|");
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| {title} | {before} | {runs} | {phase} | {} | {} |",
            cell(&row.status),
            cell(&row.why)
        );
    }
    table
}

fn write(table: &str) {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (head, rest) = page.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    std::fs::write(PAGE, format!("{head}{BEGIN}{table}{END}{tail}")).unwrap();
}

/// The rows of the page, without the words that differ.
fn written() -> Vec<[String; 4]> {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (_, rest) = page.split_once(BEGIN).unwrap();
    let (table, _) = rest.split_once(END).unwrap();
    let row = |line: &str| {
        let mut cells = line
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned());
        std::array::from_fn(|_| cells.next().unwrap_or_default())
    };
    table.lines().skip(2).map(row).collect()
}
