//! The sections of the tree with their defaults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::names::Names;
use super::value::{LogFormat, Size, read, write_duration};

/// Each link to the event socket of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EslConfig {
    /// Longest time for connecting and authenticating together. Default 5s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub connect_timeout: Duration,
    /// Silence after which the link is asked whether it still lives. Default 15s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub probe_after: Duration,
    /// Silence after which the link counts as lost and is made anew; longer than `probe_after`
    /// and at most 1m. Default 45s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub dead_after: Duration,
    /// How long FreeSWITCH may take for an answer when it is asked which sessions it has, and how
    /// they are; a look that takes longer is repeated. Default 30s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub query_timeout: Duration,
    /// Waits between attempts to connect.
    pub backoff: BackoffConfig,
    /// Largest body of a frame, in bytes. Default 64MiB: `show channels as json` of 20,000
    /// channels is 17 MiB.
    #[serde(deserialize_with = "read")]
    pub max_frame_bytes: Size,
    /// Largest block of headers in front of a body, in bytes. Default 1MiB: nothing announces
    /// its length, and one that carries a channel's data holds all the channel's variables,
    /// mostly 4 to 10 KiB but as large as the dialplan makes them.
    #[serde(deserialize_with = "read")]
    pub max_header_bytes: Size,
    /// Links of each node for commands, beside the one for events. Default 8: FreeSWITCH takes
    /// about 865 background jobs a second on one link and 6,900 on eight.
    #[serde(deserialize_with = "read")]
    pub command_links: usize,
    /// Most commands of one link that wait for their reply; one more is refused. Default 1024.
    #[serde(deserialize_with = "read")]
    pub max_pending: usize,
}

/// Waits between attempts: they double from `min` to `max`, with jitter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackoffConfig {
    /// Shortest wait. Default 250ms.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub min: Duration,
    /// Longest wait. Default 15s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub max: Duration,
}

/// Sessions: what is known of FreeSWITCH's channels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionsConfig {
    /// Channel variable that says to which call a session belongs, before anything else does.
    /// Default `call_uuid`, which FreeSWITCH sets itself; a variable of your own, such as
    /// `sip_h_X-Call-ID`, follows a call through other switches.
    #[serde(deserialize_with = "read")]
    pub call_variable: String,
    /// How long a session can be read after its end. Default 1m.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub retention: Duration,
    /// Most events of one session that are kept, for as long as it can be read; the oldest go
    /// first. Default 200: a call with two legs, bridged, makes 60 to 120.
    #[serde(deserialize_with = "read")]
    pub history_events: usize,
    /// Memory for the events of all sessions, in bytes; the oldest go first. Events that the
    /// journal has too are not held twice. Default 128MiB.
    #[serde(deserialize_with = "read")]
    pub history_bytes: Size,
}

/// Background jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobsConfig {
    /// How long a job can be read after its end. Default 1h.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub retention: Duration,
    /// Most ended jobs that are kept; the oldest go first. Default 10000.
    #[serde(deserialize_with = "read")]
    pub max_finished: usize,
    /// Most unfinished jobs of one node; one more is refused. Each is a thread of FreeSWITCH, and an
    /// originate takes one as long as it rings. Default 2000.
    #[serde(deserialize_with = "read")]
    pub max_running_per_node: usize,
    /// Time after which a job that named no time-out of its own ends as EXPIRED. Default 1h, far
    /// past any command's own end: what has not answered by then has lost its answer.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub default_timeout: Duration,
}

/// The journal of events and its subscribers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsConfig {
    /// Memory for past events, in bytes; the oldest go first. Default 256MiB.
    #[serde(deserialize_with = "read")]
    pub journal_bytes: Size,
    /// How long an event is kept while there is memory for it. Default 10m.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub journal_age: Duration,
    /// Most that one subscriber can lag behind, in bytes of events that it wants. Default 8MiB.
    #[serde(deserialize_with = "read")]
    pub subscriber_bytes: Size,
    /// Longest silence of a subscription that named none; then a checkpoint is sent. Default 15s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub heartbeat_interval: Duration,
    /// Events that FreeSWITCH sends also while nobody subscribes to them, beside those that the
    /// gateway needs: names, subclasses of `CUSTOM` events such as `conference::maintenance`, or
    /// `ALL`. Default none.
    pub always: Names,
}

/// The stop on SIGTERM or SIGINT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownConfig {
    /// Longest time for the whole stop; what still runs then is left. Default 30s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub grace: Duration,
    /// Pause between NOT_SERVING and the refusal of new calls, in which load balancers learn of
    /// it; part of `grace`. Default 0s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub delay: Duration,
}

/// Logs, which go to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `off`, `error`, `warn`, `info`, `debug`, `trace`, or by part of the program:
    /// `info,switchgate::esl=debug`. Default info. RUST_LOG sets it too.
    #[serde(deserialize_with = "read")]
    pub level: String,
    /// `auto` (text on a terminal, else JSON), `text` or `json`. Default auto.
    #[serde(deserialize_with = "read")]
    pub format: LogFormat,
}

// === impl Default ===

impl Default for EslConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            probe_after: Duration::from_secs(15),
            dead_after: Duration::from_secs(45),
            query_timeout: Duration::from_secs(30),
            backoff: BackoffConfig::default(),
            max_frame_bytes: Size::from_mib(64),
            max_header_bytes: Size::from_mib(1),
            command_links: 8,
            max_pending: 1024,
        }
    }
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(250),
            max: Duration::from_secs(15),
        }
    }
}

impl Default for SessionsConfig {
    fn default() -> Self {
        Self {
            call_variable: "call_uuid".to_owned(),
            retention: Duration::from_secs(60),
            history_events: 200,
            history_bytes: Size::from_mib(128),
        }
    }
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(3600),
            max_finished: 10_000,
            max_running_per_node: 2000,
            default_timeout: Duration::from_secs(3600),
        }
    }
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            journal_bytes: Size::from_mib(256),
            journal_age: Duration::from_secs(600),
            subscriber_bytes: Size::from_mib(8),
            heartbeat_interval: Duration::from_secs(15),
            always: Names::default(),
        }
    }
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            delay: Duration::ZERO,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::default(),
        }
    }
}
