//! The certificates of the node. There are two authorities, one for the cluster and one that only etcd trusts, so that
//! no user of the cluster can bypass the API server and access the database.
//!
//! A record next to the certificates contains how each one was made and when it expires. A certificate is made again if
//! its specification has changed, if it expires within a month, or if its files have changed. A kill between two files
//! leaves an outdated record, which has the same effect.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use serde::{Deserialize, Serialize};

use super::config::{Layout, LocalNodeConfig};
use super::error::LocalNodeError;
use super::files::{self, Access};

/// Signs the certificates of the users and servers of the cluster.
pub(super) const CLUSTER_CA: &str = "ca";
/// Signs the certificates of etcd and its only client.
pub(super) const ETCD_CA: &str = "etcd-ca";
/// The key pair for service account tokens; not a certificate.
pub(super) const SERVICE_ACCOUNT: &str = "service-account";

const RECORD: &str = "issued.json";

const CA_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 365;
/// A certificate that expires sooner is renewed by the next `up`. An authority must outlive the certificates that it
/// signs.
const RENEW_LEAF_DAYS: i64 = 30;
const RENEW_CA_DAYS: i64 = LEAF_DAYS + RENEW_LEAF_DAYS;

/// The specification of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    name: &'static str,
    issuer: &'static str,
    user: String,
    group: Option<&'static str>,
    /// Empty for the certificate of a client.
    dns_names: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Wish {
    fn client(name: &'static str, user: impl Into<String>, group: Option<&'static str>) -> Self {
        Self {
            name,
            issuer: CLUSTER_CA,
            user: user.into(),
            group,
            dns_names: Vec::new(),
            addresses: Vec::new(),
        }
    }

    fn fingerprint(&self, authority: &str) -> String {
        files::fingerprint([format!("{self:?}").as_bytes(), authority.as_bytes()])
    }
}

fn wishes(config: &LocalNodeConfig) -> Vec<Wish> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let node = IpAddr::V4(config.address);
    vec![
        Wish {
            dns_names: [
                "localhost",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
            ]
            .into_iter()
            .map(str::to_owned)
            .chain(["kubernetes.default.svc.cluster.local".to_owned()])
            .collect(),
            addresses: vec![loopback, node, config.api_service_address().into()],
            ..Wish::client("kube-apiserver", "kube-apiserver", None)
        },
        Wish::client("admin", "local-admin", Some("system:masters")),
        Wish::client(
            "kube-apiserver-kubelet-client",
            "kube-apiserver-kubelet-client",
            Some("system:masters"),
        ),
        Wish::client(
            "kube-controller-manager",
            "system:kube-controller-manager",
            None,
        ),
        Wish::client("kube-scheduler", "system:kube-scheduler", None),
        Wish::client("kube-proxy", "system:kube-proxy", None),
        Wish {
            dns_names: vec![config.name.clone()],
            addresses: vec![node],
            ..Wish::client(
                "kubelet",
                format!("system:node:{}", config.name),
                Some("system:nodes"),
            )
        },
        Wish {
            issuer: ETCD_CA,
            dns_names: vec!["localhost".to_owned()],
            addresses: vec![loopback],
            ..Wish::client("etcd", "etcd", None)
        },
        Wish {
            issuer: ETCD_CA,
            ..Wish::client("etcd-client", "kube-apiserver", None)
        },
    ]
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    certificates: BTreeMap<String, Issued>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Issued {
    wish: String,
    not_after: Timestamp,
    /// The digest of the key and the certificate as they were written.
    #[serde(default)]
    files: Option<String>,
}

impl Issued {
    fn holds(&self, wish: &str, now: Timestamp, renew_days: i64) -> bool {
        self.wish == wish && days_after(now, renew_days) < self.not_after
    }
}

fn days_after(from: Timestamp, days: i64) -> Timestamp {
    from.checked_add((days * 24).hours())
        .unwrap_or(Timestamp::MAX)
}

/// Makes every key and certificate that is missing, differs from its specification, or expires soon.
pub(super) fn ensure(config: &LocalNodeConfig, now: Timestamp) -> Result<(), LocalNodeError> {
    let layout = config.layout();
    files::create_private_dir(&layout.pki(""))?;
    let mut record: Record = fs::read(layout.pki(RECORD))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let mut authorities = BTreeMap::new();
    for name in [CLUSTER_CA, ETCD_CA] {
        let wish = files::fingerprint([b"authority", name.as_bytes()]);
        if !is_current(&layout, &record, name, &wish, now, RENEW_CA_DAYS) {
            let not_after = days_after(now, CA_DAYS);
            issue_authority(&layout, name, now, not_after)?;
            note(&layout, &mut record, name, wish, not_after)?;
        }
        authorities.insert(name, read_pem(&layout.pki(&format!("{name}.crt")))?);
    }
    for wish in wishes(config) {
        let authority = authorities
            .get(wish.issuer)
            .map(String::as_str)
            .unwrap_or_default();
        let fingerprint = wish.fingerprint(authority);
        if !is_current(
            &layout,
            &record,
            wish.name,
            &fingerprint,
            now,
            RENEW_LEAF_DAYS,
        ) {
            let not_after = days_after(now, LEAF_DAYS);
            issue(&layout, &wish, now, not_after)?;
            note(&layout, &mut record, wish.name, fingerprint, not_after)?;
        }
    }
    ensure_service_account_key(&layout)
}

