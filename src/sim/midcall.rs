//! What the two ends of a leg tell each other during a call: hold, INFO, REFER, redirection.

use super::channel::{Endpoint, Target};
use super::core::World;
use super::event::Event;
use super::names::EventKind;
use super::{far, sip};
use crate::domain::{CallState, Direction, HangupCause};

/// The caller of a leg that is not answered is sent to another address, and goes there.
pub(super) fn redirect(world: &mut World, uuid: &str, address: &str) {
    let far = world
        .channels
        .get_mut(uuid)
        .and_then(|channel| channel.far.take());
    world.hangup(uuid, HangupCause::NormalUnspecified);
    let Some(channel) = far.as_ref().and_then(|far| world.channels.get_mut(far)) else {
        return;
    };
    let address = address.trim_start_matches("sip:");
    channel.target = Some(Target::Sip(address.to_owned()));
    channel
        .vars
        .set("sip_redirected_to", format!("<sip:{address}>"));
    channel.vars.set("sip_hangup_disposition", "recv_refuse");
    channel.redirected = Some(address.split('@').next().unwrap_or_default().to_owned());
    if let Some(caller) = far {
        far::reach(world, &caller);
    }
}

/// A leg that is not answered is sent away by REFER, which its caller does not accept.
pub(super) fn deflect(world: &mut World, uuid: &str) {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    for (name, value) in [
        ("sip_refer_reply", "SIP/2.0 403 Forbidden\r\n"),
        ("sip_refer_status_code", "403"),
        ("sip_refer_target_status_code", "403"),
    ] {
        channel.vars.set(name, value);
    }
    channel.signalled = true;
    if let Some(far) = channel.far.clone() {
        let Some(other) = world.channels.get_mut(&far) else {
            return;
        };
        sip::referred(&mut other.vars);
        let mut event = Event::custom("sofia::error");
        event.add("Error-Type", "blind_transfer");
        event.add("Transfer-Exten", "x");
        event.add("Full-Refer-To", "<sip:x@127.0.0.1>");
        other.write(&mut event, true);
        other.vars.set("endpoint_disposition", "BLIND_TRANSFER");
        world.fire(event);
    }
    world.hangup(uuid, HangupCause::NoUserResponse);
}
/// A leg's far end is told who it talks to, by a SIP INFO.
pub(super) fn inform(world: &mut World, uuid: &str, name: &str, number: &str) {
    let Some(channel) = world
        .channels
        .get(uuid)
        .filter(|one| one.endpoint == Endpoint::Sofia)
    else {
        return;
    };
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
    let Some(profile) = &mut other.profile else {
        return;
    };
    let (known, user) = match other.direction {
        Direction::Inbound => (
            &mut profile.caller_id_name,
            profile.destination_number.clone(),
        ),
        Direction::Outbound => (
            &mut profile.callee_id_name,
            profile.destination_number.clone(),
        ),
    };
    let news = known != name;
    name.clone_into(known);
    let caller = profile.ani.clone();
    match other.direction {
        Direction::Inbound => number.clone_into(&mut profile.caller_id_number),
        Direction::Outbound => number.clone_into(&mut profile.callee_id_number),
    }
    if news {
        world.fire_channel_with(&far, EventKind::CallUpdate, |event| {
            event.add("Direction", "RECV");
        });
    }
    world.fire_channel_with(&far, EventKind::RecvInfo, |event| {
        for (name, value) in [
            ("SIP-Content-Type", "message/update_display"),
            ("SIP-From-User", caller.as_str()),
            ("SIP-From-Host", "127.0.0.1"),
            ("SIP-To-User", user.as_str()),
            ("SIP-To-Host", "127.0.0.1"),
            ("SIP-Contact-User", "mod_sofia"),
            ("SIP-Contact-Host", "127.0.0.1"),
        ] {
            event.add(name, value);
        }
    });
}
// === impl World ===

impl World {
    /// Puts a leg on hold or takes it off, and tells its far end by a re-INVITE.
    pub(super) fn hold(&mut self, uuid: &str, on: bool) -> bool {
        let Some(channel) = self.channels.get(uuid).filter(|channel| !channel.is_down()) else {
            return false;
        };
        let sip = channel.endpoint == Endpoint::Sofia;
        let far = channel.far.clone();
        self.mark_held(uuid, on);
        let partner = self
            .channels
            .get(uuid)
            .and_then(|channel| channel.partner.clone());
        if let Some(partner) = partner.and_then(|partner| self.channels.get_mut(&partner)) {
            partner.vars.set("switch_m_sdp", "v=0\r\n");
        }
        if !on {
            self.set_call_state(uuid, CallState::Active);
        }
        if let Some(far) = far.filter(|_| sip) {
            self.mark_held(&far, on);
            self.fire_reinvite(&far);
            if !on {
                self.set_call_state(&far, CallState::Active);
            }
        }
        true
    }

    fn fire_reinvite(&mut self, uuid: &str) {
        let Some(channel) = self.channels.get(uuid) else {
            return;
        };
        let event = Event::custom("sofia::reinvite").with("Unique-ID", channel.uuid.clone());
        self.fire(event);
    }

    /// Marks a leg as held or not (`mark_held`, `CHANNEL_HOLD`, `CHANNEL_UNHOLD`).
    pub(super) fn mark_held(&mut self, uuid: &str, on: bool) {
        let now = self.now();
        let Some(channel) = self.channels.get_mut(uuid) else {
            return;
        };
        if channel.held == on || channel.is_down() {
            return;
        }
        channel.held = on;
        if on {
            channel.holds.push((now, 0));
            if let Some(times) = channel.times() {
                times.last_hold = now;
            }
            far::acknowledge(channel);
            self.set_call_state(uuid, CallState::Held);
            return self.fire_channel(uuid, EventKind::Hold);
        }
        let began = channel.holds.last_mut().map_or(now, |hold| {
            hold.1 = now;
            hold.0
        });
        if let Some(times) = channel.times() {
            times.hold_accum += now - began;
        }
        self.set_call_state(uuid, CallState::Unheld);
        self.fire_channel(uuid, EventKind::Unhold);
    }
}
