//! The other end of a connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The other end of a connection. Clones share it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it is.
    pub address: SocketAddr,
    /// Its certificate as DER, which TLS has verified; absent where it gave none.
    pub certificate: Option<Arc<[u8]>>,
}

// === impl Peer ===

impl Peer {
    /// A peer in this process, for requests that come by another way than a socket.
    pub fn inside() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            certificate: None,
        }
    }
}
