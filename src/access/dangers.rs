//! Commands, applications and variables that no role has unless it names them: what runs programs,
//! code or other commands, and what stops or changes a node as a whole.
//!
//! Read from FreeSWITCH 1.10.12; each names the function that shows it. FreeSWITCH looks up names of
//! both kinds without regard to case (`switch_loadable_module_get_api_interface` and
//! `switch_loadable_module_get_application_interface` in `switch_loadable_module.c`).

/// Why something is refused that a role does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Danger {
    /// It runs programs, scripts or modules, or writes files, on FreeSWITCH's host.
    Host,
    /// It runs another command or application, which nobody could look at.
    Wrapper,
    /// It stops or changes the node as a whole.
    Node,
}

use Danger::{Host, Node, Wrapper};

/// Api commands.
const COMMANDS: [(&str, Danger); 69] = [
    // `system_function` and its like in `mod_commands.c`: a shell or a process.
    ("system", Host),
    ("bg_system", Host),
    ("spawn", Host),
    ("bg_spawn", Host),
    ("spawn_stream", Host),
    // Interpreters: `mod_lua.cpp`, `mod_v8.cpp`, `mod_perl.c`, `mod_python.c`, `mod_python3.c`,
    // `mod_managed.cpp`, `mod_basic.c`, and those of older versions.
    ("lua", Host),
    ("luarun", Host),
    ("js", Host),
    ("jsrun", Host),
    ("jsapi", Host),
    ("jsmon", Host),
    ("jskill", Host),
    ("v8", Host),
    ("perl", Host),
    ("perlrun", Host),
    ("python", Host),
    ("python3", Host),
    ("pyrun", Host),
    ("java", Host),
    ("javarun", Host),
    ("managed", Host),
    ("managedrun", Host),
    ("managedreload", Host),
    ("basic", Host),
    // `httapi_api_function` in `mod_httapi.c` and `erlang` in `mod_erlang_event.c`: programs from
    // elsewhere.
    ("httapi", Host),
    ("erlang", Host),
    // `curl_sendfile_function` in `mod_curl.c` sends files of the host, `http_put_function` in
    // `mod_http_cache.c` too.
    ("curl_sendfile", Host),
    ("http_put", Host),
    // Both fetch what a URL names, which may be a file of the host or a service that trusts it.
    ("curl", Host),
    ("http_get", Host),
    ("http_tryget", Host),
    ("http_prefetch", Host),
    // `expand_function`: an api whose arguments are expanded; `eval_function`: `${api}` runs.
    ("expand", Wrapper),
    ("eval", Wrapper),
    // `bgapi_function`, `sched_api_function`, `xml_wrap_api_function`.
    ("bgapi", Wrapper),
    ("sched_api", Wrapper),
    ("xml_wrap", Wrapper),
    // `json_function`: its command `fsapi` runs any api (`json_api_function`), `execute` any
    // application.
    ("json", Wrapper),
    // `tone_detect_session_function` in `mod_commands.c`, `page_api_function` in `mod_dptools.c`: each
    // takes the name of an application.
    ("tone_detect", Wrapper),
    ("page", Wrapper),
    // `alias_function` gives commands of the console other names (`switch_console_set_alias`).
    ("alias", Wrapper),
    // `cond_function` and `regex` run nothing, but `chat_api_function` in `mod_dptools.c` reaches the
    // chat interfaces `api` and `event` (`api_chat_send`, `event_chat_send`).
    ("chat", Wrapper),
    // mod_abstraction makes commands of others; `rayo`, `single_esl` hand messages to their modules.
    ("rayo", Wrapper),
    ("single_esl", Wrapper),
    // `fifo_add_outbound_function` keeps dial strings that are called later, as do distributors.
    ("fifo_add_outbound", Wrapper),
    // `ctl_function`: shutdown, crash, pause, loglevel, limits and more.
    ("fsctl", Node),
    ("...", Node),
    // `shutdown_function`.
    ("shutdown", Node),
    // `load_function`, `reload_function`; with a path they are code: see `of_command`.
    ("load", Node),
    ("reload", Node),
    ("unload", Node),
    // `hupall_api_function` hangs up everything.
    ("hupall", Node),
    ("reloadxml", Node),
    ("reloadacl", Node),
    ("xml_flush_cache", Node),
    ("global_setvar", Node),
    ("log", Node),
    ("console", Node),
    ("nat_map", Node),
    ("db_cache", Node),
    // Tasks of anybody: `unsched_api_function`, `sched_del_function`.
    ("unsched_api", Node),
    ("sched_del", Node),
    ("limit_reset", Node),
    ("limit_interval_reset", Node),
    // `event_channel_broadcast_api_function`, `event_sink_function` in `mod_event_socket.c`: the
    // node's own channels of events.
    ("event_channel_broadcast", Node),
    ("event_sink", Node),
    ("memory", Node),
    ("timer_test", Node),
    ("time_test", Node),
];

