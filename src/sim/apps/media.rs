//! Applications that play, record and collect digits; no sound is made, only the events are.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::amd;
use super::super::channel::{Channel, Digit, Endpoint, Play};
use super::super::core::{Core, World};
use super::super::names::EventKind;
use super::{Wait, Woken};

/// The least time in milliseconds that a digit is waited for, as recorded.
const LEAST_DIGIT_WAIT: u64 = 1000;

/// How much earlier than its limit a recording ends, as recorded.
const RECORD_SLACK: Duration = Duration::from_millis(220);

/// How long a displacement of a short file lasts, as recorded.
const DISPLACE_LASTS: Duration = Duration::from_millis(45);

/// How long a file on disk plays; nothing is read.
const FILE_LASTS: Duration = Duration::from_millis(760);

/// Plays one file or several (`switch_ivr_play_file` in `switch_ivr_play_say.c`).
pub(super) async fn playback(core: &Arc<Core>, uuid: &str, argument: &str, endless: bool) {
    let delimiter = {
        let world = core.world();
        let channel = world.channels.get(uuid);
        channel.and_then(|one| {
            one.vars
                .get("playback_delimiter")
                .and_then(|text| text.chars().next())
        })
    };
    // Where the file begins, in samples, stands behind it, and is no part of its name. A tone or
    // a file of one length begins where it begins.
    let argument = match argument.split_once("@@") {
        Some((file, _)) if !endless => file,
        _ => argument,
    };
    let files: Vec<&str> = match delimiter {
        Some(delimiter) => argument.split(delimiter).collect(),
        None => vec![argument],
    };
    let mut response = "FILE PLAYED";
    'all: loop {
        for file in &files {
            match play(core, uuid, file).await {
                Played::Done => {}
                Played::Missing => {
                    response = "FILE NOT FOUND";
                    break 'all;
                }
                // A break ends one round of an endless playback, not the whole.
                Played::Broken if endless => {}
                Played::Broken => break 'all,
                Played::Down => {
                    response = "PLAYBACK ERROR";
                    break 'all;
                }
            }
        }
        if !endless {
            break;
        }
    }
    if let Some(channel) = core.world().channels.get_mut(uuid) {
        channel.vars.set("current_application_response", response);
    }
}

enum Played {
    Done,
    Broken,
    Missing,
    Down,
}

async fn play(core: &Arc<Core>, uuid: &str, file: &str) -> Played {
    play_for(core, uuid, file, false).await
}

/// Plays until a digit has come, which is left to be read.
async fn play_until_digit(core: &Arc<Core>, uuid: &str, file: &str) -> Played {
    play_for(core, uuid, file, true).await
}

async fn play_for(core: &Arc<Core>, uuid: &str, file: &str, until_digit: bool) -> Played {
    let Some((kind, span)) = length(file) else {
        return Played::Missing;
    };
    core.world()
        .fire_channel_with(uuid, EventKind::PlaybackStart, |event| {
            event.add_some("Playback-File-Type", kind);
            event.add("Playback-File-Path", file);
        });
    amd::played(&mut core.world(), uuid, file);
    if let Some(channel) = core.world().channels.get_mut(uuid) {
        let ends = Instant::now() + span;
        channel.play = Some(Play {
            ends,
            lasts: span,
            paused_at: None,
        });
    }
    let mut wait = Wait::new(core, uuid);
    wait.playing = true;
    wait.until_digit = until_digit;
    let woken = wait.out().await;
    if let Some(channel) = core.world().channels.get_mut(uuid) {
        channel.play = None;
    }
    let mut world = core.world();
    let Some(channel) = world.channels.get_mut(uuid) else {
        return Played::Down;
    };
    let milliseconds = span.as_millis();
    for (name, value) in [
        ("playback_last_offset_pos", milliseconds * 8),
        ("playback_seconds", milliseconds / 1000),
        ("playback_ms", milliseconds),
        ("playback_samples", milliseconds * 8),
    ] {
        channel.vars.set(name, value.to_string());
    }
    let done = matches!(woken, Woken::Timeout);
    world.fire_channel_with(uuid, EventKind::PlaybackStop, |event| {
        event.add_some("Playback-File-Type", kind);
        event.add("Playback-File-Path", file);
        event.add("Playback-Status", if done { "done" } else { "break" });
    });
    match woken {
        Woken::Timeout => Played::Done,
        Woken::Down | Woken::Moved => Played::Down,
        _ => Played::Broken,
    }
}

