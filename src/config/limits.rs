//! How much of the gateway one caller may use.

use serde::{Deserialize, Serialize};

use super::value::read;

/// How much of the gateway one caller may use, so that the others have the rest. Where it is 0 there
/// is no bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Requests a second of one caller, in the long run. Default 0.
    #[serde(deserialize_with = "read")]
    pub requests_per_second: u32,
    /// Requests of one caller at once after a pause. Default 0, which stands for as many as
    /// `requests_per_second`.
    #[serde(deserialize_with = "read")]
    pub burst: u32,
    /// Unary RPCs of one caller under way; one with a `request_id` counts until it is done, also when
    /// its client has left. Default 4096, which are the jobs that two nodes run at once.
    #[serde(deserialize_with = "read")]
    pub in_flight: usize,
    /// Open streams of one caller. Default 10000.
    #[serde(deserialize_with = "read")]
    pub streams: usize,
    /// Unary RPCs of all callers under way: one more is refused at once rather than late. Default
    /// 16384.
    #[serde(deserialize_with = "read")]
    pub total_in_flight: usize,
}

// === impl LimitsConfig ===

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            requests_per_second: 0,
            burst: 0,
            in_flight: 4096,
            streams: 10_000,
            total_in_flight: 16_384,
        }
    }
}
