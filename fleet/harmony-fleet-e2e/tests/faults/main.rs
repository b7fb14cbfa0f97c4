//! The same broken apps by all deliveries: each fault has the same code and the same cause, whoever applies the chart.
//!
//! A run takes some of the faults. `cargo xtask faults` takes all of them, one after the other so that their times can be
//! compared, and writes the table of `docs/reference/faults.md`.

mod road;
mod table;

use std::fmt::Write as _;

use futures_util::future::try_join_all;
use futures_util::try_join;
use harmony::configuration::DeliveryChoice;
use harmony::containers::Prebuilt;
use harmony::kubernetes::delivery::FluxController;
use harmony::prelude::*;
use harmony::types::Version;
use harmony_fleet_e2e::gitops::{by_flux, install_argocd, install_flux};
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{discard, in_order, new_namespace, topology};
use harmony_fleet_e2e::{page, peer_app};

use road::{Road, Verdict, drive};
use table::{FAULTS, Fault};

const SECTION: &str = "deliveries";
/// How many faults a run takes.
const SAMPLE: usize = 3;
/// Has no divisor in common with the number of faults, so that all of them have their turn.
const STRIDE: usize = 7;

/// A fault and its verdicts, in the order of the roads.
type Row = (&'static Fault, Vec<Verdict>);

#[tokio::test]
async fn a_fault_has_the_same_code_and_cause_by_all_deliveries() -> anyhow::Result<()> {
    let local = topology().await?;
    let rig = ReleaseRig::start_for_pods().await?;
    let (argocd, flux, kustomize) = (new_namespace()?, new_namespace()?, new_namespace()?);
    try_join!(
        install_argocd(&local, &rig, &argocd),
        install_flux(&local, &flux, FluxController::Helm),
        install_flux(&local, &kustomize, FluxController::Kustomize)
    )?;
    let roads = [
        Road {
            name: "direct",
            delivery: DeliveryChoice::Direct,
        },
        Road {
            name: "Argo CD",
            delivery: DeliveryChoice::ArgoCd {
                namespace: argocd.clone(),
            },
        },
        Road {
            name: "Flux",
            delivery: by_flux(&flux, FluxController::Helm),
        },
        Road {
            name: "Flux (Kustomize)",
            delivery: by_flux(&kustomize, FluxController::Kustomize),
        },
    ];
    let folder = tempfile::tempdir()?;
    let program = peer_app::program(folder.path());
    let mut rows = Vec::new();
    if page::is_written() {
        let only = std::env::var("HARMONY_FAULTS").unwrap_or_default();
        let is_selected =
            |fault: &&Fault| only.is_empty() || only.split(',').any(|name| name == fault.name);
        for fault in FAULTS.iter().filter(is_selected) {
            rows.push(row(fault, &roads, &rig, &program, true).await?);
        }
        let table = table(&roads, &rows);
        page::write(
            SECTION,
            &if only.is_empty() {
                table
            } else {
                merged(&table)?
            },
        )?;
    } else {
        check_page()?;
        let seed = page::seed();
        let sample = (0..SAMPLE).map(|n| &FAULTS[(seed + n * STRIDE) % FAULTS.len()]);
        let sample = sample.map(|fault| row(fault, &roads, &rig, &program, false));
        rows = try_join_all(sample).await?;
    }
    for namespace in [argocd, flux, kustomize] {
        discard(&namespace)?;
    }
    for (fault, verdicts) in &rows {
        for (road, verdict) in roads.iter().zip(verdicts) {
            let by = format!("{} by {}", fault.name, road.name);
            assert_eq!(verdict.code, fault.code, "{by}");
            assert_eq!(verdict.cause, verdicts[0].cause, "{by}");
        }
    }
    Ok(())
}

/// Releases the app of the fault once, and deploys it by each road.
async fn row(
    fault: &'static Fault,
    roads: &[Road],
    rig: &ReleaseRig,
    program: &Prebuilt,
    one_by_one: bool,
) -> anyhow::Result<Row> {
    let app = peer_app::app(
        fault.name,
        Version::new(1, 0, 0),
        rig.root(),
        program,
        fault.checks(),
        |namespace, image| fault.objects(namespace, image),
    )?;
    let released = in_order(scores![ReleaseScore::of(&app)], &rig.ci()?).await;
    released.map_err(|report| anyhow::anyhow!("{}: {report}", fault.name))?;
    let mut verdicts = Vec::new();
    if one_by_one {
        for road in roads {
            verdicts.push(drive(fault, &app, road, rig).await?);
        }
    } else {
        verdicts = try_join_all(roads.iter().map(|road| drive(fault, &app, road, rig))).await?;
    }
    Ok((fault, verdicts))
}

/// One row for each fault, with the time that each delivery needs in comparison with the first one.
fn table(roads: &[Road], rows: &[Row]) -> String {
    let names: Vec<_> = roads.iter().map(|road| road.name).collect();
    let mut table = format!(
        "| fault | code | cause | {} |\n| --- | --- | --- |{}\n",
        names.join(" | "),
        " ---: |".repeat(roads.len())
    );
    for (fault, verdicts) in rows {
        let Verdict { code, cause, after } = &verdicts[0];
        let first = after.as_secs_f32();
        let cause = cause.replace('|', "\\|");
        let _ = write!(
            table,
            "| {} | {code} | {cause} | {first:.1} s |",
            fault.title
        );
        for other in &verdicts[1..] {
            let _ = write!(table, " {:+.1} s |", other.after.as_secs_f32() - first);
        }
        table.push('\n');
    }
    table
}

/// The table of the page with the rows of `table`, which are some of them.
fn merged(table: &str) -> anyhow::Result<String> {
    let title = |line: &str| line.split(" | ").next().map(str::to_owned);
    let before = page::table(SECTION)?;
    let lines = before.lines().map(|line| {
        let new = table.lines().find(|new| title(new) == title(line));
        format!("{}\n", new.unwrap_or(line))
    });
    Ok(lines.collect())
}

/// Fails unless the page has all faults with their codes.
fn check_page() -> anyhow::Result<()> {
    let written = page::rows(SECTION, 2)?;
    let faults = FAULTS.iter().map(|fault| [fault.title, fault.code]);
    let wanted: Vec<_> = faults.collect();
    anyhow::ensure!(
        written == wanted,
        "run `cargo xtask faults`: the page has {written:#?}, and the faults are {wanted:#?}"
    );
    Ok(())
}