/// Those that load what they are told.
const LOADING: [&str; 2] = ["load", "reload"];

/// Commands of which only these first words are harmless: `cmd_status` and its like in
/// `mod_sofia.c`; `profile`, `recover`, `global` and the rest change the node.
const PARTLY: [(&str, &[&str]); 3] = [
    ("sofia", &["status", "xmlstatus", "jsonstatus", "help"]),
    ("verto", &["status", "xmlstatus", "help"]),
    ("skinny", &["status", "list", "help"]),
];

/// Applications.
const APPLICATIONS: [(&str, Danger); 47] = [
    // `system_session_function`, `bgsystem_session_function` in `mod_dptools.c`.
    ("system", Host),
    ("bgsystem", Host),
    // `socket_function` in `mod_event_socket.c` gives the channel, and all api commands, to whoever
    // listens there; `erlang_outbound_function` and `httapi_function` likewise.
    ("socket", Host),
    ("erlang", Host),
    ("erlang_sendmsg", Host),
    ("httapi", Host),
    // Interpreters.
    ("lua", Host),
    ("js", Host),
    ("javascript", Host),
    ("v8", Host),
    ("perl", Host),
    ("python", Host),
    ("python3", Host),
    ("java", Host),
    ("managed", Host),
    ("basic", Host),
    ("yaml", Host),
    // `shell_stream_file_open` in `mod_shell_stream.c`: a file whose name is a program. No
    // application, but whoever names it so may play it.
    ("shell_stream", Host),
    // Files of the host: `mkdir_function`, `rename_function`; `curl_sendfile_app_function`.
    ("mkdir", Host),
    ("rename", Host),
    ("curl_sendfile", Host),
    // As the api command.
    ("curl", Host),
    // `eval_function` runs what `${api}` in its argument names.
    ("eval", Wrapper),
    // Others that take the name of an application: `limit_execute_function`,
    // `limit_hash_execute_function`, `dtmf_bind_function`, `bind_digit_action_function`,
    // `broadcast_function`, `sched_broadcast_function`, `tone_detect_session_function`,
    // `page_function`, `exec_app` in `rayo_exec_component.c`.
    ("limit_execute", Wrapper),
    ("limit_hash_execute", Wrapper),
    ("bind_meta_app", Wrapper),
    ("bind_digit_action", Wrapper),
    ("broadcast", Wrapper),
    ("sched_broadcast", Wrapper),
    ("tone_detect", Wrapper),
    ("spandsp_start_tone_detect", Wrapper),
    // `spandsp_fax_detect_session_function` in `mod_spandsp.c` takes an application.
    ("spandsp_start_fax_detect", Wrapper),
    ("page", Wrapper),
    ("rayo", Wrapper),
    ("rayo-app-exec", Wrapper),
    // `asterisk_dialplan_hunt`'s `Dial` and `Goto` in `mod_dialplan_asterisk.c`.
    ("dial", Wrapper),
    ("goto", Wrapper),
    // `event_function` fires any event, on which FreeSWITCH acts; `presence_function` too.
    ("event", Node),
    ("set_global", Node),
    // `sched_cancel_function` deletes the tasks of anybody.
    ("sched_cancel", Node),
    ("verbose_events", Node),
    ("capture_text", Node),
    ("session_loglevel", Node),
    ("debug_media", Node),
    ("stress", Node),
    ("capture_video", Host),
    ("sofia_sla", Node),
];

/// Applications by which a leg comes to others that it does not have to be told by id, or leaves the
/// tenant whose it is: `switch_ivr_set_user` in `switch_ivr.c` sets `domain_name`, `eavesdrop all`
/// and `userspy` listen to everybody, `intercept`, `three_way` and `pickup` take calls by other names.
const CROSSING: [&str; 8] = [
    "eavesdrop",
    "native_eavesdrop",
    "userspy",
    "intercept",
    "three_way",
    "pickup",
    "set_user",
    "presence",
];

/// Dialplans that run code: `lua_dialplan_hunt` in `mod_lua.cpp` runs the script that the context
/// names, `yaml_dialplan_hunt` in `mod_yaml.c` what its file says, `enum_dialplan_hunt` in `mod_enum.c`
/// a `bridge` with whatever DNS answers, of the server that `enum_nameserver` of the channel names.
const SCRIPTED_DIALPLANS: [&str; 3] = ["lua", "yaml", "enum"];

/// Dialplans that read the file which their argument names, such as `XML:/tmp/x.xml`, and run what it
/// says: `dialplan_hunt` in `mod_dialplan_xml.c`, `asterisk_dialplan_hunt` in
/// `mod_dialplan_asterisk.c`.
const FILE_DIALPLANS: [&str; 2] = ["xml", "asterisk"];

