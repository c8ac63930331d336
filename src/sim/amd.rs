//! `mod_avmd`, which finds the beep of an answering machine. Not loaded until `load mod_avmd`.

use std::time::Duration;

use super::channel::Channel;
use super::core::World;
use super::event::Event;
use super::names::EventKind;
use super::{apps, tables};
use crate::domain::Direction;

/// Its name.
pub(super) const MODULE: &str = "mod_avmd";

/// Its applications: name, description, syntax and module.
const APPLICATIONS: [[&str; 4]; 3] = [
    [
        "avmd",
        "Beep detection",
        "<uuid> < start | stop | set [inbound|outbound|default] | load [inbound|outbound] | reload | show >",
        MODULE,
    ],
    ["avmd_start", "Start avmd detection", "", MODULE],
    ["avmd_stop", "Stop avmd detection", "", MODULE],
];

/// Options that are numbers, with the largest (`avmd_parse_cmd_data_one_entry` in `mod_avmd.c`).
const NUMBERS: [(&str, u32); 6] = [
    ("sample_n_continuous_streak", 65535),
    ("sample_n_to_skip", 65535),
    ("sample_n_continuous_streak_amp", 65535),
    ("detection_mode", 2),
    ("detectors_n", 255),
    ("detectors_lagged_n", 255),
];

/// Options that are switches.
const SWITCHES: [&str; 8] = [
    "debug",
    "report_status",
    "fast_math",
    "require_continuous_streak",
    "require_continuous_streak_amp",
    "simplified_estimation",
    "inbound_channel",
    "outbound_channel",
];

/// After how much of a tone a beep is told, as seen.
const BEEP_AFTER: Duration = Duration::from_millis(100);

/// A leg that is listened to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listening {
    /// Since when, in microseconds.
    since: u64,
    /// Whether a beep was heard; no second one is told.
    heard: bool,
}

// === impl World ===

impl World {
    /// Every application that can be executed now.
    pub(super) fn applications(&self) -> impl Iterator<Item = [&'static str; 4]> {
        let loaded = APPLICATIONS.into_iter().filter(|_| self.has_avmd);
        tables::applications().chain(loaded)
    }

    /// Whether an application of this name can be executed now.
    pub(super) fn has_application(&self, name: &str) -> bool {
        let is_ours = APPLICATIONS.iter().any(|[known, ..]| *known == name);
        tables::is_application(name) || (self.has_avmd && is_ours)
    }

    /// Loads or unloads the module; `MODULE_LOAD` or `MODULE_UNLOAD` tells of each application.
    pub(super) fn set_avmd(&mut self, loaded: bool) {
        self.has_avmd = loaded;
        let kind = match loaded {
            true => EventKind::ModuleLoad,
            false => EventKind::ModuleUnload,
        };
        for [name, description, syntax, key] in APPLICATIONS {
            let mut event = Event::new(kind).with("type", "application");
            event.add("name", name);
            event.add("description", description);
            event.add_some("syntax", syntax);
            if loaded {
                event.add("key", key);
                event.add("filename", "/usr/lib/freeswitch/mod/mod_avmd.so");
            }
            self.fire(event);
        }
    }
}

/// `avmd_start [<option>=<value>,...]`; without an effect when an option is wrong, or the leg's
/// direction is not to be listened to.
pub(super) fn start(world: &mut World, uuid: &str, argument: &str) {
    let since = world.now();
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    let is_startable = channel.amd.is_none() && channel.codec.is_some();
    if !is_startable || listens_to(argument, channel.direction) != Some(true) {
        return;
    }
    channel.amd = Some(Listening {
        since,
        heard: false,
    });
    channel.bugs.push(("avmd", "N/A".to_owned()));
    apps::media::bug(world, uuid, EventKind::MediaBugStart, "avmd", "N/A");
    tell(
        world,
        uuid,
        "avmd::start",
        &[("Start-time", since.to_string())],
    );
}

