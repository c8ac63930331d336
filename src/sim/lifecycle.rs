//! The life of a channel: its states, the events of each, and the task that walks through them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;

use super::channel::{Answer, Channel, call_state_number};
use super::core::{Core, World};
use super::names::EventKind;
use super::{apps, bridge, cdr, dialplan, far};
use crate::domain::{CallState, ChannelState, Direction, HangupCause};

/// What the session's task has to do next.
enum Step {
    /// The channel is gone.
    Gone,
    /// Look again: the state has changed.
    Again,
    /// Nothing until somebody wakes it.
    Idle(Arc<Notify>),
    /// A message waits.
    Message,
    /// Run the extension's applications.
    Applications,
    /// Stay parked.
    Park,
    /// Stay bridged, as the leg that began it or as the other.
    Bridged,
}

/// Walks through the states of a channel until it is gone. The one task of a session, as the one
/// thread that FreeSWITCH gives it (`switch_core_session_run` in `switch_core_state_machine.c`).
pub(super) async fn run(core: Arc<Core>, uuid: String, number: u64) {
    let stopped = core.drain.stopped();
    tokio::select! {
        biased;
        () = stopped => {}
        () = walk(&core, &uuid, number) => {}
    }
}

async fn walk(core: &Arc<Core>, uuid: &str, number: u64) {
    loop {
        let step = next(&mut core.world(), uuid, number);
        match step {
            Step::Gone => return,
            Step::Again => {}
            Step::Idle(wake) => wake.notified().await,
            Step::Message => apps::take_message(core, uuid).await,
            Step::Applications => apps::run_extension(core, uuid).await,
            Step::Park => apps::park(core, uuid).await,
            Step::Bridged => bridge::stay(core, uuid).await,
        }
    }
}

fn next(world: &mut World, uuid: &str, number: u64) -> Step {
    let Some(channel) = world
        .channels
        .get(uuid)
        .filter(|channel| channel.number == number)
    else {
        return Step::Gone;
    };
    if channel.state == channel.running {
        return match channel.state {
            _ if !channel.inbox.is_empty() => Step::Message,
            _ => Step::Idle(Arc::clone(&channel.wake)),
        };
    }
    let state = channel.state;
    world.set_running(uuid, state);
    match state {
        ChannelState::New => far::invited(world, uuid),
        ChannelState::Init => init(world, uuid),
        ChannelState::Routing => route(world, uuid),
        ChannelState::Execute => return Step::Applications,
        ChannelState::Park => return Step::Park,
        ChannelState::SoftExecute => return Step::Bridged,
        ChannelState::Hibernate => bridge::sleeping(world, uuid),
        ChannelState::Reset => bridge::reset(world, uuid),
        ChannelState::ExchangeMedia => bridge::tell(world, uuid),
        ChannelState::ConsumeMedia => far::reach(world, uuid),
        ChannelState::Hangup => on_hangup(world, uuid),
        ChannelState::Reporting => report(world, uuid),
        _ => {}
    }
    Step::Again
}

fn init(world: &mut World, uuid: &str) {
    far::starting(world, uuid);
    world.set_state(uuid, ChannelState::Routing);
    world.fire_channel(uuid, EventKind::Create);
    let Some(channel) = world.channels.get(uuid) else {
        return;
    };
    let originating = channel.originating;
    world.list(uuid);
    if originating {
        world.fire_channel(uuid, EventKind::Originate);
    }
}

/// A leg that is being originated only consumes media until somebody tells it what to do; any
/// other asks the dialplan.
fn route(world: &mut World, uuid: &str) {
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    if channel.originating {
        return world.set_state(uuid, ChannelState::ConsumeMedia);
    }
    let (context, destination) = match &channel.profile {
        Some(profile) => (profile.context.clone(), profile.destination_number.clone()),
        None => (String::new(), String::new()),
    };
    if std::mem::take(&mut channel.update_due) {
        world.flip(uuid);
    }
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    match dialplan::find(&context, &destination) {
        Some((applications, captured)) => {
            channel.vars.set("call_uuid", channel.uuid.clone());
            channel.vars.set("DP_MATCH", captured);
            channel.extension = applications.into();
            channel.hit_dialplan = true;
            world.set_state(uuid, ChannelState::Execute);
        }
        None => world.hangup(uuid, HangupCause::NoRouteDestination),
    }
}

