//! A gateway in this process and its callers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use switchgate::app::App;
use switchgate::config::{Config, NodeAddress, NodeConfig};
use switchgate::domain::NodeState;
use switchgate::pb;
use switchgate::pb::job_service_client::JobServiceClient;
use switchgate::pb::node_service_client::NodeServiceClient;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

use crate::Peer;
use crate::questions::{Question, Questions};
use crate::report::{Cpu, Measured};

const NODE: &str = "bench";
/// The node looks at the sessions a second time 500 ms after it went into service.
const SETTLE: Duration = Duration::from_millis(700);
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that serves.
pub(crate) struct Gateway {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    app: JoinHandle<bool>,
}

/// Who calls it.
pub(crate) struct Load {
    pub(crate) callers: usize,
    pub(crate) connections: usize,
}

/// What they call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rpc {
    RunJob,
    RunApi,
}

// === impl Gateway ===

impl Gateway {
    pub(crate) async fn start(peer: &Peer, links: usize) -> Result<Self> {
        let (host, port) = peer.address.rsplit_once(':').context("host:port")?;
        let address = NodeAddress::new(host, port.parse()?);
        let mut config = Config::default();
        config.admin.enabled = false;
        config.grpc.listen = (Ipv4Addr::LOCALHOST, 0).into();
        config.shutdown.delay = Duration::ZERO;
        let mut node = NodeConfig::new(NODE.parse()?, address, peer.password.as_str());
        node.command_links = links;
        config.nodes.push(node);

        let app = App::build(&config).await?;
        let address = app.address()?;
        let node = app.control().fleet.node(&NODE.parse()?)?;
        let (stop, stopped) = oneshot::channel();
        let app = tokio::spawn(app.run(async move {
            let _ = stopped.await;
        }));
        tokio::time::timeout(PATIENCE, node.reached(NodeState::Ready))
            .await
            .context("the node does not come into service")?;
        tokio::time::sleep(SETTLE).await;
        // FreeSWITCH's backlog holds 5 connections; others are tried again by TCP after a second.
        let all_links = async {
            while node.command_links().0 < links {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, all_links)
            .await
            .context("the links do not all come up")?;
        Ok(Self { address, stop, app })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        ensure!(self.app.await?, "the gateway did not drain");
        Ok(())
    }
}

// === impl Load ===

impl Load {
    /// Lets the callers ask all questions; fails at the first wrong answer.
    pub(crate) async fn run(
        &self,
        address: SocketAddr,
        rpc: Rpc,
        questions: Questions,
    ) -> Result<Measured> {
        let questions = Arc::new(questions);
        let mut channels = Vec::new();
        for _ in 0..self.connections {
            let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
            channels.push(endpoint.connect().await?);
        }
        let cpu = Cpu::now()?;
        let began = Instant::now();
        let callers: Vec<_> = (0..self.callers)
            .map(|at| {
                let channel = channels[at % channels.len()].clone();
                tokio::spawn(call(channel, rpc, Arc::clone(&questions)))
            })
            .collect();
        let mut latencies = Vec::with_capacity(questions.len());
        for caller in callers {
            latencies.extend(caller.await??);
        }
        let elapsed = began.elapsed();
        ensure!(latencies.len() == questions.len(), "answers are missing");
        latencies.sort_unstable();
        Ok(Measured {
            elapsed,
            latencies,
            gateway_cpu: Cpu::now()?.since(&cpu),
        })
    }
}

async fn call(channel: Channel, rpc: Rpc, questions: Arc<Questions>) -> Result<Vec<Duration>> {
    let mut jobs = JobServiceClient::new(channel.clone());
    let mut nodes = NodeServiceClient::new(channel);
    let mut latencies = Vec::new();
    while let Some(question) = questions.next() {
        let began = Instant::now();
        match rpc {
            Rpc::RunJob => run_job(&mut jobs, question).await?,
            Rpc::RunApi => run_api(&mut nodes, question).await?,
        }
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}

async fn run_job(client: &mut JobServiceClient<Channel>, question: &Question) -> Result<()> {
    let request = pb::RunJobRequest {
        command: "uuid_exists".to_owned(),
        arguments: question.session.clone(),
        ..pb::RunJobRequest::default()
    };
    let response = client.run_job(request).await?.into_inner();
    let job = response.job.context("no job")?;
    ensure!(
        job.arguments == question.session,
        "a job of another caller: {job:?}"
    );
    match &job.outcome {
        Some(pb::job::Outcome::Result(output)) if question.is_right(&output.text) => Ok(()),
        _ => anyhow::bail!("wrong answer: {job:?}"),
    }
}

async fn run_api(client: &mut NodeServiceClient<Channel>, question: &Question) -> Result<()> {
    let request = pb::RunApiRequest {
        node_id: NODE.to_owned(),
        command: "uuid_exists".to_owned(),
        arguments: question.session.clone(),
    };
    let output = client.run_api(request).await?.into_inner().output;
    ensure!(question.is_right(&output), "wrong answer: {output}");
    Ok(())
}
