//! Applications: how they are executed.

pub(super) mod media;
mod misc;
mod talk;
mod wait;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub(super) use wait::{Wait, Woken};

use super::channel::{Answer, Message, Running};
use super::core::Core;
use super::event::Event;
use super::names::EventKind;
use super::{conference, expand, outbound};
use crate::domain::{ChannelState, Direction, HangupCause};

/// Applications that need media, and so give an unanswered inbound leg early media.
const NEED_MEDIA: [&str; 12] = [
    "playback",
    "endless_playback",
    "echo",
    "conference",
    "record",
    "record_session",
    "speak",
    "play_and_get_digits",
    "eavesdrop",
    "delay_echo",
    "say",
    "displace_session",
];

/// How long five lead frames take, as recorded.
const LEAD_IN: Duration = Duration::from_millis(180);

/// Runs the applications of the channel's extension one after the other, then hangs up
/// (`switch_core_standard_on_execute` in `switch_core_state_machine.c`).
pub(super) async fn run_extension(core: &Arc<Core>, uuid: &str) {
    loop {
        let next = {
            let mut world = core.world();
            let Some(channel) = world.channels.get_mut(uuid) else {
                return;
            };
            if channel.state != ChannelState::Execute {
                return;
            }
            channel.extension.pop_front()
        };
        let Some((name, argument)) = next else { break };
        execute(core, uuid, &name, &argument, None).await;
    }
    core.world().hangup(uuid, HangupCause::NormalClearing);
}

/// Carries out one message that waits for the session.
pub(super) async fn take_message(core: &Arc<Core>, uuid: &str) {
    let message = core
        .world()
        .channels
        .get_mut(uuid)
        .and_then(|channel| channel.inbox.pop_front());
    if let Some(message) = message {
        perform(core, uuid, message).await;
    }
}

/// Stays parked (`switch_ivr_park` in `switch_ivr.c`).
pub(super) async fn park(core: &Arc<Core>, uuid: &str) {
    core.world().fire_channel(uuid, EventKind::Park);
    loop {
        let mut wait = Wait::new(core, uuid);
        wait.digits = true;
        match wait.next().await {
            Woken::Message(message) => {
                // Without media, FreeSWITCH takes the command another way, which tells nobody.
                let media = core
                    .world()
                    .channels
                    .get(uuid)
                    .is_some_and(|one| one.codec.is_some());
                carry_out(core, uuid, message, media).await;
            }
            // Digits are read and forgotten; `uuid_break` does not end a park.
            Woken::Digit(_) | Woken::Broken => {}
            Woken::Down | Woken::Moved | Woken::Timeout => break,
        }
    }
    core.world().fire_channel(uuid, EventKind::Unpark);
}

/// Carries out a command for the session (`switch_ivr_parse_event` in `switch_ivr.c`), and says so
/// with `PRIVATE_COMMAND`.
pub(super) fn perform<'a>(
    core: &'a Arc<Core>,
    uuid: &'a str,
    message: Message,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    Box::pin(async move {
        // A file that plays is held up by what is carried out meanwhile.
        let began = Instant::now();
        let held = core
            .world()
            .channels
            .get_mut(uuid)
            .and_then(|channel| channel.play.take());
        carry_out(core, uuid, message, true).await;
        if let Some(channel) = core.world().channels.get_mut(uuid) {
            channel.play = held.map(|play| play.held_up(began.elapsed()));
        }
    })
}

