//! The operator's side of the conversations with devices and tools.

use async_nats::{Client, Message, Subject};
use futures_util::{Stream, StreamExt};
use harmony_reconciler_contracts::{
    Command, DeviceId, DeviceListing, Heartbeat, ListDevices, ObservedState, RefusalReason,
    Registration, RegistrationReply, TenantId, subjects,
};
use serde::Serialize;

use crate::NatsConnection;
use crate::decode::{DEVICE_MESSAGE, OBSERVED_STATE, decode};

/// When a device with an invalid registration may try again, in seconds. This is long, because only another version of
/// the agent can succeed.
const RETRY_MALFORMED_SECONDS: u32 = 300;

/// The operator's subjects of a tenant on a connection.
///
/// Requests use a queue group, so that one of several operators answers; heartbeats reach all of them. NATS keeps the
/// subscriptions across reconnects, and a stream ends only with its connection. Messages on subjects of invalid devices
/// are dropped.
#[derive(Debug, Clone)]
pub struct NatsOperatorLink {
    connection: NatsConnection,
    tenant: TenantId,
}

impl NatsOperatorLink {
    /// The operator's link of a tenant. Sends nothing yet.
    pub fn new(connection: NatsConnection, tenant: TenantId) -> Self {
        Self { connection, tenant }
    }

    /// The heartbeats of all devices.
    pub async fn heartbeats(
        &self,
    ) -> Result<impl Stream<Item = (DeviceId, Heartbeat)> + Send + use<>, SubscribeFailed> {
        let subject = subjects::heartbeats_of_all(&self.tenant);
        let tenant = self.tenant.clone();
        let messages = self.subscribe(subject, None).await?;
        Ok(messages
            .filter_map(move |message| std::future::ready(decode_heartbeat(&message, &tenant))))
    }

    /// The registrations to answer. Invalid ones are answered here.
    pub async fn registrations(
        &self,
    ) -> Result<impl Stream<Item = RegistrationRequest> + Send + use<>, SubscribeFailed> {
        let subject = subjects::registrations_of_all(&self.tenant);
        let messages = self
            .subscribe(subject, Some(subjects::OPERATOR_QUEUE))
            .await?;
        let tenant = self.tenant.clone();
        let client = self.connection.client.clone();
        Ok(messages.filter_map(move |message| {
            let client = client.clone();
            let device = subjects::device_of(&message.subject, &tenant);
            async move { RegistrationRequest::read(device?, message, client).await }
        }))
    }

    /// The requests of tools for the list of devices.
    pub async fn list_requests(
        &self,
    ) -> Result<impl Stream<Item = ListRequest> + Send + use<>, SubscribeFailed> {
        let subject = subjects::list_devices(&self.tenant);
        let messages = self
            .subscribe(subject, Some(subjects::OPERATOR_QUEUE))
            .await?;
        let client = self.connection.client.clone();
        Ok(messages.filter_map(move |message| {
            std::future::ready(ListRequest::read(message, client.clone()))
        }))
    }

    /// Asks a device to register again. If the message is lost, its next heartbeat causes another one.
    pub async fn ask_to_register(&self, device: &DeviceId) {
        let subject = subjects::command(&self.tenant, device);
        publish(
            &self.connection.client,
            subject.into(),
            &Command::register(),
        )
        .await;
    }

    /// Tells other operators of the tenant that this one is running.
    pub async fn announce(&self, heartbeat: &Heartbeat) {
        if self.connection.is_up() {
            let subject = subjects::operator_heartbeat(&self.tenant);
            publish(&self.connection.client, subject.into(), heartbeat).await;
        }
    }

    /// The announcements of all operators of the tenant, including this one.
    pub async fn announcements(
        &self,
    ) -> Result<impl Stream<Item = Heartbeat> + Send + use<>, SubscribeFailed> {
        let subject = subjects::operator_heartbeat(&self.tenant);
        let messages = self.subscribe(subject, None).await?;
        Ok(messages.filter_map(|message| {
            std::future::ready(decode(&message.payload, DEVICE_MESSAGE).ok())
        }))
    }

