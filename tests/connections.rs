//! How many connections there may be, how old they get, and how large what they carry.

use std::time::Duration;

use switchgate::pb;
use switchgate::pb::event_service_client::EventServiceClient;
use switchgate::pb::job_service_client::JobServiceClient;
use switchgate::pb::node_service_client::NodeServiceClient;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::client::start_at;
use crate::faults::{job, received, until};
use crate::gateway::{Gateway, code_and_reason, connect, metadata, within};
use crate::hostile::wire::{GOAWAY, NO_ERROR, SUBSCRIBE, Wire, request};
use crate::identities::{access, token};
use crate::tls::clients::list_nodes;

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_too_many_is_closed_at_once() {
    let gateway = Gateway::over_sims(1, |config| config.grpc.max_connections = 3).await;
    // One is the gateway's own client.
    let (first, second) = (
        connect(gateway.address).await,
        connect(gateway.address).await,
    );
    // Who was let in once, keeps its place.
    for channel in [&gateway.channel, &first, &second] {
        assert_eq!(list_nodes(channel).await.unwrap(), 1);
    }
    until(|| gateway.transport.connections().open == 3).await;
    let mut late = TcpStream::connect(gateway.address).await.unwrap();
    let read = within(late.read(&mut [0])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert_eq!(gateway.transport.connections().refused, 1);
    assert_eq!(list_nodes(&gateway.channel).await.unwrap(), 1);

    drop(first);
    until(|| gateway.transport.connections().open == 2).await;
    let next = connect(gateway.address).await;
    assert_eq!(list_nodes(&next).await.unwrap(), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_prove_nothing_make_room_and_keep_nobody_out() {
    let gateway = Gateway::over_sims(1, |config| {
        config.grpc.max_connections = 3;
        config.access = access(&token("crm", "swg_good"));
    })
    .await;
    // The gateway's own client has a place, and asks for nothing yet.
    let ask = async |channel: &Channel| {
        let channel = channel.clone();
        let mut request = Request::new(pb::ListNodesRequest::default());
        let bearer = "Bearer swg_good".parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let mut client = NodeServiceClient::new(channel);
        within(client.list_nodes(request)).await.map(drop)
    };
    ask(&gateway.channel).await.unwrap();
    // This one does not even read, and what it asks is refused.
    let mut oldest = Wire::connect(gateway.address).await;
    assert!(oldest.send(&request(1, SUBSCRIBE)).await);
    until(|| gateway.transport.connections().open == 2).await;
    // As load balancers do.
    let mut other = HealthClient::new(connect(gateway.address).await);
    let health = within(other.watch(HealthCheckRequest::default())).await;
    let mut health = health.unwrap().into_inner();
    within(health.message()).await.unwrap().unwrap();
    assert_eq!(gateway.transport.connections().unproven, 0);

    let channel = connect(gateway.address).await;
    ask(&channel).await.unwrap();
    assert_eq!(oldest.goaway().await, Some(NO_ERROR));
    while oldest.next().await.is_some() {}
    assert_eq!(gateway.transport.connections().unproven, 1);
    // Another one takes the place of who watches, and then there is none left to take.
    let third = connect(gateway.address).await;
    ask(&third).await.unwrap();
    while let Ok(Some(_)) = within(health.message()).await {}
    let figures = gateway.transport.connections();
    assert_eq!((figures.open, figures.unproven, figures.refused), (3, 2, 0));
    let mut late = TcpStream::connect(gateway.address).await.unwrap();
    let read = within(late.read(&mut [0])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    for channel in [&gateway.channel, &channel, &third] {
        ask(channel).await.unwrap();
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_age_gets_goaway_and_then_its_streams_end() {
    let gateway = Gateway::over_sims(1, |config| {
        config.grpc.max_connection_age = Duration::from_millis(300);
        config.grpc.max_connection_age_grace = Duration::from_millis(300);
    })
    .await;
    let mut wire = Wire::connect(gateway.address).await;
    assert!(wire.send(&request(1, SUBSCRIBE)).await);
    let first = wire.until(GOAWAY).await.unwrap();
    let last_stream = u32::from_be_bytes(first.payload[..4].try_into().unwrap());
    // All that is under way may go on, and so may what the client has just sent.
    assert_eq!((last_stream, first.code()), (u32::MAX >> 1, NO_ERROR));
    let second = wire.until(GOAWAY).await.unwrap();
    let last_stream = u32::from_be_bytes(second.payload[..4].try_into().unwrap());
    assert_eq!((last_stream, second.code()), (1, NO_ERROR));
    // Then the end of its stream, and of the connection.
    while wire.next().await.is_some() {}

    let channel = connect(gateway.address).await;
    let mut client = EventServiceClient::new(channel);
    let stream = within(client.subscribe(pb::SubscribeRequest::default())).await;
    let mut stream = stream.unwrap().into_inner();
    let ended = loop {
        match within(stream.message()).await {
            Ok(Some(_)) => {}
            other => break other.unwrap_err(),
        }
    };
    let expected = (Code::Unavailable, "SHUTTING_DOWN".to_owned());
    assert_eq!(code_and_reason(&ended), expected, "{ended:?}");
    // The client goes on from there, on a connection of its own making.
    let again = pb::SubscribeRequest {
        start: Some(start_at(&metadata(&ended, "cursor"))),
        ..Default::default()
    };
    let stream = loop {
        match within(client.subscribe(again.clone())).await {
            Ok(stream) => break stream,
            Err(status) => assert!(was_never_sent(&status), "{status:?}"),
        }
    };
    let first = within(stream.into_inner().message()).await.unwrap();
    assert!(first.is_some());
    assert!(gateway.transport.connections().aged >= 2);
    gateway.stop().await;
}

async fn run(channel: &Channel, milliseconds: &str) -> Result<pb::Job, Status> {
    let mut client = JobServiceClient::new(channel.clone());
    let response = within(client.run_job(job("msleep", milliseconds))).await?;
    Ok(response.into_inner().job.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_may_finish_within_the_grace_and_is_handed_back_after_it() {
    let gateway = Gateway::over_sims(1, |config| {
        config.grpc.max_connection_age = Duration::from_millis(200);
        config.grpc.max_connection_age_grace = Duration::from_millis(1500);
    })
    .await;
    let channel = connect(gateway.address).await;
    let (short, long) = tokio::join!(run(&channel, "800"), run(&channel, "60000"));
    assert_eq!(short.unwrap().state(), pb::JobState::Succeeded);
    let long = long.unwrap_err();
    let expected = (Code::Unavailable, "SHUTTING_DOWN".to_owned());
    assert_eq!(code_and_reason(&long), expected, "{long:?}");
    let asked = pb::CancelJobRequest {
        job_id: metadata(&long, "job_id"),
        ..Default::default()
    };
    let channel = connect(gateway.address).await;
    let cancelled = within(JobServiceClient::new(channel).cancel_job(asked)).await;
    assert!(cancelled.is_ok(), "it went on: {cancelled:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_sent_is_answered_though_connections_age() {
    let gateway = Gateway::over_sims(1, |config| {
        config.grpc.max_connection_age = Duration::from_millis(50);
    })
    .await;
    let endpoint = Endpoint::from_shared(format!("http://{}", gateway.address)).unwrap();
    let channel = endpoint.connect_lazy();
    let mut answered = 0;
    while gateway.transport.connections().aged < 20 {
        match list_nodes(&channel).await {
            Ok(nodes) => {
                assert_eq!(nodes, 1);
                answered += 1;
            }
            Err(status) => assert!(was_never_sent(&status), "{status:?}"),
        }
    }
    assert!(answered > 100, "{answered}");
    gateway.stop().await;
}

/// Whether the client's own connection was gone before it could send, or GOAWAY came instead of an
/// answer: tonic does not ask again, as other clients of gRPC do by themselves.
fn was_never_sent(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.downcast_ref().is_some_and(hyper::Error::is_canceled) {
            return true;
        }
        cause = error.source();
    }
    format!("{status:?}").contains("GoAway(b\"\", NO_ERROR, Remote)")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_beyond_the_bound_is_refused() {
    let gateway = Gateway::over_sims(1, |config| {
        config.grpc.max_message_bytes = switchgate::config::Size::from_kib(64);
    })
    .await;
    let large = run(&gateway.channel, &"1".repeat(65 << 10))
        .await
        .unwrap_err();
    assert_eq!(large.code(), Code::OutOfRange, "{large:?}");
    assert_eq!(list_nodes(&gateway.channel).await.unwrap(), 1);
    let sim = gateway.sim().clone();
    assert!(run(&gateway.channel, "1").await.is_ok());
    received(&sim, "bgapi msleep 1").await;
    gateway.stop().await;
}
