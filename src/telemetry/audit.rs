//! The audit: who changed what, one line for each RPC that changes something or tried to.
//!
//! Lines go to the standard log, or to a file of their own: then one thread writes them, and nobody
//! waits for the disk. A line that finds the queue full is left out and counted.

mod file;
mod refusals;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value as Json, json};

use super::redact::Ids;
use crate::config::{AuditConfig, AuditPolicy};
use crate::domain::{Failure, Reason};
use file::File;
use refusals::Refusals;

/// Target of the lines in the standard log.
const TARGET: &str = "audit";
/// After which a request that was refused for the audit's sake may be tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Takes a line for each RPC that changes something. Clones share it.
#[derive(Debug, Clone)]
pub struct Audit {
    sink: Sink,
    redact: bool,
    policy: AuditPolicy,
    refusals: Arc<Refusals>,
}

#[derive(Debug, Clone)]
enum Sink {
    Log,
    File(Arc<File>),
}

/// One RPC that changed something, or tried to.
#[derive(Debug, Clone)]
pub struct Line {
    /// When it began.
    pub time: SystemTime,
    /// `switchgate.v1.SessionService/Hangup`.
    pub rpc: String,
    /// Who asked; absent when nobody knows.
    pub caller: Option<String>,
    /// Where it asked from.
    pub peer: SocketAddr,
    /// The request, without what is sensitive; absent when it did not come, or is too long.
    pub request: Option<Json>,
    /// What request and answer name.
    pub ids: Ids,
    /// The gRPC status code by name.
    pub code: &'static str,
    /// Our reason, of a failure.
    pub reason: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// Its trace.
    pub trace_id: Option<String>,
}

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path} (audit.file); name a file that this user may write")]
pub struct AuditError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

// === impl Audit ===

impl Audit {
    /// Opens the file, if there is to be one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(config: &AuditConfig) -> Result<Self, AuditError> {
        let sink = match config.file.as_str() {
            "" => Sink::Log,
            path => Sink::File(Arc::new(File::open(path.into())?)),
        };
        Ok(Self {
            sink,
            redact: config.redact,
            policy: config.on_failure,
            refusals: Arc::default(),
        })
    }

    /// Whether anybody reads what is written.
    pub fn is_on(&self) -> bool {
        match &self.sink {
            Sink::Log => tracing::enabled!(target: TARGET, tracing::Level::INFO),
            Sink::File(_) => true,
        }
    }

    /// Whether `***` is to stand for what is sensitive.
    pub fn redacts(&self) -> bool {
        self.redact
    }

    /// That something may be changed: its line will be written, or need not be.
    ///
    /// # Errors
    /// OVERLOADED while the file cannot be written and the policy is to refuse.
    pub fn check(&self) -> Result<(), Failure> {
        match (&self.sink, self.policy) {
            (Sink::File(file), AuditPolicy::Refuse) if file.is_stuck() => {
                let message = "the audit cannot be written, without which nothing may be changed";
                Err(Failure::new(Reason::Overloaded, message).retry_after(RETRY_AFTER))
            }
            _ => Ok(()),
        }
    }

    /// Takes a line; never waits.
    pub fn write(&self, line: &Line) {
        self.tell_left_out(false);
        match &self.sink {
            Sink::Log => line.log(),
            Sink::File(file) => file.write(line.json().to_string()),
        }
    }

    /// Takes the line of a request that was not let in, of this caller or of nobody known; never
    /// waits. Such lines can be made as fast as one can ask: they are few in a second, those left out
    /// are counted, and they take no room from others.
    pub fn write_refused(&self, line: &Line, caller: Option<&str>) {
        self.tell_left_out(false);
        let is_taken = self.refusals.may_write(caller)
            && match &self.sink {
                Sink::Log => {
                    line.log();
                    true
                }
                Sink::File(file) => file.write_to_spare(line.json().to_string()),
            };
        if !is_taken {
            self.refusals.left_out(caller);
        }
    }

    /// Tells how many lines were left out of whom, when it is time.
    fn tell_left_out(&self, at_once: bool) {
        for (caller, left_out) in self.refusals.due(at_once) {
            match &self.sink {
                Sink::Log => {
                    tracing::info!(target: TARGET, caller, left_out, "refused requests are left out");
                }
                Sink::File(file) => {
                    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
                    let mut line = json!({"time": time, "left_out": left_out});
                    if let Some(caller) = &caller {
                        line["caller"] = json!(caller);
                    }
                    if !file.write_to_spare(line.to_string()) {
                        self.refusals.not_told(caller.as_deref(), left_out);
                    }
                }
            }
        }
    }

    /// Opens the file anew, after somebody has moved it away; the writer also looks by itself.
    pub fn reopen(&self) {
        if let Sink::File(file) = &self.sink {
            file.reopen();
        }
    }

    /// Waits until all lines so far are on their way to the disk; says whether they are.
    pub async fn flush(&self, patience: Duration) -> bool {
        self.tell_left_out(true);
        match &self.sink {
            Sink::Log => true,
            Sink::File(file) => file.flush(patience).await,
        }
    }

    /// Lines that were left out.
    pub fn lost(&self) -> u64 {
        match &self.sink {
            Sink::Log => 0,
            Sink::File(file) => file.lost(),
        }
    }
}

