//! The stop on SIGTERM: what clients see of it, and that it is over within the grace period.

mod delay;
mod handover;

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use switchgate::pb::{self, subscribe_response::Message};
use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::faults::{SLACK, call_to, job, received, run_job, timed, until};
use crate::gateway::{Gateway, code_and_reason, connect, metadata, within};

/// `switchgate serve` in a process of its own; killed when a test fails.
struct Program {
    child: Child,
    address: SocketAddr,
}

// === impl Program ===

impl Program {
    /// Starts it with these arguments on a free port, and waits until it says which.
    async fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, "10s").await
    }

    async fn start_with(arguments: &[&str], grace: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_switchgate"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--log-format",
                "json",
            ])
            .args(arguments)
            .env_clear()
            .env("SWITCHGATE_ESL_PASSWORD", "ClueCon")
            .env("SWITCHGATE__SHUTDOWN__GRACE", grace)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (address_tx, address_rx) = tokio::sync::oneshot::channel();
        // Reads to the end, or the program would block on a full pipe.
        std::thread::spawn(move || {
            let mut address_tx = Some(address_tx);
            for line in log.lines().map_while(Result::ok) {
                let entry: serde_json::Value = serde_json::from_str(&line).expect("a log of JSON");
                let address = find(&entry, "address").and_then(|address| address.parse().ok());
                if let Some(address) = address
                    && line.contains("serving gRPC")
                    && let Some(address_tx) = address_tx.take()
                {
                    let _ = address_tx.send(address);
                }
            }
        });
        let address = within(address_rx).await.expect("it says where it serves");
        Self { child, address }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(status.success());
    }

    async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails when it has ended, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A field of a log entry, wherever its format puts it.
fn find(entry: &serde_json::Value, name: &str) -> Option<String> {
    let fields = entry.get("fields").unwrap_or(entry);
    Some(fields.get(name)?.as_str()?.to_owned())
}

/// A simulated node on a port of its own.
async fn sim(drain: &Drain) -> (Sim, String) {
    let sim = Sim::new(SimConfig::default(), drain);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let flag = format!("--node=sim-0={}", listener.local_addr().unwrap());
    let server = sim.clone();
    drain.spawn(async move { server.serve(listener).await });
    (sim, flag)
}

fn exits(sim: &Sim) -> usize {
    let commands = sim.commands();
    commands
        .iter()
        .filter(|one| one.starts_with(b"exit"))
        .count()
}

async fn watch_health(channel: &Channel) -> Streaming<HealthCheckResponse> {
    let mut client = HealthClient::new(channel.clone());
    let request = HealthCheckRequest::default();
    within(client.watch(request)).await.unwrap().into_inner()
}

async fn until_health(stream: &mut Streaming<HealthCheckResponse>, status: ServingStatus) {
    loop {
        let told = within(stream.message()).await.unwrap();
        if told.expect("the watch goes on").status() == status {
            return;
        }
    }
}

async fn subscribe(channel: &Channel) -> Streaming<pb::SubscribeResponse> {
    let mut client = pb::event_service_client::EventServiceClient::new(channel.clone());
    let mut stream = within(client.subscribe(pb::SubscribeRequest::default()))
        .await
        .unwrap()
        .into_inner();
    let first = within(stream.message()).await.unwrap().unwrap();
    assert!(matches!(first.message, Some(Message::Checkpoint(_))));
    stream
}

/// Reads a subscription to its end, which says why and where to go on.
async fn assert_told_to_go_on(stream: &mut Streaming<pb::SubscribeResponse>) {
    let mut last = None;
    let status = loop {
        match within(stream.message()).await {
            Ok(Some(response)) => last = Some(response.cursor),
            Ok(None) => panic!("a stream ends with a status"),
            Err(status) => break status,
        }
    };
    let expected = (Code::Unavailable, "SHUTTING_DOWN".to_owned());
    assert_eq!(code_and_reason(&status), expected, "{status:?}");
    let cursor = metadata(&status, "cursor");
    assert!(!cursor.is_empty());
    assert!(last.is_none_or(|last| last <= cursor || last.len() < cursor.len()));
}

