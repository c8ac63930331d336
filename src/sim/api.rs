//! The api commands.

mod channel;
mod media;
mod node;
mod show;

use std::sync::Arc;
use std::time::Duration;

use super::core::{Core, World};
use super::event::Event;
use super::names::EventKind;
use super::{originate, schedule, tables};
use crate::domain::HangupCause;

/// Executes an api and gives its output; `None` when there is no such api
/// (`switch_api_execute` in `switch_loadable_module.c`, which fires `API` behind it).
pub(super) async fn execute(core: &Arc<Core>, name: &str, arguments: &str) -> Option<String> {
    let output = match name {
        "originate" => Some(originate::api(core, arguments).await),
        "msleep" => {
            let span = Duration::from_millis(arguments.trim().parse().unwrap_or(0));
            tokio::time::sleep(span).await;
            Some("+OK\n".to_owned())
        }
        "uuid_deflect" => Some(channel::deflect(core, arguments).await),
        "bgapi" => {
            let (name, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
            let job = crate::chance::uuid().to_string();
            run_in_background(core, name.to_owned(), Some(rest.to_owned()), job.clone());
            Some(format!("+OK Job-UUID: {job}\n"))
        }
        "sched_api" | "sched_hangup" | "sched_transfer" => Some(plan(core, name, arguments)),
        "show" => Some(show::aside(core, arguments).await),
        "sim_fault" => Some(fault(core, arguments)),
        _ => now_inner(&mut core.world(), name, arguments),
    };
    fire(&mut core.world(), name, arguments);
    output
}

/// Executes an api that does not wait, as an expansion does.
pub(super) fn now(world: &mut World, name: &str, arguments: &str) -> Option<String> {
    let output = now_inner(world, name, arguments);
    fire(world, name, arguments);
    output
}

fn fire(world: &mut World, name: &str, arguments: &str) {
    let mut event = Event::new(EventKind::Api).with("API-Command", name);
    event.add_some("API-Command-Argument", arguments);
    world.fire(event);
}

fn now_inner(world: &mut World, name: &str, arguments: &str) -> Option<String> {
    node::run(world, name, arguments)
        .or_else(|| show::run(world, name, arguments))
        .or_else(|| channel::run(world, name, arguments))
        .or_else(|| media::run(world, name, arguments))
        .or_else(|| tables::is_api(name).then(|| "-ERR not simulated\n".to_owned()))
}

/// Starts a job: `BACKGROUND_JOB` tells its end (`api_exec` in `mod_event_socket.c`).
pub(super) fn run_in_background(
    core: &Arc<Core>,
    name: String,
    arguments: Option<String>,
    job: String,
) {
    let (core, drain) = (Arc::clone(core), core.drain.clone());
    let (stopped, generation) = (drain.stopped(), core.world().core_uuid.clone());
    drain.spawn(async move {
        let output = tokio::select! {
            biased;
            () = stopped => return,
            output = execute(&core, &name, arguments.as_deref().unwrap_or_default()) => output,
        };
        let mut world = core.world();
        // A node that was restarted does not know the jobs of its former life.
        if world.core_uuid != generation {
            return;
        }
        let output = output.unwrap_or_else(|| format!("-ERR {name} Command not found!\n"));
        let mut event = Event::new(EventKind::BackgroundJob)
            .with("Job-UUID", job)
            .with("Job-Command", name);
        if let Some(arguments) = arguments {
            event.add("Job-Command-Arg", arguments);
        }
        event.body = Some(output.into_bytes());
        world.fire(event);
    });
}

fn fault(core: &Arc<Core>, arguments: &str) -> String {
    match super::fault::Fault::parse(arguments) {
        Some((links, fault)) => {
            core.inject(links, fault);
            "+OK\n".to_owned()
        }
        None => "-USAGE: drop_links|half_open|stall <time>|cut_mid_frame|restart|lose_events <n>|\
                 slow_replies <time>|refuse_connections <time>|heal [events|commands|one_command]\n"
            .to_owned(),
    }
}

/// `sched_api [+@]<time> <group> <command>`, `sched_hangup [+]<time> <uuid> [<cause>]`,
/// `sched_transfer [+]<time> <uuid> <extension> [<dialplan>] [<context>]`.
fn plan(core: &Arc<Core>, name: &str, arguments: &str) -> String {
    let usage = match name {
        "sched_api" => "-ERR Invalid syntax. USAGE: [+@]<time> <group_name> <command_string>[&]\n",
        "sched_hangup" => "-USAGE: [+]<time> <uuid> [<cause>]\n",
        _ => "-USAGE: [+]<time> <uuid> <extension> [<dialplan>] [<context>]\n",
    };
    let mut parts = arguments.splitn(3, ' ');
    let (Some(when), Some(who)) = (parts.next(), parts.next()) else {
        return usage.to_owned();
    };
    let rest = parts.next().unwrap_or_default();
    let mut world = core.world();
    let now = world.now() / 1_000_000;
    let after = match when.strip_prefix(['+', '@']) {
        Some(span) => span.parse().ok(),
        None => when.parse::<u64>().ok().map(|at| at.saturating_sub(now)),
    };
    let Some(after) = after.map(Duration::from_secs) else {
        return usage.to_owned();
    };
    if name == "sched_api" {
        let (command, arguments) = rest.split_once(' ').unwrap_or((rest, ""));
        if command.is_empty() {
            return usage.to_owned();
        }
        let action = schedule::Action::Api(command.to_owned(), arguments.to_owned());
        let id = schedule::plan(core, &mut world, after, who, action);
        return format!("+OK Added: {id}\n");
    }
    if !world.channels.contains_key(who) {
        return "-ERR No such channel!\n".to_owned();
    }
    let action = if name == "sched_hangup" {
        let cause = rest.trim().parse().unwrap_or(HangupCause::AllottedTimeout);
        schedule::Action::Hangup(who.to_owned(), cause)
    } else {
        let mut words = rest.split_whitespace().map(str::to_owned);
        let Some(extension) = words.next() else {
            return usage.to_owned();
        };
        let dialplan = words.next().unwrap_or_else(|| "XML".to_owned());
        let context = words.next().unwrap_or_else(|| "default".to_owned());
        schedule::Action::Transfer(who.to_owned(), [extension, dialplan, context])
    };
    // A hangup that is due at once does not wait for the clock.
    schedule::plan(core, &mut world, after, who, action);
    "+OK\n".to_owned()
}
