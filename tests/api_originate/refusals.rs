//! What is refused before anything is sent.

use super::*;

/// Of one that the gateway refuses before the wire: the code, and the field that it names.
async fn refused(gateway: &Gateway, request: pb::OriginateRequest, field: &str) -> tonic::Status {
    let status = place(gateway, request).await.unwrap_err();
    assert_invalid(&status, field);
    status
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_with_its_field_and_nothing_is_sent() {
    let gateway = Gateway::over_sim().await;
    // So that the list of applications is known.
    let session = answered(&gateway).await;
    hang_up(&gateway, &session.session_id).await;
    let sent = |gateway: &Gateway| {
        let commands = gateway.sim().commands();
        // The gateway itself lists the sessions a second time, some time after it came up.
        let is_ours = |raw: &&Vec<u8>| {
            raw.starts_with(b"bgapi")
                || (raw.starts_with(b"api") && !raw.starts_with(b"api show c"))
        };
        commands.iter().filter(is_ours).count()
    };
    let before = sent(&gateway);

    let own_braces = format!("{{sip_h_X=1}}{ANSWERS}");
    let status = refused(&gateway, to(&own_braces), "endpoints[0]").await;
    assert!(status.message().contains("use variables"), "{status:?}");
    refused(&gateway, to(&format!("[a=b]{ANSWERS}")), "endpoints[0]").await;
    refused(
        &gateway,
        to("sofia/internal/${x}@127.0.0.1"),
        "endpoints[0]",
    )
    .await;
    refused(&gateway, to("no dial string"), "endpoints[0]").await;
    refused(&gateway, to(&format!("{ANSWERS},{BUSY}")), "endpoints[0]").await;
    refused(&gateway, pb::OriginateRequest::default(), "endpoints").await;
    for (name, value) in [
        ("origination_uuid", "8c5b2c1e-8a69-4d5c-9a4e-0f6f6f6f6f6f"),
        ("Origination_UUID", "x"),
        ("originate_timeout", "5"),
        ("origination_caller_id_name", "x"),
        ("sg_x", "${system(id)}"),
        ("sg_x", "$${domain}"),
        ("sg_x", "two\nlines"),
        ("sg_x", "carriage\rreturn"),
        ("sg_x", "n\0ul"),
        ("sg_x", ""),
        ("a b", "x"),
        ("a,b", "x"),
        ("", "x"),
    ] {
        let request = pb::OriginateRequest {
            variables: map(&[(name, value)]),
            ..to(ANSWERS)
        };
        refused(&gateway, request, &format!("variables[{name:?}]")).await;
    }
    let names = |name: &str, number: &str| pb::OriginateRequest {
        caller_id_name: name.to_owned(),
        caller_id_number: number.to_owned(),
        ..to(ANSWERS)
    };
    refused(&gateway, names("a\r\nb", ""), "caller_id_name").await;
    refused(&gateway, names("${x}", ""), "caller_id_name").await;
    refused(&gateway, names("", "1\n2"), "caller_id_number").await;
    let running = |name: &str, arguments: &str| pb::OriginateRequest {
        target: Some(application(name, arguments)),
        ..to(ANSWERS)
    };
    refused(
        &gateway,
        running("echo", "${system(id)}"),
        "application.arguments",
    )
    .await;
    refused(&gateway, running("echo", "a\nb"), "application.arguments").await;
    refused(&gateway, running("ec ho", ""), "application.name").await;
    refused(&gateway, running("", ""), "application.name").await;
    let status = refused(&gateway, running("plaback", ""), "application.name").await;
    assert_eq!(
        code_and_reason(&status),
        reason(Code::InvalidArgument, "UNKNOWN_APPLICATION")
    );
    assert_eq!(metadata(&status, "application"), "plaback");
    let going = |number: &str, dialplan: &str, context: &str| pb::OriginateRequest {
        target: Some(pb::originate_request::Target::Extension(
            pb::OriginateExtension {
                number: number.to_owned(),
                dialplan: dialplan.to_owned(),
                context: context.to_owned(),
            },
        )),
        ..to(ANSWERS)
    };
    refused(&gateway, going("", "", ""), "extension.number").await;
    refused(&gateway, going("&park()", "", ""), "extension.number").await;
    // A right stands before this one: an inline dialplan runs whatever the caller writes.
    let denied = crate::client::place(&gateway, going("park", "inline", "")).await;
    let (_, reason) = crate::gateway::code_and_reason(&denied.unwrap_err());
    assert_eq!(reason, "PERMISSION_DENIED");
    refused(&gateway, going("park", "XML", "a\nb"), "extension.context").await;
    for field in ["strategy", "wait_for"] {
        let mut request = to(ANSWERS);
        match field {
            "strategy" => request.strategy = 99,
            _ => request.wait_for = 99,
        }
        refused(&gateway, request, field).await;
    }
    for span in [seconds(0), seconds(-1)] {
        let request = pb::OriginateRequest {
            ring_timeout: Some(span),
            ..to(ANSWERS)
        };
        refused(&gateway, request, "ring_timeout").await;
    }
    let request = pb::OriginateRequest {
        request_id: "two\nlines".to_owned(),
        ..to(ANSWERS)
    };
    refused(&gateway, request, "request_id").await;
    let request = pb::OriginateRequest {
        labels: map(&[("", "x")]),
        ..to(ANSWERS)
    };
    refused(&gateway, request, "labels[\"\"]").await;

    assert_eq!(sent(&gateway), before, "something reached the wire");
    gateway.stop().await;
}

#[tokio::test]
async fn an_unknown_application_is_refused_on_any_node() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            target: Some(application("no_such_application", "")),
            ..to(ANSWERS)
        };
        let status = refused(&gateway, request, "application.name").await;
        assert_eq!(code_and_reason(&status).1, "UNKNOWN_APPLICATION");
        gateway
    })
    .await;
}
