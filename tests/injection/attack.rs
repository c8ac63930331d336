//! Hostile strings in each text field of an RPC, and what a simulated node makes of them.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{DynamicMessage, MethodDescriptor};
use switchgate::sim::{ChannelView, Sim};
use tonic::{Code, Status};

use super::corpus::CANARY;
use super::requests::{Subject, ask};
use super::slots::{self, Slot};
use super::wire::Shape;
use crate::callers::{VARIABLE, value, with_tenants};
use crate::seeds::house::House;

/// A word that hardly any field would refuse.
const HARMLESS: &str = "switchgate_test";

/// Fields in which a client names what is run, or a header, and what a harmless request names.
const NAMING: [(&str, &str); 5] = [
    ("RunApi command", "status"),
    ("RunJob command", "status"),
    ("StartJob command", "status"),
    ("Execute application", "sleep"),
    ("PublishEvent headers (key)", HARMLESS),
];

/// Requests about one leg: an application that is executed while another one runs nests, also in
/// FreeSWITCH.
const MOST_USES: usize = 20;

/// What the gateway asks by itself: of a link that is silent, and when sessions seem to be missing.
const PROBES: [&[u8]; 3] = [
    b"noevents\n\n",
    b"event plain HEARTBEAT\n\n",
    b"api show channels as json\n\n",
];

/// Wrongs of one field that are told: the others would be the same.
const MOST_WRONGS: usize = 5;

/// What is tried, and as whom.
#[derive(Debug)]
pub(super) struct Attack {
    /// One of `callers`; `None` is an administrator.
    pub(super) caller: Option<&'static str>,
    pub(super) corpus: Vec<String>,
    /// The application of requests that name one; `None` is one that does nothing.
    pub(super) application: Option<&'static str>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) asked: usize,
    /// Requests after which something was received.
    pub(super) sent: usize,
    /// Commands that were received.
    pub(super) commands: usize,
    /// Those of `sent` by field.
    pub(super) fields: BTreeMap<String, usize>,
    pub(super) wrongs: Vec<String>,
}

/// What harmless requests of an RPC make.
struct Usual {
    shapes: BTreeSet<Shape>,
    /// The most commands of one request.
    most: usize,
}

// === impl Tally ===

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.sent += other.sent;
        self.commands += other.commands;
        self.fields.extend(other.fields);
        self.wrongs.extend(other.wrongs);
    }

    /// Names the application in each field's name.
    pub(super) fn rename(&mut self, application: &str) {
        let fields = std::mem::take(&mut self.fields).into_iter();
        let renamed = fields.map(|(field, sent)| (format!("{field} of {application}"), sent));
        self.fields = renamed.collect();
    }

    pub(super) fn tell(&self) {
        for (field, sent) in &self.fields {
            println!("{field}: {sent}");
        }
        println!(
            "{} requests in {} fields, {} of them reached a node, as {} commands",
            self.asked,
            self.fields.len(),
            self.sent,
            self.commands
        );
    }
}

// === impl Usual ===

impl Usual {
    async fn of(attack: &Attack, house: &House, method: &MethodDescriptor, slots: &[Slot]) -> Self {
        let (sim, places) = (&house.sims[0], attack.places());
        let mut shapes: BTreeSet<_> = PROBES.iter().map(|probe| Shape::of(probe)).collect();
        let mut most = 0;
        let filled = slots
            .iter()
            .flat_map(|slot| [(slot, HARMLESS), (slot, "")])
            .map(Some);
        for filled in std::iter::once(None).chain(filled) {
            let subject = Subject::of(house, method.name(), places).await;
            let request = attack.request(&subject, method, filled);
            sim.take_commands();
            let _ = ask(house, method, request).await;
            let received = sim.take_commands();
            most = most.max(asked_for(&received));
            shapes.extend(received.iter().map(|raw| Shape::of(raw)));
        }
        Self { shapes, most }
    }
}

// === impl Attack ===

impl Attack {
    /// The corpus through each text field of one RPC.
    pub(super) async fn on(&self, method: &MethodDescriptor) -> Tally {
        self.on_those(method, |_| true).await
    }

    /// The same for fields by their names.
    pub(super) async fn on_those(
        &self,
        method: &MethodDescriptor,
        is_meant: impl Fn(&str) -> bool,
    ) -> Tally {
        let mut house = match self.caller {
            None => House::open(1).await,
            Some(_) => House::tuned(1, with_tenants).await,
        };
        house.control.fleet.any_ready().await;
        let anyone = house.server.clone();
        if self.caller.is_some() {
            house.server = anyone.asked_by("other");
        }
        // Somebody else's, with its far end.
        Subject::of(&house, "", self.caller.is_some()).await;
        let others = house.sims[0].channels();
        if let Some(caller) = self.caller {
            house.server = anyone.asked_by(caller);
        }
        let mut slots = Slot::all(&method.input());
        slots.retain(|slot| is_meant(&slot.name()));
        let usual = Usual::of(self, &house, method, &slots).await;
        let mut tally = Tally::default();
        for slot in &slots {
            self.through(&house, method, slot, &usual, &others, &mut tally)
                .await;
        }
        house.close().await;
        tally
    }

    /// Whether sessions have to be the caller's own.
    fn places(&self) -> bool {
        self.caller.is_some_and(is_tenant)
    }

    fn request(
        &self,
        subject: &Subject,
        method: &MethodDescriptor,
        filled: Option<(&Slot, &str)>,
    ) -> DynamicMessage {
        let mut request = subject.request(&method.input());
        if let Some((slot, text)) = filled {
            slot.put(&mut request, text);
        }
        let is_name = |slot: &Slot| {
            slot.name().starts_with("application") && !slot.name().ends_with("arguments")
        };
        if let Some(name) = self.application
            && !filled.is_some_and(|(slot, _)| is_name(slot))
        {
            slots::run(&mut request, name);
        }
        request
    }

