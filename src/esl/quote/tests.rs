use proptest::prelude::*;

use super::corpus::HOSTILE;
use super::model::{self, Dialled, Sent};
use super::survival::*;
use super::*;
use crate::domain::{HangupCause, JobId};

mod endpoints;
mod second_opinion;

#[test]
fn every_hostile_string_arrives_or_is_refused() {
    assert!(HOSTILE.len() >= 200, "{}", HOSTILE.len());
    for value in HOSTILE {
        survives(value);
        endpoint_survives(&format!("null/{value}"));
    }
}

#[test]
fn little_is_refused_and_the_reason_names_it() {
    let refused: Vec<_> = HOSTILE
        .iter()
        .filter_map(|v| refusal(v).map(|r| (*v, r)))
        .collect();
    for (value, reason) in &refused {
        let told = reason.to_string();
        let named = match reason {
            Unquotable::Wire(_) => value.contains(['\n', '\r', '\0']),
            Unquotable::Expansion => told.contains("${") && value.contains('{'),
            Unquotable::Array => told.contains("ARRAY::") && value.starts_with("ARRAY::"),
            Unquotable::Empty => value.is_empty(),
            Unquotable::ReplacedCommand => told.contains("mod_event_socket"),
            other => panic!("{other}"),
        };
        assert!(named, "{value:?}: {told}");
    }
    assert_eq!(refused.len(), 26, "{refused:?}");
}

#[test]
fn an_expansion_is_refused_in_every_place() {
    for text in ["${x}", "$${x}", "a${", r"$\{x}", r"$$\\{x}", r"\${x}"] {
        assert_eq!(
            check_no_expansion(text),
            Err(Unquotable::Expansion),
            "{text}"
        );
        assert_eq!(check_variable_name(text), Err(Unquotable::Expansion));
        assert_eq!(
            check_endpoint(&format!("null/{text}")),
            Err(Unquotable::Expansion)
        );
        let sent = sendmsg_execute(&session(), "log", text, &uuid::Uuid::nil(), false, None);
        assert_eq!(sent, Err(Unquotable::Expansion));
        let extension = Target::Extension {
            number: text.into(),
            dialplan: String::new(),
            context: String::new(),
        };
        let dialled = OriginateCommand {
            target: extension,
            ..park(&[])
        };
        assert_eq!(dialled.to_api().unwrap_err().reason, Unquotable::Expansion);
    }
    for text in ["$", "$$", "$x{", "$ {", "{$}", "%{x}", "$(id)", "`id`"] {
        assert_eq!(check_no_expansion(text), Ok(()), "{text}");
    }
}

#[test]
fn a_hook_is_known_by_its_name() {
    for name in ["api_on_answer", "API_hangup_hook", "execute_on_media_1"] {
        assert!(runs_commands(name), "{name}");
    }
    assert!(!runs_commands("sip_h_X-Api"));
}

#[test]
fn what_keeps_a_variable_on_its_leg_is_no_part_of_its_name() {
    for name in ["a", "nolocal:a", "_NoLocal_a", "NOLOCAL:_nolocal_nolocal:a"] {
        assert_eq!(base_name(name), "a", "{name}");
    }
    for name in ["_nolocal", "é_nolocal_a", "日本日本"] {
        assert_eq!(base_name(name), name, "{name}");
    }
}

#[test]
fn what_freeswitch_makes_of_a_hook_is_known_by_how_it_begins() {
    for (name, expected) in [
        ("api_on_answer_data", Hook::Command),
        ("sip_api_on_image", Hook::Command),
        ("record_post_process_exec_api", Hook::Command),
        ("execute_on_answer_api", Hook::Application),
        ("sip_execute_on_image", Hook::Application),
        ("exec_after_bridge_app", Hook::Application),
        ("nolocal:exec_after_bridge_arg", Hook::Arguments),
    ] {
        assert_eq!(hook(name), Some(expected), "{name}");
    }
}

