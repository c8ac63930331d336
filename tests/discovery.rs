//! Nodes that are found while the gateway runs.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use switchgate::app::{Changes, ReloadError};
use switchgate::config::{Config, Loader, Process};
use switchgate::domain::{NodeId, NodeState};
use switchgate::pb;
use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use tokio::net::TcpListener;
use tonic::Status;

use crate::admin::get;
use crate::client::{ANSWERS, place, to};
use crate::gateway::{Gateway, PATIENCE, within};

mod dns;
mod file;
mod server;

/// Three simulated nodes at 127.0.0.2 to 127.0.0.4, on one port.
struct Pods {
    port: u16,
    sims: Vec<Sim>,
    drain: Drain,
}

/// A gateway over what its sources name.
struct House {
    gateway: Gateway,
    pods: Pods,
    folder: tempfile::TempDir,
}

// === impl Pods ===

impl Pods {
    async fn start() -> Self {
        let listeners = within(async {
            loop {
                if let Ok(listeners) = listeners().await {
                    return listeners;
                }
            }
        });
        let listeners = listeners.await;
        let port = listeners[0].local_addr().unwrap().port();
        let drain = Drain::new();
        let mut sims = Vec::new();
        for (at, listener) in listeners.into_iter().enumerate() {
            let config = SimConfig {
                name: format!("pod-{at}"),
                ..SimConfig::default()
            };
            let sim = Sim::new(config, &drain);
            let server = sim.clone();
            drain.spawn(async move { server.serve(listener).await });
            sims.push(sim);
        }
        Self { port, sims, drain }
    }

    fn address(&self, at: usize) -> SocketAddr {
        (ip(at), self.port).into()
    }
}

// === impl House ===

impl House {
    /// With this configuration, besides what all of them have.
    async fn start(pods: Pods, content: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = load(folder.path(), content);
        let gateway = Gateway::launch(config, Vec::new(), Drain::new()).await;
        Self {
            gateway,
            pods,
            folder,
        }
    }

    async fn reload(&self, content: &str) -> Result<Changes, ReloadError> {
        let config = load(self.folder.path(), content);
        within(self.gateway.reloads.reload(async { Ok(config) })).await
    }

    /// Names, states and addresses of the nodes.
    fn nodes(&self) -> Vec<(String, NodeState, String)> {
        let nodes = self.gateway.control.fleet.nodes();
        nodes
            .map(|node| {
                let (id, address) = (node.id().to_string(), node.address().to_owned());
                (id, node.status().state, address)
            })
            .collect()
    }

    /// Waits until these are the nodes.
    async fn comes_to(&self, wanted: &[(&str, NodeState)]) {
        let are = || {
            let nodes = self.nodes().into_iter();
            nodes.map(|(id, state, _)| (id, state)).collect::<Vec<_>>()
        };
        let wanted = wanted.iter().map(|(id, state)| ((*id).to_owned(), *state));
        let wanted: Vec<_> = wanted.collect();
        let reached = async {
            while are() != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, reached).await;
        assert!(outcome.is_ok(), "{:?} and not {wanted:?}", are());
    }

    async fn call_on(&self, node: &str) -> Result<pb::Session, Status> {
        let request = pb::OriginateRequest {
            node_selector: Some(pb::NodeSelector {
                node_id: node.to_owned(),
                ..Default::default()
            }),
            ..to(ANSWERS)
        };
        Ok(place(&self.gateway, request).await?.session.unwrap())
    }

    fn connects(&self, node: &str) -> u32 {
        let id: NodeId = node.parse().unwrap();
        let node = self.gateway.control.fleet.node(&id).unwrap();
        node.status().connects
    }

    /// The value of a sample.
    async fn sample(&self, name: &str) -> f64 {
        let page = within(get(self.gateway.admin.unwrap(), "/metrics")).await;
        let value = page.body.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(-1.0, |value| value.trim().parse().unwrap())
    }

    /// Waits until a source was looked at so often again, with this result.
    async fn looks(&self, source: &str, result: &str, more: f64) {
        let name =
            format!("switchgate_discovery_looks_total{{source=\"{source}\",result=\"{result}\"}}");
        let before = self.sample(&name).await;
        within(async {
            while self.sample(&name).await < before + more {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    async fn stop(self) {
        self.gateway.stop().await;
        assert!(self.pods.drain.finish(PATIENCE).await);
    }
}

async fn listeners() -> std::io::Result<Vec<TcpListener>> {
    let first = TcpListener::bind((ip(0), 0)).await?;
    let port = first.local_addr()?.port();
    let mut listeners = vec![first];
    for at in 1..3 {
        listeners.push(TcpListener::bind((ip(at), port)).await?);
    }
    Ok(listeners)
}

fn ip(at: usize) -> IpAddr {
    [127, 0, 0, u8::try_from(at).unwrap() + 2].into()
}

fn load(folder: &Path, content: &str) -> Config {
    let written = format!(
        "grpc: {{listen: '127.0.0.1:0'}}\nadmin: {{listen: '127.0.0.1:0'}}\n\
         esl: {{backoff: {{min: 10ms, max: 100ms}}}}\n{content}"
    );
    let path = folder.join("switchgate.yaml");
    std::fs::write(&path, written).unwrap();
    Loader::new(&Process).file(Some(path)).load().unwrap()
}
