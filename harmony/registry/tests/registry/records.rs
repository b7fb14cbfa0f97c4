//! Release records in a real registry.

use harmony_core::Context;
use harmony_core::capability::ReleaseRecords;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::outcome::Action;
use harmony_registry::testing::LoggedRequest;
use harmony_types::{ReleaseUnit, Version};

use crate::fixture::{client, client_in, peer};

fn unit(component: &str) -> ReleaseUnit {
    let app = "shop".parse().expect("a name");
    ReleaseUnit::new(app, component.parse().expect("a name")).expect("a unit")
}

fn version(text: &str) -> Version {
    text.parse().expect("a version")
}

#[tokio::test]
async fn a_record_is_kept_once_and_found_by_unit_and_version() {
    let peer = peer().await;
    let registry = client(&peer);
    let (web, one) = (unit("web"), version("1.0.0"));
    assert_eq!(
        registry.read_record(&web, &one).await.expect("an answer"),
        None
    );
    assert_eq!(
        registry.released_versions(&web).await.expect("an answer"),
        []
    );

    let pushed = registry
        .push_record(&web, &one, b"{\"a\":1}")
        .await
        .expect("a record");
    assert_eq!(pushed.change.action, Action::Create);
    let found = registry.read_record(&web, &one).await.expect("an answer");
    assert_eq!(found.as_deref(), Some(&b"{\"a\":1}"[..]));

    let again = registry
        .push_record(&web, &one, b"{\"a\":1}")
        .await
        .expect("the same");
    assert_eq!(again.change.action, Action::Unchanged);
    let other = registry.push_record(&web, &one, b"{\"a\":2}").await;
    assert!(
        matches!(other, Err(RegistryError::TagTaken { .. })),
        "{other:?}"
    );
    assert_eq!(
        registry
            .read_record(&unit("api"), &one)
            .await
            .expect("an answer"),
        None
    );
}

#[tokio::test]
async fn all_versions_are_listed_over_pages_and_those_of_work_trees_left_out() {
    let peer = peer().await;
    let registry = client(&peer);
    let web = unit("web");
    let mut released: Vec<Version> = ["0.9.0", "0.10.0", "1.0.0-rc.1"]
        .iter()
        .map(|text| version(text))
        .collect();
    for version in &released {
        registry
            .push_record(&web, version, b"{}")
            .await
            .expect("a record");
    }
    let work_tree = version("1.0.0-dev.4dd02ac76d13");
    registry
        .push_record(&web, &work_tree, b"{}")
        .await
        .expect("a record");
    let mut listed = registry.released_versions(&web).await.expect("a list");
    released.sort();
    listed.sort();
    assert_eq!(listed, released);
}

#[tokio::test]
async fn a_plan_keeps_no_record() {
    let peer = peer().await;
    let planning = client_in(Context::new().planning(), &peer, peer.settings());
    let pushed = planning
        .push_record(&unit("web"), &version("1.0.0"), b"{}")
        .await;
    assert_eq!(pushed.expect("a plan").change.action, Action::Create);
    let requests = peer.requests().expect("a log");
    assert!(!requests.iter().any(LoggedRequest::writes), "{requests:#?}");
}
