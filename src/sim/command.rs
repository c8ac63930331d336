//! The commands of the event socket (`parse_command` in `mod_event_socket.c`).

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::channel::Message;
use super::core::{Core, World};
use super::event::Event;
use super::listener::Listener;
use super::names::{EventKind, KindSet};
use super::wire::{self, WireCommand};
use super::{api, config::SimUser, outbound, subscribe};

/// Who is at the other end.
#[derive(Debug)]
pub(super) enum Login {
    /// Nobody has logged in.
    None,
    /// `auth`: all is allowed.
    Full,
    /// `userauth`.
    User(Rights),
    /// The controller of a channel, at the other end of an outbound socket.
    Channel {
        /// The channel.
        uuid: String,
        /// Whether it may use every command.
        full: bool,
        /// How long the connection outlives the channel, if it asked for that.
        linger: Option<u64>,
    },
}

/// What a user may do; `None` allows all.
#[derive(Debug)]
pub(super) struct Rights {
    /// The kinds and the subclasses of events.
    pub(super) events: Option<(KindSet, BTreeSet<String>)>,
    apis: Option<BTreeSet<String>>,
    log: bool,
}

/// What is sent back.
#[derive(Debug)]
pub(super) enum Answer {
    /// A reply.
    Reply(Bytes),
    /// A reply, and then something that may only begin behind it.
    ReplyThen(Bytes, FollowUp),
    /// The last reply.
    Last(Bytes),
}

/// A job that begins when its reply has been sent.
#[derive(Debug)]
pub(super) struct FollowUp {
    name: String,
    arguments: Option<String>,
    job: String,
}

// === impl FollowUp ===

impl FollowUp {
    /// Starts the job.
    pub(super) fn start(self, core: &Arc<Core>) {
        api::run_in_background(core, self.name, self.arguments, self.job);
    }
}

