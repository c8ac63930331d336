//! What must hold for every text: it arrives, or it is refused. For the tests, and for a fuzz
//! target, which calls [`survives`] (`cfg(fuzzing)`).

use super::model::{self, Dialled, Sent};
use super::*;
use crate::domain::SessionId;

/// Panics unless `text` arrives or is refused in every place that takes client text.
pub fn survives(text: &str) {
    value_survives(text);
    leg_value_survives(text, LegStrategy::Forked);
    leg_value_survives(text, LegStrategy::Failover);
    arguments_survive(text);
    endpoint_survives(text);
}

pub(super) fn session() -> SessionId {
    "5c3ab1f6-0000-4000-8000-000000000001".parse().unwrap()
}

pub(super) fn park(variables: &[(&str, &str)]) -> OriginateCommand {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    OriginateCommand {
        legs: vec![Leg {
            endpoint: "null/x".into(),
            session: None,
            variables: Vec::new(),
        }],
        strategy: LegStrategy::Failover,
        variables: variables.iter().map(own).collect(),
        caller_id_name: None,
        caller_id_number: None,
        timeout_seconds: None,
        ignore_early_media: false,
        target: Target::Application {
            name: "park".into(),
            arguments: String::new(),
        },
    }
}

pub(super) fn call(name: &str, arguments: &str) -> OriginateCommand {
    let target = Target::Application {
        name: name.into(),
        arguments: arguments.into(),
    };
    OriginateCommand {
        target,
        ..park(&[])
    }
}

pub(super) fn parsed(command: &OriginateCommand) -> Result<(Dialled, Sent), RefusedField> {
    command
        .to_api()
        .map(|api| model::originate(api.arguments()))
}

/// What may be refused as the value of a variable, and why.
pub(super) fn refusal(value: &str) -> Option<Unquotable> {
    check_value(value)
        .err()
        .or_else(|| check_command(value).err())
}

pub(super) fn value_survives(value: &str) {
    let command = park(&[("before", "1"), ("v", value), ("after", "2")]);
    let setvar = uuid_setvar(&session(), "v", value);
    let Some(reason) = refusal(value) else {
        let (dialled, sent) = parsed(&command).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [pair("before", "1"), pair("v", value), pair("after", "2")];
        assert_eq!(dialled.globals, expected);
        assert_eq!(dialled.groups, [[(Vec::new(), "null/x".to_owned())]]);
        assert_eq!(sent, Sent::App("park".into(), String::new()));
        let line = setvar.unwrap();
        assert_eq!(
            model::setvar(line.arguments()),
            [session().as_str(), "v", value]
        );
        return;
    };
    assert_eq!(setvar, Err(reason.clone()), "{value:?}");
    assert_eq!(parsed(&command).unwrap_err().reason, reason, "{value:?}");
}

pub(super) fn leg_value_survives(value: &str, strategy: LegStrategy) {
    let own = [
        ("v".to_owned(), value.to_owned()),
        ("w".to_owned(), value.to_owned()),
    ];
    let leg = |endpoint: &str, variables: &[(String, String)]| Leg {
        endpoint: endpoint.into(),
        session: Some(session()),
        variables: variables.to_vec(),
    };
    let legs = vec![leg("null/x", &own), leg("sofia/a/b@[::1];x=y", &[])];
    let command = OriginateCommand {
        legs,
        strategy,
        ..park(&[("g", "}")])
    };
    match parsed(&command) {
        Ok((dialled, _)) => {
            let id = ("origination_uuid".to_owned(), session().to_string());
            let first = (
                [vec![id.clone()], own.to_vec()].concat(),
                "null/x".to_owned(),
            );
            let second = (vec![id], "sofia/a/b@[::1];x=y".to_owned());
            match strategy {
                LegStrategy::Forked => assert_eq!(dialled.groups, [[first, second]]),
                LegStrategy::Failover => assert_eq!(dialled.groups, [[first], [second]]),
            }
            assert_eq!(dialled.globals, [("g".to_owned(), "}".to_owned())]);
        }
        Err(refused) => {
            let brackets = value.contains(['[', ']', '\u{1}', '\u{2}']);
            assert!(
                brackets || refusal(value) == Some(refused.reason),
                "{value:?}"
            );
        }
    }
}

pub(super) fn arguments_survive(arguments: &str) {
    let expected = Sent::App("log".into(), arguments.to_owned());
    match parsed(&call("log", arguments)) {
        Ok((_, sent)) => assert_eq!(sent, expected),
        Err(refused) => {
            let planned = arguments.contains("\\'") && refused.reason == Unquotable::EscapedQuote;
            let scoped = arguments.starts_with('%') && refused.reason == Unquotable::ScopeVariables;
            let other = check_text(arguments)
                .err()
                .or_else(|| check_command(arguments).err());
            assert!(
                planned || scoped || other == Some(refused.reason),
                "{arguments:?}"
            );
        }
    }
    let event = uuid::Uuid::nil();
    let packet = sendmsg_execute(&session(), "log", arguments, &event, true, Some(2));
    let Ok(packet) = packet else { return };
    let (head, body) = packet.split_once("\n\n").unwrap();
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "));
    assert_eq!(length.map_or(0, |l| l.parse().unwrap()), body.len());
    assert_eq!(model::expand(body), arguments);
    assert_eq!(head.lines().count(), if body.is_empty() { 6 } else { 8 });
}

pub(super) fn endpoint_survives(endpoint: &str) {
    let mut command = park(&[("v", "{")]);
    command.legs[0].endpoint = endpoint.to_owned();
    match parsed(&command) {
        Ok((dialled, _)) => {
            assert_eq!(dialled.groups, [[(Vec::new(), endpoint.to_owned())]]);
            assert_eq!(check_endpoint(endpoint), Ok(()));
        }
        Err(refused) => assert!(!refused.reason.to_string().is_empty()),
    }
}