#[test]
fn variable_names_that_would_not_survive_are_refused() {
    for name in ["v", "naïve", "sip_h_X-Id.2", "日本", "_", "a!b", "x~y"] {
        assert_eq!(check_variable_name(name), Ok(()), "{name}");
    }
    for c in " =,|;:'\"\\{}[]<>()&$%^?@#/`\t\u{7f}\u{a0}\u{85}".chars() {
        let name = format!("a{c}b");
        assert_eq!(check_variable_name(&name), Err(Unquotable::VariableName(c)));
        assert!(uuid_setvar(&session(), &name, "1").is_err());
        let refused = park(&[(&name, "1")]).to_api().unwrap_err();
        assert_eq!(refused.field, format!("variables[{name:?}]"));
    }
    assert_eq!(check_variable_name("_body"), Err(Unquotable::ReservedName));
    assert!(matches!(
        check_variable_name(""),
        Err(Unquotable::Missing(_))
    ));
    let twice = park(&[("Foo", "1"), ("foo", "2")]).to_api().unwrap_err();
    assert_eq!(twice.reason, Unquotable::Twice("foo".into()));
}

#[test]
fn commands_stand_on_the_wire_as_written() {
    let job: JobId = "0190".parse().unwrap();
    let status = ApiCommand::new("status", "").unwrap();
    assert_eq!(status.api(), "api status\n\n");
    assert_eq!(
        status.bgapi(&job).unwrap(),
        "bgapi status\nJob-UUID: 0190\n\n"
    );
    assert_eq!(
        status.bgapi(&"x".repeat(37).parse().unwrap()),
        Err(Unquotable::JobId)
    );
    let kill = uuid_kill(&session(), HangupCause::UserBusy);
    assert_eq!(kill.arguments(), format!("{} USER_BUSY", session()));
    let hangup = sendmsg_hangup(&session(), HangupCause::UserBusy);
    assert!(
        hangup.ends_with("call-command: hangup\nhangup-cause: USER_BUSY\n\n"),
        "{hangup}"
    );
    let set = uuid_setvar(&session(), "x", " it's\t").unwrap();
    assert_eq!(set.arguments(), format!(r"{} x \sit\'s\t", session()));
    assert_eq!(
        uuid_unsetvar(&session(), "x").unwrap().arguments(),
        format!("{} x", session())
    );
    assert_eq!(ApiCommand::new("two words", ""), Err(Unquotable::Word(' ')));
    assert_eq!(ApiCommand::new("status", "x "), Err(Unquotable::OuterSpace));
    assert!(matches!(
        ApiCommand::new("a\nb", ""),
        Err(Unquotable::Wire(_))
    ));
    assert!(matches!(
        ApiCommand::new("a", "b\n\napi x"),
        Err(Unquotable::Wire(_))
    ));
    let reload = ApiCommand::new("reload", "mod_event_socket");
    assert_eq!(reload, Err(Unquotable::ReplacedCommand));
    let long = ApiCommand::new("echo", &"x".repeat(MAX_COMMAND_BYTES));
    assert!(matches!(long, Err(Unquotable::TooLong(_))));
}

/// Text of the characters that mean something to one of the splitters, and of hostile pieces.
fn hostile_text() -> impl Strategy<Value = String> {
    let alphabet: Vec<char> = " \\'\",|=:_{}[]<>^()&%$nrtsa;~m\t\u{b}\u{1}\u{2}é"
        .chars()
        .collect();
    let piece = prop_oneof![
        8 => prop::sample::select(alphabet).prop_map(String::from),
        1 => prop::sample::select(HOSTILE).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_value_arrives_or_is_refused(value in hostile_text()) {
        value_survives(&value);
    }

    #[test]
    fn any_value_of_a_leg_arrives_or_is_refused(value in hostile_text(), forked: bool) {
        leg_value_survives(&value, if forked { LegStrategy::Forked } else { LegStrategy::Failover });
    }

    #[test]
    fn any_arguments_arrive_or_are_refused(arguments in hostile_text()) {
        arguments_survive(&arguments);
    }

    #[test]
    fn any_dial_string_arrives_or_is_refused(address in hostile_text()) {
        endpoint_survives(&format!("null/{address}"));
        endpoint_survives(&address);
    }

    #[test]
    fn several_values_do_not_touch_each_other(
        values in prop::collection::vec(hostile_text(), 0..5),
    ) {
        let names: Vec<String> = (0..values.len()).map(|at| format!("v{at}")).collect();
        let pairs: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
        if let Ok((dialled, _)) = parsed(&park(&pairs)) {
            let got: Vec<(&str, &str)> =
                dialled.globals.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            prop_assert_eq!(got, pairs);
        } else {
            prop_assert!(values.iter().any(|v| refusal(v).is_some()) || refusal(&values.concat()).is_some());
        }
    }
}