/// `uuid_fileman`: moves in the file that plays, or pauses it.
/// Says whether there is one.
pub(in super::super) fn file_manage(world: &mut World, uuid: &str, command: &str) -> bool {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return false;
    };
    let Some(play) = &mut channel.play else {
        return false;
    };
    let (verb, value) = command.split_once(':').unwrap_or((command, ""));
    let now = Instant::now();
    match verb {
        "pause" => match play.paused_at.take() {
            Some(at) => play.ends += now - at,
            None => play.paused_at = Some(now),
        },
        "stop" => play.ends = now,
        "seek" => {
            let span =
                Duration::from_millis(value.trim_start_matches(['+', '-']).parse().unwrap_or(0));
            play.ends = match value.chars().next() {
                Some('-') => play.ends + span,
                Some('+') => play.ends.checked_sub(span).unwrap_or(now),
                _ => (now + play.lasts).checked_sub(span).unwrap_or(now),
            };
        }
        "restart" => play.ends = now + play.lasts,
        _ => {}
    }
    channel.wake.notify_one();
    true
}

/// Kind of a file and how long it plays; `None` when there is no such file. A file on disk is
/// taken to exist when its path is absolute and has no `nonesuch` in it.
///
/// Several files (`file_string://a!b`) are one to everybody outside; those that do not exist are
/// left out (`file_string_file_open` and `next_file` in `mod_dptools.c`).
fn length(file: &str) -> Option<(&'static str, Duration)> {
    if file.starts_with('{') {
        let (_, behind) = super::super::quoting::brackets(file, '{', '}')?;
        return length(behind);
    }
    if let Some(files) = file.strip_prefix("file_string://") {
        let all = files.split('!').filter_map(length);
        return Some(("", all.map(|(_, span)| span).sum()));
    }
    // Media moves in frames of 20 ms; the first is played at once.
    let frames = |milliseconds: u64| {
        Duration::from_millis(match milliseconds % 20 {
            0 => milliseconds.saturating_sub(10),
            _ => milliseconds.next_multiple_of(20),
        })
    };
    if let Some(tones) = file.strip_prefix("tone_stream://") {
        let loops = tones
            .split(';')
            .find_map(|part| {
                part.trim()
                    .strip_prefix("L=")
                    .or(part.trim().strip_prefix("loops="))
            })
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(1);
        let one: u64 = tones
            .split("%(")
            .skip(1)
            .map(|part| {
                part.split([',', ')'])
                    .take(2)
                    .filter_map(|n| n.trim().parse::<u64>().ok())
                    .sum::<u64>()
            })
            .sum();
        return Some(("tone_stream", frames(one * loops)));
    }
    if let Some(rest) = file.strip_prefix("silence_stream://") {
        let milliseconds = rest
            .split(',')
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        return Some(("", Duration::from_millis(milliseconds)));
    }
    (file.starts_with('/') && !file.contains("nonesuch")).then_some(("", FILE_LASTS))
}

