//! The whole program, told by SIGHUP to read its configuration again.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;
use switchgate::access::TokenDigest;
use switchgate::pb;
use switchgate::pb::node_service_client::NodeServiceClient;
use switchgate::sim::SimConfig;
use tokio::sync::mpsc;
use tonic::Code;
use tonic::service::Interceptor as _;

use crate::admin::get;
use crate::callers::Bearer;
use crate::gateway::{connect, within};
use crate::node_membership::Extra;

/// `switchgate serve`, killed at the end, and its log.
struct Program {
    child: Child,
    log: mpsc::Receiver<Json>,
    address: SocketAddr,
    admin: SocketAddr,
}

// === impl Program ===

impl Program {
    async fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_switchgate"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .args(arguments)
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (log_tx, log) = mpsc::channel(1 << 16);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let entry = serde_json::from_str(&line).expect("a log of JSON");
                let _ = log_tx.blocking_send(entry);
            }
        });
        let nowhere: SocketAddr = ([127, 0, 0, 1], 0).into();
        let (address, admin) = (nowhere, nowhere);
        let mut program = Self {
            child,
            log,
            address,
            admin,
        };
        let entry = program.until("serving metrics and probes").await;
        program.admin = entry["address"].as_str().unwrap().parse().unwrap();
        let entry = program.until("serving gRPC").await;
        program.address = entry["address"].as_str().unwrap().parse().unwrap();
        program
    }

    /// The next line of the log with this message.
    async fn until(&mut self, message: &str) -> Json {
        within(async {
            loop {
                let entry = self.log.recv().await.expect("the log goes on");
                if entry["message"] == message {
                    return entry;
                }
            }
        })
        .await
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(status.success());
    }

    async fn reload(&mut self) -> Json {
        self.signal("-HUP");
        self.until("configuration reloaded").await
    }

    /// Nodes in the list that the bearer of this token gets.
    async fn nodes(&self, token: &str) -> Result<Vec<String>, Code> {
        let mut client = NodeServiceClient::new(connect(self.address).await);
        let request = tonic::Request::new(());
        let request = Bearer::of(token).call(request).unwrap();
        let request = request.map(|()| pb::ListNodesRequest::default());
        let answer = within(client.list_nodes(request)).await;
        let nodes = answer.map_err(|status| status.code())?.into_inner().nodes;
        Ok(nodes.into_iter().map(|node| node.node_id).collect())
    }

    async fn metric(&self, sample: &str) -> String {
        let page = get(self.admin, "/metrics").await.body;
        let line = page.lines().find_map(|line| line.strip_prefix(sample));
        line.unwrap_or_else(|| panic!("no {sample}"))
            .trim()
            .to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write(path: &Path, nodes: &[(&str, &Extra)], token: &str, level: &str) {
    let nodes = nodes
        .iter()
        .map(|(id, node)| format!("- {{id: {id}, address: '{}'}}\n", node.address));
    let content = format!(
        "admin: {{listen: '127.0.0.1:0'}}\nnodes:\n{}access: {{tokens: [{{name: crm, sha256: '{}', roles: [viewer]}}]}}\nlog: {{level: '{level}'}}\n",
        nodes.collect::<String>(),
        TokenDigest::of(token.as_bytes()).to_hex()
    );
    std::fs::write(path, content).unwrap();
}

#[tokio::test]
async fn sighup_changes_nodes_tokens_and_the_log_level_or_nothing() {
    let one = Extra::start(SimConfig {
        name: "one".to_owned(),
        ..SimConfig::default()
    })
    .await;
    let two = Extra::start(SimConfig {
        name: "two".to_owned(),
        ..SimConfig::default()
    })
    .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path();
    write(path, &[("a", &one)], "swg_first", "info");
    let mut program = Program::start(&["--config", path.to_str().unwrap()]).await;
    assert_eq!(program.nodes("swg_first").await.unwrap(), ["a"]);

    write(
        path,
        &[("b", &two)],
        "swg_second",
        "info,switchgate::esl=debug",
    );
    let told = program.reload().await;
    assert_eq!(told["sections"], "access, nodes, log.level");
    assert_eq!([&told["nodes_added"], &told["nodes_removed"]], ["b", "a"]);
    assert!(!told.to_string().contains("swg_"), "{told}");
    assert_eq!(program.nodes("swg_first").await, Err(Code::Unauthenticated));
    assert_eq!(program.nodes("swg_second").await.unwrap(), ["b"]);
    let level = get(program.admin, "/log-level").await.body;
    assert_eq!(level, "info,switchgate::esl=debug\n");
    let applied = "switchgate_config_reloads_total{result=\"applied\"}";
    assert_eq!(program.metric(applied).await, "1");

    // One line for each problem, in the words of a start.
    let bad = "nodes: [{id: c}]\naccess: {tokens: [{name: crm, sha256: x, roles: [viewer]}]}\n";
    std::fs::write(path, bad).unwrap();
    program.signal("-HUP");
    for key in [
        "access.tokens[0].sha256: is no SHA-256 digest",
        "nodes[0].address: is missing; ",
    ] {
        let told = program
            .until("configuration is not reloaded, all stays as it was")
            .await;
        assert_eq!(told["level"], "ERROR");
        assert!(told["problem"].as_str().unwrap().starts_with(key), "{told}");
    }
    assert_eq!(program.nodes("swg_second").await.unwrap(), ["b"]);
    let refused = "switchgate_config_reloads_total{result=\"refused\"}";
    assert_eq!(program.metric(refused).await, "1");
    assert_eq!(
        program
            .metric("switchgate_config_last_reload_successful")
            .await,
        "0"
    );

    write(
        path,
        &[("b", &two)],
        "swg_second",
        "info,switchgate::esl=debug",
    );
    let told = program.reload().await;
    assert_eq!([&told["sections"], &told["nodes_added"]], ["", ""]);
    assert_eq!(
        program
            .metric("switchgate_config_last_reload_successful")
            .await,
        "1"
    );

    program.signal("-TERM");
    program.until("stopped").await;
    // Whoever drains reloads no more, and is not ended by the signal either.
    let status = within(async {
        loop {
            match program.child.try_wait().unwrap() {
                Some(status) => return status,
                None => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert!(status.success(), "{status}");
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_demo_keeps_its_nodes() {
    let mut program = Program::start(&["--demo"]).await;
    let told = program.reload().await;
    assert_eq!([&told["nodes_added"], &told["nodes_removed"]], ["", ""]);
    assert_eq!(program.nodes("none").await.unwrap(), ["demo-a", "demo-b"]);
}
