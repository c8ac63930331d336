//! Apis of the node itself.

use super::super::core::World;
use super::super::{amd, expand, tables};
use crate::domain::HangupCause;

/// Runs an api of this family; `None` when it is none of them.
pub(super) fn run(world: &mut World, name: &str, arguments: &str) -> Option<String> {
    Some(match name {
        "status" => status(world),
        // `version_function` in `mod_commands.c`.
        "version" if arguments.trim() == "short" => "1.10.12-release\n".to_owned(),
        "version" => "FreeSWITCH Version 1.10.12-release+git~20240802T210227Z~a88d069d6f~64bit \
                      (git a88d069 2024-08-02 21:02:27Z 64bit)\n"
            .to_owned(),
        "create_uuid" => crate::chance::uuid().to_string(),
        "hostname" | "switchname" => world.switch_name.clone(),
        "uptime" => world.clock.uptime().as_secs().to_string(),
        "echo" => arguments.to_owned(),
        "strepoch" => (world.now() / 1_000_000).to_string(),
        "strftime" => strftime(world, arguments),
        "strmicroepoch" => world.now().to_string(),
        "expr" => expr(arguments),
        "expand" | "eval" => evaluate(world, arguments),
        "cond" => cond(arguments),
        "system" => format!("simulated shell: {arguments}\n"),
        "reloadxml" => {
            world.fire(super::super::event::Event::new(
                super::super::names::EventKind::ReloadXml,
            ));
            "+OK [Success]\n".to_owned()
        }
        "reloadacl" => "+OK acl reloaded\n".to_owned(),
        "global_getvar" => global_getvar(world, arguments),
        "global_setvar" => global_setvar(world, arguments),
        "module_exists" => is_loaded(world, arguments.trim()).to_string(),
        "load" => load(world, arguments.trim()),
        "unload" | "reload" => unload(world, arguments.trim()),
        "hupall" => hupall(world, arguments),
        "fsctl" => fsctl(world, arguments),
        "sched_del" => match world.unplan(arguments.trim()) {
            0 => "+OK Deleted: 0\n".to_owned(),
            count => format!("+OK Deleted: {count}\n"),
        },
        "sofia" => sofia(arguments),
        "conference" => super::super::conference::api(world, arguments),
        "console_complete" => String::new(),
        _ => return None,
    })
}

/// `api status`.
fn status(world: &World) -> String {
    let uptime = world.clock.uptime();
    let micros = uptime.as_micros();
    let plural =
        |count: u64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    let seconds = uptime.as_secs();
    let parts = [
        plural(seconds / 31_536_000, "year"),
        plural(seconds / 86_400 % 365, "day"),
        plural(seconds / 3_600 % 24, "hour"),
        plural(seconds / 60 % 60, "minute"),
        plural(seconds % 60, "second"),
        plural(
            u64::try_from(micros / 1_000 % 1_000).unwrap_or(0),
            "millisecond",
        ),
        plural(u64::try_from(micros % 1_000).unwrap_or(0), "microsecond"),
    ];
    let stats = &world.stats;
    format!(
        "UP {}\nFreeSWITCH (Version 1.10.12-release  64bit) is ready\n\
         {} session(s) since startup\n{} session(s) - peak {}, last 5min {} \n\
         {} session(s) per Sec out of max {}, peak {}, last 5min {} \n{} session(s) max\n\
         min idle cpu 0.00/98.80\nCurrent Stack Size/Max 240K/8192K\n",
        parts.join(", "),
        stats.sessions_since_startup,
        world.channels.len(),
        stats.peak,
        stats.peak,
        stats.started_in_second,
        stats.sessions_per_second,
        stats.peak_per_second,
        stats.peak_per_second,
        stats.max_sessions,
    )
}

fn strftime(world: &World, format: &str) -> String {
    let stamp = super::super::clock::stamp(world.now());
    if format.is_empty() {
        return stamp;
    }
    let (date, time) = stamp.split_once(' ').unwrap_or_default();
    let mut date = date.split('-');
    let mut time = time.split(':');
    let mut out = format.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S");
    for (code, value) in [
        ("%Y", date.next()),
        ("%m", date.next()),
        ("%d", date.next()),
        ("%H", time.next()),
        ("%M", time.next()),
        ("%S", time.next()),
    ] {
        out = out.replace(code, value.unwrap_or_default());
    }
    out.replace("%s", &(world.now() / 1_000_000).to_string())
}

