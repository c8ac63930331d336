//! `serve --demo`: two simulated FreeSWITCHes with a little traffic.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;

use crate::config::{AdminConfig, NodeAddress, NodeConfig};
use crate::domain::NodeId;
use crate::shutdown::Drain;
use crate::sim::{Sim, SimConfig};

/// Names of the simulated nodes.
const NODES: [&str; 2] = ["demo-a", "demo-b"];
/// Password of the simulated nodes, which listen on loopback alone.
const PASSWORD: &str = "demo";
/// A call arrives this often.
const CALL_INTERVAL: Duration = Duration::from_secs(5);
/// Where the calls go in the simulated dial plan, in turn: a short tone, busy, a party that never
/// answers.
const DESTINATIONS: [&str; 3] = ["tone", "busy", "tone"];

/// Starts the simulated nodes, each with a call now and then, until `drain` stops.
pub(super) async fn start(drain: &Drain) -> io::Result<Vec<NodeConfig>> {
    let mut nodes = Vec::new();
    for (at, name) in NODES.into_iter().enumerate() {
        let config = SimConfig {
            name: name.to_owned(),
            password: PASSWORD.to_owned(),
            ..SimConfig::default()
        };
        let sim = Sim::new(config, drain);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = NodeAddress::from(listener.local_addr()?);
        // The names above are valid ids.
        let Ok(id) = name.parse::<NodeId>() else {
            continue;
        };
        nodes.push(NodeConfig::new(id, address, PASSWORD));
        let server = sim.clone();
        drain.spawn(async move { server.serve(listener).await });
        drain.spawn(traffic(sim, at, drain.clone()));
    }
    Ok(nodes)
}

/// Where the demo has its metrics and probes: at any free port, unless another address than the
/// default was asked for, since a demo must not fail for a gateway that runs already.
pub(super) fn admin_address(configured: SocketAddr) -> SocketAddr {
    let mut address = AdminConfig::default().listen;
    if configured != address {
        return configured;
    }
    address.set_port(0);
    address
}

/// What to try, for a terminal.
pub(super) fn introduction(address: SocketAddr, admin: Option<SocketAddr>) -> String {
    let admin = admin.map_or_else(String::new, |admin| {
        format!("  curl http://{admin}/metrics\n  curl http://{admin}/readyz\n")
    });
    format!(
        r#"
Switchgate serves gRPC on {address}, over two simulated FreeSWITCH nodes. Try, in a second terminal:

  grpcurl -plaintext {address} list
  grpcurl -plaintext -d '{{"endpoints": ["sofia/internal/echo@127.0.0.1"], "request_id": "first"}}' \
      {address} switchgate.v1.SessionService/Originate
  grpcurl -plaintext {address} switchgate.v1.SessionService/ListSessions
  grpcurl -plaintext -d '{{"filter": {{"event_names": ["CHANNEL_ANSWER", "CHANNEL_HANGUP_COMPLETE"]}}, "header_selection": {{"none": {{}}}}}}' \
      {address} switchgate.v1.EventService/Subscribe
  grpcurl -plaintext -d '{{"session_id": "SESSION_ID", "cause": "HANGUP_CAUSE_USER_BUSY"}}' \
      {address} switchgate.v1.SessionService/Hangup
{admin}
Stop with Ctrl-C.
"#
    )
}

async fn traffic(sim: Sim, offset: usize, drain: Drain) {
    let stopped = drain.stopped();
    tokio::pin!(stopped);
    for (count, destination) in DESTINATIONS.into_iter().cycle().skip(offset).enumerate() {
        tokio::select! {
            biased;
            () = &mut stopped => return,
            () = tokio::time::sleep(CALL_INTERVAL) => {}
        }
        sim.place_inbound(destination, &format!("1{:03}", count % 1000));
    }
}
