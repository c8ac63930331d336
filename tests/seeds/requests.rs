//! Random requests.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, IteratorRandom as _};
use switchgate::pb;

use super::client::{Client, Heard};

/// Dial strings of every outcome.
const ENDPOINTS: [&str; 15] = [
    "sim/answer",
    "sim/answer",
    "sim/answer?talk=5s",
    "sim/answer?delay=300ms",
    "sim/ring_answer?ring=2s",
    "sim/early_answer?ring=1s&talk=8s",
    "sim/no_answer",
    "sim/busy?delay=1s",
    "sim/reject",
    "null/x",
    "error/USER_BUSY",
    "user/1000",
    "sofia/gateway/x/1",
    "sofia/internal/answer@127.0.0.1",
    "loopback/answer",
];

pub(super) fn endpoint(rng: &mut StdRng) -> String {
    (*ENDPOINTS.choose(rng).unwrap()).to_owned()
}

/// One of the newest, or one that nobody knows.
pub(super) fn recent(ids: &Heard, now: u128, rng: &mut StdRng) -> String {
    // What comes in the same millisecond comes in any order.
    let earlier = ids.range(..(now, String::new()));
    let newest = earlier.rev().take(12).map(|(_, id)| id);
    let unknown = || "00000000-0000-4000-8000-000000000000".to_owned();
    newest.choose(rng).cloned().unwrap_or_else(unknown)
}

pub(super) fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

pub(super) fn job(client: &mut Client) -> pb::RunJobRequest {
    let mark = client.mark();
    let rng = &mut client.rng;
    let (command, arguments) = match rng.random_range(0..6) {
        0 | 1 => ("msleep", rng.random_range(1..20_000).to_string()),
        2 => ("uuid_kill", "unknown".to_owned()),
        _ => ("echo", mark.clone()),
    };
    let request_id = match rng.random_bool(0.3) {
        true => mark,
        false => String::new(),
    };
    pb::RunJobRequest {
        command: command.to_owned(),
        arguments,
        timeout: Some(seconds(rng.random_range(1..30))),
        node_selector: selector(rng),
        request_id,
        ..Default::default()
    }
}

pub(super) fn originate(client: &mut Client) -> pb::OriginateRequest {
    let mark = client.mark();
    let rng = &mut client.rng;
    let legs = *[1, 1, 1, 2, 3].choose(rng).unwrap();
    let target = match rng.random_range(0..4) {
        0 => Some(pb::originate_request::Target::Extension(
            pb::OriginateExtension {
                number: "echo".to_owned(),
                ..Default::default()
            },
        )),
        1 => Some(pb::originate_request::Target::Application(
            pb::OriginateApplication {
                name: "echo".to_owned(),
                arguments: String::new(),
            },
        )),
        _ => None,
    };
    let ring = rng.random_bool(0.3).then(|| rng.random_range(1..20));
    pb::OriginateRequest {
        endpoints: (0..legs).map(|_| endpoint(rng)).collect(),
        strategy: rng.random_range(1..3),
        target,
        node_selector: selector(rng),
        wait_for: *[1, 1, 1, 2, 3].choose(rng).unwrap(),
        detach: rng.random_bool(0.2),
        labels: [("asked_by".to_owned(), mark.clone())].into(),
        ring_timeout: ring.map(seconds),
        request_id: match rng.random_bool(0.4) {
            true => mark,
            false => String::new(),
        },
        ..Default::default()
    }
}

fn selector(rng: &mut StdRng) -> Option<pb::NodeSelector> {
    rng.random_bool(0.5).then(|| pb::NodeSelector {
        node_id: format!("sim-{}", rng.random_range(0..3)),
        ..Default::default()
    })
}

/// A random span below `most`.
pub(super) fn span(rng: &mut StdRng, most: Duration) -> Duration {
    most.mul_f64(rng.random())
}
