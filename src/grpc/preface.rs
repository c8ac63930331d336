//! The first bytes of a connection: whether it speaks HTTP/2 at all.
//!
//! hyper would wait for them for ever. They are read here, within the time for the handshake, and
//! are given to it again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// What each client of HTTP/2 says first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// First byte of a TLS record that holds a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Why a connection does not come to HTTP/2.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stranger {
    /// It ended before.
    #[error("the connection ended in its first bytes")]
    Ended(#[from] io::Error),
    /// It speaks TLS and the port does not, or it speaks TLS within TLS.
    #[error(
        "the client speaks TLS, which this port does not; set grpc.tls or let it speak plain text"
    )]
    Tls,
    /// It does not speak TLS, and the port does.
    #[error("the client speaks plain text, and this port TLS")]
    PlainText,
    /// It speaks HTTP/1.
    #[error("the client speaks HTTP/1, and this port HTTP/2 without upgrade")]
    Http1,
    /// It speaks something else.
    #[error("the client speaks neither HTTP/2 nor TLS")]
    Unknown,
}

/// A stream whose preface was read, and is there again for whoever reads next.
#[derive(Debug)]
pub(super) struct Greeted<S> {
    stream: S,
    replayed: usize,
}

/// Reads the preface and no more.
pub(super) async fn greet<S: AsyncRead + Unpin>(mut stream: S) -> Result<Greeted<S>, Stranger> {
    let mut said = [0; PREFACE.len()];
    let mut len = 0;
    while len < said.len() {
        match stream.read(&mut said[len..]).await? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            more => len += more,
        }
        if said[..len] != PREFACE[..len] {
            return Err(Stranger::saying(&said[..len]));
        }
    }
    Ok(Greeted {
        stream,
        replayed: 0,
    })
}

/// Whether the first byte is one that TLS begins with.
pub(super) fn is_tls(first: u8) -> bool {
    first == TLS_HANDSHAKE
}

// === impl Stranger ===

impl Stranger {
    fn saying(bytes: &[u8]) -> Self {
        match bytes.first() {
            Some(first) if is_tls(*first) => Self::Tls,
            // `GET / HTTP/1.1`, or how much of it has come.
            Some(first) if first.is_ascii_uppercase() => Self::Http1,
            _ => Self::Unknown,
        }
    }
}

// === impl Greeted ===

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = &PREFACE[self.replayed..];
        if left.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let part = &left[..left.len().min(into.remaining())];
        into.put_slice(part);
        self.replayed += part.len();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_preface_is_there_again_with_what_follows() {
        for chunk in [1, 7, 24, 40] {
            let said = [PREFACE.as_slice(), b"and more"].concat();
            let (near, mut far) = tokio::io::duplex(chunk);
            let says = async {
                let (mut reading, mut writing) = tokio::io::split(near);
                let written = tokio::io::AsyncWriteExt::write_all(&mut writing, &said);
                written.await.unwrap();
                tokio::io::AsyncWriteExt::shutdown(&mut writing)
                    .await
                    .unwrap();
                let mut nothing = Vec::new();
                reading.read_to_end(&mut nothing).await.unwrap();
            };
            let hears = async {
                let mut greeted = greet(&mut far).await.unwrap();
                let mut heard = Vec::new();
                greeted.read_to_end(&mut heard).await.unwrap();
                drop(far);
                heard
            };
            let ((), heard) = tokio::join!(says, hears);
            assert_eq!(heard, said);
        }
    }

    #[tokio::test]
    async fn a_stranger_is_known_by_its_first_bytes() {
        let kind = async |said: &[u8]| match greet(said).await {
            Ok(_) => "HTTP/2",
            Err(Stranger::Ended(_)) => "ended",
            Err(Stranger::Tls) => "TLS",
            Err(Stranger::PlainText) => "plain text",
            Err(Stranger::Http1) => "HTTP/1",
            Err(Stranger::Unknown) => "unknown",
        };
        assert_eq!(kind(PREFACE).await, "HTTP/2");
        assert_eq!(kind(&[0x16, 3, 1, 2, 0]).await, "TLS");
        assert_eq!(kind(b"GET / HTTP/1.1\r\n\r\n").await, "HTTP/1");
        assert_eq!(kind(b"POST").await, "HTTP/1");
        assert_eq!(kind(b"\0\0").await, "unknown");
        assert_eq!(kind(b"PRI * HTTP/1.1\r\n").await, "HTTP/1");
        assert_eq!(kind(&PREFACE[..20]).await, "ended");
        assert_eq!(kind(b"").await, "ended");
    }
}
