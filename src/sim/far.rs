//! The far end of a leg: the node itself over SIP or loopback, or a script.

use super::channel::{Answer, Channel, Codec, Endpoint, Invite, Target};
use super::core::World;
use super::names::EventKind;
use super::profile::Profile;
use super::{bridge, script, sip};
use crate::domain::{ChannelState, Direction, HangupCause};

/// The codec of loopback legs.
const L16: Codec = Codec {
    name: "L16",
    bits: 128_000,
    both: true,
};

/// SIP ports that the node answers on; any other cannot be reached.
const OWN_PORTS: [&str; 3] = ["5060", "5080", "5070"];

/// An INVITE has arrived: reads it and begins (`sofia_handle_sip_i_invite` in `sofia.c`).
pub(super) fn invited(world: &mut World, uuid: &str) {
    let now = world.now();
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    if let Some(Invite { to, from, display }) = channel.invite.take() {
        sip::inbound_made(&mut channel.vars, &to, &from, &display, now);
        let mut profile = Profile::new(Direction::Inbound, "mod_sofia", now);
        let name = if display.is_empty() {
            from.clone()
        } else {
            display
        };
        profile.username.clone_from(&from);
        profile.dialplan = "XML".to_owned();
        profile.caller_id_name.clone_from(&name);
        profile.orig_caller_id_name = name;
        profile.caller_id_number.clone_from(&from);
        profile.orig_caller_id_number.clone_from(&from);
        profile.network_addr = "127.0.0.1".to_owned();
        profile.ani = from;
        profile.destination_number = to;
        profile.uuid.clone_from(&channel.uuid);
        profile.context = "default".to_owned();
        profile.channel_name.clone_from(&channel.name);
        channel.profile = Some(profile);
    }
    world.set_state(uuid, ChannelState::Init);
}

/// An inbound SIP leg appears, its task with it. Gives its uuid.
pub(super) fn arrive(world: &mut World, invite: Invite, far: Option<&str>) -> String {
    let uuid = crate::chance::uuid().to_string();
    let number = world.stats.sessions_since_startup + 1;
    let present = world.channels.len();
    if !world.stats.admit(present) || world.stats.pause_inbound {
        if let Some(far) = far {
            world.refuse(far, HangupCause::NormalTemporaryFailure);
        }
        return uuid;
    }
    let mut channel = Channel::new(uuid.clone(), number, Endpoint::Sofia, Direction::Inbound);
    channel.name = format!("sofia/internal/{}@127.0.0.1", invite.from);
    channel.vars.set("call_uuid", uuid.as_str());
    channel.invite = Some(invite);
    channel.far = far.map(str::to_owned);
    world.channels.insert(uuid.clone(), channel);
    world.start_session(&uuid);
    uuid
}

/// An outbound leg begins: what it has before its `CHANNEL_CREATE`.
pub(super) fn starting(world: &mut World, uuid: &str) {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    match &channel.target {
        Some(Target::Sip(target)) => {
            let (target, profile) = (target.clone(), sip_profile(&channel.name).to_owned());
            sip::outbound_invited(&mut channel.vars, &profile, &target);
        }
        Some(Target::Loopback) => make_other_half(world, uuid),
        _ => {}
    }
}

/// The profile in a channel's name: `internal` of `sofia/internal/x@y`.
fn sip_profile(name: &str) -> &str {
    name.split('/').nth(1).unwrap_or("internal")
}

/// The second half of a loopback leg, which runs the dialplan (`channel_on_init` in
/// `mod_loopback.c`).
fn make_other_half(world: &mut World, uuid: &str) {
    let other = crate::chance::uuid().to_string();
    let number = world.stats.sessions_since_startup + 1;
    let present = world.channels.len();
    world.stats.admit(present);
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    channel.vars.set("other_loopback_leg_uuid", other.as_str());
    channel.vars.set("loopback_leg", "A");
    channel.far = Some(other.clone());
    let Some(mut profile) = channel.profile.clone() else {
        return;
    };
    let origination = channel.vars.get("origination_uuid").map(str::to_owned);
    let mut half = Channel::new(
        other.clone(),
        number,
        Endpoint::Loopback,
        Direction::Inbound,
    );
    half.name = format!("{}-b", channel.name.trim_end_matches("-a"));
    half.vars.set("channel_name", half.name.as_str());
    half.far = Some(uuid.to_owned());
    profile.direction = Direction::Inbound;
    profile.logical_direction = Direction::Inbound;
    profile.uuid.clone_from(&other);
    profile.channel_name.clone_from(&half.name);
    world.channels.insert(other.clone(), half);
    give_codec(world, &other);
    let Some(half) = world.channels.get_mut(&other) else {
        return;
    };
    half.profile = Some(profile);
    if let Some(origination) = origination {
        half.vars.set("origination_uuid", origination);
    }
    half.vars.set("call_uuid", uuid);
    half.vars.set("other_loopback_leg_uuid", uuid);
    half.vars.set("loopback_leg", "B");
    half.state = ChannelState::Init;
    world.start_session(&other);
}

