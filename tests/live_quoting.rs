//! Every hostile string, set on a real FreeSWITCH and read back from it.
//!
//! Runs when `SWITCHGATE_TEST_FREESWITCH` names one, as `host:port`; its password is in
//! `SWITCHGATE_TEST_PASSWORD`, or `ClueCon`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test must panic")]

use switchgate::domain::{HangupCause, SessionId};
use switchgate::esl::quote::{
    Leg, LegStrategy, OriginateCommand, Target, sendmsg_execute, sendmsg_hangup, uuid_setvar,
    uuid_unsetvar,
};

mod client;

use client::{Client, own, park};

const HOSTILE: &[&str] = include!("hostile_strings.rs");

/// Says how many strings went, so that a test which sends nothing cannot pass unseen.
fn enough(what: &str, carried: usize, least: usize) {
    println!("{what}: {carried} carried");
    assert!(carried >= least, "{what}: {carried}");
}

#[test]
fn variables_of_an_originate_arrive() {
    let Some(mut client) = Client::connect() else {
        return;
    };
    let mut carried = 0;
    for value in HOSTILE {
        let session = SessionId::generate();
        let command = park(&session, &[("before", "1"), ("v", value), ("after", "2")]);
        let Ok(reply) = client.originate(&command) else {
            continue;
        };
        assert_eq!(reply, format!("+OK {session}\n"), "{value:?}");
        assert_eq!(client.get(&session, "v"), *value);
        assert_eq!(client.get(&session, "before"), "1");
        assert_eq!(client.get(&session, "after"), "2", "{value:?}");
        client.kill(&session);
        carried += 1;
    }
    enough("originate variables", carried, HOSTILE.len() - 30);
}

#[test]
fn variables_of_one_leg_arrive() {
    let Some(mut client) = Client::connect() else {
        return;
    };
    let mut carried = 0;
    for value in HOSTILE {
        for strategy in [LegStrategy::Forked, LegStrategy::Failover] {
            let session = SessionId::generate();
            let mut command = park(&session, &[("g", "}':_:")]);
            command.strategy = strategy;
            command.legs[0].variables = own(&[("v", value), ("w", value), ("after", "2")]);
            let failing = Leg {
                endpoint: "error/USER_BUSY".into(),
                session: Some(SessionId::generate()),
                variables: own(&[("v", "'")]),
            };
            command.legs.push(failing);
            let Ok(reply) = client.originate(&command) else {
                continue;
            };
            assert_eq!(reply, format!("+OK {session}\n"), "{value:?}");
            assert_eq!(client.get(&session, "v"), *value);
            assert_eq!(client.get(&session, "w"), *value);
            assert_eq!(client.get(&session, "after"), "2", "{value:?}");
            assert_eq!(client.get(&session, "g"), "}':_:", "{value:?}");
            client.kill(&session);
            carried += 1;
        }
    }
    enough("leg variables", carried, HOSTILE.len());
}

#[test]
fn uuid_setvar_carries_them() {
    let Some(mut client) = Client::connect() else {
        return;
    };
    let session = client.parked();
    let mut carried = 0;
    for value in HOSTILE {
        let Ok(command) = uuid_setvar(&session, "v", value) else {
            continue;
        };
        assert_eq!(client.send(&command.api()), "+OK\n", "{value:?}");
        assert_eq!(client.get(&session, "v"), *value);
        carried += 1;
    }
    let unset = uuid_unsetvar(&session, "v").unwrap();
    assert_eq!(client.send(&unset.api()), "+OK\n");
    assert_eq!(client.get(&session, "v"), "_undef_");
    for name in ["naïve", "日本", "a!b", "sip_h_X-Id.2", "a~*+"] {
        let set = uuid_setvar(&session, name, "1").unwrap();
        client.send(&set.api());
        assert_eq!(client.get(&session, name), "1");
    }
    client.kill(&session);
    enough("uuid_setvar", carried, HOSTILE.len() - 30);
}

#[test]
fn arguments_of_an_executed_application_arrive() {
    let Some(mut client) = Client::connect() else {
        return;
    };
    let session = client.parked();
    let mut carried = 0;
    for arguments in HOSTILE {
        // read back as a variable they must be able to be one
        if uuid_setvar(&session, "v", arguments).is_err() {
            continue;
        }
        let event = uuid::Uuid::new_v4();
        let packet = sendmsg_execute(&session, "log", arguments, &event, true, None);
        let Ok(packet) = packet else { continue };
        assert_eq!(client.send(&packet), "+OK", "{arguments:?}");
        let got = client.await_value(&session, "current_application_data", arguments);
        assert_eq!(got, *arguments);
        carried += 1;
    }
    let event = uuid::Uuid::new_v4();
    let empty = sendmsg_execute(&session, "set", "", &event, false, Some(1)).unwrap();
    assert_eq!(client.send(&empty), "+OK");
    let empty = client.await_value(&session, "current_application_data", "_undef_");
    assert_eq!(empty, "_undef_");
    assert_eq!(
        client.send(&sendmsg_hangup(&session, HangupCause::UserBusy)),
        "+OK"
    );
    let gone = client.await_value(&session, "v", "-ERR No such channel!\n");
    assert_eq!(gone, "-ERR No such channel!\n");
    enough("sendmsg", carried, HOSTILE.len() - 35);
}

