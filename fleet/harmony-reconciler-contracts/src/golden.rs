//! The exact JSON of each message, and what older and newer peers may send.
//!
//! A change here is a change of the contract. Agents in the field must still be able to read the messages.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::*;

fn boot() -> BootId {
    "00000000000000ab".parse().unwrap()
}

fn info() -> DeviceInfo {
    DeviceInfo {
        agent_version: "0.1.0".into(),
        os: "linux".into(),
        arch: "x86_64".into(),
        hostname: "box".into(),
        labels: "site=lyon".parse().unwrap(),
    }
}

/// Checks that the message is written as this JSON, is read back unchanged, and is read even with unknown fields.
fn golden<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    message: &T,
    mut expected: Value,
) {
    assert_eq!(serde_json::to_value(message).unwrap(), expected);
    assert_eq!(
        &serde_json::from_value::<T>(expected.clone()).unwrap(),
        message
    );
    expected["from_the_future"] = json!({ "any": [1, "thing"] });
    assert_eq!(&serde_json::from_value::<T>(expected).unwrap(), message);
}

#[test]
fn heartbeat_is_small() {
    let heartbeat = Heartbeat {
        version: SchemaVersion::CURRENT,
        boot: boot(),
        sequence: 42,
        leaving: false,
    };
    golden(
        &heartbeat,
        json!({ "v": 1, "b": "00000000000000ab", "s": 42 }),
    );
    let largest = Heartbeat {
        sequence: u64::MAX,
        leaving: true,
        ..heartbeat
    };
    golden(
        &largest,
        json!({ "v": 1, "b": "00000000000000ab", "s": u64::MAX, "x": true }),
    );
    let bytes = serde_json::to_vec(&largest).unwrap().len();
    assert!(bytes <= Heartbeat::MAX_BYTES, "{bytes} bytes");
}

#[test]
fn registration() {
    let full = Registration {
        version: SchemaVersion::CURRENT,
        boot: boot(),
        previous_boot: Some("00000000000000aa".parse().unwrap()),
        heartbeat_seconds: HeartbeatInterval::NOMINAL,
        info: info(),
    };
    golden(
        &full,
        json!({
            "v": 1, "boot": "00000000000000ab", "previous_boot": "00000000000000aa", "heartbeat_seconds": 60,
            "info": { "agent_version": "0.1.0", "os": "linux", "arch": "x86_64", "hostname": "box",
                      "labels": { "site": "lyon" } }
        }),
    );
    let least: Registration =
        serde_json::from_value(json!({ "boot": "b", "heartbeat_seconds": 5, "info": {} })).unwrap();
    assert_eq!(least.previous_boot, None);
    assert_eq!(least.version, SchemaVersion::default());
}

