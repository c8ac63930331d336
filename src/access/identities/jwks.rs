//! Where the keys of an issuer are read, and when they are read again.
//!
//! One task reads: at intervals, and when a token names a key that is not known, which is how a
//! rotation shows first. Whoever sends made-up tokens cannot make it read more often than once in
//! a pause. Keys that were read stay in use when they cannot be read again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::key_set::KeySet;
use super::refusal::IdentityCounts;
use super::tokens::TokenDigest;
use crate::backoff::Backoff;
use crate::shutdown::Drain;
use reader::{FETCH_TIMEOUT, Reader};

mod reader;

pub use reader::{ReadError, jwks_url};

/// A file is looked at this often: it costs next to nothing.
const FILE_INTERVAL: Duration = Duration::from_secs(2);
/// Unknown keys make nobody read again within this time.
const URL_PAUSE: Duration = Duration::from_secs(10);
const FILE_PAUSE: Duration = Duration::from_secs(1);
/// First wait after keys could not be read.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Requests that wait for the keys of one issuer at a time: anybody can name a key that is not there.
const MOST_WAITING: usize = 64;

/// Where keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    File(PathBuf),
    Url {
        url: reqwest::Url,
        /// Certificates of the authorities that its server may have; the system's when absent.
        ca: Option<PathBuf>,
        interval: Duration,
        /// How long keys count after they were read last.
        max_stale: Duration,
    },
}

/// The keys at one place, which a task keeps fresh.
#[derive(Debug)]
pub(super) struct Jwks {
    source: Source,
    held: ArcSwap<Held>,
    /// One wish to read again is as good as many.
    ask_tx: mpsc::Sender<()>,
    waiting: Semaphore,
    round_rx: watch::Receiver<Round>,
    drain: Drain,
}

/// What was read.
#[derive(Debug, Clone)]
struct Held {
    keys: Arc<KeySet>,
    /// Of what was read last; none while no keys count.
    content: Option<TokenDigest>,
    /// When that was; never yet when absent.
    read_at: Option<Instant>,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// It is not among those that were read last.
    Unknown,
    /// None were ever read, so that nobody can tell.
    Unread,
}

/// How reading goes on.
#[derive(Debug, Clone, Copy)]
struct Round {
    underway: bool,
    /// How often it ended.
    ended: u64,
    /// Before this time nobody makes it read again.
    pause_until: Instant,
}

// === impl Source ===

impl Source {
    fn is_url(&self) -> bool {
        matches!(self, Self::Url { .. })
    }

    fn pause(&self) -> Duration {
        match self {
            Self::File(_) => FILE_PAUSE,
            Self::Url { interval, .. } => URL_PAUSE.min(*interval),
        }
    }

    fn interval(&self) -> Duration {
        match self {
            Self::File(_) => FILE_INTERVAL,
            Self::Url { interval, .. } => *interval,
        }
    }

    /// Whether the keys are the same, however they are read.
    fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Url { url: one, .. }, Self::Url { url: other, .. }) => one == other,
            _ => false,
        }
    }

    /// For the log.
    fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Url { url, .. } => url.to_string(),
        }
    }
}

// === impl Held ===

impl Held {
    fn nothing() -> Self {
        Self {
            keys: Arc::new(KeySet::empty()),
            content: None,
            read_at: None,
        }
    }
}

// === impl Jwks ===

