//! A FreeSWITCH that answers commands and sends the recording when it is told to, in a process of
//! its own, so that what this one spends is the reader's.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use crate::corpus::Corpus;
use crate::cpu;

/// The process, seen from the benchmark.
#[derive(Debug)]
pub(crate) struct Source {
    address: SocketAddr,
    child: Child,
    told: ChildStdin,
    said: BufReader<ChildStdout>,
}

/// What the process says of one sending.
#[derive(Debug)]
pub(crate) struct Sent {
    /// When the first byte left.
    pub(crate) began: SystemTime,
    pub(crate) laps: usize,
    /// What the process spent on them.
    pub(crate) cpu: Duration,
}

/// The process, seen from itself.
#[derive(Debug)]
struct Server {
    laps: Vec<Vec<u8>>,
    /// How many laps the next subscriber is sent, and the one after it.
    orders: Mutex<Receiver<usize>>,
}

// === impl Source ===

impl Source {
    /// Starts the process, which can send up to so many laps at once.
    pub(crate) fn start(laps: usize) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--source", &laps.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let told = child.stdin.take().context("no stdin")?;
        let mut said = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        Ok(Self {
            address: line.trim().parse().context("the source did not start")?,
            child,
            told,
            said,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets it send so many laps to the subscriber that it has or gets next.
    pub(crate) fn send(&mut self, laps: usize) -> Result<()> {
        writeln!(self.told, "{laps}")?;
        Ok(self.told.flush()?)
    }

    /// Waits until all of that is sent.
    pub(crate) fn sent(&mut self) -> Result<Sent> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [began, laps, cpu] = words[..] else {
            bail!("the source is gone");
        };
        Ok(Sent {
            began: UNIX_EPOCH + Duration::from_nanos(began.parse()?),
            laps: laps.parse()?,
            cpu: Duration::from_nanos(cpu.parse()?),
        })
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Server ===

impl Server {
    fn serve(self: &Arc<Self>, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        stream.write_all(b"Content-Type: auth/request\n\n")?;
        let mut lines = BufReader::new(stream.try_clone()?);
        // Replies do not come in between events.
        let stream = Arc::new(Mutex::new(stream));
        let mut is_subscribed = false;
        while let Some(command) = read_command(&mut lines)? {
            let reply = match command.split_whitespace().next() {
                Some("api") => api_response(&command),
                Some("exit") => return Ok(()),
                _ => "Content-Type: command/reply\nReply-Text: +OK accepted\n\n".to_owned(),
            };
            lock(&stream).write_all(reply.as_bytes())?;
            if command.starts_with("event plain ") && !is_subscribed {
                is_subscribed = true;
                let (server, stream) = (Arc::clone(self), Arc::clone(&stream));
                // A reader that leaves ends it.
                thread::spawn(move || drop(server.send(&stream)));
            }
        }
        Ok(())
    }

    fn send(&self, stream: &Mutex<TcpStream>) -> Result<()> {
        let laps = lock(&self.orders).recv()?;
        let mut stream = lock(stream);
        let cpu = cpu::of_process()?;
        let began = SystemTime::now().duration_since(UNIX_EPOCH)?;
        for lap in &self.laps[..laps] {
            stream.write_all(lap)?;
        }
        let cpu = cpu::of_process()?.saturating_sub(cpu);
        // Not `println!`, which panics when the benchmark is gone.
        let (began, cpu) = (began.as_nanos(), cpu.as_nanos());
        Ok(writeln!(std::io::stdout(), "{began} {laps} {cpu}")?)
    }
}

/// Runs the process until its standard input ends.
pub(crate) fn run(laps: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let mut corpus = Corpus::load()?;
    let laps = (0..laps).map(|lap| {
        corpus.set_lap(lap);
        corpus.bytes.clone()
    });
    let (order, orders) = mpsc::channel();
    let server = Arc::new(Server {
        laps: laps.collect(),
        orders: Mutex::new(orders),
    });
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let server = Arc::clone(&server);
            thread::spawn(move || drop(server.serve(stream)));
        }
    });
    writeln!(std::io::stdout(), "{address}")?;
    for line in std::io::stdin().lock().lines() {
        order.send(line?.trim().parse()?)?;
    }
    Ok(())
}

/// A command with its headers; what belongs to none, such as a lone line feed, is skipped.
fn read_command(lines: &mut impl std::io::BufRead) -> Result<Option<String>> {
    let mut command = String::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match (line.trim_end(), command.is_empty()) {
            ("", true) => {}
            ("", false) => return Ok(Some(command)),
            (text, _) => {
                command.push_str(text);
                command.push('\n');
            }
        }
    }
}

/// What the gateway asks for before it puts a node in service: there are no channels yet.
fn api_response(command: &str) -> String {
    let answer = match command.trim() {
        "api global_getvar core_uuid" => "791ea1ac-5686-4ae7-ba0a-99ece64a63e0",
        "api version short" => "1.10.12",
        text if text.contains("show ") => "{\"row_count\":0}\n",
        _ => "+OK\n",
    };
    let length = answer.len();
    format!("Content-Type: api/response\nContent-Length: {length}\n\n{answer}")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
