//! Sessions and calls as FreeSWITCH's events describe them.
//!
//! Written by the event tasks of the nodes, and by their sync with what asking showed, one at a time
//! (`fleet::sink`); read by everyone through snapshots. Whoever waits for an effect leaves a
//! [`Watch`] behind, which is asked on the event task itself, so that no sighting can be missed.

mod call;
mod calls;
mod capture;
mod claim;
mod forget;
mod found;
mod index;
mod live;
mod session;
mod sizes;
mod told;
mod watch;

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::FixedState;
use tokio::time::Instant;

pub use call::Call;
pub use calls::CallFollow;
pub use capture::Capture;
pub use found::{Change, Correction, Refreshed};
pub use session::{Application, Hangup, Party, Session, Times};
pub use sizes::Sizes;
pub use watch::{Sighting, Watch, WatchLost};

use crate::access::Tenants;
use crate::domain::{NodeId, SessionId};
use crate::esl::Event;
use crate::shutdown::Drain;
use calls::Calls;
use claim::FREESWITCH_CALL_VARIABLE;
use forget::OnForget;
use live::LiveCounts;
use session::{Effect, Outcome};
use told::{Header, Told};
use watch::Shard;

/// Enough that two nodes' event tasks seldom meet.
const SHARDS: usize = 64;
/// How often ended sessions past their retention are swept.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Labels of sessions and jobs.
pub type Labels = Arc<BTreeMap<String, String>>;

/// How the tracker works.
#[derive(Debug, Clone)]
pub struct TrackerConfig {
    /// How long an ended session stays readable.
    pub retention: Duration,
    /// Channel variable that groups sessions to calls before anything else does.
    pub call_variable: String,
    /// Whose sessions are whose.
    pub tenants: Tenants,
}

/// All sessions and calls of all nodes.
#[derive(Debug)]
pub struct Tracker {
    config: TrackerConfig,
    variable: CallVariable,
    shards: Box<[Mutex<Shard>]>,
    calls: Calls,
    live: LiveCounts,
    on_forget: OnForget,
    /// Held while sessions are forgotten that have ended.
    sweeping: Mutex<()>,
}

/// The variable that groups sessions to calls.
#[derive(Debug)]
struct CallVariable {
    /// The header that carries it in events.
    header: String,
    /// Whether it is the one that FreeSWITCH sets.
    is_freeswitchs: bool,
    /// By whose variables a session is known to be whose.
    tenants: Tenants,
}

/// What became of an event, still to be told to those who watch.
#[derive(Debug)]
pub struct Applied {
    /// The session after the event.
    pub session: Arc<Session>,
    /// The session that the event joined with it, or parted from it.
    peer: Option<Arc<Session>>,
}

// === impl CallVariable ===

impl CallVariable {
    /// Its value, in a line of an event that tells it.
    #[inline]
    fn value_in<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        let name = self.header.as_bytes();
        let (found, rest) = line.split_at_checked(name.len())?;
        let value = rest.strip_prefix(b": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    }
}

// === impl TrackerConfig ===

impl Default for TrackerConfig {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(60),
            call_variable: FREESWITCH_CALL_VARIABLE.to_owned(),
            tenants: Tenants::default(),
        }
    }
}

// === impl Tracker ===

impl Tracker {
    /// An empty tracker, which sweeps itself until `drain` stops.
    pub fn start(config: TrackerConfig, drain: &Drain) -> Arc<Self> {
        let tracker = Arc::new(Self::new(config));
        let sweeper = Arc::clone(&tracker);
        let stopped = drain.stopped();
        drain.spawn(async move {
            tokio::pin!(stopped);
            loop {
                tokio::select! {
                    biased;
                    () = &mut stopped => return,
                    () = tokio::time::sleep(SWEEP_INTERVAL) => sweeper.sweep(),
                }
            }
        });
        tracker
    }

    fn new(config: TrackerConfig) -> Self {
        Self {
            variable: CallVariable {
                header: format!("variable_{}", config.call_variable),
                is_freeswitchs: config
                    .call_variable
                    .eq_ignore_ascii_case(FREESWITCH_CALL_VARIABLE),
                tenants: config.tenants.clone(),
            },
            config,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            calls: Calls::default(),
            live: LiveCounts::default(),
            on_forget: OnForget::default(),
            sweeping: Mutex::default(),
        }
    }

    /// Name of the variable that groups sessions to calls.
    pub fn call_variable(&self) -> &str {
        &self.config.call_variable
    }

    /// Has `forget` told of each session that can no longer be read and of which nothing is told
    /// any more; only the first caller's is.
    pub fn on_forget(&self, forget: impl Fn(&SessionId) + Send + Sync + 'static) {
        self.on_forget.set(forget);
    }

