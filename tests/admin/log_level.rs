//! The log level, changed while the program runs.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tokio::sync::mpsc;

use super::{ask, get};
use crate::gateway::{Gateway, within};

/// `switchgate serve --demo`, killed at the end, and its log.
struct Demo {
    child: Child,
    log: mpsc::Receiver<serde_json::Value>,
    admin: SocketAddr,
}

// === impl Demo ===

impl Demo {
    async fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_switchgate"))
            .args(["serve", "--demo", "--listen", "127.0.0.1:0"])
            .args(["--log-format", "json"])
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
        let mut demo = Self {
            child,
            log,
            admin: ([127, 0, 0, 1], 0).into(),
        };
        let entry = demo
            .until(|entry| entry["message"] == "serving metrics and probes")
            .await;
        demo.admin = entry["address"].as_str().unwrap().parse().unwrap();
        demo
    }

    /// The next line of the log that is so.
    async fn until(&mut self, is_so: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        within(async {
            loop {
                let entry = self.log.recv().await.expect("the log goes on");
                if is_so(&entry) {
                    return entry;
                }
            }
        })
        .await
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn another_level_is_heard_at_once_and_told_in_the_log() {
    let mut demo = Demo::start().await;
    assert_eq!(get(demo.admin, "/log-level").await.body, "info\n");
    let level = "warn,switchgate::admin=debug";
    let changed = ask(demo.admin, "PUT", "/log-level", "", level).await;
    assert_eq!((changed.status, changed.body), (200, format!("{level}\n")));
    let told = demo
        .until(|entry| entry["message"] == "log level is changed")
        .await;
    assert_eq!([&told["from"], &told["to"]], ["info", level]);
    assert!(
        told["who"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{told}"
    );
    assert_eq!(
        get(demo.admin, "/log-level").await.body,
        format!("{level}\n")
    );

    // What only `debug` tells.
    let mut stream = tokio::net::TcpStream::connect(demo.admin).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"nonsense\r\n\r\n")
        .await
        .unwrap();
    demo.until(|entry| entry["level"] == "DEBUG" && entry["target"] == "switchgate::admin::server")
        .await;

    for wrong in ["loud", "", "info,switchgate=loud"] {
        let refused = ask(demo.admin, "PUT", "/log-level", "", wrong).await;
        assert_eq!(refused.status, 400, "{wrong}");
        assert!(
            refused.body.contains("is no log level; write off, error"),
            "{}",
            refused.body
        );
    }
    assert_eq!(
        get(demo.admin, "/log-level").await.body,
        format!("{level}\n")
    );
}

#[tokio::test]
async fn two_demos_run_side_by_side() {
    let (one, other) = (Demo::start().await, Demo::start().await);
    assert_ne!(one.admin, other.admin);
    for demo in [&one, &other] {
        assert_eq!(get(demo.admin, "/livez").await.status, 200);
    }
}

#[tokio::test]
async fn logs_that_are_not_the_gateways_own_are_left_alone() {
    let gateway = Gateway::over_sim().await;
    let address = gateway.admin.unwrap();
    assert_eq!(get(address, "/log-level").await.status, 404);
    assert_eq!(
        ask(address, "PUT", "/log-level", "", "info").await.status,
        404
    );
    gateway.stop().await;
}

#[tokio::test]
async fn nobody_changes_it_where_nobody_may() {
    let gateway = Gateway::over_sims(1, |config| {
        config.admin.log_level_from = switchgate::config::LogLevelFrom::Nobody;
    })
    .await;
    let refused = ask(gateway.admin.unwrap(), "PUT", "/log-level", "", "info").await;
    assert_eq!(refused.status, 403);
    assert!(
        refused.body.contains("admin.log_level_from"),
        "{}",
        refused.body
    );
    gateway.stop().await;
}