/// Carries out a command and says what is answered. An `api` runs here, in the connection's own
/// task, and so holds up everything else on that connection.
pub(super) async fn perform(
    core: &Arc<Core>,
    key: u64,
    login: &mut Login,
    command: WireCommand,
) -> Answer {
    let line = command.line.as_str();
    let is = |word: &str| {
        line.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    if is("exit") || is("...") {
        return Answer::Last(wire::reply("+OK bye"));
    }
    if let Login::None = login {
        return authenticate(core, login, line);
    }
    if let Login::Channel { uuid, full, .. } = login
        && let Some(answer) = controlled(&mut core.world(), key, uuid, *full, line)
    {
        return answer;
    }
    if is("api ") {
        let (name, arguments) = split(line[4..].trim_end_matches(['\r', '\n']));
        if !may_call(login, name, arguments.unwrap_or_default()) {
            return denied();
        }
        let output = api::execute(core, name, arguments.unwrap_or_default()).await;
        let output = output.unwrap_or_else(|| format!("-ERR {name} Command not found!\n"));
        let output = if output.is_empty() {
            "-ERR no reply\n"
        } else {
            &output
        };
        return Answer::Reply(wire::frame("api/response", output.as_bytes()));
    }
    if is("bgapi ") {
        let (name, arguments) = split(&line[6..]);
        if !may_call(login, name, arguments.unwrap_or_default()) {
            return denied();
        }
        let job = command
            .header("job-uuid")
            .map_or_else(|| crate::chance::uuid().to_string(), str::to_owned);
        let reply = wire::reply_headers(&format!(
            "Reply-Text: +OK Job-UUID: {job}\nJob-UUID: {job}\n\n"
        ));
        let (name, arguments) = (name.to_owned(), arguments.map(str::to_owned));
        return Answer::ReplyThen(
            reply,
            FollowUp {
                name,
                arguments,
                job,
            },
        );
    }
    if is("sendmsg") {
        return sendmsg(core, login, command);
    }
    if is("sendevent") {
        return sendevent(&mut core.world(), &command);
    }
    let mut world = core.world();
    let Some(listener) = world.listeners.get_mut(&key) else {
        return not_found();
    };
    let reply = if is("filter ") {
        filter(listener, line[7..].trim_start_matches(' '))
    } else if is("log") {
        log(listener, login, line[3..].trim())
    } else if is("linger") {
        linger(login, line[6..].trim())
    } else if is("nolinger") {
        no_linger(login)
    } else if is("nolog") {
        match listener.log_level.take() {
            Some(_) => "+OK no longer logging".to_owned(),
            None => "-ERR not loging".to_owned(),
        }
    } else if is("event") {
        subscribe::subscribe(
            listener,
            login,
            line.split_once(' ').map_or("", |(_, rest)| rest),
        )
    } else if is("nixevent") {
        subscribe::unsubscribe(listener, line.split_once(' ').map_or("", |(_, rest)| rest))
    } else if is("noevents") {
        if listener.listening {
            listener.listening = false;
            listener.kinds = KindSet::default();
            listener.subclasses.clear();
            "+OK no longer listening for events".to_owned()
        } else {
            "-ERR not listening for events".to_owned()
        }
    } else if is("myevents ") {
        subscribe::my_events(&mut world, key, &line[9..])
    } else if is("divert_events") {
        "-ERR not controlling a session.".to_owned()
    } else {
        return not_found();
    };
    Answer::Reply(wire::reply(&reply))
}

/// The commands that only the controller of a channel has, and those that it lacks unless it has
/// full control.
fn controlled(world: &mut World, key: u64, uuid: &str, full: bool, line: &str) -> Option<Answer> {
    let is = |word: &str| {
        line.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    let reply = if is("connect") {
        let channel = outbound::connected(world, uuid, full);
        return Some(channel.map_or_else(not_found, Answer::Reply));
    } else if is("resume") {
        if let Some(channel) = world.channels.get_mut(uuid) {
            channel.vars.set("socket_resume", "true");
        }
        "+OK".to_owned()
    } else if is("getvar") {
        let name = line[6..].trim();
        let value = world
            .channels
            .get(uuid)
            .and_then(|channel| channel.vars.get(name));
        value.unwrap_or_default().to_owned()
    } else if is("myevents") {
        outbound::my_events(world, key, uuid, &line[8..])
    } else if is("divert_events") {
        match line[13..].trim() {
            "" => "-ERR missing value.".to_owned(),
            "on" => "+OK events diverted".to_owned(),
            _ => "+OK events not diverted".to_owned(),
        }
    } else if full || is("sendmsg") {
        return None;
    } else {
        return Some(not_found());
    };
    Some(Answer::Reply(wire::reply(&reply)))
}

fn not_found() -> Answer {
    Answer::Reply(wire::reply("-ERR command not found"))
}

fn denied() -> Answer {
    Answer::Reply(wire::reply("-ERR permission denied"))
}

/// An api's name and its arguments.
pub(super) fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once(' ') {
        Some((name, arguments)) => (name, Some(arguments)),
        None => (text, None),
    }
}

fn authenticate(core: &Arc<Core>, login: &mut Login, line: &str) -> Answer {
    let invalid = || Answer::Last(wire::reply("-ERR invalid"));
    if let Some(password) = line.strip_prefix("auth ") {
        if password != core.config.password {
            return invalid();
        }
        *login = Login::Full;
        return Answer::Reply(wire::reply("+OK accepted"));
    }
    if let Some(credentials) = line.strip_prefix("userauth ") {
        let Some((name, password)) = credentials.split_once(':') else {
            return invalid();
        };
        let found = core.config.users.iter().find(|user| user.name == name);
        let Some(user) = found.filter(|user| user.password == password) else {
            return invalid();
        };
        *login = Login::User(Rights::of(user));
        let events = user.allowed_events.as_deref().unwrap_or("all");
        let apis = user.allowed_api.as_deref().unwrap_or("all");
        let log = user.allowed_log;
        return Answer::Reply(wire::reply_headers(&format!(
            "Reply-Text: +OK accepted\nAllowed-Events: {events}\nAllowed-API: {apis}\n\
             Allowed-LOG: {log}\n\n"
        )));
    }
    not_found()
}

// === impl Rights ===

impl Rights {
    fn of(user: &SimUser) -> Self {
        let words = |text: &String| -> Vec<String> {
            let delimiter = if text.contains(' ') { ' ' } else { ',' };
            text.split(delimiter).map(str::to_owned).collect()
        };
        let events = user.allowed_events.as_ref().map(|text| {
            let (mut kinds, mut subclasses) = (KindSet::default(), BTreeSet::new());
            let mut is_custom = false;
            for word in words(text) {
                match EventKind::from_name(&word) {
                    _ if is_custom => drop(subclasses.insert(word)),
                    Some(kind) => {
                        kinds.insert(kind);
                        is_custom = kind == EventKind::Custom;
                    }
                    None => {}
                }
            }
            (kinds, subclasses)
        });
        let apis = user
            .allowed_api
            .as_ref()
            .map(|text| words(text).into_iter().collect());
        Self {
            events,
            apis,
            log: user.allowed_log,
        }
    }
}

/// Apis that run another, which must be allowed too (`auth_api_command`).
const WRAPPERS: [&str; 5] = ["bgapi", "sched_api", "eval", "expand", "xml_wrap"];

fn may_call(login: &Login, name: &str, arguments: &str) -> bool {
    let Login::User(Rights {
        apis: Some(apis), ..
    }) = login
    else {
        return true;
    };
    let inner = arguments.split_whitespace().any(|word| apis.contains(word));
    apis.contains(name) && (!WRAPPERS.contains(&name) || inner)
}

/// `sendmsg <uuid>`: the session's own task carries it out.
fn sendmsg(core: &Arc<Core>, login: &Login, command: WireCommand) -> Answer {
    let named = command.line[7..].trim().to_owned();
    let own = match login {
        Login::Channel { uuid, .. } => Some(uuid.as_str()),
        _ => None,
    };
    let uuid = match named.as_str() {
        "" => command
            .header("session-id")
            .or(own)
            .unwrap_or_default()
            .to_owned(),
        _ => named,
    };
    let mut world = core.world();
    let Some(channel) = world.channels.get_mut(&uuid) else {
        return Answer::Reply(wire::reply(&format!("-ERR invalid session id [{uuid}]")));
    };
    channel.inbox.push_back(Message::Command(Arc::new(command)));
    channel.wake.notify_one();
    Answer::Reply(wire::reply("+OK"))
}

/// `sendevent <name>`: an event of the client's own. One without a known name is `CUSTOM` without
/// a subclass.
fn sendevent(world: &mut World, command: &WireCommand) -> Answer {
    let id = crate::chance::uuid().to_string();
    let kind = EventKind::from_name(command.line[9..].trim()).unwrap_or(EventKind::Custom);
    let mut event = match command
        .header("Event-Subclass")
        .filter(|_| kind == EventKind::Custom)
    {
        Some(subclass) => Event::custom(subclass),
        None => Event::new(kind),
    };
    event.own_first = true;
    event.add("Command", command.line.as_str());
    for (name, value) in &command.headers {
        let known = name.eq_ignore_ascii_case("Event-Subclass") && event.subclass.is_some();
        if !known && !value.is_empty() {
            event.add(name.clone(), value.as_str());
        }
    }
    event.add("Event-UUID", id.as_str());
    event.body.clone_from(&command.body);
    // One with the id of a channel goes into that channel's queue, and nobody else hears of it.
    let is_for_channel = command
        .header("Unique-ID")
        .is_some_and(|uuid| world.channels.contains_key(uuid));
    if !is_for_channel {
        world.fire(event);
    }
    Answer::Reply(wire::reply(&format!("+OK {id}")))
}

fn filter(listener: &mut Listener, arguments: &str) -> String {
    let (header, value) = split(arguments);
    match (header.to_ascii_lowercase().as_str(), value) {
        ("delete", Some(rest)) => {
            let (header, value) = split(rest);
            listener.delete_filters(header, value);
            format!(
                "+OK filter deleted. [{header}][{}]",
                value.unwrap_or_default()
            )
        }
        ("add", Some(rest)) => {
            let (header, value) = split(rest);
            let value = value.unwrap_or_default();
            listener.add_filter(header, value);
            format!("+OK filter added. [{header}]=[{value}]")
        }
        (_, Some(value)) => {
            listener.add_filter(header, value);
            format!("+OK filter added. [{header}]=[{value}]")
        }
        (_, None) => "-ERR invalid syntax".to_owned(),
    }
}

/// Names of log levels; their place is their number.
const LEVELS: [&str; 8] = [
    "console", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

fn log(listener: &mut Listener, login: &Login, level: &str) -> String {
    if matches!(login, Login::User(rights) if !rights.log) {
        return "-ERR permission denied".to_owned();
    }
    let word = level.split(' ').next().unwrap_or_default();
    let number = match word {
        "" => Some(7),
        _ => word.parse::<u8>().ok().or_else(|| {
            LEVELS
                .iter()
                .position(|name| name.eq_ignore_ascii_case(word))
                .and_then(|at| u8::try_from(at).ok())
        }),
    };
    match number {
        Some(number) => {
            listener.log_level = Some(number);
            format!("+OK log level {word} [{number}]")
        }
        None => "-ERR invalid log level".to_owned(),
    }
}

fn linger(login: &mut Login, seconds: &str) -> String {
    let Login::Channel { linger, .. } = login else {
        return "-ERR not controlling a session".to_owned();
    };
    match seconds.parse::<u64>() {
        Ok(seconds) => {
            *linger = Some(seconds);
            format!("+OK will linger {seconds} seconds")
        }
        Err(_) => {
            *linger = Some(u64::MAX);
            "+OK will linger".to_owned()
        }
    }
}

fn no_linger(login: &mut Login) -> String {
    let Login::Channel { linger, .. } = login else {
        return "-ERR not controlling a session".to_owned();
    };
    *linger = None;
    "+OK will not linger".to_owned()
}
