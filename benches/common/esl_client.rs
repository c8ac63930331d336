//! A client of the event socket with nothing to it: a blocking socket, one command at a time.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct EslClient {
    reader: BufReader<TcpStream>,
    head: String,
}

// === impl EslClient ===

impl EslClient {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self {
            reader: BufReader::new(socket),
            head: String::new(),
        };
        client.read()?;
        client.command("auth ClueCon\n\n")?;
        ensure!(
            client.head.contains("+OK accepted"),
            "the password is wrong"
        );
        Ok(client)
    }

    /// Gives the body of the reply, of the first one if the text holds several commands.
    pub(crate) fn command(&mut self, command: &str) -> Result<String> {
        self.reader.get_mut().write_all(command.as_bytes())?;
        self.read()
    }

    /// The body of the next reply.
    pub(crate) fn read(&mut self) -> Result<String> {
        self.head.clear();
        while !self.head.ends_with("\n\n") {
            let read = self.reader.read_line(&mut self.head)?;
            ensure!(read > 0, "FreeSWITCH closed the connection");
        }
        let mut lines = self.head.lines();
        let length = lines.find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(Ok(0), str::parse)?];
        self.reader.read_exact(&mut body)?;
        Ok(String::from_utf8(body)?)
    }
}
