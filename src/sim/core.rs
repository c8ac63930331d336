//! The node: one world behind one lock, and the events that leave it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::time::Instant;

use super::channel::Channel;
use super::clock::{self, Clock};
use super::conference::Conferences;
use super::config::SimConfig;
use super::event::Event;
use super::fault::LinkFault;
use super::listener::{Item, Listener};
use super::listing::Listing;
use super::names::{EventKind, KindSet};
use super::schedule::Schedule;
use super::{lifecycle, wire};
use crate::chance;
use crate::shutdown::Drain;

/// Commands that are remembered for tests; the oldest are forgotten.
const COMMANDS_KEPT: usize = 10_000;

/// What all tasks of a simulated node share.
#[derive(Debug)]
pub(super) struct Core {
    /// What it was told.
    pub(super) config: SimConfig,
    /// Starts and stops its tasks.
    pub(super) drain: Drain,
    world: Mutex<World>,
}

/// All that changes. One lock guards it, which is never held across an await; each operation
/// under it is short, so one lock is simpler and quicker than many.
#[derive(Debug)]
pub(super) struct World {
    me: Weak<Core>,
    /// `FreeSWITCH-Switchname`.
    pub(super) switch_name: String,
    /// New at every start.
    pub(super) core_uuid: String,
    /// The time.
    pub(super) clock: Clock,
    /// The channels by their uuid.
    pub(super) channels: BTreeMap<String, Channel>,
    /// The open connections.
    pub(super) listeners: BTreeMap<u64, Listener>,
    /// The tables behind `show channels` and `show calls`.
    pub(super) listing: Listing,
    /// Global variables.
    pub(super) globals: BTreeMap<String, String>,
    /// What `sched_*` planned.
    pub(super) schedule: Schedule,
    /// The conferences.
    pub(super) conferences: Conferences,
    /// The node's counters and limits.
    pub(super) stats: Stats,
    /// The last commands received.
    pub(super) commands: VecDeque<Bytes>,
    /// Every event of a channel carries its variables, as while FreeSWITCH shuts down.
    pub(super) verbose: bool,
    /// Whether `mod_avmd` is loaded.
    pub(super) has_avmd: bool,
    /// What a new connection suffers from.
    pub(super) link_fault: LinkFault,
    /// Events that a fault still swallows.
    pub(super) events_to_lose: u32,
    next_listener: u64,
    sequence: u64,
}

/// Figures of `status` and `HEARTBEAT`, and the limits that `fsctl` changes.
#[derive(Debug, Clone)]
pub(super) struct Stats {
    pub(super) sessions_since_startup: u64,
    pub(super) peak: usize,
    pub(super) max_sessions: u32,
    pub(super) sessions_per_second: u32,
    pub(super) started_in_second: u32,
    pub(super) second_began: Instant,
    pub(super) peak_per_second: u32,
    pub(super) pause_inbound: bool,
    pub(super) pause_outbound: bool,
}

// === impl Core ===

impl Core {
    /// A node without channels.
    pub(super) fn new(config: SimConfig, drain: Drain) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            world: Mutex::new(World::new(&config, me.clone())),
            config,
            drain,
        })
    }

    /// The world, locked.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        // A panic under the lock is a defect of the simulator; the world is still the best there is.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl World ===

impl World {
    fn new(config: &SimConfig, me: Weak<Core>) -> Self {
        let mut world = Self {
            me,
            switch_name: config.name.clone(),
            core_uuid: chance::uuid().to_string(),
            clock: Clock::start(config.began),
            channels: BTreeMap::new(),
            listeners: BTreeMap::new(),
            listing: Listing::new(config.list_lag, config.no_sql),
            globals: BTreeMap::new(),
            schedule: Schedule::default(),
            conferences: Conferences::default(),
            stats: Stats::new(config),
            commands: VecDeque::new(),
            verbose: false,
            has_avmd: false,
            link_fault: LinkFault::default(),
            events_to_lose: 0,
            next_listener: 0,
            sequence: 0,
        };
        world.set_globals();
        world
    }

