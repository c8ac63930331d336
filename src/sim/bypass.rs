//! Media that flow past the node (`uuid_media`).

use super::bridge::{self, Part};
use super::channel::Endpoint;
use super::core::World;
use super::names::EventKind;
use crate::domain::{ChannelState, HangupCause};

/// Takes the node out of the media path of a leg and of its partner (`switch_ivr_nomedia` in
/// `switch_ivr.c`). Says whether there is such a leg; one that is bypassed already stays so.
pub(super) fn begin(world: &mut World, uuid: &str) -> bool {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return false;
    };
    if channel.bypassed || channel.endpoint != Endpoint::Sofia {
        return true;
    }
    channel.bypassed = true;
    channel.vars.set("rtp_local_sdp_str", "");
    let far = channel.far.clone();
    if let Some(far) = far.and_then(|far| world.channels.get_mut(&far)) {
        far.vars.set("sip_reinvite_sdp", "v=0\r\n");
    }
    let Some((first, second)) = legs(world, uuid) else {
        return true;
    };
    for leg in [&second, &first] {
        if let Some(channel) = world.channels.get_mut(leg) {
            channel.bypassed = true;
        }
        if *leg == first {
            world.fire_channel_with(&first, EventKind::Unbridge, |event| {
                event.add("Bridge-A-Unique-ID", first.as_str());
                event.add("Bridge-B-Unique-ID", second.as_str());
            });
        }
        world.set_running(leg, ChannelState::Park);
        world.fire_channel(leg, EventKind::Park);
    }
    for (leg, other) in [(&first, &second), (&second, &first)] {
        world.fire_channel_with(leg, EventKind::Execute, |event| {
            event.add("Application", "signal_bridge");
            event.add("Application-Data", other.as_str());
        });
    }
    for leg in [&second, &first] {
        world.fire_channel(leg, EventKind::Unpark);
        world.set_state(leg, ChannelState::Hibernate);
        world.set_running(leg, ChannelState::Hibernate);
    }
    world.fire_channel_with(&first, EventKind::Bridge, |event| {
        event.add("Bridge-A-Unique-ID", first.as_str());
        event.add("Bridge-B-Unique-ID", second.as_str());
    });
    true
}

/// Puts the node back into the media path (`switch_ivr_media` in `switch_ivr.c`). Says whether it
/// was out of it.
pub(super) fn end(world: &mut World, uuid: &str) -> bool {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return false;
    };
    if !std::mem::take(&mut channel.bypassed) {
        return false;
    }
    let Some((first, second)) = legs(world, uuid) else {
        return true;
    };
    for leg in [&first, &second] {
        if let Some(channel) = world.channels.get_mut(leg) {
            channel.bypassed = false;
        }
    }
    if bridge::connect(world, &first, &second).is_err() {
        return true;
    }
    for leg in [&first, &second] {
        world.set_running(leg, ChannelState::ConsumeMedia);
        world.set_state(leg, ChannelState::Reset);
    }
    true
}

/// A bypassed leg has been hung up: its partner goes with it. Says whether it was one.
pub(super) fn let_go(world: &mut World, uuid: &str) -> bool {
    let is_bypassed = |world: &World| {
        let channel = world.channels.get(uuid);
        channel.is_some_and(|channel| channel.bypassed)
    };
    let Some((first, second)) = legs(world, uuid).filter(|_| is_bypassed(world)) else {
        return false;
    };
    // A bridge of this kind is not told of as any other.
    world.fire_channel(&first, EventKind::Unbridge);
    for leg in [&first, &second] {
        if let Some(channel) = world.channels.get_mut(leg) {
            channel.partner = None;
            channel.part = None;
            channel.bypassed = false;
        }
    }
    let partner = if first == uuid { &second } else { &first };
    world.hangup(partner, HangupCause::NormalClearing);
    true
}

/// The two legs of a leg's bridge, the one that began it first.
fn legs(world: &World, uuid: &str) -> Option<(String, String)> {
    let channel = world.channels.get(uuid)?;
    let (own, partner) = (uuid.to_owned(), channel.partner.clone()?);
    Some(match channel.part {
        Some(Part::Second) => (partner, own),
        _ => (own, partner),
    })
}
