//! Which node a call is placed on.

use super::*;

#[tokio::test]
async fn the_selector_chooses_the_node() {
    let gateway = Gateway::over_sims(2, |config| {
        for (node, zone) in config.nodes.iter_mut().zip(["east", "west"]) {
            node.labels.insert("zone".to_owned(), zone.to_owned());
        }
    })
    .await;
    let selecting = |node_id: &str, labels: &[(&str, &str)]| pb::OriginateRequest {
        node_selector: Some(pb::NodeSelector {
            node_id: node_id.to_owned(),
            match_labels: map(labels),
        }),
        ..to(ANSWERS)
    };
    for (node_id, labels, expected) in [
        ("sim-0", &[][..], "sim-0"),
        ("sim-1", &[], "sim-1"),
        ("", &[("zone", "east")], "sim-0"),
        ("", &[("zone", "west")], "sim-1"),
        ("sim-1", &[("zone", "west")], "sim-1"),
    ] {
        let request = selecting(node_id, labels);
        let session = place(&gateway, request).await.unwrap().session.unwrap();
        assert_eq!(session.node_id, expected);
        let session = get(&gateway, &session.session_id).await.unwrap();
        assert_eq!(session.node_id, expected);
    }
    let status = place(&gateway, selecting("sim-9", &[])).await.unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        reason(Code::NotFound, "NODE_NOT_FOUND")
    );
    for (node_id, labels) in [
        ("", &[("zone", "north")][..]),
        ("", &[("region", "east")]),
        ("sim-0", &[("zone", "west")]),
    ] {
        let status = place(&gateway, selecting(node_id, labels))
            .await
            .unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            reason(Code::Unavailable, "NO_NODE_AVAILABLE")
        );
        assert!(has_retry(&status));
    }
    let status = place(&gateway, selecting("a b", &[])).await.unwrap_err();
    assert_invalid(&status, "node_selector.node_id");
    gateway.stop().await;
}

#[tokio::test]
async fn a_node_that_takes_no_more_calls_says_so_and_when_to_try_again() {
    let gateway = Gateway::over_sim().await;
    let limit = pb::RunApiRequest {
        node_id: "sim-0".to_owned(),
        command: "fsctl".to_owned(),
        arguments: "max_sessions 0".to_owned(),
    };
    within(gateway.nodes().run_api(limit)).await.unwrap();
    let status = originate(&gateway, "null/x").await.unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        (Code::ResourceExhausted, "NODE_LIMIT".to_owned())
    );
    assert_eq!(
        metadata(&status, "hangup_cause"),
        "DESTINATION_OUT_OF_ORDER"
    );
    assert!(status.get_error_details().retry_info().is_some());
    gateway.stop().await;
}
