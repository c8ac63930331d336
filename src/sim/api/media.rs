//! Apis that play, record, mute and send digits.

use super::super::apps::media;
use super::super::bypass;
use super::super::channel::Message;
use super::super::core::World;
use super::super::names::EventKind;
use super::super::quoting;

const NO_CHANNEL: &str = "-ERR No such channel!\n";

/// Runs an api of this family; `None` when it is none of them.
pub(super) fn run(world: &mut World, name: &str, arguments: &str) -> Option<String> {
    let (uuid, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
    let known = world.channels.contains_key(uuid);
    let words: Vec<&str> = rest.split_whitespace().collect();
    Some(match name {
        "uuid_broadcast" => broadcast(world, uuid, rest),
        "uuid_break" if known => {
            let channel = world.channels.get_mut(uuid);
            if let Some(channel) = channel {
                channel.breaks += 1;
                channel.stops_loop = true;
                if words.first() == Some(&"all") {
                    channel.inbox.clear();
                }
                channel.wake.notify_one();
            }
            "+OK\n".to_owned()
        }
        "uuid_record" if known => record(world, uuid, rest),
        "uuid_buglist" => buglist(world, uuid),
        "uuid_audio" if known => audio(world, uuid, &words),
        "uuid_displace" if known => displace(world, uuid, &words),
        "uuid_fileman" if known => match media::file_manage(world, uuid, rest.trim()) {
            true => "+OK\n".to_owned(),
            false => "-ERR No file handle!\n".to_owned(),
        },
        "uuid_send_dtmf" if known => {
            media::send_digits(world, uuid, rest);
            format!("+OK {uuid} sent DTMF {rest}.\n")
        }
        "uuid_recv_dtmf" if known => {
            media::receive_digits(
                world,
                uuid,
                rest.split('@').next().unwrap_or_default(),
                "APP",
            );
            format!("+OK {uuid} received DTMF {rest}.\n")
        }
        "uuid_media" | "uuid_media_3p" => {
            let done = match uuid {
                "off" => bypass::begin(world, rest.trim()),
                _ => bypass::end(world, uuid),
            };
            if done {
                "+OK Success\n".to_owned()
            } else {
                "-ERR Operation failed\n".to_owned()
            }
        }
        "uuid_break" | "uuid_audio" | "uuid_displace" | "uuid_fileman" | "uuid_send_dtmf"
        | "uuid_recv_dtmf" => NO_CHANNEL.to_owned(),
        "uuid_record" => "-ERR Cannot locate session!\n".to_owned(),
        _ => return None,
    })
}

/// `uuid_record <uuid> start|stop|mask|unmask <path> [<limit>] [{<variables>}]`, or `stop all`.
fn record(world: &mut World, uuid: &str, rest: &str) -> String {
    let words = quoting::separate(rest, ' ', 4);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let has = |world: &World, path: &str| {
        let channel = world.channels.get(uuid);
        channel.is_some_and(|channel| {
            let mut bugs = channel.bugs.iter();
            bugs.any(|(kind, target)| *kind == "session_record" && target == path)
        })
    };
    let done = match words.as_slice() {
        ["start", path, rest @ ..] => media::record(world, uuid, path, rest.first().unwrap_or(&"")),
        ["stop", path, ..] => media::stop_record(world, uuid, path),
        ["mask" | "unmask" | "pause" | "resume", path, ..] => has(world, path),
        _ => {
            return "-USAGE: <uuid> [start|stop|mask|unmask] <path> [<limit>] [<recording_vars>]\n"
                .to_owned();
        }
    };
    let what = match words.first() {
        _ if done => return "+OK Success\n".to_owned(),
        Some(&"start") => "record",
        Some(&"stop") => "stop record",
        Some(&"mask") => "mask recording",
        Some(&"unmask") => "unmask recording",
        Some(&"pause") => "pause recording",
        _ => "resume recording",
    };
    format!("-ERR Cannot {what} session!\n")
}

/// `uuid_buglist <uuid>` (`switch_core_media_bug_enumerate` in `switch_core_media_bug.c`).
fn buglist(world: &World, uuid: &str) -> String {
    let Some(channel) = world.channels.get(uuid) else {
        return String::new();
    };
    let bugs = channel.bugs.iter().map(|(function, target)| {
        format!(
            " <media-bug>\n  <function>{function}</function>\n  <target>{target}</target>\n  \
             <thread-locked>0</thread-locked>\n </media-bug>\n"
        )
    });
    format!("<media-bugs>\n{}</media-bugs>\n", bugs.collect::<String>())
}

/// `uuid_broadcast <uuid> <app>::<argument>|<path> [aleg|bleg|holdb|both]`.
fn broadcast(world: &mut World, uuid: &str, rest: &str) -> String {
    if !world.channels.contains_key(uuid) {
        return "-ERR No such channel\n".to_owned();
    }
    let words = quoting::separate(rest, ' ', 3);
    let word = |index: usize| words.get(index).map(String::as_str);
    let (what, legs) = (word(0).unwrap_or_default(), word(1).unwrap_or("aleg"));
    let (app, argument) = what.split_once("::").unwrap_or(("playback", what));
    let partner = world
        .channels
        .get(uuid)
        .and_then(|channel| channel.partner.clone());
    let own = (legs != "bleg").then(|| uuid.to_owned());
    let other = partner.filter(|_| legs == "bleg" || legs == "both");
    for leg in own.into_iter().chain(other) {
        if let Some(channel) = world.channels.get_mut(&leg) {
            channel
                .inbox
                .push_back(Message::Execute(app.to_owned(), argument.to_owned()));
            channel.wake.notify_one();
        }
    }
    "+OK Message sent\n".to_owned()
}

/// `uuid_audio <uuid> start read|write mute|level <value>`, `uuid_audio <uuid> stop`.
fn audio(world: &mut World, uuid: &str, words: &[&str]) -> String {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return NO_CHANNEL.to_owned();
    };
    match words {
        // One bug serves both directions.
        ["start", "read" | "write", "mute" | "level", _, ..]
            if channel.bugs.iter().any(|(kind, _)| *kind == "audio") => {}
        ["start", "read" | "write", what @ ("mute" | "level"), _, ..] => {
            channel.bugs.push(("audio", (*what).to_owned()));
            media::bug(world, uuid, EventKind::MediaBugStart, "audio", what);
        }
        ["stop", ..] => {
            let found = channel.bugs.iter().position(|(kind, _)| *kind == "audio");
            if let Some(at) = found {
                let (_, what) = channel.bugs.remove(at);
                media::bug(world, uuid, EventKind::MediaBugStop, "audio", &what);
            }
        }
        _ => return "-USAGE: <uuid> [start [read|write] [mute|level <level>]|stop]\n".to_owned(),
    }
    "+OK\n".to_owned()
}

/// `uuid_displace <uuid> start|stop <path> [<limit>] [mux]`.
fn displace(world: &mut World, uuid: &str, words: &[&str]) -> String {
    match words {
        ["start", path, ..] => {
            media::displace(world, uuid, path);
            "+OK Success\n".to_owned()
        }
        ["stop", path, ..] if media::stop_displace(world, uuid, path) => "+OK Success\n".to_owned(),
        ["stop", ..] => "-ERR Cannot stop displace session!\n".to_owned(),
        _ => "-USAGE: <uuid> [start|stop] <path> [<limit>] [mux]\n".to_owned(),
    }
}