impl Default for Audit {
    /// To the standard log, redacted.
    fn default() -> Self {
        Self {
            sink: Sink::Log,
            redact: true,
            policy: AuditPolicy::default(),
            refusals: Arc::default(),
        }
    }
}

// === impl Line ===

impl Line {
    fn json(&self) -> Json {
        let mut line = Map::new();
        let mut put = |name: &str, value: Option<Json>| {
            if let Some(value) = value {
                line.insert(name.to_owned(), value);
            }
        };
        let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
        let time = humantime::format_rfc3339_millis(self.time);
        put("time", Some(json!(time.to_string())));
        put("rpc", Some(json!(self.rpc)));
        put("caller", text(&self.caller));
        put("peer", Some(json!(self.peer.to_string())));
        put("code", Some(json!(self.code)));
        put("reason", text(&self.reason));
        put("duration_ms", Some(json!(self.milliseconds())));
        put("request_id", self.request_id().map(Json::from));
        put("session_id", text(&self.ids.session));
        put("call_id", text(&self.ids.call));
        put("job_id", text(&self.ids.job));
        put("node_id", text(&self.ids.node));
        if !self.ids.sessions.is_empty() {
            put("session_ids", Some(json!(self.ids.sessions)));
        }
        put("trace_id", text(&self.trace_id));
        put("request", self.request.clone());
        Json::Object(line)
    }

    fn log(&self) {
        let ids = &self.ids;
        tracing::info!(
            target: TARGET,
            rpc = self.rpc,
            caller = self.caller,
            peer = %self.peer,
            code = self.code,
            reason = self.reason,
            duration_ms = self.milliseconds(),
            request_id = self.request_id(),
            session_id = ids.session,
            call_id = ids.call,
            job_id = ids.job,
            node_id = ids.node,
            session_ids = (!ids.sessions.is_empty()).then(|| json!(ids.sessions).to_string()),
            trace_id = self.trace_id,
            request = self.request.as_ref().map(ToString::to_string),
            "changed"
        );
    }

    fn request_id(&self) -> Option<&str> {
        let request = self.request.as_ref()?;
        // That of the call stands within the stream's request.
        let holders = [Some(request), request.get("originate")];
        let mut ids = holders.into_iter().flatten();
        ids.find_map(|holder| holder.get("request_id")?.as_str())
    }

    fn milliseconds(&self) -> f64 {
        (self.took.as_secs_f64() * 1e6).round() / 1e3
    }
}

#[cfg(test)]
mod tests;