impl Jwks {
    /// Reads a file at once; what is at a URL comes later, and until then what was read there
    /// before counts.
    ///
    /// # Errors
    /// When there are no keys in the file, or the authorities are unusable.
    pub(super) fn start(
        source: Source,
        before: Option<&Self>,
        counts: &Arc<IdentityCounts>,
        changes: &watch::Sender<u64>,
        drain: &Drain,
    ) -> Result<Arc<Self>, ReadError> {
        let (reader, held) = match &source {
            Source::File(path) => {
                let content = std::fs::read(path)?;
                let keys = KeySet::parse(&content)?;
                let held = Held {
                    keys: Arc::new(keys),
                    content: Some(TokenDigest::of(&content)),
                    read_at: Some(Instant::now()),
                };
                (Reader::File(path.clone()), held)
            }
            Source::Url { url, ca, .. } => {
                let reader = Reader::of_url(url.clone(), ca.clone())?;
                let held = before.map(|before| Held::clone(&before.held.load()));
                (reader, held.unwrap_or_else(Held::nothing))
            }
        };
        let (ask_tx, ask_rx) = mpsc::channel(1);
        let (round_tx, round_rx) = watch::channel(Round {
            underway: source.is_url(),
            ended: 0,
            pause_until: Instant::now() + source.pause(),
        });
        let jwks = Arc::new(Self {
            source,
            held: ArcSwap::from_pointee(held),
            ask_tx,
            waiting: Semaphore::new(MOST_WAITING),
            round_rx,
            drain: drain.child(),
        });
        let task = Task {
            jwks: Arc::clone(&jwks),
            reader,
            counts: Arc::clone(counts),
            changes: changes.clone(),
            failing: false,
        };
        drain.spawn(task.run(ask_rx, round_tx));
        Ok(jwks)
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Whether these are the keys of that place, however they are read there.
    pub(super) fn is_at(&self, source: &Source) -> bool {
        self.source.is_same_place(source)
    }

    /// Resolves when what is there was read, or could not be, once.
    pub(super) async fn first_round_over(&self) {
        if self.held.load().read_at.is_some() {
            return;
        }
        let mut round_rx = self.round_rx.clone();
        // It fails when the task has ended, and then nothing comes.
        let _ = round_rx.wait_for(|round| round.ended > 0).await;
    }

    /// Ends the task.
    pub(super) fn stop(&self) {
        self.drain.stop();
    }

    /// Which state the keys are in now.
    pub(super) fn version(&self) -> u64 {
        self.held.load().keys.version
    }

    /// The key among those that were read, and the state of the keys that it is of.
    pub(super) fn find_known(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<(DecodingKey, u64), NoKey> {
        let held = self.held.load();
        match held.keys.find(id, algorithm) {
            Some(key) => Ok((key.clone(), held.keys.version)),
            None if held.read_at.is_none() => Err(NoKey::Unread),
            None => Err(NoKey::Unknown),
        }
    }

    /// As [`Jwks::find_known`], but a key that is not known may just have come: then it is waited
    /// for the keys to be read, unless they were read a moment ago.
    pub(super) async fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<(DecodingKey, u64), NoKey> {
        let known = || self.find_known(id, algorithm);
        let missing = match known() {
            Ok(found) => return Ok(found),
            Err(missing) => missing,
        };
        let mut round_rx = self.round_rx.clone();
        let round = *round_rx.borrow();
        if !round.underway && Instant::now() < round.pause_until {
            return Err(missing);
        }
        // One too many is refused at once.
        let _waits = self.waiting.try_acquire().map_err(|_| missing)?;
        if !round.underway {
            // When it is full somebody else has asked.
            let _ = self.ask_tx.try_send(());
        }
        let ended = round_rx.wait_for(|now| now.ended > round.ended);
        // The longest that a round takes, and then some.
        let _ = timeout(FETCH_TIMEOUT * 2, ended).await;
        known()
    }
}

/// What reads the keys.
struct Task {
    jwks: Arc<Jwks>,
    reader: Reader,
    counts: Arc<IdentityCounts>,
    /// Told when keys have changed, since some may be gone.
    changes: watch::Sender<u64>,
    failing: bool,
}

// === impl Task ===

impl Task {
    async fn run(mut self, mut ask_rx: mpsc::Receiver<()>, round_tx: watch::Sender<Round>) {
        let jwks = Arc::clone(&self.jwks);
        let source = &jwks.source;
        let (interval, pause) = (source.interval(), source.pause());
        let mut backoff = Backoff::new(RETRY_AFTER.min(interval), interval);
        let mut wait = match source.is_url() {
            true => Duration::ZERO,
            false => interval,
        };
        let stopped = jwks.drain.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => return,
                Some(()) = ask_rx.recv() => {
                    // Of somebody who asked before he saw that a round was under way.
                    if Instant::now() < round_tx.borrow().pause_until {
                        continue;
                    }
                }
                () = tokio::time::sleep(wait) => {}
            }
            round_tx.send_modify(|round| round.underway = true);
            let read = tokio::select! {
                biased;
                () = &mut stopped => return,
                read = self.reader.read() => read,
            };
            wait = if self.take(read) {
                backoff.reset();
                interval
            } else {
                self.drop_stale(backoff.next_delay())
            };
            round_tx.send_modify(|round| {
                *round = Round {
                    underway: false,
                    ended: round.ended + 1,
                    pause_until: Instant::now() + pause,
                };
            });
        }
    }

    /// Gives up keys that could not be read again for too long; says when to look again, which is
    /// after `wait` unless they become too old before.
    fn drop_stale(&mut self, wait: Duration) -> Duration {
        let Source::Url { max_stale, .. } = self.jwks.source else {
            return wait;
        };
        let held = self.jwks.held.load();
        let (Some(_), Some(read_at)) = (held.content, held.read_at) else {
            return wait;
        };
        let left = max_stale.saturating_sub(read_at.elapsed());
        if !left.is_zero() {
            return wait.min(left);
        }
        self.jwks.held.store(Arc::new(Held {
            read_at: Some(read_at),
            ..Held::nothing()
        }));
        self.changes.send_modify(|_| ());
        let place = self.jwks.source.place();
        warn!(
            place,
            "keys of an issuer count no more, since they could not be read for max_stale"
        );
        wait
    }

    /// Takes over what was read; says whether it was any good.
    fn take(&mut self, read: Result<Vec<u8>, ReadError>) -> bool {
        let place = self.jwks.source.place();
        let outcome = read.and_then(|content| {
            let digest = TokenDigest::of(&content);
            let held = self.jwks.held.load_full();
            let is_new = held.content != Some(digest);
            let keys = match is_new {
                true => Arc::new(KeySet::parse(&content)?),
                false => Arc::clone(&held.keys),
            };
            self.jwks.held.store(Arc::new(Held {
                keys,
                content: Some(digest),
                read_at: Some(Instant::now()),
            }));
            if is_new {
                self.changes.send_modify(|_| ());
                info!(place, "keys of an issuer are new");
            }
            Ok(())
        });
        match outcome {
            Ok(()) => {
                self.counts.refreshed.fetch_add(1, Ordering::Relaxed);
                if std::mem::take(&mut self.failing) {
                    info!(place, "keys of an issuer can be read again");
                }
                true
            }
            Err(error) => {
                self.counts.refresh_failed.fetch_add(1, Ordering::Relaxed);
                // Once, not each time: a server that is down is so for a while.
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(place, %error, "keys of an issuer cannot be read; those known stay in use");
                }
                false
            }
        }
    }
}
