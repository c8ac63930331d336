//! Streams whose caller is another, or nobody, after a reload.

use switchgate::pb;

use super::{House, access, nodes};
use crate::callers::Caller;
use crate::gateway::within;
use crate::open_stream::{OpenStream, ended};

/// The configuration of these tokens, and a role with these rights.
fn with(tokens: &[(&str, &str)], agent: &str) -> impl Fn(&[String]) -> String {
    let rest = format!("roles: {{agent: {{{agent}}}}}\n{}", access(tokens));
    move |at| format!("{}{rest}", nodes(&[("a", &at[0])]))
}

#[tokio::test]
async fn streams_of_a_token_that_is_taken_away_end_and_others_go_on() {
    let all = "rpcs: {allow: ['*']}";
    let house = House::start(with(&[("one", "operator"), ("two", "operator")], all)).await;
    house.gateway.in_service().await;
    let [one, two] = ["one", "two"].map(|name| Caller::of(&house.gateway, name));
    let mut first = OpenStream::of(&one).await;
    let mut second = OpenStream::of(&two).await;
    let mut watching = within(one.nodes().watch_nodes(pb::WatchNodesRequest::default()))
        .await
        .unwrap()
        .into_inner();
    // Another token of somebody else changes nothing for them.
    let more = [
        ("one", "operator"),
        ("two", "operator"),
        ("three", "viewer"),
    ];
    house.reload(with(&more, all)).await.unwrap();
    first.goes_on(&two).await;
    second.goes_on(&two).await;

    house
        .reload(with(&[("two", "operator")], all))
        .await
        .unwrap();
    let (why, cursor) = first.ended().await;
    assert_eq!((why.as_str(), cursor.is_empty()), ("rejected", false));
    let (why, cursor_of_watch) = ended(&mut watching).await;
    assert_eq!(
        (why.as_str(), cursor_of_watch.is_empty()),
        ("rejected", false)
    );
    second.goes_on(&two).await;
    let mut resumed = OpenStream::behind(&two, Some(cursor)).await.unwrap();
    resumed.goes_on(&two).await;
    house.stop().await;
}

#[tokio::test]
async fn streams_end_when_what_they_show_is_no_more_for_their_caller() {
    let tokens = [("one", "agent"), ("two", "operator")];
    let house = House::start(with(&tokens, "rpcs: {allow: ['*']}")).await;
    house.gateway.in_service().await;
    let [one, two] = ["one", "two"].map(|name| Caller::of(&house.gateway, name));
    let mut stream = OpenStream::of(&one).await;
    let mut other = OpenStream::of(&two).await;
    // What the stream shows stays the same.
    let commands = "rpcs: {allow: ['*']}, commands: {allow: [status]}";
    house.reload(with(&tokens, commands)).await.unwrap();
    stream.goes_on(&two).await;
    for agent in [
        "rpcs: {allow: ['*']}, nodes: [b]",
        "rpcs: {allow: ['*']}, nodes: ['*']",
        "rpcs: {allow: ['NodeService/*']}",
    ] {
        house.reload(with(&tokens, agent)).await.unwrap();
        let (why, cursor) = stream.ended().await;
        assert_eq!(
            (why.as_str(), cursor.is_empty()),
            ("changed", false),
            "{agent}"
        );
        match OpenStream::behind(&one, None).await {
            Ok(again) => stream = again,
            Err(status) => assert_eq!(status.code(), tonic::Code::PermissionDenied),
        }
    }
    other.goes_on(&two).await;
    // Another role, though it may see the same.
    let tokens = [("one", "agent"), ("two", "admin")];
    house.reload(with(&tokens, commands)).await.unwrap();
    assert_eq!(other.ended().await.0, "changed");
    house.stop().await;
}
