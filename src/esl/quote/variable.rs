//! Channel variables: names, values, and the ways to set one.

use super::passes::{Depth, Pass, depth, escape, hide_separator};
use super::{ApiCommand, Unquotable, check_no_expansion, check_text};
use crate::domain::{SessionId, check_wire_text};

/// Variables in one block, bracket padding included. FreeSWITCH's array has 1,024 places and
/// the last one swallows the rest (`switch_event_create_brackets` in `switch_event.c`).
const MAX_VARIABLES: usize = 1000;

/// Separator of variables inside `[...]` (`UNQUOTED_ESC_COMMA` in `switch_ivr_originate.c`).
const LEG_SEPARATOR: char = '\u{2}';

/// Starts of the names whose value FreeSWITCH runs as an application or an api by itself
/// (`switch_channel_execute_on` and `switch_channel_api_on` in `switch_channel.c`, `api_hook` in
/// `switch_core_state_machine.c`, the names in `switch_types.h`).
pub(crate) const HOOK_PREFIXES: [&str; 6] = [
    "execute_on_",
    "api_",
    "exec_after_bridge_",
    "bridge_pre_execute_",
    "record_post_process_exec_",
    "session_in_hangup_hook",
];

/// What FreeSWITCH makes of the value of a variable by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    /// It runs it as an api command.
    Command,
    /// It runs it as an application.
    Application,
    /// It takes it as the arguments of an application that another variable names.
    Arguments,
}

/// A variable's name without the words that keep it on its leg
/// (`switch_channel_export_variable_var_check` and `switch_channel_process_export` in
/// `switch_channel.c`), as often as they stand there.
pub(crate) fn base_name(mut name: &str) -> &str {
    loop {
        name = name.trim();
        let rest = ["nolocal:", "_nolocal_"].iter().find_map(|prefix| {
            let (start, rest) = name.split_at_checked(prefix.len())?;
            start.eq_ignore_ascii_case(prefix).then_some(rest)
        });
        match rest {
            Some(rest) => name = rest,
            None => return name,
        }
    }
}

/// What FreeSWITCH makes of a variable by its name. It runs every variable that begins with the name
/// of a hook, whatever follows (`switch_channel_execute_on` and `switch_channel_api_on` in
/// `switch_channel.c`); `sip_execute_on_image` and `sip_api_on_image` begin with a word of their own
/// (`switch_core_media.c`).
pub(crate) fn hook(name: &str) -> Option<Hook> {
    let lower = base_name(name).to_ascii_lowercase();
    let begins = |prefix: &str| lower.starts_with(prefix);
    match lower.as_str() {
        "exec_after_bridge_arg"
        | "bridge_pre_execute_data"
        | "bridge_pre_execute_aleg_data"
        | "bridge_pre_execute_bleg_data" => Some(Hook::Arguments),
        _ if begins("api_") || begins("record_post_process_exec_api") => Some(Hook::Command),
        _ if lower.contains("execute_on_")
            || begins("exec_after_bridge_")
            || begins("bridge_pre_execute_")
            || begins("record_post_process_exec_") =>
        {
            Some(Hook::Application)
        }
        _ if lower.contains("api_on_") => Some(Hook::Command),
        _ => None,
    }
}

/// Whether FreeSWITCH is known to act on the value of this variable, which needs no `${`: with
/// `api_on_answer=system id` an originate runs a shell. Not refused here, for call flows are made
/// of it: the command or application in the value needs the caller's right for it
/// (`access::Caller::may_set`).
pub fn runs_commands(name: &str) -> bool {
    hook(name).is_some()
}

/// Refuses names that FreeSWITCH cannot keep or that would spoil its events.
///
/// `[` starts an array index (`switch_event_base_add_header` in `switch_event.c`). The other
/// ASCII punctuation survives, but names stand unencoded in events (`variable_NAME: value`) and
/// in the grammar of expansions and dialplans, where it means something else.
pub fn check_variable_name(name: &str) -> Result<(), Unquotable> {
    let allowed = |c: char| match c {
        '_' | '-' | '.' | '!' | '*' | '+' | '~' => true,
        _ if c.is_ascii() => c.is_ascii_alphanumeric(),
        _ => !c.is_whitespace() && !c.is_control(),
    };
    check_text(name)?;
    if name.is_empty() {
        return Err(Unquotable::Missing("name a variable such as my_variable"));
    }
    if name == "_body" {
        return Err(Unquotable::ReservedName);
    }
    match name.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(Unquotable::VariableName(c)),
        None => Ok(()),
    }
}

