//! `originate`: legs side by side or one after the other, until one is answered.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::channel::{Answer, Originator};
use super::core::{Core, World};
use super::dialstring::DialString;
use super::legs::{self, Caller};
use super::names::EventKind;
use super::{expand, quoting, transfer};
use crate::domain::{ChannelState, HangupCause};

/// Answer to an `originate` that cannot be understood.
pub(super) const USAGE: &str = "-USAGE: <call url> <exten>|&<application_name>(<app_args>) [<dialplan>] [<context>] \
     [<cid_name>] [<cid_num>] [<timeout_sec>]\n";

/// How long an originate waits unless it is told (`originate_function` in `mod_commands.c`).
const TIMEOUT: Duration = Duration::from_secs(60);

/// The api command.
pub(super) async fn api(core: &Arc<Core>, arguments: &str) -> String {
    let parts = quoting::separate(arguments, ' ', 10);
    if !(2..=7).contains(&parts.len()) {
        return USAGE.to_owned();
    }
    let part = |index: usize| {
        parts
            .get(index)
            .map(String::as_str)
            .filter(|part| *part != "undef")
    };
    let timeout = part(6)
        .and_then(|text| text.parse().ok())
        .map_or(TIMEOUT, Duration::from_secs);
    let caller = Caller {
        name: part(4).unwrap_or_default().to_owned(),
        number: part(5).unwrap_or_default().to_owned(),
        channel: None,
    };
    let leg = match originate(core, part(0).unwrap_or_default(), &caller, timeout).await {
        Ok(leg) => leg,
        Err(cause) => return format!("-ERR {cause}\n"),
    };
    let extension = part(1).unwrap_or_default();
    let mut world = core.world();
    match extension.strip_prefix('&').filter(|rest| !rest.is_empty()) {
        Some(application) => {
            let text = application.split(')').next().unwrap_or_default();
            let (name, argument) = text.split_once('(').unwrap_or((text, ""));
            if let Some(channel) = world.channels.get_mut(&leg) {
                channel.extension = [(name.to_owned(), argument.to_owned())].into();
            }
            world.set_state(&leg, ChannelState::Execute);
        }
        None => {
            let (dialplan, context) = (part(2).unwrap_or("XML"), part(3).unwrap_or("default"));
            transfer::transfer(&mut world, &leg, extension, dialplan, context);
        }
    }
    format!("+OK {leg}\n")
}

/// Calls until a leg is answered, or has early media; gives its uuid, or why there is none
/// (`switch_ivr_originate` in `switch_ivr_originate.c`).
pub(super) async fn originate(
    core: &Arc<Core>,
    dial_string: &str,
    caller: &Caller,
    timeout: Duration,
) -> Result<String, HangupCause> {
    let parsed = DialString::parse(dial_string).ok_or(HangupCause::DestinationOutOfOrder)?;
    let value = |name: &str| parsed.vars.iter().rev().find(|(key, _)| key == name);
    let timeout = value("originate_timeout")
        .and_then(|(_, text)| text.parse().ok())
        .map_or(timeout, Duration::from_secs);
    let goes_on = value("originate_continue_on_timeout").is_some_and(|(_, text)| text == "true");
    let mut last = HangupCause::DestinationOutOfOrder;
    for group in &parsed.groups {
        let changed = Arc::new(Originator::default());
        let mut legs = Legs {
            core,
            uuids: Vec::new(),
        };
        for spec in group {
            let mut world = core.world();
            let vars: Vec<_> = parsed
                .vars
                .iter()
                .chain(&spec.vars)
                .map(|(name, value)| (name.clone(), expand::undefined(&world, value)))
                .collect();
            let get = |name: &str| {
                vars.iter()
                    .rev()
                    .find(|(key, _)| key == name)
                    .map(|(_, v)| v.clone())
            };
            let own = Caller {
                name: get("origination_caller_id_name").unwrap_or_else(|| caller.name.clone()),
                number: get("origination_caller_id_number")
                    .or_else(|| Some(caller.number.clone()).filter(|number| !number.is_empty()))
                    .unwrap_or_else(|| "0000000000".to_owned()),
                channel: caller.channel.clone(),
            };
            match legs::make(&mut world, spec, &vars, &own, &changed) {
                Ok(uuid) => legs.uuids.push(uuid),
                Err(cause) => last = cause,
            }
        }
        let stop_early = value("ignore_early_media").is_none_or(|(_, text)| text != "true");
        // Each group has the whole time.
        let deadline = Instant::now() + timeout.saturating_sub(ELAPSED);
        match legs.wait(&changed, deadline, stop_early).await {
            Ended::Answered(uuid) => return Ok(uuid),
            Ended::Failed(Some(cause)) => last = cause,
            Ended::Failed(None) => {}
            Ended::TimedOut if goes_on => last = HangupCause::NoAnswer,
            Ended::TimedOut => return Err(HangupCause::NoAnswer),
        }
    }
    Err(last)
}

