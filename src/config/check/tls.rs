//! TLS: keys that need each other, and files that are what they are named for.

use super::Check;
use crate::config::TlsConfig;
use crate::tls::{ClientCertificates, Material};

#[cfg(test)]
mod tests;

/// What is missing where something needs a certificate.
const WITHOUT_TLS: &str = "is given without certificate and key, so that no TLS is spoken";

// === impl Check ===

impl Check<'_> {
    pub(in crate::config) fn tls(&mut self, tls: &TlsConfig) {
        match (&tls.certificate, &tls.key) {
            (Some(_), None) => {
                self.missing(
                    "grpc.tls",
                    "key",
                    "name the file with the certificate's private key",
                );
            }
            (None, Some(_)) => {
                self.missing(
                    "grpc.tls",
                    "certificate",
                    "name the file with the certificate",
                );
            }
            _ => {}
        }
        let is_asked = tls.client_certificates != ClientCertificates::None;
        if is_asked && tls.client_ca.is_none() {
            let remedy = "name the file with the authorities whose client certificates are good";
            self.missing("grpc.tls", "client_ca", remedy);
        }
        let about_clients = [
            ("client_ca", &tls.client_ca),
            ("client_crl", &tls.client_crl),
        ];
        for (name, path) in about_clients {
            let Some(path) = path.as_ref().filter(|_| !is_asked) else {
                continue;
            };
            self.add(
                &format!("grpc.tls.{name}"),
                Some(&format_args!("`{}`", path.display())),
                "is of no use, since clients are not asked for certificates",
                "set grpc.tls.client_certificates to optional or required, or leave it out",
            );
        }
        match tls.files() {
            None if is_asked && tls.certificate.is_none() && tls.key.is_none() => self.add(
                "grpc.tls.client_certificates",
                None,
                WITHOUT_TLS,
                "set grpc.tls.certificate and grpc.tls.key",
            ),
            None => {}
            Some(files) => {
                let read = |path: &std::path::Path| self.source.read(path);
                let flaws = Material::load(&files, &read).err();
                for flaw in flaws.into_iter().flat_map(|flaws| flaws.0) {
                    self.add(
                        &format!("grpc.tls.{}", flaw.key),
                        Some(&format_args!("`{}`", flaw.path.display())),
                        &flaw.reason,
                        &flaw.remedy,
                    );
                }
            }
        }
    }
}
