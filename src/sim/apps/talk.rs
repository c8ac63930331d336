//! The applications that bring two channels together: `bridge`, `att_xfer`, `eavesdrop`.

use std::sync::Arc;
use std::time::Duration;

use super::super::bridge::{join, leave, talk};
use super::super::channel::Answer;
use super::super::core::{Core, World};
use super::super::legs::Caller;
use super::super::names::EventKind;
use super::super::{far, midcall, originate, quoting};
use super::{Wait, media};
use crate::domain::CallState;

/// How long a call for a bridge waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The application `bridge`: calls, then talks. Without an answer the leg is hung up, unless
/// `continue_on_fail` is true (`audio_bridge_function` in `mod_dptools.c`).
pub(super) async fn bridge(core: &Arc<Core>, uuid: &str, argument: &str) {
    let (scoped, dial_string) = scoped(argument);
    let caller = {
        let world = core.world();
        let profile = world
            .channels
            .get(uuid)
            .and_then(|channel| channel.profile.clone());
        let Some(profile) = profile else { return };
        Caller {
            name: profile.caller_id_name,
            number: profile.caller_id_number,
            channel: Some(uuid.to_owned()),
        }
    };
    let calling = originate::originate(core, dial_string, &caller, TIMEOUT);
    let mut wait = Wait::new(core, uuid);
    wait.messages = false;
    let called = tokio::select! {
        biased;
        called = calling => called,
        _gone = wait.next() => return,
    };
    match called {
        Ok(leg) => {
            connect_called(&mut core.world(), uuid, &leg);
            talk(core, uuid).await;
            leave(&mut core.world(), uuid, false);
        }
        Err(cause) => {
            let mut world = core.world();
            if let Some(channel) = world.channels.get_mut(uuid) {
                channel.vars.set("originate_disposition", cause.name());
                channel.vars.set("DIALSTATUS", cause.name());
            }
            let goes_on = scoped
                .iter()
                .any(|(name, value)| name == "continue_on_fail" && value == "true");
            if !goes_on {
                world.hangup(uuid, cause);
            }
        }
    }
}

/// The variables that hold for one application, `%[a=b]` in front of its argument, and what is
/// behind them (`switch_core_session_exec` in `switch_core_session.c`).
fn scoped(argument: &str) -> (Vec<(String, String)>, &str) {
    argument
        .strip_prefix('%')
        .and_then(|rest| quoting::brackets(rest, '[', ']'))
        .unwrap_or((Vec::new(), argument))
}

/// The called leg is there: the caller gets what it has, and the two are bridged.
fn connect_called(world: &mut World, uuid: &str, leg: &str) {
    let early = world
        .channels
        .get(leg)
        .is_some_and(|channel| channel.answer == Answer::Early);
    if early {
        world.pre_answer_local(uuid);
    } else {
        world.answer_local(uuid);
    }
    originated(world, uuid, leg);
    join(world, uuid, leg);
}
/// What a leg that called another has afterwards.
fn originated(world: &mut World, uuid: &str, leg: &str) {
    let called = world.channels.get(leg).and_then(|called| {
        let profile = called.profile.as_ref()?;
        Some((
            profile.callee_id_name.clone(),
            profile.callee_id_number.clone(),
        ))
    });
    let (name, number) = called.unwrap_or_default();
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    let other = channel.other.as_mut().map(|(_, profile)| profile);
    for profile in channel.profile.iter_mut().chain(other) {
        profile.callee_id_name.clone_from(&name);
    }
    for (variable, value) in [
        ("originate_disposition", "SUCCESS".to_owned()),
        ("DIALSTATUS", "SUCCESS".to_owned()),
        ("originated_legs", format!("{leg};{name};{number}")),
        ("originate_causes", format!("{leg};NONE")),
        ("switch_m_sdp", "v=0\r\n".to_owned()),
    ] {
        channel.vars.set(variable, value);
    }
}