async fn run(channel: &Channel, milliseconds: &str) -> Result<pb::Job, tonic::Status> {
    let mut client = pb::job_service_client::JobServiceClient::new(channel.clone());
    let response = within(client.run_job(job("msleep", milliseconds))).await?;
    Ok(response.into_inner().job.unwrap())
}

#[tokio::test]
async fn sigterm_ends_streams_lets_calls_finish_and_says_exit_on_each_link() {
    let drain = Drain::new();
    let (sim, flag) = sim(&drain).await;
    let mut program = Program::start(&[&flag]).await;
    let channel = connect(program.address).await;
    let mut health = watch_health(&channel).await;
    until_health(&mut health, ServingStatus::Serving).await;
    until(|| sim.connections() == 10).await;
    let mut events = subscribe(&channel).await;

    let stop = async {
        received(&sim, "bgapi msleep").await;
        let began = Instant::now();
        program.signal("-TERM");
        until_health(&mut health, ServingStatus::NotServing).await;
        assert_told_to_go_on(&mut events).await;
        assert!(began.elapsed() < SLACK, "streams end at once");
        began
    };
    let (ran, began) = tokio::join!(run(&channel, "1500"), stop);
    assert_eq!(ran.unwrap().state(), pb::JobState::Succeeded);
    let status = program.ended().await;
    assert_eq!(status.code(), Some(0));
    assert!(began.elapsed() < Duration::from_millis(1500) + SLACK);
    until(|| sim.connections() == 0).await;
    assert_eq!(exits(&sim), 10, "each link says goodbye");
    assert!(drain.finish(SLACK).await);
}

#[tokio::test]
async fn the_demo_drains_with_an_open_subscription() {
    let mut program = Program::start(&["--demo"]).await;
    let channel = connect(program.address).await;
    let mut health = watch_health(&channel).await;
    until_health(&mut health, ServingStatus::Serving).await;
    let mut events = subscribe(&channel).await;
    program.signal("-INT");
    assert_told_to_go_on(&mut events).await;
    let (status, took) = timed(program.ended()).await;
    assert_eq!(status.code(), Some(0));
    assert!(took < SLACK, "{took:?}");
}

#[tokio::test]
async fn a_second_signal_leaves_at_once() {
    let drain = Drain::new();
    let (sim, flag) = sim(&drain).await;
    let mut program = Program::start(&[&flag]).await;
    let channel = connect(program.address).await;
    let mut health = watch_health(&channel).await;
    until_health(&mut health, ServingStatus::Serving).await;
    let stop = async {
        received(&sim, "bgapi msleep").await;
        program.signal("-TERM");
        until_health(&mut health, ServingStatus::NotServing).await;
        program.signal("-TERM");
        timed(program.ended()).await
    };
    let (ran, (status, took)) = tokio::join!(run(&channel, "60000"), stop);
    assert!(ran.is_err());
    assert_eq!(status.code(), Some(128 + 15));
    assert!(took < SLACK, "{took:?}");
    assert!(drain.finish(SLACK).await);
}

#[tokio::test]
async fn what_does_not_end_within_the_grace_period_is_cut() {
    let drain = Drain::new();
    let (sim, flag) = sim(&drain).await;
    let mut program = Program::start_with(&[&flag], "1s").await;
    let channel = connect(program.address).await;
    let mut health = watch_health(&channel).await;
    until_health(&mut health, ServingStatus::Serving).await;
    let stop = async {
        received(&sim, "bgapi msleep").await;
        program.signal("-TERM");
        timed(program.ended()).await
    };
    let (ran, (status, took)) = tokio::join!(run(&channel, "60000"), stop);
    let cut = ran.unwrap_err();
    let expected = (Code::Unavailable, "SHUTTING_DOWN".to_owned());
    assert_eq!(code_and_reason(&cut), expected, "{cut:?}");
    assert!(!metadata(&cut, "job_id").is_empty());
    assert_eq!(status.code(), Some(0));
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(1) + SLACK).contains(&took),
        "{took:?}"
    );
    assert_eq!(exits(&sim), 10);
    assert!(drain.finish(SLACK).await);
}

