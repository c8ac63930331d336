//! Two channels that talk to each other.

use std::sync::Arc;

use super::apps::{Wait, Woken};
use super::channel::{Answer, Channel};
use super::core::{Core, World};
use super::names::EventKind;
use super::{apps, bypass, midcall, transfer};
use crate::domain::{ChannelState, HangupCause};

/// A channel's part in a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It began the bridge and runs it.
    First,
    /// It exchanges media.
    Second,
}

// === impl Part ===

impl Part {
    /// The value of `last_bridge_role`.
    pub(super) fn role(self) -> &'static str {
        match self {
            Self::First => "originator",
            Self::Second => "originatee",
        }
    }
}

/// `uuid_bridge` (`switch_ivr_uuid_bridge` in `switch_ivr_bridge.c`): both legs leave what they
/// do, and meet.
pub(super) fn connect(world: &mut World, first: &str, second: &str) -> Result<(), &'static str> {
    for uuid in [first, second] {
        match world.channels.get(uuid) {
            Some(channel) if channel.is_down() => return Err("channel is hung up"),
            Some(channel) if channel.answer < Answer::Early => return Err("has no media"),
            Some(_) => {}
            None => return Err("no such channel"),
        }
    }
    let now = world.now();
    for uuid in [first, second] {
        forget(world, uuid);
    }
    for (uuid, other, part, kind) in [
        (first, second, Part::First, "originatee"),
        (second, first, Part::Second, "originator"),
    ] {
        let Some(theirs) = world.channels.get(other) else {
            continue;
        };
        let (profile, name) = (theirs.profile.clone(), theirs.name.clone());
        let source = format!(
            "{}:{}:uuid_br:{other}",
            now / 1_000_000,
            crate::chance::uuid()
        );
        transfer::new_profile(world, uuid, now);
        let Some(channel) = world.channels.get_mut(uuid) else {
            continue;
        };
        channel.partner = Some(other.to_owned());
        channel.part = Some(part);
        channel.met = false;
        if part == Part::First {
            channel.vars.set("uuid_bridge", other);
        }
        channel.vars.set("bridge_channel", name);
        channel.vars.set("bridge_uuid", other);
        channel.vars.set("signal_bond", other);
        transfer::push_history(channel, &source);
        channel.vars.set("transfer_source", source.as_str());
        if let Some(own) = &mut channel.profile {
            own.transfer_source = source;
            let (number, name, caller) = (
                own.destination_number.clone(),
                own.caller_id_name.clone(),
                own.caller_id_number.clone(),
            );
            if part == Part::First {
                own.logical_direction = crate::domain::Direction::Inbound;
            }
            channel.vars.set("original_destination_number", number);
            channel.vars.set("original_caller_id_name", name);
            channel.vars.set("original_caller_id_number", caller);
        }
        channel.other = profile.map(|profile| (kind, profile.copied()));
    }
    for uuid in [second, first] {
        world.set_state(uuid, ChannelState::Hibernate);
    }
    Ok(())
}

/// A leg on its way into a bridge sleeps for a moment, then is reset.
pub(super) fn sleeping(world: &mut World, uuid: &str) {
    if world
        .channels
        .get(uuid)
        .is_some_and(|channel| channel.part.is_some())
    {
        world.set_state(uuid, ChannelState::Reset);
    }
}

/// It has been reset and waits for the other.
pub(super) fn reset(world: &mut World, uuid: &str) {
    if world
        .channels
        .get(uuid)
        .is_some_and(|channel| channel.part.is_some())
    {
        world.set_state(uuid, ChannelState::SoftExecute);
    }
}

/// Stays in the bridge; the later of the two legs to come makes it. When the second has gone, the
/// first goes on with what its dialplan has left, which is nothing after `uuid_bridge`.
pub(super) async fn stay(core: &Arc<Core>, uuid: &str) {
    meet(&mut core.world(), uuid);
    let woken = talk(core, uuid).await;
    let mut world = core.world();
    // On its way into another bridge, it has left this one already.
    if world
        .channels
        .get(uuid)
        .is_some_and(|channel| channel.state == ChannelState::Hibernate)
    {
        return;
    }
    let keeps_bond = world
        .channels
        .get(uuid)
        .is_some_and(|one| one.vars.get("att_xfer_result").is_some());
    if leave(&mut world, uuid, keeps_bond) && matches!(woken, Woken::Broken) {
        world.set_state(uuid, ChannelState::Execute);
    }
}