#[test]
fn registration_outside_the_limits_is_refused() {
    for wrong in [
        json!({ "boot": "b", "heartbeat_seconds": 0, "info": {} }),
        json!({ "boot": "b", "heartbeat_seconds": 3601, "info": {} }),
        json!({ "boot": "B!", "heartbeat_seconds": 5, "info": {} }),
        json!({ "boot": "b", "heartbeat_seconds": 5, "info": { "labels": { "a b": "c" } } }),
        json!({ "boot": "b", "heartbeat_seconds": 5 }),
    ] {
        assert!(
            serde_json::from_value::<Registration>(wrong.clone()).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn registration_reply() {
    golden(
        &RegistrationReply::accepted(),
        json!({ "result": "accepted", "v": 1 }),
    );
    golden(
        &RegistrationReply::refused(RefusalReason::DuplicateIdentity, "two of them", 5),
        json!({ "result": "refused", "v": 1, "reason": "duplicate_identity", "detail": "two of them",
                "retry_after_seconds": 5 }),
    );
    let newer: RegistrationReply = serde_json::from_value(
        json!({ "result": "refused", "reason": "bad_moon", "detail": "", "retry_after_seconds": 1 }),
    )
    .unwrap();
    assert!(matches!(
        newer,
        RegistrationReply::Refused {
            reason: RefusalReason::Other,
            ..
        }
    ));
}

#[test]
fn command() {
    golden(
        &Command::ping(3),
        json!({ "command": "ping", "v": 1, "sequence": 3 }),
    );
    golden(
        &Command::register(),
        json!({ "command": "register", "v": 1 }),
    );
    assert_eq!(
        serde_json::from_value::<Command>(json!({ "command": "reboot", "delay": 5 })).unwrap(),
        Command::Unknown(UnknownTag {
            command: "reboot".into()
        })
    );
    assert!(serde_json::from_value::<Command>(json!({ "no": "command" })).is_err());
}

#[test]
fn command_reply() {
    let reply = |outcome| CommandReply {
        version: SchemaVersion::CURRENT,
        boot: boot(),
        outcome,
    };
    golden(
        &reply(CommandOutcome::Pong {
            sequence: 3,
            agent_version: "0.1.0".into(),
        }),
        json!({ "v": 1, "boot": "00000000000000ab", "outcome": "pong", "sequence": 3, "agent_version": "0.1.0" }),
    );
    golden(
        &reply(CommandOutcome::Registering),
        json!({ "v": 1, "boot": "00000000000000ab", "outcome": "registering" }),
    );
    golden(
        &reply(CommandOutcome::Failed {
            error: CommandError::Unsupported {
                command: "reboot".into(),
            },
        }),
        json!({ "v": 1, "boot": "00000000000000ab", "outcome": "failed",
                "error": { "kind": "unsupported", "command": "reboot" } }),
    );
    let newer: CommandReply =
        serde_json::from_value(json!({ "boot": "b", "outcome": "queued", "position": 4 })).unwrap();
    assert_eq!(newer.outcome, CommandOutcome::Unknown);
    assert_eq!(
        serde_json::from_value::<CommandError>(json!({ "kind": "tired" })).unwrap(),
        CommandError::Other
    );
}

#[test]
fn listing() {
    golden(&ListDevices::page_after(None), json!({ "v": 1 }));
    golden(
        &ListDevices::page_after(Some("pump-1".parse().unwrap())),
        json!({ "v": 1, "after": "pump-1" }),
    );
    golden(
        &DeviceListing {
            version: SchemaVersion::CURRENT,
            devices: vec![ListedDevice {
                device: "pump-1".parse().unwrap(),
                presence: PresenceWord::Online,
                last_seen_ms_ago: Some(1200),
                duplicate: false,
                info: info(),
            }],
            more: false,
            warnings: vec![],
        },
        json!({ "v": 1, "more": false, "devices": [{
            "device": "pump-1", "presence": "online", "last_seen_ms_ago": 1200, "duplicate": false,
            "info": { "agent_version": "0.1.0", "os": "linux", "arch": "x86_64", "hostname": "box",
                      "labels": { "site": "lyon" } } }] }),
    );
    assert_eq!(
        serde_json::from_value::<PresenceWord>(json!("asleep")).unwrap(),
        PresenceWord::Unknown
    );
}

#[test]
fn stored_device() {
    golden(
        &StoredDevice {
            version: SchemaVersion::CURRENT,
            device: "pump-1".parse().unwrap(),
            boot: boot(),
            heartbeat_seconds: HeartbeatInterval::NOMINAL,
            registered_at_ms: 1_700_000_000_000,
            info: info(),
        },
        json!({ "v": 1, "device": "pump-1", "boot": "00000000000000ab", "heartbeat_seconds": 60,
                "registered_at_ms": 1_700_000_000_000_i64,
                "info": { "agent_version": "0.1.0", "os": "linux", "arch": "x86_64", "hostname": "box",
                          "labels": { "site": "lyon" } } }),
    );
}

#[test]
fn a_full_page_of_the_largest_devices_fits_a_message() {
    let mut labels = Labels::default();
    for n in 0..Labels::MAX_COUNT {
        labels
            .insert(&format!("{n:0>63}"), &"v".repeat(Labels::MAX_LENGTH))
            .unwrap();
    }
    let device = ListedDevice {
        device: "d".repeat(DeviceId::MAX_LENGTH).parse().unwrap(),
        presence: PresenceWord::Offline,
        last_seen_ms_ago: Some(u64::MAX),
        duplicate: true,
        info: DeviceInfo {
            agent_version: "\"".repeat(100).into(),
            os: "\"".repeat(100).into(),
            arch: "\"".repeat(100).into(),
            hostname: "\"".repeat(100).into(),
            labels,
        },
    };
    let page = DeviceListing {
        version: SchemaVersion::CURRENT,
        devices: vec![device; DeviceListing::PAGE_SIZE],
        more: true,
        warnings: vec![],
    };
    let bytes = serde_json::to_vec(&page).unwrap().len();
    assert!(bytes < 1024 * 1024, "{bytes} bytes");
}

#[test]
fn whatever_a_peer_sends_texts_stay_short() {
    let long = "x\u{1b}".repeat(450_000);
    let refused =
        json!({ "result": "refused", "reason": "other", "detail": long, "retry_after_seconds": 1 });
    let refused: RegistrationReply = serde_json::from_value(refused).unwrap();
    assert!(serde_json::to_string(&refused).unwrap().len() < 1024);
    let command: Command = serde_json::from_value(json!({ "command": long })).unwrap();
    assert!(format!("{command:?}").len() < 256);
    for kind in ["unsupported", "malformed", "failed"] {
        let error = json!({ "kind": kind, "command": long, "detail": long });
        let error: CommandError = serde_json::from_value(error).unwrap();
        assert!(format!("{error} {error:?}").len() < 2048, "{kind}");
    }
    for message in [
        json!({ "boot": long, "heartbeat_seconds": 5, "info": {} }),
        json!({ "boot": "b", "heartbeat_seconds": 5, "info": { "labels": { "a": long } } }),
        json!({ "boot": "b", "previous_boot": long, "heartbeat_seconds": 5, "info": {} }),
    ] {
        let error = serde_json::from_value::<Registration>(message).unwrap_err();
        assert!(error.to_string().len() < 512);
    }
}
