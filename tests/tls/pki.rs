//! Authorities, and what they sign.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) pem: String,
    pub(crate) key: String,
}

/// A folder with files that are replaced as a whole.
pub(crate) struct Folder(TempDir);

// === impl Authority ===

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(name, Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Of a server that is called `localhost`.
    pub(crate) fn server(&self) -> Identity {
        let mut params = params(
            "server",
            vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        );
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    pub(crate) fn client(&self, serial: u64) -> Identity {
        self.sign(&client_params(serial))
    }

    /// Of a client, out of date.
    pub(crate) fn expired_client(&self) -> Identity {
        let mut params = client_params(1);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        self.sign(&params)
    }

    /// A list that revokes the certificates of these numbers.
    pub(crate) fn crl(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2040, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            pem: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

// === impl Folder ===

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts a file there, or another in its place.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let beside = self.path(&format!(".{name}"));
        std::fs::write(&beside, content).unwrap();
        let path = self.path(name);
        std::fs::rename(beside, &path).unwrap();
        path
    }

    /// Writes certificate and key, `NAME.pem` and `NAME.key`.
    pub(crate) fn identity(&self, name: &str, identity: &Identity) -> (PathBuf, PathBuf) {
        (
            self.write(&format!("{name}.pem"), &identity.pem),
            self.write(&format!("{name}.key"), &identity.key),
        )
    }

    /// Lets a link lead somewhere else, in one step, as a volume of Kubernetes does.
    pub(crate) fn link(&self, name: &str, to: &Path) {
        let beside = self.path(&format!(".{name}"));
        std::os::unix::fs::symlink(to, &beside).unwrap();
        std::fs::rename(beside, self.path(name)).unwrap();
    }
}

fn params(name: &str, names: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params
}

fn client_params(serial: u64) -> CertificateParams {
    let mut params = params("client", vec!["client.example.net".to_owned()]);
    params.serial_number = Some(SerialNumber::from(serial));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}
