//! What `switchgate serve` tells a service manager: systemd's protocol, `sd_notify(3)`.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::gateway::PATIENCE;

/// A service manager's socket and the program that it has started.
struct Service {
    socket: UnixDatagram,
    child: Child,
    folder: tempfile::TempDir,
}

// === impl Service ===

impl Service {
    fn start(watchdog_usec: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("switchgate.yaml"), GOOD).unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchgate"));
        command
            .args(["serve", "--config"])
            .arg(folder.path().join("switchgate.yaml"))
            .env_clear()
            .env("NOTIFY_SOCKET", folder.path().join("notify"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(watchdog_usec) = watchdog_usec {
            command.env("WATCHDOG_USEC", watchdog_usec);
        }
        let child = command.spawn().unwrap();
        Self {
            socket,
            child,
            folder,
        }
    }

    /// The next message, line by line.
    fn heard(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("a message comes");
        let text = std::str::from_utf8(&message[..length]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(status.success());
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("switchgate.yaml")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nothing listens there: a node that cannot be reached holds up no start.
const GOOD: &str = "\
grpc: {listen: 127.0.0.1:0}
admin: {enabled: false}
nodes: [{id: fs1, address: 127.0.0.1:1, password: secret}]
shutdown: {grace: 20s}
";

#[test]
fn a_start_a_reload_and_a_stop_are_told_in_their_order() {
    let mut service = Service::start(None);
    assert_eq!(service.heard(), ["READY=1", "STATUS=serving gRPC"]);

    let reloading = |service: &Service| {
        service.signal("-HUP");
        let told = service.heard();
        assert_eq!(told[0], "RELOADING=1");
        // systemd from 253 on wants to know when.
        let moment = told[1].strip_prefix("MONOTONIC_USEC=").unwrap();
        assert!(moment.parse::<u64>().unwrap() > 0);
        service.heard()
    };
    assert_eq!(reloading(&service), ["READY=1", "STATUS=serving gRPC"]);
    std::fs::write(service.file(), "nodes: here").unwrap();
    assert_eq!(
        reloading(&service),
        [
            "READY=1",
            "STATUS=serving gRPC; the last reload failed, see the log"
        ]
    );

    service.signal("-TERM");
    assert_eq!(
        service.heard(),
        [
            "STOPPING=1",
            "STATUS=finishing what is under way",
            // The grace period of the file and 15 s.
            "EXTEND_TIMEOUT_USEC=35000000"
        ]
    );
    assert!(service.child.wait().unwrap().success());
}

#[test]
fn a_watchdog_hears_that_the_program_is_alive() {
    let service = Service::start(Some("100000"));
    let told: Vec<String> = (0..4).flat_map(|_| service.heard()).collect();
    let alive = told.iter().filter(|line| *line == "WATCHDOG=1").count();
    assert_eq!(alive, 3, "{told:?}");
}

#[test]
fn the_configuration_of_the_package_is_good_and_its_unit_starts_what_there_is() {
    let output = Command::new(env!("CARGO_BIN_EXE_switchgate"))
        .args(["check-config", "deploy/systemd/switchgate.yaml"])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let unit = std::fs::read_to_string("deploy/systemd/switchgate.service").unwrap();
    for (key, arguments) in [
        ("ExecStart=", "serve --config"),
        ("ExecReload=", "check-config"),
    ] {
        let line = unit.lines().find(|line| line.starts_with(key)).unwrap();
        let command = format!("/usr/bin/switchgate {arguments} /etc/switchgate/switchgate.yaml");
        assert!(line.contains(&command), "{line}");
    }
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        return eprintln!("skipped: systemd-analyze is missing");
    }
    // The program of this build in the place of the one that is installed.
    let folder = tempfile::tempdir().unwrap();
    let here = unit
        .replace("/usr/bin/switchgate", env!("CARGO_BIN_EXE_switchgate"))
        .replace("Documentation=man:switchgate(1)\n", "");
    let path = folder.path().join("switchgate.service");
    std::fs::write(&path, here).unwrap();
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&path)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{told}");
}
