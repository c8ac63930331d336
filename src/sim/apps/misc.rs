//! Applications that do something at once and wait for nothing.

use super::super::core::World;
use super::super::event::Event;
use super::super::transfer;
use crate::domain::HangupCause;

/// Runs an application that does not wait; one that exists but has no effect here does nothing.
pub(super) fn run(world: &mut World, uuid: &str, name: &str, argument: &str) {
    match name {
        "hangup" => {
            let cause = argument
                .trim()
                .parse()
                .unwrap_or(HangupCause::NormalClearing);
            world.hangup(uuid, cause);
        }
        "set" | "export" => set(world, uuid, argument),
        "multiset" => {
            for pair in super::super::quoting::separate(argument, ' ', 256) {
                set(world, uuid, &pair);
            }
        }
        "unset" | "multiunset" => {
            for name in argument.split_whitespace() {
                set(world, uuid, &format!("{name}="));
            }
        }
        "push" => push(world, uuid, argument),
        "avmd_start" => super::super::amd::start(world, uuid, argument),
        "avmd_stop" => super::super::amd::stop(world, uuid),
        "respond" => respond(world, uuid, argument),
        "redirect" => super::super::midcall::redirect(world, uuid, argument),
        "transfer" => {
            let parts: Vec<&str> = argument.split_whitespace().collect();
            if let Some(extension) = parts.first() {
                let dialplan = parts.get(1).unwrap_or(&"XML");
                let context = parts.get(2).unwrap_or(&"default");
                transfer::transfer(world, uuid, extension, dialplan, context);
            }
        }
        "event" => {
            let mut event = Event::new(super::super::names::EventKind::Application);
            if let Some(channel) = world.channels.get(uuid) {
                channel.write(&mut event, world.verbose);
            }
            for pair in super::super::quoting::separate(argument, ',', 64) {
                if let Some((name, value)) = pair.split_once('=') {
                    event.add(name.to_owned(), value);
                }
            }
            world.fire(event);
        }
        _ => {}
    }
}

fn set(world: &mut World, uuid: &str, pair: &str) {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    // An export may say that it is not for this leg.
    let pair = pair.strip_prefix("nolocal:").unwrap_or(pair);
    if let Some((name, value)) = pair.split_once('=') {
        if name.is_empty() {
            return;
        }
        let value = if value == "_undef_" { "" } else { value };
        match value.strip_prefix("^^") {
            Some(_) => channel.vars.set(name, value),
            None => channel.vars.set(name, value),
        }
    }
}

/// `push name=value`: adds to an array.
fn push(world: &mut World, uuid: &str, pair: &str) {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    if let Some((name, value)) = pair.split_once('=') {
        let joined = match channel.vars.get(name) {
            None => value.to_owned(),
            Some(one) if one.starts_with("ARRAY::") => format!("{one}|:{value}"),
            Some(one) => format!("ARRAY::{one}|:{value}"),
        };
        channel.vars.set(name, joined);
    }
}

/// `respond 486 Busy Here`: the cause is the one that SIP's status stands for.
fn respond(world: &mut World, uuid: &str, argument: &str) {
    let status: u16 = argument
        .split(' ')
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(488);
    // A provisional one changes nothing here.
    if status < 200 {
        return;
    }
    let cause = match status {
        404 => HangupCause::UnallocatedNumber,
        403 => HangupCause::CallRejected,
        408 => HangupCause::RecoveryOnTimerExpire,
        410 => HangupCause::NumberChanged,
        480 => HangupCause::NoUserResponse,
        484 => HangupCause::InvalidNumberFormat,
        486 => HangupCause::UserBusy,
        488 => HangupCause::IncompatibleDestination,
        500 | 503 => HangupCause::NormalTemporaryFailure,
        603 => HangupCause::CallRejected,
        _ => HangupCause::NormalUnspecified,
    };
    world.hangup(uuid, cause);
}
