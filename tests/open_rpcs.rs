//! Health and reflection, which are open to anybody: what nobody may have of them.

use tonic::Code;
use tonic::Streaming;
use tonic::transport::Channel;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_types::StatusExt as _;

use crate::gateway::{Gateway, code_and_reason, connect, within};
use crate::hostile::wire::{DATA, END_STREAM, HEADERS, Wire, frame, request, without_message};

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
/// A whole message for reflection: `list_services: ""`.
const LIST_SERVICES: [u8; 7] = [0, 0, 0, 0, 2, 0x3a, 0];

async fn watch(channel: &Channel) -> Result<Streaming<HealthCheckResponse>, tonic::Status> {
    let mut client = HealthClient::new(channel.clone());
    let watch = within(client.watch(HealthCheckRequest::default())).await;
    watch.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_connection_has_so_many_watches_and_gets_a_place_back_when_one_ends() {
    let gateway = Gateway::over_sims(1, |_| {}).await;
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(watch(&gateway.channel).await.unwrap());
    }
    let refused = watch(&gateway.channel).await.unwrap_err();
    assert_eq!(
        code_and_reason(&refused),
        (Code::ResourceExhausted, "RATE_LIMITED".to_owned())
    );
    let details = refused.get_error_details();
    assert!(
        details
            .retry_info()
            .is_some_and(|retry| retry.retry_delay.is_some())
    );
    // It is none of another connection's business.
    let other = connect(gateway.address).await;
    held.push(watch(&other).await.unwrap());
    held.remove(0);
    // The gateway learns of it when the client's reset arrives.
    within(async {
        while watch(&gateway.channel).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(held);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_connections_together_have_so_many_watches() {
    let gateway = Gateway::over_sims(1, |_| {}).await;
    let mut crowd = Vec::new();
    for _ in 0..64 {
        let mut wire = Wire::connect(gateway.address).await;
        let watches = (0..16).map(|at| request(2 * at + 1, WATCH));
        assert!(wire.send(&watches.collect::<Vec<_>>().concat()).await);
        for _ in 0..16 {
            let answer = wire.until(HEADERS).await.unwrap();
            assert_eq!(answer.flags & END_STREAM, 0);
        }
        crowd.push(wire);
    }
    let refused = watch(&gateway.channel).await.unwrap_err();
    assert_eq!(
        code_and_reason(&refused),
        (Code::ResourceExhausted, "OVERLOADED".to_owned())
    );
    drop(crowd);
    within(async {
        while watch(&gateway.channel).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_that_never_comes_is_not_waited_for() {
    let gateway = Gateway::over_sims(1, |_| {}).await;
    for path in [CHECK, WATCH, REFLECTION] {
        let mut wire = Wire::connect(gateway.address).await;
        assert!(
            wire.send(&without_message(1, path, &[("grpc-timeout", "200m")]))
                .await
        );
        while wire.until(HEADERS).await.unwrap().flags & END_STREAM == 0 {}
        // Which would be waited for, since it does not answer that it has seen GOAWAY.
        drop(wire);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn reflection_goes_on_after_its_first_message() {
    let gateway = Gateway::over_sims(1, |_| {}).await;
    let mut wire = Wire::connect(gateway.address).await;
    let (sooner, later) = ([("grpc-timeout", "100m")], [("grpc-timeout", "300m")]);
    let list = || frame(DATA, 0, 1, &LIST_SERVICES);
    let begin = [without_message(1, REFLECTION, &sooner), list()].concat();
    assert!(wire.send(&begin).await);
    assert_eq!(wire.until(DATA).await.unwrap().stream, 1);
    assert!(wire.send(&without_message(3, REFLECTION, &later)).await);
    loop {
        let frame = wire.until(HEADERS).await.unwrap();
        if frame.flags & END_STREAM != 0 {
            assert_eq!(frame.stream, 3);
            break;
        }
    }
    assert!(wire.send(&list()).await);
    assert_eq!(wire.until(DATA).await.unwrap().stream, 1);
    drop(wire);
    gateway.stop().await;
}
