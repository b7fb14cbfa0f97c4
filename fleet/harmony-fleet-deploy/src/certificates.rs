//! The certificate of the fleet's NATS and its certificate authority: created once, stored in the cluster, and read from
//! there.
//!
//! Authority and certificate are created together, and the key of the authority is not stored, so nobody can sign another
//! certificate that the clients would trust. Both are replaced together: by a deploy in their last year, or if the Secret
//! is damaged or was deleted. Clients read the file of the authority again if a server does not match it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use harmony::core::capability::KubernetesCluster;
use harmony::core::capability::kubernetes_cluster::ClusterError;
use harmony::core::codes;
use harmony::core::diagnostic::{Diagnostic, Origin};
use harmony::core::kubernetes::{KubeObject, ObjectError, ObjectRef};
use harmony::core::outcome::{Action, Change};
use harmony::core::owner::Owner;
use harmony::types::Namespace;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{RootCertStore, sign::CertifiedKey};

use crate::credentials::{data_of, secret_ref};
use crate::place;

/// The Secret with the certificate, its key, and the certificate of the authority.
pub const SECRET: &str = "fleet-nats-tls";
/// The authority's certificate in the Secret.
pub(crate) const AUTHORITY: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

const YEARS: i16 = 10;
/// A certificate that ends within this time is replaced by the next deploy.
const RENEW_DAYS: u64 = 365;

/// The certificate of the fleet's NATS without its key, and its authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetCertificates {
    /// The certificate of the authority, in PEM format.
    pub authority: String,
    /// The certificate of NATS, in PEM format.
    pub certificate: String,
}

/// The content of the Secret.
type Data = BTreeMap<String, Vec<u8>>;

impl FleetCertificates {
    /// Returns the stored certificate. Creates it if there is none, or if it cannot be used for another year. Of two
    /// simultaneous first deploys, one creates it and the other one reads it.
    ///
    /// # Errors
    /// The cluster could not be queried, or no certificate could be created.
    pub async fn get_or_create(
        cluster: &dyn KubernetesCluster,
        owner: &Owner,
        namespace: &Namespace,
        now: Timestamp,
    ) -> Result<(Self, Change), CertificatesError> {
        let proposed = object(namespace, make(namespace, now)?)?;
        let (stored, change) = cluster.get_or_create(owner, &proposed).await?;
        if let Some(kept) = usable(&data_of(stored.clone())?, namespace, now) {
            return Ok((kept, change));
        }
        // Deleted and created again, so that two simultaneous deploys use the same one.
        cluster.delete_observed(&stored).await?;
        let (stored, _) = cluster.get_or_create(owner, &proposed).await?;
        // A plan still finds the old one.
        let made = match usable(&data_of(stored)?, namespace, now) {
            Some(stored) => stored,
            None => Self::of(&data_of(proposed)?),
        };
        Ok((made, Change::new(Action::Update, reference(namespace))))
    }

    /// The stored certificate; `None` if there is none yet, as in a plan for a new cluster.
    ///
    /// # Errors
    /// The cluster could not be queried, or has something else under that name.
    pub async fn read(
        cluster: &dyn KubernetesCluster,
        namespace: &Namespace,
    ) -> Result<Option<Self>, ClusterError> {
        let stored = cluster.get(&reference(namespace)).await?;
        let data = stored.map(data_of).transpose()?;
        Ok(data.map(|data| Self::of(&data)))
    }

    fn of(data: &Data) -> Self {
        let text = |key: &str| {
            let bytes = data.get(key).map(Vec::as_slice).unwrap_or_default();
            String::from_utf8_lossy(bytes).into_owned()
        };
        Self {
            authority: text(AUTHORITY),
            certificate: text(CERTIFICATE),
        }
    }
}

/// The Secret with the certificate of a fleet in this namespace.
pub fn reference(namespace: &Namespace) -> ObjectRef {
    secret_ref(namespace, SECRET)
}

/// The names of NATS within the cluster.
fn names(namespace: &Namespace) -> [String; 4] {
    let name = place::NATS;
    [
        name.to_owned(),
        format!("{name}.{namespace}"),
        format!("{name}.{namespace}.svc"),
        place::nats_host(namespace),
    ]
}

/// The stored certificate, if a client would accept it for another year.
fn usable(data: &Data, namespace: &Namespace, now: Timestamp) -> Option<FleetCertificates> {
    let certificates = |key: &str| {
        CertificateDer::pem_slice_iter(data.get(key)?)
            .collect::<Result<Vec<_>, _>>()
            .ok()
    };
    let mut roots = RootCertStore::empty();
    for root in certificates(AUTHORITY)? {
        roots.add(root).ok()?;
    }
    let chain = certificates(CERTIFICATE)?;
    let (leaf, intermediates) = chain.split_first()?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = verifier.build().ok()?;
    let seconds = u64::try_from(now.as_second()).ok()?;
    let later = Duration::from_secs(seconds + RENEW_DAYS * 24 * 60 * 60);
    for name in names(namespace) {
        let name = ServerName::try_from(name).ok()?;
        let at = UnixTime::since_unix_epoch(later);
        verifier
            .verify_server_cert(leaf, intermediates, &name, &[], at)
            .ok()?;
    }
    let key = PrivateKeyDer::from_pem_slice(data.get(KEY)?).ok()?;
    // Refuses a key that does not match the certificate.
    CertifiedKey::from_der(chain, key, &provider).ok()?;
    Some(FleetCertificates::of(data))
}