/// `avmd_stop`.
pub(super) fn stop(world: &mut World, uuid: &str) {
    let now = world.now();
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    let Some(listening) = channel.amd.take() else {
        return;
    };
    channel.bugs.retain(|(function, _)| *function != "avmd");
    let status = match listening.heard {
        true => "DETECTED",
        false => "NOTDETECTED",
    };
    let headers = [
        ("Beep-Status", status.to_owned()),
        (
            "Total-time",
            now.saturating_sub(listening.since).to_string(),
        ),
    ];
    tell(world, uuid, "avmd::stop", &headers);
    apps::media::bug(world, uuid, EventKind::MediaBugStop, "avmd", "N/A");
}

/// A file is played on a leg: whoever listens to it, here or at its far end, may hear a beep.
pub(super) fn played(world: &mut World, uuid: &str, file: &str) {
    if !file.starts_with("tone_stream://") {
        return;
    }
    let far = |channel: &Channel| channel.far.clone();
    let far = world.channels.get(uuid).and_then(far);
    // An inbound leg is listened to in what it is sent, an outbound one in what it says.
    let ears = [(uuid.to_owned(), Direction::Inbound)].into_iter();
    let ears: Vec<_> = ears
        .chain(far.map(|far| (far, Direction::Outbound)))
        .collect();
    for (ear, direction) in ears {
        let channel = world.channels.get(&ear);
        if channel.is_some_and(|one| one.direction == direction && one.amd.is_some()) {
            world.later(BEEP_AFTER, move |world| heard(world, &ear));
        }
    }
}

fn heard(world: &mut World, uuid: &str) {
    let channel = world.channels.get_mut(uuid);
    let Some(amd) = channel.and_then(|channel| channel.amd.as_mut()) else {
        return;
    };
    if std::mem::replace(&mut amd.heard, true) {
        return;
    }
    let headers = [
        ("Beep-Status", "DETECTED"),
        ("Frequency", "792.038613"),
        ("Frequency-variance", "0.000003"),
        ("Amplitude", "14601.851608"),
        ("Amplitude-variance", "29316.849006"),
        ("Detection-time", "2559999"),
        ("Detector-resolution", "3"),
        ("Detector-offset", "2"),
        ("Detector-index", "5"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    tell(world, uuid, "avmd::beep", &headers);
}

/// Fires the event, and puts it into the leg's own queue, out of which a parked leg fires it again
/// with its headers (`avmd_fire_event` in `mod_avmd.c`, `switch_ivr_park` in `switch_ivr.c`).
fn tell(world: &mut World, uuid: &str, subclass: &str, headers: &[(&'static str, String)]) {
    let event = || {
        let mut event = Event::custom(subclass);
        event.add("Unique-ID", uuid);
        event.add("Call-command", "avmd");
        for (name, value) in headers {
            event.add(*name, value.as_str());
        }
        event
    };
    world.fire(event());
    let Some(channel) = world.channels.get(uuid) else {
        return;
    };
    let mut running = channel.stack.iter().rev();
    let is_parked = running
        .find(|running| !running.name.starts_with("avmd"))
        .is_some_and(|running| running.name == "park");
    if is_parked {
        let mut again = Event::custom(subclass);
        channel.write(&mut again, world.verbose);
        again.headers.extend(event().headers.into_iter().skip(1));
        world.fire(again);
    }
}

/// Whether these options have a leg of this direction listened to; `None` when one is wrong.
fn listens_to(options: &str, direction: Direction) -> Option<bool> {
    let (mut inbound, mut outbound) = (false, true);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=')?;
        if let Some((_, most)) = NUMBERS.iter().find(|(known, _)| *known == name) {
            value.parse().ok().filter(|number: &u32| number <= most)?;
        } else if SWITCHES.contains(&name) {
            let on = ["1", "true", "yes", "on"].contains(&value);
            match name {
                "inbound_channel" => inbound = on,
                "outbound_channel" => outbound = on,
                _ => {}
            }
        } else {
            return None;
        }
    }
    Some(match direction {
        Direction::Inbound => inbound,
        Direction::Outbound => outbound,
    })
}
