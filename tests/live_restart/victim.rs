//! What is killed: a simulated node, or the process of a real FreeSWITCH.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use switchgate::shutdown::Drain;
use switchgate::sim::{Fault, Sim, SimConfig};
use tokio::net::TcpListener;

use crate::gateway::{PATIENCE, within};

/// How long the simulator is away.
const BOOT: Duration = Duration::from_millis(300);

pub(super) enum Victim {
    Sim(Sim, Drain),
    Real { command: String, child: Child },
}

// === impl Victim ===

impl Victim {
    /// A simulated node and its address.
    pub(super) async fn simulated() -> (Self, String) {
        let drain = Drain::new();
        let sim = Sim::new(SimConfig::default(), &drain);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let server = sim.clone();
        drain.spawn(async move { server.serve(listener).await });
        (Self::Sim(sim, drain), target)
    }

    /// The FreeSWITCH that the environment names, started, and its address.
    pub(super) fn real() -> Option<(Self, String)> {
        let command = std::env::var("SWITCHGATE_TEST_FREESWITCH_COMMAND").ok()?;
        let target = std::env::var("SWITCHGATE_TEST_FREESWITCH_COMMAND_ADDRESS")
            .expect("SWITCHGATE_TEST_FREESWITCH_COMMAND_ADDRESS=host:port");
        let child = run(&command);
        Some((Self::Real { command, child }, target))
    }

    /// Host and port for calls to its own dial plan. `SWITCHGATE_TEST_SIP_PORT` is that of a real
    /// one that does not listen on 5060.
    pub(super) fn far_end(&self) -> String {
        match (self, std::env::var("SWITCHGATE_TEST_SIP_PORT")) {
            (Self::Real { .. }, Ok(port)) => format!("127.0.0.1:{port}"),
            _ => "127.0.0.1".to_owned(),
        }
    }

    /// Ends it without a word; it is gone afterwards.
    pub(super) async fn kill(&mut self) {
        match self {
            Self::Sim(sim, _) => {
                sim.inject(Fault::RefuseConnections(Duration::from_secs(3600)));
                sim.inject(Fault::Restart);
            }
            Self::Real { child, .. } => {
                // The shell and what it started are a group of their own.
                let group = format!("-{}", child.id());
                let kill = Command::new("kill").args(["-KILL", "--", &group]).status();
                assert!(kill.unwrap().success());
                within(async {
                    while child.try_wait().unwrap().is_none() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                })
                .await;
            }
        }
    }

    /// Starts it again.
    pub(super) async fn start(&mut self) {
        match self {
            Self::Sim(sim, _) => {
                tokio::time::sleep(BOOT).await;
                sim.inject(Fault::Heal);
            }
            Self::Real { command, child } => *child = run(command),
        }
    }

    pub(super) async fn stop(mut self) {
        self.kill().await;
        if let Self::Sim(_, drain) = &self {
            assert!(drain.finish(PATIENCE).await);
        }
    }
}

impl Drop for Victim {
    /// A test that fails leaves none running.
    fn drop(&mut self) {
        if let Self::Real { child, .. } = self
            && matches!(child.try_wait(), Ok(None))
        {
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            let _ = child.wait();
        }
    }
}

fn run(command: &str) -> Child {
    Command::new("sh")
        .args(["-c", command])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
