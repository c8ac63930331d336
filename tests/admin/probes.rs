//! Probes at each stage of the gateway's life.

use std::net::Ipv4Addr;
use std::time::Duration;

use switchgate::app::{App, AppError};
use switchgate::config::ReadyPolicy;
use switchgate::shutdown::Drain;
use switchgate::sim::{Fault, Sim, SimConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{ask, get};
use crate::faults::{bring_back, take_away};
use crate::gateway::{Gateway, connect, test_config, within};

/// Status codes of `/livez`, `/startupz` and `/readyz`.
async fn codes(address: std::net::SocketAddr) -> [u16; 3] {
    let live = get(address, "/livez").await.status;
    let started = get(address, "/startupz").await.status;
    [live, started, get(address, "/readyz").await.status]
}

#[tokio::test]
async fn a_gateway_that_was_not_run_yet_lives_but_is_not_started() {
    let mut config = test_config();
    config.admin.ready = ReadyPolicy::None;
    let app = App::build(&config).await.unwrap();
    let address = app.admin_address().unwrap();
    assert_eq!(codes(address).await, [200, 503, 503]);
    let ready = get(address, "/readyz").await.body;
    assert!(ready.starts_with("not ready: starting"), "{ready}");

    let (stop_tx, stop_rx) = oneshot::channel::<()>();
    let drain = Drain::new();
    let running = drain.spawn(app.run(async {
        let _ = stop_rx.await;
    }));
    within(async { while codes(address).await != [200, 200, 200] {} }).await;
    stop_tx.send(()).unwrap();
    within(running).await.unwrap();
    TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn readiness_follows_the_node_and_liveness_does_not() {
    let gateway = Gateway::over_sim().await;
    let address = gateway.admin.unwrap();
    assert_eq!(codes(address).await, [200; 3]);
    let ready = get(address, "/readyz").await.body;
    assert_eq!(ready, "ready: 1 of 1 nodes in service, 1 needed (any)\n");

    take_away(&gateway).await;
    assert_eq!(codes(address).await, [200, 200, 503]);
    let ready = get(address, "/readyz").await.body;
    let mut lines = ready.lines();
    assert_eq!(
        lines.next(),
        Some("not ready: 0 of 1 nodes in service, 1 needed (any)")
    );
    let missing = lines.next().unwrap();
    assert!(missing.starts_with("node sim-0: DOWN: "), "{ready}");

    bring_back(&gateway).await;
    assert_eq!(codes(address).await, [200; 3]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_node_that_was_drained_is_in_service() {
    let gateway = Gateway::over_sims(1, |config| config.admin.ready = ReadyPolicy::All).await;
    let id = "sim-0".parse().unwrap();
    gateway.control.fleet.set_drained(&id, true).unwrap();
    assert_eq!(get(gateway.admin.unwrap(), "/readyz").await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn the_policy_says_how_many_nodes_are_needed() {
    for (policy, expected) in [
        (ReadyPolicy::All, [503, 503, 503]),
        (ReadyPolicy::Quorum, [200, 503, 503]),
        (ReadyPolicy::Any, [200, 200, 503]),
        (ReadyPolicy::None, [200, 200, 200]),
    ] {
        let gateway = Gateway::over_sims(3, |config| config.admin.ready = policy).await;
        let address = gateway.admin.unwrap();
        assert_eq!(get(address, "/readyz").await.status, 200);
        for (at, expected) in expected.into_iter().enumerate() {
            let sim = &gateway.sims[at];
            sim.inject(Fault::RefuseConnections(Duration::from_secs(600)));
            sim.inject(Fault::DropLinks);
            let name = format!("sim-{at}");
            crate::faults::reached(&gateway, &name, switchgate::domain::NodeState::Down).await;
            let ready = get(address, "/readyz").await;
            assert_eq!(ready.status, expected, "{policy:?}: {}", ready.body);
            assert!(
                ready.body.contains(&format!("node {name}: DOWN")),
                "{}",
                ready.body
            );
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_gateway_that_drains_is_not_ready_but_lives_until_the_end() {
    let mut gateway = Gateway::over_sims(1, |config| {
        config.shutdown.delay = Duration::from_secs(2);
    })
    .await;
    let address = gateway.admin.unwrap();
    let mut health = HealthClient::new(connect(address).await);
    gateway.begin_stop();
    // Once the port is closed this panics: so it tells of the drain before.
    let ready = within(async {
        loop {
            let ready = get(address, "/readyz").await;
            if ready.status != 200 {
                return ready;
            }
        }
    })
    .await;
    assert!(
        ready.body.starts_with("not ready: draining: 1 of 1"),
        "{}",
        ready.body
    );
    assert_eq!(codes(address).await, [200, 200, 503]);
    let checked = within(health.check(HealthCheckRequest::default()))
        .await
        .unwrap();
    assert_eq!(checked.into_inner().status(), ServingStatus::NotServing);
    let page = get(address, "/metrics").await.body;
    assert!(page.contains("\nswitchgate_draining 1\n") && page.contains("\nswitchgate_ready 0\n"));
    gateway.stopped().await;
    TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn grpc_health_answers_on_the_same_port() {
    let gateway = Gateway::over_sim().await;
    let mut health = HealthClient::new(connect(gateway.admin.unwrap()).await);
    let request = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    for service in ["", "switchgate.v1.SessionService"] {
        let checked = within(async {
            loop {
                let checked = health.check(request(service)).await.unwrap().into_inner();
                if checked.status() == ServingStatus::Serving {
                    return checked;
                }
            }
        });
        checked.await;
    }
    let unknown = within(health.check(request("nobody"))).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let mut watch = within(health.watch(request("")))
        .await
        .unwrap()
        .into_inner();
    let first = within(watch.message()).await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    gateway.stop().await;
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_told() {
    let gateway = Gateway::over_sim().await;
    let address = gateway.admin.unwrap();
    let nothing = get(address, "/nothing").await;
    assert_eq!(nothing.status, 404);
    assert!(nothing.body.contains("/readyz"), "{}", nothing.body);
    for method in ["POST", "DELETE", "PUT"] {
        assert_eq!(ask(address, method, "/metrics", "", "").await.status, 405);
    }
    // The API itself is not here.
    let api = ask(
        address,
        "POST",
        "/switchgate.v1.SessionService/ListSessions",
        "",
        "",
    )
    .await;
    assert_eq!(api.status, 404);
    gateway.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_by_its_key() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut config = test_config();
    config.admin.listen = taken.local_addr().unwrap();
    let error = App::build(&config).await.unwrap_err();
    assert!(matches!(error, AppError::ListenAdmin { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("(admin.listen)") && text.contains("--admin-listen"),
        "{text}"
    );
    config.admin.enabled = false;
    assert_eq!(App::build(&config).await.unwrap().admin_address(), None);
}

#[tokio::test]
async fn without_nodes_a_gateway_is_ready_only_if_none_are_needed() {
    let drain = Drain::new();
    let sim = Sim::new(SimConfig::default(), &drain);
    let gateway = Gateway::over(vec![sim], drain, |_| {}).await;
    let id = "sim-0".parse().unwrap();
    within(gateway.control.fleet.remove(&id, true))
        .await
        .unwrap();
    let ready = get(gateway.admin.unwrap(), "/readyz").await;
    assert_eq!(
        (ready.status, &*ready.body),
        (503, "not ready: 0 of 0 nodes in service, 1 needed (any)\n")
    );
    gateway.stop().await;
}