fn carry_out<'a>(
    core: &'a Arc<Core>,
    uuid: &'a str,
    message: Message,
    tell: bool,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    Box::pin(async move {
        let command = match message {
            Message::Execute(name, argument) => {
                lead_in(core, uuid).await;
                execute_loop(core, uuid, &name, &argument, None, 1).await;
                let command = [("call-command", "execute"), ("execute-app-name", &name)];
                let mut headers: Vec<_> = command
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into();
                headers.push(("event-lock".to_owned(), "true".to_owned()));
                headers.push(("lead-frames".to_owned(), "5".to_owned()));
                if !argument.is_empty() {
                    headers.push(("execute-app-arg".to_owned(), argument));
                }
                if tell {
                    fire_private(core, uuid, true, &headers, None);
                }
                return;
            }
            Message::Command(command) => command,
        };
        let header = |name: &str| command.header(name);
        match header("call-command")
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "execute" => {
                if let Some(name) = header("execute-app-name") {
                    let body = command.body.as_ref().filter(|_| {
                        header("content-type")
                            .is_some_and(|kind| kind.eq_ignore_ascii_case("text/plain"))
                    });
                    let body = body.map(|body| String::from_utf8_lossy(body).into_owned());
                    let argument = header("execute-app-arg")
                        .filter(|argument| !argument.is_empty())
                        .map(str::to_owned)
                        .or(body)
                        .unwrap_or_default();
                    let loops = header("loops")
                        .and_then(|text| text.trim().parse().ok())
                        .unwrap_or(1);
                    let id = header("event-uuid");
                    execute_loop(core, uuid, name, &argument, id, loops).await;
                }
            }
            "hangup" => {
                let cause = header("hangup-cause").map(|name| name.parse().ok());
                let cause = cause.flatten().unwrap_or(HangupCause::NormalClearing);
                core.world().hangup(uuid, cause);
            }
            _ => {}
        }
        let mut headers = vec![("Command".to_owned(), command.line.clone())];
        headers.extend(command.headers.iter().cloned());
        if tell {
            fire_private(core, uuid, false, &headers, command.body.clone());
        }
    })
}

fn fire_private(
    core: &Arc<Core>,
    uuid: &str,
    broadcast: bool,
    headers: &[(String, String)],
    body: Option<Vec<u8>>,
) {
    let mut world = core.world();
    // What `uuid_broadcast` queues has been an event before and keeps its first headers.
    let mut event = if broadcast {
        world.prepare(Event::new(EventKind::Command))
    } else {
        Event::new(EventKind::PrivateCommand)
    };
    event.kind = EventKind::PrivateCommand;
    event.own_first = true;
    let Some(channel) = world.channels.get(uuid) else {
        return;
    };
    for (name, value) in headers {
        event.add_some(name.clone(), value);
    }
    channel.write(&mut event, world.verbose);
    event.body = body;
    world.fire(event);
}

/// What `uuid_broadcast` plays begins behind some frames of what is heard already.
async fn lead_in(core: &Arc<Core>, uuid: &str) {
    let media = core
        .world()
        .channels
        .get(uuid)
        .is_some_and(|channel| channel.codec.is_some());
    if !media {
        return;
    }
    let mut wait = Wait::new(core, uuid).for_at_most(LEAD_IN);
    wait.messages = false;
    wait.next().await;
}

async fn execute_loop(
    core: &Arc<Core>,
    uuid: &str,
    name: &str,
    argument: &str,
    id: Option<&str>,
    loops: i32,
) {
    let mut round = 0;
    if let Some(channel) = core.world().channels.get_mut(uuid) {
        channel.stops_loop = false;
    }
    while round < loops || loops < 0 {
        round += 1;
        if let Some(channel) = core.world().channels.get_mut(uuid) {
            channel.vars.set("current_loop", round.to_string());
            channel.vars.set("total_loops", loops.to_string());
        }
        let began = Instant::now();
        let went_on = execute(core, uuid, name, argument, id).await;
        let is_stopped = core
            .world()
            .channels
            .get(uuid)
            .is_some_and(|channel| channel.stops_loop);
        // An application that ends within half a second is not repeated.
        if !went_on || is_stopped || began.elapsed() < Duration::from_millis(500) {
            break;
        }
    }
    if let Some(channel) = core.world().channels.get_mut(uuid) {
        channel.vars.set("current_loop", "");
        channel.vars.set("total_loops", "");
    }
}

