//! SessionService: what can be asked of sessions, and what hanging up, answering and parking do.

use std::collections::HashSet;

use switchgate::pb::{self, CallState, Direction, HangupCause};
use tonic::Code;

use crate::client::*;
use crate::gateway::{Gateway, code_and_reason, metadata, on_each, on_freeswitch, within};

/// A session that no node has.
const NOWHERE: &str = "00000000-0000-4000-8000-000000000000";

async fn hang_up_with(
    gateway: &Gateway,
    session_id: &str,
    cause: HangupCause,
) -> Result<pb::Session, tonic::Status> {
    let request = pb::HangupRequest {
        session_id: session_id.to_owned(),
        cause: cause.into(),
        ..Default::default()
    };
    let response = within(gateway.sessions().hangup(request)).await?;
    Ok(response.into_inner().session.unwrap())
}

async fn answer(gateway: &Gateway, session_id: &str) -> Result<pb::Session, tonic::Status> {
    let request = pb::AnswerRequest {
        session_id: session_id.to_owned(),
        ..Default::default()
    };
    let response = within(gateway.sessions().answer(request)).await?;
    Ok(response.into_inner().session.unwrap())
}

async fn park(gateway: &Gateway, session_id: &str) -> Result<pb::Session, tonic::Status> {
    let request = pb::ParkRequest {
        session_id: session_id.to_owned(),
        ..Default::default()
    };
    let response = within(gateway.sessions().park(request)).await?;
    Ok(response.into_inner().session.unwrap())
}

async fn list(
    gateway: &Gateway,
    filter: &str,
    page_size: i32,
    page_token: &str,
) -> Result<pb::ListSessionsResponse, tonic::Status> {
    let request = pb::ListSessionsRequest {
        filter: filter.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
    };
    Ok(within(gateway.sessions().list_sessions(request))
        .await?
        .into_inner())
}