/// Refuses values that no channel variable can have: empty ones, which unset it
/// (`switch_channel_set_variable_var_check` in `switch_channel.c`), and `ARRAY::`, which
/// `switch_event_base_add_header` takes apart.
pub fn check_value(value: &str) -> Result<(), Unquotable> {
    check_no_expansion(value)?;
    check_expanding_value(value)
}

/// As [`check_value`], but the value may hold `${...}`.
fn check_expanding_value(value: &str) -> Result<(), Unquotable> {
    check_wire_text(value)?;
    if value.is_empty() {
        return Err(Unquotable::Empty);
    }
    if value.starts_with("ARRAY::") {
        return Err(Unquotable::Array);
    }
    Ok(())
}

/// Sets one variable of a living channel: `uuid_setvar`.
///
/// It carries every value that a variable can have: one blank pass (`uuid_setvar_function` in
/// `mod_commands.c`), and none of the expansions that `sendmsg ... execute set` does twice.
/// A vertical tab at the end is kept from `switch_strip_whitespace` by an empty pair of quotes.
pub fn uuid_setvar(session: &SessionId, name: &str, value: &str) -> Result<ApiCommand, Unquotable> {
    check_variable_name(name)?;
    check_no_expansion(value)?;
    uuid_setvar_expanding(session, name, value)
}

/// As [`uuid_setvar`], but the value may hold `${...}`, which FreeSWITCH expands where it uses the
/// variable.
pub fn uuid_setvar_expanding(
    session: &SessionId,
    name: &str,
    value: &str,
) -> Result<ApiCommand, Unquotable> {
    check_variable_name(name)?;
    check_expanding_value(value)?;
    let mut text = escape(value, Pass::Blank);
    if text.ends_with('\u{b}') {
        text.push_str("''");
    }
    ApiCommand::new("uuid_setvar", &format!("{session} {name} {text}"))
}

/// Takes one variable from a living channel: `uuid_setvar` without a value.
pub fn uuid_unsetvar(session: &SessionId, name: &str) -> Result<ApiCommand, Unquotable> {
    check_variable_name(name)?;
    ApiCommand::new("uuid_setvar", &format!("{session} {name}"))
}

/// The variables of the whole call, `{...}`, as `switch_ivr_originate` must see them: two passes
/// of `switch_event_create_brackets` are undone, the blank one of `originate` is not.
///
/// The end of the block is found by counting braces, whatever escapes them. Where a value has
/// braces without partners, elements without `=`, which FreeSWITCH ignores, supply those.
pub(super) fn global_block(pairs: &[(&str, &str)]) -> Result<String, Unquotable> {
    let mut elements = Vec::with_capacity(pairs.len() + 2);
    for (name, value) in pairs {
        let pair = format!("{name}={}", escape(value, Pass::At('=')));
        elements.push(escape(&pair, Pass::At(',')));
    }
    let Depth { unopened, unclosed } = depth(&elements.join(","), '{', '}');
    if unopened > 0 {
        elements.insert(0, "{".repeat(unopened));
    }
    if unclosed > 0 {
        elements.push("}".repeat(unclosed));
    }
    if elements.len() > MAX_VARIABLES {
        return Err(Unquotable::TooMany {
            count: elements.len(),
            most: MAX_VARIABLES,
        });
    }
    Ok(format!("{{{}}}", hide_separator(&elements.join(","))))
}

/// One variable of one leg, `[...]`, as the pass at `,` of `switch_ivr_originate` must give it
/// back. A block of its own for each, because quotes inside a block change the meaning of the
/// commas behind them.
pub(super) fn leg_block(name: &str, value: &str) -> Result<String, Unquotable> {
    if let Some(c) = value.chars().find(|c| matches!(c, '\u{1}' | '\u{2}')) {
        return Err(Unquotable::Control(c));
    }
    if depth(value, '[', ']')
        != (Depth {
            unopened: 0,
            unclosed: 0,
        })
    {
        return Err(Unquotable::Bracket);
    }
    let pair = format!("{name}={}", escape(value, Pass::At('=')));
    Ok(format!("[{}]", escape(&pair, Pass::At(LEG_SEPARATOR))))
}
