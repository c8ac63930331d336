//! What the arguments of commands and applications name: applications, variables, dialplans.

use super::dangers::bare;
use crate::esl::quote::{base_name, separate};

/// Most words of a command that are looked at: FreeSWITCH takes fewer.
const MAX_WORDS: usize = 16;
/// Most applications of one plan (`inline_dialplan_hunt` in `mod_dptools.c`).
const MAX_PLANNED: usize = 128;

/// Most variables of one `multiset` (`multiset_function` in `mod_dptools.c`).
const MAX_SET: usize = 256;
/// Applications that take files, text, numbers or ids alone, in which the name of a dialplan is no
/// more than a word.
const NO_ROUTE: [&str; 26] = [
    "answer",
    "conference",
    "deflect",
    "displace_session",
    "endless_playback",
    "gentones",
    "hangup",
    "info",
    "log",
    "loop_playback",
    "phrase",
    "playback",
    "queue_dtmf",
    "record",
    "record_session",
    "redirect",
    "respond",
    "say",
    "send_display",
    "send_dtmf",
    "set_name",
    "sleep",
    "speak",
    "stop_displace_session",
    "stop_record_session",
    "unset",
];
/// Commands and applications whose dialplan is found where it stands.
const READ_WELL: [&str; 9] = [
    "originate",
    "uuid_transfer",
    "sched_transfer",
    "uuid_dual_transfer",
    "uuid_broadcast",
    "sched_broadcast",
    "uuid_setvar",
    "transfer",
    "execute_extension",
];

/// Something that is named where only FreeSWITCH reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// An application and its arguments.
    Application(String, String),
    /// A variable and its value.
    Variable(String, String),
    /// A dialplan, and whether it has an argument.
    Dialplan(String, bool),
}

/// What the arguments of an api command name.
pub(super) fn in_command(command: &str, arguments: &str) -> Vec<Named> {
    let words = separate(arguments, ' ', MAX_WORDS);
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    match command.to_ascii_lowercase().as_str() {
        // `originate_function` in `mod_commands.c`.
        "originate" => match word(1).strip_prefix('&') {
            Some(target) => vec![called(target)],
            None => route(word(1), word(2)),
        },
        // `transfer_function`, `sched_transfer_function`, `dual_transfer_function`.
        "uuid_transfer" => {
            // One word, whatever it says.
            let skipped = usize::from(word(1).starts_with('-'));
            route(word(1 + skipped), word(2 + skipped))
        }
        "sched_transfer" => route(word(2), word(3)),
        "uuid_dual_transfer" => [word(1), word(2)]
            .into_iter()
            .flat_map(|target| {
                let mut parts = target.split('/');
                let number = parts.next().unwrap_or_default();
                route(number, parts.next().unwrap_or_default())
            })
            .collect(),
        // `uuid_broadcast_function`, `sched_broadcast_function`: `switch_ivr_broadcast` in
        // `switch_ivr_async.c`.
        "uuid_broadcast" => broadcast(word(1)),
        "sched_broadcast" => broadcast(word(2)),
        // `uuid_setvar_function`, `uuid_setvar_multi_function`.
        "uuid_setvar" => {
            let words = separate(arguments, ' ', 3);
            let word = |at: usize| words.get(at).cloned().unwrap_or_default();
            vec![Named::Variable(word(1), word(2))]
        }
        "uuid_setvar_multi" => {
            let words = separate(arguments, ' ', 2);
            let all = words.get(1).map_or("", String::as_str);
            let pairs = separate(all, ';', MAX_PLANNED).into_iter();
            pairs.map(|pair| assigned(&pair)).collect()
        }
        _ => Vec::new(),
    }
}

