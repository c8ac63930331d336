//! The file of the audit, and the thread that writes it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::AuditError;

/// Lines that may wait for the disk: some seconds of a busy gateway.
const MAX_QUEUED: usize = 16 * 1024;
/// Beyond so many waiting lines there is no room to spare.
const SPARE: usize = MAX_QUEUED / 4;
/// Bytes that are written at once.
const MAX_BATCH: usize = 64 * 1024;
/// How often the writer looks whether the file was moved away.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Who may read the file that is made: it tells who did what.
const MODE: u32 = 0o640;

/// The way to the writer. Its thread ends with it.
#[derive(Debug)]
pub(super) struct File {
    orders: SyncSender<Order>,
    state: Arc<State>,
}

#[derive(Debug)]
enum Order {
    Line(String),
    Reopen,
    /// All lines so far are written, if they can be.
    Flush(oneshot::Sender<bool>),
}

/// What the writer and those who give it lines know of each other.
#[derive(Debug, Default)]
struct State {
    /// The last write failed.
    is_broken: AtomicBool,
    /// The last line found the queue full.
    is_full: AtomicBool,
    lost: AtomicU64,
    /// Lines that wait.
    queued: AtomicUsize,
}

/// Owner of the file.
struct Writer {
    path: PathBuf,
    /// Absent while it cannot be opened.
    file: Option<fs::File>,
    looked_at: Instant,
    batch: Vec<u8>,
    lines: u64,
    state: Arc<State>,
}

// === impl File ===

impl File {
    /// Opens the file, and starts the thread that writes it.
    pub(super) fn open(path: PathBuf) -> Result<Self, AuditError> {
        let refuse = |source| AuditError {
            path: path.clone(),
            source,
        };
        let file = open(&path).map_err(refuse)?;
        let state = Arc::<State>::default();
        let writer = Writer {
            path: path.clone(),
            file: Some(file),
            looked_at: Instant::now(),
            batch: Vec::new(),
            lines: 0,
            state: Arc::clone(&state),
        };
        let (orders_tx, orders_rx) = sync_channel(MAX_QUEUED);
        // The thread tells what fails to whom the one that starts it tells.
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || writer.run(&orders_rx));
            })
            .map_err(refuse)?;
        Ok(Self {
            orders: orders_tx,
            state,
        })
    }

    pub(super) fn write(&self, line: String) {
        let is_lost = !self.send(line);
        if is_lost {
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
        if self.state.is_full.swap(is_lost, Ordering::Relaxed) != is_lost {
            match is_lost {
                true => tracing::error!("audit lines are left out, since the disk is too slow"),
                false => tracing::warn!(lost = self.lost(), "audit lines are taken again"),
            }
        }
    }

    /// Takes a line when few wait; says whether it did. It changes nothing for other lines.
    pub(super) fn write_to_spare(&self, line: String) -> bool {
        self.state.queued.load(Ordering::Relaxed) < SPARE && self.send(line)
    }

    fn send(&self, line: String) -> bool {
        // Before: the writer may be faster.
        self.state.queued.fetch_add(1, Ordering::Relaxed);
        let is_taken = self.orders.try_send(Order::Line(line)).is_ok();
        if !is_taken {
            self.state.queued.fetch_sub(1, Ordering::Relaxed);
        }
        is_taken
    }

    pub(super) fn reopen(&self) {
        // The writer looks by itself when it is too busy to be told.
        let _ = self.orders.try_send(Order::Reopen);
    }

    pub(super) async fn flush(&self, patience: Duration) -> bool {
        let (written_tx, mut written_rx) = oneshot::channel();
        let mut order = Order::Flush(written_tx);
        let flushed = async {
            while let Err(TrySendError::Full(back)) = self.orders.try_send(order) {
                // The queue is full, and nobody tells when it is not: the thread blocks on the disk.
                order = back;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            (&mut written_rx).await.unwrap_or(false)
        };
        tokio::time::timeout(patience, flushed)
            .await
            .unwrap_or(false)
    }

    pub(super) fn lost(&self) -> u64 {
        self.state.lost.load(Ordering::Relaxed)
    }

    /// Whether the next line would not be written.
    pub(super) fn is_stuck(&self) -> bool {
        self.state.is_broken.load(Ordering::Relaxed) || self.state.is_full.load(Ordering::Relaxed)
    }
}

// === impl Writer ===

impl Writer {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            // A broken file is tried again also while nobody has anything to say.
            match orders.recv_timeout(LOOK_INTERVAL) {
                Ok(order) => self.take(order),
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // What waits behind it leaves in one write.
            while self.batch.len() < MAX_BATCH
                && let Ok(order) = orders.try_recv()
            {
                self.take(order);
            }
            self.write();
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Line(line) => {
                self.state.queued.fetch_sub(1, Ordering::Relaxed);
                self.batch.extend_from_slice(line.as_bytes());
                self.batch.push(b'\n');
                self.lines += 1;
            }
            Order::Reopen => {
                self.write();
                self.reopen();
            }
            Order::Flush(written) => {
                self.write();
                let is_synced = match &self.file {
                    Some(file) => file.sync_data().is_ok(),
                    None => false,
                };
                // Whoever waited may be gone.
                let _ = written.send(is_synced);
            }
        }
    }

    fn write(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if self.looked_at.elapsed() >= LOOK_INTERVAL || self.file.is_none() {
            self.look();
        }
        let result = match &mut self.file {
            Some(file) => file.write_all(&self.batch),
            // Why, was told when it could not be opened.
            None => Err(io::ErrorKind::NotFound.into()),
        };
        if result.is_err() {
            self.state.lost.fetch_add(self.lines, Ordering::Relaxed);
        }
        self.tell(result);
        self.batch.clear();
        self.lines = 0;
    }

    /// Goes on in a new file when the old one was moved away, as logrotate does, or is broken.
    fn look(&mut self) {
        self.looked_at = Instant::now();
        let is_there = match (&self.file, fs::metadata(&self.path)) {
            (Some(file), Ok(there)) => file
                .metadata()
                .is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino())),
            _ => false,
        };
        if !is_there || self.state.is_broken.load(Ordering::Relaxed) {
            self.reopen();
        }
    }

    fn reopen(&mut self) {
        match open(&self.path) {
            // Whether it takes lines, the next one tells.
            Ok(file) => self.file = Some(file),
            Err(error) => {
                self.file = None;
                self.tell(Err(error));
            }
        }
    }

    fn tell(&self, result: io::Result<()>) {
        let failed = result.is_err();
        if self.state.is_broken.swap(failed, Ordering::Relaxed) == failed {
            return;
        }
        let lost = self.state.lost.load(Ordering::Relaxed);
        match result {
            Ok(()) => tracing::warn!(lost, "audit is written again"),
            Err(error) => {
                let path = self.path.display();
                tracing::error!(%error, %path, "audit cannot be written");
            }
        }
    }
}

fn open(path: &PathBuf) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(MODE)
        .open(path)
}
