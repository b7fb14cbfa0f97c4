//! The power fails, or the disk does, at every single operation of the store.
//!
//! A run takes a seeded sample; `cargo xtask faults store` takes all.

use harmony_fleet_agent::testing::{Behaviour, Fault};
use harmony_reconciler_contracts::{DesiredState, Generation};

use crate::device::{Device, containers, desired, digest};

/// How many cut points are tried.
const CUTS: &str = "HARMONY_CUT_POINTS";
const SAMPLE: usize = 600;

/// Apply, update, a bad release, another update, delete.
fn scenario() -> [DesiredState; 5] {
    [
        desired(1, &[("app", 'a')]),
        desired(2, &[("app", 'c'), ("web", 'a')]),
        desired(3, &[("app", 'b'), ("web", 'a')]),
        desired(4, &[("app", 'd'), ("web", 'b')]),
        desired(5, &[("web", 'e')]),
    ]
}

fn device() -> Device {
    let device = Device::default();
    let crash = Behaviour::EndsAfter(std::time::Duration::from_secs(3), 1);
    device.podman.behave(&digest('b'), crash);
    device
}

/// Carries out the scenario with a fault, and repairs the device after it. Returns what went wrong.
async fn run(fault: Option<(u64, Fault)>, chance: u64) -> Result<u64, String> {
    let device = device();
    if let Some((at, fault)) = fault {
        device.disk.fail_at(at, fault);
    }
    let mut agent = device.boot();
    let mut acknowledged = Generation(0);
    for state in scenario() {
        agent.tell(state.clone()).await;
        for _ in 0..5 {
            agent.after(5, "app").await;
            let told = agent.observed().generation;
            if told < acknowledged {
                return Err(format!("went back from {acknowledged} to {told}"));
            }
            acknowledged = told;
            if device.disk.is_off() {
                drop(agent);
                device.podman.lose_power();
                device.disk.repair(chance);
                agent = device.boot();
                agent.after(1, "app").await;
                let told = agent.observed().generation;
                if told < acknowledged {
                    return Err(format!("lost {acknowledged}: remembers {told}"));
                }
                acknowledged = told;
                // The operator's state is read again on connect.
                agent.tell(state.clone()).await;
            }
        }
        device.disk.repair(chance);
    }
    agent.after(60, "app").await;
    let told = agent.observed();
    if told.generation != Generation(5) {
        return Err(format!("ended at generation {}", told.generation));
    }
    if device.running() != containers(&[("web-c", 'e')]) {
        return Err(format!("runs {:?}", device.running()));
    }
    if device.podman.containers().len() != 1 {
        return Err(format!("left {:?}", device.podman.containers().keys()));
    }
    Ok(device.disk.operations())
}

#[tokio::test(start_paused = true)]
async fn nothing_acknowledged_is_lost_at_any_cut_point() {
    let operations = run(None, 0).await.unwrap();
    assert!(operations > 30, "{operations}");
    let cuts = std::env::var(CUTS)
        .ok()
        .map_or(SAMPLE, |cuts| cuts.parse().unwrap());
    let mut failures = Vec::new();
    let mut tried = 0;
    for cut in 0..cuts {
        let cut = u64::try_from(cut).unwrap();
        let fault = Fault::ALL[usize::try_from(cut % 4).unwrap()];
        let at = cut / 4 % operations;
        let chance = (cut / 4 / operations).wrapping_mul(2_654_435_761) % 100_003 + cut / 4 % 7;
        tried += 1;
        if let Err(problem) = run(Some((at, fault)), chance).await {
            failures.push(format!("{fault:?} at {at}, chance {chance}: {problem}"));
        }
    }
    println!("{tried} cut points in {operations} operations");
    assert!(
        failures.is_empty(),
        "{} of {tried}: {:#?}",
        failures.len(),
        &failures[..failures.len().min(10)]
    );
}