    /// A sign that a deployment is being written. The write may not be readable yet.
    pub async fn deployment_changes(
        &self,
    ) -> Result<impl Stream<Item = ()> + Send + use<>, SubscribeFailed> {
        let keys = subjects::keys_of(&self.tenant);
        let subject = subjects::stored(subjects::DEPLOYMENTS_BUCKET, &keys);
        Ok(self.subscribe(subject, None).await?.map(drop))
    }

    /// The observed states, as devices write them. Invalid ones are left out.
    pub async fn observed_states(
        &self,
    ) -> Result<impl Stream<Item = (DeviceId, ObservedState)> + Send + use<>, SubscribeFailed> {
        let keys = subjects::keys_of(&self.tenant);
        let subject = subjects::stored(subjects::OBSERVED_BUCKET, &keys);
        let messages = self.subscribe(subject, None).await?;
        let tenant = self.tenant.clone();
        Ok(messages.filter_map(move |message| {
            let name = subjects::stored_name(&message.subject, subjects::OBSERVED_BUCKET, &tenant);
            let device = name.and_then(|name| name.parse().ok());
            let state = decode(&message.payload, OBSERVED_STATE).ok();
            std::future::ready(device.zip(state))
        }))
    }

    async fn subscribe(
        &self,
        subject: String,
        queue: Option<&str>,
    ) -> Result<async_nats::Subscriber, SubscribeFailed> {
        let client = &self.connection.client;
        let subscribed = match queue {
            Some(queue) => {
                client
                    .queue_subscribe(subject.clone(), queue.to_owned())
                    .await
            }
            None => client.subscribe(subject.clone()).await,
        };
        subscribed.map_err(|source| SubscribeFailed { subject, source })
    }
}

fn decode_heartbeat(message: &Message, tenant: &TenantId) -> Option<(DeviceId, Heartbeat)> {
    let device = subjects::device_of(&message.subject, tenant)?;
    match decode(&message.payload, DEVICE_MESSAGE) {
        Ok(heartbeat) => Some((device, heartbeat)),
        Err(error) => {
            tracing::debug!(%device, %error, "dropped an invalid heartbeat");
            None
        }
    }
}

/// A registration to answer.
#[derive(Debug)]
pub struct RegistrationRequest {
    /// The device, from the subject.
    pub device: DeviceId,
    pub registration: Registration,
    reply: Subject,
    client: Client,
}

impl RegistrationRequest {
    pub async fn answer(self, reply: &RegistrationReply) {
        publish(&self.client, self.reply, reply).await;
    }

    async fn read(device: DeviceId, message: Message, client: Client) -> Option<Self> {
        let reply = message.reply?;
        match decode(&message.payload, DEVICE_MESSAGE) {
            Ok(registration) => Some(Self {
                device,
                registration,
                reply,
                client,
            }),
            Err(error) => {
                tracing::warn!(%device, %error, "refused an invalid registration");
                let refusal = RegistrationReply::refused(
                    RefusalReason::Malformed,
                    error.to_string(),
                    RETRY_MALFORMED_SECONDS,
                );
                publish(&client, reply, &refusal).await;
                None
            }
        }
    }
}

/// A request for a page of the device list to answer.
#[derive(Debug)]
pub struct ListRequest {
    pub request: ListDevices,
    reply: Subject,
    client: Client,
}

impl ListRequest {
    pub async fn answer(self, page: &DeviceListing) {
        publish(&self.client, self.reply, page).await;
    }

    fn read(message: Message, client: Client) -> Option<Self> {
        let reply = message.reply?;
        // Invalid requests are treated as requests for the first page.
        let request = decode(&message.payload, DEVICE_MESSAGE)
            .unwrap_or_else(|_| ListDevices::page_after(None));
        Some(Self {
            request,
            reply,
            client,
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot subscribe to `{subject}`")]
pub struct SubscribeFailed {
    pub subject: String,
    #[source]
    pub source: async_nats::SubscribeError,
}

/// Publishes without an error: the peer has a timeout for lost messages.
async fn publish(client: &Client, subject: Subject, message: &impl Serialize) {
    match serde_json::to_vec(message) {
        Ok(payload) => {
            if let Err(error) = client.publish(subject.clone(), payload.into()).await {
                tracing::warn!(%subject, %error, "could not send a message");
            }
        }
        Err(error) => tracing::error!(%subject, %error, "could not encode a message"),
    }
}