/// FreeSWITCH counts a timeout in whole seconds of its clock, so it ends somewhat early; the
/// recordings show 1.5 s for 2.
const ELAPSED: Duration = Duration::from_millis(400);

/// The legs of a group; those that are left when it is dropped are hung up.
struct Legs<'a> {
    core: &'a Arc<Core>,
    uuids: Vec<String>,
}

enum Ended {
    Answered(String),
    Failed(Option<HangupCause>),
    TimedOut,
}

// === impl Legs ===

impl Legs<'_> {
    async fn wait(mut self, originator: &Originator, deadline: Instant, stop_early: bool) -> Ended {
        loop {
            {
                let mut world = self.core.world();
                let mut winner = None;
                self.uuids.retain(|uuid| match world.channels.get(uuid) {
                    Some(channel) if !channel.is_down() => {
                        let enough = if stop_early {
                            Answer::Early
                        } else {
                            Answer::Answered
                        };
                        if channel.answer >= enough && winner.is_none() {
                            winner = Some(uuid.clone());
                        }
                        true
                    }
                    Some(_) | None => false,
                });
                if let Some(winner) = winner {
                    for loser in std::mem::take(&mut self.uuids) {
                        if loser != winner {
                            world.hangup(&loser, HangupCause::LoseRace);
                        }
                    }
                    world.finish_originate(&winner);
                    return Ended::Answered(winner);
                }
                if self.uuids.is_empty() {
                    let number = originator.last_cause.load(Ordering::Relaxed);
                    return Ended::Failed(HangupCause::from_number(number));
                }
            }
            if tokio::time::timeout_at(deadline, originator.changed.notified())
                .await
                .is_err()
            {
                let mut world = self.core.world();
                for uuid in std::mem::take(&mut self.uuids) {
                    world.hangup(&uuid, HangupCause::NoAnswer);
                }
                return Ended::TimedOut;
            }
        }
    }
}

impl Drop for Legs<'_> {
    fn drop(&mut self) {
        if !self.uuids.is_empty() {
            let mut world = self.core.world();
            for uuid in std::mem::take(&mut self.uuids) {
                world.hangup(&uuid, HangupCause::OriginatorCancel);
            }
        }
    }
}

// === impl World ===

impl World {
    /// The originate of a leg has come to its end: caller and callee change places, since the leg
    /// is now the one that is called from (`switch_channel_flip_cid` in `switch_channel.c`).
    fn finish_originate(&mut self, uuid: &str) {
        let Some(channel) = self.channels.get_mut(uuid) else {
            return;
        };
        channel.originating = false;
        channel.originator = None;
        if channel.other.is_some() {
            return;
        }
        channel.hit_dialplan = true;
        self.flip(uuid);
    }

    /// Caller and callee change places, and `CALL_UPDATE` says so.
    pub(super) fn flip(&mut self, uuid: &str) {
        let Some(channel) = self.channels.get_mut(uuid) else {
            return;
        };
        let Some(profile) = &mut channel.profile else {
            return;
        };
        let (name, number) = (
            profile.caller_id_name.clone(),
            profile.caller_id_number.clone(),
        );
        std::mem::swap(&mut profile.caller_id_name, &mut profile.callee_id_name);
        std::mem::swap(&mut profile.caller_id_number, &mut profile.callee_id_number);
        channel.vars.set("pre_transfer_caller_id_name", name);
        channel.vars.set("pre_transfer_caller_id_number", number);
        channel.vars.set("channel_cid_flipped", "yes");
        self.fire_channel_with(uuid, EventKind::CallUpdate, |event| {
            event.add("Direction", "RECV");
        });
        self.list(uuid);
    }
}