/// Gives a loopback half its codec, which it has from the start.
pub(super) fn give_codec(world: &mut World, uuid: &str) {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    channel.codec = Some(Codec { both: false, ..L16 });
    fire_codec(world, uuid, true);
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    channel.codec = Some(L16);
    fire_codec(world, uuid, false);
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    for (name, value) in [
        ("read_codec", "L16"),
        ("read_rate", "8000"),
        ("write_codec", "L16"),
        ("write_rate", "8000"),
    ] {
        channel.vars.set(name, value);
    }
}

/// `CODEC` of one direction. The names' odd case is FreeSWITCH's
/// (`switch_core_session_set_read_codec` and `..._write_codec` in `switch_core_codec.c`).
pub(super) fn fire_codec(world: &mut World, uuid: &str, read: bool) {
    let Some(codec) = world.channels.get(uuid).and_then(|channel| channel.codec) else {
        return;
    };
    world.fire_channel_with(uuid, EventKind::Codec, |event| {
        let names = match read {
            true => [
                "channel-read-codec-name",
                "channel-read-codec-rate",
                "channel-read-codec-bit-rate",
            ],
            false => [
                "Channel-Write-Codec-Name",
                "Channel-Write-Codec-Rate",
                "Channel-Write-codec-bit-rate",
            ],
        };
        let bits = codec.bits.to_string();
        for (name, value) in names.into_iter().zip([codec.name, "8000", &bits]) {
            event.add(name, value);
        }
    });
}

/// An outbound leg waits for its far end: reaches it.
pub(super) fn reach(world: &mut World, uuid: &str) {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    let Some(target) = channel.target.take() else {
        return;
    };
    match target {
        Target::Loopback => {}
        Target::Null => world.mark_answered(uuid),
        Target::Script(script) => script::start(world, uuid, script),
        Target::Sip(target) => {
            let Some(profile) = &channel.profile else {
                return;
            };
            let invite = Invite {
                to: channel
                    .redirected
                    .clone()
                    .unwrap_or_else(|| profile.destination_number.clone()),
                from: profile.ani.clone(),
                display: profile.caller_id_name.clone(),
            };
            let port = target.rsplit_once(':').map_or("5060", |(_, port)| port);
            if OWN_PORTS.contains(&port) {
                let far = arrive(world, invite, Some(uuid));
                if let Some(channel) = world.channels.get_mut(uuid) {
                    channel.far = Some(far);
                }
            } else {
                sip::refused(
                    &mut channel.vars,
                    HangupCause::NormalTemporaryFailure,
                    false,
                );
                channel.signalled = true;
                world.hangup(uuid, HangupCause::NormalTemporaryFailure);
            }
        }
    }
}

/// Agrees on a codec, if that has not been done, and says so.
pub(super) fn negotiate(world: &mut World, uuid: &str) {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    if channel.codec.is_some() || channel.endpoint == Endpoint::Loopback {
        return;
    }
    if channel.direction == Direction::Outbound {
        respond(channel);
        sip::remote_sdp(&mut channel.vars);
    }
    channel.codec = Some(sip::PCMU);
    fire_codec(world, uuid, true);
    fire_codec(world, uuid, false);
    if let Some(channel) = world.channels.get_mut(uuid) {
        sip::negotiated(&mut channel.vars);
    }
}

/// The first response of a far end tells who it is.
fn respond(channel: &mut Channel) {
    if channel.endpoint == Endpoint::Sofia {
        sip::outbound_response(channel);
    }
    if let Some(profile) = &mut channel.profile {
        profile.network_addr = "127.0.0.1".to_owned();
        profile
            .callee_id_name
            .clone_from(&profile.destination_number);
    }
}

/// A response, whatever it says, tells the far end's address.
fn answered_from(channel: &mut Channel) {
    if let Some(profile) = &mut channel.profile {
        profile.network_addr = "127.0.0.1".to_owned();
    }
}

