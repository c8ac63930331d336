//! Connections: one task each, which reads commands, answers them in order and sends events.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::command::{self, Answer, Login};
use super::core::{Core, World};
use super::fault::LinkFault;
use super::listener::{Item, Listener};
use super::outbound::{self, Control};
use super::wire;
use crate::accept::accept;

/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;

/// Longest time in seconds that a connection lingers without a limit of its own.
const LINGER_MOST: u64 = 3600;

/// Bytes of events gathered into one write.
const WRITE_BYTES: usize = 64 << 10;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client has gone, or the node stops: nothing more is said.
    Silent,
    /// The node is shut down, and says so.
    ShutDown,
    /// `exit`, a failed login, a listener that lost too much: a disconnect notice is the last word.
    Notice,
}

/// One connection.
struct Connection<S> {
    core: Arc<Core>,
    stream: S,
    key: u64,
    items: mpsc::Receiver<Item>,
    closed: CancellationToken,
    released: CancellationToken,
    fault: watch::Receiver<LinkFault>,
    seen: LinkFault,
    login: Login,
    input: BytesMut,
}

/// Accepts connections until the node stops.
pub(super) async fn serve(core: &Arc<Core>, listener: TcpListener) {
    let take = |stream: TcpStream, _| {
        // Replies are small and waited for; a failure here only makes them slower.
        let _ = stream.set_nodelay(true);
        start(core, stream);
    };
    let failed = |error| tracing::warn!(%error, "cannot accept a connection");
    accept(listener, &core.drain, take, failed).await;
}

/// Starts the task of a new connection.
pub(super) fn start<S>(core: &Arc<Core>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let refused = core.world().link_fault.refused_until;
    if refused.is_some_and(|until| until > tokio::time::Instant::now()) {
        return;
    }
    let (core, drain) = (Arc::clone(core), core.drain.clone());
    let stopped = drain.stopped();
    drain.spawn(async move {
        let connection = Connection::new(core, stream, Login::None);
        tokio::select! {
            biased;
            () = stopped => {}
            () = connection.run() => {}
        }
    });
}

/// Lets a controller at the other end of an outbound socket command a channel, in a task of its own
/// that ends some time after the channel.
pub(super) fn control(
    core: &Arc<Core>,
    stream: TcpStream,
    uuid: &str,
    full: bool,
    control: Control,
) {
    let login = Login::Channel {
        uuid: uuid.to_owned(),
        full,
        linger: None,
    };
    let mut connection = Connection::new(Arc::clone(core), stream, login);
    connection.released = control.released;
    let stopped = core.drain.stopped();
    core.drain.spawn(async move {
        tokio::select! {
            biased;
            () = stopped => {}
            () = connection.run() => {}
        }
    });
}

