//! What a node must be like to be added.

use super::*;

#[tokio::test]
async fn an_added_node_is_held_to_the_rules_of_the_configuration() {
    let gateway = Gateway::over_sim().await;
    let good = pb::AddNodeRequest {
        node_id: "fs9".to_owned(),
        address: "127.0.0.1:1".to_owned(),
        password: "secret-word".to_owned(),
        ..Default::default()
    };
    assert!(!format!("{good:?}").contains("secret"));
    let cases = [
        (
            pb::AddNodeRequest {
                node_id: "a b".to_owned(),
                ..good.clone()
            },
            "node_id",
        ),
        (
            pb::AddNodeRequest {
                node_id: String::new(),
                ..good.clone()
            },
            "node_id",
        ),
        (
            pb::AddNodeRequest {
                address: "x://y".to_owned(),
                ..good.clone()
            },
            "address",
        ),
        (
            pb::AddNodeRequest {
                address: String::new(),
                ..good.clone()
            },
            "address",
        ),
        (
            pb::AddNodeRequest {
                password: String::new(),
                ..good.clone()
            },
            "password",
        ),
        (
            pb::AddNodeRequest {
                password: "a\r\nexit".to_owned(),
                ..good.clone()
            },
            "password",
        ),
        (
            pb::AddNodeRequest {
                user: "nobody".to_owned(),
                ..good.clone()
            },
            "user",
        ),
        (
            pb::AddNodeRequest {
                command_links: 100_000,
                ..good.clone()
            },
            "command_links",
        ),
    ];
    for (request, field) in cases {
        let status = add(&gateway, request).await.unwrap_err();
        assert_invalid(&status, field);
        assert!(!status.message().contains("secret"));
    }
    // One that cannot be reached is a node that connects, and can be removed again.
    let node = add(&gateway, good.clone()).await.unwrap();
    assert_eq!(node.state(), pb::NodeState::Connecting);
    remove(&gateway, "fs9", false).await.unwrap();

    // The same request twice adds once; another one under its id is refused.
    let once = pb::AddNodeRequest {
        request_id: tag(),
        ..good
    };
    for _ in 0..2 {
        assert_eq!(add(&gateway, once.clone()).await.unwrap().node_id, "fs9");
    }
    let other = pb::AddNodeRequest {
        address: "127.0.0.1:2".to_owned(),
        ..once
    };
    let status = add(&gateway, other).await.unwrap_err();
    assert_eq!(
        code_and_reason(&status),
        (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned())
    );
    gateway.stop().await;
}
