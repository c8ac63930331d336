//! The integration tests, one module per theme, in one binary (see Cargo.toml).
// clippy.toml allows both in test functions alone, not in what they call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod api_calls;
mod api_events;
mod api_execute;
mod api_jobs;
mod api_malformed;
mod api_nodes;
mod api_originate;
mod api_request_id;
mod api_sessions;
mod cli;
mod client;
mod docs;
mod esl_captures;
mod esl_connector;
mod esl_link;
mod fuzz_seeds;
mod gateway;
mod live_quoting;
mod originate_stream;
mod peer;
mod peers_inputs;
mod recordings;
mod session_events;
mod sim_behaviour;
mod sim_conformance;
mod sim_faults;
mod sim_outbound;
mod verbs;
mod verbs_dtmf;
mod verbs_media;
mod verbs_signalling;
mod verbs_transfer;
