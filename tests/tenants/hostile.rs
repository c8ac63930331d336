//! Ways to leave one's tenant, none of which leads out.

use super::*;

#[tokio::test]
async fn a_tenant_cannot_make_a_session_somebody_elses() {
    on_each(|gateway| async move {
        let acme = Caller::of(&gateway, "acme");
        let endpoint = answers(&gateway);
        let place = |request: pb::OriginateRequest| {
            let acme = acme.clone();
            async move { within(acme.sessions().originate(request)).await }
        };
        for (name, value) in [
            (VARIABLE, "other"),
            ("TENANT_of_test", "other"),
            (VARIABLE, "acme"),
            ("execute_on_originate", "set tenant_of_test=other"),
            ("api_on_answer", "uuid_setvar x tenant_of_test other"),
        ] {
            let request = pb::OriginateRequest {
                variables: map(&[(name, value)]),
                ..to(&endpoint)
            };
            is_denied(place(request).await, name);
        }
        for endpoint in [
            format!("{{{VARIABLE}=other}}{endpoint}"),
            format!("[{VARIABLE}=other]{endpoint}"),
            format!("<{VARIABLE}=other>{endpoint}"),
            format!("{endpoint},[{VARIABLE}=other]{endpoint}"),
            format!("{endpoint}:_:{{{VARIABLE}=other}}{endpoint}"),
            format!("loopback/app=set:{VARIABLE}=other"),
        ] {
            let status = place(to(&endpoint)).await.expect_err(&endpoint);
            let (code, _) = code_and_reason(&status);
            assert!(
                matches!(code, Code::InvalidArgument | Code::PermissionDenied),
                "{endpoint}: {status:?}"
            );
        }
        // Whether a node has a label is not for a tenant to find out.
        for labels in [&[("site", "nowhere")][..], &[("site", "")]] {
            let request = pb::OriginateRequest {
                node_selector: Some(pb::NodeSelector {
                    match_labels: map(labels),
                    ..Default::default()
                }),
                ..to(&endpoint)
            };
            let status = place(request).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            assert!(status.message().contains("match_labels"), "{status:?}");
        }
        for arguments in [format!("{VARIABLE}=other"), format!("'{VARIABLE}'=other")] {
            let request = pb::OriginateRequest {
                target: Some(application("set", &arguments)),
                ..to(&endpoint)
            };
            is_denied(place(request).await, &arguments);
        }
        let session_id = leg(&gateway, &acme).await;
        let set = pb::SetVariablesRequest {
            session_id: session_id.clone(),
            variables: map(&[("Tenant_Of_Test", "other")]),
            ..Default::default()
        };
        is_denied(within(acme.sessions().set_variables(set)).await, "set");
        let unset = pb::UnsetVariablesRequest {
            session_id: session_id.clone(),
            names: vec![VARIABLE.to_owned()],
            ..Default::default()
        };
        is_denied(
            within(acme.sessions().unset_variables(unset)).await,
            "unset",
        );
        for (application, arguments) in [
            ("set", format!("{VARIABLE}=other")),
            ("export", format!("nolocal:{VARIABLE}=other")),
            ("unset", VARIABLE.to_owned()),
            ("multiset", format!("^^:a=b:{VARIABLE}=other")),
            ("transfer", format!("'set:{VARIABLE}=other' inline")),
            ("set_user", "1000@other".to_owned()),
            ("eavesdrop", "all".to_owned()),
        ] {
            let request = pb::ExecuteRequest {
                session_id: session_id.clone(),
                application: application.to_owned(),
                arguments: arguments.clone(),
                ..Default::default()
            };
            is_denied(within(acme.sessions().execute(request)).await, &arguments);
            let request = pb::BroadcastRequest {
                session_id: session_id.clone(),
                application: application.to_owned(),
                arguments: arguments.clone(),
                ..Default::default()
            };
            is_denied(within(acme.sessions().broadcast(request)).await, &arguments);
        }
        // It is as it was.
        let session = get(&acme, &session_id).await.unwrap();
        assert!(session.hangup.is_none());
        hang_up(&acme, &session_id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_tenant_reaches_nobody_else_by_an_id() {
    on_each(|gateway| async move {
        let [acme, other] = ["acme", "other"].map(|name| Caller::of(&gateway, name));
        let (ours, theirs) = (leg(&gateway, &acme).await, leg(&gateway, &other).await);
        let eavesdrop = pb::EavesdropRequest {
            session_id: ours.clone(),
            target_session_id: theirs.clone(),
            ..Default::default()
        };
        is_not_found(
            within(acme.sessions().eavesdrop(eavesdrop)).await,
            "SESSION_NOT_FOUND",
        );
        for (application, arguments) in [
            ("intercept", theirs.clone()),
            ("playback", format!("x/'{theirs}'")),
        ] {
            let request = pb::ExecuteRequest {
                session_id: ours.clone(),
                application: application.to_owned(),
                arguments,
                ..Default::default()
            };
            is_not_found(
                within(acme.sessions().execute(request)).await,
                "SESSION_NOT_FOUND",
            );
        }
        let call_id = get(&other, &theirs).await.unwrap().call_id;
        let append = pb::AppendSessionRequest {
            call_id,
            session_id: ours.clone(),
            ..Default::default()
        };
        is_not_found(
            within(acme.calls().append_session(append)).await,
            "CALL_NOT_FOUND",
        );
        let call_id = get(&acme, &ours).await.unwrap().call_id;
        let append = pb::AppendSessionRequest {
            call_id,
            session_id: theirs.clone(),
            ..Default::default()
        };
        is_not_found(
            within(acme.calls().append_session(append)).await,
            "SESSION_NOT_FOUND",
        );
        for command in ["uuid_kill", "originate", "status"] {
            let job = pb::RunJobRequest {
                command: command.to_owned(),
                arguments: ours.clone(),
                ..Default::default()
            };
            is_denied(within(acme.jobs().run_job(job)).await, command);
        }
        let filter = pb::ListNodesRequest {
            filter: "address = \"127.0.0.1:8021\"".to_owned(),
            ..Default::default()
        };
        let status = within(acme.nodes().list_nodes(filter)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        hang_up(&acme, &ours).await;
        hang_up(&other, &theirs).await;
        gateway
    })
    .await;
}
