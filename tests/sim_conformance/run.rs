//! Plays a recording against a simulator and compares.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use super::record::{Event, Frame, Recording, Side, take_frame};

/// Time after the last command in which events may still come.
const AFTERGLOW: Duration = Duration::from_secs(4);

/// Something that the simulator does otherwise than the recording.
#[derive(Debug)]
pub(crate) enum Difference {
    /// A reply: the command, what was recorded, what came.
    Reply {
        command: String,
        recorded: String,
        simulated: String,
    },
    /// The events of the n-th channel: where they part.
    Sequence {
        channel: String,
        recorded: Vec<String>,
        simulated: Vec<String>,
    },
    /// Headers of an event: the channel, the event, what is missing and what is too much.
    Headers {
        channel: String,
        event: String,
        missing: Vec<String>,
        surplus: Vec<String>,
    },
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reply {
                command,
                recorded,
                simulated,
            } => {
                write!(f, "{command:?}: recorded {recorded}, simulated {simulated}")
            }
            Self::Sequence {
                channel,
                recorded,
                simulated,
            } => {
                let same = recorded
                    .iter()
                    .zip(simulated)
                    .take_while(|(a, b)| a == b)
                    .count();
                let part = |list: &[String]| {
                    list[same.min(list.len())..]
                        .iter()
                        .take(14)
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", ")
                };
                write!(
                    f,
                    "{channel}: after {same} events\n    recorded  {}\n    simulated {}",
                    part(recorded),
                    part(simulated)
                )
            }
            Self::Headers {
                channel,
                event,
                missing,
                surplus,
            } => {
                write!(
                    f,
                    "{channel}: {event}: missing {missing:?}, surplus {surplus:?}"
                )
            }
        }
    }
}

/// A connection to the simulator that keeps what it reads.
struct Link {
    stream: DuplexStream,
    buffer: Vec<u8>,
}

impl Link {
    fn new(sim: &Sim) -> Self {
        Self {
            stream: sim.connect(),
            buffer: Vec::new(),
        }
    }

    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = take_frame(&mut self.buffer, Side::Server, 0.0) {
                return Some(frame);
            }
            let read = self.stream.read_buf(&mut self.buffer).await;
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next frame that is no event.
    async fn reply(&mut self) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.event().is_none() {
                return Some(frame);
            }
        }
    }
}

/// All differences between a recording and the simulator.
pub(crate) async fn differences(recording: &Recording) -> Vec<Difference> {
    let drain = Drain::new();
    let heartbeat = Duration::from_secs(3600);
    let config = SimConfig {
        name: "fs-a".to_owned(),
        heartbeat,
        ..SimConfig::default()
    };
    let sim = Sim::new(config, &drain);
    let mut found = Vec::new();
    let mut listener = Link::new(&sim);
    if let Some(events) = &recording.events {
        for command in events.iter().filter(|frame| frame.side == Side::Client) {
            listener
                .stream
                .write_all(&command.raw)
                .await
                .expect("written");
        }
        for _ in 0..3 {
            listener.reply().await.expect("auth and subscription");
        }
    }
    let gathered = drain.spawn(async move {
        let mut events = Vec::new();
        while let Some(frame) = listener.next().await {
            events.extend(frame.event());
        }
        events
    });
    play(recording, &sim, &mut found).await;
    tokio::time::sleep(AFTERGLOW).await;
    drain.stop();
    let simulated = gathered.await.expect("gathered");
    if let Some(recorded) = &recording.events {
        let recorded: Vec<Event> = recorded.iter().filter_map(Frame::event).collect();
        compare(&recorded, &simulated, &mut found);
    }
    found
}

