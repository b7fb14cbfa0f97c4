//! Planning reads and does not write.

use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::capability::{HelmRegistry, OciRegistry};
use harmony_core::context::Context;
use harmony_core::image::Built;
use harmony_core::outcome::Action;

use crate::fixture::{self, Image};

#[tokio::test]
async fn a_plan_says_what_would_be_done_with_get_and_head_alone() {
    let peer = fixture::peer().await;
    let there = Image::small("published");
    let to = fixture::image_ref(&peer, "fleet/operator:0.1.0");
    let free = fixture::image_ref(&peer, "fleet/operator:0.2.0");
    let chart = fixture::chart("operator", "0.1.0", "hello");
    let chart_to = fixture::chart_ref(&peer, "charts/operator:0.1.0");
    fixture::client(&peer)
        .push_image(&there.built(), &to)
        .await
        .expect("a push");

    let before = peer.requests().expect("a log").len();
    let planner = fixture::client_in(Context::new().planning(), &peer, peer.settings());
    let plan = async |image: &Built, to| {
        let published = planner.push_image(image, to).await.expect("a plan");
        (
            published.change.action,
            published.change.note.unwrap_or_default(),
            published.digest,
        )
    };
    let new = Image::small("new");
    // Built, as a plan has it when a build was not needed.
    assert_eq!(
        plan(&new.built(), &free).await,
        (
            Action::Create,
            new.digest.to_string(),
            Some(new.digest.clone())
        )
    );
    // Predicted.
    assert_eq!(
        plan(&Built::Predicted(Some(there.digest.clone())), &to).await,
        (
            Action::Unchanged,
            there.digest.to_string(),
            Some(there.digest.clone())
        )
    );
    // Not known yet.
    assert_eq!(
        plan(&Built::Predicted(None), &free).await,
        (Action::Create, "digest known after build".into(), None)
    );
    let (action, note, digest) = plan(&Built::Predicted(None), &to).await;
    assert_eq!((action, digest), (Action::Unchanged, None));
    assert!(
        note.contains("known after build") && note.contains(there.digest.as_str()),
        "{note}"
    );
    // A plan that cannot be carried out says so.
    let taken = planner
        .push_image(&Built::Predicted(Some(new.digest.clone())), &to)
        .await;
    assert!(
        matches!(taken, Err(RegistryError::TagTaken { .. })),
        "{taken:?}"
    );
    let would = planner.push_chart(&chart, &chart_to).await.expect("a plan");
    assert_eq!(would.change.action, Action::Create);

    let requests = peer.requests().expect("a log").split_off(before);
    assert!(!requests.is_empty());
    for request in &requests {
        assert!(!request.writes(), "{request:?}");
    }

    // What was planned is what is done.
    let client = fixture::client(&peer);
    let done = client.push_chart(&chart, &chart_to).await.expect("a push");
    assert_eq!(done.change, would.change);
    assert_eq!(done.digest, would.digest);
}
