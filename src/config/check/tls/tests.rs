//! What is said of each mistake.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
    KeyIdMethod, KeyPair, SerialNumber, date_time_ymd,
};

use crate::config::{Config, Fake, Loader, Problems};

const BASE: &str = "certificate: server.pem, key: server.key";

fn load(tls: &str, source: Fake) -> Result<Config, Problems> {
    let source = source.file("f.yaml", &format!("grpc: {{tls: {{{tls}}}}}"));
    Loader::new(&source).file(Some("f.yaml".into())).load()
}

/// What is wrong, a line each, without the file that says it.
fn errors(tls: &str, source: Fake) -> Vec<String> {
    let problems = load(tls, source).err().map(|problems| problems.0);
    let line = |problem: &crate::config::Problem| problem.to_string().replace(" (f.yaml)", "");
    problems.unwrap_or_default().iter().map(line).collect()
}

/// Files as they should be.
fn good() -> Fake {
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let server = server.self_signed(&key).unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let crl = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2036, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let crl = crl.signed_by(&Issuer::new(ca, ca_key)).unwrap();
    Fake::new()
        .file("server.pem", &server.pem())
        .file("server.key", &key.serialize_pem())
        .file("other.key", &KeyPair::generate().unwrap().serialize_pem())
        .file("ca.pem", &ca_pem)
        .file("crl.pem", &crl.pem().unwrap())
        .file("text", "no PEM")
        .file("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n")
        .file(
            "empty.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .file(
            "bad-crl.pem",
            "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        )
        .file(
            "locked.key",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        )
}

#[test]
fn good_files_are_taken() {
    for tls in [
        "",
        BASE,
        &format!("{BASE}, client_certificates: optional, client_ca: ca.pem"),
        &format!("{BASE}, client_certificates: required, client_ca: ca.pem, client_crl: crl.pem"),
    ] {
        assert_eq!(errors(tls, good()), [""; 0], "{tls}");
    }
    let files = load(BASE, good()).unwrap().grpc.tls.files();
    assert_eq!(files.unwrap().key.to_str(), Some("server.key"));
}

#[test]
fn each_bad_file_is_told_with_what_is_wrong_and_what_to_do() {
    for (tls, told) in [
        (
            "certificate: none.pem, key: server.key",
            "grpc.tls.certificate: `none.pem` cannot be read: no such file; name a file that this user may read",
        ),
        (
            "certificate: text, key: server.key",
            "grpc.tls.certificate: `text` is not PEM: it has no -----BEGIN line; give a file with lines such as -----BEGIN CERTIFICATE-----; openssl converts DER with -inform der",
        ),
        (
            "certificate: cut.pem, key: server.key",
            "grpc.tls.certificate: `cut.pem` is not PEM: an -----END line is missing; give a file with lines such as -----BEGIN CERTIFICATE-----; openssl converts DER with -inform der",
        ),
        (
            "certificate: server.key, key: server.key",
            "grpc.tls.certificate: `server.key` holds no certificate; give a file with -----BEGIN CERTIFICATE-----",
        ),
        (
            "certificate: server.pem, key: server.pem",
            "grpc.tls.key: `server.pem` holds no private key; give a file with -----BEGIN PRIVATE KEY-----",
        ),
        (
            "certificate: server.pem, key: other.key",
            "grpc.tls.key: `other.key` does not fit the certificate; give the key with which grpc.tls.certificate was requested",
        ),
        (
            "certificate: server.pem, key: locked.key",
            "grpc.tls.key: `locked.key` is encrypted; decrypt it with openssl pkey -in FILE -out FILE, and let file permissions protect it",
        ),
    ] {
        assert_eq!(errors(tls, good()), [told], "{tls}");
    }
    let errors = errors("certificate: empty.pem, key: server.key", good());
    let told = "grpc.tls.certificate: `empty.pem` holds what is no certificate: ";
    assert!(
        errors.len() == 1 && errors[0].starts_with(told),
        "{errors:?}"
    );
}

#[test]
fn bad_files_of_client_authorities_are_told_too() {
    for (ca, crl, told) in [
        ("text", "crl.pem", "client_ca: `text` is not PEM"),
        (
            "empty.pem",
            "crl.pem",
            "client_ca: `empty.pem` holds as number 1 what is no certificate of an authority",
        ),
        (
            "ca.pem",
            "ca.pem",
            "client_crl: `ca.pem` holds no revocation list",
        ),
        (
            "ca.pem",
            "bad-crl.pem",
            "client_crl: `bad-crl.pem` cannot be used",
        ),
    ] {
        let tls =
            format!("{BASE}, client_certificates: required, client_ca: {ca}, client_crl: {crl}");
        let errors = errors(&tls, good());
        let told = format!("grpc.tls.{told}");
        assert!(
            errors.len() == 1 && errors[0].starts_with(&told),
            "{errors:?}"
        );
    }
    let errors = errors(
        "certificate: text, key: text, client_certificates: required, client_ca: text",
        good(),
    );
    assert_eq!(errors.len(), 3, "all at once: {errors:?}");
}

#[test]
fn keys_that_need_each_other_are_told() {
    for (tls, told) in [
        (
            "certificate: server.pem",
            "grpc.tls.key: is missing; name the file with the certificate's private key",
        ),
        (
            "key: server.key",
            "grpc.tls.certificate: is missing; name the file with the certificate",
        ),
        (
            "certificate: server.pem, key: server.key, client_certificates: required",
            "grpc.tls.client_ca: is missing; name the file with the authorities whose client certificates are good",
        ),
        (
            "certificate: server.pem, key: server.key, client_ca: ca.pem",
            "grpc.tls.client_ca: `ca.pem` is of no use, since clients are not asked for certificates; set grpc.tls.client_certificates to optional or required, or leave it out",
        ),
        (
            "client_certificates: optional, client_ca: ca.pem",
            "grpc.tls.client_certificates: is given without certificate and key, so that no TLS is spoken; set grpc.tls.certificate and grpc.tls.key",
        ),
        (
            "client_certificates: perhaps",
            "grpc.tls.client_certificates: `perhaps` is not a way to ask for client certificates; write none, optional or required",
        ),
        (
            "reload_interval: 0s",
            "grpc.tls.reload_interval: 0s is too short; give a time longer than zero",
        ),
    ] {
        assert_eq!(errors(tls, good()), [told], "{tls}");
    }
}