    /// Takes an event about a session of `node` and tells those who watch. `None` when it is about
    /// none, about one that was forgotten already, or about one that lives on another node.
    ///
    /// For tests, which have no journal that is to be told in between.
    pub fn apply(&self, node: &NodeId, event: &Event) -> Option<Applied> {
        let applied = self.take(node, event)?;
        self.announce(&applied, event);
        Some(applied)
    }

    /// Takes an event, but tells nobody yet: what was taken is to be announced.
    pub fn take(&self, node: &NodeId, event: &Event) -> Option<Applied> {
        self.take_in(node, event, false)
    }

    fn take_in(&self, node: &NodeId, event: &Event, adopts: bool) -> Option<Applied> {
        let told = Told::read(event.headers(), &self.variable);
        // FreeSWITCH writes the name in this way; whoever sends an event of their own may not.
        let id = told.get(Header::Id);
        let id = id.or_else(|| event.headers().raw("Unique-ID"))?;
        let id = std::str::from_utf8(id).ok()?;
        // A UUID has nothing to decode; a SIP Call-ID taken as one may have.
        let decoded;
        let id = if id.contains('%') {
            decoded = event.text("Unique-ID")?;
            &*decoded
        } else {
            id
        };
        if told.get(Header::EventName) == Some(b"CHANNEL_UUID") {
            self.forget_former_id(node, event);
        }
        let (session, effect, moves) = {
            let mut shard = self.shard(id);
            let known = shard.sessions.get(id);
            match known {
                // The same Call-ID can be the id of a leg on each of two nodes.
                Some(known) if known.node != *node && known.is_live() => return None,
                Some(known) if adopts && known.is_live() => return None,
                _ => {}
            }
            let was_live = known.is_some_and(|known| known.is_live());
            let is_new = known.is_none_or(|known| known.gives_way_to(node, event));
            if is_new {
                let mut session = Session::begin(id.parse().ok()?, node, event)?;
                session.labels = shard.expected.remove(id).unwrap_or_default();
                shard.sessions.insert(session.id.clone(), Arc::new(session));
                self.live.began(node);
            } else if adopts {
                return None;
            }
            let entry = shard.sessions.get_mut(id)?;
            // In place, unless somebody still looks at the state before.
            let session = Arc::make_mut(entry);
            let Outcome {
                effect,
                claims_anew,
            } = session.apply(event, &told, &self.variable);
            let moves = match is_new || claims_anew {
                true => self.settle(session),
                false => Vec::new(),
            };
            if (is_new || was_live) && !session.is_live() {
                self.rest(&session.id);
                self.live.ended(node);
            }
            (Arc::clone(entry), effect, moves)
        };
        self.follow(moves);
        let peer = match effect {
            Effect::Bridged(peer) => self.join(&session, &peer, event),
            Effect::Unbridged(peer) => self.part(&session.id, &peer),
            Effect::None => None,
        };
        Some(Applied { session, peer })
    }

    /// A leg that is to have a given id may have begun under another one: loopback makes its
    /// channel, which tells of its codec, before `originate` renames it
    /// (`switch_core_session_set_uuid` in `switch_core_session.c`). Nothing more is ever told of
    /// the former id.
    fn forget_former_id(&self, node: &NodeId, event: &Event) {
        let Some(former) = event.text("Old-Unique-ID") else {
            return;
        };
        let gone = {
            let mut shard = self.shard(&former);
            let is_it = |session: &Arc<Session>| session.node == *node && session.is_live();
            let gone = match shard.sessions.get(&*former).is_some_and(is_it) {
                true => shard.sessions.remove(&*former),
                false => None,
            };
            if let Some(session) = &gone {
                self.live.ended(node);
                self.forget_member(session);
            }
            gone
        };
        if let Some(session) = gone {
            self.on_forget.later(&session.id);
            self.call_changed(&session.call);
        }
    }

    /// Tells those who watch of an event that was taken.
    pub fn announce(&self, applied: &Applied, event: &Event) {
        for session in [Some(&applied.session), applied.peer.as_ref()]
            .into_iter()
            .flatten()
        {
            self.shard(session.id.as_str())
                .sighted(session, Some(event));
            self.call_changed(&session.call);
        }
    }

    /// Takes over the variables of an answer to `uuid_dump`, unless the session has told newer ones
    /// itself.
    pub fn learn_variables(&self, id: &SessionId, dump: &Event) {
        self.update(id, |session| {
            session.learn_variables(dump, &self.variable.tenants);
        });
    }

    /// Labels a session that is about to begin. Whoever expects one says when it no longer does.
    pub fn expect(&self, id: &SessionId, labels: Labels) {
        if labels.is_empty() {
            return;
        }
        let mut shard = self.shard(id.as_str());
        // Another gateway may have placed it a moment ago.
        if let Some(session) = shard.sessions.get_mut(id.as_str())
            && session.labels.is_empty()
        {
            Arc::make_mut(session).labels = Arc::clone(&labels);
        }
        shard.expected.insert(id.clone(), labels);
    }