fn on_hangup(world: &mut World, uuid: &str) {
    let now = world.now();
    let Some(channel) = world.channels.get_mut(uuid) else {
        return;
    };
    if let Some(times) = channel.times() {
        times.hungup = now;
    }
    cdr::write(channel, now);
    world.set_call_state(uuid, CallState::Hangup);
    far::hung_up(world, uuid);
    if let Some(channel) = world.channels.get_mut(uuid) {
        cdr::write_endpoint(channel);
    }
    world.set_state(uuid, ChannelState::Reporting);
}

fn report(world: &mut World, uuid: &str) {
    world.fire_channel(uuid, EventKind::HangupComplete);
    if let Some(channel) = world.channels.get_mut(uuid) {
        bridge::note_end(channel);
        if let Some(control) = channel.control.take() {
            control.released.cancel();
        }
    }
    world.set_state(uuid, ChannelState::Destroy);
    world.fire_channel(uuid, EventKind::Destroy);
    world.set_running(uuid, ChannelState::Destroy);
    if let Some(channel) = world.channels.remove(uuid) {
        channel.tell_originator();
        world.unlist(&channel);
    }
}

// === impl Channel ===

impl Channel {
    /// Wakes the originate that waits for this channel, if there is one.
    pub(super) fn tell_originator(&self) {
        if let Some(originator) = &self.originator {
            if let Some(cause) = self.cause {
                originator
                    .last_cause
                    .store(cause.number(), Ordering::Relaxed);
            }
            originator.changed.notify_one();
        }
    }
}

// === impl World ===

impl World {
    /// Puts a channel into a state; its task follows. A state never goes back from hangup
    /// (`switch_channel_perform_set_state` in `switch_channel.c`).
    pub(super) fn set_state(&mut self, uuid: &str, state: ChannelState) {
        let Some(channel) = self.channels.get_mut(uuid) else {
            return;
        };
        if channel.is_down() && !state.is_down() {
            return;
        }
        channel.state = state;
        channel.wake.notify_one();
    }

    /// Says that the channel's task runs this state now
    /// (`switch_channel_perform_set_running_state`).
    pub(super) fn set_running(&mut self, uuid: &str, state: ChannelState) {
        let Some(channel) = self.channels.get_mut(uuid) else {
            return;
        };
        channel.running = state;
        let inbound = channel.direction == Direction::Inbound;
        let call_state = match (state, channel.answer) {
            _ if !inbound || state.is_down() => None,
            (ChannelState::Routing, _) => Some(CallState::Ringing),
            (_, Answer::Answered) => Some(CallState::Active),
            (_, Answer::Early) => Some(CallState::Early),
            _ => None,
        };
        if let Some(call_state) = call_state {
            self.set_call_state(uuid, call_state);
        }
        self.fire_channel(uuid, EventKind::State);
        self.list(uuid);
    }

    /// Changes the call state and says so (`switch_channel_perform_set_callstate`).
    pub(super) fn set_call_state(&mut self, uuid: &str, state: CallState) {
        let Some(channel) = self.channels.get_mut(uuid) else {
            return;
        };
        let before = channel.call_state;
        if before == state || before == CallState::Hangup {
            return;
        }
        channel.call_state = state;
        self.fire_channel_with(uuid, EventKind::CallState, |event| {
            event.add("Original-Channel-Call-State", before.name());
            event.add(
                "Channel-Call-State-Number",
                call_state_number(state).to_string(),
            );
        });
        self.list(uuid);
    }