/// Sends the recorded commands at their recorded times and compares the replies.
async fn play(recording: &Recording, sim: &Sim, found: &mut Vec<Difference>) {
    let began = Instant::now();
    let mut link = Link::new(sim);
    let mut ids = Ids::default();
    let replies: Vec<&Frame> = recording
        .commands
        .iter()
        .filter(|frame| frame.side == Side::Server && frame.event().is_none())
        .collect();
    let mut replies = replies.into_iter();
    let greeting = replies.next().map(form);
    let greeted = link.reply().await.as_ref().map(form);
    assert_eq!(greeting, greeted, "the greeting");
    for command in recording
        .commands
        .iter()
        .filter(|frame| frame.side == Side::Client)
    {
        tokio::time::sleep_until(began + Duration::from_secs_f64(command.at)).await;
        ids.learn(recording, command.at, sim);
        let raw = ids.translate(&command.raw);
        link.stream.write_all(&raw).await.expect("written");
        let recorded = replies.next().map_or("nothing".to_owned(), form);
        let simulated = link
            .reply()
            .await
            .as_ref()
            .map_or("nothing".to_owned(), form);
        if recorded != simulated {
            let command = String::from_utf8_lossy(&command.raw).trim().to_owned();
            found.push(Difference::Reply {
                command,
                recorded,
                simulated,
            });
        }
    }
    for frame in replies {
        let simulated = link
            .reply()
            .await
            .as_ref()
            .map_or("nothing".to_owned(), form);
        let recorded = form(frame);
        if recorded != simulated {
            found.push(Difference::Reply {
                command: "(end)".to_owned(),
                recorded,
                simulated,
            });
        }
    }
}

/// Channels whose uuid FreeSWITCH chose: the n-th of the recording is the n-th of the simulator.
#[derive(Default)]
struct Ids {
    pairs: BTreeMap<String, String>,
}

impl Ids {
    fn learn(&mut self, recording: &Recording, until: f64, sim: &Sim) {
        let Some(events) = &recording.events else {
            return;
        };
        let mut recorded: Vec<(String, String)> = Vec::new();
        let mut gone = BTreeSet::new();

        for frame in events.iter().take_while(|frame| frame.at < until) {
            let Some(event) = frame.event() else { continue };
            match event.get("Event-Name") {
                "CHANNEL_CREATE" => recorded.push((
                    event.get("Unique-ID").to_owned(),
                    event.get("Channel-Name").to_owned(),
                )),
                "CHANNEL_DESTROY" => drop(gone.insert(event.get("Unique-ID").to_owned())),
                _ => {}
            }
        }
        recorded.retain(|(uuid, _)| !gone.contains(uuid));
        let mut simulated = sim.channels();
        for (uuid, name) in recorded {
            let at = simulated.iter().position(|channel| channel.uuid == uuid);
            let at = at.or_else(|| simulated.iter().position(|channel| channel.name == name));
            if let Some(at) = at {
                let channel = simulated.remove(at);
                self.pairs.entry(uuid).or_insert(channel.uuid);
            }
        }
    }

    fn translate(&self, raw: &[u8]) -> Vec<u8> {
        let mut text = String::from_utf8_lossy(raw).into_owned();
        for (recorded, simulated) in &self.pairs {
            text = text.replace(recorded.as_str(), simulated);
        }
        text.into_bytes()
    }
}

/// Content type and form of a reply: what a client tells replies apart by.
fn form(frame: &Frame) -> String {
    let kind = frame.header("Content-Type").unwrap_or("none");
    let body = String::from_utf8_lossy(&frame.body).into_owned();
    let text = match kind {
        "command/reply" => frame.header("Reply-Text").unwrap_or_default().to_owned(),
        _ => body,
    };
    let shape = match text.as_str() {
        "" => "empty".to_owned(),
        text if text.starts_with("+OK") && text.contains("\n-ERR") => "+OK then -ERR".to_owned(),
        text if text.starts_with("+OK:") => "+OK:".to_owned(),
        text if text.starts_with("+OK") => "+OK".to_owned(),
        text if text.starts_with("-ERR") => text.trim_end().to_owned(),
        text if text.starts_with("-USAGE") => "-USAGE".to_owned(),
        text if text.starts_with('{') => {
            let parsed: serde_json::Value = serde_json::from_str(text).expect("JSON");
            let keys = |value: &serde_json::Value| {
                value
                    .as_object()
                    .map(|map| map.keys().cloned().collect::<Vec<_>>())
            };
            match parsed.get("rows").and_then(|rows| rows.get(0)) {
                Some(row) => format!("JSON rows {:?}", keys(row)),
                None if parsed.get("Event-Name").is_some() => "JSON event".to_owned(),
                None => format!("JSON {:?}", keys(&parsed)),
            }
        }
        text if text.starts_with('[') => "JSON array".to_owned(),
        text if ["true", "false", "_undef_"].contains(&text) => text.to_owned(),
        _ => "data".to_owned(),
    };
    format!("{kind} {shape}")
}

