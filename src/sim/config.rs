//! What a simulated node can be told.

use std::time::{Duration, SystemTime};

/// A user that may log in with `userauth` (the directory's `esl-*` parameters).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimUser {
    /// `user@domain`.
    pub name: String,
    /// `esl-password`.
    pub password: String,
    /// `esl-allowed-events`, separated by spaces; `None` allows all.
    pub allowed_events: Option<String>,
    /// `esl-allowed-api`, separated by spaces; `None` allows all.
    pub allowed_api: Option<String>,
    /// `esl-allowed-log`.
    pub allowed_log: bool,
}

/// How a simulated node behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimConfig {
    /// `FreeSWITCH-Switchname`.
    pub name: String,
    /// The event socket's password.
    pub password: String,
    /// Users for `userauth`.
    pub users: Vec<SimUser>,
    /// Refuses every connection with `text/rude-rejection`, as an ACL that names nobody does.
    pub reject_all: bool,
    /// Time between two `HEARTBEAT` events.
    pub heartbeat: Duration,
    /// How far `show channels` and `show calls` lag behind the core, as the real one's SQL table.
    pub list_lag: Duration,
    /// `max-sessions`.
    pub max_sessions: u32,
    /// `sessions-per-second`.
    pub sessions_per_second: u32,
    /// There is no database (`-nosql`), so that `show` refuses everything.
    pub no_sql: bool,
    /// What its clock shows when it begins; `None` is the present time. A test that is to be
    /// repeated gives one.
    pub began: Option<SystemTime>,
}

// === impl SimConfig ===

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            name: "sim".to_owned(),
            password: "ClueCon".to_owned(),
            users: vec![SimUser {
                name: "1000@test".to_owned(),
                password: "pw1000".to_owned(),
                allowed_events: Some("CHANNEL_CREATE HEARTBEAT".to_owned()),
                allowed_api: Some("status show".to_owned()),
                allowed_log: false,
            }],
            reject_all: false,
            heartbeat: Duration::from_secs(20),
            list_lag: Duration::from_millis(250),
            max_sessions: 20_000,
            sessions_per_second: 2_000,
            no_sql: false,
            began: None,
        }
    }
}
