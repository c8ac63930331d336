//! Which events clients may publish.
//!
//! `sendevent` fires an event as if FreeSWITCH itself had, and FreeSWITCH acts on its own events: of
//! SCHEDULE events, CALL_SECURE and others `core_event_handler` (`switch_core_sqldb.c`) makes SQL
//! without any quoting, SHUTDOWN and NAT wipe or fill its tables, and modules take TRAP for a change
//! of address. So only those go through that are there to be sent.

use crate::domain::{EVENT_NAMES, Failure, check_event_name, nearest};

/// The event that is meant when none is named.
pub(super) const CUSTOM: &str = "CUSTOM";

/// Those that modules take as orders from outside, whose values they quote, and GENERAL, on which
/// nobody acts. ROSTER is none of them: for it mod_sofia runs a statement that is not there.
const PERMITTED: [&str; 11] = [
    CUSTOM,
    "GENERAL",
    "MESSAGE",
    "MESSAGE_WAITING",
    "NOTIFY",
    "PHONE_FEATURE",
    "PRESENCE_IN",
    "PRESENCE_OUT",
    "PRESENCE_PROBE",
    "SEND_INFO",
    "SEND_MESSAGE",
];

/// Subclasses on which FreeSWITCH's own modules act: mod_sofia makes registrations of
/// `multicast::event`, mod_sms runs the header `to` of `SMS::SEND_MESSAGE` as an api command when
/// asked to, mod_skinny crashes, mod_xml_rpc closes its sockets, mod_fail2ban and mod_signalwire
/// believe what `sofia::` tells, mod_rayo what calls and conferences do.
const DRIVING: [&str; 7] = [
    "conference::",
    "multicast::",
    "rayo::",
    "skinny::",
    "sms::",
    "sofia::",
    "websocket::",
];

/// With this header NOTIFY and SEND_MESSAGE go to a channel that mod_sofia takes for one of its own
/// without looking (`general_event_handler` in `mod_sofia.c`): another kind makes it crash.
const OF_A_CHANNEL: &str = "uuid";

/// Checks the name of an event.
pub(super) fn check_name(name: &str) -> Result<&str, Failure> {
    let invalid = |problem: String| Failure::invalid("name", problem);
    check_event_name(name).map_err(|error| invalid(error.to_string()))?;
    if PERMITTED.contains(&name) {
        return Ok(name);
    }
    if EVENT_NAMES.contains(&name) {
        return Err(invalid(format!(
            "{name} is for FreeSWITCH alone to tell, and it acts on it; use CUSTOM with a subclass"
        )));
    }
    let remedy = match nearest(&name.to_ascii_uppercase(), PERMITTED.into_iter()) {
        Some(meant) => format!("write {meant}"),
        None => "use CUSTOM, and this as its subclass".to_owned(),
    };
    Err(invalid(format!(
        "{name:?} is no event of FreeSWITCH; {remedy}"
    )))
}

/// Checks that no module of FreeSWITCH would act on a subclass.
pub(super) fn check_undriven(subclass: &str) -> Result<(), Failure> {
    let lower = subclass.to_ascii_lowercase();
    match DRIVING.iter().find(|driving| lower.starts_with(**driving)) {
        Some(driving) => Err(Failure::invalid(
            "subclass",
            format!(
                "begins with {driving}, and modules of FreeSWITCH act on such events; begin it with a name of your own, for example acme::"
            ),
        )),
        None => Ok(()),
    }
}

/// Whether an event of this name would go to a channel by this header.
pub(super) fn leads_to_a_channel(name: &str, header: &str) -> bool {
    name != CUSTOM && header.eq_ignore_ascii_case(OF_A_CHANNEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_on_which_freeswitch_acts_are_refused_with_the_remedy() {
        let refused = |name: &&str| {
            check_name(name).is_err_and(|failure| failure.to_string().contains("use CUSTOM"))
        };
        let (told, permitted): (Vec<_>, Vec<_>) = EVENT_NAMES.into_iter().partition(refused);
        assert_eq!(permitted.len(), PERMITTED.len());
        for name in [
            "SHUTDOWN",
            "ADD_SCHEDULE",
            "DEL_SCHEDULE",
            "EXE_SCHEDULE",
            "RE_SCHEDULE",
            "CALL_SECURE",
            "NAT",
            "MODULE_LOAD",
            "MODULE_UNLOAD",
            "RELOADXML",
            "TRAP",
            "ROSTER",
            "CHANNEL_HANGUP",
            "ALL",
        ] {
            assert!(told.contains(&name), "{name}");
        }
    }

    #[test]
    fn subclasses_on_which_modules_act_are_refused_in_any_case() {
        for subclass in [
            "multicast::event",
            "Multicast::Event",
            "SMS::SEND_MESSAGE",
            "sofia::register_failure",
            "skinny::call_state",
            "websocket::stophook",
        ] {
            assert!(check_undriven(subclass).is_err(), "{subclass}");
        }
        for subclass in [
            "acme::order",
            "multicast",
            "acme::sms::x",
            "TDD::SEND_MESSAGE",
        ] {
            assert!(check_undriven(subclass).is_ok(), "{subclass}");
        }
    }
}
