//! A gateway in this process.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use switchgate::app::App;
use switchgate::config::{Config, NodeAddress, NodeConfig};
use switchgate::control::Parts;
use switchgate::domain::NodeState;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longest wait for anything; only a broken run waits so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A node looks at its sessions a second time 500 ms after it went into service.
const SETTLE: Duration = Duration::from_millis(700);

/// A gateway that serves.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) control: Parts,
    stop: oneshot::Sender<()>,
    app: JoinHandle<bool>,
}

// === impl Gateway ===

impl Gateway {
    /// On a free port of loopback, in front of these nodes.
    pub(crate) fn config(nodes: &[SocketAddr]) -> Result<Config> {
        let mut config = Config::default();
        config.admin.enabled = false;
        config.grpc.listen = (Ipv4Addr::LOCALHOST, 0).into();
        config.shutdown.delay = Duration::ZERO;
        for (at, address) in nodes.iter().enumerate() {
            let id = node_name(at).parse()?;
            let node = NodeConfig::new(id, NodeAddress::from(*address), "ClueCon");
            config.nodes.push(node);
        }
        Ok(config)
    }

    /// Returns when all nodes are in service with all their links.
    pub(crate) async fn start(config: &Config) -> Result<Self> {
        let app = App::build(config).await?;
        let (control, address) = (app.control().clone(), app.address()?);
        let (stop, stopped) = oneshot::channel();
        let app = tokio::spawn(app.run(async move {
            let _ = stopped.await;
        }));
        for node in &config.nodes {
            let links = node.command_links;
            let node = control.fleet.node(&node.id)?;
            let ready = async {
                node.reached(NodeState::Ready).await;
                while node.command_links().0 < links {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            let ready = tokio::time::timeout(PATIENCE, ready).await;
            ready.context("a node does not come into service")?;
        }
        if !config.nodes.is_empty() {
            tokio::time::sleep(SETTLE).await;
        }
        Ok(Self {
            address,
            control,
            stop,
            app,
        })
    }

    pub(crate) async fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        ensure!(self.app.await?, "the gateway did not drain");
        Ok(())
    }
}

/// Id of the node at this place.
pub(crate) fn node_name(at: usize) -> String {
    format!("node-{at}")
}
