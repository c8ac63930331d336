//! NodeService, reflection, health.

use futures_util::StreamExt as _;
use switchgate::pb::{self, NodeState};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::client::*;
use crate::gateway::{Gateway, code_and_reason, connect, metadata, on_each, within};

const SERVICES: [&str; 5] = [
    "switchgate.v1.CallService",
    "switchgate.v1.EventService",
    "switchgate.v1.JobService",
    "switchgate.v1.NodeService",
    "switchgate.v1.SessionService",
];

async fn run_api(
    gateway: &Gateway,
    node_id: &str,
    command: &str,
    arguments: &str,
) -> Result<String, tonic::Status> {
    let request = pb::RunApiRequest {
        node_id: node_id.to_owned(),
        command: command.to_owned(),
        arguments: arguments.to_owned(),
    };
    let response = within(gateway.nodes().run_api(request)).await?;
    Ok(response.into_inner().output)
}

#[tokio::test]
async fn a_node_in_service_shows_itself() {
    on_each(async |gateway| {
        let response = within(gateway.nodes().list_nodes(pb::ListNodesRequest::default())).await;
        let page = response.unwrap().into_inner();
        assert_eq!((page.nodes.len(), page.total_size), (1, 1));
        let node = &page.nodes[0];
        assert_eq!(node.state(), NodeState::Ready);
        let mut version = node.version.chars();
        assert!(
            version.next().is_some_and(|c| c.is_ascii_digit()),
            "{node:?}"
        );
        assert!(version.all(|c| !c.is_whitespace()), "{node:?}");
        assert!(!node.core_uuid.is_empty() && !node.address.is_empty());
        assert_eq!((node.connects, node.state_detail.as_str()), (1, ""));
        assert!(node.command_links_wanted > 0);
        let id = answered(&gateway).await.session_id;
        let request = pb::GetNodeRequest {
            node_id: node.node_id.clone(),
        };
        let shown = within(gateway.nodes().get_node(request)).await.unwrap();
        let shown = shown.into_inner().node.unwrap();
        assert_eq!(
            (&shown.node_id, &shown.core_uuid),
            (&node.node_id, &node.core_uuid)
        );
        assert!(shown.tracked_sessions >= 1);
        hang_up(&gateway, &id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn nodes_are_listed_by_name_and_page() {
    let gateway = Gateway::over_sims(3, |_| {}).await;
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListNodesRequest {
            page_size: 2,
            page_token,
            ..Default::default()
        };
        let page = within(gateway.nodes().list_nodes(request))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(page.total_size, 3);
        listed.extend(page.nodes.into_iter().map(|node| node.node_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, ["sim-0", "sim-1", "sim-2"]);
    for node in &listed {
        let output = run_api(&gateway, node, "uuid_exists", "x").await.unwrap();
        assert_eq!(output, "false");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_api_gives_its_output_whatever_it_is() {
    on_each(async |gateway| {
        let node = gateway
            .control
            .fleet
            .nodes()
            .next()
            .unwrap()
            .id()
            .to_string();
        assert_eq!(
            run_api(&gateway, &node, "uuid_exists", "x").await.unwrap(),
            "false"
        );
        let output = run_api(&gateway, &node, "uuid_kill", "x").await.unwrap();
        assert!(output.starts_with("-ERR"), "{output}");
        let output = run_api(&gateway, &node, "uuid_bridge", "").await.unwrap();
        assert!(output.starts_with("-USAGE"), "{output}");
        let status = run_api(&gateway, "elsewhere", "status", "")
            .await
            .unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::NotFound, "NODE_NOT_FOUND".to_owned())
        );
        assert_eq!(metadata(&status, "node_id"), "elsewhere");
        let request = pb::GetNodeRequest {
            node_id: "elsewhere".to_owned(),
        };
        let status = within(gateway.nodes().get_node(request)).await.unwrap_err();
        assert_eq!(code_and_reason(&status).1, "NODE_NOT_FOUND");
        gateway
    })
    .await;
}

async fn check(
    client: &mut HealthClient<tonic::transport::Channel>,
    service: &str,
) -> Result<ServingStatus, tonic::Status> {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    Ok(within(client.check(request)).await?.into_inner().status())
}

#[tokio::test]
async fn health_is_told_for_each_service() {
    let mut gateway = Gateway::over_sim().await;
    let mut client = HealthClient::new(connect(gateway.address).await);
    for service in SERVICES.into_iter().chain([""]) {
        let mut watch = within(client.watch(HealthCheckRequest {
            service: service.to_owned(),
        }))
        .await
        .unwrap()
        .into_inner();
        // The gateway says so a moment after its first node is in service.
        loop {
            let told: HealthCheckResponse = within(watch.next()).await.unwrap().unwrap();
            if told.status() == ServingStatus::Serving {
                break;
            }
            assert_eq!(told.status(), ServingStatus::NotServing);
        }
        assert_eq!(
            check(&mut client, service).await.unwrap(),
            ServingStatus::Serving
        );
    }
    let status = check(&mut client, "switchgate.v1.Nothing")
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let mut unknown = within(client.watch(HealthCheckRequest {
        service: "switchgate.v1.Nothing".to_owned(),
    }))
    .await
    .unwrap()
    .into_inner();
    let told = within(unknown.next()).await.unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::ServiceUnknown);

    // Who watches learns of the stop, and does not hold it up.
    let mut watch = within(client.watch(HealthCheckRequest::default()))
        .await
        .unwrap()
        .into_inner();
    let told = within(watch.next()).await.unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::Serving);
    gateway.begin_stop();
    let told = within(watch.next()).await.unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::NotServing);
    gateway.stop().await;
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_versions() {
    let gateway = Gateway::over_sim().await;
    macro_rules! listed {
        ($version:ident) => {{
            use tonic_reflection::pb::$version as api;
            let request = api::ServerReflectionRequest {
                host: String::new(),
                message_request: Some(
                    api::server_reflection_request::MessageRequest::ListServices(String::new()),
                ),
            };
            let mut client =
                api::server_reflection_client::ServerReflectionClient::new(gateway.channel.clone());
            let requests = tokio_stream::iter([request]);
            let mut answers = within(client.server_reflection_info(requests))
                .await
                .unwrap()
                .into_inner();
            let answer = within(answers.next()).await.unwrap().unwrap();
            match answer.message_response.unwrap() {
                api::server_reflection_response::MessageResponse::ListServicesResponse(list) => {
                    list.service
                        .into_iter()
                        .map(|service| service.name)
                        .collect::<Vec<_>>()
                }
                other => panic!("{other:?}"),
            }
        }};
    }
    for listed in [listed!(v1), listed!(v1alpha)] {
        for service in SERVICES.into_iter().chain(["grpc.health.v1.Health"]) {
            assert!(
                listed.iter().any(|name| name == service),
                "{service}: {listed:?}"
            );
        }
    }
    gateway.stop().await;
}
