//! The names of the fleet's settings, as environment variables: a deploy writes them, the programs of the fleet read
//! them, and error messages name them.

/// NATS servers, separated by commas.
pub const NATS_URL: &str = "FLEET_NATS_URL";
/// NATS user.
pub const NATS_USER: &str = "FLEET_NATS_USER";
/// NATS password.
pub const NATS_PASSWORD: &str = "FLEET_NATS_PASSWORD";
/// File whose first line is the NATS password.
pub const NATS_PASSWORD_FILE: &str = "FLEET_NATS_PASSWORD_FILE";
/// File with the certificates of the authority that NATS is checked by, in PEM. With one, connections are encrypted.
pub const NATS_CA_FILE: &str = "FLEET_NATS_CA_FILE";
/// The name in the certificate of NATS, where it is not the host of its address.
pub const NATS_SERVER_NAME: &str = "FLEET_NATS_SERVER_NAME";
/// The tenant whose devices these are.
pub const TENANT: &str = "FLEET_TENANT";

/// Agent: the device's name.
pub const DEVICE_ID: &str = "FLEET_DEVICE_ID";
/// Agent: the device's labels, `key=value` pairs separated by commas.
pub const LABELS: &str = "FLEET_LABELS";
/// Agent: seconds between two heartbeats.
pub const HEARTBEAT_SECONDS: &str = "FLEET_HEARTBEAT_SECONDS";
/// Agent: the folder of its state.
pub const STATE_DIR: &str = "FLEET_STATE_DIR";

/// Operator: the Kubernetes namespace of the `Device` resources.
pub const NAMESPACE: &str = "FLEET_NAMESPACE";
/// Operator: the address of its health endpoints.
pub const HEALTH_ADDR: &str = "FLEET_HEALTH_ADDR";
/// Operator: seconds between two readings of the whole registry.
pub const RESYNC_SECONDS: &str = "FLEET_RESYNC_SECONDS";
/// Operator: seconds of silence after which a device is forgotten.
pub const FORGET_AFTER_SECONDS: &str = "FLEET_FORGET_AFTER_SECONDS";

/// Tools: the file with the fleet's address and password.
pub const CONTEXT: &str = "FLEET_CONTEXT";
