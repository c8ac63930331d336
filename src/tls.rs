//! TLS: certificates out of PEM files, which a server reads again while it runs.
//!
//! The crypto provider is aws-lc-rs, always named: a process with two providers has no default.

mod client;
mod files;
mod material;
mod pem;
mod reload;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use client::{ClientFiles, ClientTls};
pub use files::{ClientCertificates, Files, Flaw, Flaws, key_is_open_to_all};
pub use material::Material;
pub use reload::{Tls, TlsFigures};

/// What HTTP/2 is called when protocols are negotiated (RFC 9113, section 3.2).
const ALPN_HTTP2: &[u8] = b"h2";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
