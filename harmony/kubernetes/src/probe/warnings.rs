//! What controllers complain about in an object: its warning Events.

use harmony_core::kubernetes::ObjectRef;
use harmony_core::verify::ProbeFailure;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use tokio::time::timeout;

use super::pods::namespace_of;
use super::seen;
use crate::connection::{Connection, REQUEST_TIMEOUT};
use crate::kinds::segment;

/// The messages about the stored version of the object, the latest first. Empty if it does not exist.
pub(super) async fn about(
    connection: &Connection,
    object: &ObjectRef,
) -> Result<Vec<String>, ProbeFailure> {
    let read = async {
        let Some(kind) = connection.kind(object).await.map_err(seen)? else {
            return Ok(Vec::new());
        };
        let api = kind.api(&connection.client, object);
        let Some(stored) = api.get_opt(&segment(object)).await.map_err(seen)? else {
            return Ok(Vec::new());
        };
        let uid = stored.metadata.uid.unwrap_or_default();
        let version = stored.metadata.resource_version.unwrap_or_default();
        let events: Api<Event> = Api::namespaced(connection.client.clone(), namespace_of(object));
        let about = ListParams::default().fields(&format!("involvedObject.uid={uid},type=Warning"));
        let events = events.list(&about).await.map_err(seen)?;
        Ok(messages(events.items, &version))
    };
    timeout(REQUEST_TIMEOUT, read)
        .await
        .unwrap_or_else(|elapsed| Err(seen(elapsed)))
}

/// Without those about other versions.
fn messages(mut events: Vec<Event>, version: &str) -> Vec<String> {
    events.retain(|event| {
        let about = event.involved_object.resource_version.as_deref();
        about.is_none_or(|about| about == version)
    });
    events.sort_by_key(|event| std::cmp::Reverse(event.last_timestamp.as_ref().map(|time| time.0)));
    events
        .into_iter()
        .filter_map(|event| event.message)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_warnings_about_the_stored_version_count() {
        let event = |version: &str, second: u8, message: &str| -> Event {
            serde_json::from_value(json!({
                "metadata": {},
                "involvedObject": { "resourceVersion": version },
                "lastTimestamp": format!("2026-01-01T00:00:0{second}Z"),
                "message": message,
            }))
            .unwrap()
        };
        let events = vec![
            event("7", 1, "first"),
            event("6", 2, "of an older version"),
            event("7", 3, "last"),
        ];
        assert_eq!(messages(events, "7"), ["last", "first"]);
    }
}
