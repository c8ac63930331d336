//! A real DNS server on loopback: dnsmasq.

use std::fs;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A question for the address of `fs.test` (RFC 1035, section 4).
const QUESTION: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x02fs\x04test\0\0\x01\0\x01";

/// A server for the names below `test`, which knows no others.
pub(super) struct Server {
    pub(super) port: u16,
    records: Vec<String>,
    hosts: tempfile::NamedTempFile,
    child: Option<Child>,
    is_refusing: bool,
}

// === impl Server ===

impl Server {
    /// None, and a word about it, where there is no dnsmasq.
    pub(super) fn start(hosts: &[(&str, String)], records: &[String]) -> Option<Self> {
        let mut server = Self {
            port: 0,
            records: records.to_vec(),
            hosts: tempfile::NamedTempFile::new().unwrap(),
            child: None,
            is_refusing: false,
        };
        server.write(hosts);
        loop {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            server.port = socket.local_addr().unwrap().port();
            drop(socket);
            match server.run() {
                Ok(()) if server.answers() => return Some(server),
                // Somebody else has taken the port meanwhile.
                Ok(()) => server.stop(),
                Err(_) => {
                    eprintln!("skipped: dnsmasq is missing (Debian: apt-get install dnsmasq-base)");
                    return None;
                }
            }
        }
    }

    /// Waits for its first answer, whatever that is; false when it has ended instead.
    fn answers(&mut self) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        while self.child.as_mut().unwrap().try_wait().unwrap().is_none() {
            socket.send_to(QUESTION, ("127.0.0.1", self.port)).unwrap();
            if socket.recv_from(&mut [0; 512]).is_ok() {
                return true;
            }
        }
        false
    }

    fn run(&mut self) -> std::io::Result<()> {
        let hosts = self.hosts.path().display();
        let child = Command::new("dnsmasq")
            .env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
            .args([
                "--conf-file=/dev/null",
                "--keep-in-foreground",
                "--no-resolv",
            ])
            .args(["--no-hosts", "--no-daemon", "--local-ttl=1"])
            .args([
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                "--pid-file=",
            ])
            .arg(format!("--port={}", self.port))
            .arg(format!("--addn-hosts={hosts}"))
            .args((!self.is_refusing).then_some("--local=/test/"))
            .args(&self.records)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    fn write(&self, hosts: &[(&str, String)]) {
        let lines = hosts.iter().map(|(name, ip)| format!("{ip} {name}\n"));
        fs::write(self.hosts.path(), lines.collect::<String>()).unwrap();
        // It may drop its rights, and must read it still.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(self.hosts.path(), mode).unwrap();
    }

    /// Answers so from now on.
    pub(super) fn change(&self, hosts: &[(&str, String)]) {
        self.write(hosts);
        let pid = self.child.as_ref().unwrap().id().to_string();
        let kill = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(kill.unwrap().success());
    }

    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    /// Is there and answers nothing but REFUSED from now on: nobody told it of these names.
    pub(super) fn refuse(&mut self) {
        self.is_refusing = true;
        self.restart(&[], &[]);
        self.is_refusing = false;
    }

    /// Runs again, with these hosts and records.
    pub(super) fn restart(&mut self, hosts: &[(&str, String)], records: &[String]) {
        self.stop();
        self.write(hosts);
        self.records = records.to_vec();
        loop {
            self.run().unwrap();
            if self.answers() {
                return;
            }
            self.stop();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