/// Executes an application (`switch_core_session_execute_application` and `_exec` in
/// `switch_core_session.c`). One that does not exist hangs the channel up. Says whether the
/// channel is still there to go on with.
pub(super) fn execute<'a>(
    core: &'a Arc<Core>,
    uuid: &'a str,
    name: &'a str,
    argument: &'a str,
    id: Option<&'a str>,
) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
    Box::pin(async move {
        let named = id.is_some();
        let id = id.map_or_else(|| crate::chance::uuid().to_string(), str::to_owned);
        let argument = {
            let mut world = core.world();
            let Some(channel) = world.channels.get(uuid) else {
                return false;
            };
            if channel.is_down() {
                return false;
            }
            let known = world.has_application(name);
            if let Some(channel) = world.channels.get_mut(uuid).filter(|_| named) {
                // The variable outlives an application that does not exist.
                channel.vars.set("app_uuid", if known { "" } else { &id });
            }
            let Some(channel) = world.channels.get(uuid) else {
                return false;
            };
            if !known {
                world.hangup(uuid, HangupCause::DestinationOutOfOrder);
                return false;
            }
            let early =
                channel.direction == Direction::Inbound && channel.answer == Answer::Ringing;
            if early && NEED_MEDIA.contains(&name) {
                world.pre_answer_local(uuid);
            }
            let argument = expand::channel(&mut world, uuid, argument);
            let Some(channel) = world.channels.get_mut(uuid) else {
                return false;
            };
            channel.vars.set("current_application", name);
            channel
                .vars
                .set("current_application_data", argument.as_str());
            channel.vars.set("current_application_response", "");
            channel.stack.push(Running {
                name: name.to_owned(),
                data: argument.clone(),
            });
            world.fire_channel_with(uuid, EventKind::Execute, |event| {
                event.add("Application", name);
                event.add_some("Application-Data", &argument);
                event.add("Application-UUID", id.as_str());
            });
            world.list(uuid);
            argument
        };
        run(core, uuid, name, &argument).await;
        let mut world = core.world();
        let Some(channel) = world.channels.get_mut(uuid) else {
            return false;
        };
        channel.stack.pop();
        let response = channel
            .vars
            .get("current_application_response")
            .unwrap_or("_none_")
            .to_owned();
        world.fire_channel_with(uuid, EventKind::ExecuteComplete, |event| {
            event.add("Application", name);
            event.add_some("Application-Data", &argument);
            event.add("Application-Response", response);
            event.add("Application-UUID", id);
        });
        world.list(uuid);
        world
            .channels
            .get(uuid)
            .is_some_and(|channel| !channel.is_down())
    })
}

async fn run(core: &Arc<Core>, uuid: &str, name: &str, argument: &str) {
    match name {
        "answer" => core.world().answer_local(uuid),
        "pre_answer" => core.world().pre_answer_local(uuid),
        "ring_ready" => core.world().ring_local(uuid),
        "park" => park(core, uuid).await,
        "echo" | "delay_echo" | "hold" | "park_state" => drop(Wait::new(core, uuid).out().await),
        "sleep" => {
            let span = Duration::from_millis(argument.trim().parse().unwrap_or(0));
            Wait::new(core, uuid).for_at_most(span).out().await;
        }
        "playback" => media::playback(core, uuid, argument, false).await,
        "endless_playback" => media::playback(core, uuid, argument, true).await,
        "play_and_get_digits" => media::play_and_get_digits(core, uuid, argument).await,
        "speak" => media::speak(core, uuid),
        "record_session" => {
            let (path, limit) = argument.split_once('+').unwrap_or((argument, ""));
            media::record(&mut core.world(), uuid, path.trim(), limit.trim());
        }
        "stop_record_session" => drop(media::stop_record(&mut core.world(), uuid, argument)),
        "bridge" => talk::bridge(core, uuid, argument).await,
        "conference" => conference::join(core, uuid, argument).await,
        "socket" => outbound::run(core, uuid, argument).await,
        "eavesdrop" => talk::eavesdrop(core, uuid, argument).await,
        "att_xfer" => talk::attended_transfer(core, uuid, argument).await,
        _ => misc::run(&mut core.world(), uuid, name, argument),
    }
}