/// What the arguments of an application name.
pub(super) fn in_application(application: &str, arguments: &str) -> Vec<Named> {
    let words = separate(arguments, ' ', MAX_WORDS);
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    match application.to_ascii_lowercase().as_str() {
        "transfer" => {
            let skipped = usize::from(acts_on_partner(arguments));
            route(word(skipped), word(skipped + 1))
        }
        "execute_extension" => route(word(0), word(1)),
        "sched_transfer" => route(word(1), word(2)),
        // `multiset_function`.
        "multiset" => {
            let pairs = separate(arguments, ' ', MAX_SET).into_iter();
            pairs.map(|pair| assigned(&pair)).collect()
        }
        name if sets(name) => vec![assigned(arguments)],
        _ => Vec::new(),
    }
}

/// Whether arguments may send a call through a dialplan at a place that is not known.
pub(super) fn may_hide_route(name: &str) -> bool {
    let mut known = NO_ROUTE.iter().chain(&READ_WELL);
    !sets(name) && !known.any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether an application with these arguments acts on the leg with which its own is bridged:
/// `transfer_function` in `mod_dptools.c`.
pub(crate) fn acts_on_partner(arguments: &str) -> bool {
    let words = separate(arguments, ' ', 2);
    let is_first = |word: &str| {
        words
            .first()
            .is_some_and(|first| first.eq_ignore_ascii_case(word))
    };
    is_first("-bleg") || is_first("-both")
}

/// Whether an application sets the variables that its arguments name: `set_function` and its like in
/// `mod_dptools.c`.
pub(super) fn sets(application: &str) -> bool {
    let known = [
        "set",
        "export",
        "bridge_export",
        "push",
        "unshift",
        "multiset",
    ];
    known
        .iter()
        .any(|name| name.eq_ignore_ascii_case(application))
}

/// What the value of a variable runs that begins so: a command when `is_api`, else an application
/// (`do_api_on` and `switch_channel_execute_on_value` in `switch_channel.c`, `api_hook` in
/// `switch_core_state_machine.c`).
pub(super) fn run_by(value: &str) -> (&str, &str) {
    let end = value.find([' ', ':']).unwrap_or(value.len());
    let (name, rest) = value.split_at(end);
    (name, rest.trim_start_matches([' ', ':']))
}

/// `&name(arguments)`, without the `&`.
fn called(target: &str) -> Named {
    let inside = target.split(')').next().unwrap_or_default();
    let (name, arguments) = inside.split_once('(').unwrap_or((inside, ""));
    application(name, arguments)
}

/// An application's name may be followed by `::` and its arguments
/// (`switch_core_session_execute_application_get_flags` in `switch_core_session.c`).
fn application(name: &str, arguments: &str) -> Named {
    let (name, more) = name.split_once(':').unwrap_or((name, ""));
    let more = more.trim_start_matches(':');
    let arguments = match more {
        "" => arguments.to_owned(),
        more => format!("{more} {arguments}"),
    };
    Named::Application(bare(name.trim()), arguments)
}

/// A number in a list of dialplans, each perhaps with an argument
/// (`switch_core_standard_on_routing` in `switch_core_state_machine.c`).
fn route(number: &str, dialplans: &str) -> Vec<Named> {
    let dialplans = dialplans.split(',').filter(|plan| !plan.is_empty());
    let mut named = Vec::new();
    for plan in dialplans {
        let (name, argument) = plan.split_once(':').unwrap_or((plan, ""));
        let name = bare(name.trim());
        if name == "inline" {
            named.extend(planned(if argument.is_empty() {
                number
            } else {
                argument
            }));
        } else {
            named.push(Named::Dialplan(name, !argument.trim().is_empty()));
        }
    }
    named
}

/// The applications of an inline plan, which may choose its separator by `m:X:`.
fn planned(plan: &str) -> Vec<Named> {
    let mut chars = plan.chars();
    let chosen = match [chars.next(), chars.next(), chars.next(), chars.next()] {
        [Some('m'), Some(':'), Some(separator), Some(':')] => Some((separator, chars.as_str())),
        _ => None,
    };
    let (separator, plan) = chosen.unwrap_or((',', plan));
    let applications = separate(plan, separator, MAX_PLANNED).into_iter();
    applications
        .map(|one| {
            let (name, arguments) = one.split_once(':').unwrap_or((&one, ""));
            application(name, arguments)
        })
        .collect()
}

/// A file, or `application!cause::arguments`.
fn broadcast(path: &str) -> Vec<Named> {
    match path.split_once("::") {
        Some((name, arguments)) => {
            let name = name.split('!').next().unwrap_or_default();
            vec![application(name, arguments)]
        }
        None => Vec::new(),
    }
}

/// `name=value`; words may stand in front of the name.
fn assigned(pair: &str) -> Named {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let name = bare(name);
    Named::Variable(base_name(&name).to_owned(), value.trim().to_owned())
}

/// Whatever a client writes is looked at without a panic, for the fuzzer.
#[cfg(any(test, fuzzing))]
pub fn try_names(command: &str, arguments: &str) {
    in_command(command, arguments);
    in_application(command, arguments);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn applications(named: &[Named]) -> Vec<&str> {
        let applications = named.iter().map(|named| match named {
            Named::Application(name, _) => name.as_str(),
            Named::Variable(name, _) | Named::Dialplan(name, _) => name,
        });
        applications.collect()
    }

    #[test]
    fn the_applications_of_commands_are_found_however_they_are_written() {
        for (command, arguments, expected) in [
            ("originate", "user/1 &lua(x.lua)", &["lua"][..]),
            ("ORIGINATE", "{a='x y'}user/1 '&lua(x y)'", &["lua"]),
            ("originate", r"user/1 &l\'ua", &["lua"]),
            ("originate", "user/1 &lua::x(y)", &["lua"]),
            ("originate", "user/1 system:id inline", &["system"]),
            (
                "originate",
                "user/1 'set:a=b,system:id' inline",
                &["set", "system"],
            ),
            (
                "originate",
                "user/1 'm:^:park^ system:id' INLINE x",
                &["park", "system"],
            ),
            (
                "originate",
                "user/1 x XML,inline:system:id",
                &["xml", "system"],
            ),
            ("originate", "user/1 x in'lin'e", &["x"]),
            ("originate", "^^|user/1|system:id|inline", &["system"]),
            ("originate", "user/1 1000 LUA /tmp/x.lua", &["lua"]),
            ("originate", "user/1 1000", &[]),
            ("uuid_transfer", "id -both system:id inline", &["system"]),
            ("sched_transfer", "+5 id system:id inline", &["system"]),
            (
                "uuid_dual_transfer",
                "id 1000 system:id/inline",
                &["system"],
            ),
            ("uuid_broadcast", "id lua!normal_clearing::x aleg", &["lua"]),
            ("uuid_broadcast", "id /tmp/x.wav", &[]),
            ("sched_broadcast", "+5 id lua::x", &["lua"]),
            (
                "uuid_setvar",
                "id api_on_answer system id",
                &["api_on_answer"],
            ),
            (
                "uuid_setvar_multi",
                "id a=b;api_on_answer=x",
                &["a", "api_on_answer"],
            ),
        ] {
            let named = in_command(command, arguments);
            assert_eq!(applications(&named), expected, "{command} {arguments}");
        }
    }

    #[test]
    fn the_applications_of_applications_are_found() {
        for (application, arguments, expected) in [
            ("transfer", "-bleg system:id inline", &["system"][..]),
            ("execute_extension", "m:^:lua:x inline", &["lua"]),
            ("sched_transfer", "+5 system:id inline", &["system"]),
            ("set", "execute_on_answer=lua x", &["execute_on_answer"]),
            ("export", "nolocal:domain_name=x", &["domain_name"]),
            ("playback", "x=y", &[]),
        ] {
            let named = in_application(application, arguments);
            assert_eq!(applications(&named), expected, "{application} {arguments}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_looked_at(
            command in "originate|uuid_transfer|uuid_dual_transfer|sched_broadcast|uuid_setvar_multi|set|transfer",
            arguments in r"[ -~ä'\\&():,^;=]{0,60}",
        ) {
            try_names(&command, &arguments);
        }
    }
}
