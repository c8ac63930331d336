//! The RPCs that are measured.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use switchgate::pb;
use switchgate::pb::job_service_client::JobServiceClient;
use switchgate::pb::node_service_client::NodeServiceClient;
use switchgate::pb::session_service_client::SessionServiceClient;
use tonic::transport::{Channel, Endpoint};

use crate::gateway::node_name;

/// Connections that many callers share.
const CONNECTIONS: usize = 8;

/// One caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    jobs: JobServiceClient<Channel>,
    nodes: NodeServiceClient<Channel>,
    sessions: SessionServiceClient<Channel>,
    session: String,
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rpc {
    /// `uuid_exists`.
    RunApi,
    /// The same in the background.
    RunJob,
    /// What the gateway knows; asks nobody.
    GetSession,
    /// One variable, `uuid_setvar`.
    SetVariables,
}

// === impl Caller ===

impl Caller {
    pub(crate) async fn connect(address: SocketAddr, session: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let channel = endpoint.tcp_nodelay(true).connect().await?;
        Ok(Self {
            jobs: JobServiceClient::new(channel.clone()),
            nodes: NodeServiceClient::new(channel.clone()),
            sessions: SessionServiceClient::new(channel),
            session: session.to_owned(),
        })
    }

    /// How long it takes; the answer must be right.
    pub(crate) async fn call(&mut self, rpc: Rpc) -> Result<Duration> {
        let began = Instant::now();
        match rpc {
            Rpc::RunApi => {
                let output = self.run_api().await?;
                ensure!(output.trim() == "true", "wrong answer: {output}");
            }
            Rpc::RunJob => {
                let request = pb::RunJobRequest {
                    command: "uuid_exists".to_owned(),
                    arguments: self.session.clone(),
                    ..pb::RunJobRequest::default()
                };
                let job = self.jobs.run_job(request).await?.into_inner().job;
                match job.context("no job")?.outcome {
                    Some(pb::job::Outcome::Result(output)) if output.text.trim() == "true" => {}
                    other => anyhow::bail!("wrong answer: {other:?}"),
                }
            }
            Rpc::GetSession => {
                let request = pb::GetSessionRequest {
                    session_id: self.session.clone(),
                    ..pb::GetSessionRequest::default()
                };
                let session = self.sessions.get_session(request).await?.into_inner();
                ensure!(session.session.is_some(), "no session");
            }
            Rpc::SetVariables => {
                let request = pb::SetVariablesRequest {
                    session_id: self.session.clone(),
                    variables: HashMap::from([("bench".to_owned(), "1".to_owned())]),
                    ..pb::SetVariablesRequest::default()
                };
                self.sessions.set_variables(request).await?;
            }
        }
        Ok(began.elapsed())
    }

    /// The same request to a server that gives it back.
    pub(crate) async fn echo(&mut self) -> Result<Duration> {
        let began = Instant::now();
        let output = self.run_api().await?;
        ensure!(output == self.session, "no echo: {output}");
        Ok(began.elapsed())
    }

    async fn run_api(&mut self) -> Result<String> {
        let request = pb::RunApiRequest {
            node_id: node_name(0),
            command: "uuid_exists".to_owned(),
            arguments: self.session.clone(),
        };
        Ok(self.nodes.run_api(request).await?.into_inner().output)
    }
}

/// Calls per second of so many callers.
pub(crate) async fn throughput(
    address: SocketAddr,
    session: &str,
    rpc: Rpc,
    callers: usize,
    calls: usize,
) -> Result<f64> {
    let mut connections = Vec::new();
    for _ in 0..callers.min(CONNECTIONS) {
        connections.push(Caller::connect(address, session).await?);
    }
    let left = Arc::new(AtomicUsize::new(calls));
    let began = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|at| {
            let (mut caller, left) = (
                connections[at % connections.len()].clone(),
                Arc::clone(&left),
            );
            tokio::spawn(async move {
                let take = |left| usize::checked_sub(left, 1);
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                    .is_ok()
                {
                    caller.call(rpc).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    Ok(calls as f64 / began.elapsed().as_secs_f64())
}