// === impl Connection ===

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    fn new(core: Arc<Core>, stream: S, login: Login) -> Self {
        let mut world = core.world();
        let (listener, items) = Listener::new(&world.link_fault);
        let (closed, released) = (listener.closed.clone(), CancellationToken::new());
        let fault = listener.fault.subscribe();
        let seen = fault.borrow().clone();
        let key = world.add_listener(listener);
        drop(world);
        Self {
            core,
            stream,
            key,
            items,
            closed,
            released,
            fault,
            seen,
            login,
            input: BytesMut::new(),
        }
    }

    async fn run(mut self) {
        let notice = match self.talk().await {
            Ok(End::Notice) => Some(World::disconnect_notice()),
            Ok(End::ShutDown) => Some(wire::frame(
                "text/disconnect-notice",
                b"The system is being shut down.\n",
            )),
            Ok(End::Silent) | Err(_) => None,
        };
        if let Some(notice) = notice {
            // The client may have gone first.
            let _ = self.stream.write_all(&notice).await;
        }
        let _ = self.stream.shutdown().await;
    }

    async fn talk(&mut self) -> std::io::Result<End> {
        if self.core.config.reject_all {
            let frame = wire::frame("text/rude-rejection", b"Access Denied, go away.\n");
            self.stream.write_all(&frame).await?;
            return Ok(End::Silent);
        }
        if matches!(self.login, Login::None) {
            if let Some(end) = self.suffer().await {
                return Ok(end);
            }
            self.send(Bytes::from_static(b"Content-Type: auth/request\n\n"))
                .await?;
        }
        loop {
            if let Some(end) = self.suffer().await {
                return Ok(end);
            }
            if let Some(command) = wire::take_command(&mut self.input) {
                if let Some(end) = self.answer(command).await? {
                    return Ok(end);
                }
                continue;
            }
            self.input.reserve(READ_BYTES);
            // Reading into a buffer that stays and taking from a channel lose nothing when dropped.
            tokio::select! {
                biased;
                changed = self.fault.changed() => {
                    if changed.is_err() {
                        return Ok(End::Silent);
                    }
                }
                () = self.closed.cancelled() => return Ok(End::Notice),
                () = self.released.cancelled() => return self.linger().await,
                read = self.stream.read_buf(&mut self.input) => {
                    if read? == 0 {
                        return Ok(End::Silent);
                    }
                }
                item = self.items.recv() => {
                    let Some(item) = item else { return Ok(End::Silent) };
                    self.deliver(item).await?;
                }
            }
        }
    }

    /// The controlled channel is gone: what is known of it is sent, then the connection ends, at
    /// once or when it has lingered.
    async fn linger(&mut self) -> std::io::Result<End> {
        let Login::Channel { uuid, linger, .. } = &self.login else {
            return Ok(End::Silent);
        };
        let (uuid, linger) = (uuid.clone(), *linger);
        let name = self
            .core
            .world()
            .channels
            .get(&uuid)
            .map(|channel| channel.name.clone());
        while let Ok(item) = self.items.try_recv() {
            self.deliver(item).await?;
        }
        let notice = outbound::farewell(&uuid, &name.unwrap_or_default(), linger);
        self.send(notice).await?;
        let Some(seconds) = linger else {
            return Ok(End::Silent);
        };
        let until = tokio::time::Instant::now() + Duration::from_secs(seconds.min(LINGER_MOST));
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(until) => return Ok(End::Silent),
                item = self.items.recv() => {
                    let Some(item) = item else { return Ok(End::Silent) };
                    self.deliver(item).await?;
                }
                read = self.stream.read_buf(&mut self.input) => {
                    if read? == 0 {
                        return Ok(End::Silent);
                    }
                }
            }
            while let Some(command) = wire::take_command(&mut self.input) {
                if let Some(end) = self.answer(command).await? {
                    return Ok(end);
                }
            }
        }
    }

    /// Suffers what the link suffers from, as long as it lasts.
    async fn suffer(&mut self) -> Option<End> {
        loop {
            let now = self.fault.borrow_and_update().clone();
            if now.shut_down != self.seen.shut_down {
                return Some(End::ShutDown);
            }
            if now.dropped != self.seen.dropped {
                return Some(End::Silent);
            }
            let cut_before = self.seen.cuts;
            self.seen = LinkFault {
                cuts: cut_before,
                ..now.clone()
            };
            let until = now
                .stalled_until
                .filter(|until| *until > tokio::time::Instant::now());
            match (now.half_open, until) {
                (true, _) => {
                    if self.fault.changed().await.is_err() {
                        return Some(End::Silent);
                    }
                }
                (false, Some(until)) => {
                    tokio::select! {
                        biased;
                        changed = self.fault.changed() => {
                            if changed.is_err() {
                                return Some(End::Silent);
                            }
                        }
                        () = tokio::time::sleep_until(until) => {}
                    }
                }
                (false, None) => return None,
            }
        }
    }

    async fn answer(&mut self, received: wire::WireCommand) -> std::io::Result<Option<End>> {
        self.core.world().remember(received.raw.clone());
        let slow = self.seen.slow;
        let answer = command::perform(&self.core, self.key, &mut self.login, received).await;
        if !slow.is_zero()
            && let Some(end) = self.dawdle(slow).await
        {
            return Ok(Some(end));
        }
        // A command may have been the fault itself, or have outlasted the link.
        if let Some(end) = self.suffer().await {
            return Ok(Some(end));
        }
        match answer {
            Answer::Reply(frame) => {
                self.send(frame).await?;
                Ok(None)
            }
            Answer::ReplyThen(frame, follow_up) => {
                self.send(frame).await?;
                follow_up.start(&self.core);
                Ok(None)
            }
            Answer::Last(frame) => {
                self.send(frame).await?;
                Ok(Some(End::Notice))
            }
        }
    }

    /// Holds a reply back, unless the link is lost meanwhile.
    async fn dawdle(&mut self, slow: Duration) -> Option<End> {
        let until = tokio::time::Instant::now() + slow;
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(until) => return None,
                changed = self.fault.changed() => {
                    if changed.is_err() {
                        return Some(End::Silent);
                    }
                }
            }
            if let Some(end) = self.suffer().await {
                return Some(end);
            }
        }
    }

    /// Sends what waits in the queue, several events in one write.
    async fn deliver(&mut self, first: Item) -> std::io::Result<()> {
        let format = self
            .core
            .world()
            .listeners
            .get(&self.key)
            .map(|listener| listener.format);
        let Some(format) = format else { return Ok(()) };
        let render = |item: Item| match item {
            Item::Event(event) => event.frame(format),
            Item::Log(frame) => frame,
        };
        let first = render(first);
        let mut batch = BytesMut::from(&first[..]);
        while batch.len() < WRITE_BYTES {
            match self.items.try_recv() {
                Ok(item) => batch.extend_from_slice(&render(item)),
                Err(_) => break,
            }
        }
        self.send(batch.freeze()).await
    }

    async fn send(&mut self, frame: Bytes) -> std::io::Result<()> {
        let cuts = self.fault.borrow().cuts;
        if cuts != self.seen.cuts {
            self.seen.cuts = cuts;
            self.stream.write_all(&frame[..frame.len() / 2]).await?;
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        self.stream.write_all(&frame).await
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.core.world().listeners.remove(&self.key);
    }
}
