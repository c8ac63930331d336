//! A scripted Event Socket server over TCP: it answers what a test tells it to, pushes events,
//! stays silent, cuts frames in half.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BytesMut};
use switchgate::shutdown::Drain;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::peer::{api_reply, reply};

/// Bytes that a link may have waiting for the gateway to read.
const QUEUE: usize = 1024;

/// What is said to a command.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    /// An `api/response`.
    Api(String),
    /// A `command/reply`.
    Reply(String),
    /// Nothing; the link stays open.
    Nothing,
    /// The first half of an `api/response`, then the end of the link.
    Half(String),
    /// Nothing until [`FakeNode::release`]; then this.
    Held(Box<Self>),
}

/// A node. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct FakeNode {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    core_uuid: String,
    /// By how the command starts; the last that fits counts. What is asked more often than there
    /// are answers gets the last answer again.
    answers: Vec<(String, VecDeque<Say>)>,
    heard: Vec<String>,
    held: Vec<(mpsc::Sender<Vec<u8>>, Say)>,
    links: Vec<OpenLink>,
}

#[derive(Debug)]
struct OpenLink {
    out: mpsc::Sender<Vec<u8>>,
    wants_events: bool,
    closed: CancellationToken,
}

// === impl FakeNode ===

impl FakeNode {
    /// Listens on a free port until the drain stops; has no channels.
    pub(crate) async fn start(drain: &Drain) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Script {
            core_uuid: "core-1".to_owned(),
            ..Script::default()
        };
        let node = Self {
            address,
            script: Arc::new(Mutex::new(script)),
        };
        let (server, tasks) = (node.clone(), drain.clone());
        drain.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    biased;
                    () = tasks.stopped() => return,
                    accepted = listener.accept() => accepted,
                };
                let (stream, _) = accepted.unwrap();
                let link = server.clone();
                let stopped = tasks.stopped();
                tasks.spawn(async move {
                    tokio::select! {
                        biased;
                        () = stopped => {}
                        () = link.talk(stream) => {}
                    }
                });
            }
        });
        node
    }

    /// From now on commands that start so are answered so: the first with the first, and so on,
    /// the last one again and again.
    pub(crate) fn on(&self, command: &str, answers: impl IntoIterator<Item = Say>) {
        let answers = answers.into_iter().collect();
        self.lock().answers.push((command.to_owned(), answers));
    }

    /// All commands so far, without those of the login.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.lock().heard.clone()
    }

    pub(crate) fn count(&self, command: &str) -> usize {
        let heard = self.heard();
        heard.iter().filter(|one| one.starts_with(command)).count()
    }

    /// Says to everyone what was held back.
    pub(crate) fn release(&self) {
        for (out, say) in std::mem::take(&mut self.lock().held) {
            let _ = out.try_send(say.bytes());
        }
    }

    /// Sends an event to every link that subscribed; says to how many.
    pub(crate) fn push(&self, headers: &[(&str, &str)], body: &str) -> usize {
        let mut event: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        if !body.is_empty() {
            event += &format!("Content-Length: {}\n", body.len());
        }
        event += "\n";
        event += body;
        let frame = format!(
            "Content-Length: {}\nContent-Type: text/event-plain\n\n{event}",
            event.len()
        );
        let script = self.lock();
        let listeners = script.links.iter().filter(|link| link.wants_events);
        listeners
            .filter(|link| link.out.try_send(frame.clone().into_bytes()).is_ok())
            .count()
    }

    /// An event of a channel.
    pub(crate) fn channel_event(&self, name: &str, id: &str, more: &[(&str, &str)]) -> usize {
        let core_uuid = self.lock().core_uuid.clone();
        let mut headers = vec![
            ("Event-Name", name),
            ("Core-UUID", core_uuid.as_str()),
            ("Unique-ID", id),
        ];
        headers.extend(more);
        self.push(&headers, "")
    }

    /// A job has ended.
    pub(crate) fn job_result(&self, id: &str, output: &str) -> usize {
        self.push(
            &[("Event-Name", "BACKGROUND_JOB"), ("Job-UUID", id)],
            output,
        )
    }

    /// Closes all links.
    pub(crate) fn drop_links(&self) {
        for link in std::mem::take(&mut self.lock().links) {
            link.closed.cancel();
        }
    }

    /// Closes all links but those that carry events.
    pub(crate) fn drop_command_links(&self) {
        self.drop_some(|link| !link.wants_events);
    }

    /// Closes the links that carry events.
    pub(crate) fn drop_event_links(&self) {
        self.drop_some(|link| link.wants_events);
    }

    fn drop_some(&self, is_dropped: impl Fn(&OpenLink) -> bool) {
        self.lock().links.retain(|link| {
            if is_dropped(link) {
                link.closed.cancel();
            }
            !is_dropped(link)
        });
    }

    pub(crate) fn restart(&self, core_uuid: &str) {
        self.lock().core_uuid = core_uuid.to_owned();
        self.drop_links();
    }

    async fn talk(&self, stream: TcpStream) {
        let (mut reader, mut writer) = stream.into_split();
        let (out, mut outgoing) = mpsc::channel::<Vec<u8>>(QUEUE);
        let closed = CancellationToken::new();
        self.lock().links.push(OpenLink {
            out: out.clone(),
            wants_events: false,
            closed: closed.clone(),
        });
        let _ = out.try_send(b"Content-Type: auth/request\n\n".to_vec());
        let write = async {
            while let Some(bytes) = outgoing.recv().await {
                if writer.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        };
        let read = async {
            let mut inbound = BytesMut::new();
            loop {
                loop {
                    // A line feed in front of a command means nothing (`read_packet` in
                    // `mod_event_socket.c`); the gateway sends one to be sent events at once.
                    let idle = inbound.iter().take_while(|&&byte| byte == b'\n').count();
                    inbound.advance(idle);
                    let Some(end) = inbound.windows(2).position(|pair| pair == b"\n\n") else {
                        break;
                    };
                    let command = inbound.split_to(end);
                    inbound.advance(2);
                    let command = String::from_utf8(command.to_vec()).unwrap();
                    let say = self.hear(&command, &out);
                    let is_half = matches!(say, Say::Half(_));
                    match say {
                        Say::Nothing => {}
                        Say::Held(say) => self.lock().held.push((out.clone(), *say)),
                        say => drop(out.try_send(say.bytes())),
                    }
                    if is_half || command == "exit" {
                        // What was said leaves first: the queue has ended when it is empty.
                        while out.capacity() < QUEUE {
                            tokio::task::yield_now().await;
                        }
                        return;
                    }
                }
                match reader.read_buf(&mut inbound).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        };
        tokio::select! {
            biased;
            () = closed.cancelled() => {}
            () = write => {}
            () = read => {}
        }
        self.lock()
            .links
            .retain(|link| !link.out.same_channel(&out));
    }

    fn hear(&self, command: &str, out: &mpsc::Sender<Vec<u8>>) -> Say {
        let mut script = self.lock();
        if command.starts_with("auth ") {
            return Say::Reply("+OK accepted".to_owned());
        }
        script.heard.push(command.to_owned());
        if command.starts_with("event plain ") {
            for link in &mut script.links {
                link.wants_events |= link.out.same_channel(out);
            }
        }
        let scripted = script
            .answers
            .iter_mut()
            .rev()
            .find(|(start, _)| command.starts_with(start.as_str()));
        if let Some((_, answers)) = scripted
            && let Some(say) = answers.front().cloned()
        {
            if answers.len() > 1 {
                answers.pop_front();
            }
            return say;
        }
        match command {
            "api global_getvar core_uuid" => Say::Api(script.core_uuid.clone()),
            "api version short" => Say::Api("1.10.12-release\n".to_owned()),
            "api status" => Say::Api("UP 0 years\n".to_owned()),
            "api show channels as json" | "api show calls as json" => rows(&[]),
            "exit" => Say::Reply("+OK bye".to_owned()),
            _ if command.starts_with("api uuid_exists") => Say::Api("false".to_owned()),
            _ if command.starts_with("api ") => Say::Api("+OK\n".to_owned()),
            _ => Say::Reply("+OK".to_owned()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Say ===

impl Say {
    pub(crate) fn api(text: impl Into<String>) -> Self {
        Self::Api(text.into())
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Api(text) => api_reply(text).into_bytes(),
            Self::Reply(text) => reply(text).into_bytes(),
            Self::Nothing => Vec::new(),
            Self::Half(text) => {
                let whole = api_reply(text).into_bytes();
                whole[..whole.len() / 2].to_vec()
            }
            Self::Held(say) => say.bytes(),
        }
    }
}

/// `show channels as json` with these channels.
pub(crate) fn rows(uuids: &[&str]) -> Say {
    let rows: Vec<String> = uuids
        .iter()
        .map(|uuid| format!(r#"{{"uuid":"{uuid}","direction":"inbound"}}"#))
        .collect();
    match uuids {
        [] => Say::api("{\"row_count\":0}\n"),
        _ => Say::api(format!(
            "{{\"row_count\":{},\"rows\":[{}]}}\n",
            uuids.len(),
            rows.join(",")
        )),
    }
}
