//! Recorded legs of calls, played again and again, each time as another leg of another node.

#![allow(dead_code, reason = "each benchmark uses its part")]

use anyhow::{Result, ensure};

use crate::corpus::{Corpus, find, header};
use crate::wire_node::add_frame;

/// The form of a UUID.
const DASHES: [usize; 4] = [8, 13, 18, 23];
const UUID_LENGTH: usize = 36;
/// Digits at the begin of each UUID that are put in anew.
const DIGITS: usize = 8;

/// Legs that were recorded from their first event to their last.
#[derive(Debug)]
pub(crate) struct Legs {
    legs: Vec<Vec<Template>>,
}

/// An event, and where its UUIDs begin: that of FreeSWITCH, and those of legs and calls.
#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    core: usize,
    others: Vec<usize>,
}

/// Legs of one node that go on side by side, an event of each in turn.
#[derive(Debug)]
pub(crate) struct Player {
    node: u32,
    /// Which leg, its next event, and what it is called.
    under_way: Vec<(usize, usize, u32)>,
    turn: usize,
    /// Legs that have begun, and those that have ended.
    pub(crate) begun: u32,
    pub(crate) ended: u32,
    /// No leg begins when so many have.
    pub(crate) limit: u32,
}

/// `Core-UUID` of a node, as its events have it.
pub(crate) fn core_uuid(node: u32) -> String {
    format!("{node:08x}-5686-4ae7-ba0a-99ece64a63e0")
}

// === impl Legs ===

impl Legs {
    /// Those whose events have one of these names; all events if none is given.
    pub(crate) fn new(corpus: &Corpus, names: &[&str]) -> Result<Self> {
        let mut ids: Vec<&str> = Vec::new();
        for event in &corpus.events {
            if header(event, "Event-Name") == Some("CHANNEL_CREATE") {
                ids.extend(header(event, "Unique-ID"));
            }
        }
        let is_wanted = |event: &&Vec<u8>| {
            names.is_empty()
                || header(event, "Event-Name").is_some_and(|name| names.contains(&name))
        };
        let mut legs = Vec::new();
        for id in ids {
            let of_leg = corpus
                .events
                .iter()
                .filter(|event| header(event, "Unique-ID") == Some(id));
            let events: Vec<_> = of_leg.filter(is_wanted).collect();
            // Its beginning is in the recording, or its id would not be known.
            let is_end = |event: &&Vec<u8>| header(event, "Event-Name") == Some("CHANNEL_DESTROY");
            if events.iter().any(is_end) {
                legs.push(
                    events
                        .into_iter()
                        .map(|event| Template::new(event))
                        .collect::<Result<_>>()?,
                );
            }
        }
        ensure!(!legs.is_empty(), "the recording has no whole leg");
        Ok(Self { legs })
    }

    pub(crate) fn events_of_a_leg(&self) -> f64 {
        let events: usize = self.legs.iter().map(Vec::len).sum();
        events as f64 / self.legs.len() as f64
    }

    pub(crate) fn bytes_of_an_event(&self) -> f64 {
        let (mut events, mut bytes) = (0, 0);
        for template in self.legs.iter().flatten() {
            events += 1;
            bytes += template.bytes.len();
        }
        bytes as f64 / f64::from(events)
    }
}

// === impl Template ===

impl Template {
    fn new(event: &[u8]) -> Result<Self> {
        let mut others = Vec::new();
        let core = find(event, b"Core-UUID: ").map_or(0, |at| at + 11);
        ensure!(core > 0, "an event of no FreeSWITCH");
        let mut at = 0;
        while at + UUID_LENGTH <= event.len() {
            if is_uuid(&event[at..at + UUID_LENGTH]) {
                if at != core {
                    others.push(at);
                }
                at += UUID_LENGTH;
            } else {
                at += 1;
            }
        }
        Ok(Self {
            bytes: event.to_vec(),
            core,
            others,
        })
    }
}

// === impl Player ===

impl Player {
    pub(crate) fn new(node: u32, at_once: usize, limit: u32) -> Self {
        Self {
            node,
            under_way: vec![(0, usize::MAX, 0); at_once],
            turn: 0,
            begun: 0,
            ended: 0,
            limit,
        }
    }

    /// Adds the next event; says whether there was one.
    pub(crate) fn next(&mut self, legs: &Legs, out: &mut Vec<u8>) -> bool {
        while !self.under_way.is_empty() {
            let count = self.under_way.len();
            self.turn = (self.turn + 1) % count;
            let place = &mut self.under_way[self.turn];
            if place.1 >= legs.legs[place.0].len() {
                self.ended += u32::from(place.1 != usize::MAX);
                if self.begun == self.limit {
                    self.under_way.swap_remove(self.turn);
                    continue;
                }
                self.begun += 1;
                *place = (self.begun as usize % legs.legs.len(), 0, self.begun);
            }
            let (leg, event, name) = *place;
            place.1 += 1;
            let template = &legs.legs[leg][event];
            add_frame(out, &template.bytes);
            let begin = out.len() - template.bytes.len();
            put(out, begin + template.core, self.node);
            // Nodes do not share legs.
            let name = (self.node << 24) ^ name;
            for at in &template.others {
                put(out, begin + at, name);
            }
            return true;
        }
        false
    }
}

fn put(out: &mut [u8], at: usize, number: u32) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (digit, byte) in out[at..at + DIGITS].iter_mut().enumerate() {
        *byte = HEX[(number >> (28 - 4 * digit)) as usize & 15];
    }
}

fn is_uuid(text: &[u8]) -> bool {
    text.iter()
        .enumerate()
        .all(|(at, byte)| match DASHES.contains(&at) {
            true => *byte == b'-',
            false => byte.is_ascii_hexdigit(),
        })
}
