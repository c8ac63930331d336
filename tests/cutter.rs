//! A relay in front of an event socket that cuts the link over which a certain command goes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use switchgate::shutdown::Drain;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// When the link is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// When FreeSWITCH has answered: the answer goes no further.
    BeforeReply,
    /// When the answer has gone through.
    AfterReply,
}

/// A relay. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Cutter {
    pub(crate) address: SocketAddr,
    armed: Arc<Mutex<Option<(String, Cut)>>>,
    cuts: watch::Sender<usize>,
}

// === impl Cutter ===

impl Cutter {
    /// Relays to `target` until the drain stops.
    pub(crate) async fn start(target: String, drain: &Drain) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let cutter = Self {
            address: listener.local_addr().unwrap(),
            armed: Arc::default(),
            cuts: watch::Sender::new(0),
        };
        let (relay, tasks) = (cutter.clone(), drain.clone());
        drain.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    biased;
                    () = tasks.stopped() => return,
                    accepted = listener.accept() => accepted,
                };
                let (near, _) = accepted.unwrap();
                let (link, target, stopped) = (relay.clone(), target.clone(), tasks.stopped());
                tasks.spawn(async move {
                    tokio::select! {
                        biased;
                        () = stopped => {}
                        _ = link.relay(near, target) => {}
                    }
                });
            }
        });
        cutter
    }

    /// Cuts the link over which the next command goes that holds this text.
    pub(crate) fn arm(&self, text: &str, cut: Cut) {
        *self.lock() = Some((text.to_owned(), cut));
    }

    /// How many links were cut.
    pub(crate) fn cuts(&self) -> usize {
        *self.cuts.borrow()
    }

    async fn relay(&self, mut near: TcpStream, target: String) -> std::io::Result<()> {
        let mut far = TcpStream::connect(target).await?;
        let (mut up, mut down) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        let mut doom = None;
        loop {
            tokio::select! {
                read = near.read(&mut up) => {
                    let bytes = &up[..read?];
                    if bytes.is_empty() {
                        return Ok(());
                    }
                    doom = doom.or_else(|| self.take(bytes));
                    far.write_all(bytes).await?;
                }
                read = far.read(&mut down) => {
                    let bytes = &down[..read?];
                    if bytes.is_empty() {
                        return Ok(());
                    }
                    if doom != Some(Cut::BeforeReply) {
                        near.write_all(bytes).await?;
                    }
                    if doom.is_some() {
                        self.cuts.send_modify(|cuts| *cuts += 1);
                        return Ok(());
                    }
                }
            }
        }
    }

    /// A command is written in one piece, and nothing else is on its way on the same link.
    fn take(&self, bytes: &[u8]) -> Option<Cut> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let taken = self
            .lock()
            .take_if(|(wanted, _)| text.contains(wanted.as_str()));
        taken.map(|(_, cut)| cut)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(String, Cut)>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
