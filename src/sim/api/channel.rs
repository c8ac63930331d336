//! Apis that act on a channel: its life, its variables, where it goes.

use std::sync::Arc;
use std::time::Duration;

use super::super::core::{Core, World};
use super::super::encode;
use super::super::event::Event;
use super::super::names::EventKind;
use super::super::{bridge, expand, quoting, transfer};
use crate::domain::{ChannelState, HangupCause};

/// Answer to an unknown channel.
const NO_CHANNEL: &str = "-ERR No such channel!\n";

/// Runs an api of this family; `None` when it is none of them.
pub(super) fn run(world: &mut World, name: &str, arguments: &str) -> Option<String> {
    let (uuid, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
    let known = world.channels.contains_key(uuid);
    let missing = || {
        if uuid.is_empty() {
            format!("-USAGE: {}\n", usage(name))
        } else {
            NO_CHANNEL.to_owned()
        }
    };
    Some(match name {
        "uuid_exists" => known.to_string(),
        "uuid_getvar" if known => {
            let value = expand::variable(world, Some(uuid), rest.trim());
            value.unwrap_or_else(|| "_undef_".to_owned())
        }
        "uuid_setvar" if known => setvar(world, uuid, rest),
        "uuid_setvar_multi" if known => {
            for pair in quoting::separate(rest, ';', 256) {
                let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
                set(world, uuid, name, value);
            }
            "+OK\n".to_owned()
        }
        "uuid_dump" if known => dump(world, uuid, rest.trim()),
        "uuid_kill" if known => {
            let cause = rest.trim().parse().unwrap_or(HangupCause::NormalClearing);
            world.hangup(uuid, cause);
            "+OK\n".to_owned()
        }
        "uuid_answer" if known => {
            world.answer_local(uuid);
            "+OK\n".to_owned()
        }
        "uuid_pre_answer" if known => {
            world.pre_answer_local(uuid);
            "+OK\n".to_owned()
        }
        "uuid_ring_ready" if known => {
            world.ring_local(uuid);
            "+OK\n".to_owned()
        }
        "uuid_park" if known => {
            park(world, uuid);
            "+OK\n".to_owned()
        }
        "uuid_transfer" if known => uuid_transfer(world, uuid, rest),
        "uuid_bridge" => uuid_bridge(world, uuid, rest.trim()),
        "uuid_hold" => hold(world, arguments),
        "uuid_simplify"
        | "uuid_display"
        | "uuid_phone_event"
        | "uuid_session_heartbeat"
        | "uuid_media_reneg"
        | "uuid_limit"
        | "uuid_loglevel"
        | "uuid_early_ok"
        | "uuid_set_media_stats"
        | "uuid_codec_debug"
        | "uuid_codec_param"
        | "uuid_jitterbuffer"
        | "uuid_drop_dtmf"
        | "uuid_flush_dtmf"
            if known =>
        {
            "+OK Success\n".to_owned()
        }
        "uuid_getvar"
        | "uuid_setvar"
        | "uuid_setvar_multi"
        | "uuid_dump"
        | "uuid_kill"
        | "uuid_answer"
        | "uuid_pre_answer"
        | "uuid_ring_ready"
        | "uuid_park"
        | "uuid_transfer"
        | "uuid_simplify"
        | "uuid_display"
        | "uuid_phone_event"
        | "uuid_session_heartbeat"
        | "uuid_media_reneg"
        | "uuid_limit"
        | "uuid_loglevel"
        | "uuid_early_ok"
        | "uuid_set_media_stats"
        | "uuid_codec_debug"
        | "uuid_codec_param"
        | "uuid_jitterbuffer"
        | "uuid_drop_dtmf"
        | "uuid_flush_dtmf" => missing(),
        _ => return None,
    })
}

fn usage(name: &str) -> &'static str {
    match name {
        "uuid_getvar" => "<uuid> <var>",
        "uuid_setvar" => "<uuid> <var> [value]",
        "uuid_setvar_multi" => "<uuid> <var>=<value>;<var>=<value>...",
        "uuid_dump" => "<uuid> [format]",
        "uuid_kill" => "<uuid> [cause]",
        "uuid_transfer" => "<uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]",
        _ => "<uuid>",
    }
}

/// `uuid_setvar <uuid> <name> [<value>]`: the value loses spaces and quotes around it, then has its
/// escapes read, which may be spaces too, since the line is split by spaces.
fn setvar(world: &mut World, uuid: &str, rest: &str) -> String {
    let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
    if name.is_empty() {
        return "-ERR No variable specified\n".to_owned();
    }
    set(world, uuid, name, &quoting::cleanup(value, ' '));
    "+OK\n".to_owned()
}