#[tokio::test]
async fn a_call_that_rings_at_the_stop_is_waited_for() {
    let mut gateway = Gateway::over_sim().await;
    let mut sessions = gateway.sessions();
    let mut events = subscribe(&gateway.channel).await;
    let sim = gateway.sim().clone();
    let stop = async {
        received(&sim, "bgapi originate").await;
        gateway.begin_stop();
        assert_told_to_go_on(&mut events).await;
    };
    let call = within(sessions.originate(call_to("sim/ring_answer?ring=700ms")));
    let (call, ()) = tokio::join!(call, stop);
    assert!(call.unwrap().into_inner().session.unwrap().answered);
    gateway.stop().await;
}

/// Stops a gateway with a grace period of a second while a call rings; gives back what its client
/// was told, and the simulated node.
async fn stop_while_it_rings(request: pb::OriginateRequest) -> (tonic::Status, Sim) {
    let mut gateway = Gateway::over_sims(1, |config| {
        config.shutdown.grace = Duration::from_secs(1);
    })
    .await;
    let mut sessions = gateway.sessions();
    let sim = gateway.sim().clone();
    let stop = async {
        received(&sim, "bgapi originate").await;
        until(|| !sim.channels().is_empty()).await;
        gateway.begin_stop();
    };
    let (call, ()) = tokio::join!(within(sessions.originate(request)), stop);
    let status = call.unwrap_err();
    gateway.stopped().await;
    (status, sim)
}

#[tokio::test]
async fn a_call_that_rings_on_is_hung_up_at_the_end_of_the_grace_period() {
    let (status, sim) = stop_while_it_rings(call_to("sim/ring_answer?ring=60s")).await;
    let expected = (Code::Unavailable, "SHUTTING_DOWN".to_owned());
    assert_eq!(code_and_reason(&status), expected, "{status:?}");
    for key in ["session_id", "job_id"] {
        assert!(!metadata(&status, key).is_empty(), "{key}");
    }
    until(|| sim.channels().is_empty()).await;
    let commands = sim.commands();
    let mut commands = commands.iter().map(|one| String::from_utf8_lossy(one));
    assert!(commands.any(|one| one.contains("uuid_kill") && one.contains("ORIGINATOR_CANCEL")));
}

#[tokio::test]
async fn a_detached_call_rings_on_after_the_stop() {
    let request = pb::OriginateRequest {
        detach: true,
        ..call_to("sim/ring_answer?ring=60s")
    };
    let (status, sim) = stop_while_it_rings(request).await;
    let expected = (Code::Unavailable, "SHUTTING_DOWN".to_owned());
    assert_eq!(code_and_reason(&status), expected, "{status:?}");
    assert!(!sim.channels().is_empty());
}

#[tokio::test]
async fn nothing_new_is_taken_once_it_drains() {
    let mut gateway = Gateway::over_sim().await;
    let channel = gateway.channel.clone();
    let sim = gateway.sim().clone();
    let address = gateway.address;
    let stop = async {
        received(&sim, "bgapi msleep").await;
        gateway.begin_stop();
        // Accepted or not, nothing is served there any more.
        until(|| std::net::TcpStream::connect(address).is_err()).await;
    };
    let (ran, ()) = tokio::join!(run(&channel, "700"), stop);
    assert_eq!(ran.unwrap().state(), pb::JobState::Succeeded);
    assert!(run_job(&gateway, job("status", "")).await.is_err());
    gateway.stop().await;
}