    fn set_globals(&mut self) {
        let core_uuid = self.core_uuid.clone();
        self.globals = [
            ("hostname", "sim"),
            ("local_ip_v4", "192.0.2.2"),
            ("switch_serial", "0200c0000202"),
            ("base_dir", "/usr"),
            ("recordings_dir", "/var/lib/freeswitch/recordings"),
            ("sounds_dir", "/usr/share/freeswitch/sounds"),
            ("sound_prefix", "/usr/share/freeswitch/sounds/en/us/callie"),
            ("default_password", ""),
            ("core_uuid", &core_uuid),
            ("switchname", &self.switch_name.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    }

    /// Starts anew with another Core-UUID: channels and plans are gone without a word.
    pub(super) fn restart(&mut self, config: &SimConfig) {
        for channel in self.channels.values() {
            channel.wake.notify_one();
            if let Some(originator) = &channel.originator {
                originator.changed.notify_one();
            }
        }
        self.channels.clear();
        self.core_uuid = chance::uuid().to_string();
        self.clock.restart();
        self.listing = Listing::new(config.list_lag, config.no_sql);
        self.schedule = Schedule::default();
        self.conferences = Conferences::default();
        self.stats = Stats::new(config);
        self.sequence = 0;
        self.verbose = false;
        self.has_avmd = false;
        self.set_globals();
    }

    /// The node itself, unless it is going away.
    pub(super) fn core(&self) -> Option<Arc<Core>> {
        self.me.upgrade()
    }

    /// Microseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        self.clock.micros()
    }

    /// Adds a listener and gives its key.
    pub(super) fn add_listener(&mut self, listener: Listener) -> u64 {
        self.next_listener += 1;
        self.listeners.insert(self.next_listener, listener);
        self.next_listener
    }

    /// Remembers a command.
    pub(super) fn remember(&mut self, raw: Bytes) {
        if self.commands.len() == COMMANDS_KEPT {
            self.commands.pop_front();
        }
        self.commands.push_back(raw);
    }

    /// Whether any listener wants events of this kind at all.
    fn is_wanted(&self, kind: EventKind) -> bool {
        let wanted = self
            .listeners
            .values()
            .filter(|listener| listener.listening);
        wanted
            .fold(KindSet::default(), |all, listener| {
                all.union(listener.kinds)
            })
            .contains(kind)
    }

    /// An event with the headers that every event begins with
    /// (`switch_event_prep_for_delivery_detailed` in `switch_event.c`).
    pub(super) fn prepare(&mut self, mut event: Event) -> Event {
        let mut added = std::mem::take(&mut event.headers);
        if event.own_first {
            std::mem::swap(&mut event.headers, &mut added);
        }
        let now = self.now();
        self.sequence += 1;
        if let Some(subclass) = event.subclass.clone() {
            event.add("Event-Subclass", subclass);
        }
        event.add("Event-Name", event.kind.name());
        event.add("Core-UUID", self.core_uuid.as_str());
        event.add("FreeSWITCH-Hostname", "sim");
        event.add("FreeSWITCH-Switchname", self.switch_name.as_str());
        event.add("FreeSWITCH-IPv4", "192.0.2.2");
        event.add("FreeSWITCH-IPv6", "fd00::2");
        event.add("Event-Date-Local", clock::stamp(now));
        event.add("Event-Date-GMT", clock::rfc822(now));
        event.add("Event-Date-Timestamp", now.to_string());
        let (file, function, line) = event.kind.origin();
        event.add("Event-Calling-File", file);
        event.add("Event-Calling-Function", function);
        event.add("Event-Calling-Line-Number", line);
        event.add("Event-Sequence", self.sequence.to_string());
        event.headers.extend(added);
        event
    }

    /// Sends an event to every listener that wants it.
    pub(super) fn fire(&mut self, event: Event) {
        if !self.is_wanted(event.kind) {
            self.sequence += 1;
            return;
        }
        let event = Arc::new(self.prepare(event));
        if self.events_to_lose > 0 {
            self.events_to_lose -= 1;
            return;
        }
        for listener in self.listeners.values_mut() {
            if listener.wants(&event) {
                listener.push(Item::Event(Arc::clone(&event)));
            }
        }
    }

    /// Fires an event of a channel.
    pub(super) fn fire_channel(&mut self, uuid: &str, kind: EventKind) {
        self.fire_channel_with(uuid, kind, |_| {});
    }

    /// Fires an event of a channel with headers of its own behind the channel's.
    pub(super) fn fire_channel_with(
        &mut self,
        uuid: &str,
        kind: EventKind,
        add: impl FnOnce(&mut Event),
    ) {
        if !self.is_wanted(kind) {
            self.sequence += 1;
            return;
        }
        let Some(channel) = self.channels.get(uuid) else {
            return;
        };
        let mut event = Event::new(kind);
        channel.write(&mut event, self.verbose);
        add(&mut event);
        self.fire(event);
    }

    /// Sends a line of the log to every listener that asked for this level.
    pub(super) fn log(&mut self, level: u8, channel: &str, text: &str) {
        let listeners = self.listeners.values_mut();
        for listener in listeners.filter(|one| one.log_level.is_some_and(|wanted| wanted >= level))
        {
            let body = format!("{text}\n");
            let head = format!(
                "Content-Type: log/data\nContent-Length: {}\nLog-Level: {level}\nText-Channel: 3\n\
                 Log-File: switch_channel.c\nLog-Func: simulator\nLog-Line: 1\nUser-Data: {channel}\n\n",
                body.len()
            );
            listener.push(Item::Log(Bytes::from(head + &body)));
        }
    }

    /// Starts the task of a session that is in the world.
    pub(super) fn start_session(&mut self, uuid: &str) {
        let (Some(core), Some(channel)) = (self.me.upgrade(), self.channels.get(uuid)) else {
            return;
        };
        let (uuid, number) = (uuid.to_owned(), channel.number);
        core.drain.clone().spawn(lifecycle::run(core, uuid, number));
    }

    /// Runs an action later, unless the node stops first.
    pub(super) fn later(
        &self,
        after: std::time::Duration,
        action: impl FnOnce(&mut Self) + Send + 'static,
    ) {
        let Some(core) = self.me.upgrade() else {
            return;
        };
        let drain = core.drain.clone();
        let (stopped, generation) = (drain.stopped(), self.core_uuid.clone());
        drain.spawn(async move {
            tokio::select! {
                biased;
                () = stopped => {}
                () = tokio::time::sleep(after) => {
                    let mut world = core.world();
                    // Another generation of the node knows nothing of this one's plans.
                    if world.core_uuid == generation {
                        action(&mut world);
                    }
                }
            }
        });
    }

    /// Tells every connection that the node goes down.
    pub(super) fn disconnect_notice() -> Bytes {
        wire::frame(
            "text/disconnect-notice",
            b"Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n",
        )
    }
}

// === impl Stats ===

impl Stats {
    fn new(config: &SimConfig) -> Self {
        Self {
            sessions_since_startup: 0,
            peak: 0,
            max_sessions: config.max_sessions,
            sessions_per_second: config.sessions_per_second,
            started_in_second: 0,
            second_began: Instant::now(),
            peak_per_second: 0,
            pause_inbound: false,
            pause_outbound: false,
        }
    }

    /// Counts a new session; says whether the limits allow it.
    pub(super) fn admit(&mut self, present: usize) -> bool {
        if self.second_began.elapsed() >= std::time::Duration::from_secs(1) {
            self.second_began = Instant::now();
            self.started_in_second = 0;
        }
        if self.started_in_second >= self.sessions_per_second
            || present >= usize::try_from(self.max_sessions).unwrap_or(usize::MAX)
        {
            return false;
        }
        self.started_in_second += 1;
        self.peak_per_second = self.peak_per_second.max(self.started_in_second);
        self.sessions_since_startup += 1;
        self.peak = self.peak.max(present + 1);
        true
    }
}