#[test]
fn arguments_of_an_originated_application_arrive() {
    let Some(mut client) = Client::connect() else {
        return;
    };
    let (probe, mut carried) = (SessionId::generate(), 0);
    for arguments in HOSTILE {
        if uuid_setvar(&probe, "v", arguments).is_err() {
            continue;
        }
        let session = SessionId::generate();
        let target = Target::Application {
            name: "echo".into(),
            arguments: (*arguments).into(),
        };
        let command = OriginateCommand {
            target,
            ..park(&session, &[])
        };
        let Ok(reply) = client.originate(&command) else {
            continue;
        };
        assert_eq!(reply, format!("+OK {session}\n"), "{arguments:?}");
        let got = client.await_value(&session, "current_application_data", arguments);
        assert_eq!(got, *arguments);
        client.kill(&session);
        carried += 1;
    }
    enough("originate application", carried, HOSTILE.len() - 45);
}

/// Strings of the characters that mean something to FreeSWITCH's splitters, so that the model of
/// the unit tests is not the only judge of what the corpus lacks.
#[test]
fn random_strings_arrive() {
    let Some(mut client) = Client::connect() else {
        return;
    };
    let alphabet: Vec<char> = " \\'\",|=:_{}[]<>^()&%$nrtsa;~m\t\u{b}\u{1}\u{2}é"
        .chars()
        .collect();
    let (parked, mut carried) = (client.parked(), 0);
    for _ in 0..1_000 {
        let length = rand::random_range(1..24);
        let pick = || alphabet[rand::random_range(0..alphabet.len())];
        let text: String = std::iter::repeat_with(pick).take(length).collect();
        let Ok(set) = uuid_setvar(&parked, "v", &text) else {
            continue;
        };
        client.send(&set.api());
        assert_eq!(client.get(&parked, "v"), text);

        let session = SessionId::generate();
        let mut command = park(&session, &[("before", &text), ("v", &text), ("after", "2")]);
        command.legs[0].variables = own(&[("leg", &text), ("w", "1")]);
        if command.to_api().is_err() {
            command.legs[0].variables.clear();
        }
        let target = Target::Application {
            name: "echo".into(),
            arguments: text.clone(),
        };
        let plain = std::mem::replace(&mut command.target, target);
        let sent = command.to_api().is_ok();
        if !sent {
            command.target = plain;
        }
        assert_eq!(
            client.originate(&command).unwrap(),
            format!("+OK {session}\n"),
            "{text:?}"
        );
        assert_eq!(client.get(&session, "v"), text);
        assert_eq!(client.get(&session, "before"), text);
        assert_eq!(client.get(&session, "after"), "2", "{text:?}");
        if !command.legs[0].variables.is_empty() {
            assert_eq!(client.get(&session, "leg"), text);
            assert_eq!(client.get(&session, "w"), "1", "{text:?}");
        }
        if sent {
            assert_eq!(
                client.await_value(&session, "current_application_data", &text),
                text
            );
        }
        client.kill(&session);
        carried += 1;
    }
    client.kill(&parked);
    enough("random strings", carried, 500);
}

#[test]
fn dial_strings_and_caller_ids_arrive() {
    let Some(mut client) = Client::connect() else {
        return;
    };
    let mut carried = 0;
    for text in HOSTILE {
        let session = SessionId::generate();
        let mut command = park(&session, &[]);
        command.legs[0].endpoint = format!("null/{text}");
        if let Ok(reply) = client.originate(&command) {
            assert_eq!(reply, format!("+OK {session}\n"), "{text:?}");
            assert_eq!(client.get(&session, "destination_number"), *text);
            client.kill(&session);
            carried += 1;
        }
        let session = SessionId::generate();
        let mut named = park(&session, &[]);
        named.caller_id_name = Some((*text).to_owned());
        named.caller_id_number = Some("1".into());
        if client.originate(&named).is_ok() {
            // an answered outgoing leg shows its caller's name as the callee's
            assert_eq!(client.get(&session, "callee_id_name"), *text);
            client.kill(&session);
        }
    }
    enough("dial strings", carried, 100);
}