/// The dialplan whose extension is a list of applications (`inline_dialplan_hunt` in
/// `mod_dptools.c`).
const INLINE: &str = "inline";

/// What is a marker of something hidden in a text that is a command or the argument of one.
const MARKERS: [&str; 3] = ["shell_stream://", "loopback/app=", "group_confirm_"];
/// An expansion, which whoever writes it to the wire refuses or lets through.
pub(super) const EXPANSION: &str = "${";

/// Ends of the names of variables that say to where a call goes, and parts of others: such as
/// `force_transfer_dialplan`, `valet_parking_orbit_exten`, `hold_hangup_xfer_exten`,
/// `transfer_after_bridge`, `transfer_fallback_extension`.
const ROUTE_ENDS: [&str; 3] = ["_dialplan", "_exten", "_extension"];
const ROUTE_PARTS: [&str; 3] = ["transfer_", "_orbit", "_xfer"];

// === impl Danger ===

impl Danger {
    /// Why a role has to name it.
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Host => {
                "runs programs, scripts or modules, or reads or writes files, on FreeSWITCH's host"
            }
            Self::Wrapper => "runs other commands or applications, which nobody looks at",
            Self::Node => "stops or changes the node as a whole",
        }
    }
}

/// Why a command is dangerous, if it is.
pub(super) fn of_command(command: &str, arguments: &str) -> Option<Danger> {
    let is_it = |(name, _): &&(&str, Danger)| name.eq_ignore_ascii_case(command);
    if let Some((name, danger)) = COMMANDS.iter().find(is_it) {
        // Any shared object by its path (`switch_loadable_module_load_module_ex` in
        // `switch_loadable_module.c`).
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        return match LOADING.contains(name) && !arguments.chars().all(is_plain) {
            true => Some(Host),
            false => Some(*danger),
        };
    }
    let (_, harmless) = PARTLY
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(command))?;
    let first = arguments.split(' ').next().unwrap_or_default();
    match first.is_empty() || harmless.iter().any(|word| word.eq_ignore_ascii_case(first)) {
        true => None,
        false => Some(Node),
    }
}

/// Why an application is dangerous, if it is.
pub(super) fn of_application(name: &str) -> Option<Danger> {
    let is_it = |(known, _): &&(&str, Danger)| known.eq_ignore_ascii_case(name);
    APPLICATIONS.iter().find(is_it).map(|(_, danger)| *danger)
}

/// Whether an application may bring a leg to what is another tenant's.
pub(super) fn crosses_tenants(application: &str) -> bool {
    CROSSING
        .iter()
        .any(|name| name.eq_ignore_ascii_case(application))
}

/// The first word of a text that names a dialplan which runs code or whatever its extension says.
pub(super) fn plan_in(text: &str) -> Option<&'static str> {
    // Where it is taken apart twice, an escaped blank parts words
    // (`cleanup_separated_string` in `switch_utils.c`).
    let parted = ["\\s", "\\t", "\\n", "\\r"]
        .iter()
        .fold(text.to_ascii_lowercase(), |text, blank| {
            text.replace(blank, " ")
        });
    [bare(text), bare(&parted)].iter().find_map(|text| {
        let mut words = text.split(|c| !is_part_of_name(c));
        let found = words.find_map(|word| plans().find(|plan| *plan == word));
        // A line that begins so chooses its separator, which may be a letter.
        let is_chosen = || text.contains("^^");
        let found = found.or_else(|| plans().find(|plan| is_chosen() && text.contains(plan)));
        found.or_else(|| {
            FILE_DIALPLANS
                .into_iter()
                .find(|plan| is_of_file(plan, text))
        })
    })
}

/// Whether this dialplan stands in a text with the path of a file.
fn is_of_file(plan: &str, text: &str) -> bool {
    text.match_indices(plan).any(|(at, _)| {
        let argument = text[at + plan.len()..].strip_prefix(':');
        let argument = argument.and_then(|rest| rest.split([' ', ',']).next());
        argument.is_some_and(|argument| argument.contains('/'))
    })
}

/// Whether a variable holds dialplans and nothing else.
pub(super) fn holds_dialplans(variable: &str) -> bool {
    variable.to_ascii_lowercase().ends_with("_dialplan")
}

/// Whether a variable says to where a call goes.
pub(super) fn is_route(variable: &str) -> bool {
    let lower = variable.to_ascii_lowercase();
    ROUTE_ENDS.iter().any(|end| lower.ends_with(end))
        || ROUTE_PARTS.iter().any(|part| lower.contains(part))
}

fn plans() -> impl Iterator<Item = &'static str> {
    [INLINE].into_iter().chain(SCRIPTED_DIALPLANS)
}

