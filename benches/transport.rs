//! What hostile crowds cost other clients and the gateway's memory, and what TLS costs.
//!
//! The gateway is a process of its own over two simulated nodes; the crowds are in this one. See
//! `docs/benchmarks-transport.md`.

// The clock is the machine's, and tasks end with the process.
#![allow(clippy::disallowed_methods)]
// What is shared with the tests panics as they do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use switchgate::pb;
use switchgate::pb::node_service_client::NodeServiceClient;
use switchgate::tls::{ClientFiles, ClientTls};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

#[path = "transport/crowd.rs"]
mod crowd;
#[path = "common/figures.rs"]
mod figures;
#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../tests/hostile/wire.rs"]
mod wire;

use crowd::{CROWDS, Crowd};
use figures::{micros, quantile, thousands};

/// What to measure with.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Calls under way at a time where throughput is measured.
    #[arg(long, default_value_t = 64)]
    at_once: usize,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// `switchgate serve --demo`.
struct Gateway {
    child: Child,
    address: SocketAddr,
}

/// Where a client connects to, and how.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<ClientTls>,
}

// === impl Gateway ===

impl Gateway {
    fn start(tls: Option<&Path>) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchgate"));
        command
            .args(["serve", "--demo", "--listen", "127.0.0.1:0"])
            .args(["--log-format", "json"])
            .env_clear()
            .envs(std::env::vars().filter(|(key, _)| key.starts_with("SWITCHGATE__")))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(folder) = tls {
            command
                .env(
                    "SWITCHGATE__GRPC__TLS__CERTIFICATE",
                    folder.join("server.pem"),
                )
                .env("SWITCHGATE__GRPC__TLS__KEY", folder.join("server.key"));
        }
        let mut child = command.spawn()?;
        let log = BufReader::new(child.stderr.take().context("a log")?);
        let mut lines = log.lines();
        let address = loop {
            let line = lines.next().context("the gateway ended")??;
            let entry: serde_json::Value = serde_json::from_str(&line)?;
            if line.contains("serving gRPC") {
                let address = entry["address"].as_str().context("an address")?;
                break address.parse()?;
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address })
    }

    /// Resident memory, in MiB.
    fn memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(kib.context("VmRSS")?.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Way ===

impl Way {
    async fn channel(&self) -> Result<Channel> {
        let way = self.clone();
        let connector = tower::service_fn(move |_: http::Uri| {
            let way = way.clone();
            async move {
                let stream = TcpStream::connect(way.address).await?;
                stream.set_nodelay(true)?;
                Ok::<_, std::io::Error>(TokioIo::new(way.secured(stream).await?))
            }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        Ok(endpoint.connect_with_connector(connector).await?)
    }

    pub(crate) async fn secured(&self, stream: TcpStream) -> std::io::Result<Box<dyn wire::Io>> {
        Ok(match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = "localhost".try_into().expect("a name");
                Box::new(tls.connect(name, stream).await?)
            }
        })
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let span = Duration::from_secs_f64(arguments.seconds);
    let folder = tempfile::tempdir()?;
    let key = KeyPair::generate()?;
    let params = CertificateParams::new(vec!["localhost".to_owned()])?;
    std::fs::write(
        folder.path().join("server.pem"),
        params.self_signed(&key)?.pem(),
    )?;
    std::fs::write(folder.path().join("server.key"), key.serialize_pem())?;
    let files = ClientFiles {
        ca: folder.path().join("server.pem"),
        identity: None,
    };
    let tls = ClientTls::load(&files)?;
    // The client that is measured does not share threads with the crowd.
    let (measured, crowded) = (runtime()?, runtime()?);

    for (name, tls) in [("plain text", None), ("TLS", Some(tls))] {
        let gateway = Gateway::start(tls.is_some().then(|| folder.path()))?;
        let way = Way {
            address: gateway.address,
            tls,
        };
        measured.block_on(cost(name, &way, span, arguments.at_once))?;
        println!("\n{name}: another client's ListNodes, and the gateway's memory\n");
        println!(
            "| crowd | calls | p50 µs | p99 µs | most µs | MiB before | MiB during | MiB after | what the crowd saw |"
        );
        println!("|---|---|---|---|---|---|---|---|---|");
        for kind in CROWDS {
            let before = gateway.memory()?;
            let crowd = Arc::new(Crowd::new(kind, way.clone()));
            crowded.block_on(crowd.start());
            let mut samples = measured.block_on(calls(&way, span))?;
            let during = gateway.memory()?;
            let saw = crowded.block_on(crowd.stop());
            // The gateway takes notice of the connections that went.
            std::thread::sleep(Duration::from_secs(2));
            let after = gateway.memory()?;
            let calls = thousands(samples.len() as f64);
            let mut at = |share| micros(quantile(&mut samples, share));
            println!(
                "| {} | {calls} | {:.0} | {:.0} | {:.0} | {before:.0} | {during:.0} | {after:.0} | {saw} |",
                kind.name(),
                at(0.5),
                at(0.99),
                at(1.0),
            );
        }
    }
    Ok(())
}

fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(1).enable_all().build()?)
}

/// Calls one after the other, 500 a second at most, on one connection; each must succeed.
async fn calls(way: &Way, span: Duration) -> Result<Vec<Duration>> {
    let mut client = NodeServiceClient::new(way.channel().await?);
    let (mut samples, began) = (Vec::new(), Instant::now());
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while began.elapsed() < span {
        pace.tick().await;
        let asked = Instant::now();
        client.list_nodes(pb::ListNodesRequest::default()).await?;
        samples.push(asked.elapsed());
    }
    Ok(samples)
}

/// What a call costs: one after the other, and many at once over one connection; and a handshake.
async fn cost(name: &str, way: &Way, span: Duration, at_once: usize) -> Result<()> {
    let channel = way.channel().await?;
    let one_by_one = asked(&channel, 1, span).await?;
    let together = asked(&channel, at_once, span).await?;
    let (began, mut connected) = (Instant::now(), 0);
    while began.elapsed() < span {
        let mut client = NodeServiceClient::new(way.channel().await?);
        client.list_nodes(pb::ListNodesRequest::default()).await?;
        connected += 1;
    }
    let rate = |count: usize| thousands(count as f64 / span.as_secs_f64());
    println!(
        "\n{name}: ListNodes one by one {}/s, {at_once} at once {}/s; connection, ListNodes and end {}/s",
        rate(one_by_one),
        rate(together),
        rate(connected),
    );
    Ok(())
}

async fn asked(channel: &Channel, at_once: usize, span: Duration) -> Result<usize> {
    let began = Instant::now();
    let askers: Vec<_> = (0..at_once)
        .map(|_| {
            let mut client = NodeServiceClient::new(channel.clone());
            tokio::spawn(async move {
                let mut count = 0;
                while began.elapsed() < span {
                    client.list_nodes(pb::ListNodesRequest::default()).await?;
                    count += 1;
                }
                Ok::<_, tonic::Status>(count)
            })
        })
        .collect();
    let mut count = 0;
    for asker in askers {
        count += asker.await??;
    }
    Ok(count)
}
