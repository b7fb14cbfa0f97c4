//! The environment variables for the settings of the fleet. The deploy sets them, the programs of the fleet read them,
//! and error messages refer to them.

/// The NATS servers, separated by commas.
pub const NATS_URL: &str = "FLEET_NATS_URL";
/// The NATS user.
pub const NATS_USER: &str = "FLEET_NATS_USER";
/// The NATS password.
pub const NATS_PASSWORD: &str = "FLEET_NATS_PASSWORD";
/// A file with the NATS password in its first line.
pub const NATS_PASSWORD_FILE: &str = "FLEET_NATS_PASSWORD_FILE";
/// A PEM file with the certificate authority of NATS. If set, connections are encrypted.
pub const NATS_CA_FILE: &str = "FLEET_NATS_CA_FILE";
/// The name in the certificate of NATS, if it is not the host of its address.
pub const NATS_SERVER_NAME: &str = "FLEET_NATS_SERVER_NAME";
/// The tenant of the devices.
pub const TENANT: &str = "FLEET_TENANT";

/// Agent: the id of the device.
pub const DEVICE_ID: &str = "FLEET_DEVICE_ID";
/// Agent: the labels of the device, as `key=value` pairs separated by commas.
pub const LABELS: &str = "FLEET_LABELS";
/// Agent: seconds between two heartbeats.
pub const HEARTBEAT_SECONDS: &str = "FLEET_HEARTBEAT_SECONDS";
/// Agent: the state directory.
pub const STATE_DIR: &str = "FLEET_STATE_DIR";

/// Agent: the socket of podman.
pub const PODMAN_SOCKET: &str = "FLEET_PODMAN_SOCKET";

/// Operator: the Kubernetes namespace of the `Device` resources.
pub const NAMESPACE: &str = "FLEET_NAMESPACE";
/// Operator: the address of its health endpoints.
pub const HEALTH_ADDR: &str = "FLEET_HEALTH_ADDR";
/// Operator: seconds between two full reads of the registry.
pub const RESYNC_SECONDS: &str = "FLEET_RESYNC_SECONDS";
/// Operator: the silence in seconds after which a device is removed.
pub const FORGET_AFTER_SECONDS: &str = "FLEET_FORGET_AFTER_SECONDS";

/// Tools: the file with the address and password of the fleet.
pub const CONTEXT: &str = "FLEET_CONTEXT";
