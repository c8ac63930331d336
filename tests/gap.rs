//! A link loss with hundreds of live calls: afterwards the tracker has exactly what the node has.
//!
//! The links run through a proxy that the test cuts, so that it suits a FreeSWITCH that serves
//! others too.

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use switchgate::config::NodeAddress;
use switchgate::domain::{Deadline, NodeState};
use switchgate::esl::Command;
use switchgate::fleet::Node;
use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::gateway::{Gateway, PATIENCE, within};

/// Calls before the loss; each has two legs.
const CALLS: usize = 110;
/// Calls that end, and as many that begin, meanwhile.
const CHANGES: usize = 25;

/// Forwards connections as long as it is open.
struct Proxy {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
}

// === impl Proxy ===

impl Proxy {
    async fn start(to: String, drain: &Drain) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_open = watch::Sender::new(true);
        let (open, tasks) = (is_open.clone(), drain.clone());
        drain.spawn(async move {
            let stopped = tasks.stopped();
            tokio::pin!(stopped);
            loop {
                let accepted = tokio::select! {
                    biased;
                    () = &mut stopped => return,
                    accepted = listener.accept() => accepted,
                };
                let (mut near, _) = accepted.unwrap();
                let (mut state, to, stopped) = (open.subscribe(), to.clone(), tasks.stopped());
                tasks.spawn(async move {
                    let talk = async {
                        let mut far = TcpStream::connect(to).await?;
                        let _ = (near.set_nodelay(true), far.set_nodelay(true));
                        tokio::io::copy_bidirectional(&mut near, &mut far).await
                    };
                    tokio::select! {
                        biased;
                        () = stopped => {}
                        _ = state.wait_for(|is_open| !is_open) => {}
                        _ = talk => {}
                    }
                });
            }
        });
        Self { address, is_open }
    }
}

/// What runs on the node, which the test talks to past the proxy too.
struct Truth {
    gateway: Gateway,
    /// Marks the calls of this test.
    number: String,
}

// === impl Truth ===

impl Truth {
    fn node(&self) -> Arc<Node> {
        self.gateway.control.fleet.nodes().next().unwrap()
    }

    async fn api(&self, command: &str, arguments: &str) -> String {
        // Not by RunApi, for which variables whose value FreeSWITCH runs need a right of their own.
        let command = Command::api(&format!("{command} {arguments}")).unwrap();
        let node = self.node();
        let reply = within(node.send(command, None, Deadline::after(PATIENCE))).await;
        reply.unwrap().text()
    }

    /// Places calls, which end by themselves should the test not live to end them.
    async fn place(&self, count: usize) -> Vec<String> {
        let place = async |_| {
            let id = uuid::Uuid::new_v4().to_string();
            let number = &self.number;
            let call = format!(
                "{{origination_uuid={id},origination_caller_id_number={number},\
                 execute_on_answer='sched_hangup +120'}}loopback/answer/default &park()"
            );
            let told = self.api("originate", &call).await;
            assert!(told.starts_with("+OK"), "{told}");
            id
        };
        stream::iter(0..count)
            .map(place)
            .buffered(8)
            .collect()
            .await
    }