/// All dangerous commands of a kind, for roles that name them.
pub(super) fn commands_of(danger: Danger) -> impl Iterator<Item = &'static str> {
    let of_kind = move |(name, found): &(&'static str, Danger)| (*found == danger).then_some(*name);
    let partly = PARTLY.iter().map(|(name, _)| *name);
    let partly = partly.filter(move |_| danger == Node);
    COMMANDS.iter().filter_map(of_kind).chain(partly)
}

/// All dangerous applications of a kind, likewise.
pub(super) fn applications_of(danger: Danger) -> impl Iterator<Item = &'static str> {
    let of_kind = move |(name, found): &(&'static str, Danger)| (*found == danger).then_some(*name);
    APPLICATIONS.iter().filter_map(of_kind)
}

/// A text as it may be once FreeSWITCH has taken quotes and backslashes away, in lower case: what is
/// hidden by them is found here, and more.
pub(super) fn bare(text: &str) -> String {
    let kept = text.chars().filter(|c| !matches!(c, '\'' | '"' | '\\'));
    kept.map(|c| c.to_ascii_lowercase()).collect()
}

/// What a bare text holds that FreeSWITCH may run by itself: an expansion, a file that is a program, a
/// leg that runs an application (`loopback_outgoing_channel` in `mod_loopback.c`), or a variable whose
/// value it runs.
pub(super) fn hidden(bare: &str) -> Option<&'static str> {
    if let Some(marker) = MARKERS.iter().find(|marker| bare.contains(**marker)) {
        return Some(marker);
    }
    let mut words = bare.split(|c| !is_part_of_name(c));
    if (bare.contains("loopback/") || words.any(is_route))
        && let Some(plan) = plan_in(bare)
    {
        return Some(plan);
    }
    // Words that stand in front of a name are no part of it.
    let bare = bare.replace("_nolocal_", " ");
    let anywhere = ["execute_on_", "api_on_"];
    if let Some(hook) = anywhere.into_iter().find(|hook| bare.contains(hook)) {
        return Some(hook);
    }
    let mut prefixes = crate::esl::quote::HOOK_PREFIXES.into_iter();
    prefixes
        .find(|prefix| names(&bare, prefix))
        .or_else(|| bare.contains(EXPANSION).then_some(EXPANSION))
}

/// Whether a variable's name that begins so stands in a bare text.
fn names(bare: &str, prefix: &str) -> bool {
    bare.match_indices(prefix).any(|(at, _)| {
        let before = bare[..at].chars().next_back();
        !before.is_some_and(is_part_of_name)
    })
}

fn is_part_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_lower_case_and_there_once() {
        let mut all: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
        all.extend(PARTLY.iter().map(|(name, _)| *name));
        let applications = APPLICATIONS.iter().map(|(name, _)| *name).collect();
        for mut names in [all, applications] {
            assert!(names.iter().all(|name| *name == name.to_lowercase()));
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        }
    }

    #[test]
    fn the_operators_guide_tells_all_of_them() {
        let guide = include_str!("../../docs/operating-rights.md").to_lowercase();
        let names = COMMANDS.iter().chain(&APPLICATIONS).map(|(name, _)| *name);
        let partly = PARTLY.iter().map(|(name, _)| *name);
        for name in names
            .chain(partly)
            .chain(CROSSING)
            .chain(SCRIPTED_DIALPLANS)
            .chain(FILE_DIALPLANS)
        {
            assert!(guide.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn commands_are_found_in_any_case_and_sofia_by_its_first_word() {
        assert_eq!(of_command("SyStem", "id"), Some(Host));
        assert_eq!(of_command("status", ""), None);
        assert_eq!(of_command("sofia", "status profile internal"), None);
        assert_eq!(of_command("Sofia", "PROFILE internal restart"), Some(Node));
        assert_eq!(of_command("load", "mod_avmd"), Some(Node));
        assert_eq!(of_command("LOAD", "../x"), Some(Host));
        assert_eq!(of_application("SOCKET"), Some(Host));
    }

    #[test]
    fn what_is_hidden_by_quotes_and_backslashes_is_found() {
        for text in [
            "${system id}",
            r"$\{system id}",
            "{api_on_answer=system id}user/1",
            r"{'api_on'_answer=x}user/1",
            "[execute_on_media='lua x']null/x",
            "Loopback/APP=system:id",
            "loopback/system:id/x/inline",
            "shell_stream://id",
        ] {
            assert!(hidden(&bare(text)).is_some(), "{text}");
        }
        for text in [
            "{my_api_key=1}user/1",
            "loopback/1000/default/XML",
            "a$b{c}",
        ] {
            assert_eq!(hidden(&bare(text)), None, "{text}");
        }
    }
}
