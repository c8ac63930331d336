//! Requests of clients.

use std::fmt;

use super::{Family, Page, Theme};
use crate::grpc::{DURATION_BOUNDS, Method, Tally};

const RPCS: Family = Family::counter(
    "switchgate_rpcs_total",
    "RPCs that ended, by their status code; CANCELLED when the client left",
    &["method", "kind", "code"],
);
const IN_FLIGHT: Family = Family::gauge(
    "switchgate_rpcs_in_flight",
    "RPCs under way, streams included",
    &["method", "kind"],
);
const DURATION: Family = Family::histogram(
    "switchgate_rpc_duration_seconds",
    "Time from an RPC's headers to its status; of a stream, how long it lasted",
    &["method", "kind"],
);
const MESSAGES: Family = Family::counter(
    "switchgate_rpc_messages_sent_total",
    "Messages in the answers of RPCs",
    &["method", "kind"],
);

/// Requests of clients, by RPC.
#[derive(Debug)]
pub struct RpcMetrics(pub Tally);

// === impl RpcMetrics ===

impl Theme for RpcMetrics {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let methods = self.0.methods();
        let ended = methods.clone().flat_map(|method| {
            // Of each RPC one series at least, so that a first failure is an increase.
            let told = |(code, count): &(&str, u64)| *count > 0 || *code == "OK";
            let [name, kind] = labels(method);
            let ended = method.ended().filter(told);
            ended.map(move |(code, count)| ([name, kind, code], count))
        });
        page.samples(&RPCS, ended)?;
        let in_flight = methods
            .clone()
            .map(|method| (labels(method), method.in_flight.get()));
        page.samples(&IN_FLIGHT, in_flight)?;
        // Those that were never asked for would be most of what is told.
        let durations = methods.clone().filter_map(|method| {
            let (counts, sum) = method.durations();
            let any = counts.iter().any(|count| *count > 0);
            any.then(|| (labels(method), counts, sum))
        });
        page.histograms(&DURATION, &DURATION_BOUNDS, durations)?;
        let messages = methods.map(|method| (labels(method), method.messages_sent.get()));
        page.samples(&MESSAGES, messages)
    }
}

fn labels(method: &Method) -> [&str; 2] {
    let kind = if method.streams { "stream" } else { "unary" };
    [&method.name, kind]
}