fn is_current(
    layout: &Layout,
    record: &Record,
    name: &str,
    wish: &str,
    now: Timestamp,
    renew_days: i64,
) -> bool {
    record.certificates.get(name).is_some_and(|issued| {
        issued.holds(wish, now, renew_days)
            && match &issued.files {
                Some(written) => pair_digest(layout, name).as_ref() == Some(written),
                // A record of an earlier version of Harmony.
                None => is_pair(layout, name),
            }
    })
}

/// The digest of the files of a key and its certificate; `None` if one cannot be read.
fn pair_digest(layout: &Layout, name: &str) -> Option<String> {
    let read = |kind: &str| fs::read(layout.pki(&format!("{name}.{kind}"))).ok();
    let (key, certificate) = (read("key")?, read("crt")?);
    Some(files::fingerprint([key.as_slice(), certificate.as_slice()]))
}

/// Returns true if the certificate contains the public half of the key.
fn is_pair(layout: &Layout, name: &str) -> bool {
    use base64::Engine as _;
    let read = |kind: &str| read_pem(&layout.pki(&format!("{name}.{kind}"))).ok();
    let public = read("key")
        .and_then(|pem| KeyPair::from_pem(&pem).ok())
        .map(|key| key.public_key_raw().to_vec());
    let certificate = read("crt").and_then(|pem| {
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        base64::engine::general_purpose::STANDARD.decode(body).ok()
    });
    let (Some(public), Some(certificate)) = (public, certificate) else {
        return false;
    };
    certificate
        .windows(public.len())
        .any(|window| window == public)
}

fn note(
    layout: &Layout,
    record: &mut Record,
    name: &str,
    wish: String,
    not_after: Timestamp,
) -> Result<(), LocalNodeError> {
    record.certificates.insert(
        name.to_owned(),
        Issued {
            wish,
            not_after,
            files: pair_digest(layout, name),
        },
    );
    let json = serde_json::to_vec_pretty(record).unwrap_or_default();
    files::write_if_changed(&layout.pki(RECORD), &json, Access::Secret).map(drop)
}

fn issue_authority(
    layout: &Layout,
    name: &str,
    now: Timestamp,
    not_after: Timestamp,
) -> Result<(), LocalNodeError> {
    let failed = |source| LocalNodeError::Certificate {
        name: name.to_owned(),
        source,
    };
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = authority_params(name);
    set_validity(&mut params, now, not_after);
    let certificate = params.self_signed(&key).map_err(failed)?;
    write_pair(layout, name, &key, &certificate.pem())
}

/// The properties of an authority that are repeated in the certificates it signs: its name and its key usages.
fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(&format!("harmony local node {name}"), None);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}

fn issue(
    layout: &Layout,
    wish: &Wish,
    now: Timestamp,
    not_after: Timestamp,
) -> Result<(), LocalNodeError> {
    let failed = |source| LocalNodeError::Certificate {
        name: wish.name.to_owned(),
        source,
    };
    let authority_key = KeyPair::from_pem(&read_pem(&layout.pki(&format!("{}.key", wish.issuer)))?)
        .map_err(failed)?;
    let issuer = Issuer::new(authority_params(wish.issuer), authority_key);
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new(wish.dns_names.clone()).map_err(failed)?;
    params
        .subject_alt_names
        .extend(wish.addresses.iter().copied().map(SanType::IpAddress));
    params.distinguished_name = distinguished_name(&wish.user, wish.group);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if !wish.addresses.is_empty() {
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now, not_after);
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    write_pair(layout, wish.name, &key, &certificate.pem())
}

fn ensure_service_account_key(layout: &Layout) -> Result<(), LocalNodeError> {
    let failed = |source| LocalNodeError::Certificate {
        name: SERVICE_ACCOUNT.to_owned(),
        source,
    };
    let (private, public) = (
        layout.pki(&format!("{SERVICE_ACCOUNT}.key")),
        layout.pki(&format!("{SERVICE_ACCOUNT}.pub")),
    );
    let kept = fs::read_to_string(&private)
        .ok()
        .and_then(|pem| KeyPair::from_pem(&pem).ok());
    let key = match kept {
        Some(key) => key,
        None => KeyPair::generate().map_err(failed)?,
    };
    files::write_if_changed(&private, key.serialize_pem().as_bytes(), Access::Secret)?;
    files::write_if_changed(&public, key.public_key_pem().as_bytes(), Access::Public)?;
    Ok(())
}

fn write_pair(
    layout: &Layout,
    name: &str,
    key: &KeyPair,
    certificate: &str,
) -> Result<(), LocalNodeError> {
    files::write_if_changed(
        &layout.pki(&format!("{name}.key")),
        key.serialize_pem().as_bytes(),
        Access::Secret,
    )?;
    files::write_if_changed(
        &layout.pki(&format!("{name}.crt")),
        certificate.as_bytes(),
        Access::Public,
    )?;
    Ok(())
}