/// What a leg learns when it rings.
pub(super) fn learn_progress(channel: &mut Channel) {
    match (channel.endpoint, channel.direction) {
        (Endpoint::Sofia, Direction::Inbound) => channel.vars.set("sip_to_tag", "vZSFc21gea4cN"),
        (Endpoint::Loopback, _) | (_, Direction::Inbound) => {}
        (_, Direction::Outbound) => respond(channel),
    }
}

/// What a leg learns with early media.
pub(super) fn learn_early(channel: &mut Channel) {
    if channel.direction == Direction::Outbound && channel.endpoint != Endpoint::Loopback {
        respond(channel);
        sip::remote_sdp(&mut channel.vars);
    }
    channel.vars.set("endpoint_disposition", "EARLY MEDIA");
}

/// What an inbound leg has when it is answered.
pub(super) fn learn_answer(channel: &mut Channel) {
    if channel.endpoint == Endpoint::Sofia && channel.direction == Direction::Inbound {
        sip::local_sdp(&mut channel.vars);
    }
}

/// The leg has been hung up: its far end learns of it, its partner is let go.
pub(super) fn hung_up(world: &mut World, uuid: &str) {
    bridge::let_go(world, uuid);
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    let cause = channel.cause.unwrap_or(HangupCause::NormalClearing);
    let (answer, direction, endpoint) = (channel.answer, channel.direction, channel.endpoint);
    let Some(far) = channel.far.clone() else {
        return;
    };
    let Some(other) = world
        .channels
        .get_mut(&far)
        .filter(|other| !other.is_down())
    else {
        return;
    };
    if endpoint == Endpoint::Loopback {
        return world.hangup(&far, cause);
    }
    other.signalled = true;
    let cause = match (direction, answer) {
        (_, Answer::Answered) => {
            acknowledge(other);
            let signalled = HangupCause::from_number(cause.q850()).unwrap_or(cause);
            sip::said_bye(&mut other.vars, cause);
            signalled
        }
        (Direction::Outbound, _) => {
            sip::cancelled(&mut other.vars, cause);
            HangupCause::OriginatorCancel
        }
        (Direction::Inbound, _) => {
            sip::refused(&mut other.vars, cause, true);
            answered_from(other);
            cause
        }
    };
    world.hangup(&far, cause);
    if let Some(other) = world.channels.get_mut(&far)
        && other.vars.get("sip_hangup_disposition").is_none()
    {
        other.vars.set("sip_hangup_disposition", "recv_bye");
    }
}

/// The caller has acknowledged the answer.
pub(super) fn acknowledge(channel: &mut Channel) {
    let due = channel.endpoint == Endpoint::Sofia
        && channel.direction == Direction::Inbound
        && channel.answer == Answer::Answered;
    if due && channel.vars.get("sip_cseq").is_none() {
        channel.vars.set("sip_to_tag", "gKa6pXQ6gZrca");
        channel.vars.set("sip_cseq", "123139802");
    }
}

// === impl World ===

impl World {
    /// A far end refused an outbound leg.
    pub(super) fn refuse(&mut self, uuid: &str, cause: HangupCause) {
        if let Some(channel) = self.channels.get_mut(uuid) {
            channel.signalled = true;
            if channel.endpoint == Endpoint::Sofia {
                sip::refused(&mut channel.vars, cause, true);
                answered_from(channel);
            }
        }
        self.hangup(uuid, cause);
    }

    /// The node rings towards the caller (`ring_ready`).
    pub(super) fn ring_local(&mut self, uuid: &str) {
        self.mark_ringing(uuid);
        if let Some(far) = self.far_of(uuid) {
            self.mark_ringing(&far);
        }
    }

    /// The node sends early media towards the caller (`pre_answer`).
    pub(super) fn pre_answer_local(&mut self, uuid: &str) {
        self.mark_early(uuid);
        if let Some(far) = self.far_of(uuid) {
            self.mark_early(&far);
        }
    }

    /// The node answers the call (`answer`). A SIP leg has early media for a moment, since it
    /// negotiates late.
    pub(super) fn answer_local(&mut self, uuid: &str) {
        let Some(channel) = self.channels.get(uuid) else {
            return;
        };
        let sip = channel.endpoint == Endpoint::Sofia;
        if channel.direction == Direction::Outbound || channel.answer == Answer::Answered {
            return;
        }
        if sip {
            self.mark_early(uuid);
        }
        let far = self.far_of(uuid);
        self.mark_answered(uuid);
        if let Some(far) = far {
            self.mark_answered(&far);
        }
    }

    fn far_of(&self, uuid: &str) -> Option<String> {
        self.channels
            .get(uuid)
            .and_then(|channel| channel.far.clone())
    }
}