    /// The corpus through one field.
    async fn through(
        &self,
        house: &House,
        method: &MethodDescriptor,
        slot: &Slot,
        usual: &Usual,
        others: &[ChannelView],
        tally: &mut Tally,
    ) {
        let (rpc, sim, places) = (method.name(), &house.sims[0], self.places());
        let place = format!("{rpc} {}", slot.name());
        let mut subject = Subject::of(house, rpc, places).await;
        let (mut used, mut sent, mut wrongs) = (0, 0, Vec::new());
        for text in &self.corpus {
            sim.take_commands();
            let request = self.request(&subject, method, Some((slot, text)));
            let outcome = ask(house, method, request).await;
            let received = sim.take_commands();
            tally.asked += 1;
            tally.commands += received.len();
            let mut wrong = |what: String| {
                let text: String = text.chars().take(100).collect();
                wrongs.push(format!("{place} = {text:?}: {what}"));
            };
            if let Err(status) = &outcome
                && matches!(status.code(), Code::Internal | Code::Unknown)
            {
                wrong(format!("{status:?}"));
            }
            for raw in &received {
                let mut shape = Shape::of(raw);
                if let Some((_, harmless)) = NAMING.iter().find(|(field, _)| *field == place) {
                    shape = shape.with(harmless, text);
                }
                if !usual.shapes.contains(&shape) {
                    wrong(format!("{shape:?}: {:?}", String::from_utf8_lossy(raw)));
                }
            }
            if asked_for(&received) > usual.most {
                wrong(format!("{} commands", received.len()));
            }
            if received.is_empty() {
                continue;
            }
            sent += 1;
            used += 1;
            let channels = sim.channels();
            for what in self.harm(&channels, others, &subject.session) {
                wrong(what);
                // It would be seen again and again.
                used = MOST_USES;
            }
            // Others than the usual one may be done before one can look.
            let place = match self.application {
                None => &*place,
                Some(_) => "",
            };
            let arrived = arrived(place, text, &outcome, &channels, &subject.session, others);
            if let Err(what) = arrived {
                wrong(what);
            }
            if used == MOST_USES
                || !channels
                    .iter()
                    .any(|channel| channel.uuid == subject.session)
            {
                used = 0;
                clear(sim, others);
                subject = Subject::of(house, rpc, places).await;
            }
        }
        clear(sim, others);
        tally.sent += sent;
        tally.fields.insert(place, sent);
        wrongs.truncate(MOST_WRONGS);
        tally.wrongs.extend(wrongs);
    }

    /// What a client's string has done that none may do.
    fn harm(&self, channels: &[ChannelView], others: &[ChannelView], subject: &str) -> Vec<String> {
        let mut harm = Vec::new();
        for other in others {
            if !channels.contains(other) {
                harm.push("somebody else's call is not what it was".to_owned());
            }
        }
        for channel in channels.iter().filter(|channel| !is_among(channel, others)) {
            if variable(channel, CANARY).is_some() {
                harm.push("a variable was injected".to_owned());
            }
            let Some(caller) = self.caller.filter(|caller| is_tenant(caller)) else {
                continue;
            };
            // A leg that arrives is nobody's: its dialplan says nothing.
            let whose = variable(channel, VARIABLE);
            if whose != Some(&*value(caller)) && (whose.is_some() || channel.uuid == subject) {
                harm.push(format!("a session was made one of {whose:?}"));
            }
        }
        harm
    }
}

fn is_tenant(caller: &str) -> bool {
    matches!(caller, "acme" | "other")
}

/// Commands without those that a link asks by itself.
fn asked_for(received: &[Vec<u8>]) -> usize {
    let is_probe = |raw: &Vec<u8>| PROBES.contains(&&**raw);
    received.iter().filter(|raw| !is_probe(raw)).count()
}

fn is_among(channel: &ChannelView, others: &[ChannelView]) -> bool {
    others.iter().any(|other| other.uuid == channel.uuid)
}

fn variable<'a>(channel: &'a ChannelView, name: &str) -> Option<&'a str> {
    let is_it = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
    let found = channel.variables.iter().find(is_it);
    found.map(|(_, value)| value.as_str())
}

/// Whether an accepted string is where it belongs, character for character.
fn arrived(
    place: &str,
    text: &str,
    outcome: &Result<(), Status>,
    channels: &[ChannelView],
    subject: &str,
    others: &[ChannelView],
) -> Result<(), String> {
    if outcome.is_err() {
        return Ok(());
    }
    let (of_subject, name) = match place {
        "SetVariables variables" => (true, HARMLESS),
        "Originate variables" => (false, HARMLESS),
        "Execute arguments" => (true, "current_application_data"),
        "Originate application.arguments" => (false, "current_application_data"),
        _ => return Ok(()),
    };
    let mut holders = channels
        .iter()
        .filter(|channel| (channel.uuid == subject) == of_subject && !is_among(channel, others));
    let held = |channel: &ChannelView| variable(channel, name).unwrap_or_default() == text;
    match holders.any(held) {
        true => Ok(()),
        false => {
            let held: Vec<_> = channels
                .iter()
                .filter_map(|channel| variable(channel, name))
                .collect();
            Err(format!("not among {name} of all channels: {held:?}"))
        }
    }
}

/// Ends all calls but those of others.
fn clear(sim: &Sim, others: &[ChannelView]) {
    for channel in sim.channels() {
        if !is_among(&channel, others) {
            sim.hang_up(&channel.uuid);
        }
    }
}