    /// The legs of this test by the list, once it has stopped changing, with their states.
    async fn listed(&self, placed: &[String], expected: usize) -> BTreeMap<String, String> {
        for _ in 0..200 {
            let told = self.api("show", "channels as json").await;
            let table: serde_json::Value = serde_json::from_str(&told).unwrap();
            let rows = table["rows"].as_array().cloned().unwrap_or_default();
            let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().to_owned();
            let own = rows.iter().filter(|row| {
                // The first leg of a loopback call shows another number.
                row["cid_num"] == self.number.as_str() || placed.contains(&text(row, "uuid"))
            });
            let own: BTreeMap<_, _> = own
                .map(|row| (text(row, "uuid"), text(row, "callstate")))
                .collect();
            // As many can be ended ones that are still listed beside new ones that are not yet.
            if own.len() == expected && own.values().all(|state| state != "HANGUP") {
                return own;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the list never has {expected} legs");
    }
}

/// The live sessions of these calls, by the gateway.
fn tracked(gateway: &Gateway, placed: &[String], number: &str) -> BTreeMap<String, String> {
    let sessions = gateway.control.tracker.sessions();
    let own = sessions.iter().filter(|session| {
        let is_own = session.caller.number == number || placed.contains(&session.id.to_string());
        is_own && session.is_live()
    });
    own.map(|session| (session.id.to_string(), session.call_state.to_string()))
        .collect()
}

async fn in_service(node: &Node, connects: u32) {
    let mut status = node.follow();
    let is_back = |status: &switchgate::fleet::NodeStatus| {
        status.connects == connects && status.state == NodeState::Ready
    };
    within(status.wait_for(is_back)).await.unwrap();
}

/// Waits until the tracker is right, which a list that lags can delay to the second look.
async fn agree(
    gateway: &Gateway,
    placed: &[String],
    number: &str,
    listed: &BTreeMap<String, String>,
) {
    let agreed = tokio::time::timeout(Duration::from_secs(10), async {
        while tracked(gateway, placed, number) != *listed {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    if agreed.await.is_err() {
        assert_eq!(tracked(gateway, placed, number), *listed);
    }
}

async fn survives_a_gap(address: String, password: String) {
    let drain = Drain::new();
    let proxy = Proxy::start(address.clone(), &drain).await;
    let (host, port) = address.rsplit_once(':').unwrap();
    let direct = NodeAddress::new(host, port.parse().unwrap());
    let number = format!("77{:08}", uuid::Uuid::new_v4().as_u128() % 100_000_000);
    let truth = Truth {
        gateway: Gateway::over_node(direct, &password).await,
        number: number.clone(),
    };
    let gateway = Gateway::over_node(NodeAddress::from(proxy.address), &password).await;
    let node = gateway.control.fleet.nodes().next().unwrap();

    let mut calls = truth.place(CALLS).await;
    let mut placed = calls.clone();
    let before = truth.listed(&placed, 2 * CALLS).await;
    agree(&gateway, &placed, &number, &before).await;
    // Nothing happens: nothing is made of it.
    let quiet = gateway.control.journal.cursor();
    proxy.is_open.send_replace(false);
    within(node.reached(NodeState::Down)).await;
    proxy.is_open.send_replace(true);
    in_service(&node, 2).await;
    let made = synthetic(&gateway, quiet, &before.keys().cloned().collect()).await;
    assert_eq!(made, [""; 0], "{} legs were as they were", before.len());

    proxy.is_open.send_replace(false);
    within(node.reached(NodeState::Down)).await;
    for id in calls.drain(..CHANGES) {
        truth.api("uuid_kill", &id).await;
    }
    for pair in calls.chunks_exact(2).take(5) {
        let told = truth
            .api("uuid_bridge", &format!("{} {}", pair[0], pair[1]))
            .await;
        assert!(told.starts_with("+OK"), "{told}");
    }
    let begun = truth.place(CHANGES).await;
    placed.extend(begun.clone());
    let after = truth.listed(&placed, 2 * CALLS).await;
    proxy.is_open.send_replace(true);
    in_service(&node, 3).await;
    agree(&gateway, &placed, &number, &after).await;
    for pair in calls.chunks_exact(2).take(5) {
        for (one, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let session = gateway.control.tracker.session(&one.parse().unwrap());
            let peer = session.unwrap().peer.clone().unwrap();
            assert_eq!(peer.as_str(), other);
        }
    }
    let found = gateway.control.tracker.session(&begun[0].parse().unwrap());
    assert!(found.unwrap().answered);

    for id in calls.iter().chain(&begun) {
        truth.api("uuid_kill", id).await;
    }
    agree(&gateway, &placed, &number, &BTreeMap::new()).await;
    gateway.stop().await;
    truth.gateway.stop().await;
    assert!(drain.finish(Duration::from_secs(5)).await);
}

/// The synthetic events of these sessions behind a cursor, after the second look.
async fn synthetic(
    gateway: &Gateway,
    cursor: switchgate::events::Cursor,
    ids: &HashSet<String>,
) -> Vec<String> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut made = Vec::new();
    for id in ids {
        let session = id.parse().unwrap();
        let events = gateway.control.journal.of_session(&session).events;
        for (_, entry) in events
            .iter()
            .filter(|(at, _)| at.position > cursor.position)
        {
            if let switchgate::events::Entry::Event(record) = &**entry
                && record.synthetic
            {
                let why = record.event.text("Switchgate-Synthetic");
                made.push(format!("{id} {} {why:?}", record.event.name()));
            }
        }
    }
    made
}

#[tokio::test]
async fn after_a_gap_the_tracker_has_what_the_simulator_has() {
    let drain = Drain::new();
    let config = SimConfig {
        sessions_per_second: 10_000,
        ..SimConfig::default()
    };
    let sim = Sim::new(config, &drain);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = sim.clone();
    drain.spawn(async move { server.serve(listener).await });
    survives_a_gap(address, "ClueCon".to_owned()).await;
    assert!(drain.finish(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn after_a_gap_the_tracker_has_what_a_real_freeswitch_has() {
    let Ok(address) = std::env::var("SWITCHGATE_TEST_FREESWITCH") else {
        eprintln!("skipped on a real FreeSWITCH: SWITCHGATE_TEST_FREESWITCH=host:port is not set");
        return;
    };
    let password =
        std::env::var("SWITCHGATE_TEST_PASSWORD").unwrap_or_else(|_| "ClueCon".to_owned());
    survives_a_gap(address, password).await;
}