    /// The session has begun, or will not.
    pub fn unexpect(&self, id: &SessionId) {
        self.shard(id.as_str()).expected.remove(id.as_str());
    }

    /// The session, if it lives or ended within the retention.
    pub fn session(&self, id: &SessionId) -> Option<Arc<Session>> {
        self.shard(id.as_str()).sessions.get(id.as_str()).cloned()
    }

    /// All sessions, oldest first.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        let mut all: Vec<_> = self
            .shards
            .iter()
            .flat_map(|shard| lock(shard).sessions.values().cloned().collect::<Vec<_>>())
            .collect();
        all.sort_by(|a, b| a.order().cmp(&b.order()));
        all
    }

    /// The live sessions of one node, oldest first.
    pub fn live_on(&self, node: &NodeId) -> Vec<Arc<Session>> {
        let lives_here = |session: &&Arc<Session>| session.node == *node && session.is_live();
        let mut live: Vec<_> = self
            .shards
            .iter()
            .flat_map(|shard| {
                lock(shard)
                    .sessions
                    .values()
                    .filter(lives_here)
                    .cloned()
                    .collect::<Vec<_>>()
            })
            .collect();
        live.sort_by(|a, b| a.order().cmp(&b.order()));
        live
    }

    /// How many sessions live on a node.
    pub fn live_count(&self, node: &NodeId) -> usize {
        self.live.of(node)
    }

    /// Waits for `matcher` to be content with the session: it is asked at once with the session as
    /// it is, if there is one, and then at each of its events, on the event task; it must be quick
    /// and must not call the tracker.
    pub fn watch<T: Send + 'static>(
        self: &Arc<Self>,
        node: &NodeId,
        id: &SessionId,
        matcher: impl FnMut(&Sighting<'_>) -> Option<T> + Send + 'static,
    ) -> Watch<T> {
        Watch::register(self, node, id, matcher)
    }

    /// The link to `node` is lost: whoever waits for its events is told so.
    pub fn node_lost(&self, node: &NodeId) {
        for shard in &self.shards {
            lock(shard).fail_watches(node);
        }
    }

    /// Number of watches.
    pub fn watches(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).watches()).sum()
    }

    /// Number of sessions that somebody expects, for tests that nothing is left behind.
    pub fn expected(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| lock(shard).expected.len())
            .sum()
    }

    /// CHANNEL_BRIDGE is about one leg; the other one, which FreeSWITCH has just put into the call
    /// of the first (`switch_ivr_multi_threaded_bridge` in `switch_ivr_bridge.c`), is told here.
    fn join(&self, session: &Session, peer: &SessionId, event: &Event) -> Option<Arc<Session>> {
        let time = session::event_time(event);
        let at = event.number("Event-Date-Timestamp");
        let mut moves = Vec::new();
        let other = self.update(peer, |other| {
            if other.bridged_with(&session.id, Some(&session.id), time, at) {
                moves = self.settle(other);
            }
        })?;
        self.follow(moves);
        Some(other)
    }

    fn part(&self, id: &SessionId, peer: &SessionId) -> Option<Arc<Session>> {
        self.update(peer, |other| {
            if other.peer.as_ref() == Some(id) {
                other.peer = None;
            }
        })
    }

    fn update(&self, id: &SessionId, change: impl FnOnce(&mut Session)) -> Option<Arc<Session>> {
        let mut shard = self.shard(id.as_str());
        let session = shard.sessions.get_mut(id.as_str())?;
        change(Arc::make_mut(session));
        Some(Arc::clone(session))
    }

    fn sweep(&self) {
        for id in self.on_forget.take_due() {
            // It may have begun anew.
            if self.session(&id).is_none() {
                self.on_forget.tell(&id);
            }
        }
        let _sweeping = lock(&self.sweeping);
        let now = Instant::now();
        for shard in &self.shards {
            let forgotten = {
                let mut shard = lock(shard);
                let forgotten = shard.sweep(now, self.config.retention);
                for session in &forgotten {
                    self.forget_member(session);
                }
                forgotten
            };
            for session in forgotten {
                self.on_forget.later(&session.id);
                // Its last event may have been lost, and then nothing else tells that it is over.
                self.call_changed(&session.call);
            }
        }
    }

    fn shard(&self, id: &str) -> MutexGuard<'_, Shard> {
        let hash = FixedState::default().hash_one(id);
        // The remainder is below SHARDS, the number of shards.
        lock(&self.shards[(hash % SHARDS as u64) as usize])
    }
}

/// A panic while the lock was held leaves plain data behind, which is better than none.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