fn reason(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

#[tokio::test]
async fn a_leg_is_hung_up_with_the_cause_that_is_asked_for() {
    on_each(async |gateway| {
        for (cause, q850, sip) in [
            (HangupCause::UserBusy, 17, 486),
            (HangupCause::CallRejected, 21, 603),
            (HangupCause::NormalClearing, 16, 200),
        ] {
            let session = answered(&gateway).await;
            let ended = hang_up_with(&gateway, &session.session_id, cause)
                .await
                .unwrap();
            let hangup = ended.hangup.unwrap();
            assert_eq!((hangup.cause(), hangup.q850_code), (cause, q850));
            if cause != HangupCause::NormalClearing {
                assert_eq!(hangup.sip_code, sip);
            }
            assert_eq!(ended.call_state(), CallState::Hangup);
            assert!(ended.times.unwrap().hung_up.is_some());
            let kept = get(&gateway, &session.session_id).await.unwrap();
            assert_eq!(kept.hangup.unwrap().cause(), cause);
        }
        let session = answered(&gateway).await;
        let ended = hang_up_with(&gateway, &session.session_id, HangupCause::Unspecified)
            .await
            .unwrap();
        assert_eq!(ended.hangup.unwrap().cause(), HangupCause::NormalClearing);
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_that_has_ended_can_do_nothing_more() {
    on_each(async |gateway| {
        let session_id = answered(&gateway).await.session_id;
        hang_up_with(&gateway, &session_id, HangupCause::UserBusy)
            .await
            .unwrap();
        let peer = pb::bridge_request::Peer::Endpoint(ANSWERS.to_owned());
        let failures = [
            hang_up_with(&gateway, &session_id, HangupCause::UserBusy)
                .await
                .unwrap_err(),
            answer(&gateway, &session_id).await.unwrap_err(),
            park(&gateway, &session_id).await.unwrap_err(),
            bridge_to(&gateway, &session_id, peer).await.unwrap_err(),
            execute(&gateway, &session_id, "echo", "", pb::ExecuteWait::Started)
                .await
                .unwrap_err(),
            set(&gateway, &session_id, &[("a", "b")]).await.unwrap_err(),
        ];
        for status in failures {
            assert_eq!(
                code_and_reason(&status),
                reason(Code::FailedPrecondition, "SESSION_ENDED")
            );
            assert_eq!(metadata(&status, "session_id"), session_id);
            assert_eq!(metadata(&status, "hangup_cause"), "USER_BUSY");
            assert!(!has_retry(&status));
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_leg_that_nobody_knows_is_not_found_by_any_rpc() {
    on_each(async |gateway| {
        let peer = pb::bridge_request::Peer::Endpoint(ANSWERS.to_owned());
        let variables = pb::GetVariablesRequest {
            session_id: NOWHERE.to_owned(),
            names: vec!["x".to_owned()],
        };
        let failures = [
            get(&gateway, NOWHERE).await.unwrap_err(),
            hang_up_with(&gateway, NOWHERE, HangupCause::UserBusy)
                .await
                .unwrap_err(),
            answer(&gateway, NOWHERE).await.unwrap_err(),
            park(&gateway, NOWHERE).await.unwrap_err(),
            bridge_to(&gateway, NOWHERE, peer).await.unwrap_err(),
            execute(&gateway, NOWHERE, "echo", "", pb::ExecuteWait::Started)
                .await
                .unwrap_err(),
            set(&gateway, NOWHERE, &[("a", "b")]).await.unwrap_err(),
            unset(&gateway, NOWHERE, &["a"]).await.unwrap_err(),
            within(gateway.sessions().get_variables(variables))
                .await
                .unwrap_err(),
        ];
        for status in failures {
            assert_eq!(
                code_and_reason(&status),
                reason(Code::NotFound, "SESSION_NOT_FOUND")
            );
            assert_eq!(metadata(&status, "session_id"), NOWHERE);
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_inbound_leg_is_answered_and_its_caller_sees_it() {
    on_each(async |gateway| {
        let (inbound, outbound) = inbound_unanswered(&gateway).await;
        let before = get(&gateway, &inbound).await.unwrap();
        assert!(!before.answered);
        assert_eq!(before.direction(), Direction::Inbound);
        let session = answer(&gateway, &inbound).await.unwrap();
        assert!(session.answered && session.times.unwrap().answered.is_some());
        until(&gateway, &outbound, |session| session.answered).await;
        // Once more returns at once.
        assert!(answer(&gateway, &inbound).await.unwrap().answered);
        hang_up(&gateway, &inbound).await;
        until_ended(&gateway, &outbound).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_call_from_outside_is_seen_and_answered() {
    let gateway = Gateway::over_sim().await;
    let id = gateway.sim().place_inbound("park", "4930555");
    until(&gateway, &id, |session| session.parked).await;
    let session = answer(&gateway, &id).await.unwrap();
    assert!(session.answered);
    assert_eq!(session.caller.unwrap().number, "4930555");
    assert_eq!(session.destination_number, "park");
    hang_up(&gateway, &id).await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_outbound_leg_cannot_be_answered_from_here() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            wait_for: pb::OriginateWait::Progress.into(),
            ..to(RINGS)
        };
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        let status = answer(&gateway, &session.session_id).await.unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            reason(Code::FailedPrecondition, "SESSION_STATE")
        );
        assert_eq!(metadata(&status, "call_state"), "RINGING");
        hang_up(&gateway, &session.session_id).await;
        // An answered one is what was asked for, whoever answered it.
        let session = answered(&gateway).await;
        assert!(
            answer(&gateway, &session.session_id)
                .await
                .unwrap()
                .answered
        );
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_busy_leg_is_parked_and_a_parked_one_stays_so() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            target: Some(application("echo", "")),
            ..to(ANSWERS)
        };
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        until(&gateway, &session.session_id, |session| {
            session
                .application
                .as_ref()
                .is_some_and(|app| app.name == "echo")
        })
        .await;
        let parked = park(&gateway, &session.session_id).await.unwrap();
        assert!(parked.parked && parked.hangup.is_none());
        assert!(park(&gateway, &session.session_id).await.unwrap().parked);
        hang_up(&gateway, &session.session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_session_is_shown_with_its_variables_on_request() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            variables: map(&[("sg_seen", "a b")]),
            ..to(ANSWERS)
        };
        let id = place(&gateway, request)
            .await
            .unwrap()
            .session
            .unwrap()
            .session_id;
        for is_live in [true, false] {
            let request = |include_variables| pb::GetSessionRequest {
                session_id: id.clone(),
                include_variables,
            };
            let shown = within(gateway.sessions().get_session(request(true)))
                .await
                .unwrap();
            let shown = shown.into_inner();
            assert!(!shown.cursor.is_empty());
            let session = shown.session.unwrap();
            assert_eq!(session.hangup.is_none(), is_live);
            assert_eq!(session.variables["sg_seen"], "a b");
            assert_eq!(session.variables["uuid"], id);
            let shown = within(gateway.sessions().get_session(request(false)))
                .await
                .unwrap();
            assert!(shown.into_inner().session.unwrap().variables.is_empty());
            if is_live {
                // Its variables are there as soon as it is down.
                hang_up(&gateway, &id).await;
            }
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn sessions_are_listed_by_every_term_of_a_filter() {
    on_each(async |gateway| {
        let tag = tag();
        let label = [("tag", tag.as_str())];
        let ringing = pb::OriginateRequest {
            labels: map(&label),
            wait_for: pb::OriginateWait::Progress.into(),
            ..to(RINGS)
        };
        let talking = pb::OriginateRequest {
            labels: map(&label),
            ..to(ANSWERS)
        };
        let ringing = place(&gateway, ringing).await.unwrap().session.unwrap();
        let talking = place(&gateway, talking).await.unwrap().session.unwrap();
        let talking = until(&gateway, &talking.session_id, |session| session.parked).await;
        let (ringing_id, talking_id) = (ringing.session_id.clone(), talking.id.to_string());
        let both = vec![ringing_id.clone(), talking_id.clone()];
        let (first, second) = (vec![ringing_id.clone()], vec![talking_id.clone()]);
        let node = ringing.node_id.clone();
        for (term, expected) in [
            (String::new(), &both),
            (format!("AND node_id = \"{node}\""), &both),
            (format!("AND node_id = {node}"), &both),
            ("AND node_id != elsewhere".to_owned(), &both),
            ("AND node_id = elsewhere".to_owned(), &vec![]),
            ("AND answered = true".to_owned(), &second),
            ("AND answered != true".to_owned(), &first),
            ("AND answered=false".to_owned(), &first),
            ("AND call_state = CALL_STATE_RINGING".to_owned(), &first),
            ("AND call_state = CALL_STATE_ACTIVE".to_owned(), &second),
            ("AND state = SESSION_STATE_EXECUTE".to_owned(), &second),
            ("AND direction = DIRECTION_OUTBOUND".to_owned(), &both),
            ("AND direction = DIRECTION_INBOUND".to_owned(), &vec![]),
            (format!("AND call_id = {}", ringing.call_id), &first),
            (format!("AND call_id != {}", ringing.call_id), &second),
            (
                "AND label.other != x AND answered = true".to_owned(),
                &second,
            ),
        ] {
            let filter = format!("label.tag = {tag} {term}");
            let page = list(&gateway, &filter, 0, "").await.unwrap();
            let mut ids: Vec<_> = page.sessions.into_iter().map(|s| s.session_id).collect();
            // Sessions of one tick of FreeSWITCH's clock are in the order of their ids.
            let mut expected = expected.clone();
            ids.sort();
            expected.sort();
            assert_eq!(ids, expected, "{filter}");
            assert_eq!(usize::try_from(page.total_size).unwrap(), expected.len());
            assert_eq!(page.next_page_token, "");
            assert!(!page.cursor.is_empty());
        }
        hang_up(&gateway, &ringing_id).await;
        hang_up(&gateway, &talking_id).await;
        let page = list(&gateway, &format!("label.tag = {tag}"), 0, "")
            .await
            .unwrap();
        assert_eq!(page.total_size, 2, "ended sessions stay for the retention");
        gateway
    })
    .await;
}

#[tokio::test]
async fn pages_of_sessions_are_the_whole_list_without_loss_or_repeat() {
    on_each(async |gateway| {
        let tag = tag();
        let mut placed = HashSet::new();
        for _ in 0..7 {
            let request = pb::OriginateRequest {
                labels: map(&[("tag", &tag)]),
                wait_for: pb::OriginateWait::Started.into(),
                ..to(ANSWERS)
            };
            placed.insert(
                place(&gateway, request)
                    .await
                    .unwrap()
                    .session
                    .unwrap()
                    .session_id,
            );
        }
        let filter = format!("label.tag = {tag}");
        let mut whole = Vec::new();
        for size in [8, 1, 2, 3, 7] {
            let mut listed = Vec::new();
            let mut token = String::new();
            loop {
                let page = list(&gateway, &filter, size, &token).await.unwrap();
                assert_eq!(page.total_size, 7);
                assert!(page.sessions.len() <= usize::try_from(size).unwrap());
                listed.extend(page.sessions.into_iter().map(|session| session.session_id));
                token = page.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
            if whole.is_empty() {
                assert_eq!(listed.iter().cloned().collect::<HashSet<_>>(), placed);
                whole.clone_from(&listed);
            }
            assert_eq!(listed, whole, "pages of {size}");
        }
        for id in &placed {
            hang_up(&gateway, id).await;
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_bad_filter_size_or_token_is_refused() {
    let gateway = Gateway::over_sim().await;
    for filter in [
        "nonsense = 1",
        "state",
        "state = ",
        "state ~ x",
        "state = a OR state = b",
        "answered = true answered",
        "node_id = \"a",
        "label. = x",
    ] {
        let status = list(&gateway, filter, 0, "").await.unwrap_err();
        assert_invalid(&status, "filter");
    }
    assert_invalid(&list(&gateway, "", -1, "").await.unwrap_err(), "page_size");
    let first = originate(&gateway, ANSWERS).await.unwrap();
    originate(&gateway, ANSWERS).await.unwrap();
    let token = list(&gateway, "", 1, "").await.unwrap().next_page_token;
    assert!(!token.is_empty());
    for token in ["nonsense", "0.0", &format!("{token}x")[1..]] {
        assert_invalid(
            &list(&gateway, "", 1, token).await.unwrap_err(),
            "page_token",
        );
    }
    let status = list(&gateway, "answered = true", 1, &token)
        .await
        .unwrap_err();
    assert_invalid(&status, "page_token");
    // More than the most counts as the most.
    let page = list(&gateway, "", i32::MAX, "").await.unwrap();
    assert!(
        page.sessions
            .iter()
            .any(|session| session.session_id == first.session_id)
    );
    gateway.stop().await;
}

async fn set(
    gateway: &Gateway,
    session_id: &str,
    pairs: &[(&str, &str)],
) -> Result<pb::SetVariablesResponse, tonic::Status> {
    let request = pb::SetVariablesRequest {
        session_id: session_id.to_owned(),
        variables: map(pairs),
        ..Default::default()
    };
    Ok(within(gateway.sessions().set_variables(request))
        .await?
        .into_inner())
}

async fn unset(gateway: &Gateway, session_id: &str, names: &[&str]) -> Result<(), tonic::Status> {
    let request = pb::UnsetVariablesRequest {
        session_id: session_id.to_owned(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    };
    within(gateway.sessions().unset_variables(request)).await?;
    Ok(())
}

#[tokio::test]
async fn variables_are_set_read_and_removed_with_exactly_their_characters() {
    let hostile = [
        ("sg_quotes", r#"it's "quoted" \'twice\'"#),
        ("sg_commas", "a,b;c|d^^e"),
        ("sg_spaces", "  two  spaces  "),
        ("sg_backslash", r"C:\new\\table\s"),
        ("sg_dollar", "$5 $x 100% %41 %{y}"),
        ("sg_unicode", "grüße 日本 🎉"),
        ("sg_equals", "a=b==c"),
        ("sg_tab", "a\tb"),
    ];
    // Not on the simulator yet: `uuid_setvar` strips quoted spaces.
    on_freeswitch(async |gateway| {
        let id = answered(&gateway).await.session_id;
        let response = set(&gateway, &id, &hostile).await.unwrap();
        assert_eq!(response.variables, map(&hostile));
        let names: Vec<&str> = hostile.iter().map(|(name, _)| *name).collect();
        assert_eq!(variables(&gateway, &id, &names).await, map(&hostile));
        // All of them, and under a name in another case.
        let all = variables(&gateway, &id, &[]).await;
        assert_eq!(all["sg_equals"], "a=b==c");
        assert!(all.len() > hostile.len());
        assert_eq!(
            variables(&gateway, &id, &["SG_EQUALS", "sg_none"]).await,
            map(&[("SG_EQUALS", "a=b==c")])
        );
        // A name that is not set is no error.
        unset(&gateway, &id, &["sg_quotes", "sg_none"])
            .await
            .unwrap();
        let left = variables(&gateway, &id, &["sg_quotes", "sg_commas"]).await;
        assert_eq!(left, map(&[("sg_commas", "a,b;c|d^^e")]));

        hang_up(&gateway, &id).await;
        let last = variables(&gateway, &id, &names).await;
        assert_eq!(last.len(), hostile.len() - 1, "those of the last event");
        let status = unset(&gateway, &id, &["sg_commas"]).await.unwrap_err();
        assert_eq!(code_and_reason(&status).1, "SESSION_ENDED");
        gateway
    })
    .await;
}

#[tokio::test]
async fn of_several_variables_all_are_set_or_none() {
    on_each(async |gateway| {
        let id = answered(&gateway).await.session_id;
        for (name, value) in [
            ("sg_bad", "${system(id)}"),
            ("sg_bad", "a\nb"),
            ("sg_bad", "a\0b"),
            ("sg_bad", ""),
            ("sg bad", "x"),
            ("", "x"),
        ] {
            let status = set(&gateway, &id, &[("sg_good", "1"), (name, value)])
                .await
                .unwrap_err();
            assert_invalid(&status, &format!("variables[{name:?}]"));
        }
        assert_invalid(&set(&gateway, &id, &[]).await.unwrap_err(), "variables");
        assert_invalid(&unset(&gateway, &id, &[]).await.unwrap_err(), "names");
        let status = unset(&gateway, &id, &["sg_good", "a b"]).await.unwrap_err();
        assert_invalid(&status, "names[1]");
        assert!(variables(&gateway, &id, &["sg_good"]).await.is_empty());
        hang_up(&gateway, &id).await;
        gateway
    })
    .await;
}