pub(super) fn read_pem(path: &Path) -> Result<String, LocalNodeError> {
    fs::read_to_string(path).map_err(LocalNodeError::file("read", path))
}

fn distinguished_name(user: &str, group: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, user);
    if let Some(group) = group {
        name.push(DnType::OrganizationName, group);
    }
    name
}

/// In whole days, starting on the day before, so that setting back the clock a little does not invalidate the
/// certificates.
fn set_validity(params: &mut CertificateParams, now: Timestamp, not_after: Timestamp) {
    let day = |timestamp: Timestamp| {
        let date = Zoned::new(timestamp, TimeZone::UTC).date();
        rcgen::date_time_ymd(
            i32::from(date.year()),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        )
    };
    params.not_before = day(days_after(now, -1));
    params.not_after = day(not_after);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn config(folder: &Path) -> LocalNodeConfig {
        LocalNodeConfig {
            state_dir: folder.join("node"),
            ..LocalNodeConfig::default()
        }
    }

    fn snapshot(config: &LocalNodeConfig) -> BTreeMap<String, String> {
        fs::read_dir(config.layout().pki(""))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                (
                    path.file_name().unwrap().to_str().unwrap().to_owned(),
                    read_pem(&path).unwrap(),
                )
            })
            .collect()
    }

    fn changed(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
        after
            .iter()
            .filter(|(name, pem)| {
                name.strip_suffix(".crt").is_some() && before.get(*name) != Some(pem)
            })
            .map(|(name, _)| name.clone())
            .collect()
    }

    #[test]
    fn keys_are_private_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let now = Timestamp::now();
        ensure(&config, now).unwrap();
        let first = snapshot(&config);
        assert_eq!(
            first
                .keys()
                .filter(|name| name.strip_suffix(".key").is_some())
                .count(),
            12
        );
        for name in first
            .keys()
            .filter(|name| name.strip_suffix(".key").is_some())
        {
            let mode = fs::metadata(config.layout().pki(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o777;
            assert_eq!(mode, 0o600, "{name}");
        }
        ensure(&config, now).unwrap();
        assert_eq!(snapshot(&config), first);
    }

    #[test]
    fn what_ends_soon_or_differs_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        let now = Timestamp::now();
        ensure(&config, now).unwrap();
        let first = snapshot(&config);

        ensure(&config, days_after(now, LEAF_DAYS - RENEW_LEAF_DAYS + 1)).unwrap();
        let renewed = snapshot(&config);
        let names = changed(&first, &renewed);
        assert_eq!(names.len(), 9, "{names:?}");
        assert!(!names.contains(&"ca.crt".to_owned()));

        config.address = Ipv4Addr::new(10, 98, 0, 1);
        ensure(&config, days_after(now, LEAF_DAYS - RENEW_LEAF_DAYS + 1)).unwrap();
        let moved = snapshot(&config);
        assert_eq!(
            changed(&renewed, &moved),
            ["kube-apiserver.crt", "kubelet.crt"]
        );

        fs::remove_file(config.layout().pki("issued.json")).unwrap();
        ensure(&config, now).unwrap();
        assert_eq!(
            changed(&moved, &snapshot(&config)).len(),
            11,
            "without its record nothing is trusted"
        );
    }

    #[test]
    fn damaged_files_are_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let now = Timestamp::now();
        ensure(&config, now).unwrap();
        let flip = |name: &str| {
            let path = config.layout().pki(name);
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
            fs::write(path, bytes).unwrap();
        };
        let empty = |name: &str| fs::write(config.layout().pki(name), "").unwrap();
        for (damage, renewed) in [
            (Box::new(|| empty("ca.crt")) as Box<dyn Fn()>, 8),
            (Box::new(|| empty("ca.key")), 8),
            (Box::new(|| flip("etcd-ca.crt")), 3),
            (Box::new(|| flip("admin.crt")), 1),
            (Box::new(|| flip("kubelet.key")), 1),
            (Box::new(|| empty("service-account.key")), 0),
            (Box::new(|| empty("service-account.pub")), 0),
            (Box::new(|| empty("issued.json")), 11),
        ] {
            let before = snapshot(&config);
            damage();
            ensure(&config, now).unwrap();
            let after = snapshot(&config);
            assert_eq!(changed(&before, &after).len(), renewed);
            assert!(after.values().all(|content| !content.is_empty()));
            ensure(&config, now).unwrap();
            assert_eq!(snapshot(&config), after);
        }
    }

    #[test]
    fn records_without_digests_are_still_checked() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let layout = config.layout();
        ensure(&config, Timestamp::now()).unwrap();
        assert!(is_pair(&layout, "admin"));
        fs::copy(layout.pki("kubelet.crt"), layout.pki("admin.crt")).unwrap();
        assert!(!is_pair(&layout, "admin"));
        fs::write(layout.pki("admin.crt"), "").unwrap();
        assert!(!is_pair(&layout, "admin"));
    }
}
