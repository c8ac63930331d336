//! `bgapi` by a minimal client: blocking sockets, one thread for each.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use uuid::Uuid;

use crate::Peer;
use crate::questions::{Question, Questions};

/// Commands under way on a link: enough that FreeSWITCH never waits for one, few enough that the
/// socket's buffers never fill.
const WINDOW: usize = 64;
/// Longest silence; only a broken run waits so long.
const PATIENCE: Duration = Duration::from_secs(20);
const SUBSCRIBE: &str = "event plain BACKGROUND_JOB\n\n";

/// A session that exists for as long as the benchmark runs.
pub(crate) struct LiveSession {
    link: RawLink,
    id: String,
}

/// Jobs whose result is due: what each has asked.
type Due<'a> = HashMap<String, &'a Question>;

struct RawLink {
    reader: BufReader<TcpStream>,
}

struct Frame {
    head: String,
    body: String,
}

/// Time for all jobs over one link, which also brings their results.
pub(crate) fn one_link(peer: &Peer, questions: &Questions) -> Result<Duration> {
    let mut link = RawLink::connect(peer)?;
    link.command(SUBSCRIBE)?;
    let (commands, mut due) = plan(questions.iter());
    let began = Instant::now();
    link.run(commands, &mut due)?;
    Ok(began.elapsed())
}

/// Time for all jobs over several links, with one more for their results, as the gateway has it.
pub(crate) fn links(peer: &Peer, count: usize, questions: &Questions) -> Result<Duration> {
    let mut events = RawLink::connect(peer)?;
    events.command(SUBSCRIBE)?;
    let (commands, mut due) = plan(questions.iter());
    let mut parts = vec![VecDeque::new(); count];
    for (at, command) in commands.into_iter().enumerate() {
        parts[at % count].push_back(command);
    }
    let links: Vec<_> = parts
        .into_iter()
        .map(|part| Ok((RawLink::connect(peer)?, part)))
        .collect::<Result<_>>()?;
    let mut nudge = events.reader.get_ref().try_clone()?;
    let began = Instant::now();
    std::thread::scope(|scope| {
        let senders: Vec<_> = links
            .into_iter()
            .map(|(mut link, part)| scope.spawn(move || link.run(part, &mut Due::new())))
            .collect();
        let results = scope.spawn(move || events.run(VecDeque::new(), &mut due));
        for sender in senders {
            joined(sender)?;
        }
        // FreeSWITCH would hold the last results back for up to 20 ms.
        nudge.write_all(b"\n")?;
        joined(results)
    })?;
    Ok(began.elapsed())
}

fn joined(thread: ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|_| bail!("a thread panicked"))
}

fn plan<'a>(questions: impl Iterator<Item = &'a Question>) -> (VecDeque<String>, Due<'a>) {
    questions
        .map(|question| {
            let id = Uuid::new_v4().to_string();
            let command = format!("bgapi uuid_exists {}\nJob-UUID: {id}\n\n", question.session);
            (command, (id, question))
        })
        .unzip()
}

// === impl LiveSession ===

impl LiveSession {
    pub(crate) fn start(peer: &Peer) -> Result<Self> {
        let mut link = RawLink::connect(peer)?;
        let id = Uuid::new_v4().to_string();
        let originate = format!("api originate {{origination_uuid={id}}}null/bench &park()\n\n");
        let answer = link.command(&originate)?.body;
        ensure!(answer.starts_with("+OK"), "no session to ask for: {answer}");
        Ok(Self { link, id })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn end(mut self) -> Result<()> {
        let answer = self
            .link
            .command(&format!("api uuid_kill {}\n\n", self.id))?;
        ensure!(answer.body.starts_with("+OK"), "{}", answer.body);
        Ok(())
    }
}

// === impl RawLink ===

impl RawLink {
    fn connect(peer: &Peer) -> Result<Self> {
        let address = &peer.address;
        let stream =
            TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut link = Self {
            reader: BufReader::new(stream),
        };
        link.read()?;
        let reply = link.command(&format!("auth {}\n\n", peer.password))?;
        ensure!(
            reply.header("Reply-Text") == Some("+OK accepted"),
            "{address} refused the password"
        );
        Ok(link)
    }

    /// One command and its reply.
    fn command(&mut self, command: &str) -> Result<Frame> {
        self.reader.get_mut().write_all(command.as_bytes())?;
        self.read()
    }

    /// Writes all commands, with some of them always under way, and reads until every reply has
    /// come and every due result.
    fn run(&mut self, mut commands: VecDeque<String>, due: &mut Due<'_>) -> Result<()> {
        let mut unanswered = commands.len();
        let first: String = commands.drain(..commands.len().min(WINDOW)).collect();
        self.reader.get_mut().write_all(first.as_bytes())?;
        while unanswered > 0 || !due.is_empty() {
            let frame = self.read()?;
            match frame.header("Content-Type") {
                Some("command/reply") => {
                    let reply = frame.header("Reply-Text").unwrap_or_default();
                    ensure!(
                        reply.starts_with("+OK"),
                        "FreeSWITCH refused a job: {reply}"
                    );
                    unanswered -= 1;
                    if let Some(command) = commands.pop_front() {
                        self.reader.get_mut().write_all(command.as_bytes())?;
                    }
                }
                Some("text/event-plain") => take_result(&frame.body, due)?,
                other => bail!("unexpected frame: {other:?}"),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Frame> {
        let mut head = String::new();
        while !head.ends_with("\n\n") {
            let count = self.reader.read_line(&mut head)?;
            ensure!(count > 0, "FreeSWITCH closed the connection");
        }
        let mut frame = Frame {
            head,
            body: String::new(),
        };
        if let Some(length) = frame.header("Content-Length") {
            let mut body = vec![0; length.parse()?];
            self.reader.read_exact(&mut body)?;
            frame.body = String::from_utf8(body)?;
        }
        Ok(frame)
    }
}

// === impl Frame ===

impl Frame {
    fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

/// Jobs of others are none of ours.
fn take_result(event: &str, due: &mut Due<'_>) -> Result<()> {
    let (headers, output) = event.split_once("\n\n").context("event without an end")?;
    let id = header(headers, "Job-UUID").context("result without a job")?;
    if let Some(question) = due.remove(id) {
        ensure!(question.is_right(output), "wrong answer: {output}");
    }
    Ok(())
}

fn header<'a>(headers: &'a str, name: &str) -> Option<&'a str> {
    headers
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
