//! A connection to NATS.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event};
use harmony_fleet_domain::LinkError;
use secrecy::ExposeSecret;
use tokio::sync::watch;

use crate::{NatsAuth, NatsOptions};

/// A NATS connection that reconnects automatically. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct NatsConnection {
    pub(crate) client: Client,
    pub(crate) request_timeout: Duration,
    servers: String,
    link: watch::Receiver<Link>,
}

/// The events of the client.
#[derive(Debug, Clone, Copy, Default)]
struct Link {
    /// How often the connection was established.
    ups: u64,
    up: bool,
}

impl NatsConnection {
    /// Connects or fails, for tools whose users wait. Each server is tried once.
    pub async fn connect(options: &NatsOptions) -> Result<Self, NatsConnectError> {
        let (connect, link) = client_options(options);
        Self::finish(options, connect, link).await
    }

    /// Returns immediately and connects in the background without a time limit, for services. Wrong credentials are
    /// retried too, because they can be fixed on the server. The only error is an invalid list of servers.
    pub async fn connect_in_background(options: &NatsOptions) -> Result<Self, NatsConnectError> {
        let (connect, link) = client_options(options);
        Self::finish(options, connect.retry_on_initial_connect(), link).await
    }

    async fn finish(
        options: &NatsOptions,
        connect: ConnectOptions,
        link: watch::Receiver<Link>,
    ) -> Result<Self, NatsConnectError> {
        let client = connect
            .connect(options.servers.addresses())
            .await
            .map_err(|error| NatsConnectError::from_client(error, options))?;
        Ok(Self {
            client,
            request_timeout: options.request_timeout,
            servers: options.servers.to_string(),
            link,
        })
    }

    /// Refuses to queue messages: they would be outdated when the connection is back.
    pub(crate) fn check_up(&self) -> Result<(), LinkError> {
        if self.is_up() {
            return Ok(());
        }
        Err(LinkError::NotConnected {
            url: self.servers().to_owned(),
        })
    }

    /// Returns true if the connection is currently established.
    pub fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// How often the connection was established.
    pub fn established(&self) -> u64 {
        self.link.borrow().ups
    }

    /// Returns when the connection is established the next time.
    pub async fn reconnected(&self) {
        let before = self.link.borrow().ups;
        self.until(|link| link.ups > before).await;
    }

    /// Returns when the connection has been established at least once.
    pub async fn came_up(&self) {
        self.until(|link| link.ups > 0).await;
    }

    /// Returns when the connection is established.
    pub async fn up(&self) {
        self.until(|link| link.up).await;
    }

    /// Returns when the connection is lost.
    pub async fn down(&self) {
        self.until(|link| !link.up).await;
    }

    async fn until(&self, reached: impl FnMut(&Link) -> bool) {
        if self.link.clone().wait_for(reached).await.is_err() {
            // The client no longer exists, so nothing will change.
            std::future::pending::<()>().await;
        }
    }

    /// The servers, for messages.
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// Sends all published messages within `limit`, before a program exits.
    pub async fn flush_within(&self, limit: Duration) {
        if self.is_up()
            && !matches!(
                tokio::time::timeout(limit, self.client.flush()).await,
                Ok(Ok(()))
            )
        {
            tracing::debug!("the last messages may not have been sent");
        }
    }
}

fn client_options(options: &NatsOptions) -> (ConnectOptions, watch::Receiver<Link>) {
    let (sender, link) = watch::channel(Link::default());
    let backoff = options.reconnect;
    let servers = options.servers.to_string();
    // While a server is unavailable, each attempt fails in the same way. The error is logged once, so that a device
    // that is offline for a month does not fill its disk.
    let last_trouble = Arc::new(Mutex::new(String::new()));
    let mut connect = ConnectOptions::new()
        .name(&options.name)
        .connection_timeout(options.connect_timeout)
        .request_timeout(Some(options.request_timeout))
        .ping_interval(options.ping_interval)
        .max_reconnects(None)
        .reconnect_delay_callback(move |attempts| match attempts {
            // The first attempt of a program, and the first after a success.
            0 | 1 => Duration::ZERO,
            later => backoff.wait(u32::try_from(later - 1).unwrap_or(u32::MAX)),
        })
        .event_callback(move |event| {
            let (sender, servers, last_trouble) =
                (sender.clone(), servers.clone(), last_trouble.clone());
            async move {
                let mut last = last_trouble.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Event::Connected => {
                        tracing::info!(%servers, "connected to NATS");
                        last.clear();
                        sender.send_modify(|link| {
                            link.ups += 1;
                            link.up = true;
                        });
                    }
                    Event::Disconnected => {
                        tracing::warn!(%servers, "lost the connection to NATS; reconnecting");
                        sender.send_modify(|link| link.up = false);
                    }
                    Event::ServerError(_) | Event::ClientError(_) | Event::SlowConsumer(_) => {
                        let trouble = event.to_string();
                        if *last != trouble {
                            tracing::warn!(%servers, trouble, "NATS reported an error");
                            *last = trouble;
                        }
                    }
                    other => tracing::debug!(%servers, event = %other, "NATS"),
                }
            }
        });
    if let Some(prefix) = &options.inbox_prefix {
        connect = connect.custom_inbox_prefix(prefix);
    }
    if let Some(authority) = &options.authority {
        // Even if the address does not require it: nothing is sent to a server that cannot prove its identity.
        connect = connect
            .require_tls(true)
            .tls_client_config(authority.client_config());
    }
    if let NatsAuth::UserPassword { user, password } = &options.auth {
        connect = connect.user_and_password(user.clone(), password.expose_secret().to_owned());
    }
    (connect, link)
}

/// The reason why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum NatsConnectError {
    /// The server rejected the client.
    #[error("NATS at `{servers}` rejected {who}")]
    Refused {
        servers: String,
        who: String,
        #[source]
        source: async_nats::ConnectError,
    },
    /// The server is not the fleet's NATS.
    #[error("the server at `{servers}` cannot prove that it is the fleet's NATS")]
    Untrusted {
        servers: String,
        /// The problem with its certificate.
        #[source]
        source: rustls::Error,
    },
    #[error("cannot reach NATS at `{servers}`")]
    Unreachable {
        servers: String,
        #[source]
        source: async_nats::ConnectError,
    },
}

impl NatsConnectError {
    fn from_client(source: async_nats::ConnectError, options: &NatsOptions) -> Self {
        let servers = options.servers.to_string();
        if let Some(source) = tls_error(&source) {
            return Self::Untrusted { servers, source };
        }
        match source.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                Self::Refused {
                    servers,
                    who: options.auth.who(),
                    source,
                }
            }
            _ => Self::Unreachable { servers, source },
        }
    }
}

/// The TLS error within an error of the client library.
fn tls_error(error: &(dyn std::error::Error + 'static)) -> Option<rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found.clone());
        }
        // An I/O error holds the error that it was made of, and names only what is below that as its source.
        let held = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        next = match held {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    None
}
