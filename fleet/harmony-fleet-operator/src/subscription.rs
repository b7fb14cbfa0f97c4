//! Subscriptions that are renewed whenever they end.

use futures_util::{Stream, StreamExt, stream};
use harmony_fleet_adapters_nats::SubscribeFailed;
use harmony_fleet_domain::ErrorChain;

use crate::fleet::RETRY;

/// The messages of a subscription, which is renewed whenever it fails or ends. The stream never ends.
pub(crate) fn lasting<S, F>(
    what: &'static str,
    subscribe: impl Fn() -> F,
) -> impl Stream<Item = S::Item>
where
    S: Stream,
    F: Future<Output = Result<S, SubscribeFailed>>,
{
    stream::unfold(0, move |attempt| {
        let subscribed = subscribe();
        async move {
            if attempt > 0 {
                tokio::time::sleep(RETRY.wait(attempt)).await;
            }
            Some(match subscribed.await {
                Ok(messages) => (messages.left_stream(), 1),
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), what, "cannot subscribe; trying again");
                    (stream::empty().right_stream(), attempt + 1)
                }
            })
        }
    })
    .flatten()
}
