//! Sockets of any kind, and who opens them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Anything that bytes can be read from and written to. It must not hold written bytes back until
/// a flush.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A socket of any kind.
pub type BoxIo = Box<dyn Io>;

/// Opens sockets; the seam at which tests put a FreeSWITCH of their own.
pub trait Dialer: Send + Sync + 'static {
    /// Opens a socket to `address` (`host:port`).
    fn dial<'a>(
        &'a self,
        address: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<BoxIo>> + Send + 'a>>;
}

/// Opens TCP sockets without delay and with keepalive.
#[derive(Debug, Clone, Copy)]
pub struct TcpDialer {
    /// Silence after which the kernel starts to probe the peer, and how long unacknowledged data
    /// may stay in flight before the kernel gives the connection up.
    pub silence: Duration,
}

// === impl TcpDialer ===

impl Dialer for TcpDialer {
    fn dial<'a>(
        &'a self,
        address: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<BoxIo>> + Send + 'a>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let socket = SockRef::from(&stream);
            // The kernel counts in whole seconds and refuses none.
            let second = Duration::from_secs(1);
            let keepalive = TcpKeepalive::new()
                .with_time(self.silence.max(second))
                .with_interval((self.silence / 3).max(second));
            socket.set_tcp_keepalive(&keepalive)?;
            #[cfg(target_os = "linux")]
            socket.set_tcp_user_timeout(Some(self.silence * 2))?;
            Ok(Box::new(stream) as BoxIo)
        })
    }
}
