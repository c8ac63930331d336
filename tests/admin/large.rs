//! What a page of metrics costs where there is much to tell.

use std::borrow::Cow;
use std::time::Duration;

use switchgate::config::{NodeAddress, NodeConfig};
use switchgate::domain::NodeId;
use switchgate::esl::Event;
use switchgate::shutdown::Drain;
use tokio::time::Instant;

use super::{Scrape, get};
use crate::gateway::{Gateway, test_config};

const NODES: u16 = 256;
const SESSIONS: usize = 10_000;
/// In a debug build on a busy machine; the release build takes a small part of it.
const SLOWEST: Duration = Duration::from_secs(2);

fn node(at: u16) -> NodeId {
    format!("node-{at}").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_over_256_nodes_and_10000_sessions_is_cheap() {
    let mut config = test_config();
    // Nobody listens there.
    config.esl.backoff.min = Duration::from_secs(60);
    config.esl.backoff.max = Duration::from_secs(60);
    config.esl.command_links = 1;
    config.nodes = (0..NODES)
        .map(|at| NodeConfig::new(node(at), NodeAddress::new("127.0.0.1", at + 1), "secret"))
        .collect();
    let gateway = Gateway::launch(config, Vec::new(), Drain::new()).await;
    for at in 0..SESSIONS {
        let id = format!("00000000-0000-4000-8000-{at:012}");
        let headers = [
            ("Event-Name", "CHANNEL_CREATE"),
            ("Unique-ID", &id),
            ("Channel-State", "CS_INIT"),
        ];
        let headers = headers.map(|(name, value)| (name, Cow::Borrowed(value)));
        let event = Event::from_headers(headers).unwrap();
        let on = node(u16::try_from(at % usize::from(NODES)).unwrap());
        gateway.control.tracker.apply(&on, &event).unwrap();
    }
    let mut times: Vec<Duration> = Vec::new();
    let mut page = String::new();
    for _ in 0..20 {
        let began = Instant::now();
        page = get(gateway.admin.unwrap(), "/metrics").await.body;
        times.push(began.elapsed());
    }
    times.sort();
    let scrape = Scrape::parse(page);
    eprintln!(
        "{} samples, {} KiB: median {:?}, most {:?}",
        scrape.samples.len(),
        scrape.text.len() / 1024,
        times[10],
        times[19]
    );
    assert_eq!(
        scrape.value(r#"switchgate_sessions{state="live"}"#),
        SESSIONS as f64
    );
    assert_eq!(
        scrape.value(r#"switchgate_calls{state="live"}"#),
        SESSIONS as f64
    );
    assert_eq!(
        scrape.value(r#"switchgate_node_tracked_sessions{node="node-0"}"#),
        40.0
    );
    // It grows with the nodes and with nothing else.
    assert!(
        scrape.samples.len() < 80 * usize::from(NODES),
        "{}",
        scrape.samples.len()
    );
    assert!(times[10] < SLOWEST, "{times:?}");
    gateway.stop().await;
}