/// Sums, products and comparisons of whole numbers, from left to right.
fn expr(text: &str) -> String {
    let spaced = text.replace(['(', ')'], " ");
    let mut words = Vec::new();
    let mut word = String::new();
    for char in spaced.chars() {
        if char.is_ascii_digit() || char == '.' {
            word.push(char);
        } else {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            if !char.is_whitespace() {
                words.push(char.to_string());
            }
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    let mut words = words.into_iter();
    let Some(mut total) = words.next().and_then(|word| word.parse::<f64>().ok()) else {
        return "ERR\n".to_owned();
    };
    while let (Some(operator), Some(operand)) = (words.next(), words.next()) {
        let Ok(operand) = operand.parse::<f64>() else {
            return "ERR\n".to_owned();
        };
        total = match operator.as_str() {
            "+" => total + operand,
            "-" => total - operand,
            "*" => total * operand,
            "/" => total / operand,
            "%" => total % operand,
            _ => return "ERR\n".to_owned(),
        };
    }
    format!("{total}")
}

/// `expand [uuid:<uuid>] <command>` and `eval [uuid:<uuid>] <text>`.
fn evaluate(world: &mut World, arguments: &str) -> String {
    let (uuid, text) = match arguments
        .strip_prefix("uuid:")
        .and_then(|rest| rest.split_once(' '))
    {
        Some((uuid, text)) => (Some(uuid.to_owned()), text),
        None => (None, arguments),
    };
    expand::global(world, uuid.as_deref(), text)
}

fn cond(arguments: &str) -> String {
    let Some((condition, rest)) = arguments.split_once('?') else {
        return "-ERR\n".to_owned();
    };
    let (yes, no) = rest.split_once(':').unwrap_or((rest, ""));
    let truth = match (condition.split_once("=="), condition.split_once("!=")) {
        (Some((left, right)), _) => left.trim() == right.trim(),
        (None, Some((left, right))) => left.trim() != right.trim(),
        (None, None) => condition.trim() == "true",
    };
    (if truth { yes } else { no }).trim().to_owned()
}

fn global_getvar(world: &World, name: &str) -> String {
    if name.is_empty() {
        return world
            .globals
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
    }
    world.globals.get(name.trim()).cloned().unwrap_or_default()
}

fn global_setvar(world: &mut World, arguments: &str) -> String {
    match arguments.split_once('=') {
        Some((name, value)) => {
            world
                .globals
                .insert(name.trim().to_owned(), value.to_owned());
            "+OK".to_owned()
        }
        None => "-USAGE: <var>=<value> [=<value2>]\n".to_owned(),
    }
}

fn is_loaded(world: &World, module: &str) -> bool {
    tables::is_module(module) || (world.has_avmd && module == amd::MODULE)
}

fn load(world: &mut World, module: &str) -> String {
    let why = match module {
        "" => return "-USAGE: <mod_name>\n".to_owned(),
        amd::MODULE if !world.has_avmd => {
            world.set_avmd(true);
            return "+OK Reloading XML\n+OK\n".to_owned();
        }
        _ if is_loaded(world, module) => "Module already loaded",
        _ => "module load file routine returned an error",
    };
    format!("+OK Reloading XML\n-ERR [{why}]\n")
}

fn unload(world: &mut World, module: &str) -> String {
    let why = match module {
        "" => return "-USAGE: [-f] <mod_name>\n".to_owned(),
        amd::MODULE if world.has_avmd => {
            world.set_avmd(false);
            return "+OK\n".to_owned();
        }
        _ if tables::is_module(module) => "Module is not unloadable",
        _ => "No such module!",
    };
    format!("-ERR [{why}]\n")
}

/// `hupall [<cause> [<variable> <value>]]`.
fn hupall(world: &mut World, arguments: &str) -> String {
    let mut words = arguments.split_whitespace();
    let cause = words
        .next()
        .and_then(|name| name.parse().ok())
        .unwrap_or(HangupCause::ManagerRequest);
    let matching = words.next().zip(words.next());
    hang_up_all(world, cause, matching);
    match matching {
        Some((variable, value)) => {
            format!("+OK hangup all channels matching [{variable}]=[{value}] with cause: {cause}\n")
        }
        None => format!("+OK hangup all channels with cause {cause}\n"),
    }
}

fn hang_up_all(world: &mut World, cause: HangupCause, matching: Option<(&str, &str)>) {
    let mut found: Vec<_> = world
        .channels
        .values()
        .filter(|channel| {
            matching.is_none_or(|(variable, value)| channel.vars.get(variable) == Some(value))
        })
        .map(|channel| (channel.number, channel.uuid.clone()))
        .collect();
    found.sort_unstable();
    for (_, uuid) in found {
        world.hangup(&uuid, cause);
    }
}

fn fsctl(world: &mut World, arguments: &str) -> String {
    let mut words = arguments.split_whitespace();
    let (command, value) = (words.next().unwrap_or_default(), words.next());
    let number = value.and_then(|text| text.parse().ok());
    let stats = &mut world.stats;
    match command {
        "pause" | "resume" => {
            let on = command == "pause";
            match value {
                Some("inbound") => stats.pause_inbound = on,
                Some("outbound") => stats.pause_outbound = on,
                _ => (stats.pause_inbound, stats.pause_outbound) = (on, on),
            }
            "+OK\n".to_owned()
        }
        "pause_check" => (stats.pause_inbound && stats.pause_outbound).to_string(),
        "max_sessions" => {
            stats.max_sessions = number.unwrap_or(stats.max_sessions);
            format!("+OK max sessions: {}\n", stats.max_sessions)
        }
        "sps" => {
            stats.sessions_per_second = number.unwrap_or(stats.sessions_per_second);
            format!("+OK sessions per second: {}\n", stats.sessions_per_second)
        }
        "last_sps" => format!(
            "+OK last sessions per second: {}\n",
            stats.started_in_second
        ),
        "hupall" => {
            let cause = value
                .map(str::to_ascii_uppercase)
                .and_then(|name| name.parse().ok());
            hang_up_all(world, cause.unwrap_or(HangupCause::ManagerRequest), None);
            "+OK\n".to_owned()
        }
        "loglevel" => "+OK log level: WARNING [4]\n".to_owned(),
        "sync_clock" | "send_sighup" | "reclaim_mem" => "+OK\n".to_owned(),
        "shutdown" | "shutdown_check" if value == Some("cancel") => "+OK\n".to_owned(),
        "shutdown" => {
            world.shut_down();
            "+OK\n".to_owned()
        }
        "" => {
            "-USAGE: [send_sighup|hupall|pause|resume|shutdown|sps|max_sessions|...]\n".to_owned()
        }
        _ => "-ERR Invalid command\n".to_owned(),
    }
}

/// `sofia status ...`: one profile, nothing registered.
fn sofia(arguments: &str) -> String {
    let line = "=".repeat(97);
    let words: Vec<&str> = arguments.split_whitespace().collect();
    match words.as_slice() {
        ["status"] => format!(
            "                     Name\t   Type\t                                      Data\tState\n\
             {line}\n                     test\t  alias\t                                  internal\t\
             ALIASED\n                 internal\tprofile\t              sip:mod_sofia@127.0.0.1:5060\t\
             RUNNING (0)\n{line}\n1 profile 1 alias\n"
        ),
        ["status", "profile", "internal", ..] => format!(
            "{line}\nName             \tinternal\nDomain Name      \tN/A\nAuto-NAT         \tfalse\n\
             Dialplan         \tXML\nContext          \tdefault\nRTP-IP           \t127.0.0.1\n\
             SIP-IP           \t127.0.0.1\nURL              \tsip:mod_sofia@127.0.0.1:5060\n\
             CALLS-IN         \t0\nCALLS-OUT        \t0\nREGISTRATIONS    \t0\n"
        ),
        ["status", "profile", ..] | ["profile", ..] => "Invalid Profile!\n".to_owned(),
        ["status", "gateway", ..] | ["gwlist", ..] => "Invalid Gateway!\n".to_owned(),
        _ => "-USAGE: sofia status|xmlstatus|profile|...\n".to_owned(),
    }
}