/// `play_and_get_digits <min> <max> <tries> <timeout> <terminators> <file> <invalid> <var> <regex>
/// [<digit_timeout>]` (`switch_play_and_get_digits` and `switch_ivr_read` in
/// `switch_ivr_play_say.c`).
pub(super) async fn play_and_get_digits(core: &Arc<Core>, uuid: &str, argument: &str) {
    let parts = super::super::quoting::separate(argument, ' ', 11);
    let part = |index: usize| parts.get(index).map(String::as_str).unwrap_or_default();
    let number = |index: usize| part(index).parse::<u64>().ok();
    let timeout = number(3).unwrap_or(5000).max(LEAST_DIGIT_WAIT);
    let digit_timeout = number(9).filter(|span| *span > 0).unwrap_or(timeout);
    let read = Read {
        min: usize::try_from(number(0).unwrap_or(1)).unwrap_or(usize::MAX),
        max: usize::try_from(number(1).unwrap_or(1)).unwrap_or(usize::MAX),
        timeout: Duration::from_millis(timeout),
        digit_timeout: Duration::from_millis(digit_timeout),
        terminators: if part(4) == "none" { "" } else { part(4) },
        prompt: part(5),
        variable: part(7),
    };
    let (invalid, pattern) = (part(6), part(8));
    let rejected = format!("{}_invalid", read.variable);
    set(core, uuid, &rejected, "");
    for _ in 0..number(2).unwrap_or(1).max(1) {
        let Some((digits, is_enough)) = read.digits(core, uuid).await else {
            return;
        };
        if is_enough && !digits.is_empty() {
            if pattern.is_empty() || super::super::pattern::is_found(pattern, &digits) {
                return;
            }
            set(core, uuid, read.variable, "");
            set(core, uuid, &rejected, &digits);
        }
        if let Played::Down = play(core, uuid, invalid).await {
            return;
        }
    }
}

fn set(core: &Arc<Core>, uuid: &str, name: &str, value: &str) {
    if let Some(channel) = core.world().channels.get_mut(uuid)
        && !name.is_empty()
    {
        channel.vars.set(name, value);
    }
}

/// How digits are read.
struct Read<'a> {
    min: usize,
    max: usize,
    timeout: Duration,
    digit_timeout: Duration,
    terminators: &'a str,
    prompt: &'a str,
    variable: &'a str,
}

// === impl Read ===

impl Read<'_> {
    /// Plays the prompt and reads digits once; the digits and whether they are enough. `None` when
    /// the channel is gone.
    async fn digits(&self, core: &Arc<Core>, uuid: &str) -> Option<(String, bool)> {
        set(core, uuid, "read_result", "");
        set(core, uuid, self.variable, "");
        if let Played::Down = play_until_digit(core, uuid, self.prompt).await {
            return None;
        }
        let mut digits = String::new();
        let mut terminator = None;
        let mut is_late = false;
        while digits.len() < self.max && terminator.is_none() && !is_late {
            let span = match digits.is_empty() {
                true => self.timeout,
                false => self.digit_timeout,
            };
            let mut wait = Wait::new(core, uuid).for_at_most(span);
            wait.digits = true;
            loop {
                match wait.next().await {
                    Woken::Digit(digit) if self.terminators.contains(digit) => {
                        terminator = Some(digit);
                    }
                    Woken::Digit(digit) => digits.push(digit),
                    Woken::Message(message) => {
                        super::perform(core, uuid, message).await;
                        continue;
                    }
                    Woken::Timeout | Woken::Broken => is_late = true,
                    Woken::Down | Woken::Moved => return None,
                }
                break;
            }
        }
        if let Some(terminator) = terminator {
            set(core, uuid, "read_terminator_used", &terminator.to_string());
        }
        let is_enough = digits.len() >= self.min;
        let result = match (is_enough, is_late) {
            (false, _) => "failure",
            (true, true) => "timeout",
            (true, false) => "success",
        };
        set(core, uuid, "read_result", result);
        set(core, uuid, self.variable, &digits);
        Some((digits, is_enough))
    }
}

/// No speech engine is loaded.
pub(super) fn speak(core: &Arc<Core>, uuid: &str) {
    let _ = (core, uuid);
}

/// Begins a recording (`switch_ivr_record_session` in `switch_ivr_async.c`).
pub(in super::super) fn record(world: &mut World, uuid: &str, path: &str, limit: &str) -> bool {
    let path = path.to_owned();
    let Some(channel) = world.channels.get_mut(uuid) else {
        return false;
    };
    // A second recording into the same file succeeds and does nothing.
    let new = ("session_record", path.clone());
    if channel.bugs.contains(&new) {
        return true;
    }
    channel.bugs.push(new);
    world.fire_channel_with(uuid, EventKind::RecordStart, |event| {
        event.add("Record-File-Path", path.as_str());
    });
    bug(
        world,
        uuid,
        EventKind::MediaBugStart,
        "session_record",
        &path,
    );
    if let Some(limit) = limit.parse().ok().filter(|limit| *limit > 0) {
        let uuid = uuid.to_owned();
        world.later(
            Duration::from_secs(limit).saturating_sub(RECORD_SLACK),
            move |world| {
                stop_record(world, &uuid, &path);
            },
        );
    }
    true
}