    /// Hangs a channel up (`switch_channel_perform_hangup`); its task does the rest.
    pub(super) fn hangup(&mut self, uuid: &str, cause: HangupCause) {
        let Some(channel) = self.channels.get_mut(uuid) else {
            return;
        };
        if channel.is_down() {
            return;
        }
        channel.cause = Some(cause);
        far::acknowledge(channel);
        channel.state = ChannelState::Hangup;
        if let Some(part) = channel.part {
            channel.vars.set("last_bridge_role", part.role());
            if part == bridge::Part::First {
                channel.vars.set("last_bridge_hangup_cause", cause.name());
            }
        }
        let (name, running) = (channel.name.clone(), channel.running);
        self.fire_channel(uuid, EventKind::Hangup);
        self.log(5, uuid, &format!("Hangup {name} [{running}] [{cause}]"));
        if let Some(channel) = self.channels.get(uuid) {
            channel.wake.notify_one();
            channel.tell_originator();
        }
    }

    /// The far end rings (`switch_channel_perform_mark_ring_ready_value`).
    pub(super) fn mark_ringing(&mut self, uuid: &str) {
        let now = self.now();
        let Some(channel) = self.channels.get_mut(uuid) else {
            return;
        };
        let done = channel.is_down() || channel.answer != Answer::Ringing;
        if done
            || channel
                .profile
                .as_ref()
                .is_some_and(|profile| profile.times.progress > 0)
        {
            return;
        }
        if let Some(times) = channel.times() {
            times.progress = now;
        }
        far::learn_progress(channel);
        self.fire_channel(uuid, EventKind::Progress);
        if self
            .channels
            .get(uuid)
            .is_some_and(|one| one.direction == Direction::Outbound)
        {
            self.set_call_state(uuid, CallState::Ringing);
        }
        self.after_signal(uuid);
    }

    /// Early media flows (`switch_channel_perform_mark_pre_answered`).
    pub(super) fn mark_early(&mut self, uuid: &str) {
        let now = self.now();
        let Some(channel) = self.channels.get(uuid) else {
            return;
        };
        if channel.is_down() || channel.answer != Answer::Ringing {
            return;
        }
        // An outbound leg learns its codec behind the event, an inbound one before it.
        let outbound = channel.direction == Direction::Outbound;
        if !outbound {
            far::negotiate(self, uuid);
        }
        let Some(channel) = self.channels.get_mut(uuid) else {
            return;
        };
        channel.answer = Answer::Early;
        if let Some(times) = channel.times() {
            times.progress_media = now;
        }
        far::learn_early(channel);
        self.fire_channel(uuid, EventKind::ProgressMedia);
        self.set_call_state(uuid, CallState::Early);
        if outbound {
            far::negotiate(self, uuid);
        } else if let Some(channel) = self.channels.get_mut(uuid) {
            far::learn_answer(channel);
        }
        self.after_signal(uuid);
    }

    /// The leg is answered (`switch_channel_perform_mark_answered`).
    pub(super) fn mark_answered(&mut self, uuid: &str) {
        let now = self.now();
        let Some(channel) = self.channels.get(uuid) else {
            return;
        };
        if channel.is_down() || channel.answer == Answer::Answered {
            return;
        }
        far::negotiate(self, uuid);
        let Some(channel) = self.channels.get_mut(uuid) else {
            return;
        };
        channel.answer = Answer::Answered;
        if let Some(times) = channel.times() {
            times.answered = now;
        }
        far::learn_answer(channel);
        self.fire_channel(uuid, EventKind::Answer);
        if let Some(channel) = self.channels.get_mut(uuid) {
            channel.vars.set("endpoint_disposition", "ANSWER");
        }
        self.set_call_state(uuid, CallState::Active);
        self.after_signal(uuid);
    }

    fn after_signal(&mut self, uuid: &str) {
        self.list(uuid);
        if let Some(channel) = self.channels.get(uuid) {
            channel.tell_originator();
            channel.wake.notify_one();
        }
    }
}
