//! A small fleet with a real nats-server. `cargo xtask bench fleet` measures a large one.

use std::time::Duration;

use harmony_fleet_simulator::bench;
use harmony_fleet_simulator::figure::table;
use harmony_fleet_simulator::simulation::Plan;

#[tokio::test]
async fn a_small_fleet_reaches_all_goals() {
    let seed = 1;
    fastrand::seed(seed);
    let figures = bench::run(&Plan {
        devices: 50,
        rounds: 2,
        idle: Duration::ZERO,
        gone: Duration::from_millis(500),
        resync: Duration::from_secs(60),
        seed,
    })
    .await
    .unwrap();
    let table = table(&figures);
    println!("{table}");
    assert!(figures.iter().all(|it| it.is_reached), "{table}");
}