/// Ends a recording, or `all`.
pub(in super::super) fn stop_record(world: &mut World, uuid: &str, path: &str) -> bool {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return false;
    };
    let is_it = |(kind, target): &(&str, String)| {
        *kind == "session_record" && (path == "all" || target == path)
    };
    let stopped: Vec<_> = channel
        .bugs
        .iter()
        .filter(|bug| is_it(bug))
        .map(|bug| bug.1.clone())
        .collect();
    channel.bugs.retain(|bug| !is_it(bug));
    for path in &stopped {
        if let Some(channel) = world.channels.get_mut(uuid) {
            recorded(channel);
        }
        world.fire_channel_with(uuid, EventKind::RecordStop, |event| {
            event.add("Record-File-Path", path.as_str());
            event.add("Record-Completion-Cause", "success-maxtime");
        });
        bug(world, uuid, EventKind::MediaBugStop, "session_record", path);
    }
    !stopped.is_empty()
}

/// Mixes a file into what a leg hears (`uuid_displace`); it ends by itself with the file.
pub(in super::super) fn displace(world: &mut World, uuid: &str, path: &str) {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    channel.bugs.push(("displace", path.to_owned()));
    bug(world, uuid, EventKind::MediaBugStart, "displace", path);

    let (uuid, path) = (uuid.to_owned(), path.to_owned());
    world.later(DISPLACE_LASTS, move |world| {
        stop_displace(world, &uuid, &path);
    });
}

/// Ends a displacement; says whether there was one.
pub(in super::super) fn stop_displace(world: &mut World, uuid: &str, path: &str) -> bool {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return false;
    };
    let found = channel
        .bugs
        .iter()
        .position(|(kind, target)| *kind == "displace" && target == path);
    let Some(at) = found else { return false };
    channel.bugs.remove(at);
    bug(world, uuid, EventKind::MediaBugStop, "displace", path);
    true
}

fn recorded(channel: &mut Channel) {
    for (name, value) in [
        ("record_file_size", "5804"),
        ("record_samples", "2880"),
        ("record_seconds", "0"),
        ("record_ms", "360"),
        ("record_completion_cause", "success-maxtime"),
    ] {
        channel.vars.set(name, value);
    }
}

/// `MEDIA_BUG_START` or `_STOP`.
pub(in super::super) fn bug(
    world: &mut World,
    uuid: &str,
    kind: EventKind,
    function: &str,
    target: &str,
) {
    world.fire_channel_with(uuid, kind, |event| {
        event.add("Media-Bug-Function", function);
        event.add("Media-Bug-Target", target);
    });
}

/// Sends digits to a leg's far end, which receives them.
pub(in super::super) fn send_digits(world: &mut World, uuid: &str, digits: &str) {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    let (far, sip) = (channel.far.clone(), channel.endpoint == Endpoint::Sofia);
    if sip {
        channel.vars.set("last_dtmf_duration", "1400");
    }
    let keys = digits.split('@').next().unwrap_or_default().to_owned();
    if let Some(far) = far {
        receive_digits(world, &far, &keys, "RTP");
    }
}

/// A leg receives digits, which wait for somebody who reads them.
pub(in super::super) fn receive_digits(
    world: &mut World,
    uuid: &str,
    keys: &str,
    source: &'static str,
) {
    if let Some(channel) = world.channels.get_mut(uuid) {
        channel
            .digits
            .extend(keys.chars().map(|key| Digit { key, source }));
        channel.wake.notify_one();
    }
}

/// Somebody reads a digit: `DTMF` (`switch_channel_dequeue_dtmf` in `switch_channel.c`).
pub(super) fn read_digit(world: &mut World, uuid: &str, digit: Digit) {
    world.fire_channel_with(uuid, EventKind::Dtmf, |event| {
        event.add("DTMF-Digit", digit.key.to_string());
        event.add("DTMF-Duration", "2000");
        event.add("DTMF-Source", digit.source);
    });
}
