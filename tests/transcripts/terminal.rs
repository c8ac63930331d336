//! The two terminals: the demo in one, grpcurl in another.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use tokio::time::Instant;

use super::shown::{Known, prints};
use crate::gateway::PATIENCE;

/// `switchgate serve --demo`, killed at the end.
pub(super) struct Demo {
    child: Child,
    /// Where it serves.
    pub(super) address: String,
}

/// A line of grpcurl and what it has printed.
pub(super) struct Running {
    child: Child,
    lines: Receiver<String>,
    printed: Vec<String>,
    /// How many lines were shown already.
    seen: usize,
}

// === impl Demo ===

impl Demo {
    /// Starts it and waits until its nodes are in service.
    pub(super) fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_switchgate"))
            .args(["serve", "--demo", "--listen", "127.0.0.1:0"])
            .args(["--log-format", "json"])
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut address, mut ready) = (None, 0);
        while address.is_none() || ready < 2 {
            let line = log.next().expect("the log goes on").unwrap();
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
            match entry["message"].as_str() {
                Some("serving gRPC") => address = entry["address"].as_str().map(str::to_owned),
                Some("node is in service") => ready += 1,
                _ => {}
            }
        }
        // A full pipe would stop it.
        std::thread::spawn(move || log.for_each(drop));
        let address = address.unwrap();
        Self { child, address }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Running ===

impl Running {
    pub(super) fn start(command: &str) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec 2>&1; exec {command}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (line_tx, lines) = channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            while output.by_ref().read_line(&mut line).unwrap() > 0 {
                let _ = line_tx.send(line.trim_end_matches('\n').to_owned());
                line.clear();
            }
        });
        Self {
            child,
            lines,
            printed: Vec::new(),
            seen: 0,
        }
    }

    /// It goes on by printing this.
    pub(super) fn expect(&mut self, shown: &[String], known: &mut Known, place: &str) {
        // A stream prints for ever.
        let latest = Instant::now() + PATIENCE;
        loop {
            let fresh = &self.printed[self.seen..];
            if let Some((count, learned)) = prints(shown, fresh, known, false) {
                self.seen += count;
                *known = learned;
                return;
            }
            let left = latest.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.printed.push(line),
                Err(_) => panic!("{place}: printed\n{}", fresh.join("\n")),
            }
        }
    }

    /// It prints this and ends.
    pub(super) fn expect_all(mut self, shown: &[String], known: &mut Known, place: &str) {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.printed.push(line);
        }
        match prints(shown, &self.printed, known, true) {
            Some((_, learned)) => *known = learned,
            None => panic!("{place}: printed\n{}", self.printed.join("\n")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