/// The application `eavesdrop`: listens to another channel.
pub(super) async fn eavesdrop(core: &Arc<Core>, uuid: &str, target: &str) {
    {
        let mut world = core.world();
        let Some(watched) = world.channels.get(target) else {
            return;
        };
        let profile = watched.profile.clone();
        let (name, number) = profile
            .map(|profile| (profile.callee_id_name, profile.callee_id_number))
            .unwrap_or_default();
        far::fire_codec(&mut world, uuid, true);
        if let Some(channel) = world.channels.get_mut(uuid) {
            channel
                .vars
                .set("last_sent_callee_id_name", number.as_str());
            channel
                .vars
                .set("last_sent_callee_id_number", number.as_str());
        }
        media::bug(
            &mut world,
            target,
            EventKind::MediaBugStart,
            "eavesdrop",
            uuid,
        );
        world.fire_channel_with(uuid, EventKind::CallUpdate, |event| {
            event.add("Direction", "SEND");
            event.add("Sent-Callee-ID-Name", name.as_str());
            event.add("Sent-Callee-ID-Number", number.as_str());
        });
        midcall::inform(&mut world, uuid, "eavesdrop", &number);
    }
    Wait::new(core, uuid).out().await;
    let mut world = core.world();
    far::fire_codec(&mut world, uuid, true);
    if world.channels.contains_key(target) {
        media::bug(
            &mut world,
            target,
            EventKind::MediaBugStop,
            "eavesdrop",
            uuid,
        );
    }
}

/// The application `att_xfer`: talks to a third party while the second waits. When the second has
/// gone meanwhile, the first stays with the third.
pub(super) async fn attended_transfer(core: &Arc<Core>, uuid: &str, dial_string: &str) {
    let (caller, before) = {
        let mut world = core.world();
        world.set_call_state(uuid, CallState::RingWait);
        let Some(channel) = world.channels.get(uuid) else {
            return;
        };
        let Some(profile) = &channel.profile else {
            return;
        };
        let caller = Caller {
            name: profile.caller_id_name.clone(),
            number: profile.caller_id_number.clone(),
            channel: Some(uuid.to_owned()),
        };
        (caller, (channel.partner.clone(), channel.part))
    };
    let called = originate::originate(core, dial_string, &caller, TIMEOUT).await;
    if let Ok(third) = &called {
        originated(&mut core.world(), uuid, third);
    }
    core.world().set_call_state(uuid, CallState::Active);
    let third = match called {
        Ok(third) => third,
        Err(cause) => {
            // The bridge goes on as it was.
            if let Some(channel) = core.world().channels.get_mut(uuid) {
                channel.vars.set("originate_disposition", cause.name());
                channel.vars.set("DIALSTATUS", cause.name());
            }
            return;
        }
    };
    let before = (
        before.0,
        before.1,
        core.world()
            .channels
            .get(uuid)
            .and_then(|one| one.other.clone()),
    );
    {
        let mut world = core.world();
        if let (Some(channel), Some(held)) = (world.channels.get_mut(uuid), &before.0) {
            channel.vars.set("soft_holding_uuid", held.as_str());
        }
        join(&mut world, uuid, &third);
    }
    talk(core, uuid).await;
    let mut world = core.world();
    let is_up = |world: &World, uuid: &str| {
        world
            .channels
            .get(uuid)
            .is_some_and(|channel| !channel.is_down())
    };
    // The leg has hung up: those that it talked to are left with each other.
    if let Some(held) = &before.0
        && !is_up(&world, uuid)
        && is_up(&world, &third)
        && super::super::bridge::connect(&mut world, &third, held).is_ok()
    {
        return;
    }
    leave(&mut world, uuid, true);
    let held = before.0.clone();
    if let Some(channel) = world.channels.get_mut(uuid) {
        (channel.partner, channel.part, channel.other) = before;
        channel.vars.set("att_xfer_result", "success");
        channel.vars.set("soft_holding_uuid", "");
    }
    // The third party has hung up: the leg goes back to the one that waits.
    if let Some(held) = held
        && is_up(&world, uuid)
        && is_up(&world, &held)
    {
        let _is_bridged = super::super::bridge::connect(&mut world, uuid, &held);
    }
}
