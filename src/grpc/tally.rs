//! How many requests there were, how they ended and how long they took.
//!
//! A request is counted from its headers to its status, which for a stream comes at its end. What
//! is no RPC of ours counts under one name, so that no client can make series.

mod call;
mod messages;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tonic::Code;

pub(super) use call::Call;

use super::rpc::Rpc;
use super::status::code_name;
use crate::domain::Count;

/// Upper bounds of the durations that are told apart, in seconds: what takes one command takes
/// milliseconds, an originate rings for seconds, a stream lasts.
pub const DURATION_BOUNDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Codes of gRPC, 0 to 16.
const CODES: usize = 17;

/// What no RPC of ours is called, as the semantic conventions of OpenTelemetry name it.
const OTHER: &str = "_OTHER";

/// RPCs that are served beside our own: path, and whether it streams.
const BESIDE: [(&str, bool); 4] = [
    ("/grpc.health.v1.Health/Check", false),
    ("/grpc.health.v1.Health/Watch", true),
    (
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        true,
    ),
    (
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        true,
    ),
];

/// All requests since the start, by RPC. Clones share it.
#[derive(Debug, Clone)]
pub struct Tally(Arc<Methods>);

#[derive(Debug)]
struct Methods {
    by_path: HashMap<String, Arc<Method>, foldhash::fast::RandomState>,
    /// The same in the order of their names, and last what is no RPC.
    all: Vec<Arc<Method>>,
    other: Arc<Method>,
}

/// The requests of one RPC.
#[derive(Debug)]
pub struct Method {
    /// `switchgate.v1.SessionService/Originate`, or `_OTHER`.
    pub name: String,
    /// Whether it answers with a stream.
    pub streams: bool,
    /// Those under way.
    pub in_flight: Count,
    /// Messages of its answers.
    pub messages_sent: Count,
    codes: [Count; CODES],
    durations: Durations,
}

/// How long requests took.
#[derive(Debug, Default)]
struct Durations {
    /// Those up to each bound and above the one before; the last are longer than all bounds.
    buckets: [Count; DURATION_BOUNDS.len() + 1],
    nanoseconds: Count,
}

// === impl Tally ===

impl Tally {
    /// Nothing so far, with a place for each RPC.
    pub fn new() -> Self {
        let own = Rpc::all().map(|rpc| (rpc.path.as_str(), rpc.streams));
        let mut paths: Vec<_> = own.chain(BESIDE).collect();
        paths.sort_unstable();
        let other = Arc::new(Method::new(OTHER, false));
        let mut all = Vec::new();
        let mut by_path = HashMap::default();
        for (path, streams) in paths {
            let method = Arc::new(Method::new(path.trim_start_matches('/'), streams));
            by_path.insert(path.to_owned(), Arc::clone(&method));
            all.push(method);
        }
        all.push(Arc::clone(&other));
        Self(Arc::new(Methods {
            by_path,
            all,
            other,
        }))
    }

    /// All RPCs, whether they were asked for or not.
    pub fn methods(&self) -> impl Iterator<Item = &Method> + Clone {
        self.0.all.iter().map(|method| &**method)
    }

    /// A request with this path begins.
    pub(super) fn begin(&self, path: &str) -> Call {
        let method = self.0.by_path.get(path).unwrap_or(&self.0.other);
        Call::begin(method)
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Method ===

impl Method {
    fn new(name: &str, streams: bool) -> Self {
        Self {
            name: name.to_owned(),
            streams,
            in_flight: Count::default(),
            messages_sent: Count::default(),
            codes: Default::default(),
            durations: Durations::default(),
        }
    }

    /// Those that ended, by the name of their code.
    pub fn ended(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let codes = (0..).map(Code::from_i32);
        let named = |(code, count): (Code, &Count)| (code_name(code), count.get());
        codes.zip(&self.codes).map(named)
    }

    /// How many took how long, by [`DURATION_BOUNDS`] and beyond, and the sum in seconds.
    pub fn durations(&self) -> ([u64; DURATION_BOUNDS.len() + 1], f64) {
        let counts = self.durations.buckets.each_ref().map(Count::get);
        let sum = Duration::from_nanos(self.durations.nanoseconds.get());
        (counts, sum.as_secs_f64())
    }

    fn end(&self, code: Code, took: Duration) {
        self.in_flight.take(1);
        if let Some(count) = self.codes.get(code as usize) {
            count.one();
        }
        let seconds = took.as_secs_f64();
        let bucket = DURATION_BOUNDS.partition_point(|bound| *bound < seconds);
        self.durations.buckets[bucket].one();
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.durations.nanoseconds.add(nanoseconds);
    }
}

#[cfg(test)]
mod tests;
