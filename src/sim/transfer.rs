//! Sending a channel to another extension.

use super::bridge;
use super::core::World;
use super::dialplan;
use crate::domain::ChannelState;

/// Sends a channel to an extension (`switch_ivr_session_transfer` in `switch_ivr.c`): a new caller
/// profile, then the dialplan again.
pub(super) fn transfer(
    world: &mut World,
    uuid: &str,
    extension: &str,
    dialplan_name: &str,
    context: &str,
) -> bool {
    let now = world.now();
    let Some(channel) = world
        .channels
        .get(uuid)
        .filter(|channel| !channel.is_down())
    else {
        return false;
    };
    if channel.profile.is_none() {
        return false;
    }
    let second = channel.part == Some(bridge::Part::Second) || channel.was_second;
    new_profile(world, uuid, now);
    let Some(channel) = world.channels.get_mut(uuid) else {
        return false;
    };
    channel.update_due = second;
    channel.was_second = false;
    let Some(profile) = &mut channel.profile else {
        return false;
    };
    profile.rdnis.clone_from(&profile.destination_number);
    profile.destination_number = extension.to_owned();
    profile.dialplan = dialplan_name.to_owned();
    profile.context = context.to_owned();
    let source = format!(
        "{}:{}:bl_xfer:{extension}/{context}/{dialplan_name}",
        now / 1_000_000,
        crate::chance::uuid()
    );
    profile.transfer_source.clone_from(&source);
    channel.vars.set("transfer_source", source.as_str());
    push_history(channel, &source);
    if dialplan_name.eq_ignore_ascii_case("inline") {
        channel.extension = dialplan::inline(extension).into();
        world.set_state(uuid, ChannelState::Execute);
    } else {
        channel.vars.set("max_forwards", "70");
        world.set_state(uuid, ChannelState::Routing);
    }
    bridge::forget(world, uuid);
    true
}

/// Adds to the variable `transfer_history`, an array from the second entry on.
pub(super) fn push_history(channel: &mut super::channel::Channel, source: &str) {
    let history = match channel.vars.get("transfer_history") {
        None => source.to_owned(),
        Some(one) if one.starts_with("ARRAY::") => format!("{one}|:{source}"),
        Some(one) => format!("ARRAY::{one}|:{source}"),
    };
    channel.vars.set("transfer_history", history);
}

/// Gives a channel a new caller profile with the old one's contents.
pub(super) fn new_profile(world: &mut World, uuid: &str, now: u64) {
    let Some(profile) = world
        .channels
        .get_mut(uuid)
        .and_then(|channel| channel.profile.as_mut())
    else {
        return;
    };
    profile.profile_index += 1;
    profile.times.profile_created = now;
    profile.times.bridged = 0;
}