/// Talks until the bridge ends; a break that is not the partner's end does not end it.
pub(super) async fn talk(core: &Arc<Core>, uuid: &str) -> Woken {
    loop {
        let woken = match Wait::new(core, uuid).next().await {
            Woken::Message(message) => {
                apps::perform(core, uuid, message).await;
                // What was executed may have used up the break with which the partner left.
                Woken::Broken
            }
            woken => woken,
        };
        let alone = core.world().is_alone(uuid);
        if !matches!(woken, Woken::Broken) || alone {
            return woken;
        }
    }
}

/// The first leg leaves the bridge, in its own task: the second is hung up with it, and
/// `CHANNEL_UNBRIDGE` tells. Says whether there was a bridge to leave.
pub(super) fn leave(world: &mut World, uuid: &str, keeps_bond: bool) -> bool {
    let Some(channel) = world.channels.get(uuid) else {
        return false;
    };
    let (down, part) = (channel.is_down(), channel.part);
    let Some(partner) = channel
        .partner
        .clone()
        .filter(|_| part == Some(Part::First))
    else {
        return false;
    };
    if down {
        world.hangup(&partner, HangupCause::NormalClearing);
    }
    let ended = world.channels.get(uuid).and_then(|channel| channel.cause);
    let ended = ended.or(world
        .channels
        .get(&partner)
        .and_then(|channel| channel.cause));
    let ended = ended.unwrap_or(HangupCause::NormalClearing).name();
    if let Some(other) = world.channels.get_mut(&partner) {
        other.vars.set("call_uuid", partner.as_str());
        other.vars.set("bridge_hangup_cause", ended);
        other.vars.set("bridge_to", "");
    }
    if let Some(other) = world.channels.get_mut(&partner)
        && other.partner.as_deref() == Some(uuid)
    {
        other.partner = None;
        other.part = None;
    }
    if let Some(channel) = world.channels.get_mut(uuid) {
        channel.partner = None;
        channel.part = None;
        channel.met = false;
        channel.vars.set("bridge_hangup_cause", ended);
        channel.vars.set("bridge_to", "");
        if !keeps_bond {
            channel.vars.set("signal_bond", "");
        }
    }
    world.fire_channel_with(uuid, EventKind::Unbridge, |event| {
        event.add("Bridge-A-Unique-ID", uuid);
        event.add("Bridge-B-Unique-ID", partner);
    });
    world.list(uuid);
    true
}

fn meet(world: &mut World, uuid: &str) {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    channel.met = true;
    let (Some(partner), Some(part)) = (channel.partner.clone(), channel.part) else {
        return;
    };
    if !world.channels.get(&partner).is_some_and(|other| other.met) {
        return;
    }
    let (first, second) = match part {
        Part::First => (uuid, partner.as_str()),
        Part::Second => (partner.as_str(), uuid),
    };
    for (leg, other) in [(first, second), (second, first)] {
        if let Some(channel) = world.channels.get_mut(leg) {
            channel.vars.set("uuid_bridge", "");
        }
        world.fire_channel_with(leg, EventKind::Execute, |event| {
            event.add("Application", "uuid_bridge");
            event.add("Application-Data", other);
        });
    }
    bridged(world, first, second);
}

/// The two are bridged: says so, and each learns of the other.
fn bridged(world: &mut World, first: &str, second: &str) {
    let now = world.now();
    for uuid in [first, second] {
        if let Some(times) = world
            .channels
            .get_mut(uuid)
            .and_then(|channel| channel.times())
        {
            times.bridged = now;
        }
    }
    // The second leg counts to the call of the first while they talk
    // (`switch_ivr_multi_threaded_bridge` in `switch_ivr_bridge.c`).
    if let Some(channel) = world.channels.get_mut(second) {
        channel.vars.set("call_uuid", first);
    }
    world.fire_channel_with(first, EventKind::Bridge, |event| {
        event.add("Bridge-A-Unique-ID", first);
        event.add("Bridge-B-Unique-ID", second);
    });
    world.set_state(second, ChannelState::ExchangeMedia);
    tell(world, first);
    world.list(first);
    world.list(second);
}

