//! The loop that accepts connections, of each server.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::shutdown::Drain;

/// Pause after a failed accept: without one, too many open files would spin.
const PAUSE: Duration = Duration::from_millis(100);

/// Gives each connection to `take`, and why none was accepted to `failed`, until the drain stops.
pub(crate) async fn accept(
    listener: TcpListener,
    drain: &Drain,
    mut take: impl FnMut(TcpStream, SocketAddr),
    mut failed: impl FnMut(io::Error),
) {
    let stopped = drain.stopped();
    tokio::pin!(stopped);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => take(stream, address),
            Err(error) => {
                failed(error);
                sleep(PAUSE).await;
            }
        }
    }
}