/// An event in a channel's sequence.
fn step(event: &Event) -> String {
    let mut step = event
        .get("Event-Name")
        .trim_start_matches("CHANNEL_")
        .to_owned();
    for name in ["Event-Subclass", "Application"] {
        if !event.get(name).is_empty() {
            step += &format!("({})", event.get(name));
        }
    }
    step += &format!(
        " {} {}",
        event.get("Channel-State").trim_start_matches("CS_"),
        event.get("Channel-Call-State")
    );
    step
}

/// The events of each channel, in the order in which the channels appeared.
fn by_channel(events: &[Event]) -> Vec<(String, Vec<&Event>)> {
    let mut order: Vec<(String, Vec<&Event>)> = Vec::new();
    let mut renamed = BTreeMap::new();
    for event in events {
        if event.get("Event-Name") == "CHANNEL_UUID" {
            renamed.insert(event.get("Old-Unique-ID"), event.get("Unique-ID"));
        }
    }
    for event in events {
        let uuid = event.get("Unique-ID");
        if uuid.is_empty() {
            continue;
        }
        let uuid = renamed.get(uuid).copied().unwrap_or(uuid);
        match order.iter_mut().find(|(known, _)| known == uuid) {
            Some((_, list)) => list.push(event),
            None => order.push((uuid.to_owned(), vec![event])),
        }
    }
    // A channel that began before the recording did belongs to another flow.
    let begins =
        |events: &[&Event]| ["CS_NONE", "CS_NEW"].contains(&events[0].get("Channel-State"));
    order.retain(|(_, events)| begins(events));
    order
}

fn compare(recorded: &[Event], simulated: &[Event], found: &mut Vec<Difference>) {
    let (recorded, simulated) = (by_channel(recorded), by_channel(simulated));
    if recorded.len() != simulated.len() {
        let names = |list: &[(String, Vec<&Event>)]| {
            list.iter()
                .map(|(_, events)| events[0].get("Channel-Name").to_owned())
                .collect()
        };
        let (recorded, simulated) = (names(&recorded), names(&simulated));
        return found.push(Difference::Sequence {
            channel: "channels".to_owned(),
            recorded,
            simulated,
        });
    }
    for (index, ((uuid, recorded), (other, simulated))) in
        recorded.iter().zip(&simulated).enumerate()
    {
        let name = recorded
            .iter()
            .map(|event| event.get("Channel-Name"))
            .find(|name| !name.is_empty());
        let channel = format!("channel {index} {}", name.unwrap_or_default());
        let _ = (uuid, other);
        let steps = |events: &[&Event]| events.iter().map(|event| step(event)).collect::<Vec<_>>();
        let (want, got) = (steps(recorded), steps(simulated));
        if want != got {
            found.push(Difference::Sequence {
                channel: channel.clone(),
                recorded: want,
                simulated: got,
            });
        }
        for (want, got) in recorded.iter().zip(simulated) {
            if step(want) != step(got) {
                break;
            }
            let names = |event: &Event| -> BTreeSet<String> {
                event.headers.iter().map(|(name, _)| name.clone()).collect()
            };
            let (wanted, gotten) = (names(want), names(got));
            let missing: Vec<_> = wanted.difference(&gotten).cloned().collect();
            let surplus: Vec<_> = gotten.difference(&wanted).cloned().collect();
            if !missing.is_empty() || !surplus.is_empty() {
                let event = step(want);
                found.push(Difference::Headers {
                    channel: channel.clone(),
                    event,
                    missing,
                    surplus,
                });
            }
        }
    }
}