/// `CALL_UPDATE`: a bridged leg is told who it talks to, and tells its far end.
pub(super) fn tell(world: &mut World, uuid: &str) {
    let Some(channel) = world.channels.get(uuid) else {
        return;
    };
    let (partner, part) = (channel.partner.clone(), channel.part);
    let Some(partner) = partner else { return };
    let Some(profile) = world
        .channels
        .get(&partner)
        .and_then(|other| other.profile.as_ref())
    else {
        return;
    };
    // The first leg hears who was called, the second who calls.
    let (name, number) = match part {
        Some(Part::Second) => (&profile.caller_id_name, &profile.caller_id_number),
        _ => (&profile.callee_id_name, &profile.callee_id_number),
    };
    let (name, number) = (
        if name.is_empty() { number } else { name }.clone(),
        number.clone(),
    );
    if let Some(channel) = world.channels.get_mut(uuid) {
        channel.vars.set("bridge_to", partner.as_str());
        channel.vars.set("last_bridge_to", partner.as_str());
        channel.vars.set("last_sent_callee_id_name", name.as_str());
        channel
            .vars
            .set("last_sent_callee_id_number", number.as_str());
    }
    world.fire_channel_with(uuid, EventKind::CallUpdate, |event| {
        event.add("Direction", "SEND");
        event.add("Sent-Callee-ID-Name", name.as_str());
        event.add("Sent-Callee-ID-Number", number.as_str());
        event.add("Bridged-To", partner);
    });
    midcall::inform(world, uuid, &name, &number);
}

/// A leg leaves its bridge without hanging up: both are free again.
pub(super) fn forget(world: &mut World, uuid: &str) -> Option<String> {
    let channel = world.channels.get_mut(uuid)?;
    let partner = channel.partner.take()?;
    let part = channel.part.take();
    if let Some(other) = world.channels.get_mut(&partner) {
        other.partner = None;
        other.was_second = other.part == Some(Part::Second);
        other.part = None;
    }
    let (first, second) = match part {
        Some(Part::Second) => (partner.as_str(), uuid),
        _ => (uuid, partner.as_str()),
    };
    for leg in [first, second] {
        if let Some(channel) = world.channels.get_mut(leg) {
            channel.vars.set("bridge_to", "");
            channel.vars.set("signal_bond", "");
            channel.other = None;
            channel.met = false;
        }
    }
    world.fire_channel_with(first, EventKind::Unbridge, |event| {
        event.add("Bridge-A-Unique-ID", first);
        event.add("Bridge-B-Unique-ID", second);
    });
    world.list(first);
    world.list(second);
    Some(partner)
}

/// A bridged leg has been hung up. The first leg has left its bridge already; when it was the
/// second, the first is woken and leaves.
pub(super) fn let_go(world: &mut World, uuid: &str) {
    if bypass::let_go(world, uuid) {
        return;
    }
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    let Some(partner) = channel.partner.clone() else {
        return;
    };
    channel.part = None;
    channel.vars.set("bridge_to", "");
    // The first leg keeps this until the two have met.
    let mut is_unmade = channel.vars.get("uuid_bridge").is_some();
    let Some(other) = world.channels.get_mut(&partner) else {
        return;
    };
    if other.partner.as_deref() == Some(uuid) {
        is_unmade |= other.vars.get("uuid_bridge").is_some();
        if is_unmade {
            other.partner = None;
            other.part = None;
            other.vars.set("uuid_bridge", "");
        }
        other.breaks += 1;
        other.wake.notify_one();
    }
}

/// A leg that was bridged knows at its very end why the bridge ended.
pub(super) fn note_end(channel: &mut Channel) {
    let bridged = channel.vars.get("last_bridge_role").is_some();
    if bridged && channel.vars.get("bridge_hangup_cause").is_none() {
        let cause = channel.cause.unwrap_or(HangupCause::NormalClearing);
        channel.vars.set("bridge_hangup_cause", cause.name());
    }
}

pub(super) fn join(world: &mut World, first: &str, second: &str) {
    let profile_of = |world: &World, uuid: &str| {
        world
            .channels
            .get(uuid)
            .and_then(|channel| channel.profile.clone())
    };
    let (of_first, of_second) = (profile_of(world, first), profile_of(world, second));
    for (uuid, other, part, kind, profile) in [
        (first, second, Part::First, "originatee", of_second),
        (second, first, Part::Second, "originator", of_first),
    ] {
        let name = profile
            .as_ref()
            .map(|one| one.channel_name.clone())
            .unwrap_or_default();
        if let Some(channel) = world.channels.get_mut(uuid) {
            channel.partner = Some(other.to_owned());
            channel.part = Some(part);
            // A leg that was called for the bridge knows its caller already.
            if part == Part::First || channel.other.is_none() {
                channel.other = profile.map(|profile| (kind, profile.copied()));
            }
            channel.vars.set("bridge_channel", name);
            channel.vars.set("bridge_uuid", other);
            channel.vars.set("signal_bond", other);
        }
    }
    bridged(world, first, second);
}

// === impl World ===

impl World {
    /// Whether the channel's partner has gone.
    fn is_alone(&self, uuid: &str) -> bool {
        let partner = self
            .channels
            .get(uuid)
            .and_then(|channel| channel.partner.as_ref());
        let other = partner.and_then(|partner| self.channels.get(partner));
        other.is_none_or(|other| other.is_down())
    }
}