fn set(world: &mut World, uuid: &str, name: &str, value: &str) {
    if let Some(channel) = world.channels.get_mut(uuid) {
        channel.vars.set(name, value);
    }
    world.list(uuid);
}

/// `uuid_dump <uuid> [json|xml|plain]`.
fn dump(world: &mut World, uuid: &str, format: &str) -> String {
    let Some(channel) = world.channels.get(uuid) else {
        return NO_CHANNEL.to_owned();
    };
    let mut event = Event::new(EventKind::Data);
    channel.write(&mut event, true);
    let event = world.prepare(event);
    let bytes = match format {
        "json" => encode::json(&event),
        "xml" => encode::xml(&event),
        _ => {
            let mut plain = encode::plain(&event);
            // The empty line that ends an event is not part of the answer.
            plain.pop();
            plain
        }
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

fn park(world: &mut World, uuid: &str) {
    bridge::forget(world, uuid);
    world.set_state(uuid, ChannelState::Park);
}

/// `uuid_transfer <uuid> [-bleg|-both] <extension> [<dialplan>] [<context>]`.
fn uuid_transfer(world: &mut World, uuid: &str, rest: &str) -> String {
    let mut words = quoting::separate(rest, ' ', 5).into_iter().peekable();
    let legs = words
        .next_if(|word| word.starts_with('-'))
        .unwrap_or_default();
    let Some(extension) = words.next() else {
        return format!("-USAGE: {}\n", usage("uuid_transfer"));
    };
    let dialplan = words.next().unwrap_or_else(|| "XML".to_owned());
    let context = words.next().unwrap_or_else(|| "default".to_owned());
    let partner = world
        .channels
        .get(uuid)
        .and_then(|channel| channel.partner.clone());
    let mut targets = Vec::new();
    match legs.as_str() {
        "-both" => targets.extend([Some(uuid.to_owned()), partner.clone()]),
        "-bleg" => targets.push(partner.clone()),
        _ => targets.push(Some(uuid.to_owned())),
    }
    for target in targets.iter().flatten() {
        transfer::transfer(world, target, &extension, &dialplan, &context);
    }
    // The leg that was not transferred has lost its partner.
    let left = match legs.as_str() {
        "-both" => None,
        "-bleg" => partner.is_some().then(|| uuid.to_owned()),
        _ => partner,
    };
    if let Some(left) = left {
        world.hangup(&left, HangupCause::NormalClearing);
    }
    "+OK\n".to_owned()
}

fn uuid_bridge(world: &mut World, first: &str, second: &str) -> String {
    if first.is_empty() || second.is_empty() {
        return "-USAGE: <uuid> <other_uuid>\n".to_owned();
    }
    match bridge::connect(world, first, second) {
        Ok(()) => format!("+OK {second}\n"),
        Err(_) => "-ERR Invalid uuid\n".to_owned(),
    }
}

/// `uuid_hold [off|toggle] <uuid> [<display>]`.
fn hold(world: &mut World, arguments: &str) -> String {
    let mut words = arguments.split_whitespace().peekable();
    let verb = words
        .next_if(|word| ["off", "toggle", "on"].contains(word))
        .unwrap_or("on");
    let Some(uuid) = words.next() else {
        return "-USAGE: [off|toggle] <uuid> [<display>]\n".to_owned();
    };
    let Some(channel) = world.channels.get(uuid) else {
        return "-ERR Operation failed\n".to_owned();
    };
    let on = match verb {
        "off" => false,
        "toggle" => !channel.held,
        _ => true,
    };
    if world.hold(uuid, on) {
        "+OK Success\n".to_owned()
    } else {
        "-ERR Operation failed\n".to_owned()
    }
}

/// `uuid_deflect <uuid> <uri>`: a REFER, which nobody accepts here.
pub(super) async fn deflect(core: &Arc<Core>, arguments: &str) -> String {
    let uuid = arguments.split(' ').next().unwrap_or_default();
    if !core.world().channels.contains_key(uuid) {
        return "-ERR Operation failed\n".to_owned();
    }
    // The far end takes its time to refuse.
    tokio::time::sleep(Duration::from_millis(100)).await;
    super::super::midcall::deflect(&mut core.world(), uuid);
    "+OK:SIP/2.0 403 Forbidden\r\n\n".to_owned()
}