/// A new authority and a certificate signed by it.
fn make(namespace: &Namespace, now: Timestamp) -> Result<Data, rcgen::Error> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    set_validity(&mut authority, now);
    // Contains the date, because two authorities with the same name would be confused.
    let day = now.strftime("%Y-%m-%d");
    authority.distinguished_name.push(
        DnType::CommonName,
        format!("{} of {namespace}, {day}", place::NATS),
    );
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_certificate = authority.self_signed(&authority_key)?;

    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(names(namespace))?;
    set_validity(&mut server, now);
    server
        .distinguished_name
        .push(DnType::CommonName, place::NATS);
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let certificate = server.signed_by(&key, &Issuer::new(authority, authority_key))?;
    Ok([
        (AUTHORITY, authority_certificate.pem()),
        (CERTIFICATE, certificate.pem()),
        (KEY, key.serialize_pem()),
    ]
    .map(|(name, pem)| (name.to_owned(), pem.into_bytes()))
    .into())
}

/// Valid from the day before, for clocks that are slow.
fn set_validity(params: &mut CertificateParams, now: Timestamp) {
    let today = now.to_zoned(TimeZone::UTC).date();
    let day = |date: jiff::civil::Date| {
        let (year, month) = (i32::from(date.year()), date.month().unsigned_abs());
        rcgen::date_time_ymd(year, month, date.day().unsigned_abs())
    };
    params.not_before = day(today.saturating_sub(1.day()));
    params.not_after = day(today.saturating_add(YEARS.years()));
}

fn object(namespace: &Namespace, data: Data) -> Result<KubeObject, ObjectError> {
    let data = data.into_iter().map(|(key, pem)| (key, ByteString(pem)));
    KubeObject::new(&Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.into()),
            namespace: Some(namespace.to_string()),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".into()),
        data: Some(data.collect()),
        ..Secret::default()
    })
}

/// An error of creating the certificate of NATS.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// The cluster failed.
    #[error("cannot store the certificate of {} in the cluster", place::NATS)]
    Cluster(#[from] ClusterError),
    /// No certificate could be created.
    #[error("cannot create a certificate for {}", place::NATS)]
    Make(#[from] rcgen::Error),
}

impl Diagnostic for CertificatesError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Cluster(error) => Origin::Inner(error),
            Self::Make(_) => Origin::Own(codes::FLEET_CERTIFICATE),
        }
    }
}

impl From<ObjectError> for CertificatesError {
    fn from(error: ObjectError) -> Self {
        Self::Cluster(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace() -> Namespace {
        "fleet".parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_was_made_is_kept_until_its_last_year() {
        let data = make(&namespace(), at("2026-02-28T23:59:59Z")).unwrap();
        let usable = |now: &str| usable(&data, &namespace(), at(now));
        let kept = usable("2026-02-28T00:00:00Z").unwrap();
        assert_eq!(usable("2035-01-01T00:00:00Z"), Some(kept));
        assert_eq!(usable("2035-06-01T00:00:00Z"), None);
    }

    #[test]
    fn what_a_client_would_refuse_is_not_kept() {
        let now = at("2026-06-01T00:00:00Z");
        let good = make(&namespace(), now).unwrap();
        let other = make(&namespace(), now).unwrap();
        for key in [AUTHORITY, CERTIFICATE, KEY] {
            for damage in [
                None,
                Some(Vec::new()),
                Some(b"not PEM".to_vec()),
                Some(good[key][..60].to_vec()),
                Some(other[key].clone()),
            ] {
                let mut data = good.clone();
                let shown = format!("{key}: {damage:?}");
                match damage {
                    Some(bytes) => drop(data.insert(key.to_owned(), bytes)),
                    None => drop(data.remove(key)),
                }
                assert_eq!(usable(&data, &namespace(), now), None, "{shown}");
            }
        }
        let elsewhere: Namespace = "other".parse().unwrap();
        assert_eq!(usable(&good, &elsewhere, now), None);
    }

    #[test]
    fn the_authoritys_key_is_not_kept_and_no_key_is_shown() {
        let data = make(&namespace(), at("2026-06-01T00:00:00Z")).unwrap();
        let keys: Vec<_> = data
            .iter()
            .filter(|(_, pem)| String::from_utf8_lossy(pem).contains("PRIVATE KEY"))
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(keys, [KEY]);
        let key = String::from_utf8_lossy(&data[KEY]).into_owned();
        let line = key.lines().nth(1).unwrap();
        let object = object(&namespace(), data).unwrap();
        assert!(!format!("{object:?}").contains(line));
    }
}
